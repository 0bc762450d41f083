// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * The split path: packets that somebody else framed get the crypto and nothing else. Frames are
 * scapy's packets with their plaintext put back, or made by hand; what comes of them is compared
 * with scapy's bytes, or decrypted by OpenSSL alone.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <arpa/inet.h>
#include <linux/xfrm.h>
#include <openssl/evp.h>
#include <cmocka.h>

#include "ah_sa.h"
#include "esp_sa.h"
#include "ipsec/framed.h"
#include "ipsec/transform.h"
#include "vectors.h"

#define GARBAGE 0xe5
#define ICV 16
#define HEAD 16 /* ESP header and IV of AES-GCM */

static void put16(uint8_t *p, size_t v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

static void put32(uint8_t *p, uint32_t v)
{
	put16(p, v >> 16);
	put16(p + 2, v & 0xffff);
}

static size_t ip_header(const uint8_t *ip)
{
	return ip[0] >> 4 == 6 ? 40 : (ip[0] & 0xfU) * 4;
}

/* Payload, padding 1, 2, 3 ... up to a multiple of align with two bytes more, pad length, next
 * header (RFC 4303). */
static size_t put_payload(uint8_t *out, const uint8_t *payload, size_t len, uint8_t next_header,
			  size_t align)
{
	uint8_t pad = 0;

	memmove(out, payload, len);
	while ((len + pad + 2) % align) {
		out[len + pad] = (uint8_t)(pad + 1);
		pad++;
	}
	out[len + pad] = pad;
	out[len + pad + 1] = next_header;
	return len + pad + 2;
}

static void expect_pkt(const char *name, const struct xi_pkt *pkt, const uint8_t *want, size_t len)
{
	if (pkt->len != len || memcmp(pkt->data, want, len))
		fail_msg("%s: %u bytes, other than the %zu wanted", name, pkt->len, len);
}

static enum xi_reason esp_crypto(struct test_sa *t, const struct xi_frame *frame, uint64_t *counted)
{
	struct xi_esp_tally tally = {.now = 1000};
	struct xi_aead_job job;
	enum xi_reason why;

	xi_esp_out_job(&t->ctx, frame, &job);
	t->engine->seal(t->crypto, &job, 1);
	why = xi_esp_out_finish(&t->ctx, frame, &job, &tally);
	*counted = tally.bytes;
	xi_esp_tally_flush(&tally);
	return why;
}

/* scapy's ESP, and what xipsec makes of the same packet when only ciphertext and ICV are missing.
 */
static void esp_vector(const json_t *v)
{
	static uint8_t clear[TEST_PKT_MAX], sealed[TEST_PKT_MAX];
	size_t clear_len = vec_hex(v, "clear", clear, TEST_PKT_MAX);
	size_t sealed_len = vec_hex(v, "sealed", sealed, TEST_PKT_MAX), at = ip_header(sealed);
	int family = vec_int(v, "outer") == 6 ? XI_IPV6 : XI_IPV4;
	static struct test_sa t;
	static struct test_pkt p;
	struct xi_frame frame;
	uint64_t counted;
	uint8_t *esp;

	test_sa_default(&t, family);
	t.sa.id.spi = (uint32_t)vec_int(v, "spi");
	assert_int_equal(inet_pton(family, vec_str(v, "saddr"), t.sa.saddr), 1);
	assert_int_equal(inet_pton(family, vec_str(v, "daddr"), t.sa.id.daddr), 1);
	t.raw.len = (uint32_t)vec_hex(v, "key", t.raw.key, XI_KEY_MAX);
	t.sa.key_bits = (t.raw.len - 4) * 8;
	t.sa.flags |= vec_bool(v, "esn") ? XFRM_STATE_ESN : 0;
	t.state.oseq = vec_int(v, "seq") + 3;
	test_sa_start(&t, NULL);

	test_pkt_set(&p, sealed, sealed_len);
	esp = p.pkt.data + at;
	memset(esp + 8, GARBAGE, sealed_len - at - 8);
	put_payload(esp + HEAD, clear, clear_len, clear[0] >> 4 == 6 ? 41 : 4, 4);
	/* as from a device that has padded the frame */
	p.pkt.len += 7;
	p.pkt.tailroom -= 7;
	assert_int_equal(xi_framed_parse(&t.ctx, &p.pkt, &frame), XI_NONE);
	assert_ptr_equal(frame.ip, p.pkt.data);
	assert_int_equal(frame.len, sealed_len);
	assert_true(frame.seq == vec_int(v, "seq"));
	assert_int_equal(esp_crypto(&t, &frame, &counted), XI_NONE);
	assert_int_equal(counted, clear_len);
	p.pkt.len -= 7;
	expect_pkt(vec_str(v, "name"), &p.pkt, sealed, sealed_len);
	test_sa_stop(&t);
}

static void scapy_esp_packets_get_the_crypto_alone(void **state)
{
	json_t *root = vec_load("esp-gcm.json"), *v;
	size_t i;

	json_array_foreach(json_object_get(root, "vectors"), i, v) esp_vector(v);
	assert_int_equal(i, 72);
	json_decref(root);
}

static enum xi_auth auth_named(const char *name)
{
	static const struct {
		const char *name;
		enum xi_auth auth;
	} auths[] = {
		{"sha1", XI_AUTH_HMAC_SHA1},	 {"sha256", XI_AUTH_HMAC_SHA256},
		{"sha384", XI_AUTH_HMAC_SHA384}, {"sha512", XI_AUTH_HMAC_SHA512},
		{"cmac", XI_AUTH_AES_CMAC},
	};

	for (size_t i = 0; i < sizeof(auths) / sizeof(auths[0]); i++)
		if (strstr(name, auths[i].name))
			return auths[i].auth;
	return XI_AUTH_NONE;
}

static size_t ah_offset(const uint8_t *ip)
{
	size_t at = ip_header(ip), nh = 6;

	while (ip[0] >> 4 == 6 && ip[nh] != IPPROTO_AH) {
		nh = at;
		at += (ip[at + 1] + 1U) * 8;
	}
	return at;
}

static void ah_vector(const json_t *v)
{
	static uint8_t sealed[TEST_PKT_MAX];
	size_t clear_len = vec_hex(v, "clear", (uint8_t[TEST_PKT_MAX]){0}, TEST_PKT_MAX);
	size_t sealed_len = vec_hex(v, "sealed", sealed, TEST_PKT_MAX), at = ah_offset(sealed);
	bool tunnel = !strcmp(vec_str(v, "mode"), "tunnel"), v6 = sealed[0] >> 4 == 6;
	static struct test_ah t;
	static struct test_pkt p;
	struct xi_esp_tally tally = {.now = 1000};
	struct xi_ah_saved saved;
	struct xi_aead_job job;
	struct xi_frame frame;

	test_ah_init(&t, (int)vec_int(v, "outer"), !tunnel, auth_named(vec_str(v, "auth")),
		     XFRM_STATE_ALIGN4 | (vec_bool(v, "esn") ? XFRM_STATE_ESN : 0));
	t.ctx.spi_be = htonl((uint32_t)vec_int(v, "spi"));
	t.key_len = vec_hex(v, "key", t.key, sizeof(t.key));
	memcpy(t.ctx.hdr + (v6 ? 8 : 12), sealed + (v6 ? 8 : 12), v6 ? 32 : 8);
	t.state.oseq = vec_int(v, "seq");
	t.state.oseq_limit = UINT64_MAX;
	test_pkt_set(&p, sealed, sealed_len);
	memset(p.pkt.data + at + 12, GARBAGE, t.ctx.iv_len + t.ctx.icv_len);
	assert_int_equal(xi_framed_parse(&t.ctx, &p.pkt, &frame), XI_NONE);
	assert_int_equal(frame.offset, at);
	assert_int_equal(xi_ah_out_job(&t.ctx, &frame, &saved, &job), XI_NONE);
	test_ah_seal_job(&t, &job);
	xi_ah_restore(&saved);
	assert_int_equal(xi_ah_out_finish(&t.ctx, &job, &tally), XI_NONE);
	assert_int_equal(tally.bytes, clear_len - (tunnel ? 0 : at));
	expect_pkt(vec_str(v, "name"), &p.pkt, sealed, sealed_len);
}

static void scapy_ah_packets_get_their_icv_alone(void **state)
{
	json_t *root = vec_load("ah.json"), *v;
	size_t i;

	json_array_foreach(json_object_get(root, "vectors"), i, v) ah_vector(v);
	assert_int_equal(i, 78);
	json_decref(root);
}

/* A frame of an SA of test_sa_default() by hand: payload of len bytes inside, number seq. */
static uint8_t *frame_by_hand(const struct test_sa *t, struct test_pkt *p, uint32_t seq,
			      const uint8_t *payload, size_t len, uint8_t next_header)
{
	bool v6 = t->sa.id.family == XI_IPV6, udp = t->sa.encap;
	size_t at = (v6 ? 40 : 20) + (udp ? 8 : 0), total;
	uint8_t *ip, *esp;

	test_pkt_set(p, NULL, 0);
	ip = p->pkt.data;
	esp = ip + at;
	memset(ip, 0, at);
	put32(esp, t->sa.id.spi);
	put32(esp + 4, seq);
	memset(esp + 8, GARBAGE, 8);
	total = at + HEAD + put_payload(esp + HEAD, payload, len, next_header, 4);
	memset(ip + total, GARBAGE, ICV);
	total += ICV;
	if (v6) {
		test_inner6(ip, (uint16_t)40, 0);
		put16(ip + 4, total - 40);
		ip[6] = udp ? IPPROTO_UDP : IPPROTO_ESP;
		memcpy(ip + 8, t->sa.saddr, 16);
		memcpy(ip + 24, t->sa.id.daddr, 16);
	} else {
		test_inner4(ip, 20, 0);
		put16(ip + 2, total);
		ip[9] = udp ? IPPROTO_UDP : IPPROTO_ESP;
		memcpy(ip + 12, t->sa.saddr, 4);
		memcpy(ip + 16, t->sa.id.daddr, 4);
		put16(ip + 10, 0);
		put16(ip + 10, test_checksum(ip, 20));
	}
	if (udp) {
		memset(esp - 8, 0, 8);
		put16(esp - 8, t->sa.encap_sport);
		put16(esp - 6, t->sa.encap_dport);
		put16(esp - 4, total - at + 8);
	}
	p->pkt.len = (uint32_t)total;
	p->pkt.tailroom = (uint32_t)(p->buf + sizeof(p->buf) - ip - total);
	return esp;
}

/* Plaintext of an ESP packet by AES-128-GCM of OpenSSL alone, in place; from the SPI on. */
static void open_in_place(const struct test_sa *t, uint8_t *esp, size_t len, uint64_t seq)
{
	EVP_CIPHER_CTX *c = EVP_CIPHER_CTX_new();
	uint8_t nonce[12], aad[12];
	bool esn = t->sa.flags & XFRM_STATE_ESN;
	int n, data = (int)(len - HEAD - ICV);

	memcpy(nonce, t->raw.key + 16, 4);
	put32(nonce + 4, (uint32_t)(seq >> 32));
	put32(nonce + 8, (uint32_t)seq);
	assert_memory_equal(esp + 8, nonce + 4, 8);
	memcpy(aad, esp, 4);
	memcpy(aad + 4, esp + 4, 4);
	if (esn) {
		put32(aad + 4, (uint32_t)(seq >> 32));
		put32(aad + 8, (uint32_t)seq);
	}
	assert_int_equal(EVP_DecryptInit_ex(c, EVP_aes_128_gcm(), NULL, t->raw.key, nonce), 1);
	assert_int_equal(EVP_DecryptUpdate(c, NULL, &n, aad, esn ? 12 : 8), 1);
	assert_int_equal(EVP_DecryptUpdate(c, esp + HEAD, &n, esp + HEAD, data), 1);
	assert_int_equal(EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_GCM_SET_TAG, ICV, esp + len - ICV), 1);
	assert_int_equal(EVP_DecryptFinal_ex(c, esp + HEAD + n, &n), 1);
	EVP_CIPHER_CTX_free(c);
}

