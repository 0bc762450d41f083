/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* One SA of the kernel's: whose it is to be, and the way there. */
#include "source/mirror_int.h"

#include <arpa/inet.h>
#include <errno.h>
#include <openssl/crypto.h>
#include <stdlib.h>
#include <string.h>

#include "log.h"

#define STRAYS_MAX 3 /* then the kernel has it for good */

static struct xi_mirror_sa *sa_find(const struct xi_mirror *m, const struct xi_sa_id *id)
{
	struct xi_mirror_sa *sa;

	HASH_FIND(hh, m->sas, id, sizeof(*id), sa);
	return sa;
}

void xi_mirror_sa_touch(struct xi_mirror *m, struct xi_mirror_sa *sa)
{
	if (sa->dirty)
		return;
	sa->dirty = true;
	TAILQ_INSERT_TAIL(&m->dirty_sas, sa, queue);
	event_active(m->work, EV_TIMEOUT, 0);
}

void xi_mirror_sa_touch_first(struct xi_mirror *m, struct xi_mirror_sa *sa)
{
	if (sa->dirty)
		TAILQ_REMOVE(&m->dirty_sas, sa, queue);
	sa->dirty = true;
	TAILQ_INSERT_HEAD(&m->dirty_sas, sa, queue);
	event_active(m->work, EV_TIMEOUT, 0);
}

void xi_mirror_sa_dirty(struct xi_mirror *m, const struct xi_sa_id *id)
{
	struct xi_mirror_sa *sa = sa_find(m, id);

	if (!sa) {
		sa = xi_mirror_watch_room(m, HASH_COUNT(m->sas) + 1) ? NULL : calloc(1, sizeof(*sa));
		if (!sa) {
			m->resync = true;
			return;
		}
		sa->id = *id;
		HASH_ADD(hh, m->sas, id, sizeof(sa->id), sa);
		TAILQ_INSERT_TAIL(&m->all_sas, sa, all);
	}
	xi_mirror_sa_touch(m, sa);
}

static void sa_unlink(struct xi_mirror *m, struct xi_mirror_sa *sa)
{
	if (sa->keeps)
		xi_group_keep(m, &sa->pattern, false);
	sa->keeps = false;
	xi_group_unlink_sa(m, sa);
}

static void lists_forget(struct xi_mirror *m, const struct xi_mirror_sa *sa)
{
	unsigned int i;

	for (i = 0; i < m->ngiven; i++)
		if (m->given[i].sa == sa)
			m->given[i] = m->given[--m->ngiven];
}

static void sa_free(struct xi_mirror *m, struct xi_mirror_sa *sa)
{
	sa_unlink(m, sa);
	if (sa->dirty)
		TAILQ_REMOVE(&m->dirty_sas, sa, queue);
	if (m->offload_cursor == sa)
		m->offload_cursor = TAILQ_NEXT(sa, all);
	xi_mirror_unwatch(m, sa);
	xi_offload_left(m, sa);
	xi_mirror_hold_end(m, sa);
	xi_offload_forget(m, sa);
	xi_mirror_retry_no_sa(m, sa);
	TAILQ_REMOVE(&m->all_sas, sa, all);
	lists_forget(m, sa);
	HASH_DEL(m->sas, sa);
	free(sa->why);
	free(sa);
}

void xi_mirror_sas_free(struct xi_mirror *m)
{
	struct xi_mirror_sa *sa;

	while ((sa = TAILQ_FIRST(&m->all_sas)))
		sa_free(m, sa);
}

static void where_count(struct xi_mirror *m, enum xi_mirror_where where, int by)
{
	if (where == XI_MIRROR_OURS)
		m->figures.sas += by;
	else if (where == XI_MIRROR_IDLE)
		m->figures.sas_idle += by;
	else if (where == XI_MIRROR_BLOCKED || where == XI_MIRROR_KEPT)
		m->figures.sas_kept += by;
}

static void sa_goes(struct xi_mirror *m, struct xi_mirror_sa *sa, enum xi_mirror_where where)
{
	where_count(m, sa->where, -1);
	where_count(m, where, 1);
	sa->where = where;
	if (where != XI_MIRROR_OURS)
		xi_mirror_unwatch(m, sa);
}

/* An SA whose destination is this host comes in, if nobody says otherwise (XFRMA_SA_DIR,
 * Linux 6.10). */
