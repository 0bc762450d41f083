/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The mirror as a whole, and its turns of work. */
#include "source/mirror_int.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "log.h"

#define TICK_MS 250
#define RESYNC_SECONDS 1 /* between two */

static uint64_t seconds(void)
{
	return xi_mirror_clock() / 1000000000ULL;
}

void xi_mirror_resync(struct xi_mirror *m)
{
	m->resync = true;
	event_active(m->work, EV_TIMEOUT, 0);
}

/* What is here of the kernel's and is not known: an earlier daemon took it over. */
static void known_touch(struct xi_mirror *m)
{
	struct xi_mirror_policy_key key;
	const struct xi_policy *policy;
	const struct xi_sa_rec *rec;
	uint32_t at = 0;

	while ((rec = xi_sad_next(m->sad, &at)))
		if (rec->sa.life & XI_SA_FROM_KERNEL)
			xi_mirror_sa_dirty(m, &rec->sa.id);
	at = 0;
	while ((policy = xi_spd_next(m->spd, &at)))
		if (policy->origin & XI_POLICY_FROM_KERNEL) {
			key = xi_mirror_policy_key_of(policy);
			xi_mirror_policy_dirty(m, &key, false);
		}
	xi_mirror_touch_sas(m);
	xi_mirror_touch_policies(m);
}

static void resync_start(struct xi_mirror *m)
{
	int err;

	m->resync = false;
	m->resync_after = seconds() + RESYNC_SECONDS;
	m->defaults = true;
	m->figures.resyncs++;
	if (m->figures.resyncs > 1)
		known_touch(m);
	m->dump = XI_MIRROR_DUMP_SAS;
	err = xi_mirror_ask_dump(m, XFRM_MSG_GETSA);
	if (err)
		xi_mirror_dump_failed(m, err);
}

static void default_set(struct xi_mirror *m, enum xi_dir dir, uint8_t value)
{
	enum xi_action action = value == XFRM_USERPOLICY_BLOCK ? XI_BLOCK : XI_ALLOW;

	if (xi_spd_get_default(m->spd, dir) != action)
		xi_spd_set_default(m->spd, dir, action);
}

/* What leaves and no policy wants the kernel judges itself; Linux before 5.15 has no defaults. */
static void defaults_settle(struct xi_mirror *m)
{
	struct xfrm_userpolicy_default def;
	struct xi_nlmsg msg;

	m->defaults = false;
	xi_nlmsg_begin(&msg, XFRM_MSG_GETDEFAULT, 0, 0, 0, sizeof(def));
	if (xi_mirror_ask(m, &msg) || m->answer.hdr.nlmsg_type != XFRM_MSG_GETDEFAULT ||
	    m->answer.hdr.nlmsg_len < NLMSG_HDRLEN + sizeof(def))
		return;
	memcpy(&def, m->answer.buf + NLMSG_HDRLEN, sizeof(def));
	m->out_blocked = def.out == XFRM_USERPOLICY_BLOCK;
	default_set(m, XI_IN, def.in);
	default_set(m, XI_FWD, def.fwd);
}

static bool settled(const struct xi_mirror *m)
{
	return m->dump == XI_MIRROR_DUMP_NONE && !m->resync && !m->defaults && !m->touch_policies &&
	       !m->unpublished && TAILQ_EMPTY(&m->dirty_policies);
}

/*
 * It comes down at once, and goes up when no policy waits to be looked at: packets of the host
 * would leave in clear for want of one that is not in force here.
 */
static void fence(struct xi_mirror *m)
{
	bool up = m->out_ours && !m->out_kept && !m->out_blocked && !m->unsure;

	if (m->starting || up == m->fenced || (up && !settled(m)))
		return;
	m->fenced = up;
	if (m->config.fence)
		m->config.fence(m->config.arg, up);
}

static int release(struct xi_mirror *m)
{
	int err;

	xi_sad_release(m->sad);
	err = xi_spd_release(m->spd);
	if (err)
		log_warnx("mirror: policies of the kernel could not be put in force: %s; trying "
			  "again",
			  strerror(-err));
	m->unpublished = err;
	m->unsure |= err;
	return err;
}

/* False: what was done is not in force. */
static bool policies_work(struct xi_mirror *m)
{
	struct xi_mirror_policy *policy;
	unsigned int n = 0;
	int err;

	xi_sad_hold(m->sad);
	xi_spd_hold(m->spd);
	if (m->defaults)
		defaults_settle(m);
	while (n++ < XI_MIRROR_TURN && (policy = TAILQ_FIRST(&m->dirty_policies)))
		xi_mirror_policy_settle(m, policy);
	err = release(m);
	if (m->touch_policies)
		xi_mirror_touch_policies(m);
	m->touch_policies = false;
	fence(m);
	return !err;
}

