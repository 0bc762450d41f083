/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A SAD and an SPD over a store in memory, with policies and SAs between two gateways. Include cmocka.h first. */
#ifndef XI_TEST_SPD_BED_H
#define XI_TEST_SPD_BED_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <xipsec/guard.h>

#include "mem_store.h"
#include "sad/selector.h"
#include "sad/spd.h"

#define NSTATES 64
#define LOCAL "192.0.2.1"
#define PEER "192.0.2.2"

struct fixture {
	struct mem_store *m;
	struct xi_sad *sad;
	struct xi_spd *spd;
	unsigned int syncs;
};

static inline void sa_changed(void *arg, const struct xi_sa_rec *old, const struct xi_sa_rec *new)
{
	struct fixture *f = arg;

	if (f->spd && old)
		xi_spd_sa_changed(f->spd, &old->sa);
	if (f->spd && new)
		xi_spd_sa_changed(f->spd, &new->sa);
}

static inline void sas_sync(void *arg)
{
	struct fixture *f = arg;

	if (f->spd)
		xi_spd_sas_changed(f->spd);
}

static inline void count_sync(void *arg)
{
	struct fixture *f = arg;

	f->syncs++;
}

static inline void open_all(struct fixture *f)
{
	struct xi_sad_config config = { 0 };
	struct xi_sad_listener listener = { .changed = sa_changed, .sync = sas_sync, .arg = f };
	struct xi_addr local[2] = { 0 };

	local[0].family = sample_addr(local[0].addr, LOCAL);
	local[1].family = sample_addr(local[1].addr, "2001:db8::1");
	assert_int_equal(xi_sad_create(&f->sad, &config, &f->m->store), 0);
	xi_sad_listen(f->sad, &listener);
	assert_int_equal(xi_spd_create(&f->spd, f->sad, &f->m->store), 0);
	xi_spd_on_sync(f->spd, count_sync, f);
	assert_int_equal(xi_spd_set_local(f->spd, local, 2), 0);
}

static inline void close_all(struct fixture *f)
{
	xi_spd_destroy(f->spd);
	f->spd = NULL;
	xi_sad_destroy(f->sad);
}

static inline int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	f->m = mem_store_new(NSTATES, 0);
	open_all(f);
	*state = f;
	return 0;
}

static inline int teardown(void **state)
{
	struct fixture *f = *state;

	close_all(f);
	mem_store_free(f->m);
	free(f);
	return 0;
}

static inline void prefix(uint8_t out[16], uint8_t *plen, enum xi_family *family, const char *text)
{
	char addr[64];
	unsigned int len;

	assert_int_equal(sscanf(text, "%63[^/]/%u", addr, &len), 2);
	*family = sample_addr(out, addr);
	*plen = len;
}

/* A policy that lets everything through between two prefixes. */
static inline struct xi_policy policy(enum xi_dir dir, const char *src, const char *dst,
				      uint32_t priority)
{
	struct xi_policy p = { .dir = dir, .priority = priority };

	prefix(p.sel.saddr, &p.sel.prefixlen_s, &p.sel.family, src);
	prefix(p.sel.daddr, &p.sel.prefixlen_d, &p.sel.family, dst);
	return p;
}

/* The same with a tunnel between two gateways. */
static inline struct xi_policy tunnel(enum xi_dir dir, const char *src, const char *dst,
				      uint32_t reqid)
{
	struct xi_policy p = policy(dir, src, dst, 100);
	struct xi_tmpl *t = &p.tmpls[0];

	p.ntmpls = 1;
	t->id.proto = XI_ESP;
	t->mode = XI_TUNNEL;
	t->reqid = reqid;
	t->family = sample_addr(t->saddr, dir == XI_OUT ? LOCAL : PEER);
	t->id.family = sample_addr(t->id.daddr, dir == XI_OUT ? PEER : LOCAL);
	return p;
}

static inline int add(struct fixture *f, const struct xi_policy *p)
{
	const char *why = NULL;
	int err = xi_spd_add(f->spd, p, false, &why);

	assert_true(!err || (why && *why));
	return err;
}

static inline int replace(struct fixture *f, const struct xi_policy *p)
{
	const char *why = NULL;

	return xi_spd_add(f->spd, p, true, &why);
}

static inline uint32_t add_sa(struct fixture *f, const struct xi_sa *sa)
{
	struct xi_sa_key key = sample_key(sa->id.spi);
	const char *why = "";

	assert_int_equal(xi_sad_add(f->sad, sa, &key, NULL, &why), 0);
	return xi_sad_find(f->sad, &sa->id)->sa.sa_index;
}

static inline struct xi_sa out_sa(uint32_t spi, uint32_t reqid)
{
	struct xi_sa sa = sample_sa(LOCAL, PEER, spi);

	sa.reqid = reqid;
	return sa;
}