static void sa_start(struct test_sa *t, unsigned int kind, uint64_t oseq)
{
	test_sa_default(t, kind & 1 ? XI_IPV6 : XI_IPV4);
	if (kind & 2)
		t->sa.mode = XI_TRANSPORT;
	if (kind & 4)
		t->sa.flags |= XFRM_STATE_ESN;
	if (kind & 8) {
		t->sa.encap = XI_ENCAP_ESPINUDP;
		t->sa.encap_sport = 4500;
		t->sa.encap_dport = 30000;
	}
	t->state.oseq = oseq;
	test_sa_start(t, NULL);
}

static size_t inside(uint8_t *inner, unsigned int kind, size_t len)
{
	memset(inner, 0x5a, len);
	if (!(kind & 2))
		test_inner4(inner, (uint16_t)len, 0);
	return len;
}

static void every_kind_is_opened_by_another_implementation(void **state)
{
	static const uint64_t oseqs[] = {1, 9, 0xffffffff, 0x100000000, 0x500000003};
	static uint8_t inner[2048], before[2048];
	static struct test_sa t;
	static struct test_pkt p;
	struct xi_frame frame;
	uint64_t counted;

	for (unsigned int kind = 0; kind < 16; kind++) {
		for (unsigned int i = 0; i < 5; i++) {
			size_t len = inside(inner, kind, 20 + 37 * i), esp_len;
			uint8_t *esp;

			if (!(kind & 4) && oseqs[i] > UINT32_MAX)
				continue;
			sa_start(&t, kind, oseqs[i]);
			esp = frame_by_hand(&t, &p, (uint32_t)oseqs[i], inner, len,
					    kind & 2 ? 253 : 4);
			esp_len = (size_t)(p.pkt.data + p.pkt.len - esp);
			memcpy(before, p.pkt.data, p.pkt.len);
			assert_int_equal(xi_framed_parse(&t.ctx, &p.pkt, &frame), XI_NONE);
			assert_true(frame.seq == oseqs[i]);
			assert_int_equal(esp_crypto(&t, &frame, &counted), XI_NONE);
			assert_int_equal(counted, len);
			assert_int_equal(t.state.packets, 1);
			assert_true(t.state.oseq == oseqs[i]);
			open_in_place(&t, esp, esp_len, oseqs[i]);
			assert_memory_equal(esp + HEAD, before + (esp - p.pkt.data) + HEAD,
					    esp_len - HEAD - ICV);
			/* the headers as they were, but for UDP's checksum, which IPv6 must have */
			if ((kind & 9) == 9) {
				assert_int_not_equal(esp[-2] << 8 | esp[-1], 0);
				esp[-2] = esp[-1] = 0;
			}
			assert_memory_equal(p.pkt.data, before, (size_t)(esp - p.pkt.data) + 8);
			test_sa_stop(&t);
		}
	}
}

