/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "cache/shadow.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define NONE UINT32_MAX

static const struct {
	enum xi_method method;
	const char *name;
} choices[XI_CHOICE_MAX] = {
#define X(symbol, method, name, text) { XI_METHOD_##method, name },
	XI_CHOICES(X)
#undef X
};

enum xi_method xi_choice_method(enum xi_choice why)
{
	return choices[why].method;
}

const char *xi_choice_name(enum xi_choice why)
{
	return choices[why].name;
}

static uint32_t *shadow_head(const struct xi_shadow *shadow, uint32_t sa_index)
{
	return &shadow->heads[(sa_index * 0x9e3779b1U) >> shadow->hash_shift];
}

static void shadow_append(struct xi_shadow *shadow, struct xi_shadow_sa *sa, uint8_t list)
{
	uint32_t i = sa - shadow->sas, newest = shadow->lists[list].newest;

	sa->list = list;
	sa->older = newest;
	sa->newer = NONE;
	if (newest == NONE)
		shadow->lists[list].oldest = i;
	else
		shadow->sas[newest].newer = i;
	shadow->lists[list].newest = i;
	shadow->lists[list].n++;
}

static void shadow_cut(struct xi_shadow *shadow, struct xi_shadow_sa *sa)
{
	if (sa->older == NONE)
		shadow->lists[sa->list].oldest = sa->newer;
	else
		shadow->sas[sa->older].newer = sa->newer;
	if (sa->newer == NONE)
		shadow->lists[sa->list].newest = sa->older;
	else
		shadow->sas[sa->newer].older = sa->older;
	shadow->lists[sa->list].n--;
}

int xi_shadow_create(struct xi_shadow *shadow, uint32_t n)
{
	unsigned int bits = 1;
	uint32_t i;

	while (bits < 31 && 1U << bits < 2 * n)
		bits++;
	memset(shadow, 0, sizeof(*shadow));
	shadow->hash_shift = 32 - bits;
	shadow->sas = calloc(n, sizeof(*shadow->sas));
	shadow->heads = malloc(sizeof(*shadow->heads) << bits);
	if (!shadow->sas || !shadow->heads) {
		xi_shadow_destroy(shadow);
		return -ENOMEM;
	}
	memset(shadow->heads, 0xff, sizeof(*shadow->heads) << bits); /* NONE */
	for (i = 0; i < XI_SHADOW_LISTS; i++)
		shadow->lists[i].oldest = shadow->lists[i].newest = NONE;
	shadow->n = n;
	for (i = 0; i < n; i++)
		shadow_append(shadow, &shadow->sas[i], XI_SHADOW_FREE);
	return 0;
}

void xi_shadow_destroy(struct xi_shadow *shadow)
{
	free(shadow->sas);
	free(shadow->heads);
	memset(shadow, 0, sizeof(*shadow));
}

struct xi_shadow_sa *xi_shadow_find(const struct xi_shadow *shadow, uint32_t sa_index)
{
	uint32_t i = *shadow_head(shadow, sa_index);

	while (i != NONE && shadow->sas[i].sa_index != sa_index)
		i = shadow->sas[i].chain;
	return i != NONE ? &shadow->sas[i] : NULL;
}

struct xi_shadow_sa *xi_shadow_oldest(const struct xi_shadow *shadow, enum xi_shadow_list list)
{
	uint32_t i = shadow->lists[list].oldest;

	return i != NONE ? &shadow->sas[i] : NULL;
}

struct xi_shadow_sa *xi_shadow_add(struct xi_shadow *shadow, uint32_t sa_index,
				   enum xi_shadow_list list)
{
	struct xi_shadow_sa *sa = xi_shadow_oldest(shadow, XI_SHADOW_FREE);
	uint32_t *head = shadow_head(shadow, sa_index);

	if (!sa)
		return NULL;
	shadow_cut(shadow, sa);
	memset(sa, 0, sizeof(*sa));
	sa->sa_index = sa_index;
	sa->chain = *head;
	*head = sa - shadow->sas;
	shadow_append(shadow, sa, list);
	return sa;
}

void xi_shadow_move(struct xi_shadow *shadow, struct xi_shadow_sa *sa, enum xi_shadow_list list)
{
	shadow_cut(shadow, sa);
	shadow_append(shadow, sa, list);
}

void xi_shadow_remove(struct xi_shadow *shadow, struct xi_shadow_sa *sa)
{
	uint32_t *link = shadow_head(shadow, sa->sa_index);

	while (&shadow->sas[*link] != sa)
		link = &shadow->sas[*link].chain;
	*link = sa->chain;
	sa->sa_index = 0;
	xi_shadow_move(shadow, sa, XI_SHADOW_FREE);
}

uint32_t xi_shadow_negatives(const struct xi_shadow *shadow)
{
	uint32_t life, n = 0;

	for (life = 0; life < XI_SHADOW_LIVES; life++)
		n += shadow->lists[XI_SHADOW_NEGATIVE + life].n;
	return n;
}
