/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* How SAs end: by time, by volume, by the last sequence number, and in pairs. */
#include <linux/xfrm.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <time.h>
#include <cmocka.h>

#include "sad_bed.h"

static void time_limits(void **state)
{
	struct fixture *f = *state;
	struct xi_sa sa = sa_no(1);
	uint64_t born;

	sa.limits.soft_add = 10;
	sa.limits.hard_add = 20;
	assert_int_equal(add(f, &sa), 0);
	born = xi_sad_find(f->sad, &sa.id)->sa.add_time;
	xi_sad_tick(f->sad, born - 1000);
	xi_sad_tick(f->sad, born + 9);
	assert_int_equal(f->soft, 0);
	xi_sad_tick(f->sad, born + 10);
	xi_sad_tick(f->sad, born + 11);
	assert_int_equal(f->soft, 1);
	assert_true(f->m->sas[0].sa.life & XI_SA_SOFT_EXPIRED);
	xi_sad_tick(f->sad, born + 19);
	assert_int_equal(f->hard, 0);
	xi_sad_tick(f->sad, born + 20);
	assert_int_equal(f->hard, 1);
	assert_int_equal(f->hard_spi, sa.id.spi);
	assert_int_equal(f->removed, 1);
	assert_int_equal(xi_sad_count(f->sad), 0);
}

static void use_limits_count_from_first_use(void **state)
{
	struct fixture *f = *state;
	struct xi_sa sa = sa_no(1);
	const struct xi_sa_rec *rec;
	uint64_t born;

	sa.limits.soft_use = 10;
	sa.limits.hard_use = 20;
	assert_int_equal(add(f, &sa), 0);
	rec = xi_sad_find(f->sad, &sa.id);
	born = rec->sa.add_time;
	xi_sad_tick(f->sad, born + 500);
	assert_int_equal(f->soft, 0);
	rec->state->use_time = born + 500;
	xi_sad_tick(f->sad, born + 510);
	assert_int_equal(f->soft, 1);
	xi_sad_tick(f->sad, born + 520);
	assert_int_equal(f->hard, 1);
}

static void volume_limits(void **state)
{
	struct fixture *f = *state;
	struct xi_sa bytes = sa_no(1), packets = sa_no(2);
	struct xi_sa_state *b, *p;
	uint64_t now = time(NULL);

	bytes.limits.soft_bytes = 1000;
	bytes.limits.hard_bytes = 2000;
	packets.limits.soft_packets = 10;
	packets.limits.hard_packets = 20;
	assert_int_equal(add(f, &bytes), 0);
	assert_int_equal(add(f, &packets), 0);
	b = xi_sad_find(f->sad, &bytes.id)->state;
	p = xi_sad_find(f->sad, &packets.id)->state;
	b->use_time = p->use_time = now;
	b->bytes = 999;
	p->packets = 9;
	xi_sad_tick(f->sad, now);
	assert_int_equal(f->soft, 0);
	b->bytes = 1000;
	xi_sad_tick(f->sad, now);
	assert_int_equal(f->soft, 1);
	p->packets = 10;
	xi_sad_tick(f->sad, now);
	assert_int_equal(f->soft, 2);
	b->bytes = 2000;
	xi_sad_tick(f->sad, now);
	assert_int_equal(f->hard, 1);
	assert_int_equal(f->hard_spi, bytes.id.spi);
	p->packets = 20;
	xi_sad_tick(f->sad, now);
	assert_int_equal(f->hard, 2);
}

static struct xi_sa way_back(const struct xi_sa *sa, uint32_t spi)
{
	struct xi_sa back = sample_sa("192.0.2.2", "192.0.2.1", spi);

	back.reqid = sa->reqid;
	back.mode = sa->mode;
	return back;
}

static bool alive(struct fixture *f, const struct xi_sa *sa)
{
	return xi_sad_find(f->sad, &sa->id) != NULL;
}

/*
 * A worker sets it when an SA reaches a limit of bytes or packets; a restart does not bring the SA
 * back.
 */
static void expired_sas_go_with_their_pair(void **state)
{
	struct fixture *f = *state;
	struct xi_sa out = sa_no(1), in, other = sa_no(2), other_in;
	uint64_t now = time(NULL);
	unsigned int n;

	out.reqid = 7;
	other.reqid = 8;
	in = way_back(&out, 0x2001);
	other_in = way_back(&other, 0x2002);
	assert_int_equal(add(f, &out), 0);
	assert_int_equal(add(f, &in), 0);
	assert_int_equal(add(f, &other), 0);
	assert_int_equal(add(f, &other_in), 0);
	xi_sad_find(f->sad, &in.id)->state->expired = 1;
	xi_sad_destroy(f->sad);
	sad_open(f);
	assert_int_equal(xi_sad_adopt(f->sad, &n), 0);
	assert_int_equal(n, 4);
	f->syncs = 0;
	xi_sad_tick(f->sad, now);
	assert_int_equal(f->hard, 2);
	assert_int_equal(f->soft, 0);
	assert_int_equal(f->syncs, 1);
	assert_false(alive(f, &out) || alive(f, &in));
	assert_true(alive(f, &other) && alive(f, &other_in));
	xi_sad_tick(f->sad, now);
	assert_int_equal(f->hard, 2);
	assert_int_equal(mem_store_count_sas(f->m), 2);
}

