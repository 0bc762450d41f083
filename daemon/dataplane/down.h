/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The deliberate end of protection; everything else that ends a daemon leaves it in place. */
#ifndef XI_DOWN_H
#define XI_DOWN_H

/*
 * `xipsec down` where no daemon runs: detaches our programs from all ports, unpins programs and maps below
 * pin_dir, removes xipsec0. 0 or -errno, logged.
 */
int xi_down(const char *pin_dir);

#endif
