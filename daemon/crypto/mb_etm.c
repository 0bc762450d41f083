// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "crypto/mb_etm.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <openssl/crypto.h>

#include "crypto/ivgen.h"

#define AES_SIZES 3
#define CIPHERS (2 * AES_SIZES) /* CBC's sizes, then CTR's */
#define TAG_MAX 64
#define PAGE 4096
#define SLOW_MAX 32 /* keys of the SLOW method at a time: two lanes full of the widest hash */

/*
 * `few`: so many jobs are done sooner one after the other by the CPU's SHA instructions than
 * together by vectors, which take as long for one as for a lane full. Measured on Sapphire Rapids
 * with 64 to 1408 bytes; there are no such instructions for SHA-384 and SHA-512.
 */
static const struct {
	IMB_HASH_ALG alg;
	uint8_t tag_len; /* that the library gives; ours may be shorter */
	uint8_t few;
} hashes[] = {
	[XI_AUTH_HMAC_SHA1] = {IMB_AUTH_HMAC_SHA_1, 12, 4},
	[XI_AUTH_HMAC_SHA256] = {IMB_AUTH_HMAC_SHA_256, 16, 8},
	[XI_AUTH_HMAC_SHA384] = {IMB_AUTH_HMAC_SHA_384, 24, 0},
	[XI_AUTH_HMAC_SHA512] = {IMB_AUTH_HMAC_SHA_512, 32, 0},
	[XI_AUTH_AES_CMAC] = {IMB_AUTH_AES_CMAC, 12, 0},
};
#define AUTHS (sizeof(hashes) / sizeof(hashes[0]))

struct lane {
	struct xi_aead_job *job;
	const struct xi_mb_etm_key *key;
};

struct xi_mb_etm {
	IMB_MGR *mgr;
	IMB_MGR *sha;	/* with SHA instructions; NULL: the CPU has none */
	uint32_t width; /* lanes of mgr's SHA-1 and SHA-256 */
	struct xi_ivgen *ivgen;
	struct xi_mb_etm_ops ops;
	struct xi_mb_etm_key slow[SLOW_MAX]; /* the SLOW method's, among lanes; wiped with them */
	const struct xi_sa_key *slow_raw;    /* what the last of them was made from */
	unsigned int nslow;
	unsigned int n;
	struct lane lanes[XI_JOBS_MAX];
	struct lane *group[XI_JOBS_MAX];
	struct xi_aead_job *jobs[XI_JOBS_MAX];
	IMB_JOB imb[XI_JOBS_MAX];
	uint8_t want[XI_JOBS_MAX][XI_ICV_MAX]; /* ICVs as they came */
	uint8_t tags[XI_JOBS_MAX][TAG_MAX];
	uint8_t copy[XI_JOB_MAX + 16];
};

void xi_mb_etm_ops(const IMB_MGR *mgr, struct xi_mb_etm_ops *ops)
{
	*ops = (struct xi_mb_etm_ops){
		.aes = {mgr->keyexp_128, mgr->keyexp_192, mgr->keyexp_256},
		.cmac = mgr->cmac_subkey_gen_128,
		.sha = {[XI_AUTH_HMAC_SHA1] = mgr->sha1_one_block,
			[XI_AUTH_HMAC_SHA256] = mgr->sha256_one_block,
			[XI_AUTH_HMAC_SHA384] = mgr->sha384_one_block,
			[XI_AUTH_HMAC_SHA512] = mgr->sha512_one_block},
	};
}

/* State after one block of the key, zero-padded, XOR fill. The key is never longer than a block. */
static void hmac_state(hash_one_block_t sha, const struct xi_sa_key *raw, uint8_t fill,
		       uint8_t *state)
{
	const uint8_t *key = xi_key_auth(raw);
	uint8_t block[128];

	memset(block, fill, sizeof(block));
	for (uint32_t i = 0; i < raw->auth_len; i++)
		block[i] ^= key[i];
	sha(block, state);
	explicit_bzero(block, sizeof(block));
}

static void cmac_expand(const struct xi_mb_etm_ops *ops, struct xi_mb_etm_key *key,
			const struct xi_sa_key *raw)
{
	uint8_t unused[11 * 16] __attribute__((aligned(16)));

	ops->aes[0](xi_key_auth(raw), key->mac.cmac.enc, unused);
	ops->cmac(key->mac.cmac.enc, key->mac.cmac.k1, key->mac.cmac.k2);
	explicit_bzero(unused, sizeof(unused));
}

