/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* `xipsec down`: the deliberate act that detaches, unpins and removes xipsec0. No daemon may be running. */
#ifndef XI_DOWN_H
#define XI_DOWN_H

/*
 * Reads the ports from the pinned map, detaches our programs from them, removes xipsec0 and everything pinned below
 * pin_dir. SAs, keys and policies are gone after this. 0 or -errno, logged; goes on after a failure. -EINVAL and
 * nothing done: pin_dir is no pin directory.
 */
int xi_down(const char *pin_dir);

#endif
