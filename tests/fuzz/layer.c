// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "layer.h"

#include <errno.h>
#include <netinet/in.h>
#include <linux/xfrm.h>

#include "crypto/algs.h"

#define TRANSFORMS 128
#define LAYER_MAX (FUZZ_DATA_MAX + 1024)

struct transform {
	enum xi_alg alg;
	enum xi_auth auth;
	uint16_t key_bits;
	uint8_t icv_len;
};

/* All there are: [AH or ESP]. */
static struct transform transforms[2][TRANSFORMS];
static unsigned int ntransforms[2];

static void transform_add(bool ah, enum xi_alg alg, enum xi_auth auth, uint16_t bits)
{
	for (uint8_t icv = 1; icv <= 32; icv++)
		if (xi_transform_valid(alg, auth, bits, icv) && ntransforms[ah] < TRANSFORMS)
			transforms[ah][ntransforms[ah]++] =
				(struct transform){alg, auth, bits, icv};
}

static void transforms_make(void)
{
	static const uint16_t bits[] = {0, 128, 192, 256};

	for (int a = XI_AUTH_NONE; a <= XI_AUTH_AES_CMAC; a++) {
		transform_add(true, XI_ALG_NONE, (enum xi_auth)a, 0);
		for (int c = XI_ALG_AES_GCM; c <= XI_ALG_AES_GMAC; c++)
			for (int k = 0; k < 4; k++)
				transform_add(false, (enum xi_alg)c, (enum xi_auth)a, bits[k]);
	}
	for (int k = 1; k < 4; k++)
		transform_add(true, XI_ALG_AES_GMAC, XI_AUTH_NONE, bits[k]);
	require(ntransforms[0] > 40 && ntransforms[1] > 6);
}

static void raw_make(struct xi_sa_key *raw, const struct transform *t)
{
	const struct xi_cipher_info *cipher = xi_cipher_info(t->alg);
	const struct xi_auth_info *auth = xi_auth_info(t->auth);

	raw->alg = t->alg;
	raw->auth = t->auth;
	raw->auth_len = auth ? auth->key_bits / 8U : 0;
	raw->len = t->key_bits / 8U + (cipher ? cipher->salt_len : 0U) + raw->auth_len;
	for (uint32_t i = 0; i < raw->len; i++)
		raw->key[i] = (uint8_t)(i * 29 + 7);
}

static struct xi_crypto *crypto(const struct xi_engine *engine)
{
	static struct xi_crypto *made[2];
	struct xi_crypto **c = &made[engine == &xi_engine_ipsec_mb];

	if (!*c)
		require(!engine->create(c, 0));
	return *c;
}

/* Expanded once: all SAs of a transform have one key. */
static const struct xi_ckey *expanded(const struct fuzz_sa *f, bool ah, unsigned int i)
{
	static struct xi_ckey *made[2][2][TRANSFORMS];
	struct xi_ckey **key = &made[f->engine == &xi_engine_ipsec_mb][ah][i];

	if (!*key)
		require(!f->engine->key_new(key, &f->raw, 1));
	return *key;
}

static void choose_flags(struct xi_sa *sa, uint8_t bits, bool ah)
{
	sa->id.family = bits & 1 ? XI_IPV6 : XI_IPV4;
	sa->flags = (bits & 2 ? XFRM_STATE_ESN : 0) | (bits & 8 ? XFRM_STATE_AF_UNSPEC : 0) |
		    (bits & 16 ? XFRM_STATE_DECAP_DSCP : 0) | (bits & 32 ? XFRM_STATE_NOECN : 0) |
		    (bits & 64 ? XFRM_STATE_NOPMTUDISC : 0);
	sa->mode = bits & 4 ? XI_TRANSPORT : XI_TUNNEL;
	if (ah)
		sa->flags |= bits & 128 ? XFRM_STATE_ALIGN4 : 0;
	else
		sa->encap = bits & 128 ? XI_ENCAP_ESPINUDP : XI_ENCAP_NONE;
	sa->encap_sport = sa->encap_dport = sa->encap ? 4500 : 0;
}

/* Returns the highest sequence number so far. */
static uint64_t choose_more(struct xi_sa *sa, uint8_t bits)
{
	static const uint64_t tops[] = {0, 100, UINT32_MAX - 1, (1ULL << 33) - 1};
	static const uint32_t windows[] = {0, 32, 64, 1024};
	uint64_t top = tops[bits >> 6];

	sa->replay_window = windows[bits >> 1 & 3];
	sa->extra_flags = bits & 8 ? XFRM_SA_XFLAG_DONT_ENCAP_DSCP : 0;
	if ((bits >> 4 & 3) == 3)
		sa->tfcpad = 300;
	else
		sa->df = (enum xi_df)(bits >> 4 & 3);
	return sa->flags & XFRM_STATE_ESN || top < UINT32_MAX ? top : 7;
}

