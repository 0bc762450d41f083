/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The security policy database (RFC 4301 section 4.4.1). The control thread owns it; workers read an immutable
 * snapshot under RCU (QSBR): policies by priority, and for each outbound one the SAs that serve it, newest first.
 */
#ifndef XI_SPD_H
#define XI_SPD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <xipsec/abi.h>
#include "sad/sad.h"
#include "sad/why.h"

struct xi_spd;

#define XI_POLICY_SAS 8
#define XI_PATH_MAX 2        /* SAs over one packet */

/* One policy as a worker sees it. */
struct xi_spd_policy {
	struct xi_policy policy;
	uint32_t nsas, nnext;
	uint32_t sas[XI_POLICY_SAS];  /* sa_index of outbound SAs that fit template 0, newest first */
	uint32_t next[XI_POLICY_SAS]; /* the same of template 1, whose SA goes around that of 0 */
	/*
	 * Of a template in transport mode whose SAs' addresses only a packet tells: they are found in the SAD, by
	 * its addresses, and not listed here.
	 */
	bool by_pair[XI_PATH_MAX];
};

/* The SAs a received packet came through, in the order in which they were taken off: the outermost first. */
struct xi_sa_path {
	uint32_t n;
	const struct xi_sa *sas[XI_PATH_MAX];
};

struct xi_spd_index;

#define XI_SPD_SEGMENTS 2    /* most policies; those that came lately */

/*
 * Part of the policies of one direction. One that was deleted may have left a dead one in its place, which no flow matches.
 * Snapshots share what did not change, so an index may be older than the policies at its ranks: those have the same
 * place in the order and the same selectors as before, or are dead.
 */
struct xi_spd_segment {
	uint32_t n;
	const struct xi_spd_policy *const *policies; /* ascending priority, then age */
	const struct xi_spd_index *index; /* NULL: n is 0 */
};

struct xi_spd_snapshot {
	uint32_t generation;         /* equals xi_config.spd_generation of its time */
	uint32_t flow_mask;          /* XI_FLOW_*: what policies and SAs look at */
	uint32_t mark_mask;          /* xi_config.mark_mask of its time */
	bool if_marks;               /* some outbound policy looks at both an if_id and a mark */
	enum xi_action default_action[XI_DIR_MAX];
	struct xi_spd_segment segments[XI_DIR_MAX][XI_SPD_SEGMENTS];
	uint32_t nlocal;
	const struct xi_addr *local; /* addresses of this host, sorted with memcmp */
	bool bundles;                /* some policy asks for an SA inside of another */
};

int xi_spd_create(struct xi_spd **out, struct xi_sad *sad, const struct xi_store *store);
void xi_spd_destroy(struct xi_spd *spd);
int xi_spd_adopt(struct xi_spd *spd, unsigned int *n);

/*
 * Key of a policy, as in the kernel: direction, selector, type, mark, if_id. 0 or -errno, *why as in sad.h.
 * Each is acknowledged only when no worker and no XDP program judges by the old state:
 * the store's guard and generation are changed, a new snapshot is published, grace period waited for.
 * Every change takes a new generation, so that all flows are judged again, but for one: a replacement that
 * differs only in lifetimes, or, outbound, in template SPIs. Flows of the SAs that lose by it find them superseded.
 * -EINVAL as the kernel; -EOPNOTSUPP for more than two templates, and for others than ESP and AH.
 */
int xi_spd_add(struct xi_spd *spd, const struct xi_policy *policy, bool replace, const char **why); /* -EEXIST */
/* The policy of this index as it is to be; its key, and since when it is there and in use, stay. -ENOENT. */
int xi_spd_change(struct xi_spd *spd, const struct xi_policy *policy, const char **why);
int xi_spd_delete(struct xi_spd *spd, const struct xi_policy *key); /* by index when key->index != 0; -ENOENT */
int xi_spd_flush(struct xi_spd *spd, unsigned int *n);
/*
 * The same in steps, each of which is in force when it returns (or at the end of the round that holds it). What comes or is
 * updated in between stays. A flow is judged by its policy of before or by the default, never by another of before.
 */