int xi_mb_etm_expand(const struct xi_mb_etm_ops *ops, struct xi_mb_etm_key *key,
		     const struct xi_sa_key *raw)
{
	if (raw->auth == XI_AUTH_NONE || !xi_key_valid(raw))
		return -EINVAL;
	key->alg = (uint8_t)raw->alg;
	key->auth = (uint8_t)raw->auth;
	if (raw->alg == XI_ALG_AES_CBC || raw->alg == XI_ALG_AES_CTR) {
		key->aes = (uint8_t)xi_aes_size(raw);
		ops->aes[key->aes](raw->key, key->enc, key->dec);
	}
	if (raw->auth == XI_AUTH_AES_CMAC) {
		cmac_expand(ops, key, raw);
		return 0;
	}
	hmac_state(ops->sha[raw->auth], raw, 0x36, key->mac.hmac.inner);
	hmac_state(ops->sha[raw->auth], raw, 0x5c, key->mac.hmac.outer);
	return 0;
}

int xi_mb_etm_new(struct xi_mb_etm **out, IMB_MGR *mgr, IMB_MGR *sse)
{
	struct xi_mb_etm *etm;
	void *p;
	int err;

	if (posix_memalign(&p, 64, sizeof(*etm)))
		return -ENOMEM;
	etm = memset(p, 0, sizeof(*etm));
	etm->mgr = mgr;
	etm->sha = mgr->features & IMB_FEATURE_SHANI ? sse : NULL;
	etm->width = mgr->used_arch == IMB_ARCH_AVX512 ? 16 : 8;
	xi_mb_etm_ops(mgr, &etm->ops);
	err = xi_ivgen_new(&etm->ivgen);
	if (err) {
		xi_mb_etm_free(etm);
		return err;
	}
	*out = etm;
	return 0;
}

void xi_mb_etm_free(struct xi_mb_etm *etm)
{
	if (!etm)
		return;
	xi_ivgen_free(etm->ivgen);
	explicit_bzero(etm, sizeof(*etm));
	free(etm);
}

static void fail(struct lane **group, unsigned int n)
{
	for (unsigned int i = 0; i < n; i++)
		group[i]->job->status = -EIO;
}

static void cipher_fill(IMB_JOB *imb, const struct lane *lane, IMB_CIPHER_DIRECTION dir)
{
	bool cbc = lane->key->alg == XI_ALG_AES_CBC;

	imb->status = IMB_STATUS_BEING_PROCESSED;
	imb->cipher_mode = cbc ? IMB_CIPHER_CBC : IMB_CIPHER_CNTR;
	imb->cipher_direction = dir;
	imb->enc_keys = lane->key->enc;
	imb->dec_keys = cbc ? lane->key->dec : lane->key->enc;
	imb->key_len_in_bytes = 16U + 8U * lane->key->aes;
	imb->src = lane->job->data;
	imb->dst = lane->job->data;
	imb->cipher_start_src_offset_in_bytes = 0;
	imb->msg_len_to_cipher_in_bytes = lane->job->len;
	/* 12 bytes: the library counts from 1 behind them, as RFC 3686 section 4 does */
	imb->iv = cbc ? lane->job->data - XI_CBC_BLOCK : lane->job->nonce;
	imb->iv_len_in_bytes = cbc ? XI_CBC_BLOCK : sizeof(lane->job->nonce);
}

/* Which burst a job belongs to, because a burst has one cipher and key size; CIPHERS: none. */
static unsigned int cipher_burst(const struct xi_mb_etm_key *key)
{
	switch (key->alg) {
	case XI_ALG_AES_CBC:
		return key->aes;
	case XI_ALG_AES_CTR:
		return AES_SIZES + key->aes;
	default:
		return CIPHERS;
	}
}

static unsigned int cipher_bursts(const struct lane *lanes, unsigned int n)
{
	unsigned int set = 0;

	for (unsigned int i = 0; i < n; i++)
		set |= 1U << cipher_burst(lanes[i].key);
	return set;
}

/* All jobs that are still good. */
static void cipher_run(struct xi_mb_etm *etm, struct lane *lanes, unsigned int n,
		       IMB_CIPHER_DIRECTION dir)
{
	unsigned int set = cipher_bursts(lanes, n);

	for (unsigned int burst = 0; burst < CIPHERS; burst++) {
		unsigned int m = 0;

		if (!(set >> burst & 1))
			continue;
		for (unsigned int i = 0; i < n; i++) {
			if (cipher_burst(lanes[i].key) != burst || lanes[i].job->status ||
			    !lanes[i].job->len)
				continue;
			cipher_fill(&etm->imb[m], &lanes[i], dir);
			etm->group[m++] = &lanes[i];
		}
		if (m &&
		    IMB_SUBMIT_CIPHER_BURST_NOCHECK(etm->mgr, etm->imb, m, etm->imb[0].cipher_mode,
						    dir, 16U + 8U * (burst % AES_SIZES)) != m)
			fail(etm->group, m);
	}
}

