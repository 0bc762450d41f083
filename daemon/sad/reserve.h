/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Sequence numbers reserved on disk, for SAs whose keys come from a file and so outlive a reboot
 * (invariant "nonce-unique"). One file a key in the state directory, named by a hash of the key; it
 * holds one decimal number: no sequence number above it was ever given out. It is on disk before a
 * number is used.
 */
#ifndef XI_RESERVE_H
#define XI_RESERVE_H

#include <stdint.h>

#include <xipsec/abi.h>

#define XI_RESERVE_BLOCK (1ULL << 20)

struct xi_reserve;

/*
 * *oseq goes up to the bound on disk, if there is one; then the next block is reserved, up to
 * seq_max, and *limit is its end. -EOVERFLOW: the key's numbers are used up. -EBADMSG: the file
 * makes no sense. Or -errno.
 */
int xi_reserve_open(struct xi_reserve **out, const char *dir, const struct xi_sa_key *key,
		    uint64_t seq_max, uint64_t *oseq, uint64_t *limit, const char **why);
/* An SA that goes on with what it has reserved. */
int xi_reserve_resume(struct xi_reserve **out, const struct xi_sa_key *key, uint64_t seq_max,
		      uint64_t limit);
/*
 * Reserves more when less than half of what it usually needs is left. Called from a timer. 0 or
 * -errno.
 */
int xi_reserve_extend(struct xi_reserve *reserve, const char *dir, struct xi_sa_state *state);
void xi_reserve_free(struct xi_reserve *reserve);

#endif
