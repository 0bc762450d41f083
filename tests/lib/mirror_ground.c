/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "mirror_ground.h"

#include <event2/event.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>

void ground_make(struct mirror_ground *g, const struct xi_sad_listener *listener)
{
	struct xi_sad_config config = { .carries = xi_datapath_carries };
	struct xi_addr local = { 0 };

	snprintf(g->notes, sizeof(g->notes), "/tmp/xi-offload-%d", getpid());
	unlink(g->notes);
	g->store = mem_store_new(64, 4);
	g->base = event_base_new();
	assert_int_equal(xi_sad_create(&g->sad, &config, &g->store->store), 0);
	assert_int_equal(xi_spd_create(&g->spd, g->sad, &g->store->store), 0);
	xi_sad_listen(g->sad, listener);
	local.family = sample_addr(local.addr, LOCAL);
	assert_int_equal(xi_spd_set_local(g->spd, &local, 1), 0);
}

void ground_unmake(struct mirror_ground *g)
{
	if (g->mirror)
		ground_mirror_stop(g);
	kernel_stop(&g->k);
	xi_spd_destroy(g->spd);
	xi_sad_destroy(g->sad);
	event_base_free(g->base);
	mem_store_free(g->store);
	unlink(g->notes);
}

void ground_mirror_stop(struct mirror_ground *g)
{
	xi_mirror_destroy(g->mirror);
	g->mirror = NULL;
	kernel_disconnect(&g->k);
}

int ground_open(void *ground, uint32_t groups)
{
	struct mirror_ground *g = ground;

	return kernel_connect(&g->k, groups);
}

void ground_sa_changed(struct mirror_ground *g, const struct xi_sa_rec *old, const struct xi_sa_rec *new)
{
	if (old)
		xi_spd_sa_changed(g->spd, &old->sa);
	if (new)
		xi_spd_sa_changed(g->spd, &new->sa);
}

uint64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000ULL + ts.tv_nsec / 1000000;
}