static void sas_work(struct xi_mirror *m)
{
	struct xi_mirror_sa *sa;
	unsigned int n = 0;

	xi_sad_hold(m->sad);
	xi_spd_hold(m->spd);
	while (n++ < XI_MIRROR_TURN && (sa = TAILQ_FIRST(&m->dirty_sas)))
		xi_mirror_sa_settle(m, sa);
	release(m);
}

/*
 * Policies first, and in force, before an SA changes hands: from then on the kernel sees no packet
 * that would take a number of it. But at the start SAs first, for it must be known what is not
 * carried.
 */
static void on_work(evutil_socket_t fd, short what, void *arg)
{
	struct xi_mirror *m = arg;
	bool sound = true, sas, policies;

	if (m->leaving)
		return;
	if (m->resync && m->dump == XI_MIRROR_DUMP_NONE && seconds() >= m->resync_after)
		resync_start(m);
	if (m->starting && m->dump != XI_MIRROR_DUMP_NONE)
		return;
	policies = m->defaults || m->touch_policies || m->unpublished ||
		   !TAILQ_EMPTY(&m->dirty_policies);
	if (policies && !(m->starting && m->sas_first && !TAILQ_EMPTY(&m->dirty_sas)))
		sound = policies_work(m);
	sas = !TAILQ_EMPTY(&m->dirty_sas);
	if (sound && sas && !(m->starting && !m->sas_first && !TAILQ_EMPTY(&m->dirty_policies)))
		sas_work(m);
	/* what is not in force is tried again with the next tick, and SAs wait for that */
	sas = !TAILQ_EMPTY(&m->dirty_sas) && !m->unpublished;
	policies = m->defaults || m->touch_policies || !TAILQ_EMPTY(&m->dirty_policies);
	if (m->sas_first && !sas && !policies && !m->unpublished) {
		m->sas_first = false;
		xi_mirror_touch_sas(m); /* those that come in */
		sas = !TAILQ_EMPTY(&m->dirty_sas);
	}
	if (sas || policies)
		event_active(m->work, EV_TIMEOUT, 0);
	else if (!m->resync && !m->unpublished && !xi_mirror_holding(m))
		m->starting = false;
	if (m->unsure && settled(m) && !m->starting)
		m->unsure = false;
	fence(m);
}

static void on_tick(evutil_socket_t fd, short what, void *arg)
{
	struct xi_mirror *m = arg;

	if (m->leaving)
		return;
	if (m->resync || m->unpublished)
		event_active(m->work, EV_TIMEOUT, 0);
	xi_mirror_usage_tick(m);
	xi_mirror_retry_tick(m);
	xi_offload_tick(m);
}

static struct xi_mirror_sa *sa_of(const struct xi_mirror *m, const struct xi_sa_rec *rec)
{
	struct xi_mirror_sa *sa = m->giving;

	if (!sa)
		HASH_FIND(hh, m->sas, &rec->sa.id, sizeof(rec->sa.id), sa);
	return sa;
}

static bool given_has_room(struct xi_mirror *m)
{
	unsigned int room = 2 * m->given_room + XI_MIRROR_TURN;
	struct xi_mirror_given *given;

	if (m->ngiven < m->given_room)
		return true;
	given = realloc(m->given, room * sizeof(*given));
	if (!given)
		return false;
	m->given = given;
	m->given_room = room;
	return true;
}

static int sa_going(void *arg, const struct xi_sa_rec *rec)
{
	struct xi_mirror *m = arg;
	struct xi_mirror_sa *sa =
		m->work && rec->sa.life & XI_SA_FROM_KERNEL ? sa_of(m, rec) : NULL;

	if (!sa)
		return 0;
	return given_has_room(m) ? xi_mirror_sa_going(m, sa, rec) : -ENOMEM;
}

/*
 * An SA that nobody here took away comes again: it is still the kernel's, whose window it will have
 * then.
 */
static void sa_changed(void *arg, const struct xi_sa_rec *old, const struct xi_sa_rec *new)
{
	struct xi_mirror *m = arg;
	struct xi_mirror_sa *sa;

	if (m->work && old && !new)
		xi_mirror_retry_soon(m);
	if (!m->work || !old || new || !(old->sa.life & XI_SA_FROM_KERNEL))
		return;
	sa = sa_of(m, old);
	if (sa)
		xi_mirror_unwatch(m, sa);
	if (sa && !m->giving)
		xi_mirror_sa_touch(m, sa);
	if (sa && !sa->gone) /* there is room: sa_going() */
		m->given[m->ngiven++] = (struct xi_mirror_given){.rec = old, .sa = sa};
}