/* What RFC 4303 section 2.2.1 and appendix A2 say of the high half, for a sender who knows the last
 * number. */
static void the_number_must_have_been_given_out(void **state)
{
	static const struct {
		bool esn;
		uint64_t oseq, limit;
		uint32_t sent;
		enum xi_reason why;
		uint64_t seq;
	} cases[] = {
		{false, 5, UINT64_MAX, 5, XI_NONE, 5},
		{false, 5, UINT64_MAX, 1, XI_NONE, 1},
		{false, 5, UINT64_MAX, 6, XI_DROP_WORKER_MALFORMED, 0},
		{false, 5, UINT64_MAX, 0, XI_DROP_WORKER_MALFORMED, 0},
		{false, 0, UINT64_MAX, 1, XI_DROP_WORKER_MALFORMED, 0},
		{false, 5, UINT64_MAX, 0xffffffff, XI_DROP_WORKER_MALFORMED, 0},
		{false, 0xffffffff, UINT64_MAX, 0xffffffff, XI_NONE, 0xffffffff},
		/* an addition too many: 2^32 is none, and what came before it is */
		{false, 0x100000000, UINT64_MAX, 0, XI_DROP_SEQ_EXHAUSTED, 0},
		{false, 0x100000005, UINT64_MAX, 5, XI_DROP_SEQ_EXHAUSTED, 0},
		{false, 0x100000005, UINT64_MAX, 0xfffffff0, XI_NONE, 0xfffffff0},
		/* the reserve on disk */
		{false, 105, 100, 100, XI_NONE, 100},
		{false, 105, 100, 101, XI_DROP_SEQ_RESERVE, 0},
		{true, 5, UINT64_MAX, 5, XI_NONE, 5},
		{true, 5, UINT64_MAX, 6, XI_DROP_WORKER_MALFORMED, 0},
		{true, 5, UINT64_MAX, 0, XI_DROP_WORKER_MALFORMED, 0},
		{true, 0x100000000, UINT64_MAX, 0, XI_NONE, 0x100000000},
		{true, 0x100000000, UINT64_MAX, 1, XI_NONE, 1},
		{true, 0x300000002, UINT64_MAX, 2, XI_NONE, 0x300000002},
		{true, 0x300000002, UINT64_MAX, 3, XI_NONE, 0x200000003},
		{true, 0x300000002, 0x300000001, 2, XI_DROP_SEQ_RESERVE, 0},
	};
	static uint8_t inner[64];
	static struct test_sa t;
	static struct test_pkt p;
	struct xi_frame frame;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		sa_start(&t, cases[i].esn ? 4 : 0, cases[i].oseq);
		t.state.oseq_limit = cases[i].limit;
		frame_by_hand(&t, &p, cases[i].sent, inner, inside(inner, 0, 64), 4);
		if (xi_framed_parse(&t.ctx, &p.pkt, &frame) != cases[i].why)
			fail_msg("case %zu", i);
		if (!cases[i].why)
			assert_true(frame.seq == cases[i].seq);
		test_sa_stop(&t);
	}
}