void fuzz_sa_make(struct fuzz_sa *f, struct fuzz_in *in, bool ah, bool ipsec_mb)
{
	uint8_t flags = fuzz_choice(in), more = fuzz_choice(in), i;
	const struct transform *t;

	if (!ntransforms[0])
		transforms_make();
	i = (uint8_t)(fuzz_choice(in) % ntransforms[ah]);
	t = &transforms[ah][i];
	memset(f, 0, sizeof(*f));
	f->engine =
		ipsec_mb && xi_engine_ipsec_mb.usable() ? &xi_engine_ipsec_mb : &xi_engine_openssl;
	f->sa.id.spi = 0x1000;
	f->sa.id.proto = ah ? XI_AH : XI_ESP;
	f->sa.alg = t->alg;
	f->sa.auth = t->auth;
	f->sa.key_bits = t->key_bits;
	f->sa.icv_len = t->icv_len;
	f->sa.limits.soft_bytes = f->sa.limits.hard_bytes = UINT64_MAX;
	f->sa.limits.soft_packets = f->sa.limits.hard_packets = UINT64_MAX;
	raw_make(&f->raw, t);
	choose_flags(&f->sa, flags, ah);
	f->state.top = choose_more(&f->sa, more);
	require(!xi_sa_ctx_init(&f->ctx, &f->sa, &f->raw, &f->state, f->words, FUZZ_WORDS));
	if (!(more & 1))
		f->ctx.key = expanded(f, ah, i);
}

static uint64_t failures(const struct fuzz_sa *f)
{
	return f->state.replay_failed + f->state.integrity_failed + f->state.other_failed;
}

/* What finish lets go is a packet whose lengths, and checksum where it was made anew, are right. */
static void packet_check(const struct fuzz_sa *f, const struct xi_pkt *pkt)
{
	const uint8_t *ip = pkt->data;
	uint32_t sum = 0;

	if (ip[0] >> 4 == 6) {
		require(pkt->len == 40U + (ip[4] << 8 | ip[5]));
		return;
	}
	require(ip[0] >> 4 == 4 && pkt->len == (uint32_t)(ip[2] << 8 | ip[3]));
	for (size_t i = 0; f->ctx.transport && i < (ip[0] & 15U) * 4; i += 2)
		sum += (uint32_t)(ip[i] << 8 | ip[i + 1]);
	require(!f->ctx.transport || (sum & 0xffff) + (sum >> 16) == 0xffff);
}

static void job_check(const struct fuzz_sa *f, const struct xi_aead_job *job,
		      const struct xi_pkt *pkt)
{
	require(job->data - job->head_len >= pkt->data);
	require(job->data + job->len <= pkt->data + pkt->len);
	require(!(job->len & f->ctx.block_mask));
	if (!job->ah)
		require(job->icv == job->data + job->len &&
			job->icv + job->icv_len <= pkt->data + pkt->len);
}

/* Nothing of a packet with a wrong ICV is seen, and it moves nothing. */
static void refusal_check(const struct fuzz_sa *f, const struct xi_aead_job *job, uint64_t top)
{
	require(job->status == -EBADMSG && f->state.top == top && f->state.integrity_failed == 1);
	for (uint32_t i = 0; !job->ah && i < job->len; i++)
		require(!job->data[i]);
}

static void finish_check(const struct fuzz_sa *f, enum xi_reason why, enum xi_crypto_status status,
			 const struct xi_pkt *pkt)
{
	switch (why) {
	case XI_NONE:
		require(status == XI_CRYPTO_SUCCESS);
		packet_check(f, pkt);
		break;
	case XI_DUMMY:
		require(status == XI_CRYPTO_SUCCESS && f->ctx.proto == IPPROTO_ESP);
		break;
	case XI_DROP_PADDING:
		require(status == XI_CRYPTO_INVALID_PACKET_SYNTAX && f->ctx.proto == IPPROTO_ESP);
		break;
	case XI_DROP_INNER:
		require(status == XI_CRYPTO_INVALID_PACKET_SYNTAX ||
			status == XI_CRYPTO_INVALID_PROTOCOL);
		break;
	default:
		require(why == XI_DROP_INNER_ECN);
	}
}

enum xi_reason fuzz_layer_open(struct fuzz_sa *f, struct xi_pkt *pkt, bool authentic)
{
	uint64_t top = f->state.top, failed = failures(f);
	struct xi_esp_tally tally = {.now = 1};
	enum xi_crypto_status status;
	struct xi_ah_saved saved;
	struct xi_aead_job job;
	struct xi_esp_in in;
	enum xi_reason why = xi_in_prepare(&f->ctx, pkt, &job, &in, &saved);

