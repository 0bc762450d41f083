/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The flood's packets: made from a number, sealed and opened with OpenSSL, compared byte for byte. */
#include "flood.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#define IPV4_LEN 20
#define IPV6_LEN 40
#define UDP_LEN 8
#define MARK 0x78697066U         /* in front of the number */
#define MARK_LEN 16
#define ESP_LEN 8
#define IV_LEN 8
#define ICV_LEN 16
#define SPORT 1024

/* splitmix64's finaliser */
uint64_t flood_mix(uint64_t x)
{
	x += 0x9e3779b97f4a7c15ULL;
	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ULL;
	x = (x ^ (x >> 27)) * 0x94d049bb133111ebULL;
	return x ^ (x >> 31);
}

static void put16(uint8_t *p, uint32_t v)
{
	p[0] = v >> 8;
	p[1] = v;
}

static void put32(uint8_t *p, uint32_t v)
{
	put16(p, v >> 16);
	put16(p + 2, v);
}

static uint32_t get16(const uint8_t *p)
{
	return (uint32_t)p[0] << 8 | p[1];
}

static uint32_t get32(const uint8_t *p)
{
	return get16(p) << 16 | get16(p + 2);
}

/* RFC 1071: in the host's byte order, which the folded sum does not mind */
static uint64_t sum(const uint8_t *p, uint32_t len, uint64_t s)
{
	uint32_t word;

	for (; len >= 4; p += 4, len -= 4) {
		memcpy(&word, p, 4);
		s += word;
	}
	if (len) {
		word = 0;
		memcpy(&word, p, len);
		s += word;
	}
	return s;
}

static void put_sum(uint8_t *p, uint64_t s)
{
	uint16_t folded;

	while (s >> 16)
		s = (s & 0xffff) + (s >> 16);
	folded = ~s;
	memcpy(p, &folded, 2);
}

static uint32_t addr_len(const struct flood_addr *a)
{
	return a->family == AF_INET6 ? 16 : 4;
}

static uint32_t put_ip(uint8_t *p, const struct flood_addr *src, const struct flood_addr *dst, uint8_t proto,
		       uint8_t ttl, uint32_t len, uint32_t id)
{
	if (src->family == AF_INET6) {
		put32(p, 0x60000000);
		put16(p + 4, len - IPV6_LEN);
		p[6] = proto;
		p[7] = ttl;
		memcpy(p + 8, src->bytes, 16);
		memcpy(p + 24, dst->bytes, 16);
		return IPV6_LEN;
	}
	put16(p, 0x4500);
	put16(p + 2, len);
	put16(p + 4, id);
	put16(p + 6, 0x4000);
	p[8] = ttl;
	p[9] = proto;
	put16(p + 10, 0);
	memcpy(p + 12, src->bytes, 4);
	memcpy(p + 16, dst->bytes, 4);
	put_sum(p + 10, sum(p, IPV4_LEN, 0));
	return IPV4_LEN;
}

static uint32_t plan_size(const struct flood_plan *plan, uint32_t number)
{
	uint64_t r = flood_mix(~(uint64_t)number);

	if (plan->nedges && r % 8 == 0)
		return plan->edges[(r >> 8) % plan->nedges];
	return plan->size_min + (r >> 8) % (plan->size_max - plan->size_min + 1);
}

/* xorshift64*: fast, and no two packets are alike */
static void fill(uint8_t *p, uint32_t len, uint64_t seed)
{
	uint64_t x = flood_mix(seed), word;
	uint32_t i;

	for (i = 0; i < len; i += 8) {
		x ^= x >> 12;
		x ^= x << 25;
		x ^= x >> 27;
		word = x * 0x2545f4914f6cdd1dULL;
		memcpy(p + i, &word, len - i < 8 ? len - i : 8);
	}
}

