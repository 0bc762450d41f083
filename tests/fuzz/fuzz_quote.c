// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* libFuzzer target for ICMP errors: the first byte chooses the family, the second whether the
 * checksum is made good. */
#include "fuzz.h"
#include "ipsec/quote.h"

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
	struct fuzz_buf buf;
	struct xi_quote q;

	if (size < 3)
		return 0;
	buf = fuzz_buf_new(size - 2);
	memcpy(buf.data, data + 2, size - 2);
	if ((data[1] & 1) && size >= 6)
		seal(buf.data, size - 2);
	if (!xi_quote_parse(&q, data[0] & 1 ? XI_IPV6 : XI_IPV4, buf.data, (uint32_t)buf.len)) {
		require(q.mtu && q.mtu < q.len);
		require(q.encap || q.has_spi);
		require(!q.has_spi || q.spi >= 256);
	}
	fuzz_buf_free(&buf);
	return 0;
}