static void expire_now_is_the_tick_for_one(void **state)
{
	struct fixture *f = *state;
	struct xi_sa out = sa_no(1), in = way_back(&out, 0x2001), alone = sa_no(2);
	const struct xi_sa_rec *rec;
	uint32_t index;

	out.limits.soft_packets = 5;
	out.limits.hard_packets = 10;
	alone.reqid = 3;
	alone.limits.hard_packets = 10;
	assert_int_equal(add(f, &out), 0);
	assert_int_equal(add(f, &in), 0);
	assert_int_equal(add(f, &alone), 0);
	rec = xi_sad_find(f->sad, &out.id);
	index = rec->sa.sa_index;
	xi_sad_expire_now(f->sad, index);
	xi_sad_expire_now(f->sad, index + (1U << XI_SA_SLOT_BITS));
	assert_int_equal(f->soft + f->hard, 0);
	rec->state->use_time = time(NULL);
	rec->state->packets = 5;
	xi_sad_find(f->sad, &alone.id)->state->use_time = time(NULL);
	xi_sad_find(f->sad, &alone.id)->state->packets = 10;
	xi_sad_expire_now(f->sad, index);
	xi_sad_expire_now(f->sad, index);
	assert_int_equal(f->soft, 1);
	assert_int_equal(f->hard, 0);
	xi_sad_find(f->sad, &out.id)->state->expired = 1;
	xi_sad_expire_now(f->sad, index);
	assert_int_equal(f->hard, 2);
	xi_sad_expire_now(f->sad, index);
	assert_int_equal(f->hard, 2);
	assert_true(alive(f, &alone) && !alive(f, &in));
	xi_sad_expire_now(f->sad, xi_sad_find(f->sad, &alone.id)->sa.sa_index);
	assert_int_equal(f->hard, 3);
	assert_int_equal(f->hard_spi, alone.id.spi);
}

/* Protocol, mode, reqid and both addresses make a pair. */
static void pairs_are_of_one_kind(void **state)
{
	struct fixture *f = *state;
	struct xi_sa out = sa_no(1), in[5];
	unsigned int i;

	for (i = 0; i < 5; i++)
		in[i] = way_back(&out, 0x2000 + i);
	in[0].reqid = 1;
	in[1].mode = XI_TRANSPORT;
	in[2].id.proto = XI_AH;
	in[3] = sample_sa("192.0.2.3", "192.0.2.1", 0x2003);
	in[4] = sample_sa("192.0.2.2", "192.0.2.9", 0x2004);
	assert_int_equal(add(f, &out), 0);
	for (i = 0; i < 5; i++)
		assert_int_equal(add(f, &in[i]), 0);
	xi_sad_find(f->sad, &out.id)->state->expired = 1;
	xi_sad_tick(f->sad, time(NULL));
	assert_int_equal(f->hard, 1);
	assert_int_equal(xi_sad_count(f->sad), 5);
}

/*
 * During a rekey the old ones go with the old ones; also while one direction has one more than the
 * other.
 */
static void rekeyed_pairs_are_told_apart(void **state)
{
	/* which come, in this order: o and i out and in of the old pair, O and I of the new one */
	static const struct {
		const char *sas;
		char expires;
		const char *left;
	} cases[] = {
		{"oiOI", 'o', "OI"}, {"oiOI", 'i', "OI"}, {"oiOI", 'O', "oi"}, {"ioIO", 'I', "io"},
		{"oiI", 'o', "I"},   {"oiI", 'I', "oi"},  {"oiO", 'i', "O"},   {"iIO", 'i', "IO"},
		{"iIO", 'O', "i"},   {"oIO", 'I', "o"},	  {"oIO", 'o', "IO"},  {"oi", 'o', ""},
		{"o", 'o', ""},	     {"oI", 'o', ""},
	};
	struct fixture *f = *state;
	struct xi_sa sas[128];
	unsigned int c, same, n;
	uint64_t when;
	const char *p;

	sas[0] = sa_no(0);
	for (c = 0; c < 2 * sizeof(cases) / sizeof(cases[0]); c++) {
		same = c % 2; /* all in one second: by their order, as far as that tells */
		if (same && strlen(cases[c / 2].sas) % 2)
			continue;
		for (p = cases[c / 2].sas; *p; p++) {
			sas[(int)*p] = *p == 'o' || *p == 'O'
					       ? sa_no(*p + 256 * c)
					       : way_back(&sas[0], *p + 256 * c + 256);
			sas[(int)*p].reqid = 1;
			assert_int_equal(add(f, &sas[(int)*p]), 0);
			when = *p < 'a' ? 5000 : *p == 'o' ? 1001 : 1000;
			came_at(f, &sas[(int)*p], same ? 1000 : when);
		}
		xi_sad_destroy(f->sad);
		sad_open(f);
		assert_int_equal(xi_sad_adopt(f->sad, &n), 0);
		assert_int_equal(n, strlen(cases[c / 2].sas));
		xi_sad_find(f->sad, &sas[(int)cases[c / 2].expires].id)->state->expired = 1;
		xi_sad_tick(f->sad, 6000);
		for (p = cases[c / 2].sas; *p; p++)
			if (alive(f, &sas[(int)*p]) != (strchr(cases[c / 2].left, *p) != NULL))
				fail_msg("%s, %c expires: %c", cases[c / 2].sas,
					 cases[c / 2].expires, *p);
		assert_int_equal(xi_sad_flush(f->sad, XI_PROTO_ANY, &n), 0);
	}
}

