// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "ipsec/esp.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <netinet/ip6.h>

#include "ipsec/bytes.h"
#include "ipsec/tunnel.h"

#define ESP_HDR_LEN 8	  /* SPI and sequence number */
#define ESP_TRAILER_LEN 2 /* pad length and next header */
#define IP_MAX 65535
#define VERIFY_RUN 64      /* numbers that go to the replay window together */

static uint64_t load(const __u64 *p)
{
	return __atomic_load_n(p, __ATOMIC_RELAXED);
}

static void add(__u64 *p, uint64_t n)
{
	__atomic_fetch_add(p, n, __ATOMIC_RELAXED);
}

static uint64_t seq_last(const struct xi_sa_ctx *ctx)
{
	return ctx->esn ? UINT64_MAX : UINT32_MAX;
}

unsigned int xi_esp_take_seq(const struct xi_sa_ctx *ctx, unsigned int n, uint64_t *first,
			     enum xi_reason *why)
{
	uint64_t last = seq_last(ctx);
	uint64_t reserved = load(&ctx->state->oseq_limit);
	uint64_t limit = reserved < last ? reserved : last;
	__u64 oseq = load(&ctx->state->oseq);
	uint64_t granted;

	do {
		granted = oseq < limit ? limit - oseq : 0;
		if (granted > n)
			granted = n;
	} while (granted && !__atomic_compare_exchange_n(&ctx->state->oseq, &oseq, oseq + granted,
							 true, __ATOMIC_RELAXED, __ATOMIC_RELAXED));
	*first = oseq + 1;
	if (granted < n)
		*why = oseq + granted >= last ? XI_DROP_SEQ_EXHAUSTED : XI_DROP_SEQ_RESERVE;
	return (unsigned int)granted;
}

unsigned int xi_esp_overhead(const struct xi_sa_ctx *ctx)
{
	return ctx->outer_len + ESP_HDR_LEN + ctx->iv_len + (ctx->pad_align - 1U) +
	       ESP_TRAILER_LEN + ctx->icv_len;
}

/* Payload and trailer end on a multiple of pad_align (RFC 4303 section 2.4). */
static uint32_t pad_len(const struct xi_sa_ctx *ctx, uint32_t payload)
{
	return -(payload + ESP_TRAILER_LEN) & (ctx->pad_align - 1U);
}

static void write_trailer(uint8_t *p, uint32_t pad, uint8_t next_header)
{
	for (uint32_t i = 1; i <= pad; i++)
		*p++ = (uint8_t)i;
	*p++ = (uint8_t)pad;
	*p = next_header;
}

/* What both directions share: keys, AAD (RFC 4106 section 5) and nonce (section 4). */
static void job_init(const struct xi_sa_ctx *ctx, uint64_t seq, const uint8_t *iv,
		     struct xi_aead_job *job)
{
	job->key = ctx->key;
	job->raw = ctx->raw;
	job->icv_len = ctx->icv_len;
	job->status = -EINPROGRESS;
	job->clear_len = 0;
	job->head_len = (uint16_t)(ESP_HDR_LEN + ctx->iv_len);
	memcpy(job->aad, &ctx->spi_be, 4);
	if (ctx->esn) {
		xi_put64(job->aad + 4, seq);
		job->aad_len = 12;
	} else {
		xi_put32(job->aad + 4, (uint32_t)seq);
		job->aad_len = 8;
	}
	/* constant sizes: gcc 12 makes "rep movs", 25 ns, of a memcpy whose size it does not know
	 */
	memcpy(job->nonce, ctx->salt, sizeof(ctx->salt));
	memcpy(job->nonce + sizeof(ctx->salt), iv, sizeof(job->nonce) - sizeof(ctx->salt));
}

enum xi_reason xi_esp_out_prepare(const struct xi_sa_ctx *ctx, uint64_t seq, struct xi_pkt *pkt,
				  struct xi_aead_job *job)
{
	uint32_t front = ctx->outer_len + ESP_HDR_LEN + ctx->iv_len;
	uint32_t inner_len, pad, back, total, room;
	uint8_t version, *esp, *inner = pkt->data;

