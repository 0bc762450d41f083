/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What a search has looked at of a flow (struct xi_flow_mask): it begins with nothing and only grows. Each step looks at as
 * little as proves its point, in steps of four bits, so that the masks that come of it are few.
 */
#ifndef XI_FLOWMASK_H
#define XI_FLOWMASK_H

#include <stdbool.h>
#include <stdint.h>

#include <xipsec/abi.h>

#define XI_FLOWMASK_STEP 4   /* bits */

static inline void xi_flowmask_take_prefixes(struct xi_flow_mask *m, unsigned int plen_s, unsigned int plen_d)
{
	if (m->prefixlen_s < plen_s)
		m->prefixlen_s = plen_s;
	if (m->prefixlen_d < plen_d)
		m->prefixlen_d = plen_d;
}

/* The flow matched: whatever agrees with it under the mask does so too. And the same but for ports. */
void xi_flowmask_take(struct xi_flow_mask *m, const struct xi_selector *sel);
void xi_flowmask_take_portless(struct xi_flow_mask *m, const struct xi_selector *sel);
/* The flow did not match: neither does whatever agrees with it under the mask. */
void xi_flowmask_rule_out(struct xi_flow_mask *m, const struct xi_selector *sel, const struct xi_flow *flow);
/* bits rounded up to the next step, at most plen. */
unsigned int xi_flowmask_step(unsigned int bits, unsigned int plen);

/* Does fine look at all that coarse looks at? Then what was found under coarse holds under fine. */
bool xi_flowmask_covers(const struct xi_flow_mask *fine, const struct xi_flow_mask *coarse);
/* The coarsest mask that covers both. */
struct xi_flow_mask xi_flowmask_join(const struct xi_flow_mask *a, const struct xi_flow_mask *b);
/* How much it looks at. */
unsigned int xi_flowmask_bits(const struct xi_flow_mask *m);

#endif
