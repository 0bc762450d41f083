/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A SAD and an SPD for a mirror before the model of the kernel's XFRM (kernel.h): what the tests of mirror and offload stand on. */
#ifndef XI_TEST_MIRROR_GROUND_H
#define XI_TEST_MIRROR_GROUND_H

#include "kernel.h"
#include "mem_store.h"
#include "source/mirror_int.h"

#define LOCAL "192.0.2.1"

/* First in a fixture, for its address is what a mirror's `open` is called with. */
struct mirror_ground {
	struct kernel k;             /* kernel_start() is the caller's, once it has its SAs */
	struct event_base *base;
	struct mem_store *store;
	struct xi_sad *sad;
	struct xi_spd *spd;
	struct xi_mirror *mirror;    /* the caller's to create */
	char notes[64];              /* a name of a file that is not there */
};

/* The listener hears of SAs; that of the SPD is its business (ground_sa_changed()). LOCAL is an address of the host. */
void ground_make(struct mirror_ground *g, const struct xi_sad_listener *listener);
/* The mirror, too, if there is one. */
void ground_unmake(struct mirror_ground *g);
void ground_mirror_stop(struct mirror_ground *g);
/* As `open` of struct xi_mirror_config. */
int ground_open(void *ground, uint32_t groups);
void ground_sa_changed(struct mirror_ground *g, const struct xi_sa_rec *old, const struct xi_sa_rec *new);
uint64_t now_ms(void);

#endif
