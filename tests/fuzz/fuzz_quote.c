/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* ICMP errors from anybody: the first byte chooses the family, the second whether the checksum is made good. */
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "ipsec/quote.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void seal(uint8_t *icmp, size_t len)
{
	uint32_t sum = 0;

	icmp[2] = icmp[3] = 0;
	for (size_t i = 0; i < len; i++)
		sum += (uint32_t)icmp[i] << (i % 2 ? 0 : 8);
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	icmp[2] = (uint8_t)(~sum >> 8);
	icmp[3] = (uint8_t)~sum;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct xi_quote q;
	uint8_t *icmp;

	if (size < 3)
		return 0;
	icmp = malloc(size - 2);
	if (!icmp)
		return 0;
	memcpy(icmp, data + 2, size - 2);
	if ((data[1] & 1) && size >= 6)
		seal(icmp, size - 2);
	if (!xi_quote_parse(&q, data[0] & 1 ? XI_IPV6 : XI_IPV4, icmp, (uint32_t)size - 2) &&
	    (!q.mtu || q.mtu >= q.len || (!q.encap && !q.has_spi) || (q.has_spi && q.spi < 256)))
		abort();
	free(icmp);
	return 0;
}
