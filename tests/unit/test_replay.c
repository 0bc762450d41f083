// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "ipsec/replay.h"
#include "vectors.h"

struct window {
	struct xi_replay r;
	uint64_t top;
	uint64_t words[XI_WINDOW_WORDS];
};

static void window_start(struct window *w, uint32_t packets, bool esn)
{
	uint32_t nwords = 2;

	while (32 * (nwords - 1) < packets)
		nwords *= 2;
	memset(w, 0, sizeof(*w));
	w->r = (struct xi_replay){ &w->top, w->words, nwords - 1, packets, esn };
}

/* As a receiver does: infer, check, ICV, commit. */
static enum xi_reason receive(struct window *w, uint32_t lo, uint64_t sent)
{
	enum xi_reason why;
	uint64_t seq;

	if (!xi_replay_infer(&w->r, lo, &seq))
		return XI_DROP_REPLAY_OLD;
	why = xi_replay_check(&w->r, seq);
	if (why)
		return why;
	if (seq != sent)
		return XI_DROP_ICV;
	why = xi_replay_commit(&w->r, seq);
	assert_int_equal(why, XI_NONE);
	return why;
}

struct step {
	uint64_t seq;
	enum xi_reason want;
};

static void run_steps(struct window *w, const struct step *steps, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		enum xi_reason why = receive(w, (uint32_t)steps[i].seq, steps[i].seq);

		if (why != steps[i].want)
			fail_msg("step %zu, number %#lx: reason %d, not %d", i + 1,
				 (unsigned long)steps[i].seq, why, steps[i].want);
	}
}

#define RUN(window, ...) \
	do { \
		static const struct step steps_[] = { __VA_ARGS__ }; \
		run_steps(window, steps_, sizeof(steps_) / sizeof(steps_[0])); \
	} while (0)

#define OK XI_NONE
#define SEEN XI_DROP_REPLAY
#define OLD XI_DROP_REPLAY_OLD
#define ZERO XI_DROP_SEQ_ZERO
#define FORGED XI_DROP_ICV

/* RFC 4303 section 3.4.3: a window of W accepts the W numbers up to the highest, each once. */
static void window_of_64_follows_rfc4303(void **state)
{
	struct window w;

	window_start(&w, 64, false);
	RUN(&w,
	    { 0, ZERO },          /*  1: numbers start at 1 */
	    { 1, OK },            /*  2 */
	    { 1, SEEN },          /*  3 */
	    { 9, OK },            /*  4 */
	    { 8, OK },            /*  5: late, inside */
	    { 7, OK },            /*  6 */
	    { 7, SEEN },          /*  7 */
	    { 64, OK },           /*  8 */
	    { 1, SEEN },          /*  9: the left edge is 1 */
	    { 65, OK },           /* 10: and now 2 */
	    { 1, OLD },           /* 11 */
	    { 2, OK },            /* 12 */
	    { 2, SEEN },          /* 13 */
	    { 129, OK },          /* 14: jump of W */
	    { 66, OK },           /* 15: the left edge */
	    { 65, OLD },          /* 16 */
	    { 66, SEEN },         /* 17 */
	    { 1000000, OK },      /* 18: jump far beyond W */
	    { 129, OLD },         /* 19 */
	    { 999936, OLD },      /* 20 */
	    { 999937, OK },       /* 21 */
	    { 999999, OK },       /* 22 */
	    { 1000000, SEEN },    /* 23 */
	    { 0, ZERO },          /* 24: zero for ever */
	    { 0xffffffff, OK },   /* 25: the last one */
	    { 0xffffffff, SEEN }, /* 26 */
	    { 0xffffffc0, OK },   /* 27 */
	    { 0xffffffbf, OLD },  /* 28 */
	    { 1, OLD });          /* 29: no cycle */
}

