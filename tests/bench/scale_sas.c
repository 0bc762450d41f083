/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "scale_sas.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <netinet/udp.h>
#include <string.h>

#include <openssl/evp.h>

#define ESP 8
#define IV 8
#define ICV 16
#define TTL 64

static uint64_t mix(uint64_t x)
{
	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9ULL;
	x = (x ^ x >> 27) * 0x94d049bb133111ebULL;
	return x ^ x >> 31;
}

void scale_key(uint32_t number, uint8_t *key, uint32_t n)
{
	for (uint32_t i = 0; i < n; i += 8) {
		uint64_t word = mix(((uint64_t)number << 32 | i) + 0x9e3779b97f4a7c15ULL);

		memcpy(key + i, &word, n - i < 8 ? n - i : 8);
	}
}

void scale_ip(uint8_t *to, uint32_t size, uint8_t proto, uint32_t src, uint32_t dst)
{
	struct iphdr ip = {
		.version = 4, .ihl = 5, .tot_len = htons(size), .ttl = TTL, .protocol = proto,
		.saddr = htonl(src), .daddr = htonl(dst),
	};
	uint16_t words[10];
	uint32_t sum = 0;

	memcpy(words, &ip, sizeof(ip));
	for (int i = 0; i < 10; i++)
		sum += words[i];
	sum = (sum & 0xffff) + (sum >> 16);
	ip.check = ~(sum + (sum >> 16));
	memcpy(to, &ip, sizeof(ip));
}

void scale_udp(uint8_t *to, uint32_t size, uint32_t src, uint32_t dst, uint16_t port)
{
	struct udphdr udp = {
		.source = htons(SCALE_PORT_LIVE), .dest = htons(port),
		.len = htons(size - sizeof(struct iphdr)),
	};
	uint64_t magic = SCALE_MAGIC ^ htonl(src);

	memset(to, 0, size);
	scale_ip(to, size, IPPROTO_UDP, src, dst);
	memcpy(to + sizeof(struct iphdr), &udp, sizeof(udp));
	memcpy(to + sizeof(struct iphdr) + sizeof(udp), &magic, sizeof(magic));
}

/* RFC 4303 section 2.4: pad length and next header end on a multiple of four. */
static uint32_t trailed(uint32_t size)
{
	return (size + 2 + 3) & ~3U;
}

uint32_t scale_esp_len(uint32_t size)
{
	return ESP + IV + trailed(size) + ICV;
}

/* RFC 4303 and RFC 4106, in place. */
static int seal(EVP_CIPHER_CTX *ctx, uint32_t number, uint32_t size, uint16_t port, uint8_t *esp)
{
	const uint32_t head[2] = { htonl(SCALE_SPI + number), htonl(1) };
	uint8_t key[SCALE_KEY + SCALE_SALT], nonce[SCALE_SALT + IV], *clear = esp + ESP + IV;
	uint32_t len = trailed(size);
	int n;

	scale_key(number, key, sizeof(key));
	memcpy(esp, head, ESP);
	memset(esp + ESP, 0, IV);
	esp[ESP + IV - 1] = 1;
	memcpy(nonce, key + SCALE_KEY, SCALE_SALT);
	memcpy(nonce + SCALE_SALT, esp + ESP, IV);
	scale_udp(clear, size, SCALE_NET_IN + number, SCALE_HOST, port);
	for (uint32_t i = size; i < len - 2; i++)
		clear[i] = i - size + 1;
	clear[len - 2] = len - 2 - size;
	clear[len - 1] = IPPROTO_IPIP;
	return EVP_EncryptInit_ex(ctx, NULL, NULL, key, nonce) == 1 &&
	       EVP_EncryptUpdate(ctx, NULL, &n, esp, ESP) == 1 &&
	       EVP_EncryptUpdate(ctx, clear, &n, clear, len) == 1 &&
	       EVP_EncryptFinal_ex(ctx, clear + len, &n) == 1 &&
	       EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, ICV, clear + len) == 1 ? 0 : -EIO;
}

int scale_seal(uint32_t first, uint32_t count, uint32_t size, uint16_t port, uint8_t *to, uint32_t stride)
{
	EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
	int err = ctx && EVP_EncryptInit_ex(ctx, EVP_aes_128_gcm(), NULL, NULL, NULL) == 1 ? 0 : -ENOMEM;

	for (uint32_t i = 0; !err && i < count; i++)
		err = seal(ctx, first + i, size, port, to + (size_t)i * stride);
	EVP_CIPHER_CTX_free(ctx);
	return err;
}
