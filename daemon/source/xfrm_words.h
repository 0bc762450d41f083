/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Refusals that say what would be taken, in words made of the table of algorithms. */
#ifndef XI_XFRM_WORDS_H
#define XI_XFRM_WORDS_H

#include "crypto/algs.h"
#include "source/xfrm_attr.h"

/* No such algorithm, or none of its kind. kind: the attribute's name. -ENOSYS, as in the kernel. */
int xi_refuse_cipher_name(struct xi_extack *ack, const char *kind, bool aead);
int xi_refuse_auth_name(struct xi_extack *ack, const char *kind);

/* An ICV of that length is not carried. -ENOSYS: to the kernel that is another algorithm. */
int xi_refuse_icv(struct xi_extack *ack, const char *kind, const char *name,
		  const uint16_t icv_bits[4]);
/* An ICV longer than the hash. */
int xi_refuse_trunc(struct xi_extack *ack, const char *name, const uint16_t icv_bits[4]);

/* -EINVAL, as the kernel's ciphers answer to a key that is none of theirs. */
int xi_refuse_cipher_key(struct xi_extack *ack, const struct xi_cipher_info *info);
int xi_refuse_auth_key(struct xi_extack *ack, enum xi_auth auth);

#endif
