// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * intel-ipsec-mb 1.3: the direct, synchronous GCM calls, which beat its job and burst interfaces
 * for single packets; ciphers with separate integrity as bursts (mb_etm.c); the other AEADs
 * (mb_aead.c). Keys of what the library lacks, AES-CCM of 192 bits, are OpenSSL's. AES-GCM keys of
 * the SLOW method are expanded several at once (gcm_expand.c).
 */
#include "crypto/crypto.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <intel-ipsec-mb.h>
#include <openssl/crypto.h>

#include "crypto/algs.h"
#include "crypto/gcm.h"
#include "crypto/gcm_expand.h"
#include "crypto/mb_aead.h"
#include "crypto/mb_etm.h"

/* What the library has for one AES size on this CPU. */
struct gcm_ops {
	aes_gcm_pre_t expand;
	aes_gcm_enc_dec_t seal;
	aes_gcm_enc_dec_t open;
};

/* Not 0: comparing with memory is one instruction then, where loading is two. */
enum kind { KIND_GCM = 1, KIND_AEAD, KIND_ETM, KIND_OTHER };

struct xi_ckey {
	union {
		struct gcm_key_data gcm;
		struct xi_mb_etm_key etm;
		struct xi_mb_aead_key aead;
		struct xi_ckey *other; /* OpenSSL's */
	};
	enum kind kind;
	enum xi_gcm_size size;
};

#define SCRATCH_AHEAD 16 /* jobs among which others are looked for to be expanded with the first */

/* Keys of the SLOW method, of one size; wiped when a batch ends. */
struct scratch {
	struct xi_ckey keys[XI_GCM_LANES];
	const struct xi_sa_key *raws[XI_GCM_LANES];
	uint32_t powers[XI_GCM_LANES]; /* of the hash key */
	unsigned int n;
	unsigned int dirty; /* so many hold, or held, a key */
};

struct xi_crypto {
	struct scratch scratch;
	bool expand; /* by gcm_expand.c */
	struct gcm_context_data ctx;
	struct gcm_ops ops[XI_GCM_SIZES];
	IMB_MGR *mgr;
	IMB_MGR *sse; /* for few or short jobs */
	struct xi_mb_etm *etm;
	struct xi_mb_aead *aead;
	struct xi_crypto *other; /* OpenSSL's */
};

static void *alloc_lines(size_t size)
{
	void *p;

	if (posix_memalign(&p, 64, size))
		return NULL;
	memset(p, 0, size);
	return p;
}

static void mgr_init_best(IMB_MGR *mgr)
{
	init_mb_mgr_auto(mgr, NULL);
}

static IMB_MGR *mgr_new(void (*init)(IMB_MGR *mgr))
{
	IMB_MGR *mgr = alloc_mb_mgr(0);

	if (mgr)
		init(mgr);
	return mgr;
}

static void ops_get(const IMB_MGR *mgr, struct gcm_ops ops[XI_GCM_SIZES])
{
	ops[XI_GCM_128] = (struct gcm_ops){mgr->gcm128_pre, mgr->gcm128_enc, mgr->gcm128_dec};
	ops[XI_GCM_192] = (struct gcm_ops){mgr->gcm192_pre, mgr->gcm192_enc, mgr->gcm192_dec};
	ops[XI_GCM_256] = (struct gcm_ops){mgr->gcm256_pre, mgr->gcm256_enc, mgr->gcm256_dec};
}

/* What this CPU gets, found once: keys are expanded outside of any worker, for the code that all
 * workers use. */
static pthread_once_t probe_once = PTHREAD_ONCE_INIT;
static struct gcm_ops probe_ops[XI_GCM_SIZES];
static struct xi_mb_etm_ops probe_etm_ops;
static struct xi_mb_aead_ops probe_aead_ops;
static bool probe_usable;
static bool probe_expand; /* gcm_expand.c is for this CPU */

