// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* AH against packets made by others; its lengths, its place, and what comes out of it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <arpa/inet.h>
#include <linux/xfrm.h>
#include <cmocka.h>

#include "ah_sa.h"
#include "vectors.h"

static const char *const auth_names[] = {
	[XI_AUTH_NONE] = "gmac",	[XI_AUTH_HMAC_SHA1] = "sha1",
	[XI_AUTH_HMAC_SHA256] = "sha256", [XI_AUTH_HMAC_SHA384] = "sha384",
	[XI_AUTH_HMAC_SHA512] = "sha512", [XI_AUTH_AES_CMAC] = "cmac",
};

#define AUTHS (sizeof(auth_names) / sizeof(auth_names[0]))

static enum xi_auth auth_named(const char *name)
{
	for (unsigned int i = 0; i < AUTHS; i++)
		if (!strcmp(name, auth_names[i]))
			return (enum xi_auth)i;
	fail_msg("%s: no such algorithm", name);
	return XI_AUTH_NONE;
}

static void expect_pkt(const char *name, const struct test_pkt *p, const uint8_t *want, size_t len)
{
	if (p->pkt.len != len || memcmp(p->pkt.data, want, len))
		fail_msg("%s: %u bytes, other than the %zu wanted", name, p->pkt.len, len);
	assert_ptr_equal(p->pkt.data - p->pkt.headroom, p->buf);
	assert_ptr_equal(p->pkt.data + p->pkt.len + p->pkt.tailroom, p->buf + sizeof(p->buf));
}

