/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What one change of a policy or an SA costs the SPD beside n policies, without store and grace
 * period: microseconds, and bytes of the heap. Usage: spd [policies ...]
 */
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "mem_store.h"
#include "null_store.h"
#include "sad/spd.h"

#define SLOTS (1U << 17)
#define ROUND 64                 /* changes that are held together */

static struct xi_sad *sad;
static struct xi_spd *spd;

static double now_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
	return ts.tv_sec * 1e6 + ts.tv_nsec / 1e3;
}

static void check(int err)
{
	if (err) {
		fprintf(stderr, "spd: %s\n", strerror(-err));
		exit(1);
	}
}

static void sa_changed(void *arg, const struct xi_sa_rec *old, const struct xi_sa_rec *new)
{
	if (old)
		xi_spd_sa_changed(spd, &old->sa);
	if (new)
		xi_spd_sa_changed(spd, &new->sa);
}

static void sas_sync(void *arg)
{
	xi_spd_sas_changed(spd);
}

static void host(uint8_t addr[16], uint8_t net, uint32_t i)
{
	const uint8_t bytes[4] = {net, i >> 16, i >> 8, i};

	memset(addr, 0, 16);
	memcpy(addr, bytes, 4);
}

static struct xi_selector selector(uint32_t i)
{
	struct xi_selector sel = {.family = XI_IPV4, .prefixlen_s = 32, .prefixlen_d = 32};

	host(sel.saddr, 10, i);
	host(sel.daddr, 11, i);
	return sel;
}

/* i-th of many tunnels; peers 1: all to one gateway, told apart by their selectors alone. */
static struct xi_policy policy(uint32_t i, uint32_t peers)
{
	struct xi_policy p = {.dir = XI_OUT, .ntmpls = 1, .sel = selector(i), .priority = 1000};
	struct xi_tmpl *t = &p.tmpls[0];

	t->id.proto = XI_ESP;
	t->mode = XI_TUNNEL;
	t->family = t->id.family = XI_IPV4;
	host(t->saddr, 192, 1);
	host(t->id.daddr, 193, i % peers);
	t->reqid = peers > 1 ? i + 1 : 0;
	return p;
}

static struct xi_sa sa_of(uint32_t i, uint32_t peers)
{
	struct xi_sa sa = sample_sa("192.0.0.1", "192.0.0.1", 0x1000 + i);

	host(sa.id.daddr, 193, i % peers);
	sa.sel = selector(i);
	sa.reqid = peers > 1 ? i + 1 : 0;
	return sa;
}

static void policies_add(uint32_t from, uint32_t to, uint32_t peers)
{
	const char *why;
	uint32_t i;

	for (i = from; i < to; i++) {
		struct xi_policy p = policy(i, peers);

		check(xi_spd_add(spd, &p, false, &why));
	}
}

static void policies_del(uint32_t from, uint32_t to, uint32_t peers)
{
	uint32_t i;

	for (i = from; i < to; i++) {
		struct xi_policy p = policy(i, peers);

		check(xi_spd_delete(spd, &p));
	}
}

static void sas_add(uint32_t from, uint32_t to, uint32_t peers)
{
	const char *why;
	uint32_t i;

	for (i = from; i < to; i++) {
		struct xi_sa sa = sa_of(i, peers);
		struct xi_sa_key key = sample_key(i);

		memcpy(key.key, &i, sizeof(i));
		check(xi_sad_add(sad, &sa, &key, NULL, &why));
	}
}

static void sas_del(uint32_t from, uint32_t to, uint32_t peers)
{
	uint32_t i;

	for (i = from; i < to; i++) {
		struct xi_sa sa = sa_of(i, peers);

		check(xi_sad_delete(sad, &sa.id));
	}
}

static double timed(void (*fn)(uint32_t from, uint32_t to, uint32_t peers), uint32_t from,
		    uint32_t to, uint32_t peers)
{
	double start = now_us();

	fn(from, to, peers);
	return (now_us() - start) / (to - from);
}

static double timed_rounds(void (*fn)(uint32_t from, uint32_t to, uint32_t peers), uint32_t from,
			   uint32_t to, uint32_t peers)
{
	double start = now_us();
	uint32_t i;

	for (i = from; i < to; i += ROUND) {
		xi_spd_hold(spd);
		fn(i, i + ROUND < to ? i + ROUND : to, peers);
		check(xi_spd_release(spd));
	}
	return (now_us() - start) / (to - from);
}

static size_t heap(void)
{
	struct mallinfo2 info = mallinfo2();

	return info.uordblks + info.hblkhd;
}

static void measure(uint32_t n, uint32_t peers)
{
	struct null_store *store = null_store_new(SLOTS);
	struct xi_sad_config config = {0};
	struct xi_sad_listener listener = { .changed = sa_changed, .sync = sas_sync, .arg = NULL };
	uint32_t few = n < 4000 ? n : 4000;
	double sa_bare;
	unsigned int gone;
	size_t before;

	check(xi_sad_create(&sad, &config, &store->store));
	xi_sad_listen(sad, &listener);
	check(xi_spd_create(&spd, sad, &store->store));
	sa_bare = timed(sas_add, 0, few, peers);
	check(xi_sad_flush(sad, XI_PROTO_ANY, &gone));
	before = heap();
	printf("%7u %6u  add %7.2f", n, peers, timed(policies_add, 0, n, peers));
	printf("  bytes %5zu", (heap() - before) / n);
	printf("  del %7.2f", timed(policies_del, 0, few, peers));
	printf("  add64 %7.2f", timed_rounds(policies_add, 0, few, peers));
	printf("  del64 %7.2f", timed_rounds(policies_del, n - few, n, peers));
	policies_add(n - few, n, peers);
	printf("  sa_bare %6.2f  sa_add %7.2f", sa_bare, timed(sas_add, 0, few, peers));
	printf("  sa_del %7.2f", timed(sas_del, 0, few, peers));
	printf("  sa_add64 %6.2f\n", timed_rounds(sas_add, 0, few, peers));
	check(xi_spd_flush(spd, &gone));
	xi_spd_destroy(spd);
	xi_sad_destroy(sad);
	null_store_free(store);
}

int main(int argc, char **argv)
{
	static const uint32_t sizes[] = {1000, 10000, 100000};
	uint32_t n;
	int i;

	printf("microseconds a change (64: in rounds of 64), bytes a policy; all peers apart, or one\n");
	for (i = 0; argc < 2 ? i < 3 : i < argc - 1; i++) {
		n = argc < 2 ? sizes[i] : strtoul(argv[i + 1], NULL, 10);
		if (n < 1 || n > SLOTS)
			continue;
		measure(n, n);
		measure(n, 1);
	}
	return 0;
}