static void probe(void)
{
	const uint64_t need = IMB_FEATURE_AESNI | IMB_FEATURE_PCLMULQDQ;
	IMB_MGR *mgr = mgr_new(mgr_init_best);

	if (!mgr)
		return;
	ops_get(mgr, probe_ops);
	xi_mb_etm_ops(mgr, &probe_etm_ops);
	xi_mb_aead_ops(mgr, &probe_aead_ops);
	probe_usable = (mgr->features & need) == need && !(mgr->features & IMB_FEATURE_AESNI_EMU) &&
		       (!(mgr->features & IMB_FEATURE_SELF_TEST) ||
			(mgr->features & IMB_FEATURE_SELF_TEST_PASS)) &&
		       xi_engine_openssl.usable();
	probe_expand = probe_usable && xi_gcm_expand_fits(mgr);
	free_mb_mgr(mgr);
}

static bool mb_usable(void)
{
	pthread_once(&probe_once, probe);
	return probe_usable;
}

static void mb_destroy(struct xi_crypto *c)
{
	if (!c)
		return;
	xi_engine_openssl.destroy(c->other);
	xi_mb_aead_free(c->aead);
	xi_mb_etm_free(c->etm);
	if (c->sse)
		free_mb_mgr(c->sse);
	if (c->mgr)
		free_mb_mgr(c->mgr);
	explicit_bzero(c, sizeof(*c));
	free(c);
}

static int mb_create(struct xi_crypto **out, unsigned int worker)
{
	struct xi_crypto *c;
	int err = -ENOMEM;

	if (!mb_usable())
		return -EOPNOTSUPP;
	c = alloc_lines(sizeof(*c));
	if (!c)
		return err;
	c->mgr = mgr_new(mgr_init_best);
	c->sse = mgr_new(init_mb_mgr_sse);
	if (c->mgr && c->sse)
		err = xi_mb_etm_new(&c->etm, c->mgr, c->sse);
	if (!err)
		err = xi_mb_aead_new(&c->aead, c->mgr, c->sse);
	if (!err)
		err = xi_engine_openssl.create(&c->other, worker);
	if (err) {
		mb_destroy(c);
		return err;
	}
	ops_get(c->mgr, c->ops);
	c->expand = probe_expand;
	*out = c;
	return 0;
}

static enum kind raw_kind(const struct xi_sa_key *raw)
{
	if (raw->alg == XI_ALG_AES_GCM)
		return KIND_GCM;
	if (raw->auth != XI_AUTH_NONE)
		return KIND_ETM;
	return xi_mb_aead_has(raw) ? KIND_AEAD : KIND_OTHER;
}

static int key_expand(const struct gcm_ops ops[XI_GCM_SIZES], struct xi_ckey *key,
		      const struct xi_sa_key *raw)
{
	int err = xi_gcm_size(raw, &key->size);

	if (!err)
		ops[key->size].expand(raw->key, &key->gcm);
	return err;
}

static int key_expand_any(struct xi_ckey *key, const struct xi_sa_key *raw, unsigned int nworkers)
{
	key->kind = raw_kind(raw);
	switch (key->kind) {
	case KIND_GCM:
		return key_expand(probe_ops, key, raw);
	case KIND_AEAD:
		return xi_mb_aead_expand(&probe_aead_ops, &key->aead, raw);
	case KIND_ETM:
		return xi_mb_etm_expand(&probe_etm_ops, &key->etm, raw);
	default:
		return xi_engine_openssl.key_new(&key->other, raw, nworkers);
	}
}

static int mb_key_new(struct xi_ckey **out, const struct xi_sa_key *raw, unsigned int nworkers)
{
	struct xi_ckey *key;
	int err;

	if (!mb_usable())
		return -EOPNOTSUPP;
	key = alloc_lines(sizeof(*key));
	if (!key)
		return -ENOMEM;
	err = key_expand_any(key, raw, nworkers);
	if (err) {
		free(key);
		return err;
	}
	*out = key;
	return 0;
}

static void mb_key_free(struct xi_ckey *key)
{
	if (!key)
		return;
	if (key->kind == KIND_OTHER)
		xi_engine_openssl.key_free(key->other);
	explicit_bzero(key, sizeof(*key));
	free(key);
}

static const struct xi_ckey *scratch_find(const struct scratch *s, const struct xi_aead_job *job)
{
	for (unsigned int i = 0; i < s->n; i++)
		if (s->raws[i] == job->raw && s->powers[i] >= xi_gcm_powers(job->len))
			return &s->keys[i];
	return NULL;
}