	if (!xi_tunnel_measure(inner, pkt->len, &version, &inner_len))
		return XI_DROP_WORKER_MALFORMED;
	if (ctx->inner_family && ctx->inner_family != version)
		return XI_DROP_SA_MODE;
	pad = pad_len(ctx, inner_len);
	back = pad + ESP_TRAILER_LEN + ctx->icv_len;
	total = front + inner_len + back;
	room = pkt->tailroom + (pkt->len - inner_len);
	if (pkt->headroom < front || room < back ||
	    total > IP_MAX + (ctx->family == 6 ? sizeof(struct ip6_hdr) : 0))
		return XI_DROP_TOO_BIG;

	pkt->data -= front;
	pkt->len = total;
	pkt->headroom -= front;
	pkt->tailroom = room - back;
	esp = pkt->data + ctx->outer_len;
	memcpy(esp, &ctx->spi_be, 4);
	xi_put32(esp + 4, (uint32_t)seq);
	/* The sequence number is given out once, so it is the unique IV that GCM needs (RFC 4106
	 * section 3.1). CBC needs one that nobody foresees: sealing puts it in the place. */
	xi_put64(esp + ESP_HDR_LEN, seq);
	write_trailer(inner + inner_len, pad, version == 6 ? IPPROTO_IPV6 : IPPROTO_IPIP);
	xi_tunnel_encap(ctx, pkt->data, inner, total, seq);

	job_init(ctx, seq, esp + ESP_HDR_LEN, job);
	job->fresh_iv = ctx->random_iv;
	job->data = inner;
	job->len = inner_len + pad + ESP_TRAILER_LEN;
	job->icv = inner + job->len;
	job->clear_len = inner_len;
	return XI_NONE;
}

static void mark_used(struct xi_sa_state *state, uint64_t now)
{
	__u64 never = 0;

	if (load(&state->last_use) != now)
		__atomic_store_n(&state->last_use, now, __ATOMIC_RELAXED);
	if (!load(&state->use_time))
		__atomic_compare_exchange_n(&state->use_time, &never, now, false, __ATOMIC_RELAXED,
					    __ATOMIC_RELAXED);
}

void xi_esp_tally_flush(struct xi_esp_tally *tally)
{
	if (!tally->ctx)
		return;
	if (tally->packets) {
		add(&tally->ctx->state->bytes, tally->bytes);
		add(&tally->ctx->state->packets, tally->packets);
	}
	mark_used(tally->ctx->state, tally->now);
	*tally = (struct xi_esp_tally){.now = tally->now};
}

static void tally_open(struct xi_esp_tally *tally, const struct xi_sa_ctx *ctx)
{
	if (tally->ctx == ctx)
		return;
	xi_esp_tally_flush(tally);
	tally->ctx = ctx;
}

/*
 * bytes as the kernel counts them, both ways: what is inside the tunnel, without ESP and outer
 * header (xfrm_output_one before encryption; xfrm_input after the trailer is gone, TFC padding
 * included).
 */
static void count_packet(struct xi_esp_tally *tally, const struct xi_sa_ctx *ctx, uint32_t bytes)
{
	tally_open(tally, ctx);
	tally->bytes += bytes;
	tally->packets++;
}

enum xi_reason xi_esp_out_finish(const struct xi_sa_ctx *ctx, const struct xi_aead_job *job,
				 struct xi_esp_tally *tally)
{
	if (job->status) {
		add(&ctx->state->other_failed, 1);
		return XI_DROP_CRYPTO;
	}
	count_packet(tally, ctx, job->clear_len);
	return XI_NONE;
}

/*
 * Where ESP begins and the packet ends. Ethernet padding behind it is cut off; IPv4 options are
 * stepped over, IPv6 extension headers and fragments are refused.
 */
