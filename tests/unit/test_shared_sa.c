// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * One SA carried by several workers at a time: sequence numbers given out, replay windows with and
 * without ESN across 2^32; and one worker's windows against a model that does what RFC 4303
 * appendix A2 says, number by number.
 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <linux/xfrm.h>
#include <cmocka.h>

#include "esp_sa.h"

#define EPOCH (1ULL << 32)
#define THREADS_MAX 4
#define RUN 64 /* packets of a worker's batch */
#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

/* xorshift64: each thread's own, the same in every run. */
static uint32_t draw(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return (uint32_t)(*state >> 16);
}

/* Threads that begin at the same time. */
static void race(unsigned int n, void *(*run)(void *), void *args, size_t arg_size)
{
	pthread_t threads[THREADS_MAX];

	for (unsigned int i = 0; i < n; i++)
		assert_int_equal(
			pthread_create(&threads[i], NULL, run, (uint8_t *)args + i * arg_size), 0);
	for (unsigned int i = 0; i < n; i++)
		pthread_join(threads[i], NULL);
}

/* Outbound */

struct taker {
	const struct xi_sa_ctx *ctx;
	pthread_barrier_t *start;
	uint32_t *taken; /* by number, from first on */
	uint64_t first, numbers;
	uint64_t draws;
	enum xi_reason end;
	bool beyond;
};

static void *take(void *arg)
{
	struct taker *t = arg;
	unsigned int n, granted;
	uint64_t from;

	pthread_barrier_wait(t->start);
	do {
		n = 1 + draw(&t->draws) % RUN;
		granted = xi_seq_take(t->ctx, n, &from, &t->end);
		for (unsigned int i = 0; i < granted; i++) {
			uint64_t at = from + i - t->first;

			if (at < t->numbers)
				__atomic_fetch_add(&t->taken[at], 1, __ATOMIC_RELAXED);
			else
				t->beyond = true;
		}
	} while (granted == n);
	return NULL;
}

/* All numbers behind `last` up to the limit are given out, each once, and then `end` is the reason.
 */
static void take_all(unsigned int threads, bool esn, uint64_t last, uint64_t numbers,
		     uint64_t limit, enum xi_reason end)
{
	uint32_t *taken = calloc(numbers, sizeof(*taken));
	struct taker takers[THREADS_MAX];
	static struct test_sa t;
	pthread_barrier_t start;

	assert_non_null(taken);
	test_sa_default(&t, XI_IPV4);
	t.sa.flags |= esn ? XFRM_STATE_ESN : 0;
	t.state.oseq = last;
	t.state.oseq_limit = limit;
	test_sa_start(&t, NULL);
	pthread_barrier_init(&start, NULL, threads);
	for (unsigned int i = 0; i < threads; i++)
		takers[i] = (struct taker){.ctx = &t.ctx,
					   .start = &start,
					   .taken = taken,
					   .first = last + 1,
					   .numbers = numbers,
					   .draws = i + 1};
	race(threads, take, takers, sizeof(takers[0]));
	for (unsigned int i = 0; i < threads; i++) {
		assert_int_equal(takers[i].end, end);
		assert_false(takers[i].beyond);
	}
	for (uint64_t i = 0; i < numbers; i++)
		if (taken[i] != 1)
			fail_msg("number %#lx was given out %u times",
				 (unsigned long)(last + 1 + i), taken[i]);
	assert_true(t.state.oseq == last + numbers);
	pthread_barrier_destroy(&start);
	test_sa_stop(&t);
	free(taken);
}

static void numbers_are_disjoint_and_without_gaps(void **state)
{
	for (unsigned int threads = 2; threads <= 4; threads += 2) {
		/* RFC 4303 section 3.3.3: the last one without ESN is 2^32 - 1 */
		take_all(threads, false, EPOCH - 1 - 300000, 300000, UINT64_MAX,
			 XI_DROP_SEQ_EXHAUSTED);
		take_all(threads, true, EPOCH - 150000, 300000, EPOCH + 150000,
			 XI_DROP_SEQ_RESERVE);
		take_all(threads, true, UINT64_MAX - 300000, 300000, UINT64_MAX,
			 XI_DROP_SEQ_EXHAUSTED);
		take_all(threads, false, 0, 300000, 300000, XI_DROP_SEQ_RESERVE);
	}
}

/* Inbound: sealed packets, each delivered to every thread */

#define PACKETS 12000
#define PACKET_MAX 96