static void fix_ip(uint8_t *ip)
{
	put16(ip + 10, 0);
	put16(ip + 10, test_checksum(ip, (ip[0] & 0xfU) * 4));
}

/* kind as sa_start(); what is changed of the frame: byte at an offset from the IP header (negative:
 * from the end). */
static const struct lie {
	const char *name;
	unsigned int kind;
	int at;
	uint8_t value;
	enum xi_reason why;
} lies[] = {
	{"version", 0, 0, 0x65, XI_DROP_WORKER_MALFORMED},
	{"header length", 0, 0, 0x44, XI_DROP_WORKER_MALFORMED},
	{"total length beyond the packet", 0, 2, 0x20, XI_DROP_WORKER_MALFORMED},
	{"total length of nothing", 0, 3, 20, XI_DROP_WORKER_MALFORMED},
	{"more fragments", 0, 6, 0x20, XI_DROP_WORKER_MALFORMED},
	{"fragment offset", 0, 7, 1, XI_DROP_WORKER_MALFORMED},
	{"another protocol", 0, 9, IPPROTO_UDP, XI_DROP_SA_MODE},
	{"another source", 0, 15, 9, XI_DROP_SA_GONE},
	{"another destination", 0, 19, 9, XI_DROP_SA_GONE},
	{"another destination, transport mode", 2, 19, 9, XI_DROP_SA_GONE},
	{"another SPI", 0, 20, 9, XI_DROP_SA_GONE},
	{"another SPI, transport mode", 2, 23, 9, XI_DROP_SA_GONE},
	{"a number that nobody took", 0, 24, 1, XI_DROP_WORKER_MALFORMED},
	{"next header of a protocol in tunnel mode", 0, -17, 17, XI_DROP_WORKER_MALFORMED},
	{"next header of IPv6 with IPv4 inside", 0, -17, 41, XI_DROP_WORKER_MALFORMED},
	{"pad length less than is there", 0, -18, 0, XI_NONE},
	{"pad length beyond the payload", 0, -18, 200, XI_DROP_WORKER_MALFORMED},
	{"padding", 0, -19, 7, XI_DROP_WORKER_MALFORMED},
	{"version inside", 0, 36, 0x65, XI_DROP_WORKER_MALFORMED},
	{"length inside beyond the payload", 0, 39, 200, XI_DROP_WORKER_MALFORMED},
	{"IPv6 payload length", 1, 5, 200, XI_DROP_WORKER_MALFORMED},
	{"IPv6, another protocol", 1, 6, 17, XI_DROP_SA_MODE},
	{"IPv6, another destination", 1, 39, 9, XI_DROP_SA_GONE},
	{"UDP source port", 8, 21, 9, XI_DROP_WORKER_MALFORMED},
	{"UDP destination port", 8, 23, 9, XI_DROP_WORKER_MALFORMED},
	{"UDP length", 8, 25, 200, XI_DROP_WORKER_MALFORMED},
	{"UDP checksum", 8, 27, 1, XI_DROP_WORKER_MALFORMED},
};