/* Room for the job's key, if it is a SLOW one of this size. False: there is none left. */
static bool scratch_add(struct scratch *s, const struct xi_aead_job *job, enum xi_gcm_size size)
{
	uint32_t powers = xi_gcm_powers(job->len);
	enum xi_gcm_size other;
	unsigned int i = 0;

	if (job->key || !job->raw || xi_gcm_size(job->raw, &other) || other != size)
		return true;
	while (i < s->n && s->raws[i] != job->raw)
		i++;
	if (i == XI_GCM_LANES)
		return false;
	if (i == s->n) {
		s->raws[s->n++] = job->raw;
		s->keys[i].size = size;
		s->powers[i] = powers;
	} else if (s->powers[i] < powers) {
		s->powers[i] = powers;
	}
	return true;
}

static void scratch_expand(struct xi_crypto *c, enum xi_gcm_size size)
{
	struct xi_gcm_lane lanes[XI_GCM_LANES];
	struct scratch *s = &c->scratch;

	for (unsigned int i = 0; i < s->n; i++) {
		lanes[i] = (struct xi_gcm_lane){
			.raw = s->raws[i]->key, .out = &s->keys[i].gcm, .powers = s->powers[i]};
		if (c->expand && size != XI_GCM_192)
			continue;
		c->ops[size].expand(lanes[i].raw, lanes[i].out);
		s->powers[i] = XI_GCM_POWERS;
	}
	if (c->expand && size != XI_GCM_192)
		xi_gcm_expand(size, lanes, s->n);
	if (s->dirty < s->n)
		s->dirty = s->n;
}

/* The keys of job i and of those behind it. */
static int scratch_fill(struct xi_crypto *c, const struct xi_aead_job *jobs, unsigned int i,
			unsigned int n)
{
	enum xi_gcm_size size;
	int err = xi_gcm_size(jobs[i].raw, &size);

	c->scratch.n = 0;
	if (err)
		return err;
	n = n - i < SCRATCH_AHEAD ? n : i + SCRATCH_AHEAD;
	while (i < n && scratch_add(&c->scratch, &jobs[i], size))
		i++;
	scratch_expand(c, size);
	return 0;
}

static void scratch_wipe(struct scratch *s)
{
	if (s->dirty)
		explicit_bzero(s->keys, s->dirty * sizeof(s->keys[0]));
	s->n = s->dirty = 0;
}

static __attribute__((noinline)) const struct xi_ckey *
slow_key(struct xi_crypto *c, struct xi_aead_job *jobs, unsigned int i, unsigned int n)
{
	const struct xi_ckey *key = scratch_find(&c->scratch, &jobs[i]);

	if (key)
		return key;
	jobs[i].status = scratch_fill(c, jobs, i, n);
	return jobs[i].status ? NULL : &c->scratch.keys[0];
}

/* Of job i, which is first among those that its key is expanded with. */
static const struct xi_ckey *job_key(struct xi_crypto *c, struct xi_aead_job *jobs, unsigned int i,
				     unsigned int n)
{
	struct xi_aead_job *job = &jobs[i];

	job->status = xi_gcm_check(job);
	if (job->status)
		return NULL;
	return job->key ? job->key : slow_key(c, jobs, i, n);
}

static void lines_prefetch(const uint8_t *p, const uint8_t *end)
{
	for (; p < end; p += 64)
		__builtin_prefetch(p);
}

/*
 * Fetches the next job's data, and of its key, if that is another one, the round keys and the
 * powers of the hash key. A packet uses as many of these as it has blocks, and the code for the
 * newest CPUs begins at the end. For a key that is not GCM's these lines are as good as any.
 */
static void next_prefetch(const struct xi_aead_job *jobs, unsigned int i, unsigned int n)
{
	const struct xi_ckey *key;
	const uint8_t *end;
	size_t powers;

	xi_gcm_prefetch(jobs, i, n);
	if (i + 1 >= n || !jobs[i + 1].key || jobs[i + 1].key == jobs[i].key)
		return;
	key = jobs[i + 1].key;
	end = (const uint8_t *)(&key->gcm + 1);
	powers = jobs[i + 1].len + 3 * 16;
	if (powers > sizeof(key->gcm) - sizeof(key->gcm.expanded_keys))
		powers = sizeof(key->gcm) - sizeof(key->gcm.expanded_keys);
	__builtin_prefetch(&key->kind);
	lines_prefetch(key->gcm.expanded_keys, (const uint8_t *)(&key->gcm.expanded_keys + 1));
	lines_prefetch(end - powers, end);
}

