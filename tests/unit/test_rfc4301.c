// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* RFC 4301, where no other test has it: what doc/conformance.md lists. */
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <linux/xfrm.h>
#include <cmocka.h>

#include "esp_sa.h"
#include "mem_store.h"
#include "sad/selector.h"
#include "sad/spd.h"

#define LOCAL "192.0.2.1"
#define PEER "192.0.2.2"
#define NEAR "10.0.0.1"
#define FAR "10.1.0.1"

struct fixture {
	struct mem_store *m;
	struct xi_sad *sad;
	struct xi_spd *spd;
	unsigned int soft, hard;
};

static void sa_changed(void *arg, const struct xi_sa_rec *old, const struct xi_sa_rec *new)
{
	struct fixture *f = arg;

	if (f->spd && old)
		xi_spd_sa_changed(f->spd, &old->sa);
	if (f->spd && new)
		xi_spd_sa_changed(f->spd, &new->sa);
}

static void sas_sync(void *arg)
{
	struct fixture *f = arg;

	if (f->spd)
		xi_spd_sas_changed(f->spd);
}

static void on_expire(void *arg, const struct xi_sa_rec *rec, bool hard)
{
	struct fixture *f = arg;

	if (hard)
		f->hard++;
	else
		f->soft++;
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	struct xi_sad_listener listener = { .changed = sa_changed, .sync = sas_sync, .arg = f };
	struct xi_sad_events events = {on_expire, f};
	struct xi_sad_config config = {0};
	struct xi_addr local = {0};

	f->m = mem_store_new(64, 0);
	local.family = sample_addr(local.addr, LOCAL);
	assert_int_equal(xi_sad_create(&f->sad, &config, &f->m->store), 0);
	xi_sad_listen(f->sad, &listener);
	xi_sad_on_event(f->sad, &events);
	assert_int_equal(xi_spd_create(&f->spd, f->sad, &f->m->store), 0);
	assert_int_equal(xi_spd_set_local(f->spd, &local, 1), 0);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	xi_spd_destroy(f->spd);
	f->spd = NULL;
	xi_sad_destroy(f->sad);
	mem_store_free(f->m);
	free(f);
	return 0;
}

static void prefix(uint8_t out[16], uint8_t *plen, enum xi_family *family, const char *text)
{
	char addr[64];
	unsigned int len;

	assert_int_equal(sscanf(text, "%63[^/]/%u", addr, &len), 2);
	*family = sample_addr(out, addr);
	*plen = (uint8_t)len;
}

static struct xi_policy policy(enum xi_dir dir, const char *src, const char *dst, uint32_t priority)
{
	struct xi_policy p = {.dir = dir, .priority = priority};

	prefix(p.sel.saddr, &p.sel.prefixlen_s, &p.sel.family, src);
	prefix(p.sel.daddr, &p.sel.prefixlen_d, &p.sel.family, dst);
	return p;
}

/* To protect by SAs of this reqid. */
static struct xi_policy tunnel(enum xi_dir dir, const char *src, const char *dst, uint32_t priority,
			       uint32_t reqid)
{
	struct xi_policy p = policy(dir, src, dst, priority);
	struct xi_tmpl *t = &p.tmpls[0];

	p.ntmpls = 1;
	t->id.proto = XI_ESP;
	t->mode = XI_TUNNEL;
	t->reqid = reqid;
	t->family = sample_addr(t->saddr, dir == XI_OUT ? LOCAL : PEER);
	t->id.family = sample_addr(t->id.daddr, dir == XI_OUT ? PEER : LOCAL);
	return p;
}

static void ports(struct xi_selector *sel, uint8_t proto, uint16_t sport, uint16_t sport_mask,
		  uint16_t dport, uint16_t dport_mask)
{
	sel->proto = proto;
	sel->sport = sport;
	sel->sport_mask = sport_mask;
	sel->dport = dport;
	sel->dport_mask = dport_mask;
}

static void add(struct fixture *f, const struct xi_policy *p)
{
	const char *why = NULL;

	assert_int_equal(xi_spd_add(f->spd, p, false, &why), 0);
}

static uint32_t add_sa(struct fixture *f, const struct xi_sa *sa)
{
	/* a sender's keys must differ */
	struct xi_sa_key key = sample_key(sa->id.spi << 16 | sa->id.proto << 8 | sa->id.daddr[3]);
	const char *why = "";

	assert_int_equal(xi_sad_add(f->sad, sa, &key, NULL, &why), 0);
	return xi_sad_find(f->sad, &sa->id)->sa.sa_index;
}

