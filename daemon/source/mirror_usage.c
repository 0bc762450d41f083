/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Usage of the SAs that are ours, for the kernel, and whether their numbers run out. Which of them
 * carried packets their state alone tells, so a walk reads two lines of memory of each, one SA after
 * the other in an array; what stands still is looked at no closer. What has moved is told many at a
 * time: one datagram, and an answer for those alone that fail, and for the last. An outbound SA's
 * counter is asked for in the same datagram: should it not be where it was put, the kernel has used
 * the SA.
 */
#include "source/mirror_int.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/param.h>

#define TELL_SECONDS 2
#define LOOKS 262144        /* SAs a tick, of which there are four a second */
#define STEP_NS 4000000ULL  /* then others are served, */
#define PAUSE_US 16000      /* and for so long */
#define CLOCK_LOOKS 256     /* from one look at the clock to the next */
#define PREFETCH 8          /* SAs ahead */
#define OSEQ_SHIFT 16
#define PUT_OFF_MAX 8       /* turns, then it is told whatever news there are */

static uint32_t seconds(void)
{
	return xi_mirror_clock() / 1000000000ULL;
}

static uint64_t load(const __u64 *p)
{
	return __atomic_load_n(p, __ATOMIC_RELAXED);
}

int xi_mirror_watch_room(struct xi_mirror *m, unsigned int n)
{
	struct xi_mirror_watches *w = &m->watches;
	unsigned int room = MAX(n, 2 * w->room);
	struct xi_mirror_watch *sas;

	if (n <= w->room)
		return 0;
	sas = realloc(w->sas, room * sizeof(*sas));
	if (!sas)
		return -ENOMEM;
	w->sas = sas;
	w->room = room;
	return 0;
}

void xi_mirror_watch(struct xi_mirror *m, struct xi_mirror_sa *sa, const struct xi_sa_rec *rec)
{
	struct xi_mirror_watches *w = &m->watches;

	if (!sa->watch)
		sa->watch = ++w->n;
	w->sas[sa->watch - 1] = (struct xi_mirror_watch){.state = rec->state, .sa = sa, .anew = true};
}

void xi_mirror_unwatch(struct xi_mirror *m, struct xi_mirror_sa *sa)
{
	struct xi_mirror_watches *w = &m->watches;
	struct xi_mirror_watch *last;

	if (!sa->watch)
		return;
	last = &w->sas[--w->n];
	last->sa->watch = sa->watch;
	w->sas[sa->watch - 1] = *last;
	sa->watch = 0;
}

static void usage_put(struct xi_nlmsg *msg, const struct xi_sa_rec *rec)
{
	struct xfrm_lifetime_cur cur = {
		.bytes = load(&rec->state->bytes),
		.packets = load(&rec->state->packets),
		.add_time = rec->sa.add_time,
		.use_time = load(&rec->state->use_time),
	};

	xi_nlmsg_put(msg, XFRMA_LTIME_VAL, &cur, sizeof(cur));
}

/* Of an outbound SA the counter is not touched: the kernel may be sending again. */
static void tell_put(struct xi_nlmsg *msg, struct xi_mirror_sa *sa, const struct xi_sa_rec *rec)
{
	sa->told_at = seconds();
	sa->told_packets = load(&rec->state->packets);
	sa->told_top = load(&rec->state->top);
	xi_mirror_ae_begin(msg, &rec->sa);
	if (!sa->outbound && rec->sa.replay_window)
		xi_xfrm_put_replay(msg, rec);
	usage_put(msg, rec);
}

int xi_mirror_tell(struct xi_mirror *m, struct xi_mirror_sa *sa, const struct xi_sa_rec *rec)
{
	struct xi_nlmsg msg;
	int err;

	tell_put(&msg, sa, rec);
	err = xi_mirror_ask(m, &msg);
	if (err)
		sa->told_packets = UINT64_MAX; /* it is still to be told */
	else
		m->figures.written++;
	return err;
}

static bool moved(const struct xi_mirror_sa *sa, const struct xi_sa_rec *rec)
{
	return sa->told_packets != load(&rec->state->packets) ||
	       sa->told_top != load(&rec->state->top);
}

/* The kernel's counter, in the answer to GETAE. */
static bool counter_stands(const struct xi_mirror *m, uint64_t oseq)
{
	struct xfrm_replay_state_esn esn;
	struct xfrm_replay_state legacy;
	struct xi_extack ack;
	struct xi_attrs attrs;

	if (xi_attrs_parse(&attrs, &m->answer.hdr, sizeof(struct xfrm_aevent_id), &ack))
		return false;
	if (xi_attr_copy(&attrs, XFRMA_REPLAY_ESN_VAL, &esn, sizeof(esn)))
		return oseq == (esn.oseq | (uint64_t)esn.oseq_hi << 32);
	return xi_attr_copy(&attrs, XFRMA_REPLAY_VAL, &legacy, sizeof(legacy)) &&
	       oseq == legacy.oseq;
}

