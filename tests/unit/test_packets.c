// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Whole packets of ESP and AH by others, each met in both directions, by both engines, with keys expanded and not:
 * numbers of IETF documents (tests/vectors/rfc-packets.json), scapy's of every transform (packets.json), and those
 * where XIPSEC_VECTORS points.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <arpa/inet.h>
#include <linux/xfrm.h>
#include <openssl/hmac.h>
#include <cmocka.h>

#include "alg_job.h"
#include "crypto/algs.h"
#include "esp_sa.h"
#include "source/xfrm_msg.h"
#include "vectors.h"

#define ESP_HDR 8
#define AH_HDR 12
#define SHA1_KEY 20
#define SHA1_ICV 12
#define FIRST_SPI 256 /* RFC 4303 section 2.1 */

struct packet {
	const json_t *v;
	const char *name;
	struct alg_transform tr;
	enum xi_family family;
	bool transport, encap, bare; /* bare: the source has no ICV */
	uint64_t seq;
	size_t clear_len, sealed_len, body_len, iv_len;
	uint32_t at; /* of the ESP or AH header in the sealed packet */
	uint8_t clear[TEST_PKT_MAX], sealed[TEST_PKT_MAX];
	uint8_t body[TEST_PKT_MAX]; /* ESP: what goes into the cipher */
	uint8_t iv[16];
};