static inline struct xi_flow flow(const char *src, const char *dst, uint8_t proto, uint16_t sport,
				  uint16_t dport)
{
	struct xi_flow fl = { .proto = proto, .sport = sport, .dport = dport };

	fl.family = sample_addr(fl.saddr, src);
	sample_addr(fl.daddr, dst);
	return fl;
}

static inline enum xi_verdict judge(struct fixture *f, const struct xi_flow *fl, uint32_t *handle)
{
	struct xi_flow_verdict v;
	enum xi_verdict verdict = xi_spd_judge_out(xi_spd_snapshot(f->spd), f->sad, fl, &v, NULL);

	assert_int_equal(verdict, v.verdict);
	assert_int_equal(v.next_handle, 0);
	if (handle)
		*handle = v.handle;
	return verdict;
}

static inline uint32_t generation(const struct fixture *f)
{
	assert_int_equal(xi_spd_snapshot(f->spd)->generation, f->m->config.spd_generation);
	return f->m->config.spd_generation;
}

static inline void random_prefix(uint8_t addr[16], uint8_t *plen, unsigned int max)
{
	static const uint8_t plens[] = { 0, 8, 12, 16, 20, 24, 28, 32 };

	memset(addr, 0, 16);
	addr[0] = 10;
	addr[1] = rand() % 4;
	addr[2] = rand() % 4 * 64;
	addr[3] = rand() % 8 * 32;
	*plen = plens[rand() % 8] * max / 32;
}

/* A prefix in a guard's key (abi.h): an IPv4 one as it is. */
static inline uint32_t guard_prefix(const uint8_t addr[16], uint8_t plen, uint32_t family)
{
	uint8_t prefix[16];
	uint32_t word;

	xi_prefix_mask(prefix, addr, plen);
	if (family == XI_IPV6)
		return xi_guard_fold(prefix, 128, family);
	memcpy(&word, prefix, 4);
	return word;
}

static inline bool guard_hits(const struct mem_store *m, const struct xi_flow *fl, uint8_t dir)
{
	unsigned int i;

	if (m->config.guard_flags[dir] & XI_GUARD_ALL)
		return true;
	for (i = 0; i < XI_MAX_MASKS && m->masks[i].used; i++) {
		struct xi_guard_key key = {
			.prefixlen_s = m->masks[i].prefixlen_s,
			.prefixlen_d = m->masks[i].prefixlen_d,
			.dir = dir,
			.family = fl->family,
		};

		key.saddr = guard_prefix(fl->saddr, key.prefixlen_s, fl->family);
		key.daddr = guard_prefix(fl->daddr, key.prefixlen_d, fl->family);
		if (m->masks[i].dir != dir || m->masks[i].family != fl->family)
			continue;
		if (mem_store_guard(m, &key))
			return true;
	}
	return false;
}

static inline struct xi_sa transport_sa(const char *src, const char *dst, uint32_t spi,
					uint32_t reqid)
{
	struct xi_sa sa = sample_sa(src, dst, spi);

	sa.mode = XI_TRANSPORT;
	sa.reqid = reqid;
	return sa;
}

/* Host to host: what goes between two addresses, in transport mode; the template names none. */
static inline struct xi_policy transport(enum xi_dir dir, const char *src, const char *dst,
					 uint32_t reqid)
{
	struct xi_policy p = policy(dir, src, dst, 100);
	struct xi_tmpl *t = &p.tmpls[0];

	p.ntmpls = 1;
	t->id.proto = XI_ESP;
	t->mode = XI_TRANSPORT;
	t->reqid = reqid;
	t->family = t->id.family = p.sel.family;
	return p;
}

/* p with a second template, applied around the first. */
static inline struct xi_policy around(struct xi_policy p, enum xi_proto proto, enum xi_mode mode,
				      uint32_t reqid)
{
	struct xi_tmpl *t = &p.tmpls[p.ntmpls++];
	bool out = p.dir == XI_OUT;

	memset(t, 0, sizeof(*t));
	t->id.proto = proto;
	t->mode = mode;
	t->reqid = reqid;
	t->family = t->id.family = XI_IPV4;
	if (mode == XI_TUNNEL) {
		sample_addr(t->saddr, out ? LOCAL : PEER);
		sample_addr(t->id.daddr, out ? PEER : LOCAL);
	}
	return p;
}

static inline enum xi_verdict judge_both(struct fixture *f, const struct xi_flow *fl,
					 uint32_t *handle, uint32_t *next_handle,
					 struct xi_verdict_why *why)
{
	struct xi_flow_verdict v;
	enum xi_verdict verdict =
		xi_spd_judge_out_why(xi_spd_snapshot(f->spd), f->sad, fl, &v, NULL, why);

	*handle = v.handle;
	*next_handle = v.next_handle;
	return verdict;
}

#endif
