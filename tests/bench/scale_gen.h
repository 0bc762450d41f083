/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the BPF programs of the generator of many SAs and scale_gen.c agree on. */
#ifndef XI_BENCH_SCALE_GEN_H
#define XI_BENCH_SCALE_GEN_H

#include <linux/types.h>

#define SCALE_FRAME_MAX 2040     /* a page less headroom, shared info and the kernel's own header */
#define SCALE_ETH 14
#define SCALE_HEAD 34            /* Ethernet and outer IPv4, the same in all frames of ESP */
#define SCALE_CLEAR 78           /* a frame in clear: 64 bytes of IP packet */
#define SCALE_BLOCK 64           /* numbers in an element of `order` */

enum scale_kind {
	SCALE_NONE,
	SCALE_ESP,               /* the packets that `order` names */
	SCALE_RANDOM_SPI,        /* the same, of no SA that there is */
	SCALE_BAD_ICV,
	SCALE_FOREIGN,           /* clear: no policy wants it */
	SCALE_CLEAR_FLOOD,       /* clear, policy wants it protected: always the same */
	SCALE_TUPLES,            /* clear, policy wants it protected: random destinations and ports */
	SCALE_CLEAR_LIVE,        /* the same, live */
	SCALE_KINDS,
};

/* Two streams share a generator: `live` is told apart at the sink. */
enum scale_class { SCALE_FLOOD, SCALE_LIVE, SCALE_OTHER, SCALE_CLASSES };

#define SCALE_PORT_LIVE 7001     /* UDP destination of what is inside */
#define SCALE_PORT_FLOOD 7002
#define SCALE_NET_FLOOD 0x0ac80000U /* 10.200.0.0/16: destinations of SCALE_TUPLES and SCALE_CLEAR_FLOOD */
#define SCALE_NET_LIVE 0x0ac90000U  /* 10.201.0.0/16: of SCALE_CLEAR_LIVE */

/* SPIs: of SA number n in, and of what the two streams in clear are protected by. */
#define SCALE_SPI 0x01000000U
#define SCALE_SPI_OUT_FLOOD 0x02000001U
#define SCALE_SPI_OUT_LIVE 0x02000002U
#define SCALE_SPI_NOBODY 0x80000000U /* and above */

/* SAs beside the first N: live traffic's, and some with a replay window. */
#define SCALE_SPECIAL 0x100000U
#define SCALE_LIVE_SAS 64
#define SCALE_WINDOW_SAS 1000
#define SCALE_SPECIALS (SCALE_LIVE_SAS + SCALE_WINDOW_SAS)

#define SCALE_MAGIC 0x7869707365637363ULL /* xor source address: the beginning of each payload */

struct scale_block {
	__u32 sa[SCALE_BLOCK];   /* elements of `packets` */
};

struct scale_stream {
	__u64 interval;          /* ns; 0: as fast as it goes */
	__u64 next;              /* ktime */
	__u64 sent;
	__u32 kind;
	__u32 first;             /* block of `order` */
	__u32 count;             /* numbers there */
	__u32 at;
};

struct scale_count {
	__u64 packets;
	__u64 bytes;
};

#endif