/* Appendix A2.2, case A: the window lies in one subspace; what is left of it is of the next. */
static void esn_crosses_2_to_the_32(void **state)
{
	struct window w;

	window_start(&w, 64, true);
	RUN(&w,
	    { 0, ZERO },                   /*  1 */
	    { 1, OK },                     /*  2 */
	    { 0xfffffff0, OLD },           /*  3: case B, and no subspace is before the first */
	    { 0x80000000, OK },            /*  4 */
	    { 0xffffffff, OK },            /*  5 */
	    { 0x100000000, OK },           /*  6: lo 0 is fine here */
	    { 0x100000000, SEEN },         /*  7 */
	    { 0xfffffffe, OK },            /*  8: window over two subspaces */
	    { 0xffffffff, SEEN },          /*  9 */
	    { 0xffffffc1, OK },            /* 10: left edge */
	    { 0xffffffc0, FORGED },        /* 11: read as 0x1ffffffc0 */
	    { 0x10000003e, OK },           /* 12: Tl = W - 2, the last of case B */
	    { 0xffffffff, SEEN },          /* 13: left edge */
	    { 0x10000003f, OK },           /* 14: Tl = W - 1, the first of case A */
	    { 0x100000000, SEEN },         /* 15: left edge */
	    { 0x1fffffffe, OK },           /* 16 */
	    { 0x200000005, OK },           /* 17 */
	    { 0x1fffffffe, SEEN },         /* 18 */
	    { 0x1ffffffff, OK },           /* 19 */
	    { 0x200000000, OK });          /* 20 */
}

static void esn_infers_the_high_half(void **state)
{
	static const struct {
		uint64_t top;
		uint32_t window, lo;
		uint64_t seq; /* 0: refused */
	} cases[] = {
		{ 0x500000100, 64, 0x101, 0x500000101 },
		{ 0x500000100, 64, 0x0c1, 0x5000000c1 },     /* A: left edge */
		{ 0x500000100, 64, 0x0c0, 0x6000000c0 },     /* A: left of it */
		{ 0x500000100, 64, 0xffffffff, 0x5ffffffff },
		{ 0x500000010, 64, 0xffffffd1, 0x4ffffffd1 }, /* B: left edge */
		{ 0x500000010, 64, 0xffffffd0, 0x5ffffffd0 }, /* B: left of it */
		{ 0x500000010, 64, 0, 0x500000000 },
		{ 0x10, 64, 0xffffffd1, 0 },                  /* B: nothing is before subspace 0 */
		{ 0x10, 64, 0xffffffd0, 0xffffffd0 },
		{ 0xffffffff00000100, 64, 0x0c1, 0xffffffff000000c1 },
		{ 0xffffffff00000100, 64, 0x0c0, 0 },         /* A: nothing is after the last */
		{ 0xffffffffffffffff, 64, 0xffffffff, 0xffffffffffffffff },
		{ 0xffffffffffffffff, 64, 0, 0 },
		{ 0x500010000, 0, 0x001, 0x500000001 },       /* no anti-replay: as if 65536 wide */
		{ 0x500010000, 0, 0x000, 0x600000000 },
		{ 0x50000ffff, 0, 0x000, 0x500000000 },
		{ 0x50000fffe, 0, 0xffffffff, 0x4ffffffff },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct window w;
		uint64_t seq = 0;

		window_start(&w, cases[i].window, true);
		w.top = cases[i].top;
		if (xi_replay_infer(&w.r, cases[i].lo, &seq) != !!cases[i].seq ||
		    (cases[i].seq && seq != cases[i].seq))
			fail_msg("case %zu: inferred %#lx", i + 1, (unsigned long)seq);
	}
}

static void without_anti_replay_nothing_is_refused(void **state)
{
	struct window w;

	window_start(&w, 0, false);
	RUN(&w, { 5, OK }, { 5, OK }, { 1, OK }, { 0, OK }, { 0xffffffff, OK }, { 1, OK });
	window_start(&w, 0, true);
	RUN(&w, { 0, ZERO }, { 0x80000000, OK }, { 0xffffffff, OK }, { 0x100000000, OK },
	    { 0xffffffff, OK },
	    { 0x100000000, OK }, { 0x180000000, OK }, { 0x1fffffff0, OK },
	    { 0x200000001, OK });
	assert_int_equal(w.top, 0x200000001);
}

static void check_changes_nothing(void **state)
{
	struct window w, before;

	window_start(&w, 64, true);
	RUN(&w, { 100, OK }, { 90, OK });
	before = w;
	for (uint64_t seq = 0; seq < 300; seq++)
		xi_replay_check(&w.r, seq);
	assert_memory_equal(&w, &before, sizeof(w));
	/* nor does a commit that is refused */
	assert_int_equal(xi_replay_commit(&w.r, 90), XI_DROP_REPLAY);
	assert_int_equal(xi_replay_commit(&w.r, 36), XI_DROP_REPLAY_OLD);
	assert_int_equal(xi_replay_commit(&w.r, 0), XI_DROP_SEQ_ZERO);
	assert_memory_equal(&w, &before, sizeof(w));
}