static void lie_is_found(const struct lie *lie)
{
	static uint8_t inner[64], before[sizeof(((struct test_pkt *)0)->buf)];
	static struct test_sa t;
	static struct test_pkt p;
	enum xi_reason why;
	struct xi_frame frame;
	struct xi_pkt pkt;
	size_t at;

	sa_start(&t, lie->kind, 5);
	/* 63 bytes and 3 of padding */
	frame_by_hand(&t, &p, 5, inner, inside(inner, lie->kind, 63), lie->kind & 2 ? 253 : 4);
	assert_int_equal(xi_framed_parse(&t.ctx, &p.pkt, &frame), XI_NONE);
	frame_by_hand(&t, &p, 5, inner, 63, lie->kind & 2 ? 253 : 4);
	at = lie->at < 0 ? p.pkt.len + lie->at : (size_t)lie->at;
	p.pkt.data[at] = lie->value;
	if (!(lie->kind & 1) && at < 20 && (p.pkt.data[0] & 15) >= 5)
		fix_ip(p.pkt.data);
	memcpy(before, p.buf, sizeof(before));
	pkt = p.pkt;
	why = xi_framed_parse(&t.ctx, &p.pkt, &frame);
	if (why != lie->why)
		fail_msg("%s: reason %d", lie->name, why);
	assert_memory_equal(&p.pkt, &pkt, sizeof(pkt));
	if (why)
		assert_memory_equal(p.buf, before, sizeof(before));
	test_sa_stop(&t);
}

