// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * What the crypto of a packet costs, ns: every algorithm, engine and direction, jobs one by one and
 * in batches. All variants take turns, and the least of each counts, so that other work on the
 * machine hardly shows.
 *
 *	build/tests/bench/engines [-j] [ROUNDS]		-j: as JSON
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "crypto/algs.h"
#include "crypto/crypto.h"

#define HEAD 24 /* SPI, sequence number, the longest IV */
#define BATCH 64
#define ROUNDS 100
#define ENGINES 2
#define SIZES 3
#define DATA_MAX 1408

static const uint32_t sizes[SIZES] = {64, 512, 1408};
static const uint32_t batches[] = {1, 4, 8, 16, 32, 64};
#define BATCHES (sizeof(batches) / sizeof(batches[0]))

static const struct {
	const char *name;
	enum xi_alg alg;
	enum xi_auth auth;
	uint16_t key_bits;
	uint8_t icv_len;
	bool ah, esn;
} transforms[] = {
	{"aes-gcm-128", XI_ALG_AES_GCM, XI_AUTH_NONE, 128, 16, false, false},
	{"aes-gcm-256", XI_ALG_AES_GCM, XI_AUTH_NONE, 256, 16, false, false},
	{"aes-ccm-128", XI_ALG_AES_CCM, XI_AUTH_NONE, 128, 16, false, false},
	{"aes-ccm-192", XI_ALG_AES_CCM, XI_AUTH_NONE, 192, 16, false, false},
	{"aes-ccm-256", XI_ALG_AES_CCM, XI_AUTH_NONE, 256, 16, false, false},
	{"chacha20-poly1305", XI_ALG_CHACHA20_POLY1305, XI_AUTH_NONE, 256, 16, false, false},
	{"aes-gmac-128", XI_ALG_AES_GMAC, XI_AUTH_NONE, 128, 16, false, false},
	{"aes-gmac-128 esn", XI_ALG_AES_GMAC, XI_AUTH_NONE, 128, 16, false, true},
	{"aes-gmac-256", XI_ALG_AES_GMAC, XI_AUTH_NONE, 256, 16, false, false},
	{"aes-cbc-128 hmac-sha1-96", XI_ALG_AES_CBC, XI_AUTH_HMAC_SHA1, 128, 12, false, false},
	{"aes-cbc-128 hmac-sha256-128", XI_ALG_AES_CBC, XI_AUTH_HMAC_SHA256, 128, 16, false, false},
	{"aes-cbc-256 hmac-sha384-192", XI_ALG_AES_CBC, XI_AUTH_HMAC_SHA384, 256, 24, false, false},
	{"aes-cbc-256 hmac-sha512-256", XI_ALG_AES_CBC, XI_AUTH_HMAC_SHA512, 256, 32, false, false},
	{"aes-cbc-128 aes-cmac-96", XI_ALG_AES_CBC, XI_AUTH_AES_CMAC, 128, 12, false, false},
	{"aes-ctr-128 hmac-sha1-96", XI_ALG_AES_CTR, XI_AUTH_HMAC_SHA1, 128, 12, false, false},
	{"aes-ctr-128 hmac-sha256-128", XI_ALG_AES_CTR, XI_AUTH_HMAC_SHA256, 128, 16, false, false},
	{"aes-ctr-256 hmac-sha512-256", XI_ALG_AES_CTR, XI_AUTH_HMAC_SHA512, 256, 32, false, false},
	{"aes-ctr-128 aes-cmac-96", XI_ALG_AES_CTR, XI_AUTH_AES_CMAC, 128, 12, false, false},
	{"null hmac-sha256-128", XI_ALG_NULL, XI_AUTH_HMAC_SHA256, 0, 16, false, false},
	{"null aes-cmac-96", XI_ALG_NULL, XI_AUTH_AES_CMAC, 0, 12, false, false},
	{"ah hmac-sha1-96", XI_ALG_NONE, XI_AUTH_HMAC_SHA1, 0, 12, true, false},
	{"ah hmac-sha256-128", XI_ALG_NONE, XI_AUTH_HMAC_SHA256, 0, 16, true, false},
	{"ah hmac-sha384-192", XI_ALG_NONE, XI_AUTH_HMAC_SHA384, 0, 24, true, false},
	{"ah hmac-sha512-256", XI_ALG_NONE, XI_AUTH_HMAC_SHA512, 0, 32, true, false},
	{"ah aes-cmac-96", XI_ALG_NONE, XI_AUTH_AES_CMAC, 0, 12, true, false},
	{"ah aes-gmac-128", XI_ALG_AES_GMAC, XI_AUTH_NONE, 128, 16, true, false},
};
#define TRANSFORMS (sizeof(transforms) / sizeof(transforms[0]))

struct side {
	const struct xi_engine *e;
	struct xi_crypto *c;
	struct xi_ckey *keys[TRANSFORMS];
};

