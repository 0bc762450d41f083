/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The algorithm attributes of an SA: AEAD, or CRYPT (not in AH) with AUTH or AUTH_TRUNC. */
#ifndef XI_XFRM_ALG_H
#define XI_XFRM_ALG_H

#include "source/xfrm_msg.h"

/*
 * Fills algorithms, lengths and key of req, whose sa.id is there already. 0 or -errno with the
 * reason in *ack.
 */
int xi_xfrm_get_algs(struct xi_sa_request *req, const struct xi_attrs *attrs,
		     struct xi_extack *ack);

/* As the kernel: AUTH goes out beside AUTH_TRUNC, for those who do not know the latter. */
void xi_xfrm_put_algs(struct xi_nlmsg *msg, const struct xi_sa_rec *rec);

#endif
