// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * libFuzzer target for AH. The first two bytes choose the SA and what is done; the rest is either a
 * packet as it comes from the wire, or options or extension headers and a payload of somebody who
 * has the key (sealed here, so that what lies behind the ICV is reached), or a packet to seal. ICVs
 * are OpenSSL's own.
 */
#include "fuzz.h"

#include <errno.h>
#include <arpa/inet.h>
#include <linux/xfrm.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "ipsec/ah.h"

#define FRONT 128
#define BACK 8
#define NWORDS 16

enum what { WIRE, SEALED, OUTBOUND, OUTBOUND_FITTED };

struct fuzz_sa {
	struct xi_sa sa;
	struct xi_sa_state state;
	uint64_t words[NWORDS];
	struct xi_sa_ctx ctx;
};

static const uint8_t key[32] = "the fuzzer has this key";

/*
 * Bits 2 to 7 of the first byte: family, ESN, mode, one family inside, DSCP, padding. Of the
 * second: the algorithm (AES-GMAC, HMAC-SHA-256 or -1) and ECN.
 */
static void sa_make(struct fuzz_sa *f, uint8_t bits, uint8_t alg)
{
	bool v6 = bits & 4, gmac = alg % 3 == 0;

	memset(f, 0, sizeof(*f));
	f->sa.flags = bits & 128 ? XFRM_STATE_ALIGN4 : 0;
	f->ctx = (struct xi_sa_ctx){
		.spi_be = htonl(0x1000),
		.state = &f->state,
		.sa = &f->sa,
		.proto = IPPROTO_AH,
		.family = v6 ? 6 : 4,
		.esn = !!(bits & 8),
		.transport = !!(bits & 16),
		.inner_family = bits & 32 ? 4 : 0,
		.dscp_copy = 1,
		.dscp_decap = !!(bits & 64),
		.ecn = alg & 0x80 ? 0 : 1,
		.icv_len = alg % 3 == 1 || gmac ? 16 : 12,
		.iv_len = gmac ? 8 : 0,
		.salt_len = gmac ? 4 : 0,
		.replay = {.top = (uint64_t *)&f->state.top,
			   .words = f->words,
			   .word_mask = NWORDS - 1,
			   .window = 64,
			   .esn = bits & 8},
	};
	f->ctx.outer_len = f->ctx.transport ? 0 : v6 ? 40 : 20;
	f->ctx.ah_len = (uint8_t)xi_ah_len(&f->ctx);
	f->ctx.hdr[0] = v6 ? 0x60 : 0x45;
	f->ctx.hdr[v6 ? 6 : 9] = IPPROTO_AH;
	f->ctx.hdr_sum = 0x4500 + IPPROTO_AH;
}

static void gmac(const struct xi_aead_job *job, size_t len, uint8_t *icv)
{
	EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
	uint8_t nothing[16];
	int n;

	require(EVP_EncryptInit_ex(ctx, EVP_aes_128_gcm(), NULL, key, job->nonce) == 1 &&
		EVP_EncryptUpdate(ctx, NULL, &n, job->data - job->head_len, (int)len) == 1 &&
		EVP_EncryptFinal_ex(ctx, nothing, &n) == 1 &&
		EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_GCM_GET_TAG, 16, icv) == 1);
	EVP_CIPHER_CTX_free(ctx);
}

static void job_icv(const struct fuzz_sa *f, const struct xi_aead_job *job, uint8_t icv[64])
{
	size_t len = job->head_len + job->len;

	if (f->ctx.esn) {
		memcpy(job->data + job->len, job->aad + 4, 4);
		len += 4;
	}
	if (f->ctx.iv_len)
		gmac(job, len, icv);
	else
		require(!!HMAC(f->ctx.icv_len == 16 ? EVP_sha256() : EVP_sha1(), key, sizeof(key),
			       job->data - job->head_len, len, icv, NULL));
}