static enum xi_reason parse_outer(const struct xi_sa_ctx *ctx, const struct xi_pkt *pkt,
				  uint32_t *esp_offset, uint32_t *end)
{
	const uint8_t *ip = pkt->data;
	uint8_t version, proto;

	if (!xi_tunnel_measure(ip, pkt->len, &version, end))
		return XI_DROP_WORKER_MALFORMED;
	if (version != ctx->family)
		return XI_DROP_SA_GONE;
	if (version == 4) {
		*esp_offset = (ip[0] & 0xfU) * 4;
		proto = ip[9];
		if (xi_get16(ip + 6) & (IP_MF | IP_OFFMASK))
			return XI_DROP_WORKER_MALFORMED;
	} else {
		*esp_offset = sizeof(struct ip6_hdr);
		proto = ip[6];
	}
	return proto == IPPROTO_ESP ? XI_NONE : XI_DROP_WORKER_MALFORMED;
}

/* The number as far as it can be told before the ICV. */
static enum xi_reason judge_seq(const struct xi_sa_ctx *ctx, uint32_t lo, uint64_t *seq)
{
	enum xi_reason why;

	if (xi_replay_infer(&ctx->replay, lo, seq))
		why = xi_replay_check(&ctx->replay, *seq);
	else
		why = XI_DROP_REPLAY_OLD;
	if (why)
		add(&ctx->state->replay_failed, 1);
	return why;
}

enum xi_reason xi_esp_in_prepare(const struct xi_sa_ctx *ctx, const struct xi_pkt *pkt,
				 struct xi_aead_job *job, struct xi_esp_in *in)
{
	uint32_t front = ESP_HDR_LEN + ctx->iv_len;
	uint32_t esp_offset, end;
	enum xi_reason why;
	uint8_t *esp;

	why = parse_outer(ctx, pkt, &esp_offset, &end);
	if (why)
		return why;
	if (end - esp_offset < front + ESP_TRAILER_LEN + ctx->icv_len ||
	    (end - esp_offset - front - ctx->icv_len) & ctx->block_mask)
		return XI_DROP_SHORT;
	esp = pkt->data + esp_offset;
	if (memcmp(esp, &ctx->spi_be, 4))
		return XI_DROP_SA_GONE;
	why = judge_seq(ctx, xi_get32(esp + 4), &in->seq);
	if (why)
		return why;

	in->verdict = XI_DROP_ICV;
	in->payload_offset = esp_offset + front;
	in->outer_tos = xi_tunnel_tos(pkt->data);
	job_init(ctx, in->seq, esp + ESP_HDR_LEN, job);
	job->fresh_iv = false;
	job->data = esp + front;
	job->len = end - in->payload_offset - ctx->icv_len;
	job->icv = job->data + job->len;
	return XI_NONE;
}

/* RFC 4303 section 3.4.4: pad length within the packet, padding bytes 1, 2, 3 ... *len loses the
 * trailer. */
static bool strip_trailer(const uint8_t *data, uint32_t *len, uint8_t *next_header)
{
	uint32_t pad = data[*len - 2];

	*next_header = data[*len - 1];
	if (pad > *len - ESP_TRAILER_LEN)
		return false;
	*len -= ESP_TRAILER_LEN + pad;
	for (uint32_t i = 0; i < pad; i++)
		if (data[*len + i] != i + 1)
			return false;
	return true;
}

/* The inner packet must be what the next header and the SA say, and lie within the payload. */
static enum xi_crypto_status judge_inner(const struct xi_sa_ctx *ctx, const uint8_t *inner,
					 uint32_t len, uint8_t next_header, uint32_t *inner_len)
{
	uint8_t family, version;

	if (next_header == IPPROTO_IPIP)
		family = 4;
	else if (next_header == IPPROTO_IPV6)
		family = 6;
	else
		return XI_CRYPTO_INVALID_PROTOCOL;
	if (ctx->inner_family && ctx->inner_family != family)
		return XI_CRYPTO_INVALID_PROTOCOL;
	if (!xi_tunnel_measure(inner, len, &version, inner_len) || version != family)
		return XI_CRYPTO_INVALID_PACKET_SYNTAX;
	return XI_CRYPTO_SUCCESS;
}

static enum xi_reason judge_icv(const struct xi_sa_ctx *ctx, const struct xi_aead_job *job)
{
	if (!job->status)
		return XI_NONE;
	if (job->status == -EBADMSG) {
		add(&ctx->state->integrity_failed, 1);
		return XI_DROP_ICV;
	}
	add(&ctx->state->other_failed, 1);
	return XI_DROP_CRYPTO;
}

