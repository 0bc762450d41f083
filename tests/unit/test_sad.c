/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* SAs of the SAD: added, found and deleted, and changes that fail. */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <time.h>
#include <urcu-qsbr.h>
#include <cmocka.h>

#include "ipsec/replay.h"
#include "sad_bed.h"

/* What a store holds, apart from counters; for "changes nothing". */
static bool store_equal(const struct mem_store *a, const struct mem_store *b)
{
	return !memcmp(a->sas, b->sas, sizeof(a->sas)) &&
	       !memcmp(a->lookups, b->lookups, sizeof(a->lookups)) &&
	       !memcmp(a->store.states, b->store.states,
		       a->store.nstates * sizeof(*a->store.states));
}

static struct mem_store *store_copy(const struct mem_store *m)
{
	struct mem_store *copy = mem_store_new(m->store.nstates, m->store.nwindows);
	struct xi_store store = copy->store;

	memcpy(copy, m, sizeof(*m));
	copy->store = store;
	memcpy(store.states, m->store.states, store.nstates * sizeof(*store.states));
	memcpy(store.windows, m->store.windows, store.nwindows * sizeof(*store.windows));
	return copy;
}

static void added_sa_is_found_everywhere(void **state)
{
	struct fixture *f = *state;
	struct xi_sa sa = sa_no(1);
	const struct xi_sa_rec *rec;

	assert_int_equal(add(f, &sa), 0);
	rec = xi_sad_find(f->sad, &sa.id);
	assert_non_null(rec);
	assert_int_not_equal(rec->sa.sa_index, 0);
	assert_ptr_equal(xi_sad_rec(f->sad, rec->sa.sa_index), rec);
	assert_int_equal(mem_store_lookup(f->m, &sa.id), rec->sa.sa_index);
	assert_int_equal(rec->state->sa_index, rec->sa.sa_index);
	assert_ptr_equal(rec->state, &f->m->store.states[XI_SA_SLOT(rec->sa.sa_index)]);
	assert_int_equal(rec->nwords, XI_WINDOW_INLINE_WORDS);
	assert_int_equal(rec->key.len, 20);
	assert_int_equal(f->added, 1);
	assert_int_equal(f->syncs, 1);
	assert_int_equal(xi_sad_count(f->sad), 1);
}

/*
 * What a packet names, RFC 4301 section 4.1: each of destination, SPI, protocol and family counts.
 */
static void packets_find_their_sa(void **state)
{
	struct fixture *f = *state;
	struct xi_sa sas[4], larval = sa_no(0);
	const struct xi_sa_rec *young;
	struct xi_sa_id id;
	unsigned int i, n;

	sas[0] = sa_no(1);
	sas[1] = sample_sa("192.0.2.1", "192.0.2.3", 0x1001);
	sas[2] = sa_no(1);
	sas[2].id.proto = XI_AH;
	sas[3] = sample_sa("2001:db8::1", "2001:db8::2", 0x1001);
	for (i = 0; i < 4; i++)
		assert_int_equal(add_key(f, &sas[i], i, NULL), 0);
	for (i = 0; i < 4; i++)
		assert_int_equal(xi_sad_lookup(f->sad, &sas[i].id),
				 xi_sad_find(f->sad, &sas[i].id)->sa.sa_index);
	id = sas[0].id;
	id.spi++;
	assert_int_equal(xi_sad_lookup(f->sad, &id), 0);
	id = sas[1].id;
	id.family = XI_IPV6;
	assert_int_equal(xi_sad_lookup(f->sad, &id), 0);
	assert_int_equal(xi_sad_alloc_spi(f->sad, &larval, 0x9000, 0x9000, 60, &young), 0);
	id = young->sa.id;
	assert_int_equal(xi_sad_lookup(f->sad, &id), 0);
	larval.id = id;
	assert_int_equal(update(f, &larval, NULL), 0);
	assert_int_not_equal(xi_sad_lookup(f->sad, &id), 0);
	assert_int_equal(xi_sad_delete(f->sad, &sas[2].id), 0);
	assert_int_equal(xi_sad_lookup(f->sad, &sas[2].id), 0);
	assert_int_not_equal(xi_sad_lookup(f->sad, &sas[0].id), 0);
	xi_sad_destroy(f->sad);
	sad_open(f);
	assert_int_equal(xi_sad_adopt(f->sad, &n), 0);
	assert_int_equal(n, 4);
	assert_int_equal(xi_sad_lookup(f->sad, &sas[3].id),
			 xi_sad_find(f->sad, &sas[3].id)->sa.sa_index);
}

