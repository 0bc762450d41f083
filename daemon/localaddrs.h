/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef XI_LOCALADDRS_H
#define XI_LOCALADDRS_H

#include <stdint.h>

#include <xipsec/abi.h>

/* Makes the pinned map local_addrs hold exactly these addresses: additions first, so that none is ever missing. */
void xi_localaddrs_set(int map_fd, const struct xi_addr *addrs, uint32_t n);

#endif