struct xi_spd_flush {
	uint32_t *indexes;           /* of policies, in the order in which they go */
	uint32_t n, at;
	uint32_t rest;
	uint64_t before;
	bool done;
	unsigned int gone;
	int err;                     /* what it could not do; it went on with the others */
};
int xi_spd_flush_begin(struct xi_spd *spd, struct xi_spd_flush *flush); /* 0 or -ENOMEM */
/* Looks at most policies, 1 at least. False: that was the end. */
bool xi_spd_flush_step(struct xi_spd *spd, struct xi_spd_flush *flush, unsigned int most);
void xi_spd_flush_end(struct xi_spd_flush *flush);
const struct xi_policy *xi_spd_find(const struct xi_spd *spd, const struct xi_policy *key);
/* In order of index, ascending; start with *index = 0, NULL at the end. */
const struct xi_policy *xi_spd_next(const struct xi_spd *spd, uint32_t *index);
unsigned int xi_spd_count(const struct xi_spd *spd, enum xi_dir dir);
int xi_spd_set_default(struct xi_spd *spd, enum xi_dir dir, enum xi_action action);
enum xi_action xi_spd_get_default(const struct xi_spd *spd, enum xi_dir dir);
/*
 * Several changes in one round: what is changed in between is in the store, but workers go on by what they had. So
 * nothing of it may be acknowledged before the last release, which publishes all with one snapshot and one grace
 * period. Nests. xi_spd_release(): 0 or -errno; then the changes were made and the next one will publish them, but they
 * cannot be acknowledged.
 */
void xi_spd_hold(struct xi_spd *spd);
int xi_spd_release(struct xi_spd *spd);
/*
 * An SA came, went or changed (then once as it was, once as it is): marks the policies that may have it. From the SAD's
 * listener.
 */
void xi_spd_sa_changed(struct xi_spd *spd, const struct xi_sa *sa);
/*
 * After it, for any number of SAs (best from the SAD's sync, which comes once for a round): resolves templates of the
 * policies that are marked again. Flows of an SA that lost its place find it superseded (xi_sad_superseded) and are
 * judged again.
 */
void xi_spd_sas_changed(struct xi_spd *spd);
/* SAs changed in a way that those marks do not tell of: all flows are judged again, with the next xi_spd_sas_changed(). */
void xi_spd_disturb(struct xi_spd *spd);
/*
 * Lifetimes of policies, as the kernel's xfrm_policy_timer(): hard ones take the policy away; soft ones are told again
 * every 30 seconds as long as nobody acts. now: seconds since the epoch. At most XI_POLICIES_DUE a call. Since when a
 * policy is in use is known to the second in which it last judged a flow that no cache knew, or its SAs last carried a
 * packet.
 */
#define XI_POLICIES_DUE 1024
typedef void (*xi_policy_expired)(void *arg, const struct xi_policy *policy, bool hard);
void xi_spd_tick(struct xi_spd *spd, uint64_t now, xi_policy_expired expired, void *arg);
/* The host's own addresses changed. addrs is copied. */
int xi_spd_set_local(struct xi_spd *spd, const struct xi_addr *addrs, uint32_t n);
/* Called after they did; one listener. */
void xi_spd_on_local(struct xi_spd *spd, void (*changed)(void *arg), void *arg);
/*
 * Called for each policy that came, was replaced or went (then now is NULL), within the request: quick work only. It is for
 * those of now; who comes later asks for what is there. One listener.
 */
void xi_spd_on_policy(struct xi_spd *spd,
		      void (*changed)(void *arg, uint32_t index, const struct xi_policy *now), void *arg);
/* Called before old snapshots are freed, in place of synchronize_rcu; tests set none. */
void xi_spd_on_sync(struct xi_spd *spd, void (*sync)(void *arg), void *arg);

/* Workers, and the control thread. Valid until the reader's next quiescent state. */
const struct xi_spd_snapshot *xi_spd_snapshot(const struct xi_spd *spd);
/* The policy that decides on a flow, NULL: none (then default_action). RFC 4301 section 4.4.1: first match wins. */
const struct xi_spd_policy *xi_spd_lookup(const struct xi_spd_snapshot *snap, enum xi_dir dir,
					  const struct xi_flow *flow);
