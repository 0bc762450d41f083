/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the generator's BPF programs and gen.c agree on. */
#ifndef XI_BENCH_GEN_H
#define XI_BENCH_GEN_H

#include <linux/types.h>

/* A live frame is one page less headroom, shared info and the kernel's own header. */
#define GEN_FRAME_MAX 2040
#define GEN_FRAME_MIN 14

struct gen_frame {
	__u32 len;
	__u32 pad;
	__u8 data[GEN_FRAME_MAX];
};

/* One frame in SAMPLE_EVERY (a prime: frames come in periods) is kept, the last SAMPLES of them. */
#define GEN_SAMPLES 16
#define GEN_SAMPLE_EVERY 997

struct gen_count {
	__u64 packets;
	__u64 bytes;
};

#endif
