/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What XDP has of the SPD: the guard, the defaults and the mask of what flows are told apart by. */
#include <errno.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>

#include <xipsec/guard.h>

#include "spd_bed.h"

static void guard_order_fails_closed(void **state)
{
	struct fixture *f = *state;
	struct xi_policy p = tunnel(XI_OUT, "10.0.0.0/8", "10.1.0.0/16", 1);

	mem_store_fail(f->m, 0, 0);
	assert_int_equal(add(f, &p), 0);
	assert_string_equal(f->m->log, "GMCP");
	mem_store_fail(f->m, 0, 0);
	f->syncs = 0;
	assert_int_equal(xi_spd_delete(f->spd, &p), 0);
	assert_string_equal(f->m->log, "CpMg");
	assert_int_equal(f->syncs, 1);
	assert_int_equal(mem_store_count_guards(f->m), 0);
}

/* What a failure left of the table of masks is not taken for what was there. */
static void masks_half_written_are_written_again(void **state)
{
	struct fixture *f = *state;
	struct xi_policy p = tunnel(XI_OUT, "10.0.0.0/8", "10.1.0.0/16", 1);
	struct xi_flow fl = flow("10.0.0.1", "10.1.0.1", 6, 1, 2);

	assert_int_equal(add(f, &p), 0);
	mem_store_fail(f->m, 3, 1);
	assert_int_equal(xi_spd_delete(f->spd, &p), 0);
	assert_int_equal(f->m->log[2], 'M');
	mem_store_fail(f->m, 0, 0);
	assert_int_equal(add(f, &p), 0);
	assert_true(guard_hits(f->m, &fl, XI_OUT));
}

static void guard_covers_both_inbound_directions(void **state)
{
	struct fixture *f = *state;
	struct xi_policy in = tunnel(XI_IN, "10.1.0.0/16", "10.0.0.0/8", 1), fwd = in, block = in;
	struct xi_flow fl = flow("10.1.2.3", "10.0.0.1", 6, 1, 2);
	struct xi_guard_key key = {
		.saddr = htonl(0x0a010000), .daddr = htonl(0x0a000000),
		.prefixlen_s = 16, .prefixlen_d = 8, .dir = XI_IN, .family = XI_IPV4};

	fwd.dir = XI_FWD;
	block.sel.proto = 6;
	block.action = XI_BLOCK;
	block.ntmpls = 0;
	assert_int_equal(add(f, &in), 0);
	assert_int_equal(add(f, &fwd), 0);
	assert_int_equal(add(f, &block), 0);
	assert_int_equal(mem_store_guard(f->m, &key)->policies, 3);
	assert_int_equal(xi_spd_delete(f->spd, &in), 0);
	assert_int_equal(xi_spd_delete(f->spd, &block), 0);
	assert_true(guard_hits(f->m, &fl, XI_IN));
	assert_false(guard_hits(f->m, &fl, XI_OUT));
	assert_int_equal(mem_store_guard(f->m, &key)->policies, 1);
	fwd.ntmpls = 0;              /* allowed in clear from now on */
	assert_int_equal(replace(f, &fwd), 0);
	assert_false(guard_hits(f->m, &fl, XI_IN));
	assert_int_equal(mem_store_count_guards(f->m), 0);
}

/* What lies behind the prefix does not count; what lies in it does. */
static void guard_folds_prefixes(void **state)
{
	static uint32_t seen[4096];
	uint8_t addr[16], other[16], prefix[16];
	unsigned int plen, i, j;

	srand(3);
	for (i = 0; i < 50; i++) {
		for (j = 0; j < 16; j++) {
			addr[j] = rand();
			other[j] = rand();
		}
		for (plen = 0; plen <= 128; plen++) {
			xi_prefix_mask(prefix, addr, plen);
			assert_int_equal(xi_guard_fold(addr, plen, XI_IPV6),
					 xi_guard_fold(prefix, 128, XI_IPV6));
			if (plen > 32)
				continue;
			assert_int_equal(xi_guard_fold(addr, plen, XI_IPV4),
					 guard_prefix(addr, plen, XI_IPV4));
			if (!xi_prefix_equal(addr, other, plen))
				assert_int_not_equal(xi_guard_fold(addr, plen, XI_IPV4),
						     xi_guard_fold(other, plen, XI_IPV4));
		}
	}
	sample_addr(addr, "2001:db8::");
	for (i = 0; i < 4096; i++) {
		addr[6] = i >> 8;
		addr[7] = i;
		seen[i] = xi_guard_fold(addr, 64, XI_IPV6);
		for (j = 0; j < i; j++)
			assert_int_not_equal(seen[i], seen[j]);
	}
}