/* RFC 4303 section 3.3.3: no number is sent twice, so the SA ends with its last. */
static void last_sequence_number_ends_an_sa(void **state)
{
	struct fixture *f = *state;
	struct xi_sa out = sa_no(1), in = way_back(&out, 0x2001), esn = sa_no(2);
	uint64_t now = time(NULL);
	struct xi_sa_state *s;

	esn.flags = XFRM_STATE_ESN;
	esn.reqid = 5;
	assert_int_equal(add(f, &out), 0);
	assert_int_equal(add(f, &in), 0);
	assert_int_equal(add(f, &esn), 0);
	xi_sad_find(f->sad, &esn.id)->state->oseq = 1ULL << 40;
	/* the peer's numbers are the peer's care */
	xi_sad_find(f->sad, &in.id)->state->top = UINT32_MAX;
	s = xi_sad_find(f->sad, &out.id)->state;
	s->oseq = 0xe0000000;
	xi_sad_tick(f->sad, now);
	assert_int_equal(f->soft, 0);
	s->oseq = 0xf0000000;
	xi_sad_tick(f->sad, now);
	xi_sad_tick(f->sad, now);
	assert_int_equal(f->soft, 1);
	s->oseq = UINT32_MAX - 1; /* one is left */
	xi_sad_tick(f->sad, now);
	assert_int_equal(f->hard, 0);
	s->oseq = UINT32_MAX;
	xi_sad_tick(f->sad, now);
	assert_int_equal(f->hard, 2);
	assert_false(alive(f, &out) || alive(f, &in));
	assert_true(alive(f, &esn));
}

/* An SA that the store does not let go is tried again, and says so once it is gone. */
static void hard_expiry_is_tried_again(void **state)
{
	struct fixture *f = *state;
	struct xi_sa out = sa_no(1), in = way_back(&out, 0x2001);

	assert_int_equal(add(f, &out), 0);
	assert_int_equal(add(f, &in), 0);
	xi_sad_find(f->sad, &out.id)->state->expired = 1;
	mem_store_fail(f->m, 2, 2); /* the look-up of the second one, which has its own turn too */
	xi_sad_tick(f->sad, time(NULL));
	assert_int_equal(f->hard, 1);
	assert_true(alive(f, &in));
	assert_int_equal(xi_sad_find(f->sad, &in.id)->state->expired, 1);
	mem_store_fail(f->m, 0, 0);
	xi_sad_tick(f->sad, time(NULL));
	assert_int_equal(f->hard, 2);
	assert_int_equal(xi_sad_count(f->sad), 0);
}

/* A thousand soft lifetimes at once cost one grace period. */
static void soft_expiries_share_a_grace_period(void **state)
{
	struct fixture *f = *state;
	struct xi_sa sa;
	uint32_t i;

	for (i = 0; i < NSTATES; i++) {
		sa = sa_no(i);
		sa.limits.soft_add = 10;
		assert_int_equal(add(f, &sa), 0);
	}
	f->syncs = 0;
	xi_sad_tick(f->sad, time(NULL) + 20);
	assert_int_equal(f->soft, NSTATES);
	assert_int_equal(f->updated, NSTATES);
	assert_int_equal(f->syncs, 1);
}

#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(time_limits),
		T(use_limits_count_from_first_use),
		T(volume_limits),
		T(expired_sas_go_with_their_pair),
		T(expire_now_is_the_tick_for_one),
		T(pairs_are_of_one_kind),
		T(rekeyed_pairs_are_told_apart),
		T(last_sequence_number_ends_an_sa),
		T(hard_expiry_is_tried_again),
		T(soft_expiries_share_a_grace_period),
	};

	return cmocka_run_group_tests_name("lifetimes", tests, NULL, NULL);
}