struct stream {
	struct test_sa sa; /* its window, which all threads share */
	uint64_t words[32 * 1024 / 8];
	uint64_t first;	  /* number of packet 0 */
	uint32_t shuffle; /* no packet is further than this from its place */
	uint32_t len;	  /* of a packet */
	uint8_t packets[PACKETS][PACKET_MAX];
	uint32_t accepted[PACKETS];
	uint64_t wrong; /* verdicts that no number can have here */
};

struct receiver {
	struct stream *s;
	pthread_barrier_t *start;
	struct xi_crypto *crypto;
	uint64_t draws;
	uint32_t order[PACKETS];
};

static struct stream stream;

static void stream_seal(struct stream *s)
{
	uint8_t ip[28];
	struct test_pkt p;

	test_inner4(ip, sizeof(ip), 0);
	for (uint32_t i = 0; i < PACKETS; i++) {
		test_pkt_set(&p, ip, sizeof(ip));
		assert_int_equal(test_seal(&s->sa, s->first + i, &p.pkt), XI_NONE);
		assert_true(p.pkt.len <= PACKET_MAX);
		memcpy(s->packets[i], p.pkt.data, p.pkt.len);
		s->len = p.pkt.len;
	}
	memset(s->sa.state.words, 0, sizeof(s->sa.state.words));
	s->sa.state.bytes = s->sa.state.packets = 0;
}

/* Words: the fewest that serve the window. */
static void stream_open(struct stream *s, uint32_t window, bool esn)
{
	uint32_t nwords = 2;

	while (32 * (nwords - 1) < window)
		nwords *= 2;
	assert_true(nwords <= COUNT(s->words));
	memset(s, 0, sizeof(*s));
	test_sa_default(&s->sa, XI_IPV4);
	s->sa.sa.flags |= esn ? XFRM_STATE_ESN : 0;
	test_sa_start(&s->sa, NULL);
	s->first = esn ? EPOCH - PACKETS / 2 : EPOCH - PACKETS;
	s->shuffle = window ? window / 2 - 1 : 512;
	stream_seal(s);
	s->sa.sa.replay_window = window;
	assert_int_equal(
		xi_sa_ctx_init(&s->sa.ctx, &s->sa.sa, &s->sa.raw, &s->sa.state, s->words, nwords),
		0);
	/* an expanded key has a part for each thread */
	s->sa.engine->key_free(s->sa.key);
	assert_int_equal(s->sa.engine->key_new(&s->sa.key, &s->sa.raw, THREADS_MAX), 0);
	s->sa.ctx.key = s->sa.key;
	xi_replay_import(&s->sa.ctx.replay, s->first - 1, NULL, 0);
}

/* Disorder within groups of at most `shuffle`. */
static void receiver_shuffle(struct receiver *r)
{
	uint32_t group = r->s->shuffle < 1024 ? r->s->shuffle : 1024;

	for (uint32_t i = 0; i < PACKETS; i++)
		r->order[i] = i;
	for (uint32_t base = 0; base + group <= PACKETS && group > 1; base += group) {
		for (uint32_t i = group - 1; i; i--) {
			uint32_t k = draw(&r->draws) % (i + 1), kept = r->order[base + i];

			r->order[base + i] = r->order[base + k];
			r->order[base + k] = kept;
		}
	}
}

static void receive_run(struct receiver *r, const uint32_t *order, unsigned int n)
{
	struct xi_sa_ctx *ctx = &r->s->sa.ctx;
	struct xi_esp_tally tally = {.now = 1};
	uint8_t copies[RUN][PACKET_MAX];
	struct xi_aead_job jobs[RUN];
	struct xi_esp_in ins[RUN];
	struct xi_pkt pkts[RUN];
	uint32_t which[RUN];
	enum xi_crypto_status status;
	unsigned int i, ready = 0;
	enum xi_reason why;

	for (i = 0; i < n; i++) {
		memcpy(copies[ready], r->s->packets[order[i]], r->s->len);
		pkts[ready] = (struct xi_pkt){.data = copies[ready], .len = r->s->len};
		why = xi_esp_in_prepare(ctx, &pkts[ready], &jobs[ready], &ins[ready]);
		if (!why)
			which[ready++] = order[i];
		else if (why != XI_DROP_REPLAY && why != XI_DROP_REPLAY_OLD)
			__atomic_fetch_add(&r->s->wrong, 1, __ATOMIC_RELAXED);
	}
	r->s->sa.engine->open(r->crypto, jobs, ready);
	xi_in_verify(ctx, jobs, ins, ready);
	for (i = 0; i < ready; i++) {
		why = xi_esp_in_finish(ctx, &pkts[i], &jobs[i], &ins[i], &tally, &status);
		if (!why)
			__atomic_fetch_add(&r->s->accepted[which[i]], 1, __ATOMIC_RELAXED);
		else if (why != XI_DROP_REPLAY && why != XI_DROP_REPLAY_OLD && why != XI_DROP_ICV)
			__atomic_fetch_add(&r->s->wrong, 1, __ATOMIC_RELAXED);
	}
	xi_esp_tally_flush(&tally);
}

