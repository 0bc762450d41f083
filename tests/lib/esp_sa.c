// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "esp_sa.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <arpa/inet.h>
#include <linux/xfrm.h>
#include <cmocka.h>

#include "crypto/algs.h"

void test_sa_default(struct test_sa *t, enum xi_family outer)
{
	memset(t, 0, sizeof(*t));
	t->sa.id = (struct xi_sa_id){.spi = 0x1000, .proto = XI_ESP, .family = outer};
	inet_pton(outer, outer == XI_IPV6 ? "2001:db8::1" : "192.0.2.1", t->sa.saddr);
	inet_pton(outer, outer == XI_IPV6 ? "2001:db8::2" : "192.0.2.2", t->sa.id.daddr);
	t->sa.sa_index = XI_SA_INDEX(1, 5);
	t->sa.mode = XI_TUNNEL;
	t->sa.alg = XI_ALG_AES_GCM;
	t->sa.key_bits = 128;
	t->sa.icv_len = 16;
	t->sa.replay_window = 64;
	t->sa.flags = XFRM_STATE_AF_UNSPEC;
	t->raw.alg = XI_ALG_AES_GCM;
	t->raw.len = 20;
	for (uint32_t i = 0; i < t->raw.len; i++)
		t->raw.key[i] = (uint8_t)(i * 7 + 1);
	t->state.oseq_limit = UINT64_MAX;
	t->sa.limits.soft_bytes = t->sa.limits.hard_bytes = UINT64_MAX;
	t->sa.limits.soft_packets = t->sa.limits.hard_packets = UINT64_MAX;
}

void test_sa_cbc(struct test_sa *t, uint32_t key_bits, enum xi_auth auth)
{
	static const uint32_t key_len[] = { 0, 20, 32, 48, 64 }, icv_len[] = { 0, 12, 16, 24, 32 };

	t->sa.alg = t->raw.alg = XI_ALG_AES_CBC;
	t->sa.auth = t->raw.auth = auth;
	t->sa.key_bits = key_bits;
	t->sa.auth_bits = key_len[auth] * 8;
	t->sa.icv_len = icv_len[auth];
	t->raw.auth_len = key_len[auth];
	t->raw.len = key_bits / 8 + key_len[auth];
	for (uint32_t i = 0; i < t->raw.len; i++)
		t->raw.key[i] = (uint8_t)(i * 5 + 3);
}

void test_sa_transform(struct test_sa *t, const struct alg_transform *tr)
{
	const struct xi_cipher_info *cipher = xi_cipher_info(tr->alg);
	const struct xi_auth_info *auth = xi_auth_info(tr->auth);

	t->sa.id.proto = tr->ah ? XI_AH : XI_ESP;
	t->sa.alg = t->raw.alg = tr->alg;
	t->sa.auth = t->raw.auth = tr->auth;
	t->sa.key_bits = tr->key_bits;
	t->sa.auth_bits = auth ? auth->key_bits : 0;
	t->sa.icv_len = tr->icv_len;
	t->raw.auth_len = t->sa.auth_bits / 8;
	t->raw.len = tr->key_bits / 8 + (cipher ? cipher->salt_len : 0) + t->raw.auth_len;
	for (uint32_t i = 0; i < t->raw.len; i++)
		t->raw.key[i] = (uint8_t)(i * 5 + 3);
}

void test_sa_start(struct test_sa *t, const struct xi_engine *engine)
{
	t->engine = engine ? engine : &xi_engine_openssl;
	assert_int_equal(
		xi_sa_ctx_init(&t->ctx, &t->sa, &t->raw, &t->state, t->words, XI_WINDOW_WORDS), 0);
	assert_int_equal(t->engine->create(&t->crypto, 0), 0);
	assert_int_equal(t->engine->key_new(&t->key, &t->raw, 1), 0);
	t->ctx.key = t->key;
}

void test_sa_stop(struct test_sa *t)
{
	t->engine->key_free(t->key);
	t->engine->destroy(t->crypto);
}

void test_pkt_set(struct test_pkt *p, const uint8_t *data, size_t len)
{
	assert_true(len <= TEST_PKT_MAX);
	p->pkt.data = p->buf + TEST_ROOM;
	p->pkt.len = (uint32_t)len;
	p->pkt.headroom = TEST_ROOM;
	p->pkt.tailroom = (uint32_t)(sizeof(p->buf) - TEST_ROOM - len);
	if (len)
		memcpy(p->pkt.data, data, len);
}

enum xi_reason test_prepare(const struct xi_sa_ctx *ctx, uint64_t seq, struct xi_pkt *pkt,
			    struct xi_aead_job *job)
{
	struct xi_frame frame;
	enum xi_reason why = xi_esp_frame(ctx, seq, UINT32_MAX, pkt, &frame);

	if (!why)
		xi_esp_out_job(ctx, &frame, job);
	return why;
}

enum xi_reason test_finish(const struct xi_sa_ctx *ctx, const struct xi_aead_job *job,
			   struct xi_esp_tally *tally)
{
	return xi_esp_out_finish(ctx, NULL, job, tally);
}

