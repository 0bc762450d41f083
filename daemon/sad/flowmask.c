/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "sad/flowmask.h"

#include <limits.h>

#define NEVER UINT_MAX

void xi_flowmask_take_portless(struct xi_flow_mask *m, const struct xi_selector *sel)
{
	xi_flowmask_take_prefixes(m, sel->prefixlen_s, sel->prefixlen_d);
	if (sel->proto)
		m->proto = 0xff;
}

void xi_flowmask_take(struct xi_flow_mask *m, const struct xi_selector *sel)
{
	xi_flowmask_take_portless(m, sel);
	m->sport |= sel->sport_mask;
	m->dport |= sel->dport_mask;
	if (sel->sport_mask | sel->dport_mask)
		m->fragment = 1;
}

unsigned int xi_flowmask_step(unsigned int bits, unsigned int plen)
{
	bits = (bits + XI_FLOWMASK_STEP - 1) / XI_FLOWMASK_STEP * XI_FLOWMASK_STEP;
	return bits < plen ? bits : plen;
}

/* Bits of a 16-bit value from the top through the highest of diff, in steps, as far as they are in mask. */
static uint16_t flowmask_port(uint16_t diff, uint16_t mask)
{
	unsigned int top = 16 - (31 - __builtin_clz(diff)); /* bits through the highest one */

	return (uint16_t)(0xffff0000U >> xi_flowmask_step(top, 16)) & mask;
}

/* Bits of an address that tell it from a prefix; NEVER: it has that prefix. */
static unsigned int prefix_told(const uint8_t addr[16], const uint8_t prefix[16], unsigned int plen)
{
	unsigned int i, bits;

	for (i = 0; i < 16 && 8 * i < plen; i++) {
		uint8_t diff = addr[i] ^ prefix[i];

		if (!diff)
			continue;
		bits = 8 * i + __builtin_clz(diff) - 23;
		return bits <= plen ? bits : NEVER;
	}
	return NEVER;
}

/* Does the mask tell the flow from the selector as it is? */
static bool ruled_out(const struct xi_flow_mask *m, const struct xi_selector *sel,
		      const struct xi_flow *flow, unsigned int told_s, unsigned int told_d)
{
	bool ported = sel->sport_mask | sel->dport_mask;

	return (sel->family != XI_FAMILY_NONE && sel->family != flow->family) || sel->ifindex ||
	       told_s <= m->prefixlen_s || told_d <= m->prefixlen_d ||
	       (sel->proto && sel->proto != flow->proto && m->proto) ||
	       (ported && flow->fragment && m->fragment) ||
	       (flow->sport ^ sel->sport) & sel->sport_mask & m->sport ||
	       (flow->dport ^ sel->dport) & sel->dport_mask & m->dport;
}

static unsigned int port_cost(uint16_t diff, uint16_t mask, uint16_t has)
{
	return diff ? __builtin_popcount(flowmask_port(diff, mask) & ~has) : NEVER;
}

static unsigned int prefix_cost(unsigned int told, unsigned int plen, unsigned int has)
{
	return told == NEVER ? NEVER : xi_flowmask_step(told, plen) - has;
}

/* Protocols are few: they come first. Then what takes the fewest bits more. */
void xi_flowmask_rule_out(struct xi_flow_mask *m, const struct xi_selector *sel,
			  const struct xi_flow *flow)
{
	unsigned int told_s = prefix_told(flow->saddr, sel->saddr, sel->prefixlen_s);
	unsigned int told_d = prefix_told(flow->daddr, sel->daddr, sel->prefixlen_d);
	uint16_t sport = (flow->sport ^ sel->sport) & sel->sport_mask;
	uint16_t dport = (flow->dport ^ sel->dport) & sel->dport_mask;
	unsigned int s, d, sp, dp;

	if (ruled_out(m, sel, flow, told_s, told_d))
		return;
	if (sel->proto && sel->proto != flow->proto) {
		m->proto = 0xff;
		return;
	}
	if (flow->fragment && (sel->sport_mask | sel->dport_mask)) {
		m->fragment = 1;
		return;
	}
	s = prefix_cost(told_s, sel->prefixlen_s, m->prefixlen_s);
	d = prefix_cost(told_d, sel->prefixlen_d, m->prefixlen_d);
	sp = port_cost(sport, sel->sport_mask, m->sport);
	dp = port_cost(dport, sel->dport_mask, m->dport);
	if (d != NEVER && d <= s && d <= sp && d <= dp)
		m->prefixlen_d += d;
	else if (s != NEVER && s <= sp && s <= dp)
		m->prefixlen_s += s;
	else if (dp != NEVER && dp <= sp)
		m->dport |= flowmask_port(dport, sel->dport_mask);
	else if (sp != NEVER)
		m->sport |= flowmask_port(sport, sel->sport_mask);
}

bool xi_flowmask_covers(const struct xi_flow_mask *fine, const struct xi_flow_mask *coarse)
{
	return fine->prefixlen_s >= coarse->prefixlen_s &&
	       fine->prefixlen_d >= coarse->prefixlen_d && !(coarse->proto & ~fine->proto) &&
	       !(coarse->fragment & ~fine->fragment) && !(coarse->sport & ~fine->sport) &&
	       !(coarse->dport & ~fine->dport);
}

struct xi_flow_mask xi_flowmask_join(const struct xi_flow_mask *a, const struct xi_flow_mask *b)
{
	struct xi_flow_mask out = *a;

	xi_flowmask_take_prefixes(&out, b->prefixlen_s, b->prefixlen_d);
	out.proto |= b->proto;
	out.fragment |= b->fragment;
	out.sport |= b->sport;
	out.dport |= b->dport;
	return out;
}

unsigned int xi_flowmask_bits(const struct xi_flow_mask *m)
{
	return m->prefixlen_s + m->prefixlen_d + __builtin_popcount(m->proto) + m->fragment +
	       __builtin_popcount(m->sport) + __builtin_popcount(m->dport);
}
