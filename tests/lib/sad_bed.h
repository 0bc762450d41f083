/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A SAD over a store in memory, with its listener and its events counted. Include cmocka.h first. */
#ifndef XI_TEST_SAD_BED_H
#define XI_TEST_SAD_BED_H

#include <stdlib.h>
#include <string.h>

#include "ipsec/replay.h"
#include "mem_store.h"
#include "sad/sad_priv.h"

#define NSTATES 8
#define NWINDOWS 17

struct fixture {
	struct mem_store *m;
	struct xi_sad *sad;
	unsigned int added, removed, updated, syncs;
	unsigned int soft, hard;
	uint32_t hard_spi;
};

static const char *refuse_why;

static inline bool carries(const struct xi_sa *sa, const char **why)
{
	if (refuse_why)
		*why = refuse_why;
	return !refuse_why;
}

static inline void on_changed(void *arg, const struct xi_sa_rec *old, const struct xi_sa_rec *new)
{
	struct fixture *f = arg;

	assert_true(old || new);
	if (old && new) {
		f->updated++;
	} else if (new) {
		f->added++;
		assert_ptr_equal(xi_sad_rec(f->sad, new->sa.sa_index), new);
		assert_int_equal(mem_store_lookup(f->m, &new->sa.id), new->sa.sa_index);
	} else {
		f->removed++;
		assert_null(xi_sad_rec(f->sad, old->sa.sa_index));
		assert_int_equal(mem_store_lookup(f->m, &old->sa.id), 0);
		assert_non_null(mem_store_sa(f->m, old->sa.sa_index));
	}
}

static inline void on_sync(void *arg)
{
	struct fixture *f = arg;

	f->syncs++;
}

static inline void on_expire(void *arg, const struct xi_sa_rec *rec, bool hard)
{
	struct fixture *f = arg;

	if (hard) {
		f->hard++;
		f->hard_spi = rec->sa.id.spi;
	} else {
		f->soft++;
	}
}

static inline void sad_open(struct fixture *f)
{
	struct xi_sad_config config = { .carries = carries };
	struct xi_sad_listener listener = { .changed = on_changed, .sync = on_sync, .arg = f };
	struct xi_sad_events events = { on_expire, f };

	assert_int_equal(xi_sad_create(&f->sad, &config, &f->m->store), 0);
	xi_sad_listen(f->sad, &listener);
	xi_sad_on_event(f->sad, &events);
}

static inline int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	refuse_why = NULL;
	f->m = mem_store_new(NSTATES, NWINDOWS);
	sad_open(f);
	*state = f;
	return 0;
}

static inline int teardown(void **state)
{
	struct fixture *f = *state;

	xi_sad_destroy(f->sad);
	mem_store_free(f->m);
	free(f);
	return 0;
}

static inline struct xi_sa sa_no(uint32_t n)
{
	return sample_sa("192.0.2.1", "192.0.2.2", 0x1000 + n);
}

static inline int add_key(struct fixture *f, const struct xi_sa *sa, uint32_t fill,
			  const struct xi_replay_init *init)
{
	struct xi_sa_key key = sample_key(fill);
	const char *why = NULL;
	int err = xi_sad_add(f->sad, sa, &key, init, &why);

	assert_true(err == 0 || (why && *why));
	return err;
}

static inline int add(struct fixture *f, const struct xi_sa *sa)
{
	return add_key(f, sa, sa->id.spi, NULL);
}

static inline int update(struct fixture *f, const struct xi_sa *sa,
			 const struct xi_replay_init *init)
{
	struct xi_sa_key key = sample_key(sa->id.spi);
	const char *why = NULL;
	int err = xi_sad_update(f->sad, sa, &key, init, &why);

	assert_true(err == 0 || (why && *why));
	return err;
}

/* Sets when an SA came, as an adopting daemon reads it. */
static inline void came_at(struct fixture *f, const struct xi_sa *sa, uint64_t when)
{
	unsigned int i;

	for (i = 0; i < MEM_STORE_SAS; i++)
		if (f->m->sas[i].used && !memcmp(&f->m->sas[i].sa.id, &sa->id, sizeof(sa->id)))
			f->m->sas[i].sa.add_time = when;
}

#endif
