// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* ESP against packets made by others, and its sequence numbers and counters. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <arpa/inet.h>
#include <linux/xfrm.h>
#include <cmocka.h>

#include "esp_sa.h"
#include "vectors.h"

#define NAMES 2

static const struct xi_engine *engine_at(unsigned int i)
{
	static const char *const names[NAMES] = { "openssl", "ipsec-mb" };
	const struct xi_engine *e = xi_engine_find(names[i]);

	if (!e)
		print_message("engine %s is not usable on this CPU\n", names[i]);
	return e;
}

struct vector {
	uint8_t clear[TEST_PKT_MAX], sealed[TEST_PKT_MAX];
	size_t clear_len, sealed_len;
	uint64_t seq;
};

static void scapy_sa(struct test_sa *t, const json_t *v, struct vector *out)
{
	int family = vec_int(v, "outer") == 6 ? XI_IPV6 : XI_IPV4;

	test_sa_default(t, family);
	t->sa.id.spi = (uint32_t)vec_int(v, "spi");
	assert_int_equal(inet_pton(family, vec_str(v, "saddr"), t->sa.saddr), 1);
	assert_int_equal(inet_pton(family, vec_str(v, "daddr"), t->sa.id.daddr), 1);
	t->raw.len = (uint32_t)vec_hex(v, "key", t->raw.key, XI_KEY_MAX);
	t->sa.key_bits = (t->raw.len - 4) * 8;
	t->sa.flags = vec_bool(v, "esn") ? XFRM_STATE_ESN : 0;
	t->sa.sel.family = vec_int(v, "inner") == 6 ? XI_IPV6 : XI_IPV4;
	out->clear_len = vec_hex(v, "clear", out->clear, TEST_PKT_MAX);
	out->sealed_len = vec_hex(v, "sealed", out->sealed, TEST_PKT_MAX);
	out->seq = vec_int(v, "seq");
	if (vec_bool(v, "esn"))
		t->state.top = out->seq - 1;
}

static void expect_pkt(const char *name, const struct xi_pkt *pkt, const uint8_t *want, size_t len)
{
	if (pkt->len != len || memcmp(pkt->data, want, len))
		fail_msg("%s: %u bytes, other than the %zu wanted", name, pkt->len, len);
}

static void scapy_vector(const json_t *v, const struct xi_engine *e)
{
	static struct test_sa t;
	static struct test_pkt p;
	static struct vector x;

	scapy_sa(&t, v, &x);
	test_sa_start(&t, e);
	for (int slow = 0; slow < 2; slow++) {
		t.ctx.key = slow ? NULL : t.key;
		test_pkt_set(&p, x.clear, x.clear_len);
		assert_int_equal(test_seal(&t, x.seq, &p.pkt), XI_NONE);
		expect_pkt(vec_str(v, "name"), &p.pkt, x.sealed, x.sealed_len);
		assert_true(p.pkt.len - x.clear_len <= xi_esp_overhead(&t.ctx));

		xi_replay_import(&t.ctx.replay, t.ctx.esn ? x.seq - 1 : 0, NULL, 0);
		test_pkt_set(&p, x.sealed, x.sealed_len);
		assert_int_equal(test_open(&t, &p.pkt, NULL), XI_NONE);
		expect_pkt(vec_str(v, "name"), &p.pkt, x.clear, x.clear_len);
		assert_ptr_equal(p.pkt.data - p.pkt.headroom, p.buf);
		assert_ptr_equal(p.pkt.data + p.pkt.len + p.pkt.tailroom, p.buf + sizeof(p.buf));

		test_pkt_set(&p, x.sealed, x.sealed_len);
		assert_int_equal(test_open(&t, &p.pkt, NULL), XI_DROP_REPLAY);
	}
	test_sa_stop(&t);
}

static void scapy_packets_are_sealed_and_opened_exactly(void **state)
{
	json_t *root = vec_load("esp-gcm.json"), *v;
	size_t i;

	for (unsigned int n = 0; n < NAMES; n++) {
		const struct xi_engine *e = engine_at(n);

		if (!e)
			continue;
		json_array_foreach (json_object_get(root, "vectors"), i, v)
			scapy_vector(v, e);
		assert_int_equal(i, 72);
	}
	json_decref(root);
}

static void every_length_goes_there_and_back(void **state)
{
	static uint8_t inner[TEST_PKT_MAX];
	static struct test_sa t;
	static struct test_pkt p;

	for (unsigned int kind = 0; kind < 4; kind++) {
		test_sa_default(&t, kind & 1 ? XI_IPV6 : XI_IPV4);
		test_sa_start(&t, NULL);
		for (uint16_t len = kind & 2 ? 40 : 20; len < 300; len++) {
			if (kind & 2)
				test_inner6(inner, len, 0);
			else
				test_inner4(inner, len, 0);
			test_pkt_set(&p, inner, len);
			assert_int_equal(test_seal(&t, len, &p.pkt), XI_NONE);
			assert_int_equal((p.pkt.len - t.ctx.outer_len) % 4, 0);
			assert_true(p.pkt.len <= len + xi_esp_overhead(&t.ctx));
			assert_true(p.pkt.len + 3 >= len + xi_esp_overhead(&t.ctx));
			assert_int_equal(test_open(&t, &p.pkt, NULL), XI_NONE);
			expect_pkt("length", &p.pkt, inner, len);
		}
		test_sa_stop(&t);
	}
}