static void guard_covers_ipv6(void **state)
{
	struct fixture *f = *state;
	struct xi_policy p = tunnel(XI_OUT, "2001:db8:1::/48", "2001:db8:2:8000::/50", 1);
	struct xi_flow in = flow("2001:db8:1::7", "2001:db8:2:bfff::9", 6, 1, 2);
	struct xi_flow out = flow("2001:db8:1::7", "2001:db8:2:7fff::9", 6, 1, 2);

	assert_int_equal(add(f, &p), 0);
	assert_true(guard_hits(f->m, &in, XI_OUT));
	assert_false(guard_hits(f->m, &out, XI_OUT));
	assert_false(guard_hits(f->m, &in, XI_IN));
	assert_int_equal(xi_spd_delete(f->spd, &p), 0);
	assert_false(guard_hits(f->m, &in, XI_OUT));
}

/* After each of many random changes: what the guard lets go, no policy wants. */
static void guard_agrees_with_policies(void **state)
{
	struct fixture *f = *state;
	struct xi_policy live[80];
	unsigned int n = 0, i, j, k;
	bool overflowed = false;

	srand(2);
	for (i = 0; i < 600; i++) {
		if (n == 80 || (n && rand() % 3 == 0) || (i > 500 && n)) {
			j = rand() % n;
			assert_int_equal(xi_spd_delete(f->spd, &live[j]), 0);
			live[j] = live[--n];
		} else {
			struct xi_policy p = { .dir = rand() % 3, .priority = 1 };

			p.sel.family = XI_IPV4;
			random_prefix(p.sel.saddr, &p.sel.prefixlen_s, 32);
			random_prefix(p.sel.daddr, &p.sel.prefixlen_d, 32);
			p.action = rand() % 2;
			if (rand() % 2) {
				p.ntmpls = 1;
				p.tmpls[0].id.proto = XI_ESP;
				p.tmpls[0].mode = XI_TUNNEL;
			}
			if (add(f, &p))
				continue;
			live[n++] = p;
		}
		overflowed |= f->m->config.guard_flags[XI_IN] || f->m->config.guard_flags[XI_OUT];
		for (k = 0; k < 20; k++) {
			struct xi_flow fl = { .family = XI_IPV4 };
			uint8_t plen, dir = rand() % 2;
			bool wanted = false;

			random_prefix(fl.saddr, &plen, 32);
			random_prefix(fl.daddr, &plen, 32);
			for (j = 0; j < n; j++)
				wanted |= (live[j].dir == XI_OUT) == (dir == XI_OUT) &&
					  (live[j].action == XI_BLOCK || live[j].ntmpls) &&
					  xi_selector_matches(&live[j].sel, &fl);
			if (f->m->config.guard_flags[dir] & XI_GUARD_ALL)
				assert_true(guard_hits(f->m, &fl, dir));
			else
				assert_int_equal(guard_hits(f->m, &fl, dir), wanted);
		}
	}
	assert_true(overflowed);
	assert_int_equal(n, 0);
	assert_int_equal(mem_store_count_guards(f->m), 0);
	assert_int_equal(f->m->config.guard_flags[XI_IN] | f->m->config.guard_flags[XI_OUT], 0);
	assert_int_equal(f->m->masks[0].used, 0);
}