uint32_t flood_inner(const struct flood_plan *plan, uint32_t number, uint8_t ttl, uint8_t *out)
{
	uint32_t flow = number % plan->flows, len = plan_size(plan, number), ip;
	const struct flood_addr *dst = &plan->dst[flow % plan->ndst];
	uint8_t *udp;
	uint64_t s;

	ip = put_ip(out, &plan->src, dst, IPPROTO_UDP, ttl, len, number);
	udp = out + ip;
	put16(udp, SPORT + flow);
	put16(udp + 2, FLOOD_PORT);
	put16(udp + 4, len - ip);
	put16(udp + 6, 0);
	put32(udp + 8, MARK);
	put32(udp + 12, number);
	put32(udp + 16, ~number);
	put32(udp + 20, len);
	fill(udp + UDP_LEN + MARK_LEN, len - ip - UDP_LEN - MARK_LEN, number);
	s = sum(udp, len - ip, 0);
	s = sum(plan->src.bytes, addr_len(&plan->src), s);
	s = sum(dst->bytes, addr_len(dst), s);
	s += htons(IPPROTO_UDP) + htons(len - ip);
	put_sum(udp + 6, s);
	/* RFC 768: a sum of zero is sent as all ones */
	if (!get16(udp + 6))
		put16(udp + 6, 0xffff);
	return len;
}

int64_t flood_number(const uint8_t *packet, uint32_t len)
{
	uint32_t ip;

	if (!len)
		return -1;
	ip = packet[0] >> 4 == 6 ? IPV6_LEN : IPV4_LEN;
	if (len < ip + UDP_LEN + MARK_LEN || get32(packet + ip + UDP_LEN) != MARK)
		return -1;
	return get32(packet + ip + UDP_LEN + 4);
}

bool flood_same(const struct flood_plan *plan, uint32_t number, const uint8_t *packet, uint32_t len,
		char *text, uint32_t room)
{
	uint8_t want[FLOOD_FRAME_MAX];
	uint32_t want_len = flood_inner(plan, number, FLOOD_TTL - 1, want), i;

	if (len != want_len) {
		snprintf(text, room, "packet %u: %u bytes, wanted %u", number, len, want_len);
		return false;
	}
	if (!memcmp(packet, want, len))
		return true;
	for (i = 0; packet[i] == want[i]; i++)
		;
	snprintf(text, room, "packet %u of %u bytes: byte %u is %02x, wanted %02x", number, len, i, packet[i],
		 want[i]);
	return false;
}

int flood_sa_key(struct flood_sa *sa, const uint8_t *key, unsigned int len, bool seal)
{
	const EVP_CIPHER *cipher = len == 20 ? EVP_aes_128_gcm() :
				   len == 28 ? EVP_aes_192_gcm() :
				   len == 36 ? EVP_aes_256_gcm() : NULL;

	sa->ctx = EVP_CIPHER_CTX_new();
	if (!cipher || !sa->ctx || EVP_CipherInit_ex(sa->ctx, cipher, NULL, key, NULL, seal) != 1)
		return -1;
	memcpy(sa->salt, key + len - 4, 4);
	return 0;
}

/* RFC 4106: nonce is salt and IV, additional data is SPI and sequence number */
static bool gcm(struct flood_sa *sa, const uint8_t *esp, const uint8_t *text, uint32_t len, uint8_t *out,
		uint8_t *icv, bool seal)
{
	uint8_t nonce[12];
	int n;

	memcpy(nonce, sa->salt, 4);
	memcpy(nonce + 4, esp + ESP_LEN, IV_LEN);
	if (EVP_CipherInit_ex(sa->ctx, NULL, NULL, NULL, nonce, seal) != 1 ||
	    EVP_CipherUpdate(sa->ctx, NULL, &n, esp, ESP_LEN) != 1 ||
	    EVP_CipherUpdate(sa->ctx, out, &n, text, (int)len) != 1)
		return false;
	if (!seal && EVP_CIPHER_CTX_ctrl(sa->ctx, EVP_CTRL_GCM_SET_TAG, ICV_LEN, icv) != 1)
		return false;
	if (EVP_CipherFinal_ex(sa->ctx, out + n, &n) != 1)
		return false;
	return !seal || EVP_CIPHER_CTX_ctrl(sa->ctx, EVP_CTRL_GCM_GET_TAG, ICV_LEN, icv) == 1;
}