/* What finish lets go is a packet whose lengths and checksum are right. */
static void check_packet(const struct fuzz_sa *f, const struct xi_pkt *pkt)
{
	const uint8_t *ip = pkt->data;
	uint32_t sum = 0;

	if (ip[0] >> 4 == 6) {
		require(pkt->len == 40U + (ip[4] << 8 | ip[5]));
		return;
	}
	require(pkt->len == (uint32_t)(ip[2] << 8 | ip[3]));
	for (size_t i = 0; f->ctx.transport && i < (ip[0] & 15U) * 4; i += 2)
		sum += (uint32_t)(ip[i] << 8 | ip[i + 1]);
	require(!f->ctx.transport || (sum & 0xffff) + (sum >> 16) == 0xffff);
}

/*
 * Is the packet as it came, which is copy? One that is refused, to the last byte; of one that goes
 * on, atomic fragment headers may be gone, and the headers in front of them moved.
 */
static void check_unchanged(const struct xi_pkt *pkt, const struct xi_esp_in *in,
			    const uint8_t *copy, const uint8_t *start, const struct xi_pkt *before)
{
	size_t room = before->headroom + before->len + before->tailroom;
	size_t moved = (size_t)(pkt->data - before->data), end = 0;

	require(moved % 8 == 0 && before->len - pkt->len == moved);
	if (moved)
		end = before->headroom + moved + in->header_len;
	require(!memcmp(copy + end, start + end, room - end));
	require(!memcmp(copy, start, before->headroom));
	require(!moved || !memcmp(copy + before->headroom + 8, pkt->data + 8, 32));
}

/* forge: the ICV is put where it belongs, and the packet is as it came otherwise. */
static enum xi_reason prepare(struct fuzz_sa *f, struct xi_pkt *pkt, struct xi_aead_job *job,
			      struct xi_esp_in *in, bool forge)
{
	size_t room = pkt->headroom + pkt->len + pkt->tailroom;
	uint8_t *copy = malloc(room ? room : 1), *start = pkt->data - pkt->headroom, icv[64];
	const struct xi_pkt before = *pkt;
	struct xi_ah_saved saved;
	enum xi_reason why;

	require(copy);
	memcpy(copy, start, room);
	why = xi_ah_in_prepare(&f->ctx, pkt, job, in, &saved);
	if (!why) {
		require(job->data - job->head_len == pkt->data);
		require(job->head_len + job->len <= pkt->len);
		require(job->len >= in->payload_offset - in->header_len);
		job_icv(f, job, icv);
		job->status = memcmp(icv, job->icv, job->icv_len) ? -EBADMSG : 0;
		xi_ah_restore(&saved);
	}
	require(!why || pkt->data == before.data);
	check_unchanged(pkt, in, copy, start, &before);
	free(copy);
	if (!why && forge)
		memcpy(job->data + XI_AH_HDR_LEN + f->ctx.iv_len, icv, job->icv_len);
	return why;
}

static enum xi_reason open_packet(struct fuzz_sa *f, struct xi_pkt *pkt, bool authentic)
{
	struct xi_esp_tally tally = {.now = 1};
	enum xi_crypto_status status;
	struct xi_aead_job job;
	struct xi_esp_in in;
	enum xi_reason why = prepare(f, pkt, &job, &in, false);

	if (why)
		return why;
	require(!authentic || !job.status);
	xi_in_verify(&f->ctx, &job, &in, 1);
	why = xi_ah_in_finish(&f->ctx, pkt, &job, &in, &tally, &status);
	xi_esp_tally_flush(&tally);
	require(why || status == XI_CRYPTO_SUCCESS);
	require(f->state.top == (job.status ? 0 : in.seq));
	if (!why)
		check_packet(f, pkt);
	return why;
}

static void run_wire(struct fuzz_sa *f, struct fuzz_in *in)
{
	struct fuzz_buf buf;
	struct xi_pkt pkt = fuzz_pkt_new(&buf, in->p, in->left, 0, 0);

	if (!open_packet(f, &pkt, false))
		fuzz_pkt_check(&pkt, &buf);
	fuzz_buf_free(&buf);
}

/*
 * IP header, and AH behind it, around what the fuzzer says of options, extension headers, AH and
 * payload.
 */