static void put16(uint8_t *p, size_t v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

/* A header whose length or fields were changed. */
static void fix_sum(uint8_t *ip)
{
	put16(ip + 10, 0);
	put16(ip + 10, test_checksum(ip, (ip[0] & 0xfU) * 4));
}

static void there_and_back(struct test_ah *t, const char *name, uint64_t seq, const uint8_t *clear,
			   size_t clear_len, const uint8_t *sealed, size_t sealed_len, bool pending)
{
	static struct test_pkt p;

	test_pkt_set(&p, clear, clear_len);
	assert_int_equal(test_ah_seal(t, seq, &p.pkt), XI_NONE);
	expect_pkt(name, &p, sealed, sealed_len);
	if (pending) /* the receiver sees another packet */
		return;
	test_pkt_set(&p, sealed, sealed_len);
	assert_int_equal(test_ah_open(t, &p.pkt, NULL), XI_NONE);
	expect_pkt(name, &p, clear, clear_len);
	test_pkt_set(&p, sealed, sealed_len);
	assert_int_equal(test_ah_open(t, &p.pkt, NULL), XI_DROP_REPLAY);
}

static void scapy_vector(const json_t *v)
{
	static uint8_t clear[TEST_PKT_MAX], sealed[TEST_PKT_MAX];
	static struct test_ah t;
	bool tunnel = !strcmp(vec_str(v, "mode"), "tunnel");
	size_t clear_len = vec_hex(v, "clear", clear, sizeof(clear));
	size_t sealed_len = vec_hex(v, "sealed", sealed, sizeof(sealed));
	uint64_t seq = vec_int(v, "seq");

	test_ah_init(&t, (int)vec_int(v, "outer"), !tunnel, auth_named(vec_str(v, "auth")),
		     XFRM_STATE_ALIGN4 | (vec_bool(v, "esn") ? XFRM_STATE_ESN : 0));
	t.ctx.spi_be = htonl((uint32_t)vec_int(v, "spi"));
	t.key_len = vec_hex(v, "key", t.key, sizeof(t.key));
	if (tunnel)
		test_ah_tunnel(&t, vec_str(v, "saddr"), vec_str(v, "daddr"));
	if (t.ctx.esn)
		t.state.top = seq - 1;
	there_and_back(&t, vec_str(v, "name"), seq, clear, clear_len, sealed, sealed_len,
		       vec_bool(v, "pending"));
}

static void scapy_packets_are_sealed_and_opened_exactly(void **state)
{
	json_t *root = vec_load("ah.json"), *v;
	size_t i;

	json_array_foreach (json_object_get(root, "vectors"), i, v)
		scapy_vector(v);
	assert_int_equal(i, 78);
	json_decref(root);
}

/* RFC 4302 section 2.6, RFC 2404, 4494, 4543, 4868, and net/ipv4/ah4.c. */
static void the_header_is_padded_as_its_family_wants(void **state)
{
	static const uint8_t want[AUTHS][3] = {
		/* IPv4 with align4, IPv4, IPv6 */
		[XI_AUTH_NONE] = { 36, 40, 40 },	 [XI_AUTH_HMAC_SHA1] = { 24, 24, 24 },
		[XI_AUTH_HMAC_SHA256] = { 28, 32, 32 },	 [XI_AUTH_HMAC_SHA384] = { 36, 40, 40 },
		[XI_AUTH_HMAC_SHA512] = { 44, 48, 48 },	 [XI_AUTH_AES_CMAC] = { 24, 24, 24 },
	};
	static struct test_ah t;

	for (unsigned int auth = 0; auth < AUTHS; auth++) {
		for (int kind = 0; kind < 4; kind++) {
			test_ah_init(&t, kind < 2 ? 4 : 6, kind & 1, auth,
				     kind == 0 || kind == 3 ? XFRM_STATE_ALIGN4 : 0);
			assert_int_equal(xi_ah_len(&t.ctx), want[auth][kind < 2 ? kind : 2]);
			assert_int_equal(xi_ah_overhead(&t.ctx),
					 xi_ah_len(&t.ctx) + (kind & 1 ? 0 : kind ? 40 : 20));
		}
	}
}

static void random_packet(uint8_t *ip, int version, size_t len)
{
	for (size_t i = 0; i < len; i++)
		ip[i] = (uint8_t)rand();
	if (version == 4) {
		ip[0] = 0x45;
		put16(ip + 2, len);
		put16(ip + 6, rand() & 1 ? 0x4000 : 0);
		fix_sum(ip);
	} else {
		ip[0] = (uint8_t)(0x60 | (rand() & 15));
		put16(ip + 4, len - 40);
		ip[6] = 253;
	}
}

/* Every length, algorithm, mode and family: and ECN, which is CE on no more than the inside. */
static void random_packets_go_there_and_back(void **state)
{
	static uint8_t clear[TEST_PKT_MAX];
	static struct test_pkt p;
	static struct test_ah t;

	srand(4302);
	for (unsigned int turn = 0; turn < 3000; turn++) {
		int outer = turn & 1 ? 6 : 4, inner = turn & 2 ? 6 : 4;
		bool transport = turn & 4;
		size_t len = 40 + (size_t)rand() % (turn % 16 ? 300 : 8960);
		uint64_t seq = 1 + turn;

		if (transport)
			inner = outer;
		test_ah_init(&t, outer, transport, turn / 8 % AUTHS,
			     (turn & 16 ? XFRM_STATE_ESN : 0) | (turn & 32 ? XFRM_STATE_ALIGN4 : 0));
		random_packet(clear, inner, len);
		test_pkt_set(&p, clear, len);
		assert_int_equal(test_ah_seal(&t, seq, &p.pkt), XI_NONE);
		assert_int_equal(p.pkt.len, len + xi_ah_overhead(&t.ctx));
		if (outer == 4)
			assert_int_equal(test_checksum(p.pkt.data, 20), 0);
		assert_int_equal(test_ah_open(&t, &p.pkt, NULL), XI_NONE);
		expect_pkt("random", &p, clear, len);
		assert_int_equal(t.state.packets, 2);
		assert_int_equal(t.state.bytes,
				 2 * (transport ? len - (outer == 4 ? 20 : 40) : len));
	}
}

/* What lies behind the packet's own length is neither covered nor carried along. */
static void link_padding_is_not_covered(void **state)
{
	static struct test_pkt p, q;
	static struct test_ah t;
	uint8_t inner[60] = { 0 };

	for (int transport = 0; transport < 2; transport++) {
		test_ah_init(&t, 4, transport, XI_AUTH_HMAC_SHA1, 0);
		test_inner4(inner, 30, 0);
		test_pkt_set(&p, inner, 30);
		memset(inner + 30, 0xee, 30);
		test_pkt_set(&q, inner, 60);
		assert_int_equal(test_ah_seal(&t, 7, &p.pkt), XI_NONE);
		assert_int_equal(test_ah_seal(&t, 7, &q.pkt), XI_NONE);
		expect_pkt("padded", &q, p.pkt.data, p.pkt.len);
		q.pkt.len += 16;
		q.pkt.tailroom -= 16;
		memset(q.pkt.data + q.pkt.len - 16, 0x77, 16);
		assert_int_equal(test_ah_open(&t, &q.pkt, NULL), XI_NONE);
		expect_pkt("padded", &q, inner, 30);
	}
}

/* A frame inside another one: its job with ESN writes where the outer one's trailer is already. */
static void what_lies_behind_a_frame_is_put_back(void **state)
{
	static struct test_pkt p;
	static struct test_ah t;
	struct xi_ah_saved saved;
	struct xi_aead_job job;
	struct xi_frame frame;
	struct xi_esp_in in;
	uint8_t inner[64];

	test_ah_init(&t, 4, true, XI_AUTH_HMAC_SHA256, XFRM_STATE_ESN);
	test_inner4(inner, sizeof(inner), 0);
	test_pkt_set(&p, inner, sizeof(inner));
	assert_int_equal(xi_ah_frame(&t.ctx, 0x500000001, &p.pkt, &frame), XI_NONE);
	memcpy(p.pkt.data + p.pkt.len, "\1\2\2\4", 4);
	assert_int_equal(xi_ah_out_job(&t.ctx, &frame, &saved, &job), XI_NONE);
	test_ah_seal_job(&t, &job);
	assert_memory_equal(p.pkt.data + p.pkt.len, "\0\0\0\5", 4);
	xi_ah_restore(&saved);
	assert_memory_equal(p.pkt.data + p.pkt.len, "\1\2\2\4", 4);

	t.state.top = 0x500000000;
	assert_int_equal(xi_ah_in_prepare(&t.ctx, &p.pkt, &job, &in, &saved), XI_NONE);
	test_ah_open_job(&t, &job);
	assert_int_equal(job.status, 0);
	xi_ah_restore(&saved);
	assert_memory_equal(p.pkt.data + p.pkt.len, "\1\2\2\4", 4);
}

/* RFC 4302 section 2.5.1: the high half is covered though it is not sent. */
static void another_high_half_of_the_number_fails(void **state)
{
	static struct test_pkt p;
	static struct test_ah t;
	uint8_t inner[64];

	for (unsigned int auth = 0; auth < AUTHS; auth++) {
		test_ah_init(&t, 6, false, auth, XFRM_STATE_ESN);
		test_inner4(inner, sizeof(inner), 0);
		test_pkt_set(&p, inner, sizeof(inner));
		assert_int_equal(test_ah_seal(&t, 0x100000001, &p.pkt), XI_NONE);
		assert_int_equal(test_ah_open(&t, &p.pkt, NULL), XI_DROP_ICV);
		t.state.top = 0x100000000;
		assert_int_equal(test_ah_open(&t, &p.pkt, NULL), XI_NONE);
		assert_int_equal(t.state.top, 0x100000001);
	}
}

static void a_bad_icv_moves_nothing_and_is_named_by_mode(void **state)
{
	static const enum xi_crypto_status names[] = { XI_CRYPTO_TUNNEL_AH_AUTH_FAILED,
						       XI_CRYPTO_TRANSPORT_AH_AUTH_FAILED };
	static uint8_t sealed[TEST_PKT_MAX];
	static struct test_pkt p;
	static struct test_ah t;
	enum xi_crypto_status status;
	uint8_t inner[64];
	uint32_t len;

	for (int transport = 0; transport < 2; transport++) {
		test_ah_init(&t, 4, transport, XI_AUTH_HMAC_SHA384, 0);
		test_inner4(inner, sizeof(inner), 0);
		test_pkt_set(&p, inner, sizeof(inner));
		assert_int_equal(test_ah_seal(&t, 9, &p.pkt), XI_NONE);
		memcpy(sealed, p.pkt.data, len = p.pkt.len);
		p.pkt.data[len - 1] ^= 1;
		status = XI_CRYPTO_SUCCESS;
		assert_int_equal(test_ah_open(&t, &p.pkt, &status), XI_DROP_ICV);
		assert_int_equal(status, names[transport]);
		assert_int_equal(t.state.top, 0);
		assert_int_equal(t.state.integrity_failed, 1);
		assert_int_equal(t.state.packets, 1); /* the one that was sent */
		p.pkt.data[len - 1] ^= 1;
		expect_pkt("put back", &p, sealed, len);
		assert_int_equal(test_ah_open(&t, &p.pkt, &status), XI_NONE);
		assert_int_equal(status, XI_CRYPTO_SUCCESS);
		assert_int_equal(t.state.top, 9);
	}
}

/* Nothing of the packet, its bounds or what is around it. */
static void expect_refused(struct test_ah *t, struct test_pkt *p, enum xi_reason want)
{
	static struct test_pkt before;
	struct xi_frame frame;
	enum xi_reason why;

	before = *p;
	why = xi_ah_frame(&t->ctx, 1, &p->pkt, &frame);
	if (why != want)
		fail_msg("framed with %d, not %d", why, want);
	assert_memory_equal(&before, p, sizeof(before));
}

static void what_cannot_be_framed_is_left_alone(void **state)
{
	static struct test_pkt p;
	static struct test_ah t;
	uint8_t ip[400];

	test_inner4(ip, 100, 0);
	test_ah_init(&t, 4, true, XI_AUTH_HMAC_SHA1, 0);
	test_pkt_set(&p, ip, 100);
	p.pkt.headroom = 23;
	expect_refused(&t, &p, XI_DROP_TOO_BIG);
	test_pkt_set(&p, ip, 99);
	expect_refused(&t, &p, XI_DROP_WORKER_MALFORMED);
	test_ah_init(&t, 6, true, XI_AUTH_HMAC_SHA1, 0);
	test_pkt_set(&p, ip, 100);
	expect_refused(&t, &p, XI_DROP_SA_MODE);
	test_ah_init(&t, 4, false, XI_AUTH_HMAC_SHA1, 0);
	t.ctx.inner_family = 6;
	expect_refused(&t, &p, XI_DROP_SA_MODE);
	t.ctx.inner_family = 0;
	p.pkt.headroom = 43;
	expect_refused(&t, &p, XI_DROP_TOO_BIG);
	test_ah_init(&t, 4, false, XI_AUTH_HMAC_SHA1, XFRM_STATE_ESN);
	test_pkt_set(&p, ip, 100);
	p.pkt.tailroom = 3;
	expect_refused(&t, &p, XI_DROP_TOO_BIG);
	p.pkt.tailroom = 4;
	assert_int_equal(test_ah_seal(&t, 1, &p.pkt), XI_NONE);

	test_ah_init(&t, 4, true, XI_AUTH_HMAC_SHA1, 0);
	for (unsigned int frag = 0x2000; frag; frag = frag == 0x2000 ? 1 : frag * 2 & 0x1fff) {
		put16(ip + 6, frag);
		test_pkt_set(&p, ip, 100);
		expect_refused(&t, &p, XI_DROP_SA_MODE);
	}
	put16(ip + 6, 0);
	ip[0] = 0x46;
	memcpy(ip + 20, "\x07\x05\x04\x00", 4); /* an option that leaves the header */
	test_pkt_set(&p, ip, 100);
	expect_refused(&t, &p, XI_DROP_WORKER_MALFORMED);
}

/* The largest packets that IP has (RFC 791, RFC 8200). */
static void nothing_grows_beyond_65535(void **state)
{
	static uint8_t buf[128 + 65575 + 128];
	static struct test_ah t;
	struct xi_frame frame;
	struct xi_pkt pkt;

	for (int kind = 0; kind < 4; kind++) {
		bool transport = kind & 1, v6 = kind & 2;
		uint32_t most = v6 ? 65575 : 65535;

		test_ah_init(&t, v6 ? 6 : 4, transport, XI_AUTH_HMAC_SHA256, XFRM_STATE_ALIGN4);
		for (int over = 1; over >= 0; over--) {
			uint32_t len = most - xi_ah_overhead(&t.ctx) + (uint32_t)over;

			pkt = (struct xi_pkt){ buf + 128, len, 128, sizeof(buf) - 128 - len };
			if (v6)
				test_inner6(pkt.data, (uint16_t)len, 0), put16(pkt.data + 4, len - 40);
			else
				test_inner4(pkt.data, (uint16_t)len, 0);
			assert_int_equal(xi_ah_frame(&t.ctx, 1, &pkt, &frame),
					 over ? XI_DROP_TOO_BIG : XI_NONE);
		}
		assert_int_equal(pkt.len, most);
	}
}

/* Seals whatever stands in p as AH of t, which the holder of the key can do. */
static void seal_as_it_stands(struct test_ah *t, struct test_pkt *p, uint32_t at)
{
	struct xi_frame frame = { .ip = p->pkt.data, .len = p->pkt.len, .offset = at, .seq = 1 };
	struct xi_ah_saved saved;
	struct xi_aead_job job;

	assert_int_equal(xi_ah_out_job(&t->ctx, &frame, &saved, &job), XI_NONE);
	test_ah_seal_job(t, &job);
	xi_ah_restore(&saved);
}

static void sealed_packet(struct test_ah *t, struct test_pkt *p, uint16_t len)
{
	uint8_t ip[256];

	if (t->ctx.family == 4)
		test_inner4(ip, len, 0);
	else
		test_inner6(ip, len, 0);
	test_pkt_set(p, ip, len);
	assert_int_equal(test_ah_seal(t, 1, &p->pkt), XI_NONE);
}

static void what_the_tunnel_carries_is_judged(void **state)
{
	static const struct {
		int byte; /* of the sealed packet: AH at 20, the inner packet at 44 */
		uint8_t value;
		uint8_t inner_family;
		enum xi_reason why;
		enum xi_crypto_status status;
	} cases[] = {
		{ 20, 4, 0, XI_NONE, XI_CRYPTO_SUCCESS },
		{ 20, 4, 4, XI_NONE, XI_CRYPTO_SUCCESS },
		{ 20, 4, 6, XI_DROP_INNER, XI_CRYPTO_INVALID_PROTOCOL },
		{ 20, 41, 0, XI_DROP_INNER, XI_CRYPTO_INVALID_PACKET_SYNTAX },
		{ 20, 17, 0, XI_DROP_INNER, XI_CRYPTO_INVALID_PROTOCOL },
		{ 20, 59, 0, XI_DROP_INNER, XI_CRYPTO_INVALID_PROTOCOL },
		{ 44, 0x65, 0, XI_DROP_INNER, XI_CRYPTO_INVALID_PACKET_SYNTAX },
		{ 44, 0x44, 0, XI_DROP_INNER, XI_CRYPTO_INVALID_PACKET_SYNTAX },
		{ 47, 61, 0, XI_DROP_INNER, XI_CRYPTO_INVALID_PACKET_SYNTAX },
		{ 47, 59, 0, XI_NONE, XI_CRYPTO_SUCCESS },
		{ 1, 3, 0, XI_DROP_INNER_ECN, XI_CRYPTO_SUCCESS },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		static struct test_pkt p;
		static struct test_ah t;
		enum xi_crypto_status status;
		enum xi_reason why;

		test_ah_init(&t, 4, false, XI_AUTH_HMAC_SHA1, 0);
		sealed_packet(&t, &p, 60);
		p.pkt.data[cases[i].byte] = cases[i].value;
		seal_as_it_stands(&t, &p, 20);
		t.ctx.inner_family = cases[i].inner_family;
		why = test_ah_open(&t, &p.pkt, &status);
		if (why != cases[i].why || status != cases[i].status)
			fail_msg("case %zu: reason %d, status %d", i, why, status);
		assert_int_equal(t.state.other_failed, why != XI_NONE);
		assert_int_equal(t.state.top, 1);
		if (cases[i].byte == 47 && !why)
			assert_int_equal(p.pkt.len, 59);
	}
}

/* Section 2.1: any protocol; 59 is no dummy packet here, and other bits of ECN are not looked at. */
static void transport_mode_carries_every_protocol(void **state)
{
	static uint8_t want[64];
	static struct test_pkt p;
	static struct test_ah t;

	for (int proto = 0; proto < 256; proto++) {
		for (int family = 4; family <= 6; family += 2) {
			test_ah_init(&t, family, true, XI_AUTH_HMAC_SHA1, 0);
			sealed_packet(&t, &p, 64);
			p.pkt.data[family == 4 ? 20 : 40] = (uint8_t)proto;
			seal_as_it_stands(&t, &p, family == 4 ? 20 : 40);
			assert_int_equal(test_ah_open(&t, &p.pkt, NULL), XI_NONE);
			if (family == 4)
				test_inner4(want, 64, 0);
			else
				test_inner6(want, 64, 0);
			want[family == 4 ? 9 : 6] = (uint8_t)proto;
			if (family == 4)
				fix_sum(want);
			expect_pkt("protocol", &p, want, 64);
		}
	}
}

/* Nothing behind AH: an upper layer of no bytes at all. */
static void an_empty_payload_goes_there_and_back(void **state)
{
	static struct test_pkt p;
	static struct test_ah t;
	uint8_t ip[40];

	for (int family = 4; family <= 6; family += 2) {
		uint16_t len = family == 4 ? 20 : 40;

		test_ah_init(&t, family, true, XI_AUTH_NONE, XFRM_STATE_ESN);
		sealed_packet(&t, &p, len);
		assert_int_equal(p.pkt.len, len + t.ctx.ah_len);
		assert_int_equal(test_ah_open(&t, &p.pkt, NULL), XI_NONE);
		if (family == 4)
			test_inner4(ip, len, 0);
		else
			test_inner6(ip, len, 0);
		expect_pkt("empty", &p, ip, len);
		assert_int_equal(t.state.bytes, 0);
	}
}

/* Either padding on IPv4, one on IPv6, of any content, which is covered; no other length. */
static void received_lengths_must_be_those_of_the_icv(void **state)
{
	static const struct {
		int family;
		uint32_t flags, ah_len;
		bool good;
	} cases[] = {
		{ 4, 0, 32, true }, { 4, 0, 28, true }, { 4, XFRM_STATE_ALIGN4, 32, true },
		{ 4, XFRM_STATE_ALIGN4, 28, true }, { 4, 0, 36, false }, { 4, 0, 24, false },
		{ 6, 0, 32, true }, { 6, 0, 28, false }, { 6, 0, 40, false }, { 4, 0, 8, false },
		{ 4, 0, 64, false }, { 4, 0, 1028, false }, { 6, 0, 64, false },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint32_t at = cases[i].family == 4 ? 20 : 40, pad = 32 - 28;
		static struct test_pkt p;
		static struct test_ah t;
		enum xi_reason why;

		test_ah_init(&t, cases[i].family, true, XI_AUTH_HMAC_SHA256, cases[i].flags);
		t.ctx.ah_len = (uint8_t)(cases[i].ah_len < 256 && cases[i].ah_len >= 28 ? cases[i].ah_len
											: 32);
		sealed_packet(&t, &p, (uint16_t)(at + 21));
		t.ctx.ah_len = (uint8_t)xi_ah_len(&t.ctx);
		p.pkt.data[at + 1] = (uint8_t)(cases[i].ah_len / 4 - 2);
		p.pkt.data[at + 2] = 0x5a; /* reserved: sent as zero, ignored when received */
		if (cases[i].ah_len == 32)
			memset(p.pkt.data + at + 28, 0xa5, pad);
		seal_as_it_stands(&t, &p, at);
		why = test_ah_open(&t, &p.pkt, NULL);
		if (why != (cases[i].good ? XI_NONE : XI_DROP_SHORT))
			fail_msg("case %zu: reason %d", i, why);
		if (cases[i].good)
			assert_int_equal(p.pkt.len, at + 21);
	}
}

/* Every length up to the whole packet, each in a buffer of exactly that size. */
static void cut_short_packets_are_refused(void **state)
{
	static struct test_pkt p;
	static struct test_ah t;

	for (int kind = 0; kind < 8; kind++) {
		bool v6 = kind & 1;

		test_ah_init(&t, v6 ? 6 : 4, kind & 2, XI_AUTH_NONE, kind & 4 ? XFRM_STATE_ESN : 0);
		sealed_packet(&t, &p, 90);
		for (uint32_t len = 1; len < p.pkt.len; len++) {
			for (int honest = 0; honest < 2; honest++) {
				uint8_t *exact = malloc(len);
				struct xi_pkt pkt = { exact, len, 0, 0 };

				assert_non_null(exact);
				memcpy(exact, p.pkt.data, len);
				if (honest && len >= (v6 ? 40 : 20))
					put16(exact + (v6 ? 4 : 2), v6 ? len - 40 : len);
				assert_int_not_equal(test_ah_open(&t, &pkt, NULL), XI_NONE);
				assert_ptr_equal(pkt.data, exact);
				assert_int_equal(pkt.len, len);
				free(exact);
			}
		}
		assert_int_equal(t.state.top, 0);
		assert_int_equal(t.state.packets, 1);
	}
}

static void other_packets_are_none_of_the_sa(void **state)
{
	static struct test_pkt p;
	static struct test_ah t;

	test_ah_init(&t, 4, true, XI_AUTH_HMAC_SHA1, 0);
	sealed_packet(&t, &p, 60);
	t.ctx.spi_be = htonl(0x1001);
	assert_int_equal(test_ah_open(&t, &p.pkt, NULL), XI_DROP_SA_GONE);
	t.ctx.spi_be = htonl(0x1000);
	t.ctx.family = 6;
	assert_int_equal(test_ah_open(&t, &p.pkt, NULL), XI_DROP_SA_GONE);
	t.ctx.family = 4;
	t.state.expired = 1;
	t.ctx.limited = 1;
	assert_int_equal(test_ah_open(&t, &p.pkt, NULL), XI_DROP_SA_EXPIRED);
	t.state.expired = 0;
	t.ctx.limited = 0;
	p.pkt.data[9] = IPPROTO_ESP;
	assert_int_equal(test_ah_open(&t, &p.pkt, NULL), XI_DROP_WORKER_MALFORMED);
	p.pkt.data[9] = IPPROTO_AH;
	p.pkt.data[7] = 1;
	assert_int_equal(test_ah_open(&t, &p.pkt, NULL), XI_DROP_WORKER_MALFORMED);
	p.pkt.data[7] = 0;
	memset(p.pkt.data + 28, 0, 4);
	assert_int_equal(test_ah_open(&t, &p.pkt, NULL), XI_DROP_SEQ_ZERO);
	assert_int_equal(t.state.replay_failed, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(scapy_packets_are_sealed_and_opened_exactly),
		cmocka_unit_test(the_header_is_padded_as_its_family_wants),
		cmocka_unit_test(random_packets_go_there_and_back),
		cmocka_unit_test(link_padding_is_not_covered),
		cmocka_unit_test(what_lies_behind_a_frame_is_put_back),
		cmocka_unit_test(another_high_half_of_the_number_fails),
		cmocka_unit_test(a_bad_icv_moves_nothing_and_is_named_by_mode),
		cmocka_unit_test(what_cannot_be_framed_is_left_alone),
		cmocka_unit_test(nothing_grows_beyond_65535),
		cmocka_unit_test(what_the_tunnel_carries_is_judged),
		cmocka_unit_test(transport_mode_carries_every_protocol),
		cmocka_unit_test(an_empty_payload_goes_there_and_back),
		cmocka_unit_test(received_lengths_must_be_those_of_the_icv),
		cmocka_unit_test(cut_short_packets_are_refused),
		cmocka_unit_test(other_packets_are_none_of_the_sa),
	};

	return cmocka_run_group_tests_name("ah", tests, NULL, NULL);
}