/* No packet will come through them any more, and the records are still there. */
static void sas_synced(void *arg)
{
	struct xi_mirror *m = arg;

	while (m->ngiven) {
		m->ngiven--;
		xi_mirror_sa_given(m, m->given[m->ngiven].sa, m->given[m->ngiven].rec);
	}
}

static int events_create(struct xi_mirror *m)
{
	const struct timeval tick = {.tv_usec = TICK_MS * 1000};
	struct event_base *base = m->config.base;

	m->work = event_new(base, -1, 0, on_work, m);
	m->tick = event_new(base, -1, EV_PERSIST, on_tick, m);
	m->on_news = event_new(base, m->news_fd, EV_READ | EV_PERSIST, xi_mirror_on_news, m);
	m->on_dump = event_new(base, m->dump_fd, EV_READ | EV_PERSIST, xi_mirror_on_dump, m);
	m->on_holds = evtimer_new(base, xi_mirror_on_holds, m);
	m->on_usage = evtimer_new(base, xi_mirror_on_usage, m);
	if (!m->work || !m->tick || !m->on_news || !m->on_dump || !m->on_holds || !m->on_usage)
		return -ENOMEM;
	return event_add(m->tick, &tick) || event_add(m->on_news, NULL) ||
			       event_add(m->on_dump, NULL)
		       ? -ENOMEM
		       : 0;
}

static void mirror_free(struct xi_mirror *m)
{
	struct event *events[] = {m->work,    m->tick,	   m->on_news,
				  m->on_dump, m->on_holds, m->on_usage};

	for (unsigned int i = 0; i < sizeof(events) / sizeof(events[0]); i++)
		if (events[i])
			event_free(events[i]);
	m->work = NULL;
	xi_mirror_close(m);
	xi_offload_destroy(m->offload);
	free(m->given);
	free(m->watches.sas);
	free(m);
}

int xi_mirror_create(struct xi_mirror **out, const struct xi_mirror_config *config)
{
	struct xi_mirror *m = calloc(1, sizeof(*m));
	int err;

	*out = NULL;
	if (!m)
		return -ENOMEM;
	m->config = *config;
	m->sad = config->sad;
	m->spd = config->spd;
	m->ask_fd = m->news_fd = m->dump_fd = -1;
	TAILQ_INIT(&m->dirty_sas);
	TAILQ_INIT(&m->all_sas);
	TAILQ_INIT(&m->dirty_policies);
	TAILQ_INIT(&m->holds);
	TAILQ_INIT(&m->fresh_holds);
	TAILQ_INIT(&m->retry.sas);
	TAILQ_INIT(&m->retry.policies);
	err = xi_mirror_open(m);
	if (!err)
		err = events_create(m);
	if (!err)
		err = xi_offload_create(&m->offload, &config->offload);
	if (!err)
		err = xi_offload_listen(m);
	if (err) {
		errno = -err;
		if (err == -EPROTONOSUPPORT || err == -EAFNOSUPPORT)
			log_warnx("mirror: this kernel has no XFRM (CONFIG_XFRM_USER), so there is "
				  "nothing to follow; take mirror = yes out of the configuration, "
				  "and run the IKE daemon against xipsecd itself (xipsec run)");
		else
			log_warn("mirror: the kernel's XFRM cannot be followed");
		mirror_free(m);
		return err;
	}
	xi_sad_listen(m->sad, &(struct xi_sad_listener){
				      .changed = sa_changed, .sync = sas_synced, .going = sa_going, .arg = m});
	xi_sad_on_kernel_event(m->sad,
			       &(struct xi_sad_events){.expire = xi_mirror_expired, .arg = m});
	m->starting = true;
	/* one that an earlier daemon left behind: nobody saw what policies came since */
	if (m->config.fence)
		m->config.fence(m->config.arg, false);
	known_touch(m);
	m->sas_first = TAILQ_EMPTY(&m->dirty_policies);
	xi_mirror_resync(m);
	*out = m;
	return 0;
}

void xi_mirror_destroy(struct xi_mirror *m)
{
	if (!m)
		return;
	/* nobody is left to bring policies that come into force here */
	if (m->fenced && m->config.fence)
		m->config.fence(m->config.arg, false);
	xi_mirror_usage_all(m);
	xi_sad_on_kernel_event(m->sad, &(struct xi_sad_events){0});
	xi_sad_unlisten(m->sad, m);
	xi_offload_destroy(m->offload); /* what is in hardware stays there, noted */
	m->offload = NULL;
	xi_mirror_policies_free(m);
	xi_mirror_sas_free(m);
	mirror_free(m);
}