static void answered(struct xi_mirror *m, uint32_t nth, int err)
{
	struct xi_mirror_telling *t = &m->telling;
	unsigned int i = t->whose[nth];

	if (err)
		t->state[i] = XI_TELLING_FAILED;
	else if (m->answer.hdr.nlmsg_type == XFRM_MSG_NEWAE && t->state[i] == XI_TELLING_ASKED &&
		 counter_stands(m, t->sas[i]->written))
		t->state[i] = XI_TELLING_WELL;
}

/* The kernel is asked about it, and told again. */
static void tell_failed(struct xi_mirror *m, struct xi_mirror_sa *sa)
{
	if (sa->outbound)
		sa->check = true;
	else
		sa->told_top = UINT64_MAX;
	xi_mirror_sa_touch(m, sa);
}

/* The datagram came to nothing. An outbound SA is told of when the kernel was asked about it. */
static int tell_alone(struct xi_mirror *m, struct xi_mirror_sa *sa)
{
	const struct xi_sa_rec *rec = sa->outbound ? NULL : xi_sad_find(m->sad, &sa->id);
	int err = rec ? xi_mirror_tell(m, sa, rec) : -ENOENT;

	if (err)
		tell_failed(m, sa);
	return err == -ETIMEDOUT ? err : 0;
}

/* Whatever comes of it, none is left. -ETIMEDOUT: the kernel does not answer. */
static int tellings_send(struct xi_mirror *m)
{
	struct xi_mirror_telling *t = &m->telling;
	int err;

	if (!t->n)
		return 0;
	err = xi_mirror_ask_many(m, &t->msgs, answered);
	for (unsigned int i = 0; i < t->n; i++) {
		if (err && err != -ETIMEDOUT)
			err = tell_alone(m, t->sas[i]) ? -ETIMEDOUT : err;
		else if (!err && t->state[i] == XI_TELLING_WELL)
			m->figures.written++;
		else
			tell_failed(m, t->sas[i]);
	}
	t->n = 0;
	t->msgs.n = 0;
	t->msgs.len = 0;
	return err == -ETIMEDOUT ? err : 0;
}

static void telling_put(struct xi_mirror *m, const struct xi_nlmsg *msg)
{
	struct xi_mirror_telling *t = &m->telling;

	t->whose[t->msgs.n] = (uint8_t)t->n;
	xi_mirror_many_put(&t->msgs, msg);
}

/* Two messages at most; they are shorter than what XFRM_MSG_NEWSA may say of such an SA. */
static int tell_add(struct xi_mirror *m, struct xi_mirror_sa *sa, const struct xi_sa_rec *rec)
{
	struct xi_mirror_telling *t = &m->telling;
	struct xi_nlmsg get, tell;
	int err = 0;

	tell_put(&tell, sa, rec);
	tell.hdr.nlmsg_flags &= ~NLM_F_ACK;
	xi_mirror_ae_begin(&get, &rec->sa);
	get.hdr.nlmsg_type = XFRM_MSG_GETAE;
	get.hdr.nlmsg_flags = 0;
	if (!xi_mirror_many_fits(&t->msgs, get.hdr.nlmsg_len + tell.hdr.nlmsg_len))
		err = tellings_send(m);
	if (err) {
		tell_failed(m, sa);
		return err;
	}
	t->sas[t->n] = sa;
	t->state[t->n] = sa->outbound ? XI_TELLING_ASKED : XI_TELLING_WELL;
	if (sa->outbound)
		telling_put(m, &get);
	telling_put(m, &tell);
	return ++t->n == XI_MIRROR_TELLINGS ? tellings_send(m) : 0;
}

static bool runs_out(const struct xi_mirror_sa *sa, uint64_t oseq)
{
	return sa->outbound && oseq > sa->written - MIN(sa->written, XI_MIRROR_BLOCK / 2);
}

static bool has_more(const struct xi_mirror_sa *sa, const struct xi_sa_rec *rec)
{
	return sa->written < (rec->sa.flags & XFRM_STATE_ESN ? UINT64_MAX : UINT32_MAX);
}

/* What of an SA's state a look goes by. */
static struct xi_mirror_watch watch_read(const struct xi_mirror_watch *w, uint64_t *oseq)
{
	*oseq = load(&w->state->oseq);
	return (struct xi_mirror_watch){.state = w->state,
					.sa = w->sa,
					.packets = (uint32_t)load(&w->state->packets),
					.top = (uint32_t)load(&w->state->top),
					.oseq = (uint32_t)(*oseq >> OSEQ_SHIFT)};
}

/* The window may have moved by packets that count as none: their inside was wrong. */
static bool stands(const struct xi_mirror_watch *w, const struct xi_mirror_watch *is)
{
	return !w->anew && w->packets == is->packets && w->top == is->top && w->oseq == is->oseq;
}

