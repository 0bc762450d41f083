/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* SPIs that key managers take, and the larval SAs that hold them until their keys come. */
#include "sad/sad_priv.h"

#include <errno.h>
#include <sys/random.h>
#include <time.h>

/* An SPI of [min, max] that no SA has for this destination and protocol. */
static int spi_pick(const struct xi_sad *sad, struct xi_sa_id *id, uint32_t min, uint32_t max)
{
	uint64_t random, range = (uint64_t)max - min + 1, i;

	if (getrandom(&random, sizeof(random), 0) != sizeof(random))
		return -EAGAIN;
	for (i = 0; i < range; i++) {
		id->spi = min + (random % range + i) % range;
		if (!xi_sad_node(sad, id))
			return 0;
	}
	return -ENOENT;
}

static int spi_alloc(struct xi_sad *sad, const struct xi_sa *sa, uint32_t min, uint32_t max,
		     uint64_t ttl, const struct xi_sa_rec **out)
{
	struct xi_sad_node *node;
	struct xi_sa_rec *rec;
	struct xi_sa larval = *sa;
	const char *why;
	int err;

	if (min < XI_SPI_MIN)
		min = XI_SPI_MIN;
	if (max < min)
		return -ENOENT;
	err = spi_pick(sad, &larval.id, min, max);
	if (err)
		return err;
	err = xi_sad_node_new(sad, &node, &larval.id, &why);
	if (err)
		return err;
	larval.life = XI_SA_LARVAL;
	larval.add_time = time(NULL);
	larval.generation = 1;
	rec = xi_rec_make(sad, &larval, NULL, node->sa_index);
	err = rec ? sad->store.ops->lookup_put(sad->store.s, &larval.id, XI_LARVAL) : -ENOMEM;
	if (err) {
		xi_rec_free(rec);
		xi_sad_abandon(sad, node);
		return err;
	}
	xi_rec_bind(sad, rec);
	node->dies = larval.add_time + ttl;
	xi_sad_publish(sad, node, rec);
	*out = rec;
	return 0;
}

int xi_sad_alloc_spi(struct xi_sad *sad, const struct xi_sa *sa, uint32_t min, uint32_t max,
		     uint64_t ttl, const struct xi_sa_rec **rec)
{
	int err;

	xi_sad_hold(sad);
	err = spi_alloc(sad, sa, min, max, ttl, rec);
	xi_sad_release(sad);
	return err;
}