static unsigned int policies_forget(struct xi_spd *spd, bool out)
{
	const struct xi_policy *policy;
	struct xi_policy key;
	unsigned int n = 0;
	uint32_t at = 0;

	xi_spd_hold(spd);
	while ((policy = xi_spd_next(spd, &at)))
		if (policy->origin & XI_POLICY_FROM_KERNEL && (policy->dir == XI_OUT) == out) {
			key = *policy;
			n += !xi_spd_delete(spd, &key);
		}
	xi_spd_release(spd);
	return n;
}

/*
 * What leaves goes by the kernel first, behind the numbers used here; then what comes in; only then
 * the policies that what came in by xipsec has to meet.
 */
void xi_mirror_leave(struct xi_mirror *m)
{
	struct xi_mirror_sa *sa;
	unsigned int n;

	if (!m)
		return;
	m->leaving = true;
	if (m->config.fence)
		m->config.fence(m->config.arg, false);
	m->fenced = false;
	policies_forget(m->spd, true);
	for (sa = TAILQ_FIRST(&m->all_sas); sa;) {
		xi_sad_hold(m->sad);
		for (n = 0; sa && n < XI_MIRROR_TURN; n++, sa = TAILQ_NEXT(sa, all))
			xi_mirror_sa_give(m, sa);
		xi_sad_release(m->sad);
	}
	policies_forget(m->spd, false);
}

unsigned int xi_mirror_forget(struct xi_sad *sad, struct xi_spd *spd)
{
	unsigned int n = policies_forget(spd, true);
	const struct xi_sa_rec *rec;
	struct xi_sa_id id;
	uint32_t at = 0;

	xi_sad_hold(sad);
	while ((rec = xi_sad_next(sad, &at)))
		if (rec->sa.life & XI_SA_FROM_KERNEL) {
			id = rec->sa.id;
			n += !xi_sad_delete(sad, &id);
		}
	xi_sad_release(sad);
	return n + policies_forget(spd, false);
}

static bool acquired_lately(struct xi_mirror *m, uint32_t index, const uint8_t peer[16])
{
	uint64_t now = seconds();

	for (unsigned int i = 0; i < XI_MIRROR_ACQUIRES; i++) {
		const struct xi_mirror_acquired *a = &m->acquired[i];

		if (a->until > now && a->policy == index && !memcmp(a->peer, peer, sizeof(a->peer)))
			return true;
	}
	/* the one asked for longest ago makes room, unless that is but a second */
	if (m->acquired[m->acquired_at].until > now + 1)
		return true;
	m->acquired[m->acquired_at].policy = index;
	m->acquired[m->acquired_at].until = now + 2;
	memcpy(m->acquired[m->acquired_at].peer, peer, sizeof(m->acquired[0].peer));
	m->acquired_at = (m->acquired_at + 1) % XI_MIRROR_ACQUIRES;
	return false;
}

/* XDP took the packet before the kernel could miss the SA, so it is told to ask for one. */
int xi_mirror_acquire(struct xi_mirror *m, const struct xi_flow *flow,
		      const struct xi_policy *policy)
{
	static const uint8_t none[16];
	const uint8_t *peer = policy->ntmpls ? policy->tmpls[0].id.daddr : none;
	struct xi_nlmsg msg;

	if (!TAILQ_EMPTY(&m->dirty_sas)) /* its SA may be among those */
		return -EALREADY;
	if (acquired_lately(m, policy->index,
			    memcmp(peer, none, sizeof(none)) ? peer : flow->daddr))
		return -EALREADY;
	xi_xfrm_put_acquire(&msg, flow, policy, 1);
	msg.hdr.nlmsg_flags |= NLM_F_ACK;
	return xi_mirror_ask(m, &msg);
}

void xi_mirror_figures(const struct xi_mirror *m, struct xi_mirror_figures *figures)
{
	*figures = m->figures;
	figures->noffload = xi_offload_figures(m->offload, figures->offload);
	figures->synced = m->dump == XI_MIRROR_DUMP_NONE && !m->resync && !m->starting &&
			  !m->defaults && !m->unpublished && TAILQ_EMPTY(&m->dirty_sas) &&
			  !xi_mirror_holding(m) &&
			  TAILQ_EMPTY(&m->dirty_policies);
}