static void set_verdict(const struct xi_sa_ctx *ctx, struct xi_esp_in *in, enum xi_reason why)
{
	in->verdict = (uint8_t)why;
	if (why)
		add(&ctx->state->replay_failed, 1);
}

static void verify_one(const struct xi_sa_ctx *ctx, const struct xi_aead_job *job,
		       struct xi_esp_in *in)
{
	in->verdict = (uint8_t)judge_icv(ctx, job);
	if (!in->verdict)
		set_verdict(ctx, in, xi_replay_commit(&ctx->replay, in->seq));
}

/* At most VERIFY_RUN. Not inline: a lone packet would pay 4 ns for the arrays. */
static __attribute__((noinline)) void verify_run(const struct xi_sa_ctx *ctx,
						 const struct xi_aead_job *jobs,
						 struct xi_esp_in *ins, unsigned int n)
{
	struct xi_esp_in *verified[VERIFY_RUN];
	enum xi_reason why[VERIFY_RUN];
	uint64_t seqs[VERIFY_RUN];
	unsigned int i, done = 0;

	for (i = 0; i < n; i++) {
		ins[i].verdict = (uint8_t)judge_icv(ctx, &jobs[i]);
		if (ins[i].verdict)
			continue;
		seqs[done] = ins[i].seq;
		verified[done++] = &ins[i];
	}
	if (done)
		xi_replay_commit_run(&ctx->replay, seqs, why, done);
	for (i = 0; i < done; i++)
		set_verdict(ctx, verified[i], why[i]);
}

void xi_esp_in_verify(const struct xi_sa_ctx *ctx, const struct xi_aead_job *jobs,
		      struct xi_esp_in *ins, unsigned int n)
{
	unsigned int i, run;

	for (i = 0; i < n; i += run) {
		run = n - i < VERIFY_RUN ? n - i : VERIFY_RUN;
		if (run == 1)
			verify_one(ctx, &jobs[i], &ins[i]);
		else
			verify_run(ctx, &jobs[i], &ins[i], run);
	}
}

/* Of the engine's answer; a replay was in order as far as crypto goes. */
static enum xi_crypto_status crypto_status(const struct xi_aead_job *job)
{
	if (!job->status)
		return XI_CRYPTO_SUCCESS;
	return job->status == -EBADMSG ? XI_CRYPTO_TUNNEL_ESP_AUTH_FAILED : XI_CRYPTO_GENERIC_ERROR;
}

static enum xi_reason reject(const struct xi_sa_ctx *ctx, enum xi_reason why)
{
	add(&ctx->state->other_failed, 1);
	return why;
}

enum xi_reason xi_esp_in_finish(const struct xi_sa_ctx *ctx, struct xi_pkt *pkt,
				const struct xi_aead_job *job, const struct xi_esp_in *in,
				struct xi_esp_tally *tally, enum xi_crypto_status *status)
{
	uint32_t len = job->len, inner_len;
	enum xi_reason why;
	uint8_t next_header;

	*status = crypto_status(job);
	if (in->verdict)
		return in->verdict;
	if (!strip_trailer(job->data, &len, &next_header)) {
		*status = XI_CRYPTO_INVALID_PACKET_SYNTAX;
		return reject(ctx, XI_DROP_PADDING);
	}
	if (next_header == IPPROTO_NONE) {
		tally_open(tally, ctx);
		return XI_DUMMY;
	}
	count_packet(tally, ctx, len);
	*status = judge_inner(ctx, job->data, len, next_header, &inner_len);
	if (*status)
		return reject(ctx, XI_DROP_INNER);
	why = xi_tunnel_decap(ctx, job->data, in->outer_tos);
	if (why)
		return reject(ctx, why);

	pkt->tailroom += pkt->len - in->payload_offset - inner_len;
	pkt->headroom += in->payload_offset;
	pkt->data = job->data;
	pkt->len = inner_len;
	return XI_NONE;
}