static void second_add_is_eexist(void **state)
{
	struct fixture *f = *state;
	struct xi_sa sa = sa_no(1);
	struct mem_store *before;

	assert_int_equal(add(f, &sa), 0);
	before = store_copy(f->m);
	assert_int_equal(add(f, &sa), -EEXIST);
	assert_true(store_equal(before, f->m));
	mem_store_free(before);
}

static void absent_sa_is_esrch(void **state)
{
	struct fixture *f = *state;
	struct xi_sa sa = sa_no(1);
	struct xi_replay_init init = { .oseq = 1 };

	assert_int_equal(xi_sad_delete(f->sad, &sa.id), -ESRCH);
	assert_int_equal(update(f, &sa, NULL), -ESRCH);
	assert_int_equal(xi_sad_set_replay(f->sad, &sa.id, &init), -ESRCH);
	assert_null(xi_sad_find(f->sad, &sa.id));
}

static void bad_sas_are_refused(void **state)
{
	struct fixture *f = *state;
	struct xi_replay_init init = { .oseq = 1ULL << 32 };
	struct xi_sa sa = sa_no(1);

	sa.id.spi = 255;
	assert_int_equal(add(f, &sa), -EINVAL);
	sa = sa_no(1);
	sa.replay_window = XI_WINDOW_MAX + 1;
	assert_int_equal(add(f, &sa), -EINVAL);
	sa = sa_no(1);
	assert_int_equal(add_key(f, &sa, 1, &init), -EINVAL);
	sa.life = XI_SA_FROM_FILE;
	assert_int_equal(add(f, &sa), -EINVAL);
	sa = sa_no(1);
	refuse_why = "no such cipher";
	assert_int_equal(add(f, &sa), -EPROTONOSUPPORT);
	assert_int_equal(f->m->writes, 0);
	refuse_why = NULL;
	sa.alg = XI_ALG_NONE;
	assert_int_equal(add(f, &sa), -EINVAL);
	assert_int_equal(mem_store_count_sas(f->m), 0);
	assert_int_equal(xi_sad_count(f->sad), 0);
}

static void deletion_goes_from_xdp_to_key(void **state)
{
	struct fixture *f = *state;
	struct xi_sa sa = sa_no(1);
	uint32_t index;

	assert_int_equal(add(f, &sa), 0);
	index = xi_sad_find(f->sad, &sa.id)->sa.sa_index;
	mem_store_fail(f->m, 0, 0);
	f->syncs = 0;
	assert_int_equal(xi_sad_delete(f->sad, &sa.id), 0);
	assert_string_equal(f->m->log, "ls");
	assert_int_equal(f->removed, 1);
	assert_int_equal(f->syncs, 1);
	assert_null(xi_sad_rec(f->sad, index));
	assert_int_equal(f->m->store.states[XI_SA_SLOT(index)].sa_index, 0);
	assert_int_equal(mem_store_count_sas(f->m), 0);
	assert_int_equal(mem_store_count_lookups(f->m), 0);
	assert_int_equal(xi_sad_count(f->sad), 0);
}

static void add_undone_at_every_failing_write(void **state)
{
	struct fixture *f = *state;
	struct xi_sa first = sa_no(1), sa = sa_no(2);
	struct mem_store *before;
	unsigned int k;
	int err = -EIO;

	assert_int_equal(add(f, &first), 0);
	before = store_copy(f->m);
	for (k = 1; err; k++) {
		mem_store_fail(f->m, k, 1);
		err = add(f, &sa);
		if (!err)
			break;
		assert_int_equal(err, -EIO);
		assert_true(store_equal(before, f->m));
		assert_null(xi_sad_find(f->sad, &sa.id));
		assert_int_equal(xi_sad_count(f->sad), 1);
		assert_int_equal(f->added, 1);
	}
	assert_true(k > 2);
	assert_int_equal(xi_sad_count(f->sad), 2);
	mem_store_free(before);
}