bool xi_mirror_sa_is_in(const struct xi_mirror *m, const struct xi_sa *sa)
{
	if (sa->sa_dir)
		return sa->sa_dir == XI_SA_DIR_IN;
	return xi_spd_is_local(xi_spd_snapshot(m->spd), sa->id.daddr, sa->id.family);
}

static void sa_pattern(struct xi_pattern *p, const struct xi_mirror_sa *sa,
		       const struct xi_mirror_seen *seen)
{
	memset(p, 0, sizeof(*p));
	memcpy(p->daddr, sa->id.daddr, sizeof(p->daddr));
	p->family = sa->id.family;
	p->reqid = seen->info.reqid;
}

/* Where it hangs, which an update may change. False: no memory. */
static bool sa_place(struct xi_mirror *m, struct xi_mirror_sa *sa,
		     const struct xi_mirror_seen *seen)
{
	struct xi_pattern p;

	sa_pattern(&p, sa, seen);
	if (sa->links[0].group && !memcmp(&p, &sa->pattern, sizeof(p)))
		return true;
	sa_unlink(m, sa);
	sa->refused = 0;
	xi_mirror_retry_no_sa(m, sa);
	sa->pattern = p;
	return !xi_group_link_sa(m, sa);
}

static const struct xi_sa_rec *sa_ours(const struct xi_mirror *m, const struct xi_mirror_sa *sa)
{
	const struct xi_sa_rec *rec = xi_sad_find(m->sad, &sa->id);

	return rec && rec->sa.life & XI_SA_FROM_KERNEL ? rec : NULL;
}

/* The listener of the SAD shuts the kernel's window before that, and opens it after the last packet. */
void xi_mirror_sa_give(struct xi_mirror *m, struct xi_mirror_sa *sa)
{
	const struct xi_sa_rec *rec = sa_ours(m, sa);

	if (!rec)
		return;
	m->giving = sa;
	if (xi_sad_delete(m->sad, &sa->id))
		m->resync = true;
	else
		m->figures.given++;
	m->giving = NULL;
}

/* Whether what there is of SAs like this one stays with the kernel because of it. */
void xi_mirror_sa_keep(struct xi_mirror *m, struct xi_mirror_sa *sa, bool on)
{
	if (sa->keeps == on)
		return;
	sa->keeps = on;
	xi_group_keep(m, &sa->pattern, on);
}

__attribute__((nonnull)) static void sa_kept(struct xi_mirror *m, struct xi_mirror_sa *sa,
					     const char *why, bool elsewhere)
{
	if (sa->offload.where != XI_OFFLOAD_THERE && (!sa->why || strcmp(sa->why, why))) {
		log_info("mirror: SA with SPI 0x%08x stays with the kernel: %s", sa->id.spi, why);
		free(sa->why);
		sa->why = strdup(why);
	}
	xi_mirror_sa_keep(m, sa, !elsewhere);
	sa_goes(m, sa, XI_MIRROR_KEPT);
	xi_mirror_sa_give(m, sa);
	xi_offload_left(m, sa);
	xi_mirror_hold_end(m, sa);
}

/* What an update cannot change: then it is another SA. */
static bool sa_same(const struct xi_sa_rec *rec, const struct xi_sa_request *req)
{
	const struct xi_sa *a = &rec->sa, *b = &req->sa;

	return !CRYPTO_memcmp(&rec->key, &req->key, sizeof(req->key)) && a->mode == b->mode &&
	       !memcmp(a->saddr, b->saddr, sizeof(a->saddr)) && a->reqid == b->reqid &&
	       !memcmp(&a->sel, &b->sel, sizeof(a->sel)) && a->flags == b->flags &&
	       a->extra_flags == b->extra_flags && a->alg == b->alg && a->auth == b->auth &&
	       a->icv_len == b->icv_len && a->replay_window == b->replay_window &&
	       a->sa_dir == b->sa_dir && a->encap == b->encap && a->tfcpad == b->tfcpad;
}

static bool sa_alike(const struct xi_sa *a, const struct xi_sa *b)
{
	return !memcmp(&a->limits, &b->limits, sizeof(a->limits)) &&
	       a->output_mark == b->output_mark && a->output_mark_mask == b->output_mark_mask &&
	       a->encap_sport == b->encap_sport && a->encap_dport == b->encap_dport &&
	       !memcmp(a->encap_oa, b->encap_oa, sizeof(a->encap_oa));
}

