// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * What the crypto of a packet costs, ns: every algorithm, engine and direction, jobs one by one and
 *in batches. All variants take turns, and the least of each counts, so that other work on the
 *machine hardly shows.
 *
 *	build/tests/bench/engines [ROUNDS]
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "crypto/algs.h"
#include "crypto/crypto.h"

#define HEAD 24
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
	uint32_t key_len, auth_len, icv_len;
} transforms[] = {
	{"aes-gcm-128", XI_ALG_AES_GCM, XI_AUTH_NONE, 20, 0, 16},
	{"aes-cbc-128 hmac-sha1-96", XI_ALG_AES_CBC, XI_AUTH_HMAC_SHA1, 16, 20, 12},
	{"aes-cbc-128 hmac-sha256-128", XI_ALG_AES_CBC, XI_AUTH_HMAC_SHA256, 16, 32, 16},
	{"aes-cbc-256 hmac-sha384-192", XI_ALG_AES_CBC, XI_AUTH_HMAC_SHA384, 32, 48, 24},
	{"aes-cbc-256 hmac-sha512-256", XI_ALG_AES_CBC, XI_AUTH_HMAC_SHA512, 32, 64, 32},
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
	struct xi_sa_key raw = {.alg = XI_ALG_NONE};

	if (!s->e->usable())
		return;
	if (s->e->create(&s->c, 0))
		exit(1);
	for (size_t i = 0; i < TRANSFORMS; i++) {
		raw.alg = transforms[i].alg;
		raw.auth = transforms[i].auth;
		raw.len = transforms[i].key_len + transforms[i].auth_len;
		raw.auth_len = transforms[i].auth_len;
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
					       .aad_len = 8,
					       .icv_len = transforms[t].icv_len,
					       .head_len = HEAD,
					       .fresh_iv = transforms[t].alg == XI_ALG_AES_CBC};
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

int main(int argc, char **argv)
{
	int rounds = argc > 1 ? atoi(argv[1]) : ROUNDS;

	for (int e = 0; e < ENGINES; e++)
		side_start(&sides[e]);
	for (int i = 0; i < rounds; i++)
		one_round();
	printf("ns a packet, seal/open, jobs in a batch:");
	for (size_t b = 0; b < BATCHES; b++)
		printf("  %8u   ", batches[b]);
	putchar('\n');
	for (size_t t = 0; t < TRANSFORMS; t++)
		for (int e = 0; e < ENGINES; e++)
			for (int z = 0; z < SIZES && sides[e].c; z++)
				print_row(t, e, z);
	return 0;
}