/* A word that a later block has taken over refuses the earlier one, though top has not moved. */
static void a_word_ahead_of_top_refuses(void **state)
{
	struct window w;
	uint32_t bmp;

	window_start(&w, 32, false);
	RUN(&w, { 40, OK });
	w.words[(40 / 32) & w.r.word_mask] = (uint64_t)(40 / 32 + w.r.word_mask + 1) << 32 | 1;
	assert_int_equal(xi_replay_check(&w.r, 41), XI_DROP_REPLAY_OLD);
	assert_int_equal(xi_replay_commit(&w.r, 41), XI_DROP_REPLAY_OLD);
	/* and is exported as received: whoever imports it must not accept 32 to 40 */
	assert_int_equal(xi_replay_export(&w.r, &bmp, 1), 40);
	assert_int_equal(bmp, 0x800000ff); /* of number n bit (n - 1) % 32 */
}

/*
 * The definition itself, without any window arithmetic: `seen` holds every number accepted within
 * the last MODEL_SPAN, which is more than the largest window.
 */
#define MODEL_SPAN 16384

struct model {
	uint64_t top;
	uint64_t seen[MODEL_SPAN];
};

static enum xi_reason model_receive(struct model *m, uint32_t window, uint64_t seq)
{
	uint64_t *slot = &m->seen[seq % MODEL_SPAN];

	if (!seq)
		return XI_DROP_SEQ_ZERO;
	if (m->top >= window && seq <= m->top - window)
		return XI_DROP_REPLAY_OLD;
	if (*slot == seq)
		return XI_DROP_REPLAY;
	*slot = seq;
	if (seq > m->top)
		m->top = seq;
	return XI_NONE;
}

static uint64_t walk_step(uint64_t at, uint32_t window, long kind)
{
	uint64_t r = (uint64_t)random();

	switch (kind % 8) {
	case 0:
		return at + 1;
	case 1:
		return at + r % 4;
	case 2:
		return at + r % (2 * window);
	case 3:
		return at + (r % 16 ? 1 : r % (1 << 20));
	default:
		return at > 2 * window ? at - r % (2 * window) : at + 1;
	}
}

static void random_walks_agree_with_the_definition(void **state)
{
	static const uint32_t windows[] = { 1, 31, 32, 33, 64, 100, 128, 480, 1024, 4000, 4096 };
	struct model *m = malloc(sizeof(*m));

	assert_non_null(m);
	srandom(4303);
	for (size_t i = 0; i < sizeof(windows) / sizeof(windows[0]); i++) {
		for (unsigned int esn = 0; esn < 2; esn++) {
			struct window w;

			window_start(&w, windows[i], esn);
			memset(m, 0, sizeof(*m));
			if (esn) {
				w.top = m->top = 0x6fffff000;
				xi_replay_import(&w.r, w.top, NULL, 0);
			}
			for (int step = 0; step < 60000; step++) {
				uint64_t seq = walk_step(m->top, windows[i], random());
				enum xi_reason want = model_receive(m, windows[i], seq);

				if (xi_replay_check(&w.r, seq) != want ||
				    xi_replay_commit(&w.r, seq) != want)
					fail_msg("window %u, number %#lx, step %d", windows[i],
						 (unsigned long)seq, step);
				assert_int_equal(w.top, m->top);
			}
		}
	}
	free(m);
}

/* A batch's numbers in one call get what they get one by one: order, repeats and gaps as they are. */
static void a_run_is_judged_as_its_numbers_are(void **state)
{
	static const uint32_t windows[] = { 0, 32, 64, 100, 4096 };
	static const uint64_t starts[] = { 1, 0xfffffff0, 0x1000000000 };
	enum xi_reason why[64];
	struct window one, all;
	uint64_t seqs[64], base;
	unsigned int rejected = 0, n, round;

	srandom(1);
	for (size_t i = 0; i < sizeof(windows) / sizeof(windows[0]) * 3; i++) {
		window_start(&one, windows[i / 3], i & 1);
		window_start(&all, windows[i / 3], i & 1);
		base = starts[i % 3];
		xi_replay_import(&one.r, base - 1, NULL, 0);
		xi_replay_import(&all.r, base - 1, NULL, 0);
		for (round = 0; round < 200; round++, base += (uint64_t)(random() % 80)) {
			n = 1 + (unsigned int)(random() % 64);
			for (unsigned int k = 0; k < n; k++)
				seqs[k] = base + k + (uint64_t)(random() % 8 ? 0 : random() % 200) -
					  (random() % 16 ? 0 : base < 300 ? base : 300);
			xi_replay_commit_run(&all.r, seqs, why, n);
			for (unsigned int k = 0; k < n; k++) {
				assert_int_equal(xi_replay_commit(&one.r, seqs[k]), why[k]);
				rejected += why[k] != XI_NONE;
			}
			assert_int_equal(one.top, all.top);
			assert_memory_equal(one.words, all.words, sizeof(one.words));
		}
	}
	assert_true(rejected > 1000);
}