static void update_undone_at_every_failing_write(void **state)
{
	struct fixture *f = *state;
	struct xi_sa sa = sa_no(1), larval = sa_no(0);
	const struct xi_sa_rec *rec;
	struct mem_store *before;

	assert_int_equal(add(f, &sa), 0);
	assert_int_equal(xi_sad_alloc_spi(f->sad, &larval, 0x2000, 0x2000, 60, &rec), 0);
	larval.id.spi = 0x2000;
	sa.limits.hard_add = 99;
	before = store_copy(f->m);
	mem_store_fail(f->m, 1, 1);
	assert_int_equal(update(f, &sa, NULL), -EIO);
	assert_true(xi_sad_find(f->sad, &sa.id)->sa.limits.hard_add == 0);
	mem_store_fail(f->m, 1, 1);
	assert_int_equal(update(f, &larval, NULL), -EIO);
	mem_store_fail(f->m, 2, 1);
	assert_int_equal(update(f, &larval, NULL), -EIO);
	assert_true(store_equal(before, f->m));
	assert_ptr_equal(xi_sad_find(f->sad, &larval.id), rec);
	mem_store_fail(f->m, 0, 0);
	assert_int_equal(update(f, &larval, NULL), 0);
	mem_store_free(before);
}

static void delete_that_xdp_would_not_see_changes_nothing(void **state)
{
	struct fixture *f = *state;
	struct xi_sa sa = sa_no(1);
	const struct xi_sa_rec *rec;

	assert_int_equal(add(f, &sa), 0);
	rec = xi_sad_find(f->sad, &sa.id);
	mem_store_fail(f->m, 1, 1);
	assert_int_equal(xi_sad_delete(f->sad, &sa.id), -EIO);
	assert_ptr_equal(xi_sad_rec(f->sad, rec->sa.sa_index), rec);
	assert_int_equal(f->removed, 0);
}

/* The SA is gone; its slot is not used again before the store has let its key go. */
static void key_the_store_keeps_is_tried_again(void **state)
{
	struct fixture *f = *state;
	struct xi_sa sa = sa_no(1);
	uint32_t index, n;

	assert_int_equal(add(f, &sa), 0);
	index = xi_sad_find(f->sad, &sa.id)->sa.sa_index;
	mem_store_fail(f->m, 2, 2);
	assert_int_equal(xi_sad_delete(f->sad, &sa.id), 0);
	assert_null(xi_sad_rec(f->sad, index));
	assert_non_null(mem_store_sa(f->m, index));
	assert_int_equal(f->m->store.states[XI_SA_SLOT(index)].sa_index, 0);
	xi_sad_tick(f->sad, time(NULL));
	for (n = 0; n < NSTATES - 1; n++) {
		sa = sa_no(n);
		assert_int_equal(add(f, &sa), 0);
		assert_int_not_equal(XI_SA_SLOT(xi_sad_find(f->sad, &sa.id)->sa.sa_index),
				     XI_SA_SLOT(index));
	}
	sa = sa_no(n);
	assert_int_equal(add(f, &sa), -ENOSPC);
	xi_sad_tick(f->sad, time(NULL));
	assert_null(mem_store_sa(f->m, index));
	assert_int_equal(add(f, &sa), 0);
}

static void flush_takes_one_protocol_with_one_sync(void **state)
{
	struct fixture *f = *state;
	struct xi_sa sa;
	unsigned int n;
	uint32_t i;

	for (i = 0; i < 4; i++) {
		sa = sa_no(i);
		sa.id.proto = i == 3 ? XI_AH : XI_ESP;
		assert_int_equal(add(f, &sa), 0);
	}
	f->syncs = 0;
	assert_int_equal(xi_sad_flush(f->sad, XI_ESP, &n), 0);
	assert_int_equal(n, 3);
	assert_int_equal(f->removed, 3);
	assert_int_equal(f->syncs, 1);
	assert_int_equal(xi_sad_flush(f->sad, XI_PROTO_ANY, &n), 0);
	assert_int_equal(n, 1);
	assert_int_equal(mem_store_count_sas(f->m), 0);
}

