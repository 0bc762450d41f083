// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Bugs that other IPsec stacks had, one test for each class of them: every transform there is, in
 * both modes, with both families, with and without ESN and UDP encapsulation, on every engine.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <arpa/inet.h>
#include <linux/xfrm.h>
#include <netinet/in.h>
#include <cmocka.h>

#include "alg_job.h"
#include "crypto/algs.h"
#include "esp_sa.h"
#include "ipsec/sa_id.h"
#include "ipsec/transform.h"
#include "mem_store.h"
#include "sad/sad.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define GUARD 32
#define ROOM 256
#define GUARD_BYTE 0xa7

struct choice {
	struct alg_transform t;
	bool transport, v6, esn, encap;
};

/* test_sa, for AH as well; its engine and crypto manager are alg_engines' */
static struct test_sa sa;
static struct choice current;

static void key_fill(struct xi_sa_key *raw, const struct alg_transform *t, uint8_t seed)
{
	const struct xi_cipher_info *cipher = xi_cipher_info(t->alg);
	const struct xi_auth_info *auth = xi_auth_info(t->auth);

	memset(raw, 0, sizeof(*raw));
	raw->alg = t->alg;
	raw->auth = t->auth;
	raw->auth_len = auth ? auth->key_bits / 8U : 0;
	raw->len = t->key_bits / 8U + (cipher ? cipher->salt_len : 0U) + raw->auth_len;
	for (uint32_t i = 0; i < raw->len; i++)
		raw->key[i] = (uint8_t)(i * 13 + seed);
}

static void sa_open(struct test_sa *s, const struct choice *c, const struct alg_engine *en)
{
	test_sa_default(s, c->v6 ? XI_IPV6 : XI_IPV4);
	s->sa.id.proto = c->t.ah ? XI_AH : XI_ESP;
	s->sa.mode = c->transport ? XI_TRANSPORT : XI_TUNNEL;
	s->sa.flags |= c->esn ? XFRM_STATE_ESN : 0;
	s->sa.encap = c->encap ? XI_ENCAP_ESPINUDP : XI_ENCAP_NONE;
	s->sa.encap_sport = s->sa.encap_dport = c->encap ? 4500 : 0;
	s->sa.alg = c->t.alg;
	s->sa.auth = c->t.auth;
	s->sa.key_bits = c->t.key_bits;
	s->sa.icv_len = c->t.icv_len;
	key_fill(&s->raw, &c->t, 1);
	s->engine = en->e;
	s->crypto = en->c;
	assert_int_equal(
		xi_sa_ctx_init(&s->ctx, &s->sa, &s->raw, &s->state, s->words, XI_WINDOW_WORDS), 0);
	assert_int_equal(en->e->key_new(&s->key, &s->raw, 1), 0);
	s->ctx.key = s->key;
}

static void sa_close(struct test_sa *s)
{
	s->engine->key_free(s->key);
}

static const char *choice_text(const struct choice *c)
{
	static char text[128];

	snprintf(text, sizeof(text), "%s %s IPv%d%s%s", alg_text(&c->t),
		 c->transport ? "transport" : "tunnel", c->v6 ? 6 : 4, c->esn ? " esn" : "",
		 c->encap ? " in UDP" : "");
	return text;
}

