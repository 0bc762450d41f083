/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What AH's ICV covers of the headers in front of it (RFC 4302 section 3.3.3.1 and appendix A):
 * fields that change on the way become zero, those that change foreseeably become what the receiver
 * sees.
 */
#ifndef XI_AH_MUTE_H
#define XI_AH_MUTE_H

#include <stdbool.h>
#include <stdint.h>

/*
 * ip: an IPv4 header with options, or an IPv6 header with the extension headers in front of AH,
 * hdr_len bytes. out: about to be sent, so that the receiver finds what a source route has yet to
 * do done. False: the headers contradict themselves or hdr_len, or are of a kind whose end nobody
 * foresees; some of their fields are then zero already.
 */
bool xi_ah_mute(uint8_t *ip, uint32_t hdr_len, bool out);

#endif
