/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef XI_SELECTOR_H
#define XI_SELECTOR_H

#include <stdbool.h>
#include <stdint.h>

#include <xipsec/abi.h>

/* RFC 4301 section 4.4.1.1. A non-initial fragment (flow->fragment) matches only selectors without ports. */
bool xi_selector_matches(const struct xi_selector *sel, const struct xi_flow *flow);
/* First plen bits equal? */
bool xi_prefix_equal(const uint8_t a[16], const uint8_t b[16], unsigned int plen);
/* out = addr with everything behind the first plen bits zeroed. */
void xi_prefix_mask(uint8_t out[16], const uint8_t addr[16], unsigned int plen);

/*
 * The mark of what came out of an SA: the one that the kernel would have wanted of the packet before, with the output
 * mark (XFRMA_SET_MARK) in it. Nothing gives packets a mark before they come to the SA.
 */
static inline uint32_t xi_sa_mark_in(const struct xi_sa *sa)
{
	return (sa->mark_v & ~sa->output_mark_mask) | (sa->output_mark & sa->output_mark_mask);
}

/*
 * Reads the flow of an IP packet: addresses, protocol behind IPv6 extension headers, ports or ICMP type and code.
 * 0, or -EINVAL for a packet cut short. dir is left to the caller.
 */
int xi_flow_parse(struct xi_flow *flow, const uint8_t *pkt, uint32_t len);
/*
 * Is the packet, whose header's lengths have been checked, one of this flow, but for dir? For runs
 * of packets: sure when it says yes; no when it would have to look closer (other protocols than TCP
 * and UDP, IPv4 options, IPv6 extension headers, fragments).
 */
bool xi_flow_goes_on(const struct xi_flow *flow, const uint8_t *pkt, uint32_t len);

#endif
