// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * libFuzzer target for ESP. The first two bytes choose; the rest is either an outer packet as it comes
 * from the wire, or an authentic plaintext (sealed here, so that what lies behind the ICV is reached),
 * or an inner packet to seal.
 *
 *	clang-14 -g -O1 -fsanitize=fuzzer,address,undefined -std=gnu11 -D_GNU_SOURCE \
 *		-Iinclude -Idaemon tests/fuzz/fuzz_esp.c daemon/ipsec/[a-z]*.c \
 *		daemon/crypto/[a-z]*.c -lcrypto -lIPSec_MB -lpthread -o fuzz_esp
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <linux/xfrm.h>

#include "crypto/crypto.h"
#include "ipsec/esp.h"

#define DATA_MAX 4096
#define FRONT 64
#define BACK 64
#define NWORDS 16

enum what { WIRE, PLAINTEXT, OUTBOUND };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct fuzz_sa {
	struct xi_sa sa;
	struct xi_sa_key raw;
	struct xi_sa_state state;
	uint64_t words[NWORDS];
	struct xi_sa_ctx ctx;
};

static void require(bool ok)
{
	if (!ok)
		abort();
}

/* AES-CBC with one of the HMACs. */
static void sa_cbc(struct fuzz_sa *f, enum xi_auth auth)
{
	static const uint8_t key_len[] = { 0, 20, 32, 48, 64 }, icv_len[] = { 0, 12, 16, 24, 32 };

	f->sa.alg = f->raw.alg = XI_ALG_AES_CBC;
	f->sa.auth = f->raw.auth = auth;
	f->sa.icv_len = icv_len[auth];
	f->raw.auth_len = key_len[auth];
	f->raw.len = 16 + key_len[auth];
}

/*
 * Bits 2 to 7 of the first byte: outer family, ESN, and flags that change what becomes of a packet. Of the
 * second: the algorithm.
 */
static void sa_make(struct fuzz_sa *f, uint8_t bits, uint8_t alg)
{
	memset(f, 0, sizeof(*f));
	f->sa.id = (struct xi_sa_id){ .spi = 0x1000, .proto = XI_ESP,
				      .family = bits & 4 ? XI_IPV6 : XI_IPV4 };
	f->sa.mode = XI_TUNNEL;
	f->sa.alg = XI_ALG_AES_GCM;
	f->sa.key_bits = 128;
	f->sa.icv_len = 16;
	f->sa.replay_window = 64;
	f->sa.flags = (bits & 8 ? XFRM_STATE_ESN : 0) | (bits & 16 ? XFRM_STATE_AF_UNSPEC : 0) |
		      (bits & 32 ? XFRM_STATE_DECAP_DSCP : 0) | (bits & 64 ? XFRM_STATE_NOECN : 0) |
		      (bits & 128 ? XFRM_STATE_NOPMTUDISC : 0);
	f->raw.alg = XI_ALG_AES_GCM;
	f->raw.len = 20;
	if (alg % 8 > XI_AUTH_NONE && alg % 8 <= XI_AUTH_HMAC_SHA512)
		sa_cbc(f, alg % 8);
	require(!xi_sa_ctx_init(&f->ctx, &f->sa, &f->raw, &f->state, f->words, NWORDS));
}

/* Bit 3 of the second byte: the engine. */
static const struct xi_engine *engine = &xi_engine_openssl;

static struct xi_crypto *crypto(void)
{
	static struct xi_crypto *openssl, *ipsec_mb;
	struct xi_crypto **c = engine == &xi_engine_openssl ? &openssl : &ipsec_mb;

	if (!*c)
		require(!engine->create(c, 0));
	return *c;
}

static void check_bounds(const struct xi_pkt *pkt, const uint8_t *buf, size_t size)
{
	require(pkt->data - pkt->headroom == buf);
	require(pkt->data + pkt->len + pkt->tailroom == buf + size);
}

static enum xi_reason open_packet(struct fuzz_sa *f, struct xi_pkt *pkt)
{
	struct xi_esp_tally tally = {.now = 1};
	enum xi_crypto_status status;
	struct xi_aead_job job;
	struct xi_esp_in in;
	enum xi_reason why = xi_esp_in_prepare(&f->ctx, pkt, &job, &in);

