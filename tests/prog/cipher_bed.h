/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* SAs and packets for those who test xdp_cipher. Include cmocka.h first. */
#ifndef XI_CIPHER_BED_H
#define XI_CIPHER_BED_H

#include "bpf_bed.h"

#define N(a) (sizeof(a) / sizeof((a)[0]))

#define CLEAR4                                                                                     \
	.src = "10.2.0.9", .dst = "10.1.0.9", .proto = IPPROTO_TCP, .sport = 80, .dport = 40000,   \
	.payload_len = 12
#define CLEAR6                                                                                     \
	.src = "fd02::9", .dst = "fd01::9", .proto = IPPROTO_TCP, .sport = 80, .dport = 40000,     \
	.payload_len = 12
#define FOREIGN4 .src = "198.51.100.7", .dst = "192.0.2.1"
#define META(...)                                                                                  \
	.meta = { .magic = XI_META_MAGIC,                                                          \
		  .slot = XI_NO_SLOT,                                                              \
		  .next_slot = XI_NO_SLOT,                                                         \
		  .dir = XI_IN,                                                                    \
		  .status = XI_CRYPTO_NOT_DONE,                                                    \
		  .l3_offset = 14,                                                                 \
		  .port = XI_BED_SLOT,                                                             \
		  __VA_ARGS__ }

static inline void cached(struct xi_bed *bed, enum xi_method method)
{
	xi_bed_sa_cached(bed, "192.0.2.1", XI_BED_SPI, method);
	xi_bed_sa_cached(bed, "2001:db8::1", XI_BED_SPI, method);
}

static inline void fast(struct xi_bed *bed, const struct xi_spec *spec)
{
	cached(bed, XI_METHOD_FAST);
}

static inline void slow(struct xi_bed *bed, const struct xi_spec *spec)
{
	cached(bed, XI_METHOD_SLOW);
}

static inline void kernel(struct xi_bed *bed, const struct xi_spec *spec)
{
	cached(bed, XI_METHOD_KERNEL);
}

static inline void drop(struct xi_bed *bed, const struct xi_spec *spec)
{
	cached(bed, XI_METHOD_DROP);
}

static inline void fast_no_worker(struct xi_bed *bed, const struct xi_spec *spec)
{
	fast(bed, spec);
	xi_bed_worker(bed, false);
}

static inline void unknown_to_kernel(struct xi_bed *bed, const struct xi_spec *spec)
{
	struct xi_config cfg = xi_bed_config();

	cfg.unknown_spi = XI_METHOD_KERNEL;
	xi_bed_put_config(bed, &cfg);
}

static inline void no_worker(struct xi_bed *bed, const struct xi_spec *spec)
{
	xi_bed_worker(bed, false);
}

static inline void bypass(struct xi_bed *bed, const struct xi_spec *spec)
{
	xi_bed_flow(bed, spec, XI_IN, XI_VERDICT_BYPASS, XI_BED_GENERATION);
}

#define TABLE(name, table, prog, role, meta)                                                       \
	static void name(void **state)                                                             \
	{                                                                                          \
		struct xi_bed *bed = *state;                                                       \
		xi_bed_cases(bed, bed->skel->progs.prog, role, table, N(table), meta);             \
	}

#endif
