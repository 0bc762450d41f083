/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the flood's BPF programs and its user side agree on. */
#ifndef XI_FLOOD_ABI_H
#define XI_FLOOD_ABI_H

#include <linux/types.h>

#define FLOOD_FRAME_MAX 2040
#define FLOOD_CALL 256           /* frames a call, at most */
#define FLOOD_PORT 9             /* UDP, discard: the mark of the flood's inner packets */

struct flood_frame {
	__u32 len;
	__u32 pad;
	__u8 data[FLOOD_FRAME_MAX];
};

#endif