static size_t build(const struct fuzz_sa *f, uint8_t *ip, uint8_t next, struct fuzz_in *in)
{
	size_t at = fuzz_header(ip, f->ctx.family == 6, IPPROTO_AH, in), len;
	uint8_t *ah = ip + at;

	memset(ah, 0, f->ctx.ah_len);
	ah[0] = next & 1 ? (next & 2 ? IPPROTO_IPIP : IPPROTO_IPV6) : next;
	ah[1] = (uint8_t)(f->ctx.ah_len / 4 - 2);
	memcpy(ah + 4, &f->ctx.spi_be, 4);
	ah[11] = 1;
	memcpy(ah + f->ctx.ah_len, in->p, in->left);
	len = at + f->ctx.ah_len + in->left;
	put16(ip + (f->ctx.family == 4 ? 2 : 4), f->ctx.family == 4 ? len : len - 40);
	return len;
}

static void run_sealed(struct fuzz_sa *f, struct fuzz_in *in)
{
	uint8_t packet[FUZZ_DATA_MAX + 256], next = fuzz_choice(in);
	size_t len = build(f, packet, next, in);
	struct fuzz_buf buf;
	struct xi_pkt pkt = fuzz_pkt_new(&buf, packet, len, 0, f->ctx.esn ? XI_AH_SCRATCH : 0);
	struct xi_aead_job job;
	struct xi_esp_in opened;

	if (!prepare(f, &pkt, &job, &opened, true)) {
		if (!open_packet(f, &pkt, true))
			fuzz_pkt_check(&pkt, &buf);
		require(f->state.top == 1);
	}
	fuzz_buf_free(&buf);
}

/* A route that has yet to be run makes another packet of this one. */
static bool may_be_routed(const struct fuzz_sa *f, const uint8_t *ip, size_t len)
{
	if (!f->ctx.transport || len < 40)
		return false;
	for (size_t i = f->ctx.family == 6 ? 6 : 20; i < len; i++)
		if (f->ctx.family == 6 ? ip[i] == 43 : ip[i] == 131 || ip[i] == 137)
			return true;
	return false;
}

/* What is sealed opens to the same bytes, whatever they are. */
static void run_outbound(struct fuzz_sa *f, struct fuzz_in *in, bool fitted)
{
	size_t size = in->left;
	uint8_t data[FUZZ_DATA_MAX], icv[64];
	struct xi_ah_saved saved;
	struct xi_aead_job job;
	struct xi_frame frame;
	struct fuzz_buf buf;
	struct xi_pkt pkt;
	bool routed;

	memcpy(data, in->p, size);
	if (fitted)
		fuzz_fit(data, size, f->ctx.family == 6);
	routed = may_be_routed(f, data, size);
	pkt = fuzz_pkt_new(&buf, data, size, FRONT, BACK);
	if (!xi_ah_frame(&f->ctx, 1, &pkt, &frame)) {
		fuzz_pkt_check(&pkt, &buf);
		require(frame.ip == pkt.data && frame.len == pkt.len);
		require(!xi_ah_out_job(&f->ctx, &frame, &saved, &job));
		job_icv(f, &job, icv);
		memcpy(job.icv, icv, job.icv_len);
		xi_ah_restore(&saved);
		f->ctx.ecn = f->ctx.dscp_decap = 0;
		if (!routed) {
			require(!open_packet(f, &pkt, true));
			require(pkt.len <= size);
			/* but for its checksum, which may have been wrong */
			if (f->ctx.transport && f->ctx.family == 4)
				memcpy(data + 10, pkt.data + 10, 2);
			require(!memcmp(pkt.data, data, pkt.len));
		} else {
			open_packet(f, &pkt, false);
		}
	} else {
		require(pkt.data == buf.data + FRONT && pkt.len == size);
		require(!memcmp(pkt.data, data, size));
	}
	fuzz_buf_free(&buf);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_in in = {data, size};
	struct fuzz_sa f;
	uint8_t what, alg;

	if (size < 2 || size > FUZZ_DATA_MAX)
		return 0;
	what = fuzz_choice(&in);
	alg = fuzz_choice(&in);
	sa_make(&f, what, alg);
	switch (what % 4) {
	case WIRE:
		run_wire(&f, &in);
		break;
	case SEALED:
		run_sealed(&f, &in);
		break;
	default:
		run_outbound(&f, &in, what % 4 == OUTBOUND_FITTED);
	}
	return 0;
}