enum xi_reason test_crypt(struct test_sa *t, const struct xi_frame *frame, bool keep_iv)
{
	struct xi_esp_tally tally = {.now = 1000};
	struct xi_ah_saved saved;
	struct xi_aead_job job;
	enum xi_reason why = xi_out_job(&t->ctx, frame, &saved, &job);

	if (why)
		return why;
	if (keep_iv)
		job.fresh_iv = 0;
	t->engine->seal(t->crypto, &job, 1);
	why = xi_out_finish(&t->ctx, frame, &saved, &job, &tally);
	xi_esp_tally_flush(&tally);
	return why;
}

enum xi_reason test_seal(struct test_sa *t, uint64_t seq, struct xi_pkt *pkt)
{
	struct xi_frame frame;
	enum xi_reason why = xi_out_frame(&t->ctx, seq, UINT32_MAX, pkt, &frame);

	return why ? why : test_crypt(t, &frame, false);
}

enum xi_reason test_open(struct test_sa *t, struct xi_pkt *pkt, enum xi_crypto_status *status)
{
	struct xi_esp_tally tally = {.now = 1000};
	enum xi_crypto_status unused;
	struct xi_ah_saved saved;
	struct xi_aead_job job;
	struct xi_esp_in in;
	enum xi_reason why = xi_in_prepare(&t->ctx, pkt, &job, &in, &saved);

	if (why)
		return why;
	t->engine->open(t->crypto, &job, 1);
	xi_in_verify(&t->ctx, &job, &in, 1);
	why = xi_in_finish(&t->ctx, pkt, &job, &in, &saved, &tally, status ? status : &unused);
	xi_esp_tally_flush(&tally);
	return why;
}

static void put16(uint8_t *p, uint16_t v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

static void put64(uint8_t *p, uint64_t v)
{
	for (int i = 7; i >= 0; i--, v >>= 8)
		p[i] = (uint8_t)v;
}

uint16_t test_checksum(const uint8_t *data, size_t len)
{
	uint32_t sum = 0;

	for (size_t i = 0; i < len; i += 2)
		sum += (uint32_t)(data[i] << 8 | data[i + 1]);
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)~sum;
}

void test_inner4(uint8_t *ip, uint16_t len, uint8_t tos)
{
	memset(ip, 0, len);
	ip[0] = 0x45;
	ip[1] = tos;
	put16(ip + 2, len);
	ip[8] = 64;
	ip[9] = 253; /* RFC 3692: experiments */
	inet_pton(AF_INET, "10.1.0.5", ip + 12);
	inet_pton(AF_INET, "10.2.0.7", ip + 16);
	put16(ip + 10, test_checksum(ip, 20));
}

void test_inner6(uint8_t *ip, uint16_t len, uint8_t tos)
{
	memset(ip, 0, len);
	ip[0] = (uint8_t)(0x60 | tos >> 4);
	ip[1] = (uint8_t)(tos << 4 | 0xa); /* and a piece of flow label */
	ip[2] = 0xbc;
	put16(ip + 4, (uint16_t)(len - 40));
	ip[6] = 253;
	ip[7] = 64;
	inet_pton(AF_INET6, "fd00:1::5", ip + 8);
	inet_pton(AF_INET6, "fd00:2::7", ip + 24);
}

static size_t bare_outer(const struct test_sa *t, uint8_t tos, size_t esp_len, uint8_t *ip)
{
	if (t->sa.id.family == XI_IPV6) {
		test_inner6(ip, (uint16_t)(40 + esp_len), tos);
		ip[6] = IPPROTO_ESP;
		return 40;
	}
	test_inner4(ip, (uint16_t)(20 + esp_len), tos);
	ip[9] = IPPROTO_ESP;
	put16(ip + 10, 0);
	put16(ip + 10, test_checksum(ip, 20));
	return 20;
}

void test_seal_raw(struct test_sa *t, uint64_t seq, uint8_t tos, const uint8_t *plain, size_t len,
		   struct test_pkt *out)
{
	bool esn = t->sa.flags & XFRM_STATE_ESN;
	bool cbc = t->sa.alg == XI_ALG_AES_CBC;
	size_t front = cbc ? 24 : 16, esp_len = front + len + t->sa.icv_len;
	struct xi_aead_job job = {.raw = &t->raw, .icv_len = t->sa.icv_len, .len = (uint32_t)len,
				  .head_len = (uint16_t)front};
	uint8_t *esp;

	test_pkt_set(out, NULL, 0);
	esp = out->pkt.data + bare_outer(t, tos, esp_len, out->pkt.data);
	out->pkt.len = (uint32_t)(esp - out->pkt.data + esp_len);
	out->pkt.tailroom -= out->pkt.len;
	put64(esp, (uint64_t)t->sa.id.spi << 32 | (uint32_t)seq);
	put64(esp + 8, ~seq);
	put64(esp + front - 8, ~seq);
	memcpy(esp + front, plain, len);
	memcpy(job.nonce, t->raw.key + t->raw.len - 4, 4);
	memcpy(job.nonce + 4, esp + 8, 8);
	memcpy(job.aad, esp, 8);
	job.aad_len = 8;
	if (esn) {
		put64(job.aad + 4, seq);
		job.aad_len = 12;
	}
	job.data = esp + front;
	job.icv = esp + front + len;
	t->engine->seal(t->crypto, &job, 1);
	assert_int_equal(job.status, 0);
}
