/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The kernel's own XFRM as a source of SAs and policies: an IKE daemon talks to the kernel, which has ESP, and what
 * xipsec can carry it takes over. Runs on the control thread.
 *
 * News name what may have changed, and no more: what is true is asked of the kernel then (GETSA, GETPOLICY). So news
 * that are late, repeated, or lost and made up for by a dump, all come to the same.
 *
 * An outbound SA belongs to xipsec while it is in the SAD, else to the kernel. It is taken once a policy that asks for
 * its like is in force here. The numbers that xipsec may use are reserved in the kernel's counter first: should the
 * kernel send again, whatever became of xipsec, it goes on behind them.
 */
#ifndef XI_MIRROR_H
#define XI_MIRROR_H

#include <stdbool.h>
#include <stdint.h>

#include "sad/sad.h"
#include "sad/spd.h"
#include "source/offload.h"

struct event_base;
struct xi_mirror;

struct xi_mirror_config {
	struct event_base *base;
	struct xi_sad *sad;
	struct xi_spd *spd;
	/*
	 * A socket with the kernel's XFRM at its other end, member of these groups (bit n - 1: group n); the fd, or
	 * -errno. NULL: NETLINK_XFRM.
	 */
	int (*open)(void *arg, uint32_t groups);
	/*
	 * up: every outbound policy of the kernel is in force here, so its stack need not look at packets of the host
	 * itself. NULL: nothing is to be done.
	 */
	void (*fence)(void *arg, bool up);
	void *arg;
	struct xi_offload_config offload;
};

/* Now, and since xi_mirror_create(). */
struct xi_mirror_figures {
	uint32_t sas, sas_idle, sas_kept;   /* taken over; could be, but no policy asks; left to the kernel */
	uint32_t policies, policies_kept;
	uint64_t resyncs, lost, taken, given, strays, written;
	bool synced;                        /* nothing that is known of waits to be looked at */
	unsigned int noffload;
	struct xi_offload_figures offload[XI_OFFLOAD_DEVICES];
};

/* 0 or -errno, logged. A listener of the SAD, to be made after the cache. Nothing may be adopted any more. */
int xi_mirror_create(struct xi_mirror **out, const struct xi_mirror_config *config);
/*
 * Writes usage and windows back. SAs and policies stay, for a later daemon. Workers have stopped; the SAD is still
 * there, and is not changed afterwards.
 */
void xi_mirror_destroy(struct xi_mirror *mirror);
/* Gives everything back, while workers run: no packet is lost by it. Only xi_mirror_destroy() may follow. */
void xi_mirror_leave(struct xi_mirror *mirror);
/* Without a mirror: removes what an earlier daemon's took over, so that it is the kernel's again. How many. */
unsigned int xi_mirror_forget(struct xi_sad *sad, struct xi_spd *spd);

/* A flow of a policy of the kernel's has no SA: the kernel tells its key managers, once in a while for each. */
/* 0: it was; -EALREADY: it was asked of late, or the SA may be on its way; or -errno. */
int xi_mirror_acquire(struct xi_mirror *mirror, const struct xi_flow *flow, const struct xi_policy *policy);
void xi_mirror_figures(const struct xi_mirror *mirror, struct xi_mirror_figures *figures);

#endif