/* IKE of the host itself (UDP from, in: to, a local address and port 500 or 4500) is exempt from policy. */
bool xi_spd_is_ike(const struct xi_spd_snapshot *snap, enum xi_dir dir, const struct xi_flow *flow);
bool xi_spd_is_local(const struct xi_spd_snapshot *snap, const uint8_t addr[16], enum xi_family family);

/*
 * Verdict on an outbound flow. PROTECT fills handle, and next_handle when two templates have SAs; what is optional
 * and has none is passed over. XI_VERDICT_NONE: protection wanted, no SA serves it (*policy tells which policy,
 * why->tmpl which template; the caller drops, counts and asks for an ACQUIRE). policy and why may be NULL.
 * Give the whole flow. A verdict of generation 0 (IKE) is for its packet alone and never cached.
 * mask: NULL, or what of the flow decided, zeroed by the caller; every other flow that agrees in it, IKE apart, has the
 * same verdict and the same SAs under this snapshot and the SAs of now.
 */
enum xi_verdict xi_spd_judge_out_mask(const struct xi_spd_snapshot *snap, const struct xi_sad *sad,
				      const struct xi_flow *flow, struct xi_flow_verdict *verdict,
				      const struct xi_spd_policy **policy,
				      struct xi_verdict_why *why, struct xi_flow_mask *mask);
/*
 * May this cleartext packet, which came through no SA, come in (in, or fwd when daddr is not local)? mask as above, for
 * flows of the same direction.
 */
bool xi_spd_allows_clear_mask(const struct xi_spd_snapshot *snap, const struct xi_flow *flow,
			      struct xi_verdict_why *why, struct xi_flow_mask *mask);
enum xi_dir xi_spd_dir_of_arrival(const struct xi_spd_snapshot *snap, const struct xi_flow *flow);
/*
 * May this packet come in, which came through these SAs? As the kernel's __xfrm_policy_check(): the flow of what is left
 * when all were taken off meets the selector of each; then the policy's templates, of which the last was applied last
 * when sending, are met one after the other by the SAs from the outermost in. An SA in tunnel mode that no template
 * names is one too many; one in transport mode is not. n 0: xi_spd_allows_clear().
 */
bool xi_spd_allows_protected_why(const struct xi_spd_snapshot *snap, const struct xi_flow *flow,
				 const struct xi_sa_path *path, struct xi_verdict_why *why);

/* Does an outbound policy put another SA around what this one protects? The control thread only. */
bool xi_spd_wraps(const struct xi_spd *spd, const struct xi_sa *sa);

static inline enum xi_verdict xi_spd_judge_out_why(const struct xi_spd_snapshot *snap,
						   const struct xi_sad *sad,
						   const struct xi_flow *flow,
						   struct xi_flow_verdict *verdict,
						   const struct xi_spd_policy **policy,
						   struct xi_verdict_why *why)
{
	return xi_spd_judge_out_mask(snap, sad, flow, verdict, policy, why, NULL);
}

static inline enum xi_verdict xi_spd_judge_out(const struct xi_spd_snapshot *snap,
					       const struct xi_sad *sad, const struct xi_flow *flow,
					       struct xi_flow_verdict *verdict,
					       const struct xi_spd_policy **policy)
{
	return xi_spd_judge_out_why(snap, sad, flow, verdict, policy, NULL);
}

static inline bool xi_spd_allows_clear_why(const struct xi_spd_snapshot *snap,
					   const struct xi_flow *flow, struct xi_verdict_why *why)
{
	return xi_spd_allows_clear_mask(snap, flow, why, NULL);
}

static inline bool xi_spd_allows_clear(const struct xi_spd_snapshot *snap, const struct xi_flow *flow)
{
	return xi_spd_allows_clear_why(snap, flow, NULL);
}

static inline bool xi_spd_allows_protected(const struct xi_spd_snapshot *snap,
					   const struct xi_flow *flow,
					   const struct xi_sa_path *path)
{
	return xi_spd_allows_protected_why(snap, flow, path, NULL);
}

#endif
