/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The maps that an earlier daemon pinned: taken over as they are, refused when they are not what this program makes, and
 * swept away when its start was cut short before it mattered.
 */
#ifndef XI_PINS_H
#define XI_PINS_H

#include <stdbool.h>
#include <stddef.h>

#include <bpf/libbpf.h>

/*
 * obj is open, its maps have their wanted sizes, and nothing is loaded. Pinned maps are reused; they keep their sizes:
 * SA slots and windows in them are in use. *found: how many; *missing: how many are still to be made, which
 * loading pins. -ESTALE: of another ABI or layout, or state is missing; nothing was changed, and the log says what to do.
 */
int xi_pins_adopt(struct bpf_object *obj, const char *pin_dir, unsigned int *found, unsigned int *missing);
/* A map with state that is not pinned while it must be; NULL: all are. */
const char *xi_pins_lost(const char *pin_dir);
/* Maps and programs of obj, and the directory if that was all. */
void xi_pins_remove(const struct bpf_object *obj, const char *pin_dir);

#endif