/* Bytes behind the inner packet's own length (Ethernet padding) stay outside. */
static void sealing_trims_link_padding(void **state)
{
	static struct test_sa t;
	static struct test_pkt p, q;
	uint8_t inner[46] = { 0 };

	test_sa_default(&t, XI_IPV4);
	test_sa_start(&t, NULL);
	test_inner4(inner, 30, 0);
	test_pkt_set(&p, inner, 30);
	test_pkt_set(&q, inner, 46);
	q.pkt.tailroom = 4; /* the padding is room, too: 2 + 16 + the pad fit into 16 + 4 */
	assert_int_equal(test_seal(&t, 7, &p.pkt), XI_NONE);
	assert_int_equal(test_seal(&t, 7, &q.pkt), XI_NONE);
	expect_pkt("padded", &q.pkt, p.pkt.data, p.pkt.len);
	assert_int_equal(q.pkt.tailroom, 2);
	test_sa_stop(&t);
}

static void a_batch_of_numbers_is_granted_up_to_the_limit(void **state)
{
	static const struct {
		uint32_t flags;
		uint64_t oseq, limit;
		unsigned int want, granted;
		enum xi_reason why;
	} cases[] = {
		{ 0, 0, UINT64_MAX, 32, 32, XI_NONE },
		{ 0, 0, 0, 1, 0, XI_DROP_SEQ_RESERVE },
		{ 0, 100, 110, 8, 8, XI_NONE },
		{ 0, 100, 110, 32, 10, XI_DROP_SEQ_RESERVE },
		{ 0, 110, 110, 1, 0, XI_DROP_SEQ_RESERVE },
		{ 0, 120, 110, 1, 0, XI_DROP_SEQ_RESERVE },
		{ 0, 0xfffffffe, UINT64_MAX, 1, 1, XI_NONE },
		{ 0, 0xfffffffe, UINT64_MAX, 32, 1, XI_DROP_SEQ_EXHAUSTED },
		{ 0, 0xffffffff, UINT64_MAX, 1, 0, XI_DROP_SEQ_EXHAUSTED },
		{ 0, 0xffffffff, 0xffffffff, 1, 0, XI_DROP_SEQ_EXHAUSTED },
		{ 0, 0xfffffff0, 0xfffffff5, 32, 5, XI_DROP_SEQ_RESERVE },
		{ XFRM_STATE_ESN, 0xfffffffe, UINT64_MAX, 32, 32, XI_NONE },
		{ XFRM_STATE_ESN, 0xffffffff, 0xffffffff, 1, 0, XI_DROP_SEQ_RESERVE },
		{ XFRM_STATE_ESN, UINT64_MAX - 3, UINT64_MAX, 32, 3, XI_DROP_SEQ_EXHAUSTED },
		{ XFRM_STATE_ESN, UINT64_MAX, UINT64_MAX, 32, 0, XI_DROP_SEQ_EXHAUSTED },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		static struct test_sa t;
		enum xi_reason why = XI_NONE;
		unsigned int granted;
		uint64_t first = 0;

		test_sa_default(&t, XI_IPV4);
		t.sa.flags |= cases[i].flags;
		t.state.oseq = cases[i].oseq;
		t.state.oseq_limit = cases[i].limit;
		test_sa_start(&t, NULL);
		granted = xi_seq_take(&t.ctx, cases[i].want, &first, &why);
		if (granted != cases[i].granted || why != cases[i].why)
			fail_msg("case %zu: %u granted, reason %d", i + 1, granted, why);
		if (granted)
			assert_int_equal(first, cases[i].oseq + 1);
		/* a refused take does not move the counter */
		assert_int_equal(t.state.oseq, cases[i].oseq + granted);
		test_sa_stop(&t);
	}
}

#define TAKERS 4
#define NUMBERS 100000

struct taker {
	const struct xi_sa_ctx *ctx;
	uint8_t *taken;
	unsigned int batch;
};

static void *take(void *arg)
{
	struct taker *taker = arg;
	enum xi_reason why = XI_NONE;
	unsigned int granted;
	uint64_t first;

	do {
		granted = xi_seq_take(taker->ctx, taker->batch, &first, &why);
		for (unsigned int i = 0; i < granted; i++)
			__atomic_fetch_add(&taker->taken[first + i], 1, __ATOMIC_RELAXED);
	} while (granted == taker->batch);
	return (void *)(uintptr_t)why;
}