static void hash_fill(IMB_JOB *imb, const struct lane *lane, uint8_t *tag)
{
	const struct xi_mb_etm_key *key = lane->key;
	const struct xi_aead_job *job = lane->job;

	imb->status = IMB_STATUS_BEING_PROCESSED;
	imb->hash_alg = hashes[key->auth].alg;
	imb->src = xi_job_head(job);
	imb->hash_start_src_offset_in_bytes = 0;
	imb->msg_len_to_hash_in_bytes =
		job->head_len + job->len + (xi_job_has_esn(job) ? XI_JOB_ESN_LEN : 0);
	imb->auth_tag_output = tag;
	imb->auth_tag_output_len_in_bytes = hashes[key->auth].tag_len;
	if (key->auth == XI_AUTH_AES_CMAC) {
		imb->u.CMAC._key_expanded = key->mac.cmac.enc;
		imb->u.CMAC._skey1 = key->mac.cmac.k1;
		imb->u.CMAC._skey2 = key->mac.cmac.k2;
		return;
	}
	imb->u.HMAC._hashed_auth_key_xor_ipad = key->mac.hmac.inner;
	imb->u.HMAC._hashed_auth_key_xor_opad = key->mac.hmac.outer;
}

/* CMAC reads its last block whole, though the message ends within: 15 bytes too many, which may be
 * another page's. */
static bool cmac_overruns(const IMB_JOB *imb)
{
	uintptr_t end = (uintptr_t)imb->src + imb->msg_len_to_hash_in_bytes;

	return imb->msg_len_to_hash_in_bytes % 16 && (end - 1) / PAGE != (end + 14) / PAGE;
}

static unsigned int cmac_submit(struct xi_mb_etm *etm, const IMB_JOB *from)
{
	IMB_JOB *imb = IMB_GET_NEXT_JOB(etm->mgr);
	unsigned int done = 0;

	*imb = *from;
	imb->cipher_mode = IMB_CIPHER_NULL;
	imb->cipher_direction = IMB_DIR_ENCRYPT;
	imb->chain_order = IMB_ORDER_HASH_CIPHER;
	imb->key_len_in_bytes = 16;
	for (imb = IMB_SUBMIT_JOB_NOCHECK(etm->mgr); imb; imb = IMB_GET_COMPLETED_JOB(etm->mgr))
		done += imb->status == IMB_STATUS_COMPLETED;
	return done;
}

static unsigned int cmac_flush(struct xi_mb_etm *etm)
{
	unsigned int done = 0;

	for (const IMB_JOB *imb; (imb = IMB_FLUSH_JOB(etm->mgr));)
		done += imb->status == IMB_STATUS_COMPLETED;
	return done;
}

/* CMAC has no burst, but lanes behind the job interface. */
static bool cmac_run(struct xi_mb_etm *etm, unsigned int n)
{
	unsigned int done = 0;

	for (unsigned int i = 0; i < n; i++) {
		IMB_JOB *imb = &etm->imb[i];
		bool copied = cmac_overruns(imb);

		if (copied) {
			memcpy(etm->copy, imb->src, imb->msg_len_to_hash_in_bytes);
			imb->src = etm->copy;
		}
		done += cmac_submit(etm, imb);
		if (copied)
			done += cmac_flush(etm);
	}
	return done + cmac_flush(etm) == n;
}

/* The jobs that fill lanes go through those; a few that are left over, one by one. */
static bool hmac_run(struct xi_mb_etm *etm, enum xi_auth auth, unsigned int n)
{
	unsigned int few = etm->sha ? n % etm->width : 0;
	unsigned int many = n - (few <= hashes[auth].few ? few : 0);

	if (many &&
	    IMB_SUBMIT_HASH_BURST_NOCHECK(etm->mgr, etm->imb, many, hashes[auth].alg) != many)
		return false;
	few = n - many;
	return !few || IMB_SUBMIT_HASH_BURST_NOCHECK(etm->sha, etm->imb + many, few,
						     hashes[auth].alg) == few;
}

static bool hash_burst(struct xi_mb_etm *etm, enum xi_auth auth, unsigned int n)
{
	return auth == XI_AUTH_AES_CMAC ? cmac_run(etm, n) : hmac_run(etm, auth, n);
}