/* The kernel sent with it up to k, or may have: we go on behind that. */
static int sa_jump(struct xi_mirror *m, struct xi_mirror_sa *sa, const struct xi_sa_rec *rec,
		   uint64_t k, uint64_t asked)
{
	uint64_t limit, first;
	int err = xi_mirror_reserve(m, &rec->sa, k, asked, &first, &limit);

	if (err)
		return err;
	sa->written = limit;
	return xi_sad_set_limit(m->sad, &sa->id, first, limit);
}

static void sa_strayed(struct xi_mirror *m, struct xi_mirror_sa *sa)
{
	m->figures.strays++;
	sa->strays++;
}

/*
 * The kernel's counter is where we put it: as far as numbers run out it is moved on. What the
 * kernel sent between the look at its counter and that has numbers that would be ours; its count
 * of packets tells.
 */
static int sa_extend(struct xi_mirror *m, struct xi_mirror_sa *sa, const struct xi_sa_rec *rec,
		     struct xi_mirror_seen *seen)
{
	uint64_t packets = seen->info.curlft.packets;
	uint64_t ours = __atomic_load_n(&rec->state->oseq, __ATOMIC_RELAXED);
	uint64_t max = rec->sa.flags & XFRM_STATE_ESN ? UINT64_MAX : UINT32_MAX;
	uint64_t limit = max - ours > XI_MIRROR_BLOCK ? ours + XI_MIRROR_BLOCK : max;
	int err;

	if (limit <= sa->written || (limit < max && limit - sa->written < XI_MIRROR_BLOCK / 2))
		return 0;
	err = xi_mirror_extend(m, &rec->sa, limit);
	if (!err)
		err = xi_mirror_sa_look(m, sa, seen);
	if (err || seen->err)
		return err ? err : -EAGAIN;
	if (seen->info.curlft.packets != packets || seen->req.init.oseq != limit) {
		sa_strayed(m, sa);
		if (limit < seen->req.init.oseq)
			limit = seen->req.init.oseq;
		return sa_jump(m, sa, rec, limit, seen->asked);
	}
	sa->written = limit;
	return xi_sad_set_limit(m->sad, &sa->id, 0, limit);
}

/* Or the kernel has sent with it: we go on behind that. */
static int sa_follow(struct xi_mirror *m, struct xi_mirror_sa *sa, const struct xi_sa_rec *rec,
		     struct xi_mirror_seen *seen)
{
	uint64_t ours = __atomic_load_n(&rec->state->oseq, __ATOMIC_RELAXED),
		 k = seen->req.init.oseq;

	if (!sa->written)
		sa->written = __atomic_load_n(&rec->state->oseq_limit, __ATOMIC_RELAXED);
	if (k == sa->written)
		return sa_extend(m, sa, rec, seen);
	if (k > sa->written && sa->check)
		sa_strayed(m, sa);
	if (ours < sa->written)
		ours = sa->written;
	return sa_jump(m, sa, rec, k > ours ? k : ours, seen->asked);
}

static int sa_refresh(struct xi_mirror *m, struct xi_mirror_sa *sa, const struct xi_sa_rec *rec,
		      struct xi_mirror_seen *seen, const char **why)
{
	int err = sa->outbound ? sa_follow(m, sa, rec, seen) : 0;

	if (!err && sa->check)
		err = xi_mirror_tell(m, sa, rec);
	sa->check = false;
	if (err || sa_alike(&rec->sa, &seen->req.sa))
		return err;
	return xi_sad_update(m->sad, &seen->req.sa, &seen->req.key, NULL, why);
}

static void seen_usage(struct xi_mirror_seen *seen)
{
	struct xi_replay_init *init = &seen->req.init;

	init->has_lifetime = true;
	init->bytes = seen->info.curlft.bytes;
	init->packets = seen->info.curlft.packets;
	init->use_time = seen->info.curlft.use_time;
	seen->req.sa.add_time = seen->info.curlft.add_time;
	seen->req.sa.life |= XI_SA_FROM_KERNEL;
}

static int sa_take_out(struct xi_mirror *m, struct xi_mirror_sa *sa, struct xi_mirror_seen *seen,
		       const char **why)
{
	struct xi_replay_init *init = &seen->req.init;
	int err;

	*why = "no sequence numbers could be reserved in the kernel";
	err = xi_mirror_reserve(m, &seen->req.sa, init->oseq, seen->asked, &init->oseq,
				&init->oseq_limit);
	if (err)
		return err;
	sa->written = init->oseq_limit;
	return xi_sad_add(m->sad, &seen->req.sa, &seen->req.key, init, why);
}

/*
 * Of one that is held. Its window in the kernel stays shut until the timer tells ours, which is
 * later than whatever may be left in the kernel's stack.
 */