#define check(cond)                                                                                \
	do {                                                                                       \
		if (!(cond))                                                                       \
			fail_msg("%s, line %d: not so: %s", choice_text(&current), __LINE__,       \
				 #cond);                                                           \
	} while (0)

/* fn for an SA of each kind, fresh each time. */
static void each_sa(void (*fn)(void), bool ah_too)
{
	struct alg_transform list[ALG_TRANSFORMS_MAX];
	unsigned int n = alg_transforms(list), ran = 0;

	for (unsigned int i = 0; i < n * alg_nengines; i++) {
		const struct alg_engine *en = &alg_engines[i / n];

		if ((list[i % n].ah && !ah_too) ||
		    !en->e->carries(list[i % n].alg, list[i % n].auth, list[i % n].key_bits,
				    list[i % n].icv_len))
			continue;
		for (unsigned int bits = 0; bits < 16; bits++) {
			current = (struct choice){list[i % n], bits & 1, bits & 2, bits & 4,
						  bits & 8};
			if (current.encap && current.t.ah)
				continue;
			sa_open(&sa, &current, en);
			fn();
			sa_close(&sa);
			ran++;
		}
	}
	/* 8 ciphers with their key and ICV sizes, both modes and families, ESN, UDP */
	assert_true(ran >= alg_nengines * 16 * 40);
}

/* A packet that the SA takes: in transport mode of its own family, in tunnel mode of either. */
static uint32_t inner_make(uint8_t *ip, uint32_t payload, bool v6)
{
	uint32_t len = payload + (v6 ? 40 : 20);

	if (v6)
		test_inner6(ip, (uint16_t)len, 0);
	else
		test_inner4(ip, (uint16_t)len, 0);
	for (uint32_t i = 0; i < payload; i++)
		ip[len - payload + i] = (uint8_t)(0xc1 + i * 7);
	return len;
}

static struct xi_ah_saved saved;
static struct xi_frame frame;

static enum xi_reason seal_start(struct test_sa *s, uint64_t seq, struct xi_pkt *pkt,
				 struct xi_aead_job *job)
{
	enum xi_reason why = xi_out_frame(&s->ctx, seq, UINT32_MAX, pkt, &frame);

	return why ? why : xi_out_job(&s->ctx, &frame, &saved, job);
}

static void seal_end(struct test_sa *s, struct xi_aead_job *job)
{
	struct xi_esp_tally tally = {.now = 1000};

	s->engine->seal(s->crypto, job, 1);
	check(!xi_out_finish(&s->ctx, &frame, &saved, job, &tally));
	xi_esp_tally_flush(&tally);
}

static enum xi_reason seal(struct test_sa *s, uint64_t seq, struct xi_pkt *pkt)
{
	struct xi_aead_job job;
	enum xi_reason why = seal_start(s, seq, pkt, &job);

	if (!why)
		seal_end(s, &job);
	return why;
}

static enum xi_crypto_status last_status;

static enum xi_reason open_packet(struct test_sa *s, struct xi_pkt *pkt)
{
	struct xi_esp_tally tally = {.now = 1000};
	struct xi_aead_job job;
	struct xi_esp_in in;
	enum xi_reason why = xi_in_prepare(&s->ctx, pkt, &job, &in, &saved);

	last_status = XI_CRYPTO_NOT_DONE;
	if (why)
		return why;
	s->engine->open(s->crypto, &job, 1);
	xi_in_verify(&s->ctx, &job, &in, 1);
	why = xi_in_finish(&s->ctx, pkt, &job, &in, &saved, &tally, &last_status);
	xi_esp_tally_flush(&tally);
	return why;
}

/* A packet of this SA with seq, as it is on the wire; what came of it in p. */
static void wire_make(struct test_sa *s, uint64_t seq, uint32_t payload, struct test_pkt *p)
{
	uint8_t ip[2048];
	uint32_t len = inner_make(ip, payload, current.v6);

	test_pkt_set(p, ip, len);
	check(!seal(s, seq, &p->pkt));
}

/* 1: output growth past the buffer */

/* What RFC 4302 section 3.1.2 and 4303 section 3.1.2 put in front of and behind a packet. */
static void growth(uint32_t payload, uint32_t inner_len, uint32_t *front, uint32_t *back)
{
	static const uint8_t ivs[] = {
		[XI_ALG_AES_GCM] = 8, [XI_ALG_AES_CBC] = 16, [XI_ALG_NULL] = 0,
		[XI_ALG_AES_CTR] = 8, [XI_ALG_AES_CCM] = 8,  [XI_ALG_CHACHA20_POLY1305] = 8,
		[XI_ALG_AES_GMAC] = 8};
	uint32_t outer = current.transport ? 0 : current.v6 ? 40 : 20;
	uint32_t align = current.t.alg == XI_ALG_AES_CBC ? 16 : 4;
	uint32_t protected = current.transport ? payload : inner_len;

	*front = outer + (current.encap ? 8 : 0) + 8 + ivs[current.t.alg];
	*back = (align - (protected + 2) % align) % align + 2 + current.t.icv_len;
	if (current.t.ah) {
		*front = outer + (12 + ivs[current.t.alg] + current.t.icv_len + 7) / 8 * 8;
		*back = current.esn ? 4 : 0; /* the high half on its way to the ICV, put back */
	}
}

static enum xi_reason seal_in(const uint8_t *ip, uint32_t len, uint32_t front, uint32_t back)
{
	size_t room = front + len + back;
	uint8_t *mem = malloc(GUARD + room + GUARD), *buf = mem + GUARD, *before = malloc(room);
	struct xi_pkt pkt = {buf + front, len, front, back}, was = pkt;
	enum xi_reason why;

	assert_true(mem && before);
	memset(mem, GUARD_BYTE, GUARD + room + GUARD);
	memcpy(pkt.data, ip, len);
	memcpy(before, buf, room);
	why = seal(&sa, 1, &pkt);
	for (size_t i = 0; i < GUARD; i++)
		check(mem[i] == GUARD_BYTE && buf[room + i] == GUARD_BYTE);
	if (why) {
		check(!memcmp(&pkt, &was, sizeof(pkt)));
		check(!memcmp(before, buf, room));
	} else {
		check(pkt.data == buf && pkt.headroom == 0);
		check(pkt.len + pkt.tailroom == room);
		check(current.t.ah || pkt.tailroom == 0);
		check(!open_packet(&sa, &pkt));
		check(pkt.len == len && !memcmp(pkt.data, ip, len));
		memset(sa.words, 0, sizeof(sa.words));
		sa.state.top = 0;
	}
	free(mem);
	free(before);
	return why;
}

static void grow_exactly(void)
{
	static const uint32_t payloads[] = {0, 1, 2, 3, 4, 5, 13, 14, 15, 16, 17, 200};
	uint32_t front, back, len;
	uint8_t ip[512];

	for (size_t i = 0; i < COUNT(payloads); i++) {
		len = inner_make(ip, payloads[i], current.v6);
		growth(payloads[i], len, &front, &back);
		check(seal_in(ip, len, front, back) == XI_NONE);
		check(seal_in(ip, len, front - 1, back) == XI_DROP_TOO_BIG);
		check(!back || seal_in(ip, len, front, back - 1) == XI_DROP_TOO_BIG);
		check(seal_in(ip, len, 0, 0) == XI_DROP_TOO_BIG);
	}
}

static void output_does_not_grow_past_the_buffer(void **state)
{
	each_sa(grow_exactly, true);
}

/* 2: pad length beyond the packet; next header and padding confused */

/* A packet whose trailer is written anew before it is sealed. pad < 0, next < 0: left as they are.
 */
static void trailer_packet(uint64_t seq, uint32_t payload, int pad, int next, struct test_pkt *p)
{
	struct xi_aead_job job;
	uint8_t ip[512];
	uint32_t len = inner_make(ip, payload, current.v6);

	test_pkt_set(p, ip, len);
	check(!seal_start(&sa, seq, &p->pkt, &job));
	if (pad >= 0)
		job.data[job.len - 2] = (uint8_t)pad;
	if (next >= 0)
		job.data[job.len - 1] = (uint8_t)next;
	seal_end(&sa, &job);
}

static void pad_too_much(void)
{
	uint32_t protected = 14 + (current.transport ? 0 : current.v6 ? 40 : 20);
	uint32_t align = current.t.alg == XI_ALG_AES_CBC ? 16 : 4;
	uint32_t n = (protected + 2 + align - 1) / align * align;
	uint64_t failed = 0;
	static struct test_pkt p;

	/* n bytes, two of them no padding */
	for (uint32_t pad = n - 1; pad <= 255; pad++) {
		trailer_packet(pad, 14, (int)pad, -1, &p);
		check(open_packet(&sa, &p.pkt) == XI_DROP_PADDING);
		check(last_status == XI_CRYPTO_INVALID_PACKET_SYNTAX);
		check(sa.state.other_failed == ++failed && sa.state.packets == failed);
	}
}

static void pad_length_beyond_the_packet(void **state)
{
	each_sa(pad_too_much, false);
}

static void padding_wrong(void)
{
	struct xi_aead_job job;
	static struct test_pkt p;
	uint64_t seq = 1;
	uint8_t ip[512], pad;
	uint32_t len;

	do {
		/* 1, 5, 9 or 13 bytes of padding; one of them, or the length by one, is changed */
		len = inner_make(ip, 3, current.v6);
		test_pkt_set(&p, ip, len);
		check(!seal_start(&sa, seq, &p.pkt, &job));
		pad = job.data[job.len - 2];
		check(pad > 0);
		if (seq <= pad)
			job.data[job.len - 2 - seq] ^= 0x40;
		else if (seq == pad + 1U)
			job.data[job.len - 2]++;
		else
			job.data[job.len - 2]--;
		seal_end(&sa, &job);
		/* none instead of one: what was padding is payload */
		if (seq == 3 && pad == 1)
			check(open_packet(&sa, &p.pkt) == XI_NONE);
		else
			check(open_packet(&sa, &p.pkt) == XI_DROP_PADDING);
	} while (seq++ < pad + 2U);
}

static void padding_bytes_are_checked(void **state)
{
	each_sa(padding_wrong, false);
}

static void next_header_wrong(void)
{
	static struct test_pkt p;

	for (int next = 0; next < 256; next++) {
		int right = current.v6 ? IPPROTO_IPV6 : IPPROTO_IPIP,
		    other = IPPROTO_IPV6 + IPPROTO_IPIP - right;
		enum xi_reason why;

		trailer_packet((uint64_t)next + 1, 32, -1, next, &p);
		why = open_packet(&sa, &p.pkt);
		if (next == IPPROTO_NONE) {
			check(why == XI_DUMMY);
		} else if (current.transport) {
			check(!why && p.pkt.data[current.v6 ? 6 : 9] == next);
		} else if (next == right) {
			check(!why);
		} else {
			check(why == XI_DROP_INNER);
			check(last_status == (next == other ? XI_CRYPTO_INVALID_PACKET_SYNTAX
							    : XI_CRYPTO_INVALID_PROTOCOL));
		}
	}
}

static void next_header_is_not_confused(void **state)
{
	each_sa(next_header_wrong, false);
}

/* 3: replay state moved by a bad ICV; 4: plaintext visible after it */

static bool holds(const uint8_t *mem, size_t len, const uint8_t *text, size_t text_len)
{
	return memmem(mem, len, text, text_len);
}

static void refuse_icv(void)
{
	static const char text[] = "nobody may see this plaintext!!!";
	uint32_t hdr = current.v6 ? 40 : 20, len = hdr + sizeof(text), at;
	static struct test_pkt p, good;
	struct xi_sa_state before;
	uint64_t words[XI_WINDOW_WORDS];
	uint8_t ip[512];

	wire_make(&sa, 5, 64, &p);
	check(!open_packet(&sa, &p.pkt));
	inner_make(ip, sizeof(text), current.v6);
	memcpy(ip + hdr, text, sizeof(text));
	test_pkt_set(&good, ip, len);
	check(!seal(&sa, 1000, &good.pkt));
	before = sa.state;
	memcpy(words, sa.words, sizeof(words));
	/* the first byte of what is protected, and the last byte of the ICV */
	for (int i = 0; i < 2; i++) {
		p = good;
		p.pkt.data = p.buf + (good.pkt.data - good.buf);
		at = frame.offset +
		     (current.t.ah
			      ? 12U + sa.ctx.iv_len + (i ? 0U : sa.ctx.ah_len - 12U - sa.ctx.iv_len)
		      : i ? p.pkt.len - frame.offset - 1
			  : 8U + sa.ctx.iv_len);
		p.pkt.data[at] ^= 1;
		check(open_packet(&sa, &p.pkt) == XI_DROP_ICV);
		check(last_status >= XI_CRYPTO_TRANSPORT_AH_AUTH_FAILED &&
		      last_status <= XI_CRYPTO_TUNNEL_ESP_AUTH_FAILED);
		before.integrity_failed++;
		/* nothing but that it was there */
		check(!memcmp(&before, &sa.state, sizeof(before)));
		check(!memcmp(words, sa.words, sizeof(words)));
		check(current.t.ah || !holds(p.buf, sizeof(p.buf), (const uint8_t *)text, 8));
	}
	check(!open_packet(&sa, &good.pkt) && sa.state.top == 1000);
	check(good.pkt.len == len &&
	      holds(good.pkt.data, good.pkt.len, (const uint8_t *)text, sizeof(text)));
}

static void a_bad_icv_moves_nothing_and_shows_nothing(void **state)
{
	each_sa(refuse_icv, true);
}

/* 5: ESN advanced twice */

#define EPOCH (1ULL << 32)

static void cross_once(void)
{
	static const uint64_t order[] = {EPOCH - 2, EPOCH + 1, EPOCH - 1,
					 EPOCH,	    EPOCH + 2, EPOCH + 3};
	static struct test_pkt p, forged;
	uint64_t top = 0;

	if (!current.esn)
		return;
	xi_replay_import(&sa.ctx.replay, EPOCH - 3, NULL, 0);
	for (size_t i = 0; i < COUNT(order); i++) {
		/* one with a wrong ICV first: the same number, and one beyond 2^32 */
		wire_make(&sa, order[i], 20, &forged);
		forged.pkt.data[forged.pkt.len - 1 - (current.t.ah ? 0 : sa.ctx.icv_len)] ^= 4;
		check(open_packet(&sa, &forged.pkt) == XI_DROP_ICV);
		/* a high half that is one too far never verifies */
		wire_make(&sa, order[i] + EPOCH, 20, &forged);
		check(open_packet(&sa, &forged.pkt) == XI_DROP_ICV);
		wire_make(&sa, order[i], 20, &p);
		forged = p;
		forged.pkt.data = forged.buf + (p.pkt.data - p.buf);
		check(!open_packet(&sa, &p.pkt));
		top = order[i] > top ? order[i] : top;
		check(sa.state.top == top);
		check(open_packet(&sa, &forged.pkt) == XI_DROP_REPLAY);
		check(sa.state.top == top);
	}
}

static void esn_is_advanced_once(void **state)
{
	each_sa(cross_once, true);
}

/* 6: SPI 0 and reserved SPIs */

static uint32_t bare_packet(uint8_t *ip, bool v6, uint8_t proto, uint32_t spi)
{
	uint32_t hdr = v6 ? 40 : 20, at = hdr, be = htonl(spi);

	if (v6)
		test_inner6(ip, 100, 0);
	else
		test_inner4(ip, 100, 0);
	ip[v6 ? 6 : 9] = proto;
	at += proto == IPPROTO_AH ? 4 : proto == IPPROTO_UDP ? 8 : 0;
	if (proto == IPPROTO_UDP) {
		ip[hdr] = ip[hdr + 2] = 4500 >> 8;
		ip[hdr + 1] = ip[hdr + 3] = 4500 & 0xff;
		ip[hdr + 5] = (uint8_t)(100 - hdr);
	}
	memcpy(ip + at, &be, 4);
	return 100;
}

static bool carries_all(const struct xi_sa *asked, const char **why)
{
	return true;
}

static struct xi_sad *sad_open(struct mem_store *m)
{
	const struct xi_sad_config config = {.carries = carries_all};
	struct xi_sad *sad;

	assert_int_equal(xi_sad_create(&sad, &config, &m->store), 0);
	return sad;
}

static void reserved_spis_name_no_sa(void **state)
{
	static const uint8_t protos[] = {IPPROTO_ESP, IPPROTO_AH, IPPROTO_UDP};
	struct mem_store *m = mem_store_new(64, 4);
	struct xi_sad *sad = sad_open(m);
	struct xi_sa_key key = sample_key(1);
	const char *why = NULL;
	struct xi_sa_id id;
	uint8_t ip[100];

	for (uint32_t spi = 0; spi <= 256; spi++) {
		struct xi_sa asked = sample_sa("192.0.2.1", "192.0.2.2", spi);

		for (int i = 0; i < 6; i++) {
			uint32_t len = bare_packet(ip, i & 1, protos[i / 2], spi);

			assert_int_equal(xi_sa_id_parse(&id, ip, len, true), spi == 256);
		}
		assert_int_equal(!xi_sad_add(sad, &asked, &key, NULL, &why), spi == 256);
	}
	assert_int_equal(xi_sad_count(sad), 1);
	xi_sad_destroy(sad);
	mem_store_free(m);
}

/* 7: the same SPI for another destination */

static uint32_t sad_name(struct xi_sad *sad, const struct xi_pkt *pkt)
{
	struct xi_sa_id id;

	assert_true(xi_sa_id_parse(&id, pkt->data, pkt->len, false));
	return xi_sad_lookup(sad, &id);
}

static void the_same_spi_for_another_destination_is_another_sa(void **state)
{
	static const char *const dsts[] = {"192.0.2.2", "192.0.2.3", "2001:db8::2"};
	struct mem_store *m = mem_store_new(64, 4);
	struct xi_sad *sad = sad_open(m);
	static struct test_sa sas[3];
	struct test_pkt p;
	const char *why;

	for (int i = 0; i < 3; i++) {
		struct choice c = {.t = {XI_ALG_AES_GCM, XI_AUTH_NONE, 128, 16, false},
				   .v6 = i == 2};

		sa_open(&sas[i], &c, &alg_engines[0]);
		sa_close(&sas[i]);
		sample_addr(sas[i].sa.id.daddr, dsts[i]);
		key_fill(&sas[i].raw, &c.t, (uint8_t)(i + 50));
		test_sa_start(&sas[i], alg_engines[0].e);
		assert_int_equal(xi_sad_add(sad, &sas[i].sa, &sas[i].raw, NULL, &why), 0);
	}
	for (int from = 0; from < 3; from++) {
		uint32_t mine = xi_sad_lookup(sad, &sas[from].sa.id);

		assert_int_not_equal(mine, 0);
		for (int to = 0; to < 3; to++) {
			enum xi_reason want = from == to ? XI_NONE : XI_DROP_ICV;

			if ((from == 2) != (to == 2))
				want = XI_DROP_SA_GONE; /* of the other family */
			current.v6 = from == 2;
			wire_make(&sas[from], (uint64_t)(10 + 3 * from + to), 40, &p);
			assert_int_equal(sad_name(sad, &p.pkt), mine);
			assert_memory_equal(xi_sad_rec(sad, mine)->key.key, sas[from].raw.key, 20);
			assert_int_equal(open_packet(&sas[to], &p.pkt), want);
		}
	}
	for (int i = 0; i < 3; i++)
		test_sa_stop(&sas[i]);
	xi_sad_destroy(sad);
	mem_store_free(m);
}

/* 8: a batch that mixes SAs, families, protocols and errors */

enum defect {
	GOOD,
	BAD_ICV,
	REPLAYED,
	CUT,
	OTHER_SPI,
	OTHER_FAMILY,
	PAD,
	NEXT_HEADER,
	DUMMY,
	DEFECTS
};

static const enum xi_reason defect_reason[] = {
	[GOOD] = XI_NONE,
	[BAD_ICV] = XI_DROP_ICV,
	[REPLAYED] = XI_DROP_REPLAY,
	[CUT] = XI_DROP_WORKER_MALFORMED,
	[OTHER_SPI] = XI_DROP_SA_GONE,
	[OTHER_FAMILY] = XI_DROP_SA_GONE,
	[PAD] = XI_DROP_PADDING,
	[NEXT_HEADER] = XI_DROP_INNER,
	[DUMMY] = XI_DUMMY,
};

static const struct choice mixed[] = {
	{{XI_ALG_AES_GCM, XI_AUTH_NONE, 128, 16, false}, false, false, false, false},
	{{XI_ALG_AES_CBC, XI_AUTH_HMAC_SHA256, 256, 16, false}, false, true, true, false},
	{{XI_ALG_NONE, XI_AUTH_HMAC_SHA1, 0, 12, true}, false, false, false, false},
	{{XI_ALG_AES_CTR, XI_AUTH_AES_CMAC, 192, 12, false}, false, false, true, true},
	{{XI_ALG_CHACHA20_POLY1305, XI_AUTH_NONE, 256, 16, false}, true, true, true, true},
	{{XI_ALG_AES_GMAC, XI_AUTH_NONE, 128, 16, true}, true, true, true, false},
	{{XI_ALG_AES_CCM, XI_AUTH_NONE, 256, 8, false}, true, false, false, false},
	{{XI_ALG_NULL, XI_AUTH_HMAC_SHA512, 0, 32, false}, false, true, false, false},
};
#define MIXED COUNT(mixed)
#define BATCH 64

struct mixture {
	struct test_sa sas[MIXED];
	uint32_t which[BATCH]; /* SA of a packet */
	enum defect defect[BATCH];
	struct test_pkt pkts[BATCH];
	uint8_t ips[BATCH][256]; /* what must come out */
	uint32_t lens[BATCH];
	struct xi_aead_job jobs[BATCH];
	struct xi_esp_in ins[BATCH];
	struct xi_ah_saved saved[BATCH];
	enum xi_reason why[BATCH];
};

static struct mixture mix;

/* AH has no trailer, and its packets get another wrong instead; so do those of transport mode. */
static enum defect defect_choose(uint32_t i)
{
	enum defect d = (enum defect)(i % 3 ? random() % DEFECTS : GOOD);

	if (current.t.ah && (d == PAD || d == NEXT_HEADER || d == DUMMY))
		return BAD_ICV;
	return current.transport && d == NEXT_HEADER ? REPLAYED : d;
}

/* What happens to it on the wire. */
static void packet_spoil(struct test_pkt *p, enum defect d)
{
	uint8_t *ip = p->pkt.data;

	if (d == BAD_ICV)
		ip[p->pkt.len - 1] ^= 0x80;
	else if (d == CUT)
		p->pkt.len -= 9;
	else if (d == OTHER_SPI)
		ip[frame.offset + (current.t.ah ? 7 : 3)] ^= 1;
	else if (d == OTHER_FAMILY && current.v6)
		test_inner4(ip, 40, 0);
	else if (d == OTHER_FAMILY)
		test_inner6(ip, 40, 0);
}

static void mixture_packet(uint32_t i)
{
	uint32_t k = (uint32_t)random() % MIXED;
	struct test_pkt *p = &mix.pkts[i];
	struct test_sa *s = &mix.sas[k];
	struct xi_aead_job job;
	enum defect d;

	current = mixed[k];
	mix.which[i] = k;
	d = mix.defect[i] = defect_choose(i);
	mix.lens[i] = inner_make(mix.ips[i], (uint32_t)random() % 150 + 10, current.v6);
	test_pkt_set(p, mix.ips[i], mix.lens[i]);
	/* 1 was received before */
	check(!seal_start(s, d == REPLAYED ? 1 : i + 2, &p->pkt, &job));
	if (d == PAD)
		job.data[job.len - 2] = 255;
	else if (d == NEXT_HEADER)
		job.data[job.len - 1] = IPPROTO_ESP;
	else if (d == DUMMY)
		job.data[job.len - 1] = IPPROTO_NONE;
	seal_end(s, &job);
	packet_spoil(p, d);
}

static void mixture_open(const struct alg_engine *en)
{
	struct xi_esp_tally tally = {.now = 1000};
	uint32_t of[BATCH], n = 0, i, end;
	enum xi_crypto_status status;

	for (i = 0; i < BATCH; i++) {
		mix.why[i] = xi_in_prepare(&mix.sas[mix.which[i]].ctx, &mix.pkts[i].pkt,
					   &mix.jobs[n], &mix.ins[n], &mix.saved[n]);
		if (!mix.why[i])
			of[n++] = i;
	}
	en->e->open(en->c, mix.jobs, n);
	for (i = 0; i < n; i = end) {
		for (end = i + 1; end < n && mix.which[of[end]] == mix.which[of[i]]; end++)
			;
		xi_in_verify(&mix.sas[mix.which[of[i]]].ctx, &mix.jobs[i], &mix.ins[i], end - i);
		for (uint32_t k = i; k < end; k++)
			mix.why[of[k]] = xi_in_finish(&mix.sas[mix.which[of[k]]].ctx,
						      &mix.pkts[of[k]].pkt, &mix.jobs[k],
						      &mix.ins[k], &mix.saved[k], &tally, &status);
	}
	xi_esp_tally_flush(&tally);
}

static void mixture_check(void)
{
	uint64_t arrived[MIXED] = {0}, failed[MIXED] = {0};

	for (uint32_t i = 0; i < BATCH; i++) {
		uint32_t k = mix.which[i];
		enum defect d = mix.defect[i];

		current = mixed[k];
		if (mix.why[i] != defect_reason[d])
			fail_msg("packet %u, %s, defect %d: reason %d", i, choice_text(&current), d,
				 mix.why[i]);
		/* what was verified counts, but dummies, and packets whose padding tells no length
		 */
		arrived[k] += d == GOOD || d == NEXT_HEADER;
		failed[k] += d == BAD_ICV || d == REPLAYED || d == PAD || d == NEXT_HEADER;
		if (d == GOOD) {
			check(mix.pkts[i].pkt.len == mix.lens[i]);
			check(!memcmp(mix.pkts[i].pkt.data, mix.ips[i], mix.lens[i]));
		}
	}
	for (uint32_t k = 0; k < MIXED; k++) {
		const struct xi_sa_state *st = &mix.sas[k].state;

		current = mixed[k];
		check(st->packets == arrived[k]);
		check(st->replay_failed + st->integrity_failed + st->other_failed == failed[k]);
	}
}

static void a_batch_may_mix_sas_families_and_errors(void **state)
{
	srandom(64);
	for (unsigned int round = 0; round < 200 * alg_nengines; round++) {
		const struct alg_engine *en = &alg_engines[round % alg_nengines];

		for (uint32_t k = 0; k < MIXED; k++) {
			uint64_t one = 1;
			enum xi_reason why;

			sa_open(&mix.sas[k], &mixed[k], en);
			mix.sas[k].sa.id.spi += k;
			xi_replay_commit_run(&mix.sas[k].ctx.replay, &one, &why, 1);
		}
		for (uint32_t i = 0; i < BATCH; i++)
			mixture_packet(i);
		for (uint32_t k = 0; k < MIXED; k++)
			mix.sas[k].state.packets = mix.sas[k].state.bytes = 0;
		mixture_open(en);
		mixture_check();
		for (uint32_t k = 0; k < MIXED; k++)
			sa_close(&mix.sas[k]);
	}
}

/* 9: zero-length payload */

static void carry_nothing(void)
{
	static struct test_pkt p;
	uint8_t ip[64];
	uint32_t len = inner_make(ip, 0, current.v6);

	test_pkt_set(&p, ip, len);
	check(!seal(&sa, 1, &p.pkt));
	check(!open_packet(&sa, &p.pkt));
	check(p.pkt.len == len && !memcmp(p.pkt.data, ip, len));
	/* both ways: bytes are the payload's, in tunnel mode the inner packet's */
	check(sa.state.packets == 2 && sa.state.bytes == (current.transport ? 0 : 2 * len));
	if (current.t.ah)
		return;
	/* a ciphertext without anything: not even a trailer */
	wire_make(&sa, 2, 0, &p);
	p.pkt.len = frame.offset + 8U + sa.ctx.iv_len + sa.ctx.icv_len;
	p.pkt.data[current.v6 ? 4 : 2] = 0;
	p.pkt.data[current.v6 ? 5 : 3] = (uint8_t)(p.pkt.len - (current.v6 ? 40 : 0));
	if (current.encap)
		p.pkt.data[frame.offset - 3] = (uint8_t)(p.pkt.len - frame.offset + 8);
	check(open_packet(&sa, &p.pkt) == XI_DROP_SHORT);
}

static void zero_length_payloads_are_carried(void **state)
{
	each_sa(carry_nothing, true);
}

/* 10: TFC padding; dummy packets */

static void strip_tfc(void)
{
	static struct test_pkt p;
	uint8_t ip[512];
	uint32_t len;

	if (current.transport)
		return;
	sa.ctx.tfcpad = 300;
	for (uint32_t payload = 0; payload <= 280; payload += 40) {
		len = inner_make(ip, payload, current.v6);
		test_pkt_set(&p, ip, len);
		check(!seal(&sa, payload + 1, &p.pkt));
		/* all that are shorter have one length (RFC 4303 section 2.7) */
		check(len > 300 ||
		      p.pkt.len == xi_esp_front(&sa.ctx) + sa.ctx.outer_len + sa.ctx.icv_len +
					   (302U + sa.ctx.pad_align - 1) / sa.ctx.pad_align *
						   sa.ctx.pad_align);
		check(!open_packet(&sa, &p.pkt));
		check(p.pkt.len == len && !memcmp(p.pkt.data, ip, len));
	}
}

static void tfc_padding_is_stripped(void **state)
{
	each_sa(strip_tfc, false);
}

static void swallow(void)
{
	static struct test_pkt p, again;

	trailer_packet(9, 30, -1, IPPROTO_NONE, &p);
	again = p;
	again.pkt.data = again.buf + (p.pkt.data - p.buf);
	sa.state.packets = sa.state.bytes = 0;
	check(open_packet(&sa, &p.pkt) == XI_DUMMY && last_status == XI_CRYPTO_SUCCESS);
	/* it is a packet of the peer, with a number; and it is no error (RFC 4303 section 2.6) */
	check(sa.state.top == 9 && sa.state.packets == 0 && sa.state.bytes == 0);
	check(!sa.state.other_failed && !sa.state.integrity_failed);
	check(open_packet(&sa, &again.pkt) == XI_DROP_REPLAY);
	/* a wrong ICV makes it none */
	trailer_packet(10, 30, -1, IPPROTO_NONE, &p);
	p.pkt.data[p.pkt.len - 1] ^= 1;
	check(open_packet(&sa, &p.pkt) == XI_DROP_ICV && sa.state.top == 9);
}

static void dummy_packets_are_swallowed(void **state)
{
	each_sa(swallow, false);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(output_does_not_grow_past_the_buffer),
		cmocka_unit_test(pad_length_beyond_the_packet),
		cmocka_unit_test(padding_bytes_are_checked),
		cmocka_unit_test(next_header_is_not_confused),
		cmocka_unit_test(a_bad_icv_moves_nothing_and_shows_nothing),
		cmocka_unit_test(esn_is_advanced_once),
		cmocka_unit_test(reserved_spis_name_no_sa),
		cmocka_unit_test(the_same_spi_for_another_destination_is_another_sa),
		cmocka_unit_test(a_batch_may_mix_sas_families_and_errors),
		cmocka_unit_test(zero_length_payloads_are_carried),
		cmocka_unit_test(tfc_padding_is_stripped),
		cmocka_unit_test(dummy_packets_are_swallowed),
	};

	return cmocka_run_group_tests(tests, alg_start, alg_stop);
}
