/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Whether the running kernel has ESP of its own, by what it says of itself. Nothing is loaded by asking, as it would be by
 * giving the kernel an SA: its ESP may be left out on purpose.
 */
#ifndef XI_KERNEL_ESP_H
#define XI_KERNEL_ESP_H

enum xi_kernel_esp {
	XI_KERNEL_ESP_HIDDEN,        /* nobody knows */
	XI_KERNEL_ESP_NONE,
	XI_KERNEL_ESP_MODULE,        /* there is one, which the first SA loads */
	XI_KERNEL_ESP_THERE,         /* loaded, or built in */
};

/* root: "" but in tests. release: of uname(2). */
enum xi_kernel_esp xi_kernel_esp(const char *root, const char *release);

#endif