static void a_frame_that_lies_is_left_alone(void **state)
{
	for (size_t i = 0; i < sizeof(lies) / sizeof(lies[0]); i++)
		lie_is_found(&lies[i]);
}

static void a_wrong_ip_checksum_is_found(void **state)
{
	static uint8_t inner[64];
	static struct test_sa t;
	static struct test_pkt p;
	struct xi_frame frame;

	sa_start(&t, 0, 5);
	frame_by_hand(&t, &p, 5, inner, inside(inner, 0, 64), 4);
	p.pkt.data[10] ^= 1;
	assert_int_equal(xi_framed_parse(&t.ctx, &p.pkt, &frame), XI_DROP_WORKER_MALFORMED);
	test_sa_stop(&t);
}

/* No length is read beyond: a sanitizer would tell, for the packet ends where its buffer ends. */
static void every_cut_is_found(void **state)
{
	static uint8_t inner[64];
	static struct test_sa t;
	static struct test_pkt p;
	struct xi_frame frame;

	for (unsigned int kind = 0; kind < 16; kind++) {
		uint32_t len, at;

		sa_start(&t, kind, 5);
		frame_by_hand(&t, &p, 5, inner, inside(inner, kind, 64), kind & 2 ? 253 : 4);
		at = kind & 1 ? 40 : 20;
		for (len = p.pkt.len - 1; len > 0; len--) {
			uint8_t *copy = malloc(len);
			struct xi_pkt cut = {.data = copy, .len = len};

			memcpy(copy, p.pkt.data, len);
			assert_int_not_equal(xi_framed_parse(&t.ctx, &cut, &frame), XI_NONE);
			/* and with an IP header that owns up to it; such a cut may leave a packet,
			 * of other bytes */
			if (len >= at) {
				put16(copy + (kind & 1 ? 4 : 2), kind & 1 ? len - 40 : len);
				if (!(kind & 1))
					fix_ip(copy);
				if (kind & 8 && len >= at + 8)
					put16(copy + at + 4, len - at);
				if (!xi_framed_parse(&t.ctx, &cut, &frame))
					assert_int_equal(frame.len, len);
			}
			free(copy);
		}
		test_sa_stop(&t);
	}
}