static void *receive(void *arg)
{
	struct receiver *r = arg;
	uint32_t n;

	pthread_barrier_wait(r->start);
	for (uint32_t i = 0; i < PACKETS; i += n) {
		n = 1 + draw(&r->draws) % RUN;
		if (n > PACKETS - i)
			n = PACKETS - i;
		receive_run(r, &r->order[i], n);
	}
	return NULL;
}

static void stream_race(struct stream *s, unsigned int threads)
{
	static struct receiver receivers[THREADS_MAX];
	pthread_barrier_t start;

	pthread_barrier_init(&start, NULL, threads);
	for (unsigned int i = 0; i < threads; i++) {
		receivers[i].s = s;
		receivers[i].start = &start;
		receivers[i].draws = 77 + i;
		receiver_shuffle(&receivers[i]);
		assert_int_equal(s->sa.engine->create(&receivers[i].crypto, i), 0);
	}
	race(threads, receive, receivers, sizeof(receivers[0]));
	for (unsigned int i = 0; i < threads; i++)
		s->sa.engine->destroy(receivers[i].crypto);
	pthread_barrier_destroy(&start);
}

/*
 * A thread that is about to move the window past a number has had that number before, as none is
 * further from its place than half a window. So nothing may be lost, whoever is how far behind.
 */
static void shared_window(uint32_t window, bool esn, unsigned int threads)
{
	struct stream *s = &stream;

	stream_open(s, window, esn);
	stream_race(s, threads);
	for (uint32_t i = 0; i < PACKETS; i++)
		if (s->accepted[i] != 1)
			fail_msg("window %u, %u threads: number %#lx was accepted %u times", window,
				 threads, (unsigned long)(s->first + i), s->accepted[i]);
	assert_true(s->sa.state.top == s->first + PACKETS - 1);
	assert_int_equal(s->sa.state.packets, PACKETS);
	assert_int_equal(s->sa.state.replay_failed + s->sa.state.integrity_failed,
			 (threads - 1) * PACKETS);
	assert_int_equal(s->sa.state.other_failed, 0);
	assert_int_equal(s->wrong, 0);
	test_sa_stop(&s->sa);
}

static const uint32_t windows[] = {32, 64, 128, 1024, 4096, 65536};

static void each_packet_is_accepted_once_across_2_to_the_32(void **state)
{
	for (size_t i = 0; i < COUNT(windows); i++)
		for (unsigned int threads = 2; threads <= 4; threads += 2)
			shared_window(windows[i], true, threads);
}

static void each_packet_is_accepted_once_up_to_the_last_number(void **state)
{
	for (size_t i = 0; i < COUNT(windows); i++)
		shared_window(windows[i], false, 2);
}

/* RFC 4303 section 3.4.3: nothing is refused, and the high half is told right all the same. */
static void esn_without_anti_replay_loses_nothing(void **state)
{
	for (unsigned int threads = 2; threads <= 4; threads += 2) {
		struct stream *s = &stream;

		stream_open(s, 0, true);
		stream_race(s, threads);
		for (uint32_t i = 0; i < PACKETS; i++)
			assert_int_equal(s->accepted[i], threads);
		assert_true(s->sa.state.top == s->first + PACKETS - 1);
		assert_int_equal(s->sa.state.packets, threads * PACKETS);
		assert_int_equal(s->sa.state.replay_failed + s->sa.state.integrity_failed, 0);
		assert_int_equal(s->wrong, 0);
		test_sa_stop(&s->sa);
	}
}

/*
 * The model: appendix A2 with names as there. T is the highest number authenticated so far, Th and
 * Tl its halves, W the window; one byte for each number says whether it was received.
 */
#define RANGE (1U << 21)

struct model {
	uint64_t t, base;
	uint32_t w;
	uint8_t received[RANGE];
};