/* now: CLOCK_MONOTONIC. -errno: the kernel does not answer. */
static int look_closer(struct xi_mirror *m, struct xi_mirror_watch *w,
		       const struct xi_mirror_watch *is, uint64_t oseq, uint32_t now)
{
	struct xi_mirror_sa *sa = w->sa;
	const struct xi_sa_rec *rec;
	bool due = now - sa->told_at >= TELL_SECONDS, more;

	if (sa->dirty || (!due && !runs_out(sa, oseq)))
		return 0;
	rec = xi_sad_find(m->sad, &sa->id);
	if (!rec)
		return 0;
	more = runs_out(sa, oseq) && has_more(sa, rec);
	if (more) {
		/* it may be so the next time, too */
		sa->check |= due && moved(sa, rec);
		xi_mirror_sa_touch(m, sa);
	} else if (!moved(sa, rec)) {
		*w = *is;
	} else if (due && (!m->watches.put_off || m->watches.put_off > PUT_OFF_MAX)) {
		return tell_add(m, sa, rec);
	}
	return 0;
}

static int look(struct xi_mirror *m, struct xi_mirror_watch *w, uint32_t now)
{
	uint64_t oseq;
	const struct xi_mirror_watch is = watch_read(w, &oseq);

	return stands(w, &is) ? 0 : look_closer(m, w, &is, oseq, now);
}

/* From the end on: an SA that goes is replaced by the last, which was looked at. */
static struct xi_mirror_watch *watch_next(struct xi_mirror_watches *w)
{
	if (!w->at || w->at > w->n)
		w->at = w->n;
	w->at--;
	if (w->at >= PREFETCH) {
		__builtin_prefetch(&w->sas[w->at - PREFETCH].state->oseq);
		__builtin_prefetch(&w->sas[w->at - PREFETCH].state->packets);
	}
	return &w->sas[w->at];
}

static void step(struct xi_mirror *m)
{
	const struct timeval pause = {.tv_usec = PAUSE_US};
	struct xi_mirror_watches *w = &m->watches;
	uint64_t begun = xi_mirror_clock();
	uint64_t written = m->figures.written;
	uint32_t now = seconds();
	unsigned int n;
	int err = 0;

	for (n = 1; w->left && w->n && !err; n++) {
		w->left--;
		err = look(m, watch_next(w), now);
		if (n % CLOCK_LOOKS && written == m->figures.written)
			continue;
		written = m->figures.written;
		if (xi_mirror_clock() - begun >= STEP_NS)
			break;
	}
	if (!err)
		err = tellings_send(m); /* else there is none */
	if (err || !w->n)
		w->left = 0;
	if (w->left)
		evtimer_add(m->on_usage, &pause);
}

void xi_mirror_on_usage(evutil_socket_t fd, short what, void *arg)
{
	struct xi_mirror *m = arg;

	if (!m->leaving)
		step(m);
}

/* They may say that the kernel has another SA of the same id by now, whose usage is not this. */
static bool news_wait(const struct xi_mirror *m)
{
	struct pollfd pfd = {.fd = m->news_fd, .events = POLLIN};

	return poll(&pfd, 1, 0) > 0;
}

void xi_mirror_usage_tick(struct xi_mirror *m)
{
	m->watches.put_off = news_wait(m) ? m->watches.put_off + 1 : 0;
	m->watches.left = MIN(m->watches.n, LOOKS);
	if (!evtimer_pending(m->on_usage, NULL))
		step(m);
}

static bool untold(const struct xi_mirror_sa *sa, const struct xi_sa_rec *rec)
{
	return sa->check || moved(sa, rec);
}

/* Those that were refused, or came to nothing with others. */
static void usage_each(struct xi_mirror *m)
{
	const struct xi_mirror_watches *w = &m->watches;
	const struct xi_sa_rec *rec;
	struct xi_mirror_sa *sa;
	int err = 0;

	for (unsigned int i = 0; i < w->n && err != -ETIMEDOUT; i++) {
		sa = w->sas[i].sa;
		rec = sa->dirty ? xi_sad_find(m->sad, &sa->id) : NULL;
		if (rec && untold(sa, rec))
			err = xi_mirror_tell(m, sa, rec);
	}
}

void xi_mirror_usage_all(struct xi_mirror *m)
{
	const struct xi_mirror_watches *w = &m->watches;
	const struct xi_sa_rec *rec;
	int err = 0;

	for (unsigned int i = 0; i < w->n && !err; i++) {
		rec = xi_sad_find(m->sad, &w->sas[i].sa->id);
		if (rec && untold(w->sas[i].sa, rec))
			err = tell_add(m, w->sas[i].sa, rec);
	}
	if (!err)
		err = tellings_send(m);
	if (!err)
		usage_each(m);
}
