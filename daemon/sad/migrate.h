/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * SAs and policies whose endpoints move (MIGRATE, RFC 4555 and RFC 6275): the kernel's
 * xfrm_state_migrate() and xfrm_policy_migrate(), with one difference. There an SA is copied, and
 * the old one deleted; here it stays the same SA under the same handle, and its counters are never
 * copied: no number is given out twice, none is skipped, and no packet finds it missing.
 */
#ifndef XI_MIGRATE_H
#define XI_MIGRATE_H

#include "sad/sad.h"
#include "sad/spd.h"

struct xi_migrate {
	uint8_t old_saddr[16], old_daddr[16];
	uint8_t new_saddr[16], new_daddr[16];
	enum xi_family old_family, new_family;
	uint32_t proto, mode, reqid; /* reqid 0: any */
};

struct xi_migrate_encap {
	bool given;                  /* else the SA keeps what it has */
	enum xi_encap type;
	uint16_t sport, dport;       /* host order */
	uint8_t oa[16];
};

/*
 * The newest SA that is meant, as it would be; NULL: none. if_id 0: of any interface. Without reqid it is looked for
 * among all SAs to this destination.
 */
const struct xi_sa_rec *xi_sad_migrate_find(const struct xi_sad *sad, const struct xi_migrate *m,
					    uint32_t if_id);
void xi_sa_migrate(struct xi_sa *sa, const struct xi_migrate *m, const struct xi_migrate_encap *encap);
/*
 * The SA of sa_index has the addresses and the encapsulation of `to` from now on, which is a copy of it but for those. Its
 * record is another, its handle, key, counters, window, lifetimes and reserve are the same. -EEXIST: the new id is
 * another SA's. On failure nothing was changed. under: generation of the SPD's snapshot of now; policies of that one accept the
 * SA by whatever addresses, so those of after the move must be of another (xi_spd_disturb).
 */
int xi_sad_move(struct xi_sad *sad, uint32_t sa_index, const struct xi_sa *to, uint32_t under, const char **why);

/* How many of the policy's templates are meant; those in tunnel mode get the new addresses. */
unsigned int xi_policy_migrate(struct xi_policy *policy, const struct xi_migrate *m, unsigned int n);

#endif