static void default_action_is_mirrored(void **state)
{
	struct fixture *f = *state;
	struct xi_flow fl = flow("10.0.0.1", "10.1.0.1", 6, 1, 2);
	struct xi_flow in = flow("10.1.0.1", LOCAL, 6, 1, 2),
		       fwd = flow("10.1.0.1", "10.2.0.1", 6, 1, 2);
	uint32_t before = generation(f);

	assert_int_equal(xi_spd_set_default(f->spd, XI_OUT, XI_BLOCK), 0);
	assert_int_equal(f->m->config.default_action[XI_OUT], XI_BLOCK);
	assert_int_not_equal(generation(f), before);
	assert_int_equal(judge(f, &fl, NULL), XI_VERDICT_DISCARD);
	assert_true(xi_spd_allows_clear(xi_spd_snapshot(f->spd), &in));
	assert_int_equal(xi_spd_set_default(f->spd, XI_IN, XI_BLOCK), 0);
	assert_false(xi_spd_allows_clear(xi_spd_snapshot(f->spd), &in));
	assert_true(xi_spd_allows_clear(xi_spd_snapshot(f->spd), &fwd));
	assert_int_equal(xi_spd_set_default(f->spd, XI_FWD, XI_BLOCK), 0);
	assert_false(xi_spd_allows_clear(xi_spd_snapshot(f->spd), &fwd));
	assert_int_equal(xi_spd_set_default(f->spd, 3, XI_BLOCK), -EINVAL);
	mem_store_fail(f->m, 1, 1);
	assert_int_equal(xi_spd_set_default(f->spd, XI_OUT, XI_ALLOW), -EIO);
	assert_int_equal(xi_spd_get_default(f->spd, XI_OUT), XI_BLOCK);
	assert_int_equal(judge(f, &fl, NULL), XI_VERDICT_DISCARD);
}

static void flow_mask_follows_policies_and_sas(void **state)
{
	struct fixture *f = *state;
	struct xi_policy plain = tunnel(XI_OUT, "10.0.0.0/8", "10.1.0.0/16", 1), proto = plain,
			 port = plain;
	struct xi_sa sa = out_sa(0x1000, 1);
	uint32_t before;

	assert_int_equal(add(f, &plain), 0);
	assert_int_equal(xi_spd_snapshot(f->spd)->flow_mask, 0);
	proto.sel.proto = 6;
	assert_int_equal(add(f, &proto), 0);
	assert_int_equal(xi_spd_snapshot(f->spd)->flow_mask, XI_FLOW_PROTO);
	port.sel.proto = 17;
	port.sel.dport = 53;
	port.sel.dport_mask = 0xffff;
	assert_int_equal(add(f, &port), 0);
	assert_int_equal(xi_spd_snapshot(f->spd)->flow_mask, XI_FLOW_PROTO | XI_FLOW_PORTS);
	assert_int_equal(xi_spd_delete(f->spd, &port), 0);
	assert_int_equal(xi_spd_snapshot(f->spd)->flow_mask, XI_FLOW_PROTO);
	assert_int_equal(xi_spd_delete(f->spd, &proto), 0);
	assert_int_equal(xi_spd_snapshot(f->spd)->flow_mask, 0);
	before = generation(f);
	sa.sel.family = XI_IPV4;
	sa.sel.proto = 6;
	sa.sel.sport_mask = 0xffff;
	add_sa(f, &sa);
	assert_int_equal(xi_spd_snapshot(f->spd)->flow_mask, XI_FLOW_PROTO | XI_FLOW_PORTS);
	assert_int_not_equal(generation(f), before);
	before = generation(f);
	assert_int_equal(xi_sad_delete(f->sad, &sa.id), 0);
	assert_int_equal(xi_spd_snapshot(f->spd)->flow_mask, 0);
	assert_int_not_equal(generation(f), before);
}

#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(guard_order_fails_closed),
		T(masks_half_written_are_written_again),
		T(guard_covers_both_inbound_directions),
		T(guard_folds_prefixes),
		T(guard_covers_ipv6),
		T(guard_agrees_with_policies),
		T(default_action_is_mirrored),
		T(flow_mask_follows_policies_and_sas),
	};

	return cmocka_run_group_tests_name("spd_guard", tests, NULL, NULL);
}
