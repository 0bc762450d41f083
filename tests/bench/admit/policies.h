/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Policies that were measured and not chosen: in the simulator alone, so that the measurement can be repeated. */
#ifndef XI_BENCH_POLICIES_H
#define XI_BENCH_POLICIES_H

#include "cache/admit_priv.h"

#define XI_MIN(a, b) ((a) < (b) ? (a) : (b))
#define XI_MAX(a, b) ((a) > (b) ? (a) : (b))

extern const struct xi_admit_ops xi_admit_s3fifo;
extern const struct xi_admit_ops xi_admit_sieve;
extern const struct xi_admit_ops xi_admit_wtinylfu;

#endif