static void walk_goes_by_slot_and_survives_deletions(void **state)
{
	struct fixture *f = *state;
	const struct xi_sa_rec *rec;
	struct xi_sa sa;
	uint32_t i, slot = 0, n = 0;

	for (i = 0; i < NSTATES; i++) {
		sa = sa_no(i);
		assert_int_equal(add(f, &sa), 0);
	}
	while ((rec = xi_sad_next(f->sad, &slot))) {
		struct xi_sa_id id = rec->sa.id;

		assert_int_equal(id.spi, 0x1000 + n++);
		assert_int_equal(xi_sad_delete(f->sad, &id), 0);
	}
	assert_int_equal(n, NSTATES);
}

/* A setting of the host; what an SA says of itself (nopmtudisc) is in its flags. */
static void sas_have_the_hosts_df(void **state)
{
	struct fixture *f = *state;
	struct xi_sad_config config = {.df = XI_DF_SET};
	struct xi_sa before = sa_no(1), after = sa_no(2), larval = sa_no(0);
	const struct xi_sa_rec *rec;
	unsigned int n;

	assert_int_equal(add(f, &before), 0);
	xi_sad_destroy(f->sad);
	assert_int_equal(xi_sad_create(&f->sad, &config, &f->m->store), 0);
	assert_int_equal(xi_sad_adopt(f->sad, &n), 0);
	assert_int_equal(add(f, &after), 0);
	assert_int_equal(xi_sad_alloc_spi(f->sad, &larval, 0x9000, 0x9000, 60, &rec), 0);
	larval.id = rec->sa.id;
	assert_int_equal(update(f, &larval, NULL), 0);
	assert_int_equal(xi_sad_find(f->sad, &before.id)->sa.df, XI_DF_SET);
	assert_int_equal(xi_sad_find(f->sad, &after.id)->sa.df, XI_DF_SET);
	assert_int_equal(xi_sad_find(f->sad, &larval.id)->sa.df, XI_DF_SET);
	assert_int_equal(mem_store_sa(f->m, xi_sad_find(f->sad, &after.id)->sa.sa_index)->sa.df,
			 XI_DF_SET);
}

/*
 * Workers look SAs up by handle while these come, change and go. What they find is whole until they
 * are quiescent.
 */
struct reader {
	struct xi_sad *sad;
	struct xi_sa_id ids[NSTATES];
	bool stop, bad;
	unsigned long found, looked_up;
};

static void *reader_run(void *arg)
{
	struct reader *r = arg;
	uint32_t i = 0;

	rcu_register_thread();
	while (!__atomic_load_n(&r->stop, __ATOMIC_RELAXED)) {
		uint32_t index = XI_SA_INDEX(1 + i / NSTATES % 64, i % NSTATES);
		const struct xi_sa_rec *rec = xi_sad_rec(r->sad, index);

		if (rec) {
			r->bad |= rec->sa.sa_index != index || rec->key.len != 20 ||
				  rec->key.key[0] != (rec->sa.id.spi & 0xff);
			r->found++;
		}
		index = xi_sad_lookup(r->sad, &r->ids[i % NSTATES]);
		rec = index ? xi_sad_rec(r->sad, index) : NULL;
		if (rec) {
			r->bad |= memcmp(&rec->sa.id, &r->ids[i % NSTATES], sizeof(rec->sa.id));
			r->looked_up++;
		}
		if (++i % 16 == 0)
			rcu_quiescent_state();
	}
	rcu_unregister_thread();
	return NULL;
}

static void wait_for_readers(void *arg)
{
	synchronize_rcu();
}

static void readers_never_see_a_freed_sa(void **state)
{
	struct fixture *f = *state;
	struct xi_sad_listener listener = { .changed = NULL, .sync = wait_for_readers, .arg = NULL };
	struct reader r = { .sad = f->sad };
	pthread_t thread;
	unsigned int i;

	for (i = 0; i < NSTATES; i++)
		r.ids[i] = sa_no(i).id;
	xi_sad_listen(f->sad, &listener);
	assert_int_equal(pthread_create(&thread, NULL, reader_run, &r), 0);
	for (i = 0; i < 200 || !__atomic_load_n(&r.found, __ATOMIC_RELAXED) ||
		    !__atomic_load_n(&r.looked_up, __ATOMIC_RELAXED);
	     i++) {
		struct xi_sa sa = sa_no(i % 64);

		assert_int_equal(add(f, &sa), 0);
		sa.limits.hard_add = i + 1;
		assert_int_equal(update(f, &sa, NULL), 0);
		assert_int_equal(xi_sad_delete(f->sad, &sa.id), 0);
	}
	__atomic_store_n(&r.stop, true, __ATOMIC_RELAXED);
	pthread_join(thread, NULL);
	assert_false(r.bad);
}