static void concurrent_takers_never_get_a_number_twice(void **state)
{
	uint8_t *taken = calloc(NUMBERS + 2, 1);
	struct taker takers[TAKERS];
	pthread_t threads[TAKERS];
	static struct test_sa t;
	void *why;

	assert_non_null(taken);
	test_sa_default(&t, XI_IPV4);
	t.state.oseq_limit = NUMBERS;
	test_sa_start(&t, NULL);
	for (unsigned int i = 0; i < TAKERS; i++) {
		takers[i] = (struct taker){ &t.ctx, taken, 1 + 10 * i };
		assert_int_equal(pthread_create(&threads[i], NULL, take, &takers[i]), 0);
	}
	for (unsigned int i = 0; i < TAKERS; i++) {
		pthread_join(threads[i], &why);
		assert_int_equal((uintptr_t)why, XI_DROP_SEQ_RESERVE);
	}
	for (uint64_t seq = 1; seq <= NUMBERS; seq++)
		assert_int_equal(taken[seq], 1);
	assert_int_equal(taken[0] + taken[NUMBERS + 1], 0);
	assert_int_equal(t.state.oseq, NUMBERS);
	test_sa_stop(&t);
	free(taken);
}

/* Linux counts the bytes inside the tunnel, in both directions. */
static void counters_count_what_the_kernel_counts(void **state)
{
	static struct test_sa out, in;
	static struct test_pkt p;
	uint8_t inner[101], plain[128] = { 0 };

	test_sa_default(&out, XI_IPV4);
	test_sa_default(&in, XI_IPV4);
	test_sa_start(&out, NULL);
	test_sa_start(&in, NULL);
	test_inner4(inner, 101, 0);
	test_pkt_set(&p, inner, 101);
	assert_int_equal(test_seal(&out, 1, &p.pkt), XI_NONE);
	assert_int_equal(out.state.bytes, 101);
	assert_int_equal(out.state.packets, 1);
	assert_int_equal(out.state.use_time, 1000);
	assert_int_equal(out.state.last_use, 1000);
	assert_int_equal(test_open(&in, &p.pkt, NULL), XI_NONE);
	assert_int_equal(in.state.bytes, 101);
	assert_int_equal(in.state.packets, 1);
	assert_int_equal(in.state.use_time, 1000);

	/* TFC padding counts, the trailer does not */
	memcpy(plain, inner, 101);
	plain[127] = 4;
	test_seal_raw(&in, 2, 0, plain, 128, &p);
	assert_int_equal(test_open(&in, &p.pkt, NULL), XI_NONE);
	expect_pkt("TFC", &p.pkt, inner, 101);
	assert_int_equal(in.state.bytes, 101 + 126);

	test_seal_raw(&in, 2, 0, plain, 128, &p);
	assert_int_equal(test_open(&in, &p.pkt, NULL), XI_DROP_REPLAY);
	assert_int_equal(in.state.replay_failed, 1);
	test_seal_raw(&in, 3, 0, plain, 128, &p);
	p.pkt.data[p.pkt.len - 1] ^= 1;
	assert_int_equal(test_open(&in, &p.pkt, NULL), XI_DROP_ICV);
	assert_int_equal(in.state.integrity_failed, 1);
	assert_int_equal(in.state.packets, 2);
	assert_int_equal(in.state.top, 2);
	test_sa_stop(&out);
	test_sa_stop(&in);
}

/* A batch whose packets change their SA twice: 2 of the first, 1 of the second, 1 of the first. */
static void a_tally_of_two_sas_gives_each_its_own(void **state)
{
	static const int owner[] = {0, 0, 1, 0};
	struct xi_esp_tally tally = {.now = 1000};
	static struct test_sa sas[2];
	struct xi_aead_job job = {.clear_len = 100};

	for (int i = 0; i < 2; i++) {
		test_sa_default(&sas[i], XI_IPV4);
		test_sa_start(&sas[i], &xi_engine_openssl);
	}
	for (size_t i = 0; i < sizeof(owner) / sizeof(owner[0]); i++)
		assert_int_equal(test_finish(&sas[owner[i]].ctx, &job, &tally), XI_NONE);
	xi_esp_tally_flush(&tally);
	xi_esp_tally_flush(&tally);
	assert_int_equal(sas[0].state.packets, 3);
	assert_int_equal(sas[0].state.bytes, 300);
	assert_int_equal(sas[1].state.packets, 1);
	assert_int_equal(sas[1].state.bytes, 100);
	assert_int_equal(sas[1].state.last_use, 1000);
	for (int i = 0; i < 2; i++)
		test_sa_stop(&sas[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(scapy_packets_are_sealed_and_opened_exactly),
		cmocka_unit_test(every_length_goes_there_and_back),
		cmocka_unit_test(sealing_trims_link_padding),
		cmocka_unit_test(a_batch_of_numbers_is_granted_up_to_the_limit),
		cmocka_unit_test(concurrent_takers_never_get_a_number_twice),
		cmocka_unit_test(counters_count_what_the_kernel_counts),
		cmocka_unit_test(a_tally_of_two_sas_gives_each_its_own),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
