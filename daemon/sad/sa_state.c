/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What of an SA changes per packet: counters, sequence numbers, the replay window. */
#include "sad/sad_priv.h"

#include <errno.h>
#include <linux/xfrm.h>
#include <string.h>

#include "ipsec/replay.h"

/* RFC 4303 sections 2.2 and 2.2.1: the counter must never cycle. */
uint64_t xi_sa_seq_max(const struct xi_sa *sa)
{
	return sa->flags & XFRM_STATE_ESN ? UINT64_MAX : UINT32_MAX;
}

int xi_sa_init_check(const struct xi_sa *sa, const struct xi_replay_init *init, const char **why)
{
	if (!init)
		return 0;
	if (init->oseq > xi_sa_seq_max(sa) || init->seq > xi_sa_seq_max(sa)) {
		*why = "sequence number above 2^32 - 1 for an SA without esn; give the SA flag esn";
		return -EINVAL;
	}
	return 0;
}

void xi_state_reset(struct xi_sa_state *state, uint32_t sa_index)
{
	memset(state, 0, sizeof(*state));
	__atomic_store_n(&state->sa_index, sa_index, __ATOMIC_RELEASE);
}

static struct xi_replay rec_replay(const struct xi_sa_rec *rec)
{
	struct xi_replay r = {
		.top = (uint64_t *)&rec->state->top,
		.words = rec->words,
		.word_mask = rec->nwords - 1,
		.window = rec->sa.replay_window,
		.esn = (rec->sa.flags & XFRM_STATE_ESN) != 0,
	};

	return r;
}

/* Packets of elsewhere, or that are taken back, are no use to admission. */
static void state_lifetime(struct xi_sa_state *state, const struct xi_replay_init *init)
{
	if (!init->has_lifetime)
		return;
	__atomic_store_n(&state->bytes, init->bytes, __ATOMIC_RELAXED);
	__atomic_store_n(&state->packets, init->packets, __ATOMIC_RELAXED);
	__atomic_store_n(&state->packets_asked, (uint32_t)init->packets, __ATOMIC_RELAXED);
	__atomic_store_n(&state->use_time, init->use_time, __ATOMIC_RELAXED);
}

static void state_window(const struct xi_sa_rec *rec, const struct xi_replay_init *init)
{
	struct xi_replay r = rec_replay(rec);

	if (init->seq || init->bmp)
		xi_replay_import(&r, init->seq, init->bmp, init->bmp_len);
}

/* The SA is not published yet: nobody else touches its state. */
void xi_state_start(const struct xi_sa_rec *rec, const struct xi_replay_init *init, uint64_t oseq,
		    uint64_t limit)
{
	xi_state_reset(rec->state, rec->sa.sa_index);
	rec->state->oseq = oseq;
	rec->state->oseq_limit = limit;
	if (init) {
		state_lifetime(rec->state, init);
		state_window(rec, init);
	}
}

static void oseq_raise(struct xi_sa_state *state, uint64_t oseq)
{
	__u64 now = __atomic_load_n(&state->oseq, __ATOMIC_RELAXED);

	while (now < oseq)
		if (__atomic_compare_exchange_n(&state->oseq, &now, oseq, false, __ATOMIC_RELAXED,
						__ATOMIC_RELAXED))
			return;
}

/* The numbers up to oseq are given up before the limit comes down. */
void xi_state_limit(struct xi_sa_state *state, uint64_t oseq, uint64_t limit)
{
	oseq_raise(state, oseq);
	__atomic_store_n(&state->oseq_limit, limit, __ATOMIC_SEQ_CST);
}

int xi_sad_set_limit(struct xi_sad *sad, const struct xi_sa_id *id, uint64_t oseq, uint64_t limit)
{
	struct xi_sad_node *node = xi_sad_node(sad, id);
	struct xi_sa_state *state = node && node->rec ? node->rec->state : NULL;

	if (!state || !(node->rec->sa.life & XI_SA_FROM_KERNEL))
		return -ESRCH;
	if (limit < __atomic_load_n(&state->oseq_limit, __ATOMIC_RELAXED))
		limit = state->oseq_limit;
	xi_state_limit(state, oseq, limit);
	return 0;
}

/*
 * A window that went back would let packets in a second time, so it is refused, and what was received
 * stays so. seq 0 without bitmap: no window given.
 */
int xi_sad_set_replay(struct xi_sad *sad, const struct xi_sa_id *id,
		      const struct xi_replay_init *init)
{
	struct xi_sad_node *node = xi_sad_node(sad, id);
	struct xi_replay window;
	const char *why;

	if (!node)
		return -ESRCH;
	if (node->rec->sa.life & XI_SA_LARVAL || xi_sa_init_check(&node->rec->sa, init, &why))
		return -EINVAL;
	if ((init->seq || init->bmp) &&
	    init->seq < __atomic_load_n(&node->rec->state->top, __ATOMIC_RELAXED))
		return -EINVAL;
	oseq_raise(node->rec->state, init->oseq);
	state_lifetime(node->rec->state, init);
	if (init->seq || init->bmp) {
		window = rec_replay(node->rec);
		xi_replay_advance(&window, init->seq, init->bmp, init->bmp_len);
	}
	return 0;
}
