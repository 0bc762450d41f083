// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * libFuzzer target for ESP: one SA of any algorithm, mode and family, in UDP or not, with either
 * engine. The input's first bytes choose; the rest is an outer packet as it comes from the wire, or
 * what the holder of the key sealed (so that what lies behind the ICV is reached), or an IP packet
 * to seal.
 */
#include "layer.h"

enum what { WIRE, SEALED, OUTBOUND, OUTBOUND_FITTED };

static void run_wire(struct fuzz_sa *f, struct fuzz_in *in)
{
	struct fuzz_buf buf;
	struct xi_pkt pkt = fuzz_pkt_new(&buf, in->p, in->left, 0, 0);

	if (!fuzz_layer_open(f, &pkt, false))
		fuzz_pkt_check(&pkt, &buf);
	fuzz_buf_free(&buf);
}

static void run_sealed(struct fuzz_sa *f, struct fuzz_in *in, bool fit)
{
	struct fuzz_buf buf;
	struct xi_pkt pkt;

	if (fuzz_layer_make(f, in, in->p, in->left, fit, &buf, &pkt)) {
		if (!fuzz_layer_open(f, &pkt, true))
			fuzz_pkt_check(&pkt, &buf);
	}
	fuzz_buf_free(&buf);
}

/* What is sealed opens to the same bytes, whatever they are; the room is just enough, or a byte too
 * small. */
static void run_outbound(struct fuzz_sa *f, struct fuzz_in *in, bool fitted, bool short_front)
{
	size_t back = fuzz_choice(in) % 64, front = fuzz_layer_front(f) - short_front;
	uint8_t ip[FUZZ_DATA_MAX];
	struct fuzz_mask mask = {0};
	struct fuzz_buf buf;
	struct xi_frame frame;
	struct xi_pkt pkt;
	enum xi_reason why;

	memcpy(ip, in->p, in->left);
	if (fitted)
		fuzz_fit(ip, in->left, f->ctx.transport ? f->ctx.family == 6 : in->left & 1);
	pkt = fuzz_pkt_new(&buf, ip, in->left, front, back + (f->sa.tfcpad ? 300 : 0));
	if (!fuzz_layer_frame(f, &buf, &pkt, &frame)) {
		require(!short_front);
		fuzz_mask_add(&mask, f, ip, &frame);
		fuzz_layer_seal(f, &frame);
		why = fuzz_layer_open(f, &pkt, true);
		require(!why || (why == XI_DUMMY && mask.dummy));
		require(why || fuzz_mask_same(&mask, &pkt, ip, in->left));
	}
	fuzz_buf_free(&buf);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_in in = {data, size};
	struct fuzz_sa f;
	uint8_t what;

	if (size < 4 || size > FUZZ_DATA_MAX)
		return 0;
	what = fuzz_choice(&in);
	fuzz_sa_make(&f, &in, false, what & 4);
	switch (what % 4) {
	case WIRE:
		run_wire(&f, &in);
		break;
	case SEALED:
		run_sealed(&f, &in, what & 8);
		break;
	default:
		run_outbound(&f, &in, what % 4 == OUTBOUND_FITTED, what & 16);
	}
	return 0;
}
