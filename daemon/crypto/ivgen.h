/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Where IVs come from that nobody can foresee (RFC 3602 section 3); one a worker. */
#ifndef XI_IVGEN_H
#define XI_IVGEN_H

#include "crypto/job.h"

struct xi_ivgen;

/* 0, -ENOMEM, -EIO. */
int xi_ivgen_new(struct xi_ivgen **out);
void xi_ivgen_free(struct xi_ivgen *gen);
/* Writes the IVs of those among n <= XI_JOBS_MAX jobs that want one. 0 or -EIO: then none was
 * written. */
int xi_ivgen_fill(struct xi_ivgen *gen, struct xi_aead_job *const *jobs, unsigned int n);

#endif
