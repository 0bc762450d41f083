/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Traces of requests: which SA each packet is for. The same for every policy and in every run. */
#ifndef XI_BENCH_TRACE_H
#define XI_BENCH_TRACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct trace_kind {
	const char *name;
	const char *family;          /* zipf, scan, loop, shift, flood */
	void (*make)(const struct trace_kind *kind, uint32_t capacity, uint32_t *sas, uint32_t n);
	uint32_t population;         /* SAs of the Zipf part */
	double skew;                 /* of the Zipf part; loops: length by capacity */
	uint32_t param;              /* scans: length by capacity, 0: mixed in packet by packet */
	bool sampled;                /* misses are told one of an SA in a while, and not all of those */
};

extern const struct trace_kind trace_kinds[];
extern const size_t trace_nkinds;

/* SAs are numbered from 1 to at most this. */
#define TRACE_SAS_MAX (4U << 20)

#endif
