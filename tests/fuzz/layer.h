/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * SAs of the fuzzer's choice, whose keys it has, and the steps of a packet through one of them,
 * each with what must hold whatever the packet is.
 */
#ifndef XI_FUZZ_LAYER_H
#define XI_FUZZ_LAYER_H

#include "fuzz.h"
#include "ipsec/transform.h"

#define FUZZ_WORDS 64

struct fuzz_sa {
	struct xi_sa sa;
	struct xi_sa_key raw;
	struct xi_sa_state state;
	uint64_t words[FUZZ_WORDS];
	struct xi_sa_ctx ctx;
	const struct xi_engine *engine;
};

/* An SA of every algorithm, mode, family, and flag; three bytes of the input choose. */
void fuzz_sa_make(struct fuzz_sa *f, struct fuzz_in *in, bool ah, bool ipsec_mb);

/*
 * The packet that a holder of the key makes of this payload: IP header, with options or extension
 * headers of the input; UDP; ESP or AH; the crypto. fit: ESP gets a trailer that is right, else the
 * payload ends in one. False: the packet is one that is refused before the crypto. buf has to be
 * freed in any case.
 */
bool fuzz_layer_make(struct fuzz_sa *f, struct fuzz_in *in, const uint8_t *payload, size_t len,
		     bool fit, struct fuzz_buf *buf, struct xi_pkt *pkt);

/* Takes the layer off. authentic: the ICV must be right. */
enum xi_reason fuzz_layer_open(struct fuzz_sa *f, struct xi_pkt *pkt, bool authentic);

/* Bytes that the layer takes in front of an inner packet; in transport mode of its payload. */
size_t fuzz_layer_front(const struct fuzz_sa *f);

/* Frames a packet in buf; when it is refused it must be as before. */
enum xi_reason fuzz_layer_frame(struct fuzz_sa *f, const struct fuzz_buf *buf, struct xi_pkt *pkt,
				struct xi_frame *frame);
/* The crypto of a framed packet. */
void fuzz_layer_seal(struct fuzz_sa *f, const struct xi_frame *frame);

/* Bytes at which packets that went through an SA and back may differ. */
#define FUZZ_MASKS 16
struct fuzz_mask {
	unsigned int n;
	size_t at[FUZZ_MASKS]; /* two bytes there */
	bool routed;	       /* it is another packet by now */
	bool dummy;	       /* and need not come out */
};

/* ip, before it is framed by f, which frames it so. */
void fuzz_mask_add(struct fuzz_mask *mask, const struct fuzz_sa *f, const uint8_t *ip,
		   const struct xi_frame *frame);
bool fuzz_mask_same(const struct fuzz_mask *mask, const struct xi_pkt *pkt, const uint8_t *ip,
		    size_t len);

#endif