static void dummy_and_tfc_padding_are_frames_too(void **state)
{
	static uint8_t inner[200];
	static struct test_sa t;
	static struct test_pkt p;
	struct xi_frame frame;

	sa_start(&t, 0, 5);
	frame_by_hand(&t, &p, 5, inner, 30, 59);
	assert_int_equal(xi_framed_parse(&t.ctx, &p.pkt, &frame), XI_NONE);
	assert_int_equal(frame.clear_len, 30);
	memset(inner, 0, sizeof(inner));
	frame_by_hand(&t, &p, 5, inner, 50 + inside(inner, 0, 64), 4);
	assert_int_equal(xi_framed_parse(&t.ctx, &p.pkt, &frame), XI_NONE);
	assert_int_equal(frame.clear_len, 114);
	test_sa_stop(&t);
}

/* ESP in transport mode, and a tunnel around it; each opened by OpenSSL. */
static void two_sas_are_done_from_the_inside_out(void **state)
{
	static uint8_t inner[64], saved[512];
	static struct test_sa in, out;
	static struct test_pkt p, q;
	struct xi_frame frame, next;
	uint64_t counted;
	uint8_t *esp, *outer;
	uint32_t inner_len;

	for (unsigned int kind = 0; kind < 2; kind++) {
		sa_start(&in, 2, 7);
		sa_start(&out, kind | 4, 0x100000009);
		out.sa.id.spi = 0x2000;
		out.raw.key[0] ^= 0xff;
		test_sa_stop(&out);
		test_sa_start(&out, NULL);
		frame_by_hand(&in, &q, 7, inner, inside(inner, 2, 61), 253);
		inner_len = q.pkt.len;
		memcpy(saved, q.pkt.data, inner_len);
		outer = frame_by_hand(&out, &p, 9, q.pkt.data, inner_len, 4);
		esp = outer + HEAD + 20;
		assert_int_equal(xi_framed_parse_two(&in.ctx, &out.ctx, &p.pkt, &frame, &next),
				 XI_NONE);
		assert_ptr_equal(next.ip, p.pkt.data);
		assert_int_equal(next.len, p.pkt.len);
		assert_ptr_equal(frame.ip, outer + HEAD);
		assert_int_equal(frame.len, inner_len);
		assert_int_equal(esp_crypto(&in, &frame, &counted), XI_NONE);
		assert_int_equal(counted, 61);
		assert_int_equal(esp_crypto(&out, &next, &counted), XI_NONE);
		assert_int_equal(counted, inner_len);
		open_in_place(&out, outer, (size_t)(p.pkt.data + p.pkt.len - outer), 0x100000009);
		open_in_place(&in, esp, inner_len - 20, 7);
		assert_memory_equal(esp + HEAD, saved + 20 + HEAD, inner_len - 20 - HEAD - ICV);
		test_sa_stop(&in);
		test_sa_stop(&out);
	}
}

static void lies_of_either_layer_leave_both_alone(void **state)
{
	static uint8_t inner[64], before[512];
	static struct test_sa in, out;
	static struct test_pkt p, q;
	struct xi_frame frame, next;

	sa_start(&in, 2, 7);
	sa_start(&out, 0, 9);
	frame_by_hand(&in, &q, 7, inner, inside(inner, 2, 61), 253);
	for (int lie = 0; lie < 5; lie++) {
		static const int at[] = {20, 36 + 20, 36 + 19, 36 + 24, 0};
		static const enum xi_reason why[] = {
			XI_DROP_SA_GONE, XI_DROP_SA_GONE, XI_DROP_WORKER_MALFORMED,
			XI_DROP_WORKER_MALFORMED, XI_DROP_WORKER_MALFORMED};

		frame_by_hand(&out, &p, 9, q.pkt.data, q.pkt.len, 4);
		p.pkt.data[at[lie]] ^= 0x80;
		memcpy(before, p.pkt.data, p.pkt.len);
		assert_int_equal(xi_framed_parse_two(&in.ctx, &out.ctx, &p.pkt, &frame, &next),
				 why[lie]);
		assert_memory_equal(p.pkt.data, before, p.pkt.len);
	}
	/* nothing is inside */
	frame_by_hand(&out, &p, 9, q.pkt.data, q.pkt.len, 59);
	assert_int_equal(xi_framed_parse_two(&in.ctx, &out.ctx, &p.pkt, &frame, &next),
			 XI_DROP_WORKER_MALFORMED);
	/* the wrong way round */
	frame_by_hand(&out, &p, 9, q.pkt.data, q.pkt.len, 4);
	assert_int_equal(xi_framed_parse_two(&out.ctx, &in.ctx, &p.pkt, &frame, &next),
			 XI_DROP_SA_MODE);
	test_sa_stop(&in);
	test_sa_stop(&out);
}