static struct side sides[ENGINES] = {{.e = &xi_engine_openssl}, {.e = &xi_engine_ipsec_mb}};
static double least[TRANSFORMS][ENGINES][SIZES][BATCHES][2];
static uint8_t packets[BATCH][HEAD + DATA_MAX + 32];

static void side_start(struct side *s)
{
	if (!s->e->usable())
		return;
	if (s->e->create(&s->c, 0))
		exit(1);
	for (size_t i = 0; i < TRANSFORMS; i++) {
		const struct xi_cipher_info *cipher = xi_cipher_info(transforms[i].alg);
		const struct xi_auth_info *auth = xi_auth_info(transforms[i].auth);
		struct xi_sa_key raw = {.alg = transforms[i].alg, .auth = transforms[i].auth};

		raw.auth_len = auth ? auth->key_bits / 8U : 0;
		raw.len = transforms[i].key_bits / 8U + raw.auth_len;
		raw.len += cipher ? cipher->salt_len : 0;
		if (s->e->key_new(&s->keys[i], &raw, 1))
			exit(1);
	}
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

/* BATCH packets are sealed and opened again, n at a time. */
static void measure(const struct side *s, size_t t, uint32_t len, uint32_t n, double ns[2])
{
	struct xi_aead_job jobs[BATCH];
	double start;

	for (uint32_t i = 0; i < BATCH; i++) {
		jobs[i] = (struct xi_aead_job){.key = s->keys[t],
					       .data = packets[i] + HEAD,
					       .len = len,
					       .icv = packets[i] + HEAD + len,
					       .aad_len = transforms[t].esn ? 12 : 8,
					       .icv_len = transforms[t].icv_len,
					       .head_len = HEAD,
					       .ah = transforms[t].ah,
					       .fresh_iv = transforms[t].alg == XI_ALG_AES_CBC};
		memset(packets[i], 0, HEAD);
	}
	start = now();
	for (uint32_t i = 0; i < BATCH; i += n)
		s->e->seal(s->c, jobs + i, n);
	ns[0] = (now() - start) / BATCH;
	start = now();
	for (uint32_t i = 0; i < BATCH; i += n)
		s->e->open(s->c, jobs + i, n);
	ns[1] = (now() - start) / BATCH;
	for (uint32_t i = 0; i < BATCH; i++)
		if (jobs[i].status)
			exit(1);
}

static void one_round(void)
{
	double ns[2];

	for (size_t t = 0; t < TRANSFORMS; t++)
		for (int z = 0; z < SIZES; z++)
			for (size_t b = 0; b < BATCHES; b++)
				for (int e = 0; e < ENGINES; e++) {
					double *min = least[t][e][z][b];

					if (!sides[e].c)
						continue;
					measure(&sides[e], t, sizes[z], batches[b], ns);
					for (int dir = 0; dir < 2; dir++)
						if (!min[dir] || ns[dir] < min[dir])
							min[dir] = ns[dir];
				}
}

static void print_row(size_t t, int e, int z)
{
	printf("%-28s %-9s %5u ", transforms[t].name, sides[e].e->name, sizes[z]);
	for (size_t b = 0; b < BATCHES; b++)
		printf("  %5.0f/%-5.0f", least[t][e][z][b][0], least[t][e][z][b][1]);
	putchar('\n');
}

static void print_table(void)
{
	printf("ns a packet, seal/open, jobs in a batch:      ");
	for (size_t b = 0; b < BATCHES; b++)
		printf("  %8u   ", batches[b]);
	putchar('\n');
	for (size_t t = 0; t < TRANSFORMS; t++)
		for (int e = 0; e < ENGINES; e++)
			for (int z = 0; z < SIZES && sides[e].c; z++)
				print_row(t, e, z);
}

/* A list of what was measured, one variant a line. */
static void print_json(void)
{
	const char *sep = "[\n";

	for (size_t t = 0; t < TRANSFORMS; t++)
		for (int e = 0; e < ENGINES; e++)
			for (int z = 0; z < SIZES && sides[e].c; z++)
				for (size_t b = 0; b < BATCHES; b++) {
					printf("%s {\"transform\": \"%s\", \"engine\": \"%s\", \"bytes\": %u, \"batch\": %u, \"seal_ns\": %.1f, \"open_ns\": %.1f}",
					       sep, transforms[t].name, sides[e].e->name, sizes[z],
					       batches[b], least[t][e][z][b][0],
					       least[t][e][z][b][1]);
					sep = ",\n";
				}
	puts("\n]");
}

int main(int argc, char **argv)
{
	bool json = false;
	int rounds = ROUNDS;

	for (int opt; (opt = getopt(argc, argv, "j")) != -1;) {
		if (opt != 'j') {
			fprintf(stderr, "usage: engines [-j] [ROUNDS]\n");
			return 2;
		}
		json = true;
	}
	if (optind < argc)
		rounds = atoi(argv[optind]);
	for (int e = 0; e < ENGINES; e++)
		side_start(&sides[e]);
	for (int i = 0; i < rounds; i++)
		one_round();
	if (json)
		print_json();
	else
		print_table();
	return 0;
}