uint32_t flood_seal(struct flood_sa *sa, const uint8_t *packet, uint32_t len, uint8_t *out)
{
	uint32_t pad = -(len + 2) & 3, plain = len + pad + 2, i;
	uint32_t ip = sa->src.family == AF_INET6 ? IPV6_LEN : IPV4_LEN;
	uint32_t total = ip + ESP_LEN + IV_LEN + plain + ICV_LEN;
	uint8_t *esp = out + put_ip(out, &sa->src, &sa->dst, IPPROTO_ESP, FLOOD_TTL, total, 0);
	uint8_t *text = esp + ESP_LEN + IV_LEN;

	put32(esp, sa->spi);
	put32(esp + 4, ++sa->seq);
	put32(esp + 8, 0);
	put32(esp + 12, sa->seq);
	memcpy(text, packet, len);
	for (i = 0; i < pad; i++)
		text[len + i] = i + 1;
	text[plain - 2] = pad;
	text[plain - 1] = packet[0] >> 4 == 6 ? IPPROTO_IPV6 : IPPROTO_IPIP;
	return gcm(sa, esp, text, plain, text, text + plain, true) ? total : 0;
}

/* Length of a sound IP header that wants ESP behind it; 0: not one. */
static uint32_t esp_offset(const uint8_t *p, uint32_t len)
{
	if (len >= IPV4_LEN + ESP_LEN && p[0] == 0x45 && p[9] == IPPROTO_ESP)
		return IPV4_LEN;
	if (len >= IPV6_LEN + ESP_LEN && p[0] >> 4 == 6 && p[6] == IPPROTO_ESP)
		return IPV6_LEN;
	return 0;
}

uint32_t flood_esp(const uint8_t *packet, uint32_t len, uint32_t *seq)
{
	uint32_t ip = esp_offset(packet, len);

	if (!ip)
		return 0;
	*seq = get32(packet + ip + 4);
	return get32(packet + ip);
}

static const char *outer_fault(const struct flood_sa *sa, const uint8_t *p, uint32_t len, uint32_t ip)
{
	uint8_t check[2];

	if (ip == IPV6_LEN) {
		if (get16(p + 4) != len - IPV6_LEN)
			return "outer length";
		if (memcmp(p + 8, sa->src.bytes, 16) || memcmp(p + 24, sa->dst.bytes, 16))
			return "outer addresses";
		return NULL;
	}
	if (get16(p + 2) != len)
		return "outer length";
	if (memcmp(p + 12, sa->src.bytes, 4) || memcmp(p + 16, sa->dst.bytes, 4))
		return "outer addresses";
	put_sum(check, sum(p, IPV4_LEN, 0));
	return get16(check) ? "outer checksum" : NULL;
}

/* RFC 4303 section 2.4: pad bytes count from one; padding fills up to four bytes, not more */
static const char *trailer_fault(const uint8_t *text, uint32_t plain, uint32_t *pad)
{
	uint32_t i;

	*pad = text[plain - 2];
	if (*pad > 3 || *pad + 2 > plain)
		return "pad length";
	for (i = 0; i < *pad; i++)
		if (text[plain - 2 - *pad + i] != i + 1)
			return "pad bytes";
	if (text[plain - 1] != (text[0] >> 4 == 6 ? IPPROTO_IPV6 : IPPROTO_IPIP))
		return "next header";
	return NULL;
}

int flood_open(struct flood_sa *sa, const uint8_t *packet, uint32_t len, uint8_t *out, char *text,
	       uint32_t room)
{
	uint32_t ip = esp_offset(packet, len), plain, pad = 0, seq = 0;
	uint8_t icv[ICV_LEN];
	const char *fault = outer_fault(sa, packet, len, ip);

	flood_esp(packet, len, &seq);
	if (!fault && (len < ip + ESP_LEN + IV_LEN + 4 + ICV_LEN || len > FLOOD_FRAME_MAX))
		fault = "length";
	plain = len - ip - ESP_LEN - IV_LEN - ICV_LEN;
	if (!fault) {
		memcpy(icv, packet + len - ICV_LEN, ICV_LEN);
		if (!gcm(sa, packet + ip, packet + ip + ESP_LEN + IV_LEN, plain, out, icv, false))
			fault = "ICV";
	}
	if (!fault)
		fault = trailer_fault(out, plain, &pad);
	if (!fault)
		return (int)(plain - pad - 2);
	snprintf(text, room, "SPI 0x%x, sequence number %u, %u bytes: wrong %s", sa->spi, seq, len, fault);
	return -1;
}
