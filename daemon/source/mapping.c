/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * MAPPINGs that were told: every packet that a NAT has mapped anew shows the change, the key
 * manager hears of it once.
 */
#include "source/server_int.h"

#include <string.h>
#include <time.h>

/* Seconds after which one that nobody has acted upon is told again, unless XFRMA_MTIMER_THRESH says. */
#define AGAIN 10

static bool is_told(const struct xi_mapping *m, const uint8_t saddr[16], uint16_t sport)
{
	return m->sport == sport && !memcmp(m->saddr, saddr, sizeof(m->saddr));
}

/* The SA's own note, else a free one, else the oldest. */
static struct xi_mapping *mapping_slot(struct xi_xfrm_server *server, uint32_t handle)
{
	struct xi_mapping *oldest = &server->mappings[0];

	for (size_t i = 0; i < XI_MAPPINGS_MAX; i++) {
		struct xi_mapping *m = &server->mappings[i];

		if (m->handle == handle)
			return m;
		if (m->until < oldest->until)
			oldest = m;
	}
	return oldest;
}

void xi_xfrm_server_mapping(struct xi_xfrm_server *server, const struct xi_sa_rec *rec,
			    const uint8_t saddr[16], uint16_t sport)
{
	const struct xi_sa *sa = &rec->sa;
	struct xi_mapping *m;
	struct xi_nlmsg msg;
	struct timespec now;

	if (sa->encap != XI_ENCAP_ESPINUDP || !xi_server_listened(server, XFRMNLGRP_MAPPING))
		return;
	m = mapping_slot(server, sa->sa_index);
	if (sa->encap_sport == sport && !memcmp(sa->saddr, saddr, sizeof(sa->saddr))) {
		if (m->handle == sa->sa_index)
			m->until = 0;
		return;
	}
	clock_gettime(CLOCK_MONOTONIC, &now);
	if (m->handle == sa->sa_index && m->until > (uint64_t)now.tv_sec &&
	    is_told(m, saddr, sport))
		return;
	m->handle = sa->sa_index;
	memcpy(m->saddr, saddr, sizeof(m->saddr));
	m->sport = sport;
	m->until = (uint64_t)now.tv_sec + (sa->mtimer_thresh ? sa->mtimer_thresh : AGAIN);
	xi_xfrm_put_mapping(&msg, rec, saddr, sport);
	xi_server_multicast(server, XFRMNLGRP_MAPPING, &msg);
}
