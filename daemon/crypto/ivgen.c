// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "crypto/ivgen.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <openssl/evp.h>

/*
 * AES-128 of a counter under a key that nobody knows: as long as fewer than 2^64 IVs come of it
 * they cannot be told from random ones, but that none comes twice. The key is drawn anew with every
 * worker.
 */
struct xi_ivgen {
	EVP_CIPHER_CTX *aes;
	uint64_t prefix;
	uint64_t count;
	uint64_t blocks[XI_JOBS_MAX][2];
};

int xi_ivgen_new(struct xi_ivgen **out)
{
	struct xi_ivgen *gen = calloc(1, sizeof(*gen));
	uint8_t key[16];
	int err = -ENOMEM;

	if (!gen)
		return err;
	gen->aes = EVP_CIPHER_CTX_new();
	if (!gen->aes)
		goto free_gen;
	err = -EIO;
	if (getrandom(key, sizeof(key), 0) != sizeof(key) ||
	    getrandom(&gen->prefix, sizeof(gen->prefix), 0) != sizeof(gen->prefix) ||
	    !EVP_EncryptInit_ex2(gen->aes, EVP_aes_128_ecb(), key, NULL, NULL))
		goto free_ctx;
	explicit_bzero(key, sizeof(key));
	EVP_CIPHER_CTX_set_padding(gen->aes, 0);
	*out = gen;
	return 0;
free_ctx:
	explicit_bzero(key, sizeof(key));
	EVP_CIPHER_CTX_free(gen->aes);
free_gen:
	free(gen);
	return err;
}

void xi_ivgen_free(struct xi_ivgen *gen)
{
	if (!gen)
		return;
	EVP_CIPHER_CTX_free(gen->aes);
	free(gen);
}

int xi_ivgen_fill(struct xi_ivgen *gen, struct xi_aead_job *const *jobs, unsigned int n)
{
	uint8_t *bytes = (uint8_t *)gen->blocks;
	unsigned int i, wanted = 0;
	int len;

	for (i = 0; i < n; i++) {
		if (!jobs[i]->fresh_iv)
			continue;
		gen->blocks[wanted][0] = gen->prefix;
		gen->blocks[wanted++][1] = gen->count++;
	}
	if (!wanted)
		return 0;
	if (!EVP_EncryptUpdate(gen->aes, bytes, &len, bytes, (int)(wanted * XI_CBC_BLOCK)))
		return -EIO;
	for (i = 0; i < n; i++) {
		if (!jobs[i]->fresh_iv)
			continue;
		memcpy(jobs[i]->data - XI_CBC_BLOCK, bytes, XI_CBC_BLOCK);
		bytes += XI_CBC_BLOCK;
	}
	return 0;
}
