/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The store of SAD and SPD in the pinned maps. */
#ifndef XI_STORE_BPF_H
#define XI_STORE_BPF_H

#include "sad/store.h"

/* Descriptors of the maps of these names. */
struct xi_store_bpf_fds {
	int sad, sad_keys, sad_lookup;
	int spd, spd_guard, spd_masks;
	int config;
	int sa_state, sa_window;     /* arrays with BPF_F_MMAPABLE */
};

/*
 * The descriptors stay the caller's and must outlive the store. -EINVAL: a map has other sizes than
 * this program (it was pinned by another version). Or -errno.
 */
int xi_store_bpf_open(struct xi_store **out, const struct xi_store_bpf_fds *fds);
void xi_store_bpf_close(struct xi_store *store); /* NULL is fine; the maps keep everything */

#endif