static bool model_infer(const struct model *m, uint32_t seql, uint64_t *seq)
{
	uint32_t tl = (uint32_t)m->t, th = (uint32_t)(m->t >> 32), seqh;

	if (tl >= m->w - 1) /* case A */
		seqh = seql >= tl - m->w + 1 ? th : th + 1;
	else if (seql >= (uint32_t)(tl - m->w + 1)) { /* case B */
		if (!th)
			return false;
		seqh = th - 1;
	} else {
		seqh = th;
	}
	*seq = (uint64_t)seqh << 32 | seql;
	return true;
}

static enum xi_reason model_judge(const struct model *m, uint64_t seq)
{
	if (!seq)
		return XI_DROP_SEQ_ZERO;
	if (seq > m->t)
		return XI_NONE;
	if (m->t - seq >= m->w)
		return XI_DROP_REPLAY_OLD;
	return seq >= m->base && m->received[seq - m->base] ? XI_DROP_REPLAY : XI_NONE;
}

/* A number to come next: mostly onward, some back to every part of the window and just beyond it.
 */
static uint64_t model_draw(const struct model *m, uint64_t *draws)
{
	uint32_t r = draw(draws), kind = draw(draws) % 16, back;

	switch (kind) {
	case 0:
		return m->t + r % (2 * m->w);
	case 1:
		return m->t + m->w - 1 + r % 3;
	case 2:
	case 3:
		back = m->w - 2 + r % 4; /* the window's left edge */
		break;
	case 4:
	case 5:
	case 6:
		back = r % m->w;
		break;
	case 7:
		back = m->w + r % m->w;
		break;
	default:
		return m->t + 1 + r % 3;
	}
	return m->t - m->base > back ? m->t - back : m->t;
}

static void model_walk(uint32_t window, uint64_t start, bool esn)
{
	static uint64_t words[4096];
	static struct model m;
	uint64_t top = 0, seq, draws = window + start + 1, got;
	struct xi_replay r = {.top = &top,
			      .words = words,
			      .word_mask = COUNT(words) - 1,
			      .window = window,
			      .esn = esn};

	memset(&m, 0, sizeof(m));
	m.base = m.t = start;
	m.w = window;
	xi_replay_import(&r, start, NULL, 0); /* of what comes up to start nothing was received */
	for (int step = 0; step < 60000 && m.t - m.base < RANGE - 4 * 65536; step++) {
		uint64_t sent = model_draw(&m, &draws);
		enum xi_reason want;
		bool inferred = !esn || model_infer(&m, (uint32_t)sent, &seq);

		if (!esn)
			seq = sent;
		assert_int_equal(xi_replay_infer(&r, (uint32_t)sent, &got), inferred);
		if (!inferred)
			continue;
		if (got != seq)
			fail_msg("window %u, T %#lx, low half %#x: %#lx, not %#lx", window,
				 (unsigned long)m.t, (uint32_t)sent, (unsigned long)got,
				 (unsigned long)seq);
		/* the ICV is wrong where the high half is not the sender's */
		if (seq != sent)
			continue;
		want = model_judge(&m, seq);
		if (xi_replay_check(&r, seq) != want || xi_replay_commit(&r, seq) != want)
			fail_msg("window %u, T %#lx: %#lx, wanted %d", window, (unsigned long)m.t,
				 (unsigned long)seq, want);
		if (want)
			continue;
		m.received[seq - m.base] = 1;
		if (seq > m.t)
			m.t = seq;
		assert_true(top == m.t);
	}
	/* enough of it was walked to fill the largest window */
	assert_true(m.t - m.base > window || m.t - m.base > 65536);
}

static void windows_are_what_appendix_a2_says(void **state)
{
	static const uint64_t starts[] = {0, EPOCH - 100000, 3 * EPOCH - 70000, 2 * EPOCH + 5};

	for (size_t i = 0; i < COUNT(windows); i++) {
		for (size_t k = 0; k < COUNT(starts); k++)
			model_walk(windows[i], starts[k], true);
		/* where case B becomes case A */
		for (uint64_t k = 0; k < 3; k++)
			model_walk(windows[i], 2 * EPOCH + windows[i] + k - 2, true);
		model_walk(windows[i], 0, false);
		model_walk(windows[i], EPOCH - RANGE, false);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(numbers_are_disjoint_and_without_gaps),
		cmocka_unit_test(each_packet_is_accepted_once_across_2_to_the_32),
		cmocka_unit_test(each_packet_is_accepted_once_up_to_the_last_number),
		cmocka_unit_test(esn_without_anti_replay_loses_nothing),
		cmocka_unit_test(windows_are_what_appendix_a2_says),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
