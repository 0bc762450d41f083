// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Engine against engine: random packets of every size, framed and sealed with each, the packets compared byte by byte,
 * and opened with the other. CBC, whose IV is random, is sealed again with the IV that the first engine made. And
 * packets that were changed on the way, which both must refuse alike.
 *
 * XIPSEC_SEED repeats a run; a failure prints its own.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <linux/xfrm.h>
#include <cmocka.h>

#include "alg_job.h"
#include "esp_sa.h"

#define SIZES 9001       /* 0 to 9000 bytes behind the IP header */
#define SMALL 68         /* sizes that every SA carries: four blocks and all remainders */
#define CHANGED 6        /* packets of each SA and change */
#define SHARE 2          /* SAs of a class that carry the same size */
#define SAS_MAX 2048
#define CLASSES 8        /* ciphers, and AH */
#define MIX_STEP 7       /* SAs of one class are this far apart from one size to the next */

static unsigned int seed;

struct kind {
	struct alg_transform tr;
	uint8_t outer, inner;
	bool transport, esn, encap;
};

static struct kind kinds[SAS_MAX];
static unsigned int nkinds;

static const char *kind_text(const struct kind *k)
{
	static char text[128];

	snprintf(text, sizeof(text), "%s, %s, IPv%u in IPv%u%s%s", alg_text(&k->tr),
		 k->transport ? "transport" : "tunnel", k->inner, k->outer, k->esn ? ", ESN" : "",
		 k->encap ? ", UDP" : "");
	return text;
}

/* Every transform in every mode, family, with and without ESN and UDP. */
static void kinds_make(void)
{
	struct alg_transform list[ALG_TRANSFORMS_MAX];
	unsigned int n = alg_transforms(list);

	nkinds = 0;
	for (unsigned int i = 0; i < n; i++) {
		for (unsigned int bits = 0; bits < 32; bits++) {
			struct kind k = {.tr = list[i],
					 .outer = bits & 1 ? 6 : 4,
					 .inner = bits & 2 ? 6 : 4,
					 .transport = bits & 4,
					 .esn = bits & 8,
					 .encap = bits & 16};

			if ((k.transport && k.inner != k.outer) || (k.encap && k.tr.ah))
				continue;
			assert_true(nkinds < SAS_MAX);
			kinds[nkinds++] = k;
		}
	}
}

static unsigned int kind_class(const struct kind *k)
{
	return k->tr.ah ? 0 : k->tr.alg;
}