static struct xi_sa sa_of(bool out, uint32_t spi, uint32_t reqid)
{
	struct xi_sa sa = sample_sa(out ? LOCAL : PEER, out ? PEER : LOCAL, spi);

	sa.reqid = reqid;
	return sa;
}

static struct xi_flow flow(enum xi_dir dir, const char *src, const char *dst, uint8_t proto,
			   uint16_t sport, uint16_t dport)
{
	struct xi_flow fl = {.proto = proto, .sport = sport, .dport = dport, .dir = dir};

	fl.family = sample_addr(fl.saddr, src);
	sample_addr(fl.daddr, dst);
	return fl;
}

static enum xi_verdict judge(struct fixture *f, const struct xi_flow *fl, uint32_t *handle)
{
	struct xi_flow_verdict v;

	xi_spd_judge_out(xi_spd_snapshot(f->spd), f->sad, fl, &v, NULL);
	if (handle)
		*handle = v.handle;
	return v.verdict;
}

static bool clear_allowed(struct fixture *f, const struct xi_flow *fl)
{
	return xi_spd_allows_clear(xi_spd_snapshot(f->spd), fl);
}

static bool allowed(struct fixture *f, const struct xi_flow *fl, const struct xi_sa *sa)
{
	const struct xi_sa_path path = {.n = 1, .sas = {sa}};

	return xi_spd_allows_protected(xi_spd_snapshot(f->spd), fl, &path);
}

/* ---- section 4.4.1.1: selectors ---- */

/* Section 5: what no policy speaks of, where the default is to discard; in each direction. */
static void what_no_policy_names_is_discarded_by_default_block(void **state)
{
	struct fixture *f = *state;
	struct xi_flow out = flow(XI_OUT, NEAR, FAR, 6, 1, 2),
		       to_us = flow(XI_IN, FAR, LOCAL, 6, 1, 2),
		       through = flow(XI_IN, FAR, NEAR, 6, 1, 2);
	struct xi_policy p = policy(XI_OUT, "10.0.0.0/16", "10.1.0.0/16", 1);

	assert_int_equal(xi_spd_set_default(f->spd, XI_OUT, XI_BLOCK), 0);
	assert_int_equal(xi_spd_set_default(f->spd, XI_IN, XI_BLOCK), 0);
	assert_int_equal(xi_spd_set_default(f->spd, XI_FWD, XI_BLOCK), 0);
	assert_int_equal(judge(f, &out, NULL), XI_VERDICT_DISCARD);
	assert_false(clear_allowed(f, &to_us));
	assert_false(clear_allowed(f, &through));
	add(f, &p);
	assert_int_equal(judge(f, &out, NULL), XI_VERDICT_BYPASS);
	/* a bypass is of its own direction alone (section 5.1) */
	assert_false(clear_allowed(f, &through));
	p = policy(XI_FWD, "10.1.0.0/16", "10.0.0.0/16", 1);
	add(f, &p);
	assert_true(clear_allowed(f, &through));
}

/* A range has no word in XFRM: it is the fewest prefixes of a port that make it up. */
static void a_range_of_ports_is_several_policies(void **state)
{
	/* 1000 to 1999 */
	static const struct {
		uint16_t port, mask;
	} parts[] = {{1000, 0xfff8}, {1008, 0xfff0}, {1024, 0xfe00}, {1536, 0xff00},
		     {1792, 0xff80}, {1920, 0xffc0}, {1984, 0xfff0}};
	struct fixture *f = *state;

	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
		struct xi_policy p = policy(XI_OUT, "10.0.0.0/16", "10.1.0.0/16", 5);

		p.action = XI_BLOCK;
		ports(&p.sel, 17, 0, 0, parts[i].port, parts[i].mask);
		add(f, &p);
	}
	for (uint32_t port = 0; port < 0x10000; port++) {
		struct xi_flow fl = flow(XI_OUT, NEAR, FAR, 17, 4242, (uint16_t)port);
		bool inside = port >= 1000 && port < 2000;

		assert_int_equal(judge(f, &fl, NULL),
				 inside ? XI_VERDICT_DISCARD : XI_VERDICT_BYPASS);
	}
}

