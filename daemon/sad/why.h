/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Why a verdict of the SPD is what it is, for those who ask; the fast path does not. */
#ifndef XI_WHY_H
#define XI_WHY_H

#include <stdint.h>

/* X(code, text) */
#define XI_WHYS(X) \
	X(XI_WHY_NONE, "not judged") \
	X(XI_WHY_IKE, "IKE of this host is exempt from policy") \
	X(XI_WHY_PROTECT, "the policy's templates have their SAs") \
	X(XI_WHY_ALLOW, "the policy lets it pass in clear") \
	X(XI_WHY_OPTIONAL, "the policy's templates are all optional, and no SA serves them") \
	X(XI_WHY_BLOCK, "the policy blocks it") \
	X(XI_WHY_IN_KERNEL, "the policy is left to the kernel, which protects it") \
	X(XI_WHY_DEFAULT_ALLOW, "no policy matches, and the default is to allow") \
	X(XI_WHY_DEFAULT_BLOCK, "no policy matches, and the default is to block") \
	X(XI_WHY_FRAGMENT, "a later fragment shows no ports, and a policy with ports may want its packet protected or blocked") \
	X(XI_WHY_NO_SA, "no SA serves the policy's template") \
	X(XI_WHY_NO_SA_SELECTOR, "SAs fit the policy's template, but their selectors do not take this packet") \
	X(XI_WHY_VERIFIED, "the SAs it came through are those of the policy's templates") \
	X(XI_WHY_CLEAR, "it came in clear, and the policy wants it protected") \
	X(XI_WHY_SA_SELECTOR, "the selector of an SA it came through does not match it") \
	X(XI_WHY_NO_POLICY, "it came through a tunnel, and no policy wants it") \
	X(XI_WHY_TEMPLATE, "no SA it came through meets the policy's template") \
	X(XI_WHY_TUNNEL, "it came through a tunnel that no template of the policy names")

#define XI_WHY_CODE(code, text) code,
enum xi_why { XI_WHYS(XI_WHY_CODE) XI_WHY_MAX };
#undef XI_WHY_CODE

struct xi_verdict_why {
	enum xi_why code;
	uint32_t policy;             /* index of the policy that decided, 0: none did */
	uint32_t tmpl;               /* with NO_SA, NO_SA_SELECTOR, TEMPLATE: which of its templates, from 0 */
	uint32_t sa_index;           /* with SA_SELECTOR, NO_POLICY, TUNNEL: which SA */
};

/* For people; never NULL. */
const char *xi_why_text(enum xi_why code);

#endif