	if (why)
		return why;
	require(job.data > pkt->data && job.icv + job.icv_len <= pkt->data + pkt->len);
	engine->open(crypto(), &job, 1);
	xi_in_verify(&f->ctx, &job, &in, 1);
	why = xi_esp_in_finish(&f->ctx, pkt, &job, &in, &tally, &status);
	xi_esp_tally_flush(&tally);
	return why;
}

static void run_wire(struct fuzz_sa *f, uint8_t *buf, size_t size)
{
	struct xi_pkt pkt = { .data = buf, .len = (uint32_t)size };

	if (!open_packet(f, &pkt))
		check_bounds(&pkt, buf, size);
}

/* The packet that the key's holder makes of a plaintext of his own; of CBC whole blocks. */
static void run_plaintext(struct fuzz_sa *f, const uint8_t *plain, size_t size)
{
	size_t len = size - (size & f->ctx.block_mask), front = 8U + f->ctx.iv_len;
	size_t hdr = f->ctx.outer_len, total = hdr + front + len + f->ctx.icv_len;
	struct xi_aead_job job = { .raw = &f->raw, .len = (uint32_t)len, .icv_len = f->ctx.icv_len,
				   .head_len = (uint16_t)front };
	uint8_t *buf = calloc(1, total), *esp = buf + hdr;
	struct xi_pkt pkt = { .data = buf, .len = (uint32_t)total };

	require(buf);
	memcpy(buf, f->ctx.hdr, hdr);
	buf[hdr == 20 ? 2 : 4] = (uint8_t)((hdr == 20 ? total : total - 40) >> 8);
	buf[hdr == 20 ? 3 : 5] = (uint8_t)(hdr == 20 ? total : total - 40);
	buf[1] = size ? plain[0] & 3 : 0;
	memcpy(esp, &f->ctx.spi_be, 4);
	esp[7] = 1;
	memcpy(esp + front, plain, len);
	memcpy(job.nonce + 4, esp + 8, 8);
	job.aad_len = f->ctx.esn ? 12 : 8;
	memcpy(job.aad, esp, 4);
	job.aad[job.aad_len - 1] = 1;
	job.data = esp + front;
	job.icv = esp + front + len;
	engine->seal(crypto(), &job, 1);
	require(!job.status);
	if (!open_packet(f, &pkt))
		check_bounds(&pkt, buf, total);
	require(len < 2 || f->state.top == 1);
	free(buf);
}

/* What is sealed opens to the same bytes, whatever they are. */
static void run_outbound(struct fuzz_sa *f, const uint8_t *inner, size_t size)
{
	uint8_t *buf = malloc(FRONT + size + BACK);
	struct xi_pkt pkt = { buf + FRONT, (uint32_t)size, FRONT, BACK };
	struct xi_esp_tally tally = {.now = 1};
	struct xi_frame frame;
	struct xi_aead_job job;

	require(buf);
	memcpy(pkt.data, inner, size);
	if (!xi_esp_frame(&f->ctx, 1, UINT32_MAX, &pkt, &frame)) {
		xi_esp_out_job(&f->ctx, &frame, &job);
		check_bounds(&pkt, buf, FRONT + size + BACK);
		engine->seal(crypto(), &job, 1);
		require(!xi_esp_out_finish(&f->ctx, &frame, &job, &tally));
		xi_esp_tally_flush(&tally);
		f->ctx.ecn = 0;
		f->ctx.dscp_decap = 0;
		require(!open_packet(f, &pkt));
		require(pkt.len <= size && !memcmp(pkt.data, inner, pkt.len));
	} else {
		require(pkt.data == buf + FRONT && pkt.len == size);
	}
	free(buf);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_sa f;
	uint8_t *copy;

	if (size < 2 || size > DATA_MAX)
		return 0;
	sa_make(&f, data[0], data[1]);
	engine = data[1] & 8 && xi_engine_ipsec_mb.usable() ? &xi_engine_ipsec_mb : &xi_engine_openssl;
	/* exactly as long as the input, so that the sanitizer sees the first byte beyond */
	copy = malloc(size - 2 ? size - 2 : 1);
	require(copy);
	memcpy(copy, data + 2, size - 2);
	switch (data[0] % 4) {
	case WIRE:
		run_wire(&f, copy, size - 2);
		break;
	case PLAINTEXT:
		run_plaintext(&f, copy, size - 2);
		break;
	case OUTBOUND:
		run_outbound(&f, copy, size - 2);
		break;
	}
	free(copy);
	return 0;
}