/* The type of a mobility header (RFC 6275) stands where a port would. */
static void the_mobility_header_type_is_a_selector(void **state)
{
	struct xi_selector sel = {.family = XI_IPV6};
	uint8_t ip[56] = {0x60};
	struct xi_flow fl = {0};

	ip[5] = 16;
	ip[6] = 135;
	ip[42] = 5; /* binding update */
	ports(&sel, 135, 5, 0xffff, 0, 0);
	assert_int_equal(xi_flow_parse(&fl, ip, sizeof(ip)), 0);
	assert_true(xi_selector_matches(&sel, &fl));
	ip[42] = 6;
	assert_int_equal(xi_flow_parse(&fl, ip, sizeof(ip)), 0);
	assert_false(xi_selector_matches(&sel, &fl));
}

/* ---- section 6.1.1: ICMP of nobody that an SA vouches for ---- */

static void unprotected_icmp_is_taken_or_refused_by_type_and_code(void **state)
{
	struct fixture *f = *state;
	struct xi_policy p = policy(XI_IN, "0.0.0.0/0", "192.0.2.0/24", 1);
	struct xi_flow unreachable = flow(XI_IN, "198.51.100.9", LOCAL, 1, 3, 4),
		       redirect = unreachable, echo = unreachable, host = unreachable;

	redirect.sport = 5;
	redirect.dport = 1;
	echo.sport = 8;
	echo.dport = 0;
	host.dport = 1;
	p.action = XI_BLOCK;
	ports(&p.sel, 1, 5, 0xffff, 0, 0); /* all redirects */
	add(f, &p);
	ports(&p.sel, 1, 3, 0xffff, 1, 0xffff); /* and host unreachable */
	add(f, &p);
	assert_false(clear_allowed(f, &redirect));
	assert_false(clear_allowed(f, &host));
	assert_true(clear_allowed(f, &unreachable));
	assert_true(clear_allowed(f, &echo));
	/* the other way round: none but fragmentation needed */
	ports(&p.sel, 1, 0, 0, 0, 0);
	p.priority = 9;
	add(f, &p);
	p.priority = 2;
	p.action = XI_ALLOW;
	ports(&p.sel, 1, 3, 0xffff, 4, 0xffff);
	add(f, &p);
	assert_true(clear_allowed(f, &unreachable));
	assert_false(clear_allowed(f, &echo));
}

/* ---- section 7: fragments ---- */

/* Section 7.1: a tunnel that does not look at ports takes all; one that does takes no later
 * fragment. */
static void later_fragments_go_by_the_sa_without_ports(void **state)
{
	struct fixture *f = *state;
	struct xi_policy web = tunnel(XI_OUT, "10.0.0.0/16", "10.1.0.0/16", 1, 1),
			 rest = tunnel(XI_OUT, "10.0.0.0/16", "10.1.0.0/16", 2, 2);
	struct xi_flow first = flow(XI_OUT, NEAR, FAR, 6, 4242, 443),
		       later = flow(XI_OUT, NEAR, FAR, 6, 0, 0);
	struct xi_sa web_sa = sa_of(true, 0x1001, 1), rest_sa = sa_of(true, 0x1002, 2);
	uint32_t web_index, rest_index, handle;

	later.fragment = 1;
	ports(&web.sel, 6, 0, 0, 443, 0xffff);
	add(f, &web);
	web_index = add_sa(f, &web_sa);
	assert_int_equal(judge(f, &first, &handle), XI_VERDICT_PROTECT);
	assert_int_equal(handle, web_index);
	assert_int_equal(judge(f, &later, NULL),
			 XI_VERDICT_DISCARD); /* section 7.3: not by this SA, nor in clear */
	add(f, &rest);
	rest_index = add_sa(f, &rest_sa);
	assert_int_equal(judge(f, &first, &handle), XI_VERDICT_PROTECT);
	assert_int_equal(handle, web_index);
	assert_int_equal(judge(f, &later, &handle), XI_VERDICT_PROTECT);
	assert_int_equal(handle, rest_index);
}