static int sa_take_held(struct xi_mirror *m, struct xi_mirror_sa *sa, struct xi_mirror_seen *seen,
			const char **why)
{
	struct xi_nlmsg open;
	int err;

	*why = "its replay window could not be taken over; it accepts nothing until the key manager replaces it";
	err = xi_mirror_seal(m, seen, &open);
	if (err == -ESTALE)
		xi_mirror_replace(m, &seen->req.sa.id);
	if (err)
		return err;
	err = xi_sad_update(m->sad, &seen->req.sa, &seen->req.key, &seen->req.init, why);
	if (err && xi_mirror_ask(m, &open) && xi_mirror_ask(m, &open))
		xi_mirror_replace(m, &seen->req.sa.id);
	return err;
}

/* A window that refuses all is left of a daemon that was killed while the SA changed hands. */
static int sa_take_in(struct xi_mirror *m, struct xi_mirror_sa *sa, struct xi_mirror_seen *seen,
		      const char **why)
{
	struct xi_replay_init *init = &seen->req.init;
	int err;

	init->oseq_limit = init->oseq;
	err = xi_sad_check(m->sad, &seen->req.sa, init, why);
	if (err)
		return err;
	if (!seen->req.sa.replay_window)
		return xi_sad_add(m->sad, &seen->req.sa, &seen->req.key, init, why);
	if (xi_mirror_window_refuses(init, seen->req.sa.flags & XFRM_STATE_ESN)) {
		*why = "it accepts nothing until the key manager replaces it";
		if (!sa->replaced)
			xi_mirror_replace(m, &seen->req.sa.id);
		sa->replaced = true;
		return -ESTALE;
	}
	*why = "packets go on coming by a way that is no port";
	err = xi_mirror_hold(m, sa);
	return err ? err : sa_take_held(m, sa, seen, why);
}

static int sa_take(struct xi_mirror *m, struct xi_mirror_sa *sa, struct xi_mirror_seen *seen,
		   const char **why)
{
	int err;

	seen_usage(seen);
	err = sa->outbound ? sa_take_out(m, sa, seen, why) : sa_take_in(m, sa, seen, why);
	if (err)
		return err;
	sa->told_packets = seen->req.init.packets;
	sa->told_top = sa->outbound ? seen->req.init.seq : UINT64_MAX; /* it is to be told */
	sa->told_at = (uint32_t)(xi_mirror_clock() / 1000000000ULL);
	sa->held = false;
	m->figures.taken++;
	return 0;
}

static void sa_taken(struct xi_mirror *m, struct xi_mirror_sa *sa)
{
	const struct xi_sa_rec *rec = sa_ours(m, sa);

	sa_goes(m, sa, XI_MIRROR_OURS);
	if (rec)
		xi_mirror_watch(m, sa, rec);
	if (sa->waits)
		xi_mirror_retry_went_well(m);
	xi_mirror_retry_no_sa(m, sa);
}

static void sa_carry(struct xi_mirror *m, struct xi_mirror_sa *sa, struct xi_mirror_seen *seen)
{
	const struct xi_sa_rec *rec = xi_sad_find(m->sad, &sa->id);
	const char *why = NULL;
	int err;

	if (rec && xi_mirror_holds(sa, rec))
		rec = NULL;
	if (rec && !(rec->sa.life & XI_SA_FROM_KERNEL)) {
		if (sa->where != XI_MIRROR_SHADOWED)
			log_warnx("mirror: SA with SPI 0x%08x of the kernel is not taken over: "
				  "xipsec was given one with this destination, SPI and protocol",
				  sa->id.spi);
		sa_goes(m, sa, XI_MIRROR_SHADOWED);
		return;
	}
	if (rec && !sa_same(rec, &seen->req)) {
		sa->gone = true; /* what is told of it now is not of the one the kernel has */
		xi_mirror_sa_give(m, sa);
		rec = NULL;
	}
	err = rec ? sa_refresh(m, sa, rec, seen, &why) : sa_take(m, sa, seen, &why);
	sa->gone = false;
	if (err == -EAGAIN && sa->held)
		return;
	sa->refused = err == -ESRCH || err == -EAGAIN ? 0 : err;
	if (sa->refused)
		xi_mirror_retry_sa(m, sa, err);
	if (err == -ESRCH)
		xi_mirror_sa_touch(m, sa); /* it went meanwhile */
	else if (err)
		sa_kept(m, sa, why ? why : "it could not be taken over", err == -ESTALE);
	else
		sa_taken(m, sa);
}