static bool is_gcm(const struct xi_aead_job *job)
{
	if (job->key)
		return job->key->kind == KIND_GCM;
	return !job->raw || job->raw->alg == XI_ALG_AES_GCM;
}

static void other_run(struct xi_crypto *c, struct xi_aead_job *job, IMB_CIPHER_DIRECTION dir)
{
	struct xi_aead_job copy = *job;

	if (copy.key)
		copy.key = job->key->other;
	if (dir == IMB_DIR_ENCRYPT)
		xi_engine_openssl.seal(c->other, &copy, 1);
	else
		xi_engine_openssl.open(c->other, &copy, 1);
	job->status = copy.status;
}

/* Whatever is not GCM may wait for the end of the batch. */
static __attribute__((noinline)) void rest_add(struct xi_crypto *c, struct xi_aead_job *job,
					       IMB_CIPHER_DIRECTION dir)
{
	switch (job->key ? job->key->kind : raw_kind(job->raw)) {
	case KIND_ETM:
		xi_mb_etm_add(c->etm, job, job->key ? &job->key->etm : NULL, dir);
		break;
	case KIND_AEAD:
		xi_mb_aead_add(c->aead, job, job->key ? &job->key->aead : NULL, dir);
		break;
	default:
		other_run(c, job, dir);
	}
}

static void rest_flush(struct xi_crypto *c, IMB_CIPHER_DIRECTION dir)
{
	xi_mb_etm_flush(c->etm, dir);
	xi_mb_aead_flush(c->aead, dir);
}

static void mb_seal(struct xi_crypto *c, struct xi_aead_job *jobs, unsigned int n)
{
	bool rest = false;

	for (unsigned int i = 0; i < n; i++) {
		struct xi_aead_job *job = &jobs[i];
		const struct xi_ckey *key;

		next_prefetch(jobs, i, n);
		if (!is_gcm(job)) {
			rest_add(c, job, IMB_DIR_ENCRYPT);
			rest = true;
			continue;
		}
		key = job_key(c, jobs, i, n);
		if (key)
			c->ops[key->size].seal(&key->gcm, &c->ctx, job->data, job->data, job->len,
					       job->nonce, job->aad, job->aad_len, job->icv,
					       job->icv_len);
	}
	if (rest)
		rest_flush(c, IMB_DIR_ENCRYPT);
	scratch_wipe(&c->scratch);
}

/* The library decrypts and computes a tag; comparing it is left to the caller. */
static void mb_open(struct xi_crypto *c, struct xi_aead_job *jobs, unsigned int n)
{
	bool rest = false;
	uint8_t icv[XI_GCM_ICV_MAX];

	for (unsigned int i = 0; i < n; i++) {
		struct xi_aead_job *job = &jobs[i];
		const struct xi_ckey *key;

		next_prefetch(jobs, i, n);
		if (!is_gcm(job)) {
			rest_add(c, job, IMB_DIR_DECRYPT);
			rest = true;
			continue;
		}
		key = job_key(c, jobs, i, n);
		if (!key)
			continue;
		c->ops[key->size].open(&key->gcm, &c->ctx, job->data, job->data, job->len,
				       job->nonce, job->aad, job->aad_len, icv, job->icv_len);
		if (CRYPTO_memcmp(icv, job->icv, job->icv_len)) {
			memset(job->data, 0, job->len);
			job->status = -EBADMSG;
		}
	}
	if (rest)
		rest_flush(c, IMB_DIR_DECRYPT);
	scratch_wipe(&c->scratch);
}

const struct xi_engine xi_engine_ipsec_mb = {
	.name = "ipsec-mb",
	.usable = mb_usable,
	.carries = xi_transform_valid,
	.create = mb_create,
	.destroy = mb_destroy,
	.key_new = mb_key_new,
	.key_free = mb_key_free,
	.seal = mb_seal,
	.open = mb_open,
};