/* Section 7.3: what arrives by an SA whose selector has ports, or an ICMP type, and shows none. */
static void later_fragments_are_refused_on_an_sa_with_ports(void **state)
{
	struct fixture *f = *state;
	struct xi_policy in = tunnel(XI_FWD, "10.1.0.0/16", "10.0.0.0/16", 1, 1);
	struct xi_flow whole = flow(XI_IN, FAR, NEAR, 6, 443, 4242),
		       later = flow(XI_IN, FAR, NEAR, 6, 0, 0);
	struct xi_sa sa = sa_of(false, 0x1001, 1);

	later.fragment = 1;
	add(f, &in);
	assert_true(allowed(f, &whole, &sa));
	assert_true(allowed(f, &later, &sa));
	sa.sel = in.sel;
	assert_true(allowed(f, &later, &sa));
	ports(&sa.sel, 6, 443, 0xffff, 0, 0);
	assert_true(allowed(f, &whole, &sa));
	assert_false(allowed(f, &later, &sa));
	whole.sport = 444;
	assert_false(allowed(f, &whole, &sa));
	/* no port is not port 0, nor is no type an echo reply */
	ports(&sa.sel, 6, 0, 0xfc00, 0, 0);
	whole.sport = 80;
	assert_true(allowed(f, &whole, &sa));
	assert_false(allowed(f, &later, &sa));
	ports(&sa.sel, 1, 0, 0xffff, 0, 0xffff);
	later.proto = 1;
	assert_false(allowed(f, &later, &sa));
	ports(&sa.sel, 1, 8, 0xffff, 0, 0);
	whole = flow(XI_IN, FAR, NEAR, 1, 8, 0);
	later.proto = 1;
	assert_true(allowed(f, &whole, &sa));
	assert_false(allowed(f, &later, &sa));
}

/* Section 7.4: fragments are discarded by policy like any packet, and not let by where ports say
 * so. */
static void fragments_meet_discard_and_bypass(void **state)
{
	struct fixture *f = *state;
	struct xi_policy drop = policy(XI_OUT, "10.0.0.0/16", "10.1.0.0/16", 5),
			 dns = policy(XI_OUT, "10.0.0.0/16", "10.1.0.0/16", 1);
	struct xi_flow first = flow(XI_OUT, NEAR, FAR, 17, 4242, 53),
		       later = flow(XI_OUT, NEAR, FAR, 17, 0, 0);

	later.fragment = 1;
	drop.action = XI_BLOCK;
	add(f, &drop);
	assert_int_equal(judge(f, &first, NULL), XI_VERDICT_DISCARD);
	assert_int_equal(judge(f, &later, NULL), XI_VERDICT_DISCARD);
	ports(&dns.sel, 17, 0, 0, 53, 0xffff);
	add(f, &dns);
	assert_int_equal(judge(f, &first, NULL), XI_VERDICT_BYPASS);
	assert_int_equal(judge(f, &later, NULL), XI_VERDICT_DISCARD);
}

/* ---- section 4: SAs ---- */

/* Section 4.1: several SAs of the same selectors and ends; whichever a packet comes by. */
static void sas_of_the_same_selector_are_received_alike(void **state)
{
	struct fixture *f = *state;
	struct xi_policy in = tunnel(XI_FWD, "10.1.0.0/16", "10.0.0.0/16", 1, 1);
	struct xi_flow fl = flow(XI_IN, FAR, NEAR, 6, 443, 4242);

	add(f, &in);
	for (uint32_t spi = 0x1001; spi < 0x1005; spi++) {
		struct xi_sa sa = sa_of(false, spi, 1);

		sa.sel = in.sel;
		add_sa(f, &sa);
		assert_true(allowed(f, &fl, &xi_sad_find(f->sad, &sa.id)->sa));
	}
	assert_int_equal(xi_sad_count(f->sad), 4);
}

/* Section 4.1: the same SPI names another SA for another destination, and for AH. */
static void an_sa_is_known_by_spi_protocol_and_destination(void **state)
{
	struct fixture *f = *state;
	struct xi_sa sa = sample_sa(PEER, LOCAL, 0x1001),
		     other = sample_sa(PEER, "192.0.2.9", 0x1001), ah = sa;
	uint32_t a, b, c;

	ah.id.proto = XI_AH;
	a = add_sa(f, &sa);
	b = add_sa(f, &other);
	c = add_sa(f, &ah);
	assert_true(a != b && b != c && a != c);
	assert_int_equal(xi_sad_lookup(f->sad, &sa.id), a);
	assert_int_equal(xi_sad_lookup(f->sad, &other.id), b);
	assert_int_equal(xi_sad_lookup(f->sad, &ah.id), c);
	sa.id.spi++;
	assert_int_equal(xi_sad_lookup(f->sad, &sa.id), 0);
}

