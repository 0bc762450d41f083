// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * libFuzzer target for two SAs over one packet, each ESP or AH of any algorithm, mode and family:
 * what the holder of both keys sealed, and packets to seal, framed by a tunnel around them before
 * any crypto, too.
 */
#include "layer.h"

#include <arpa/inet.h>

#define BACK 96

struct bundle {
	struct fuzz_sa inner, outer;
};

static void run_sealed(struct bundle *b, struct fuzz_in *in, bool fit)
{
	struct fuzz_in more = {in->p, in->left < 16 ? in->left : 16}; /* for the outer header */
	struct fuzz_buf inner_buf, buf;
	struct xi_pkt inner, pkt;

	in->p += more.left;
	in->left -= more.left;
	fuzz_layer_make(&b->inner, in, in->p, in->left, fit, &inner_buf, &inner);
	if (fuzz_layer_make(&b->outer, &more, inner.data, inner.len, true, &buf, &pkt) &&
	    !fuzz_layer_open(&b->outer, &pkt, true)) {
		fuzz_pkt_check(&pkt, &buf);
		if (!fuzz_layer_open(&b->inner, &pkt, false))
			fuzz_pkt_check(&pkt, &buf);
	}
	fuzz_buf_free(&buf);
	fuzz_buf_free(&inner_buf);
}

static void run_opened(struct bundle *b, struct xi_pkt *pkt, const struct fuzz_mask *outer_mask,
		       const struct fuzz_mask *mask, const uint8_t *ip, size_t len)
{
	enum xi_reason why = fuzz_layer_open(&b->outer, pkt, !outer_mask->routed);

	require(!why || outer_mask->routed || (why == XI_DUMMY && outer_mask->dummy));
	if (why)
		return;
	/* what the outer SA mends of an inner one's UDP checksum the inner one does not look at */
	why = fuzz_layer_open(&b->inner, pkt, !mask->routed && !outer_mask->routed);
	require(!why || mask->routed || outer_mask->routed || (why == XI_DUMMY && mask->dummy));
	require(why || mask->routed || outer_mask->routed || fuzz_mask_same(mask, pkt, ip, len));
}

static void run_outbound(struct bundle *b, struct fuzz_in *in, bool fitted, bool short_front)
{
	size_t back = fuzz_choice(in) % BACK, front;
	struct fuzz_mask mask = {0}, outer_mask = {0};
	uint8_t ip[FUZZ_DATA_MAX], framed[FUZZ_DATA_MAX + 512];
	struct xi_frame frame, outer_frame;
	struct fuzz_buf buf;
	struct xi_pkt pkt;

	front = fuzz_layer_front(&b->inner) + fuzz_layer_front(&b->outer) - short_front;
	back += (b->inner.sa.tfcpad ? 300 : 0) + (b->outer.sa.tfcpad ? 300 : 0);
	memcpy(ip, in->p, in->left);
	if (fitted)
		fuzz_fit(ip, in->left,
			 b->inner.ctx.transport ? b->inner.ctx.family == 6 : in->left & 1);
	pkt = fuzz_pkt_new(&buf, ip, in->left, front, back);
	if (fuzz_layer_frame(&b->inner, &buf, &pkt, &frame))
		goto out;
	fuzz_mask_add(&mask, &b->inner, ip, &frame);
	require(pkt.len <= sizeof(framed));
	/* transport mode moves the IP header that the inner SA's crypto needs (AH; UDP in IPv6) */
	if (b->outer.ctx.transport)
		fuzz_layer_seal(&b->inner, &frame);
	memcpy(framed, pkt.data, pkt.len);
	if (fuzz_layer_frame(&b->outer, &buf, &pkt, &outer_frame))
		goto out;
	require(!short_front);
	fuzz_mask_add(&outer_mask, &b->outer, framed, &outer_frame);
	if (!b->outer.ctx.transport)
		fuzz_layer_seal(&b->inner, &frame);
	fuzz_layer_seal(&b->outer, &outer_frame);
	run_opened(b, &pkt, &outer_mask, &mask, ip, in->left);
out:
	fuzz_buf_free(&buf);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_in in = {data, size};
	struct bundle b;
	uint8_t what;

	if (size < 8 || size > FUZZ_DATA_MAX)
		return 0;
	what = fuzz_choice(&in);
	fuzz_sa_make(&b.inner, &in, what & 2, what & 4);
	fuzz_sa_make(&b.outer, &in, what & 8, what & 16);
	b.outer.sa.id.spi = 0x2000;
	b.outer.ctx.spi_be = htonl(0x2000);
	if (what & 1)
		run_sealed(&b, &in, what & 32);
	else
		run_outbound(&b, &in, what & 64, what & 128);
	return 0;
}
