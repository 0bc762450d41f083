/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * NEWAE to those who keep a stand-by in step: the numbers of an SA moved by its threshold, or moved
 * at all and its time is over (the kernel's xfrm_replay_notify(), documented in
 * Documentation/networking/xfrm_sync.rst). Workers count in shared memory and tell nobody, so a
 * timer compares: an SA has one event a look at most, however many packets came.
 *
 * As long as nobody listens there is no timer and no memory. Each tick looks at XI_AE_LOOKS slots,
 * and sends XI_AE_NEWS events at most; of very many SAs each has its turn later.
 */
#include "source/server_int.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define TICK_MS 100              /* the unit of XFRMA_ETIMER_THRESH */
#define TICKS_DEFAULTS 10        /* after so many ticks net.core is read again */

/* What was told last of the SA of a slot. */
struct told {
	uint32_t sa_index;           /* 0: nothing */
	uint32_t ticks;              /* when */
	uint64_t oseq, top;
};

struct xi_aevents {
	struct xi_xfrm_server *server;
	struct event *timer;
	struct told *told;           /* by slot; NULL: nobody ever listened */
	uint32_t at;
	uint32_t ticks;
	struct xi_ae_defaults defaults;
};

static uint32_t sysctl_read(const char *path, uint32_t otherwise)
{
	FILE *f = fopen(path, "re");
	unsigned int value = otherwise;

	if (!f)
		return otherwise;
	if (fscanf(f, "%u", &value) != 1)
		value = otherwise;
	fclose(f);
	return value;
}

struct xi_ae_defaults xi_aevents_defaults(void)
{
	return (struct xi_ae_defaults){
		.replay = sysctl_read("/proc/sys/net/core/xfrm_aevent_rseqth", 2),
		.etimer = sysctl_read("/proc/sys/net/core/xfrm_aevent_etime", 10),
	};
}

static uint64_t load(const __u64 *p)
{
	return __atomic_load_n(p, __ATOMIC_RELAXED);
}

static void note(struct told *told, const struct xi_sa_rec *rec, uint32_t ticks)
{
	*told = (struct told){
		.sa_index = rec->sa.sa_index,
		.ticks = ticks,
		.oseq = load(&rec->state->oseq),
		.top = load(&rec->state->top),
	};
}

/* XFRM_AE_CR: by as much as the threshold. XFRM_AE_CE: by less, and the time is over. 0: neither. */
static uint32_t due(const struct xi_aevents *ae, const struct told *told,
		    const struct xi_sa_rec *rec)
{
	const struct xi_sa *sa = &rec->sa;
	uint32_t seqs = sa->replay_thresh ? sa->replay_thresh - 1 : ae->defaults.replay;
	uint32_t ticks = sa->etimer_thresh ? sa->etimer_thresh - 1 : ae->defaults.etimer;
	uint64_t oseq = load(&rec->state->oseq) - told->oseq;
	uint64_t top = load(&rec->state->top) - told->top;

	if (!oseq && !top)
		return 0;
	if (seqs && (oseq >= seqs || top >= seqs))
		return XFRM_AE_CR;
	return ticks && ae->ticks - told->ticks >= ticks ? XFRM_AE_CE : 0;
}

/* True: an event was sent. */
static bool look(struct xi_aevents *ae, uint32_t slot)
{
	const struct xi_sa_rec *rec = xi_sad_at(ae->server->sad, slot);
	struct told *told = &ae->told[slot];
	struct xi_nlmsg msg;
	uint32_t why;

	if (!rec || rec->sa.life & XI_SA_LARVAL)
		return false;
	if (told->sa_index != rec->sa.sa_index) {
		note(told, rec, ae->ticks);
		return false;
	}
	why = due(ae, told, rec);
	if (!why)
		return false;
	note(told, rec, ae->ticks);
	xi_xfrm_put_ae(&msg, &(struct xi_nl_to){0}, rec, why, &ae->defaults);
	xi_server_multicast(ae->server, XFRMNLGRP_AEVENTS, &msg);
	return true;
}

static void timer_arm(struct xi_aevents *ae)
{
	const struct timeval tick = {.tv_usec = TICK_MS * 1000};

	event_add(ae->timer, &tick);
}

void xi_aevents_tick(struct xi_aevents *ae)
{
	uint32_t slots = xi_sad_capacity(ae->server->sad), looks, news = 0;

	if (ae->ticks++ % TICKS_DEFAULTS == 0)
		ae->defaults = xi_aevents_defaults();
	looks = slots < XI_AE_LOOKS ? slots : XI_AE_LOOKS;
	for (; looks && news < XI_AE_NEWS; looks--) {
		if (ae->at >= slots)
			ae->at = 0;
		news += look(ae, ae->at++);
	}
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct xi_aevents *ae = arg;

	if (!xi_server_listened(ae->server, XFRMNLGRP_AEVENTS))
		return;
	xi_aevents_tick(ae);
	timer_arm(ae);
}

int xi_aevents_create(struct xi_aevents **out, struct xi_xfrm_server *server)
{
	struct xi_aevents *ae = calloc(1, sizeof(*ae));

	*out = ae;
	if (!ae)
		return -ENOMEM;
	ae->server = server;
	ae->timer = event_new(server->base, -1, 0, on_timer, ae);
	return ae->timer ? 0 : -ENOMEM;
}

void xi_aevents_destroy(struct xi_aevents *ae)
{
	if (!ae)
		return;
	if (ae->timer)
		event_free(ae->timer);
	free(ae->told);
	free(ae);
}

void xi_aevents_joined(struct xi_aevents *ae)
{
	if (!xi_server_listened(ae->server, XFRMNLGRP_AEVENTS) ||
	    event_pending(ae->timer, EV_TIMEOUT, NULL))
		return;
	if (!ae->told)
		ae->told = calloc(xi_sad_capacity(ae->server->sad), sizeof(*ae->told));
	if (ae->told)
		timer_arm(ae);
}

void xi_aevents_start(struct xi_aevents *ae, const struct xi_sa_rec *rec)
{
	if (ae->told && rec && !(rec->sa.life & XI_SA_LARVAL))
		note(&ae->told[XI_SA_SLOT(rec->sa.sa_index)], rec, ae->ticks);
}