/*
 * The kernel's: another SA, or the policy, is not carried; or nobody asks for it. What comes in by
 * a tunnel is not let in before a policy wants it.
 */
static bool sa_leave(struct xi_mirror *m, struct xi_mirror_sa *sa)
{
	enum xi_mirror_where where = XI_MIRROR_UNKNOWN;

	if (xi_group_kept(m, &sa->pattern))
		where = XI_MIRROR_BLOCKED;
	else if (sa->outbound ? !xi_group_asked(m, &sa->pattern) : m->sas_first)
		where = XI_MIRROR_IDLE;
	if (where == XI_MIRROR_UNKNOWN)
		return false;
	xi_mirror_sa_give(m, sa);
	sa_goes(m, sa, where);
	xi_mirror_hold_end(m, sa);
	return true;
}

static void sa_gone(struct xi_mirror *m, struct xi_mirror_sa *sa)
{
	sa->gone = true;
	xi_mirror_sa_give(m, sa);
	sa_goes(m, sa, XI_MIRROR_UNKNOWN);
	if (!sa_ours(m, sa))
		sa_free(m, sa);
}

static void sa_settle(struct xi_mirror *m, struct xi_mirror_sa *sa, struct xi_mirror_seen *seen)
{
	int err;

	if (sa->shut || xi_offload_waits(m, sa)) { /* it is on its way */
		if (xi_mirror_wait(m, sa))
			m->resync = true;
		return;
	}
	err = xi_mirror_sa_look(m, sa, seen);
	if (err == -ESRCH) {
		if (xi_offload_restore(m, sa))
			xi_mirror_sa_touch(m, sa);
		else
			sa_gone(m, sa);
		return;
	}
	sa->told_gone = false;
	if (err || !sa_place(m, sa, seen)) {
		m->resync = true;
		return;
	}
	if (xi_offload_seen(m, sa, &seen->device)) {
		if (!sa->in_holds)
			xi_mirror_sa_touch(m, sa);
		return;
	}
	if (seen->err) {
		sa_kept(m, sa, seen->ack.text, seen->elsewhere);
		return;
	}
	if (sa->refused)
		return;
	if (sa->strays > STRAYS_MAX) {
		sa_kept(m, sa,
			"the kernel goes on sending with it: its packets do not come by a port",
			false);
		return;
	}
	if (sa->where != XI_MIRROR_OURS)
		sa->outbound = !xi_mirror_sa_is_in(m, &seen->req.sa);
	if (!sa->outbound && seen->odd_window) {
		sa_kept(m, sa, "its replay window could not be handed back", false);
		return;
	}
	xi_mirror_sa_keep(m, sa, false);
	if (!sa_leave(m, sa))
		sa_carry(m, sa, seen);
	if (sa->where == XI_MIRROR_OURS)
		xi_offload_carried(m, sa);
	else
		xi_offload_left(m, sa);
}

void xi_mirror_sa_settle(struct xi_mirror *m, struct xi_mirror_sa *sa)
{
	struct xi_mirror_seen seen;

	sa->dirty = false;
	TAILQ_REMOVE(&m->dirty_sas, sa, queue);
	sa_settle(m, sa, &seen);
	explicit_bzero(&seen.req.key, sizeof(seen.req.key));
	explicit_bzero(m->answer.buf, sizeof(m->answer.buf));
}

int xi_mirror_sa_going(struct xi_mirror *m, struct xi_mirror_sa *sa, const struct xi_sa_rec *rec)
{
	int err;

	if (sa->where != XI_MIRROR_OURS)
		sa->outbound = !xi_mirror_sa_is_in(m, &rec->sa);
	if (sa->gone || sa->outbound || !rec->sa.replay_window)
		return 0;
	err = xi_mirror_shut(m, rec);
	sa->shut = !err;
	/* what the kernel does not have accepts nothing; and whoever leaves cannot stay */
	return err == -ESRCH || m->leaving ? 0 : err;
}

void xi_mirror_sa_given(struct xi_mirror *m, struct xi_mirror_sa *sa, const struct xi_sa_rec *rec)
{
	if (xi_mirror_tell(m, sa, rec) && sa->shut && xi_mirror_tell(m, sa, rec)) {
		log_warnx("mirror: SA with SPI 0x%08x takes nothing in: its window could not be handed back; "
			  "the key manager has to make another",
			  sa->id.spi);
		xi_mirror_replace(m, &rec->sa.id);
	}
	sa->shut = false;
}