static void put16(uint8_t *p, size_t v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

/* Any bytes: from anywhere in a pool, for to draw each would take longer than to encrypt it. */
static void bytes_make(uint8_t *p, size_t n)
{
	static uint8_t pool[65536 + TEST_PKT_MAX];
	static unsigned int filled;

	if (filled != seed) {
		alg_random(pool, sizeof(pool));
		filled = seed;
	}
	memcpy(p, pool + random() % 65536, n);
}

/* Protocol 253, so that nobody looks for a checksum inside; one IPv4 header in eight has options (NOPs). */
static size_t packet_make(uint8_t *ip, uint8_t version, size_t size)
{
	size_t hdr = version == 6 ? 40 : 20;

	if (version == 4 && random() % 8 == 0)
		hdr += 4 * (1 + (size_t)random() % 10);
	bytes_make(ip, hdr + size);
	if (version == 6) {
		ip[0] = (uint8_t)(0x60 | (ip[0] & 0xf));
		put16(ip + 4, size);
		ip[6] = 253;
		return hdr + size;
	}
	ip[0] = (uint8_t)(0x40 | hdr / 4);
	put16(ip + 2, hdr + size);
	put16(ip + 6, random() & 1 ? 0x4000 : 0);
	ip[9] = 253;
	memset(ip + 20, 1, hdr - 20);
	put16(ip + 10, 0);
	put16(ip + 10, test_checksum(ip, hdr));
	return hdr + size;
}

/* One SA at both engines; the managers are shared. */
static void pair_start(struct test_sa pair[2], const struct kind *k)
{
	uint8_t key[XI_KEY_MAX];

	alg_random(key, sizeof(key));
	for (int i = 0; i < 2; i++) {
		struct test_sa *t = &pair[i];

		test_sa_default(t, k->outer == 6 ? XI_IPV6 : XI_IPV4);
		test_sa_transform(t, &k->tr);
		memcpy(t->raw.key, key, t->raw.len);
		t->sa.mode = k->transport ? XI_TRANSPORT : XI_TUNNEL;
		t->sa.flags |= k->esn ? XFRM_STATE_ESN : 0;
		t->sa.encap = k->encap ? XI_ENCAP_ESPINUDP : XI_ENCAP_NONE;
		t->sa.encap_sport = 4500;
		t->sa.encap_dport = 61234;
		t->engine = alg_engines[i].e;
		t->crypto = alg_engines[i].c;
		assert_int_equal(xi_sa_ctx_init(&t->ctx, &t->sa, &t->raw, &t->state, t->words,
						XI_WINDOW_WORDS),
				 0);
		assert_int_equal(t->engine->key_new(&t->key, &t->raw, 1), 0);
		t->ctx.key = t->key;
	}
}

static void pair_stop(struct test_sa pair[2])
{
	for (int i = 0; i < 2; i++)
		pair[i].engine->key_free(pair[i].key);
}

static void differ(const struct kind *k, size_t size, const char *what)
{
	fail_msg("%s: %zu bytes: %s (XIPSEC_SEED=%u)", kind_text(k), size, what, seed);
}

static bool same(const struct test_pkt *p, const uint8_t *data, size_t len)
{
	return p->pkt.len == len && !memcmp(p->pkt.data, data, len) &&
	       p->pkt.data - p->pkt.headroom == p->buf &&
	       p->pkt.data + p->pkt.len + p->pkt.tailroom == p->buf + sizeof(p->buf);
}

/* Seals what is in p; iv: the IV to take, or NULL for the engine's own. */
static bool seal(struct test_sa *t, uint64_t seq, struct test_pkt *p, struct xi_frame *frame,
		 const uint8_t *iv)
{
	if (xi_out_frame(&t->ctx, seq, UINT32_MAX, &p->pkt, frame))
		return false;
	if (iv)
		memcpy(frame->ip + frame->offset + XI_ESP_HDR_LEN, iv, t->ctx.iv_len);
	return !test_crypt(t, frame, iv);
}

static void try_one(struct test_sa pair[2], const struct kind *k, uint64_t seq, size_t size)
{
	static uint8_t clear[TEST_PKT_MAX];
	static struct test_pkt p, q;
	struct xi_frame first, second;
	size_t len = packet_make(clear, k->inner, size);
	unsigned int one = (unsigned int)(seq & 1), other = !one;
	const uint8_t *iv = NULL;

	test_pkt_set(&p, clear, len);
	test_pkt_set(&q, clear, len);
	if (!seal(&pair[one], seq, &p, &first, NULL))
		differ(k, size, "is not sealed");
	if (pair[one].ctx.random_iv)
		iv = first.ip + first.offset + XI_ESP_HDR_LEN;
	if (!seal(&pair[other], seq, &q, &second, iv))
		differ(k, size, "is not sealed by the other engine");
	if (!same(&q, p.pkt.data, p.pkt.len))
		differ(k, size, "sealed otherwise by the other engine");
	if (p.pkt.len > len + xi_overhead(&pair[0].ctx))
		differ(k, size, "grew by more than it may");
	if (test_open(&pair[other], &p.pkt, NULL) || !same(&p, clear, len))
		differ(k, size, "opened otherwise by the other engine");
	if (test_open(&pair[one], &q.pkt, NULL) || !same(&q, clear, len))
		differ(k, size, "opened otherwise than it was");
}

/* Small sizes all, of the others those whose turn it is: the SAs of a class share them out. */
static unsigned int try_kind(const struct kind *k, unsigned int turn, unsigned int of)
{
	static struct test_sa pair[2];
	unsigned int done = 0;
	uint64_t seq;

	pair_start(pair, k);
	seq = k->esn ? (uint64_t)random() << 32 | (random() & 0xffff0000) : (uint64_t)random() >> 8;
	for (int i = 0; i < 2; i++)
		xi_replay_import(&pair[i].ctx.replay, seq, NULL, 0);
	for (size_t size = 0; size < SIZES; size++) {
		if (size >= SMALL && (size * MIX_STEP + size / of) % of != turn)
			continue;
		try_one(pair, k, ++seq, size);
		done++;
	}
	pair_stop(pair);
	return done;
}

static void begin(void)
{
	const char *wanted = getenv("XIPSEC_SEED");

	if (alg_nengines < 2) {
		print_message("there is but one engine on this CPU\n");
		skip();
	}
	seed = wanted ? (unsigned int)strtoul(wanted, NULL, 0) : (unsigned int)time(NULL);
	srandom(seed);
	kinds_make();
}

static void engines_agree_on_packets_of_every_size(void **state)
{
	unsigned int count[CLASSES] = {0}, turn[CLASSES] = {0}, done = 0;

	begin();
	for (unsigned int i = 0; i < nkinds; i++)
		count[kind_class(&kinds[i])]++;
	for (unsigned int i = 0; i < nkinds; i++) {
		unsigned int class = kind_class(&kinds[i]), of = count[class] / SHARE;

		done += try_kind(&kinds[i], turn[class]++ % of, of);
	}
	print_message("%u packets of %u SAs, XIPSEC_SEED=%u\n", done, nkinds, seed);
	assert_true(done >= SIZES * CLASSES * SHARE);
}

static void ip_len_set(uint8_t *ip, uint32_t len)
{
	if (ip[0] >> 4 == 6)
		put16(ip + 4, len - 40);
	else
		put16(ip + 2, len);
}

enum { WHOLE, FLIPPED, CUT, SHORTENED, LENGTHENED, FOLLOWED, RANDOM, CHANGES };

/* What a sealed packet may meet on its way. */
static void packet_change(struct test_pkt *p, unsigned int how)
{
	uint32_t at = (uint32_t)random() % p->pkt.len, behind = 1 + (uint32_t)random() % 64;
	uint8_t *ip = p->pkt.data;

	if (how == FLIPPED)
		ip[at] ^= (uint8_t)(1 << random() % 8);
	if (how == RANDOM)
		bytes_make(ip + at, p->pkt.len - at);
	if (how == CUT || how == SHORTENED) {
		p->pkt.tailroom += p->pkt.len - at;
		p->pkt.len = at;
	}
	if (how == LENGTHENED || how == FOLLOWED) {
		bytes_make(ip + p->pkt.len, behind);
		p->pkt.len += behind;
		p->pkt.tailroom -= behind;
	}
	if ((how == SHORTENED || how == LENGTHENED) && p->pkt.len >= 40)
		ip_len_set(ip, p->pkt.len);
}

/* The verdict, the outcome, every byte of the buffer and all that the SA keeps: alike, whoever opened it. */
static enum xi_reason open_both(struct test_sa pair[2], const struct kind *k, struct test_pkt *p)
{
	enum xi_crypto_status status[2] = {XI_CRYPTO_NOT_DONE, XI_CRYPTO_NOT_DONE};
	static struct test_pkt q;
	enum xi_reason why[2];
	uint32_t len = p->pkt.len;

	q = *p;
	q.pkt.data = q.buf + (p->pkt.data - p->buf);
	why[0] = test_open(&pair[0], &p->pkt, &status[0]);
	why[1] = test_open(&pair[1], &q.pkt, &status[1]);
	if (why[0] != why[1] || status[0] != status[1])
		differ(k, len, "a changed packet has another verdict with the other engine");
	if (q.pkt.len != p->pkt.len || q.pkt.data - q.buf != p->pkt.data - p->buf ||
	    q.pkt.headroom != p->pkt.headroom || q.pkt.tailroom != p->pkt.tailroom)
		differ(k, len, "a changed packet has other bounds with the other engine");
	if (memcmp(p->buf, q.buf, sizeof(q.buf)))
		differ(k, len, "a changed packet is left otherwise by the other engine");
	if (memcmp(&pair[0].state, &pair[1].state, sizeof(pair[0].state)) ||
	    memcmp(pair[0].words, pair[1].words, sizeof(pair[0].words)))
		differ(k, len, "a changed packet leaves another SA with the other engine");
	return why[0];
}

static void change_kind(const struct kind *k, unsigned int verdicts[XI_REASON_MAX])
{
	static struct test_sa pair[2];
	static struct test_pkt p, q;
	static uint8_t clear[TEST_PKT_MAX];
	struct xi_frame frame;
	uint64_t seq = k->esn ? 7ULL << 32 : 5;

	pair_start(pair, k);
	for (int i = 0; i < 2; i++)
		xi_replay_import(&pair[i].ctx.replay, seq, NULL, 0);
	for (unsigned int i = 0; i < CHANGED * CHANGES; i++) {
		test_pkt_set(&p, clear, packet_make(clear, k->inner, (size_t)random() % 300));
		if (!seal(&pair[i & 1], ++seq, &p, &frame, NULL))
			differ(k, p.pkt.len, "is not sealed");
		pair[0].state.packets = pair[1].state.packets = 0;
		pair[0].state.bytes = pair[1].state.bytes = 0;
		pair[0].state.use_time = pair[1].state.use_time = 0;
		pair[0].state.last_use = pair[1].state.last_use = 0;
		q = p;
		q.pkt.data = q.buf + (p.pkt.data - p.buf);
		packet_change(&q, i % CHANGES);
		verdicts[open_both(pair, k, &q)]++;
	}
	pair_stop(pair);
}

static void engines_agree_on_packets_that_were_changed(void **state)
{
	unsigned int verdicts[XI_REASON_MAX] = {0}, each;

	begin();
	for (unsigned int i = 0; i < nkinds; i++)
		change_kind(&kinds[i], verdicts);
	each = nkinds * CHANGED;
	print_message("%u packets: %u opened, %u ICVs bad, %u short, %u malformed; XIPSEC_SEED=%u\n",
		      each * CHANGES, verdicts[XI_NONE], verdicts[XI_DROP_ICV],
		      verdicts[XI_DROP_SHORT], verdicts[XI_DROP_WORKER_MALFORMED], seed);
	/* opened: the whole ones, those with link padding, and where nothing is covered, as in a TTL */
	assert_in_range(verdicts[XI_NONE], each * 2, each * 3);
	assert_true(verdicts[XI_DROP_ICV] > each);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(engines_agree_on_packets_of_every_size),
		cmocka_unit_test(engines_agree_on_packets_that_were_changed),
	};

	return cmocka_run_group_tests(tests, alg_start, alg_stop);
}