static void an_ah_frame_that_lies_is_found(void **state)
{
	static const struct {
		int at;
		uint8_t value;
		enum xi_reason why;
	} ah_lies[] = {
		{20, 41, XI_DROP_WORKER_MALFORMED},  /* next header */
		{20, 59, XI_DROP_WORKER_MALFORMED},  /* which AH's tunnels do not have */
		{21, 3, XI_DROP_WORKER_MALFORMED},   /* length */
		{22, 1, XI_DROP_WORKER_MALFORMED},   /* reserved */
		{24, 1, XI_DROP_SA_GONE},	     /* SPI */
		{31, 9, XI_DROP_WORKER_MALFORMED},   /* number */
		{47, 199, XI_DROP_WORKER_MALFORMED}, /* length inside */
		{47, 63, XI_DROP_WORKER_MALFORMED},  /* AH has no TFC padding */
	};
	static uint8_t sealed[512], inner[64];
	static struct test_ah t;
	static struct test_pkt p;
	struct xi_frame frame;

	test_inner4(inner, 64, 0);
	test_ah_init(&t, 4, false, XI_AUTH_HMAC_SHA1, XFRM_STATE_ESN);
	test_ah_tunnel(&t, "192.0.2.1", "192.0.2.2");
	t.state.oseq = 5;
	t.state.oseq_limit = UINT64_MAX;
	test_inner4(sealed, 20, 0);
	put16(sealed + 2, 108);
	sealed[9] = IPPROTO_AH;
	inet_pton(AF_INET, "192.0.2.1", sealed + 12);
	inet_pton(AF_INET, "192.0.2.2", sealed + 16);
	fix_ip(sealed);
	sealed[20] = 4;
	sealed[21] = 4;
	put32(sealed + 24, 0x1000);
	put32(sealed + 28, 5);
	memcpy(sealed + 44, inner, 64);
	test_pkt_set(&p, sealed, 108);
	assert_int_equal(xi_framed_parse(&t.ctx, &p.pkt, &frame), XI_NONE);
	assert_int_equal(frame.clear_len, 64);
	p.pkt.tailroom = 3;
	assert_int_equal(xi_framed_parse(&t.ctx, &p.pkt, &frame), XI_DROP_TOO_BIG);
	for (size_t i = 0; i < sizeof(ah_lies) / sizeof(ah_lies[0]); i++) {
		test_pkt_set(&p, sealed, 108);
		p.pkt.data[ah_lies[i].at] = ah_lies[i].value;
		if (xi_framed_parse(&t.ctx, &p.pkt, &frame) != ah_lies[i].why)
			fail_msg("byte %d", ah_lies[i].at);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(scapy_esp_packets_get_the_crypto_alone),
		cmocka_unit_test(scapy_ah_packets_get_their_icv_alone),
		cmocka_unit_test(every_kind_is_opened_by_another_implementation),
		cmocka_unit_test(the_number_must_have_been_given_out),
		cmocka_unit_test(a_frame_that_lies_is_left_alone),
		cmocka_unit_test(a_wrong_ip_checksum_is_found),
		cmocka_unit_test(every_cut_is_found),
		cmocka_unit_test(dummy_and_tfc_padding_are_frames_too),
		cmocka_unit_test(two_sas_are_done_from_the_inside_out),
		cmocka_unit_test(lies_of_either_layer_leave_both_alone),
		cmocka_unit_test(an_ah_frame_that_lies_is_found),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