#define THREADS 4
#define RACE 40000
#define RACE_RUN 8

struct racer {
	struct window *w;
	uint32_t *accepted;
	unsigned int seed;
};

/* Every worker receives every number, each in an order of its own that stays within the window. */
static void *race(void *arg)
{
	struct racer *racer = arg;

	for (uint64_t base = 1; base < RACE; base += 64) {
		for (uint64_t i = 0; i < 64; i += RACE_RUN) {
			enum xi_reason why[RACE_RUN];
			uint64_t seqs[RACE_RUN];

			for (uint64_t k = 0; k < RACE_RUN; k++)
				seqs[k] = base + (((i + k) * 37 + racer->seed * 11) & 63);
			if (racer->seed & 1)
				xi_replay_commit_run(&racer->w->r, seqs, why, RACE_RUN);
			for (uint64_t k = 0; k < RACE_RUN; k++) {
				if (!(racer->seed & 1))
					why[k] = xi_replay_check(&racer->w->r, seqs[k])
							 ?: xi_replay_commit(&racer->w->r, seqs[k]);
				if (!why[k])
					__atomic_fetch_add(&racer->accepted[seqs[k]], 1,
							   __ATOMIC_RELAXED);
			}
		}
	}
	return NULL;
}

static void of_several_workers_exactly_one_accepts(void **state)
{
	uint32_t *accepted = calloc(RACE + 64, sizeof(*accepted));
	struct racer racers[THREADS];
	pthread_t threads[THREADS];
	uint64_t missed = 0, seq;
	struct window w;

	assert_non_null(accepted);
	window_start(&w, 4096, false);
	for (unsigned int i = 0; i < THREADS; i++) {
		racers[i] = (struct racer){ &w, accepted, i };
		assert_int_equal(pthread_create(&threads[i], NULL, race, &racers[i]), 0);
	}
	for (unsigned int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	for (seq = 1; seq < RACE - 64; seq++) {
		assert_true(accepted[seq] <= 1);
		missed += !accepted[seq];
	}
	/* the first to reach a number is never behind: all of them are accepted by somebody */
	assert_int_equal(missed, 0);
	assert_true(w.top >= RACE - 64);
	free(accepted);
}

/* What the kernel's xfrm_replay_check_esn would say of number top - back. */
static bool kernel_bit(const uint32_t *bmp, uint32_t window, uint64_t top, uint32_t back)
{
	uint32_t pos = ((uint32_t)top - 1) % window;
	uint32_t bit = pos >= back ? (pos - back) % window : window - (back - pos);

	return bmp[bit >> 5] >> (bit & 31) & 1;
}

static void bitmaps_are_the_kernels(void **state)
{
	static const uint32_t windows[] = { 32, 64, 96, 100, 128, 4096 };
	static const uint64_t tops[] = { 1, 5, 31, 32, 33, 64, 4097, 0xffffffff, 0x100000000,
					 0x100000001, 0x6000000020, 0x123456789abc };

	for (size_t i = 0; i < sizeof(windows) / sizeof(windows[0]); i++) {
		for (size_t j = 0; j < sizeof(tops) / sizeof(tops[0]); j++) {
			uint32_t bmp[128], again[128], n = (windows[i] + 31) / 32;
			struct window w, w2;

			window_start(&w, windows[i], true);
			xi_replay_import(&w.r, tops[j], NULL, 0);
			for (uint32_t back = 0; back < windows[i] && back < tops[j]; back += 3)
				assert_int_equal(xi_replay_commit(&w.r, tops[j] - back), XI_NONE);
			assert_int_equal(xi_replay_export(&w.r, bmp, n), tops[j]);
			for (uint32_t back = 0; back < windows[i]; back++)
				assert_int_equal(kernel_bit(bmp, windows[i], tops[j], back),
						 back % 3 == 0 && back < tops[j]);

			window_start(&w2, windows[i], true);
			xi_replay_import(&w2.r, tops[j], bmp, n);
			for (uint32_t back = 0; back < windows[i] && back < tops[j]; back++)
				assert_int_equal(xi_replay_check(&w2.r, tops[j] - back),
						 back % 3 ? XI_NONE : XI_DROP_REPLAY);
			assert_int_equal(xi_replay_check(&w2.r, tops[j] + 1), XI_NONE);
			xi_replay_export(&w2.r, again, n);
			assert_memory_equal(again, bmp, n * 4);
		}
	}
}

/* In order from 1, as `ip -d xfrm state` shows it on Linux: number s at bit (s - 1) mod window. */
static void bitmap_of_numbers_in_order(void **state)
{
	uint32_t bmp[2];
	struct window w;

	window_start(&w, 64, false);
	RUN(&w, { 1, OK }, { 2, OK }, { 3, OK }, { 40, OK });
	assert_int_equal(xi_replay_export(&w.r, bmp, 2), 40);
	assert_int_equal(bmp[0], 0x7);
	assert_int_equal(bmp[1], 0x80);
	RUN(&w, { 65, OK });
	xi_replay_export(&w.r, bmp, 2);
	assert_int_equal(bmp[0], 0x7); /* 65 has the bit that 1 had */
	RUN(&w, { 67, OK });
	xi_replay_export(&w.r, bmp, 2);
	assert_int_equal(bmp[0], 0x5); /* 2 and 3 are left of the window */
}

static void import_forgets_what_was(void **state)
{
	struct window w;

	window_start(&w, 64, false);
	RUN(&w, { 5000, OK }, { 4999, OK });
	xi_replay_import(&w.r, 0, NULL, 0);
	RUN(&w, { 1, OK }, { 4999, OK }, { 5000, OK });
	/* far beyond what tags of 32 bits order against 0 */
	window_start(&w, 64, true);
	xi_replay_import(&w.r, 0xf000000000000010, NULL, 0);
	RUN(&w, { 0xf000000000000010, OK }, { 0xf000000000000010, SEEN },
	    { 0xf000000000000001, OK }, { 0xf000000000000100, OK });
}

static void vector_case(json_t *c)
{
	json_t *start = json_object_get(c, "start"), *step;
	struct window w;
	size_t i;

	window_start(&w, (uint32_t)vec_int(c, "window"), vec_bool(c, "esn"));
	if (json_is_object(start)) {
		uint64_t top = vec_int(start, "seq_hi") << 32 | vec_int(start, "seq");

		xi_replay_import(&w.r, top, NULL, 0);
		assert_int_equal(xi_replay_commit(&w.r, top), XI_NONE);
	}
	json_array_foreach (json_object_get(c, "steps"), i, step) {
		uint64_t col[6], seq;
		bool accepted = false;

		for (size_t k = 0; k < 6; k++)
			col[k] = (uint64_t)json_integer_value(json_array_get(step, k));
		if (xi_replay_infer(&w.r, (uint32_t)col[0], &seq)) {
			assert_int_equal(seq, col[2] << 32 | col[0]);
			assert_int_equal(xi_replay_check(&w.r, seq) == XI_NONE, col[3]);
			accepted = col[4] && xi_replay_commit(&w.r, seq) == XI_NONE;
		} else {
			assert_int_equal(col[2], UINT64_MAX);
		}
		if (accepted != col[5])
			fail_msg("%s: step %zu", vec_str(c, "name"), i + 1);
	}
}

static void shared_sequences_are_judged_alike(void **state)
{
	json_t *root = vec_load_shared("replay-windows.json"), *c;
	size_t i;

	json_array_foreach (json_object_get(root, "cases"), i, c)
		vector_case(c);
	assert_int_equal(i, vec_int(root, "count"));
	json_decref(root);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(window_of_64_follows_rfc4303),
		cmocka_unit_test(esn_crosses_2_to_the_32),
		cmocka_unit_test(esn_infers_the_high_half),
		cmocka_unit_test(without_anti_replay_nothing_is_refused),
		cmocka_unit_test(check_changes_nothing),
		cmocka_unit_test(a_word_ahead_of_top_refuses),
		cmocka_unit_test(random_walks_agree_with_the_definition),
		cmocka_unit_test(a_run_is_judged_as_its_numbers_are),
		cmocka_unit_test(of_several_workers_exactly_one_accepts),
		cmocka_unit_test(bitmaps_are_the_kernels),
		cmocka_unit_test(bitmap_of_numbers_in_order),
		cmocka_unit_test(import_forgets_what_was),
		cmocka_unit_test(shared_sequences_are_judged_alike),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
