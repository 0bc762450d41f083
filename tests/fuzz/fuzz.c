// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "fuzz.h"

#include <netinet/in.h>
#include <sanitizer/asan_interface.h>

#define GUARD 64
#define GUARD_BYTE 0xa5

struct fuzz_buf fuzz_buf_new(size_t len)
{
	struct fuzz_buf buf = {.mem = malloc(GUARD + len + GUARD), .len = len};

	require(buf.mem);
	buf.data = buf.mem + GUARD;
	memset(buf.mem, GUARD_BYTE, GUARD);
	memset(buf.data, 0, len);
	memset(buf.data + len, GUARD_BYTE, GUARD);
	__asan_poison_memory_region(buf.mem, GUARD);
	__asan_poison_memory_region(buf.data + len, GUARD);
	return buf;
}

void fuzz_buf_free(struct fuzz_buf *buf)
{
	__asan_unpoison_memory_region(buf->mem, GUARD + buf->len + GUARD);
	for (size_t i = 0; i < GUARD; i++)
		require(buf->mem[i] == GUARD_BYTE && buf->data[buf->len + i] == GUARD_BYTE);
	free(buf->mem);
	buf->mem = NULL;
}

struct xi_pkt fuzz_pkt_new(struct fuzz_buf *buf, const uint8_t *data, size_t len, size_t headroom,
			   size_t tailroom)
{
	*buf = fuzz_buf_new(headroom + len + tailroom);
	if (len)
		memcpy(buf->data + headroom, data, len);
	return (struct xi_pkt){buf->data + headroom, (uint32_t)len, (uint32_t)headroom,
			       (uint32_t)tailroom};
}

void fuzz_pkt_check(const struct xi_pkt *pkt, const struct fuzz_buf *buf)
{
	require(pkt->data - pkt->headroom == buf->data);
	require(pkt->data + pkt->len + pkt->tailroom == buf->data + buf->len);
}

void fuzz_fit(uint8_t *ip, size_t len, bool v6)
{
	if (len < 40)
		return;
	ip[0] = (uint8_t)(v6 ? 0x60 | (ip[0] & 15) : 0x40 | (ip[0] & 15));
	put16(ip + (v6 ? 4 : 2), v6 ? len - 40 : len);
}

/*
 * At most n extension headers, as their own lengths have them; their protocols are the fuzzer's
 * choice, too. Returns how many bytes they took.
 */
static size_t chain(uint8_t *ip6, uint8_t proto, struct fuzz_in *in, unsigned int n)
{
	static const uint8_t protos[] = {IPPROTO_HOPOPTS, IPPROTO_ROUTING, IPPROTO_FRAGMENT,
					 IPPROTO_DSTOPTS};
	size_t at = 40, nh = 6, len;

	while (n-- && in->left >= 8) {
		uint8_t ext = protos[in->p[0] % 4];

		len = ext == IPPROTO_FRAGMENT ? 8 : (in->p[1] % 8 + 1U) * 8;
		if (len > in->left)
			break;
		memcpy(ip6 + at, in->p, len);
		ip6[nh] = ext;
		ip6[at + 1] = (uint8_t)(len / 8 - 1);
		nh = at;
		at += len;
		in->p += len;
		in->left -= len;
	}
	ip6[nh] = proto;
	return at;
}

size_t fuzz_header(uint8_t *ip, bool v6, uint8_t proto, struct fuzz_in *in)
{
	uint8_t more = fuzz_choice(in), tos = fuzz_choice(in);
	size_t options = more % 11 * 4U;

	memset(ip, 0, 40);
	if (v6) {
		ip[0] = (uint8_t)(0x60 | tos >> 4);
		ip[1] = (uint8_t)(tos << 4);
		return chain(ip, proto, in, more % 8);
	}
	if (options > in->left)
		options = 0;
	ip[0] = (uint8_t)(0x45 + options / 4);
	ip[1] = tos;
	ip[9] = proto;
	memcpy(ip + 20, in->p, options);
	in->p += options;
	in->left -= options;
	return 20 + options;
}