/* tags[i] belongs to lanes[i]. */
static void hash_run(struct xi_mb_etm *etm, struct lane *lanes, unsigned int n)
{
	unsigned int set = 0;

	for (unsigned int i = 0; i < n; i++)
		set |= 1U << lanes[i].key->auth;
	for (enum xi_auth auth = XI_AUTH_HMAC_SHA1; auth < AUTHS; auth++) {
		unsigned int m = 0;

		if (!(set >> auth & 1))
			continue;
		for (unsigned int i = 0; i < n; i++) {
			if (lanes[i].key->auth != auth || lanes[i].job->status)
				continue;
			hash_fill(&etm->imb[m], &lanes[i], etm->tags[i]);
			etm->group[m++] = &lanes[i];
		}
		if (m && !hash_burst(etm, auth, m))
			fail(etm->group, m);
	}
}

static void esn_append(const struct xi_aead_job *job)
{
	if (xi_job_has_esn(job))
		memcpy(job->data + job->len, xi_job_esn(job), XI_JOB_ESN_LEN);
}

/* Its size is not known to the compiler, which would make "rep movs" of memcpy. */
static void icv_copy(uint8_t *to, const uint8_t *from, uint32_t len)
{
	for (uint32_t i = 0; i < len; i += 4)
		memcpy(to + i, from + i, 4);
}

static void seal_run(struct xi_mb_etm *etm, struct lane *lanes, unsigned int n)
{
	struct xi_aead_job **jobs = etm->jobs;
	unsigned int i;
	int err;

	for (i = 0; i < n; i++)
		jobs[i] = lanes[i].job;
	err = xi_ivgen_fill(etm->ivgen, jobs, n);
	for (i = 0; i < n; i++) {
		jobs[i]->status = err;
		esn_append(jobs[i]);
	}
	cipher_run(etm, lanes, n, IMB_DIR_ENCRYPT);
	hash_run(etm, lanes, n);
	for (i = 0; i < n; i++)
		if (!jobs[i]->status)
			icv_copy(jobs[i]->icv, etm->tags[i], jobs[i]->icv_len);
}

/* Nothing is decrypted whose ICV was not verified. */
static void open_run(struct xi_mb_etm *etm, struct lane *lanes, unsigned int n)
{
	unsigned int i;

	for (i = 0; i < n; i++) {
		struct xi_aead_job *job = lanes[i].job;

		job->status = 0;
		icv_copy(etm->want[i], job->icv, job->icv_len);
		esn_append(job);
	}
	hash_run(etm, lanes, n);
	for (i = 0; i < n; i++) {
		struct xi_aead_job *job = lanes[i].job;

		icv_copy(job->icv, etm->want[i], job->icv_len);
		if (!job->status && CRYPTO_memcmp(etm->tags[i], job->icv, job->icv_len))
			job->status = -EBADMSG;
	}
	cipher_run(etm, lanes, n, IMB_DIR_DECRYPT);
	for (i = 0; i < n; i++)
		if (lanes[i].job->status)
			xi_job_zero(lanes[i].job);
}

static void run(struct xi_mb_etm *etm, struct lane *lanes, unsigned int n, IMB_CIPHER_DIRECTION dir)
{
	if (dir == IMB_DIR_ENCRYPT)
		seal_run(etm, lanes, n);
	else
		open_run(etm, lanes, n);
}

/*
 * An expanded key that lives until the next flush; jobs of one SA in a row share it. NULL:
 * job->status says why.
 */
static const struct xi_mb_etm_key *slow_key(struct xi_mb_etm *etm, struct xi_aead_job *job,
					    IMB_CIPHER_DIRECTION dir)
{
	if (etm->nslow && etm->slow_raw == job->raw)
		return &etm->slow[etm->nslow - 1];
	if (etm->nslow == SLOW_MAX)
		xi_mb_etm_flush(etm, dir);
	job->status = xi_mb_etm_expand(&etm->ops, &etm->slow[etm->nslow], job->raw);
	if (job->status)
		return NULL;
	etm->slow_raw = job->raw;
	return &etm->slow[etm->nslow++];
}

void xi_mb_etm_add(struct xi_mb_etm *etm, struct xi_aead_job *job, const struct xi_mb_etm_key *key,
		   IMB_CIPHER_DIRECTION dir)
{
	if (!key)
		key = slow_key(etm, job, dir);
	if (!key)
		return;
	job->status = xi_job_check(job, key->alg, key->auth);
	if (job->status)
		return;
	etm->lanes[etm->n++] = (struct lane){job, key};
	if (etm->n == XI_JOBS_MAX)
		xi_mb_etm_flush(etm, dir);
}

void xi_mb_etm_flush(struct xi_mb_etm *etm, IMB_CIPHER_DIRECTION dir)
{
	unsigned int n = etm->n;

	etm->n = 0;
	if (n)
		run(etm, etm->lanes, n, dir);
	explicit_bzero(etm->slow, etm->nslow * sizeof(etm->slow[0]));
	etm->nslow = 0;
}
