/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* SAs that change while they are in use. */
#include "sad/sad_priv.h"

#include <errno.h>
#include <string.h>

int xi_sad_claim(struct xi_sad *sad, struct xi_sad_node *node, const struct xi_sa *sa,
		 const struct xi_sa_key *key, const char **why)
{
	const struct xi_sa_rec *rec = node->rec;
	struct xi_sa claimed = rec->sa;
	uint64_t oseq, limit;
	int err;

	if (node->reserve || !(sa->life & XI_SA_FROM_FILE) || claimed.life & (XI_SA_FROM_FILE | XI_SA_LARVAL) ||
	    claimed.sa_dir == XI_SA_DIR_IN || !key || memcmp(key, &rec->key, sizeof(*key)))
		return 0;
	oseq = __atomic_load_n(&rec->state->oseq, __ATOMIC_RELAXED);
	err = xi_reserve_open(&node->reserve, sad->state_dir, key, xi_sa_seq_max(&claimed), &oseq,
			      &limit, why);
	if (err)
		return err;
	xi_state_limit(rec->state, oseq, limit);
	*why = XI_WHY_NOT_STORED;
	claimed.life |= XI_SA_FROM_FILE;
	err = xi_sad_replace(sad, node, &claimed);
	if (err) {
		/* what is reserved may be used up; the next try takes more */
		xi_reserve_free(node->reserve);
		node->reserve = NULL;
	}
	return err;
}

int xi_sad_replace(struct xi_sad *sad, struct xi_sad_node *node, const struct xi_sa *sa)
{
	struct xi_sa_rec *old = node->rec, *rec;
	int err;

	err = xi_sad_round_reserve(sad);
	if (err)
		return err;
	rec = xi_rec_new(sad);
	if (!rec)
		return -ENOMEM;
	*rec = *old;
	rec->sa = *sa;
	rec->sa.generation = old->sa.generation + 1;
	err = sad->store.ops->sa_put(sad->store.s, rec->sa.sa_index, &rec->sa, NULL);
	if (err) {
		xi_rec_free(rec);
		return err;
	}
	xi_sad_publish(sad, node, rec);
	xi_sad_changed(sad, old, rec);
	sad->round.replaced[sad->round.nreplaced++] = old;
	return 0;
}

/*
 * The kernel's xfrm_state_update(): the ports of an encapsulation may change, but not whether there
 * is one.
 */
static int refresh_check(const struct xi_sad_node *node, const struct xi_sa *sa, const char **why)
{
	if (node->rec->sa.encap != sa->encap) {
		*why = "an update cannot bring in or take away UDP encapsulation; delete the SA and add it";
		return -EINVAL;
	}
	if (__atomic_load_n(&node->rec->state->expired, __ATOMIC_ACQUIRE)) {
		*why = "the SA has reached its hard lifetime and is about to be deleted; add a new one";
		return -EINVAL;
	}
	return 0;
}

static bool addr_given(const uint8_t addr[16])
{
	static const uint8_t none[16];

	return memcmp(addr, none, sizeof(none));
}

/*
 * What it changes of an SA in use: lifetimes, output mark, if_id, encapsulation, care-of address. Key, algorithm,
 * sequence number and window are those of before, whatever the request says.
 */
static int sa_refresh(struct xi_sad *sad, struct xi_sad_node *node, const struct xi_sa *sa)
{
	struct xi_sa merged = node->rec->sa;
	int err;

	merged.limits = sa->limits;
	merged.life &= ~XI_SA_SOFT_EXPIRED;
	merged.encap_sport = sa->encap_sport;
	merged.encap_dport = sa->encap_dport;
	memcpy(merged.encap_oa, sa->encap_oa, sizeof(merged.encap_oa));
	if (sa->output_mark || sa->output_mark_mask) {
		merged.output_mark = sa->output_mark;
		merged.output_mark_mask = sa->output_mark_mask;
	}
	if (sa->if_id)
		merged.if_id = sa->if_id;
	if (addr_given(sa->coaddr) && addr_given(merged.coaddr))
		memcpy(merged.coaddr, sa->coaddr, sizeof(merged.coaddr));
	if (merged.if_id == node->rec->sa.if_id)
		return xi_sad_replace(sad, node, &merged);
	err = xi_sad_replace(sad, node, &merged);
	if (!err)
		xi_pair_changed(sad, node);
	return err;
}

static int sa_update(struct xi_sad *sad, const struct xi_sa *sa, const struct xi_sa_key *key,
		     const struct xi_replay_init *init, const char **why)
{
	struct xi_sad_node *node = xi_sad_node(sad, &sa->id);
	const struct xi_sa *known = node ? &node->rec->sa : NULL;
	bool larval = known && known->life & XI_SA_LARVAL;
	int err;

	if (!known || (sa->mark_v & sa->mark_m & known->mark_m) != known->mark_v ||
	    (sa->sa_dir != known->sa_dir && (sa->sa_dir || !larval))) {
		*why = "no SA with this destination, SPI, protocol, mark and direction; add it";
		return -ESRCH;
	}
	err = xi_sad_check(sad, sa, init, why);
	if (err)
		return err;
	if (!larval)
		err = refresh_check(node, sa, why);
	if (!larval && !err)
		err = xi_sad_claim(sad, node, sa, key, why);
	if (err)
		return err;
	*why = XI_WHY_NOT_STORED;
	if (!larval)
		return sa_refresh(sad, node, sa);
	return xi_sad_install(sad, node, sa, key, init, why);
}

int xi_sad_update(struct xi_sad *sad, const struct xi_sa *sa, const struct xi_sa_key *key,
		  const struct xi_replay_init *init, const char **why)
{
	int err;

	xi_sad_hold(sad);
	err = sa_update(sad, sa, key, init, why);
	xi_sad_release(sad);
	return err;
}

int xi_sad_set_thresholds(struct xi_sad *sad, const struct xi_sa_id *id, uint32_t replay,
			  uint32_t etimer)
{
	struct xi_sad_node *node = xi_sad_node(sad, id);
	struct xi_sa sa;
	int err;

	if (!node)
		return -ESRCH;
	if (node->rec->sa.life & XI_SA_LARVAL)
		return -EINVAL;
	sa = node->rec->sa;
	sa.replay_thresh = replay ? replay : sa.replay_thresh;
	sa.etimer_thresh = etimer ? etimer : sa.etimer_thresh;
	xi_sad_hold(sad);
	err = xi_sad_replace(sad, node, &sa);
	xi_sad_release(sad);
	return err;
}
