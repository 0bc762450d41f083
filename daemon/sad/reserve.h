/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Sequence numbers reserved on disk, for SAs whose keys come from a file and so outlive a reboot
 * (invariant "nonce-unique"). One file a key in the state directory, named by a hash of the key; it
 * holds one decimal number: no sequence number above it was ever given out. It is on disk before a
 * number is used. Directory and file must be such that nobody but their owner, the user of this process or root, may
 * write them.
 */
#ifndef XI_RESERVE_H
#define XI_RESERVE_H

#include <stdint.h>

#include <xipsec/abi.h>

#define XI_RESERVE_BLOCK (1ULL << 20)

struct xi_reserve;

/*
 * Makes the directory, if it is not there, to stay. Warns of one that a reboot takes away. 0 or -errno.
 */
int xi_reserve_dir(const char *dir);
/*
 * *oseq goes up to the bound on disk, if there is one; then the next block is reserved, up to
 * seq_max, and *limit is its end. -EOVERFLOW: the key's numbers are used up. -EBADMSG: the file
 * makes no sense. Or -errno.
 */
int xi_reserve_open(struct xi_reserve **out, const char *dir, const struct xi_sa_key *key,
		    uint64_t seq_max, uint64_t *oseq, uint64_t *limit, const char **why);
/*
 * An SA that goes on with what it has reserved, which the file in dir has to say or is made to say. When that fails
 * (logged), the limit in its state comes down and xi_reserve_extend() tries again: it sends nothing before. 0 or -ENOMEM.
 */
int xi_reserve_resume(struct xi_reserve **out, const char *dir, const struct xi_sa_key *key,
		      uint64_t seq_max, struct xi_sa_state *state);
/*
 * Reserves more when less than half of what it usually needs is left. Called from a timer. 0 or -errno: the
 * same error is returned and logged once, until it has succeeded.
 */
int xi_reserve_extend(struct xi_reserve *reserve, const char *dir, struct xi_sa_state *state);
void xi_reserve_free(struct xi_reserve *reserve);

#endif