/* One key, one sender: both SAs would give out the same numbers, AES-GCM's nonces. */
static void second_sa_of_a_sender_with_the_same_key_is_refused(void **state)
{
	struct fixture *f = *state;
	struct xi_sa first = sa_no(1), second = sa_no(2), back = sample_sa("192.0.2.2", "192.0.2.1", 0x2000);
	struct xi_sa inbound = sa_no(3);

	struct xi_sa ah = sa_no(4);
	struct xi_sa_key ah_key = {.auth = XI_AUTH_HMAC_SHA256, .len = 32, .auth_len = 32};
	const char *why = NULL;
	uint32_t i;

	inbound.sa_dir = 1; /* XFRMA_SA_DIR: in */
	assert_int_equal(add_key(f, &first, 77, NULL), 0);
	assert_int_equal(add_key(f, &second, 77, NULL), -EINVAL);
	assert_null(xi_sad_find(f->sad, &second.id));
	assert_int_equal(add_key(f, &back, 77, NULL), 0);    /* another sender */
	assert_int_equal(add_key(f, &inbound, 77, NULL), 0); /* the peer's numbers */
	assert_int_equal(xi_sad_delete(f->sad, &inbound.id), 0);
	assert_int_equal(add_key(f, &second, 77, NULL), -EINVAL);
	assert_int_equal(xi_sad_delete(f->sad, &first.id), 0);
	assert_int_equal(add_key(f, &second, 77, NULL), 0);
	/* an HMAC has no nonces */
	ah.id.proto = XI_AH;
	ah.alg = XI_ALG_NONE;
	ah.auth = XI_AUTH_HMAC_SHA256;
	for (i = 0; i < 2; i++, ah.id.spi++)
		assert_int_equal(xi_sad_add(f->sad, &ah, &ah_key, NULL, &why), 0);
}

/*
 * RFC 4543 section 5.1: GMAC's hash key is GCM's; GCM's key stream is CTR's. SAs of files are no
 * exception.
 */
static void one_key_in_two_algorithms_is_refused(void **state)
{
	static const struct {
		enum xi_alg alg;
		enum xi_auth auth;
		uint32_t icv_len;
	} others[] = {
		{ XI_ALG_AES_GMAC, XI_AUTH_NONE, 16 },
		{ XI_ALG_AES_CTR, XI_AUTH_HMAC_SHA256, 16 },
	};
	struct fixture *f = *state;
	struct xi_sa gcm = sa_no(1);
	struct xi_sa_key key = sample_key(77);
	const char *why = NULL;

	assert_int_equal(xi_sad_add(f->sad, &gcm, &key, NULL, &why), 0);
	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
		struct xi_sa sa = sa_no(2 + (uint32_t)i);
		struct xi_sa_key other = key;

		sa.alg = other.alg = others[i].alg;
		sa.auth = other.auth = others[i].auth;
		sa.icv_len = others[i].icv_len;
		if (other.auth) {
			other.auth_len = 32;
			memset(other.key + other.len, 5, other.auth_len);
			other.len += other.auth_len;
		}
		assert_int_equal(xi_sad_add(f->sad, &sa, &other, NULL, &why), -EINVAL);
	}
}

#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(added_sa_is_found_everywhere),
		T(packets_find_their_sa),
		T(second_add_is_eexist),
		T(second_sa_of_a_sender_with_the_same_key_is_refused),
		T(one_key_in_two_algorithms_is_refused),
		T(absent_sa_is_esrch),
		T(bad_sas_are_refused),
		T(deletion_goes_from_xdp_to_key),
		T(add_undone_at_every_failing_write),
		T(update_undone_at_every_failing_write),
		T(delete_that_xdp_would_not_see_changes_nothing),
		T(key_the_store_keeps_is_tried_again),
		T(flush_takes_one_protocol_with_one_sync),
		T(walk_goes_by_slot_and_survives_deletions),
		T(sas_have_the_hosts_df),
		T(readers_never_see_a_freed_sa),
	};

	return cmocka_run_group_tests_name("sad", tests, NULL, NULL);
}