/* Section 4.4.2.1: bytes and time at once; what comes first ends the SA, soft before hard. */
static void time_and_volume_hold_at_once(void **state)
{
	struct fixture *f = *state;
	struct xi_sa by_bytes = sa_of(true, 0x1001, 1), by_time = sa_of(true, 0x1002, 2);
	const struct xi_sa_rec *rec;
	uint64_t now;

	by_bytes.limits.soft_add = by_time.limits.soft_add = 80;
	by_bytes.limits.hard_add = by_time.limits.hard_add = 100;
	by_bytes.limits.soft_bytes = by_time.limits.soft_bytes = 800;
	by_bytes.limits.hard_bytes = by_time.limits.hard_bytes = 1000;
	add_sa(f, &by_bytes);
	add_sa(f, &by_time);
	rec = xi_sad_find(f->sad, &by_bytes.id);
	now = rec->sa.add_time;
	rec->state->use_time = now;
	rec->state->bytes = 800;
	xi_sad_tick(f->sad, now + 1);
	assert_int_equal(f->soft, 1);
	xi_sad_find(f->sad, &by_bytes.id)->state->bytes = 1000;
	xi_sad_tick(f->sad, now + 2);
	assert_int_equal(f->hard, 1);
	assert_null(xi_sad_find(f->sad, &by_bytes.id));
	xi_sad_tick(f->sad, now + 85);
	assert_int_equal(f->soft, 2);
	xi_sad_tick(f->sad, now + 101);
	assert_int_equal(f->hard, 2);
	assert_null(xi_sad_find(f->sad, &by_time.id));
}

/* Neither out nor in, whatever came while it was valid. */
static void an_expired_sa_carries_nothing(void **state)
{
	static struct test_sa t;
	static struct test_pkt p;
	enum xi_reason why = XI_NONE;
	uint64_t first;
	uint8_t ip[60];

	test_sa_default(&t, XI_IPV4);
	t.sa.limits.hard_packets = 1000;
	test_sa_start(&t, NULL);
	test_inner4(ip, sizeof(ip), 0);
	test_pkt_set(&p, ip, sizeof(ip));
	assert_int_equal(test_seal(&t, 1, &p.pkt), XI_NONE);
	assert_int_equal(xi_seq_take(&t.ctx, 1, &first, &why), 1);
	t.state.expired = 1;
	assert_int_equal(xi_seq_take(&t.ctx, 1, &first, &why), 0);
	assert_int_equal(why, XI_DROP_SA_EXPIRED);
	assert_int_equal(test_open(&t, &p.pkt, NULL), XI_DROP_SA_EXPIRED);
	test_sa_stop(&t);
}

/* ---- sections 4.1, 5.1.2, 8.1: headers ---- */

/* DSCP is no part of what is checked: any value of it arrives, by either family. */
static void dscp_is_not_checked(void **state)
{
	static struct test_sa t;
	static struct test_pkt p;
	uint8_t plain[64] = {0};

	for (int v6 = 0; v6 < 2; v6++) {
		test_sa_default(&t, v6 ? XI_IPV6 : XI_IPV4);
		test_sa_start(&t, NULL);
		for (unsigned int dscp = 0; dscp < 64; dscp++) {
			test_inner4(plain, 62, 0x68);
			plain[63] = 4;
			test_seal_raw(&t, dscp + 1, (uint8_t)(dscp << 2), plain, 64, &p);
			assert_int_equal(test_open(&t, &p.pkt, NULL), XI_NONE);
			assert_int_equal(p.pkt.data[1], 0x68); /* and stays what it was inside */
		}
		test_sa_stop(&t);
	}
}

/*
 * Section 5.1.2: nothing of the inner header but DSCP, ECN and DF shows outside, and nothing of it
 * changes: not its TTL either, which is forwarding's.
 */