static void put16(uint8_t *p, size_t v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

static void fix_sum(uint8_t *ip)
{
	put16(ip + 10, 0);
	put16(ip + 10, test_checksum(ip, 20));
}

static bool has_feature(const json_t *v, const char *word)
{
	const json_t *f;
	size_t i;

	json_array_foreach (json_object_get(v, "features"), i, f)
		if (!strcmp(json_string_value(f), word))
			return true;
	return false;
}

static size_t hex_if_any(const json_t *v, const char *key, uint8_t *buf, size_t max)
{
	return *vec_str(v, key) ? vec_hex(v, key, buf, max) : 0;
}

/* What the vector's words stand for; a source without ICV has XI_AUTH_NONE. */
static void read_transform(const json_t *v, struct alg_transform *tr)
{
	const char *aead = vec_str(v, "aead"), *enc = vec_str(v, "enc"), *auth = vec_str(v, "auth");
	uint8_t key[XI_KEY_MAX];

	tr->ah = !strcmp(vec_str(v, "proto"), "ah");
	tr->alg = *aead ? xi_cipher_named(aead, true) : xi_cipher_named(enc, false);
	tr->auth = xi_auth_named(auth);
	tr->icv_len = (uint8_t)(vec_int(v, "icv_bits") / 8);
	tr->key_bits = 0;
	if (tr->alg)
		tr->key_bits = (uint16_t)((hex_if_any(v, "xfrm_key", key, sizeof(key)) -
					   xi_cipher_info(tr->alg)->salt_len) * 8);
	assert_true(tr->ah || tr->alg);
	assert_true(tr->alg || tr->auth);
}

static void read_packet(const json_t *v, struct packet *x)
{
	memset(x, 0, sizeof(*x));
	x->v = v;
	x->name = vec_str(v, "name");
	x->encap = json_is_object(json_object_get(v, "udp_encap"));
	assert_true(!*vec_str(v, "direction") || !strcmp(vec_str(v, "direction"), "both"));
	read_transform(v, &x->tr);
	x->bare = has_feature(v, "no-integrity");
	x->transport = !strcmp(vec_str(v, "mode"), "transport");
	x->seq = vec_int(v, "seq_hi") << 32 | vec_int(v, "seq");
	x->clear_len = vec_hex(v, "plaintext_packet", x->clear, TEST_PKT_MAX);
	x->sealed_len = vec_hex(v, "ciphertext_packet", x->sealed, TEST_PKT_MAX);
	x->body_len = hex_if_any(v, "esp_clear", x->body, TEST_PKT_MAX);
	x->iv_len = hex_if_any(v, "iv", x->iv, sizeof(x->iv));
	x->family = vec_int(v, "outer_ip_version") == 6 ? XI_IPV6 : XI_IPV4;
	x->at = (x->family == XI_IPV6 ? 40 : 20) + (x->encap ? XI_UDP_LEN : 0);
}

/* The SA as the vector has it, keys and all. */
static void make_sa(const struct packet *x, struct test_sa *t)
{
	const json_t *encap = json_object_get(x->v, "udp_encap");
	size_t len;

	test_sa_default(t, x->family);
	test_sa_transform(t, &x->tr);
	t->sa.mode = x->transport ? XI_TRANSPORT : XI_TUNNEL;
	t->sa.id.spi = (uint32_t)strtoul(vec_str(x->v, "spi"), NULL, 16);
	assert_int_equal(inet_pton((int)x->family, vec_str(x->v, "outer_src"), t->sa.saddr), 1);
	assert_int_equal(inet_pton((int)x->family, vec_str(x->v, "outer_dst"), t->sa.id.daddr), 1);
	if (x->encap) {
		t->sa.encap = XI_ENCAP_ESPINUDP;
		t->sa.encap_sport = (uint16_t)vec_int(encap, "sport");
		t->sa.encap_dport = (uint16_t)vec_int(encap, "dport");
	}
	t->sa.flags |= vec_bool(x->v, "esn") ? XFRM_STATE_ESN : 0;
	t->sa.flags |= has_feature(x->v, "ah-align4") ? XFRM_STATE_ALIGN4 : 0;
	len = hex_if_any(x->v, "xfrm_key", t->raw.key, XI_KEY_MAX);
	len += hex_if_any(x->v, "auth_key", t->raw.key + len, XI_KEY_MAX - len);
	assert_int_equal(len, t->raw.len);
}

/*
 * Encryption alone, as RFC 3602 shows it, is no SA here (RFC 8221 section 4). With HMAC-SHA-1-96 added, which comes
 * behind and leaves the ciphertext as it is, it is one; that ICV is by OpenSSL, asked directly.
 */
static void add_integrity(struct packet *x, struct test_sa *t)
{
	uint8_t full[EVP_MAX_MD_SIZE], key[SHA1_KEY];

	assert_int_equal(t->sa.auth, XI_AUTH_NONE);
	assert_int_equal(
		xi_sa_ctx_init(&t->ctx, &t->sa, &t->raw, &t->state, t->words, XI_WINDOW_WORDS),
		-EOPNOTSUPP);

	memset(key, 0x5b, sizeof(key));
	t->sa.auth = t->raw.auth = XI_AUTH_HMAC_SHA1;
	t->sa.auth_bits = SHA1_KEY * 8;
	t->sa.icv_len = SHA1_ICV;
	t->raw.auth_len = SHA1_KEY;
	memcpy(t->raw.key + t->raw.len, key, SHA1_KEY);
	t->raw.len += SHA1_KEY;
	assert_non_null(HMAC(EVP_sha1(), key, SHA1_KEY, x->sealed + x->at, x->sealed_len - x->at,
			     full, NULL));
	memcpy(x->sealed + x->sealed_len, full, SHA1_ICV);
	x->sealed_len += SHA1_ICV;
	put16(x->sealed + 2, x->sealed_len);
	fix_sum(x->sealed);
}

static void expect_pkt(const struct packet *x, const char *what, const struct test_pkt *p,
		       const uint8_t *want, size_t len)
{
	if (p->pkt.len != len || memcmp(p->pkt.data, want, len))
		fail_msg("%s: %s: %u bytes, other than the %zu wanted", x->name, what, p->pkt.len,
			 len);
	assert_ptr_equal(p->pkt.data - p->pkt.headroom, p->buf);
	assert_ptr_equal(p->pkt.data + p->pkt.len + p->pkt.tailroom, p->buf + sizeof(p->buf));
}

/* An inbound SA that has seen the number before this packet's. */
static void receiver_reset(struct test_sa *t, uint64_t seq)
{
	xi_replay_import(&t->ctx.replay, seq - 1, NULL, 0);
}

/*
 * The outer header of tunnel mode is fresh: TTL 64, flow label 0, DF as inside, an ID from the sequence number where DF
 * is clear (RFC 6864). Each source has its own TTL, DF and ID. That ours are as designed is looked at here, then the
 * source's take their place: AH covers the ID.
 */
static void take_outer_header(const struct packet *x, uint8_t *ip)
{
	bool df = x->clear[0] >> 4 == 6 || x->clear[6] & 0x40;

	if (ip[0] >> 4 == 6) {
		assert_int_equal(ip[7], 64);
		assert_int_equal((ip[1] & 0xf) | ip[2] | ip[3], 0);
		memcpy(ip + 1, x->sealed + 1, 3);
		ip[7] = x->sealed[7];
		return;
	}
	assert_int_equal(ip[8], 64);
	assert_int_equal(ip[6] << 8 | ip[7], df ? 0x4000 : 0);
	assert_int_equal(ip[4] << 8 | ip[5], df ? 0 : x->seq & 0xffff);
	assert_int_equal(test_checksum(ip, 20), 0);
	memcpy(ip + 4, x->sealed + 4, 5);
	fix_sum(ip);
}

static void seal(const struct packet *x, struct test_sa *t)
{
	uint32_t head = x->tr.ah ? AH_HDR : ESP_HDR;
	static struct test_pkt p;
	struct xi_frame frame;

	test_pkt_set(&p, x->clear, x->clear_len);
	assert_int_equal(xi_out_frame(&t->ctx, x->seq, UINT32_MAX, &p.pkt, &frame), XI_NONE);
	assert_ptr_equal(frame.ip, p.pkt.data);
	assert_int_equal(frame.len, p.pkt.len);
	assert_int_equal(frame.offset, x->at);
	if (!x->tr.ah)
		assert_memory_equal(frame.ip + x->at + head + x->iv_len, x->body, x->body_len);
	if (!x->transport)
		take_outer_header(x, frame.ip);
	memcpy(frame.ip + x->at + head, x->iv, x->iv_len);
	assert_int_equal(test_crypt(t, &frame, true), XI_NONE);
	expect_pkt(x, "sealed", &p, x->sealed, x->sealed_len);
}

static void open(const struct packet *x, struct test_sa *t)
{
	enum xi_crypto_status status = XI_CRYPTO_NOT_DONE;
	static struct test_pkt p;

	receiver_reset(t, x->seq);
	test_pkt_set(&p, x->sealed, x->sealed_len);
	assert_int_equal(test_open(t, &p.pkt, &status), XI_NONE);
	assert_int_equal(status, XI_CRYPTO_SUCCESS);
	expect_pkt(x, "opened", &p, x->clear, x->clear_len);
	test_pkt_set(&p, x->sealed, x->sealed_len);
	assert_int_equal(test_open(t, &p.pkt, NULL), XI_DROP_REPLAY);
}

static void seal_and_open(const struct packet *x, struct test_sa *t)
{
	uint64_t packets = t->state.packets;

	seal(x, t);
	open(x, t);
	assert_int_equal(t->state.packets, packets + 2);
	assert_int_equal(t->state.replay_failed, t->state.packets / 2);
	assert_int_equal(t->state.integrity_failed + t->state.other_failed, 0);
}

/*
 * The packet as the first layer hands it over: headers, SPI, sequence number, IV, trailer are there, and room for the
 * ICV. Nothing of it comes from our own framing.
 */
static void crypt_framed(const struct packet *x, struct test_sa *t)
{
	uint32_t head = x->tr.ah ? AH_HDR : ESP_HDR;
	static struct test_pkt p;
	struct xi_frame frame = {.len = (uint32_t)x->sealed_len, .offset = x->at, .seq = x->seq};
	uint8_t *body;

	test_pkt_set(&p, x->sealed, x->sealed_len);
	frame.ip = p.pkt.data;
	body = frame.ip + x->at + head + x->iv_len;
	if (x->tr.ah) {
		memset(body, 0, t->ctx.icv_len);
	} else {
		memcpy(body, x->body, x->body_len);
		assert_ptr_equal(body + x->body_len + t->ctx.icv_len, frame.ip + frame.len);
		memset(body + x->body_len, 0, t->ctx.icv_len);
	}
	assert_int_equal(test_crypt(t, &frame, true), XI_NONE);
	expect_pkt(x, "framed by others", &p, x->sealed, x->sealed_len);
}

static enum xi_reason open_changed(const struct packet *x, struct test_sa *t, size_t at)
{
	static struct test_pkt p;

	test_pkt_set(&p, x->sealed, x->sealed_len);
	p.pkt.data[at] ^= 0x10;
	return test_open(t, &p.pkt, NULL);
}

/* Every byte behind the sequence number is covered, padding of AH's ICV included (RFC 4302 section 3.3.3.2). */
static void refuse_changed(const struct packet *x, struct test_sa *t)
{
	uint64_t top = x->seq - 1, failed = t->state.integrity_failed;
	static struct test_pkt p;

	receiver_reset(t, x->seq);
	for (size_t at = x->at + ESP_HDR; at < x->sealed_len; at++) {
		if (x->tr.ah && at < x->at + AH_HDR)
			continue; /* its sequence number */
		if (open_changed(x, t, at) != XI_DROP_ICV)
			fail_msg("%s: byte %zu is not covered", x->name, at);
		failed++;
	}
	assert_int_equal(t->state.integrity_failed, failed);
	assert_int_equal(t->state.top, top);
	if (!t->ctx.esn)
		return;
	receiver_reset(t, x->seq + (1ULL << 32));
	test_pkt_set(&p, x->sealed, x->sealed_len);
	assert_int_equal(test_open(t, &p.pkt, NULL), XI_DROP_ICV);
}

/* As the datapath's owner gets it: reserved SPIs end there, and what it takes is the SA that was meant. */
static void offer(const struct packet *x, struct test_sa *t)
{
	static struct xi_sa_request req;
	static struct xi_nlmsg msg;
	struct xi_nl_to to = {.seq = 1};
	struct xi_extack ack = {0};
	struct xi_sa_rec rec = {.sa = t->sa, .key = t->raw, .state = &t->state, .words = t->words,
				.nwords = XI_WINDOW_WORDS};
	int err;

	xi_xfrm_put_sa(&msg, XFRM_MSG_NEWSA, &to, &rec);
	err = xi_xfrm_get_newsa(&req, &msg.hdr, &ack);
	if (t->sa.id.spi < FIRST_SPI) {
		assert_int_equal(err, -EINVAL);
		assert_non_null(strstr(ack.text, "reserved"));
		return;
	}
	if (err)
		fail_msg("%s: %d %s", x->name, err, ack.text);
	assert_int_equal(req.sa.id.spi, t->sa.id.spi);
	assert_int_equal(req.sa.alg, t->sa.alg);
	assert_int_equal(req.sa.auth, t->sa.auth);
	assert_int_equal(req.sa.icv_len, t->sa.icv_len);
	assert_int_equal(req.key.len, t->raw.len);
	assert_memory_equal(req.key.key, t->raw.key, t->raw.len);
}

typedef void (*check_fn)(const struct packet *x, struct test_sa *t);

static void each_engine(struct packet *x, check_fn check)
{
	static struct test_sa t;

	make_sa(x, &t);
	if (x->bare)
		add_integrity(x, &t);
	for (unsigned int i = 0; i < alg_nengines; i++) {
		const struct xi_engine *e = alg_engines[i].e;

		memset(&t.state, 0, sizeof(t.state));
		assert_true(e->carries(t.sa.alg, t.sa.auth, t.sa.key_bits, t.sa.icv_len));
		test_sa_start(&t, e);
		check(x, &t);
		t.ctx.key = NULL;
		check(x, &t);
		test_sa_stop(&t);
	}
}

static void each_packet(json_t *root, size_t count, check_fn check)
{
	static struct packet x;
	json_t *v;
	size_t i;

	json_array_foreach (json_object_get(root, "vectors"), i, v) {
		read_packet(v, &x);
		each_engine(&x, check);
	}
	json_decref(root);
	assert_int_equal(i, count);
}

static void rfc(check_fn check)
{
	each_packet(vec_load("rfc-packets.json"), 10, check);
}

static void scapy(check_fn check)
{
	each_packet(vec_load("packets.json"), 124, check);
}

static void shared(check_fn check)
{
	each_packet(vec_load_shared("esp-packets.json"), 26, check);
}

static void rfc_packets_are_sealed_and_opened_exactly(void **state)
{
	rfc(seal_and_open);
}

static void scapy_packets_are_sealed_and_opened_exactly(void **state)
{
	scapy(seal_and_open);
}

static void shared_packets_are_sealed_and_opened_exactly(void **state)
{
	shared(seal_and_open);
}

static void rfc_packets_framed_by_others_get_the_crypto_alone(void **state)
{
	rfc(crypt_framed);
}

static void scapy_packets_framed_by_others_get_the_crypto_alone(void **state)
{
	scapy(crypt_framed);
}

static void shared_packets_framed_by_others_get_the_crypto_alone(void **state)
{
	shared(crypt_framed);
}

static void rfc_packets_with_a_changed_bit_are_refused(void **state)
{
	rfc(refuse_changed);
}

static void scapy_packets_with_a_changed_bit_are_refused(void **state)
{
	scapy(refuse_changed);
}

static void shared_packets_with_a_changed_bit_are_refused(void **state)
{
	shared(refuse_changed);
}

static void rfc_sas_are_taken(void **state)
{
	rfc(offer);
}

static void scapy_sas_are_taken(void **state)
{
	scapy(offer);
}

static void shared_sas_are_taken_unless_their_spi_is_reserved(void **state)
{
	shared(offer);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rfc_packets_are_sealed_and_opened_exactly),
		cmocka_unit_test(rfc_packets_framed_by_others_get_the_crypto_alone),
		cmocka_unit_test(rfc_packets_with_a_changed_bit_are_refused),
		cmocka_unit_test(rfc_sas_are_taken),
		cmocka_unit_test(scapy_packets_are_sealed_and_opened_exactly),
		cmocka_unit_test(shared_packets_are_sealed_and_opened_exactly),
		cmocka_unit_test(scapy_packets_framed_by_others_get_the_crypto_alone),
		cmocka_unit_test(shared_packets_framed_by_others_get_the_crypto_alone),
		cmocka_unit_test(scapy_packets_with_a_changed_bit_are_refused),
		cmocka_unit_test(shared_packets_with_a_changed_bit_are_refused),
		cmocka_unit_test(scapy_sas_are_taken),
		cmocka_unit_test(shared_sas_are_taken_unless_their_spi_is_reserved),
	};

	return cmocka_run_group_tests(tests, alg_start, alg_stop);
}