	if (why) {
		require(f->state.top == top && failures(f) - failed <= 1);
		return why;
	}
	job_check(f, &job, pkt);
	f->engine->open(crypto(f->engine), &job, 1);
	xi_in_verify(&f->ctx, &job, &in, 1);
	why = xi_in_finish(&f->ctx, pkt, &job, &in, &saved, &tally, &status);
	xi_esp_tally_flush(&tally);
	require(failures(f) - failed == (why && why != XI_DUMMY));
	if (job.status) {
		require(!authentic && why == XI_DROP_ICV);
		refusal_check(f, &job, top);
	} else {
		require(f->state.top == (in.seq > top ? in.seq : top));
		finish_check(f, why, status, pkt);
	}
	return why;
}

/* Behind the payload: padding, pad length, next header. */
static size_t trailer(const struct fuzz_sa *f, uint8_t *end, size_t len, uint8_t next_header)
{
	uint8_t pad = (uint8_t)(-(len + 2) & (f->ctx.pad_align - 1U));

	for (uint8_t i = 1; i <= pad; i++)
		*end++ = i;
	end[0] = pad;
	end[1] = next_header;
	return len + pad + 2;
}

static uint8_t choose_next(const struct fuzz_sa *f, struct fuzz_in *in, const uint8_t *payload,
			   size_t len)
{
	uint8_t chosen = fuzz_choice(in);

	if (f->ctx.transport || chosen & 1)
		return chosen >> 1;
	return len && payload[0] >> 4 == 6 ? IPPROTO_IPV6 : IPPROTO_IPIP;
}

/* Returns the bytes of it, before any crypto. */
static size_t esp_build(struct fuzz_sa *f, uint8_t *at, const uint8_t *payload, size_t len,
			bool fit, uint8_t next_header)
{
	size_t front = 8U + f->ctx.iv_len, udp = f->ctx.encap ? 8 : 0;
	uint32_t seq = htonl((uint32_t)(f->state.top + 1));
	uint8_t *esp = at + udp;

	memset(at, 0, udp + front);
	memcpy(esp, &f->ctx.spi_be, 4);
	memcpy(esp + 4, &seq, 4);
	memcpy(esp + front, payload, len);
	if (fit)
		len = trailer(f, esp + front + len, len, next_header);
	else
		len &= ~(size_t)f->ctx.block_mask;
	memset(esp + front + len, 0, f->ctx.icv_len);
	if (udp) {
		put16(at, 4500);
		put16(at + 2, 4500);
		put16(at + 4, udp + front + len + f->ctx.icv_len);
	}
	return udp + front + len + f->ctx.icv_len;
}

static size_t ah_build(struct fuzz_sa *f, uint8_t *ah, const uint8_t *payload, size_t len,
		       uint8_t next_header)
{
	uint32_t seq = htonl((uint32_t)(f->state.top + 1));

	memset(ah, 0, f->ctx.ah_len);
	ah[0] = next_header;
	ah[1] = (uint8_t)(f->ctx.ah_len / 4 - 2);
	memcpy(ah + 4, &f->ctx.spi_be, 4);
	memcpy(ah + 8, &seq, 4);
	memcpy(ah + f->ctx.ah_len, payload, len);
	return f->ctx.ah_len + len;
}

/* The crypto of a packet that was built; false: it is refused before that. */
static bool forge(struct fuzz_sa *f, struct xi_pkt *pkt)
{
	struct xi_ah_saved saved;
	struct xi_aead_job job;
	struct xi_esp_in in;

	if (xi_in_prepare(&f->ctx, pkt, &job, &in, &saved))
		return false;
	job_check(f, &job, pkt);
	f->engine->seal(crypto(f->engine), &job, 1);
	require(!job.status);
	if (job.ah)
		xi_ah_restore(&saved); /* and the ICV into its place */
	return true;
}

bool fuzz_layer_make(struct fuzz_sa *f, struct fuzz_in *in, const uint8_t *payload, size_t len,
		     bool fit, struct fuzz_buf *buf, struct xi_pkt *pkt)
{
	static uint8_t packet[LAYER_MAX + FUZZ_DATA_MAX];
	uint8_t proto = f->ctx.encap ? IPPROTO_UDP : f->ctx.proto, next_header;
	bool v6 = f->ctx.family == 6, inside = payload == in->p;
	size_t at = fuzz_header(packet, v6, proto, in);

	next_header = choose_next(f, in, payload, len);
	if (inside) { /* what was chosen is payload no longer */
		payload = in->p;
		len = in->left;
	}
	require(at + len + 128 <= sizeof(packet));
	if (f->ctx.proto == IPPROTO_ESP)
		len = at + esp_build(f, packet + at, payload, len, fit, next_header);
	else
		len = at + ah_build(f, packet + at, payload, len, next_header);
	put16(packet + (v6 ? 4 : 2), v6 ? len - 40 : len);
	*pkt = fuzz_pkt_new(buf, packet, len, 0, f->ctx.esn && f->ctx.proto == IPPROTO_AH ? 4 : 0);
	return forge(f, pkt);
}