static void the_outer_header_is_made_anew(void **state)
{
	static const uint8_t bare4[20] = {0x45, 0, 0,	0, 0, 0, 0,   0, 64, 50,
					  0,	0, 192, 0, 2, 1, 192, 0, 2,  2};
	static struct test_sa t;
	static struct test_pkt p;
	uint8_t ip[100], outer[40];

	for (unsigned int ttl = 0; ttl < 256; ttl += 5) {
		/* IPv4 with options in IPv4: no options outside */
		test_sa_default(&t, XI_IPV4);
		test_sa_start(&t, NULL);
		test_inner4(ip, sizeof(ip), 0);
		ip[0] = 0x47;
		memset(ip + 20, 1, 8);
		ip[4] = 0xab;
		ip[8] = (uint8_t)ttl;
		ip[10] = ip[11] = 0;
		test_pkt_set(&p, ip, sizeof(ip));
		assert_int_equal(test_seal(&t, 0x77, &p.pkt), XI_NONE);
		memcpy(outer, p.pkt.data, 20);
		assert_int_equal(test_checksum(outer, 20), 0);
		assert_int_equal(outer[2] << 8 | outer[3], p.pkt.len);
		assert_int_equal(outer[5], 0x77);
		memset(outer + 2, 0, 4);
		outer[10] = outer[11] = 0;
		assert_memory_equal(outer, bare4, 20);
		assert_int_equal(test_open(&t, &p.pkt, NULL), XI_NONE);
		assert_int_equal(p.pkt.len, sizeof(ip));
		assert_memory_equal(p.pkt.data, ip, sizeof(ip));
		test_sa_stop(&t);

		/* IPv6 in IPv6: the inner flow label and hop limit are not shown */
		test_sa_default(&t, XI_IPV6);
		test_sa_start(&t, NULL);
		test_inner6(ip, sizeof(ip), 0);
		ip[7] = (uint8_t)ttl;
		test_pkt_set(&p, ip, sizeof(ip));
		assert_int_equal(test_seal(&t, 1, &p.pkt), XI_NONE);
		assert_memory_equal(p.pkt.data, "\x60\0\0\0", 4);
		assert_int_equal(p.pkt.data[6], 50);
		assert_int_equal(p.pkt.data[7], 64);
		assert_int_equal(test_open(&t, &p.pkt, NULL), XI_NONE);
		assert_memory_equal(p.pkt.data, ip, sizeof(ip));
		test_sa_stop(&t);
	}
}

/* Section 8.1: copied, set or cleared, as the SA says. */
static void df_is_copied_set_or_cleared(void **state)
{
	static const struct {
		enum xi_df df;
		uint32_t flags;
		uint8_t inner, outer;
	} cases[] = {
		{XI_DF_COPY, 0, 0, 0},
		{XI_DF_COPY, 0, 0x40, 0x40},
		{XI_DF_SET, 0, 0, 0x40},
		{XI_DF_SET, 0, 0x40, 0x40},
		{XI_DF_CLEAR, 0, 0, 0},
		{XI_DF_CLEAR, 0, 0x40, 0},
		{XI_DF_SET, XFRM_STATE_NOPMTUDISC, 0x40, 0},
		{XI_DF_COPY, XFRM_STATE_NOPMTUDISC, 0x40, 0},
	};
	static struct test_sa t;
	static struct test_pkt p;
	uint8_t ip[60];

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		test_sa_default(&t, XI_IPV4);
		t.sa.df = cases[i].df;
		t.sa.flags |= cases[i].flags;
		test_sa_start(&t, NULL);
		test_inner4(ip, sizeof(ip), 0);
		ip[6] = cases[i].inner;
		test_pkt_set(&p, ip, sizeof(ip));
		assert_int_equal(test_seal(&t, 1, &p.pkt), XI_NONE);
		assert_int_equal(p.pkt.data[6], cases[i].outer);
		assert_int_equal(test_checksum(p.pkt.data, 20), 0);
		test_sa_stop(&t);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
		T(what_no_policy_names_is_discarded_by_default_block),
		T(a_range_of_ports_is_several_policies),
		cmocka_unit_test(the_mobility_header_type_is_a_selector),
		T(unprotected_icmp_is_taken_or_refused_by_type_and_code),
		T(later_fragments_go_by_the_sa_without_ports),
		T(later_fragments_are_refused_on_an_sa_with_ports),
		T(fragments_meet_discard_and_bypass),
		T(sas_of_the_same_selector_are_received_alike),
		T(an_sa_is_known_by_spi_protocol_and_destination),
		T(time_and_volume_hold_at_once),
		cmocka_unit_test(an_expired_sa_carries_nothing),
		cmocka_unit_test(dscp_is_not_checked),
		cmocka_unit_test(the_outer_header_is_made_anew),
		cmocka_unit_test(df_is_copied_set_or_cleared),
	};

	return cmocka_run_group_tests_name("rfc4301", tests, NULL, NULL);
}
