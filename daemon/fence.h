/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The kernel's own XFRM and packets of the host itself. While every outbound policy that the kernel has is in force
 * here, too, its stack passes such packets by on their way out of cipher ports (disable_xfrm, IPv4), and the guard there
 * leads them to workers. Which devices are so is noted in the pin directory, beside the guard, which it must not outlive.
 */
#ifndef XI_FENCE_H
#define XI_FENCE_H

#include <stdbool.h>

#include "config.h"

/* Errors are logged. */
void xi_fence_up(const struct xi_config_file *config);
/* As it was before; nothing if it was not up. Before guards are removed. */
void xi_fence_down(const char *pin_dir);

#endif