size_t fuzz_layer_front(const struct fuzz_sa *f)
{
	return f->ctx.outer_len +
	       (f->ctx.proto == IPPROTO_AH ? f->ctx.ah_len : xi_esp_front(&f->ctx));
}

enum xi_reason fuzz_layer_frame(struct fuzz_sa *f, const struct fuzz_buf *buf, struct xi_pkt *pkt,
				struct xi_frame *frame)
{
	size_t front = fuzz_layer_front(f);
	struct xi_pkt before = *pkt;
	uint8_t *copy = malloc(buf->len + 1);
	enum xi_reason why;

	require(copy);
	memcpy(copy, buf->data, buf->len);
	why = xi_out_frame(&f->ctx, f->state.top + 1, UINT32_MAX, pkt, frame);
	if (why) {
		require(why == XI_DROP_TOO_BIG || why == XI_DROP_WORKER_MALFORMED ||
			why == XI_DROP_SA_MODE);
		require(!memcmp(pkt, &before, sizeof(before)));
		require(!memcmp(copy, buf->data, buf->len));
	} else {
		fuzz_pkt_check(pkt, buf);
		require(before.headroom - pkt->headroom == front);
		require(frame->ip == pkt->data && frame->len == pkt->len);
		require(pkt->len <= before.len + xi_overhead(&f->ctx) + f->ctx.tfcpad);
	}
	free(copy);
	return why;
}

void fuzz_layer_seal(struct fuzz_sa *f, const struct xi_frame *frame)
{
	struct xi_esp_tally tally = {.now = 1};
	struct xi_ah_saved saved;
	struct xi_aead_job job;

	require(!xi_out_job(&f->ctx, frame, &saved, &job));
	require(job.data - job.head_len >= frame->ip);
	require(job.data + job.len <= frame->ip + frame->len);
	f->engine->seal(crypto(f->engine), &job, 1);
	require(!xi_out_finish(&f->ctx, frame, &saved, &job, &tally));
	xi_esp_tally_flush(&tally);
	require(f->state.packets == 1);
	/* the packet comes back as it went only if nothing of the outer header is carried over */
	f->ctx.ecn = f->ctx.dscp_decap = 0;
}

/* A route that has yet to be run: AH covers the packet as it arrives at its end (RFC 4302
 * section 3.3.3.1.1.1). */
static bool may_be_routed(const uint8_t *ip, size_t len)
{
	bool v6 = ip[0] >> 4 == 6;

	for (size_t i = v6 ? 6 : 20; i < len; i++)
		if (v6 ? ip[i] == IPPROTO_ROUTING : ip[i] == 131 || ip[i] == 137)
			return true;
	return false;
}

void fuzz_mask_add(struct fuzz_mask *mask, const struct fuzz_sa *f, const uint8_t *ip,
		   const struct xi_frame *frame)
{
	static const uint8_t checksums[] = {2, 6, 16}; /* ICMPv6, UDP, TCP */
	size_t at = frame->offset - (f->ctx.encap ? 8U : 0);

	if (!f->ctx.transport)
		return;
	if (f->ctx.family == 4)
		mask->at[mask->n++] = 10; /* made anew, and it may have been wrong */
	for (size_t i = 0; f->ctx.encap && i < sizeof(checksums); i++)
		mask->at[mask->n++] = at + checksums[i];
	if (f->ctx.proto == IPPROTO_AH)
		mask->routed |= may_be_routed(ip, at);
	else if (ip[9] == IPPROTO_NONE || memchr(ip, IPPROTO_NONE, at))
		mask->dummy = true;
}

bool fuzz_mask_same(const struct fuzz_mask *mask, const struct xi_pkt *pkt, const uint8_t *ip,
		    size_t len)
{
	for (size_t i = 0; i < pkt->len; i++) {
		bool differs = i >= len || pkt->data[i] != ip[i];

		for (unsigned int k = 0; differs && k < mask->n; k++)
			if (i == mask->at[k] || i == mask->at[k] + 1)
				differs = false;
		if (differs)
			return false;
	}
	return pkt->len <= len;
}
