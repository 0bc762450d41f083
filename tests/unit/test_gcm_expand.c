// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* AES-GCM keys that are expanded several at once, against ipsec-mb's own and against OpenSSL. */
#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "crypto/crypto.h"
#include "crypto/gcm_expand.h"

#define DATA_MAX 9000
#define BATCH 48
#define TAG 16
#define STACK (256 << 10)

static IMB_MGR *mgr;

static int start(void **state)
{
	mgr = alloc_mb_mgr(0);
	if (!mgr)
		return -1;
	init_mb_mgr_auto(mgr, NULL);
	srandom(4106);
	return 0;
}

static int stop(void **state)
{
	free_mb_mgr(mgr);
	return 0;
}

/* The library that it was written for, on a CPU that can: that they do not fit is a failure there. */
static bool must_fit(void)
{
	const uint64_t need = IMB_FEATURE_AVX512_SKX | IMB_FEATURE_VAES | IMB_FEATURE_VPCLMULQDQ;

	return IMB_VERSION_NUM == IMB_VERSION(1, 3, 0) && mgr->used_arch == IMB_ARCH_AVX512 &&
	       (mgr->features & need) == need;
}

static void need_cpu(void)
{
	if (xi_gcm_expand_fits(mgr))
		return;
	assert_false(must_fit());
	print_message("this CPU, or this ipsec-mb, does without\n");
	skip();
}

static void random_fill(void *to, size_t len)
{
	uint8_t *p = to;

	while (len--)
		*p++ = (uint8_t)(random() >> 7);
}

static void library_expand(enum xi_gcm_size size, const uint8_t *raw, struct gcm_key_data *out)
{
	if (size == XI_GCM_128)
		mgr->gcm128_pre(raw, out);
	else
		mgr->gcm256_pre(raw, out);
}

static void check_keys(enum xi_gcm_size size, unsigned int n, uint32_t powers)
{
	struct gcm_key_data ours[XI_GCM_LANES], theirs;
	struct xi_gcm_lane lanes[XI_GCM_LANES];
	uint8_t raw[XI_GCM_LANES][32];
	size_t table = sizeof(theirs.ghash_keys.vaes_avx512), used = powers * 16;
	size_t rounds = size == XI_GCM_128 ? 11 : 15;

	random_fill(raw, sizeof(raw));
	for (unsigned int i = 0; i < n; i++)
		lanes[i] = (struct xi_gcm_lane){
			.raw = raw[i], .out = &ours[i], .powers = powers};
	xi_gcm_expand(size, lanes, n);
	for (unsigned int i = 0; i < n; i++) {
		const uint8_t *a = (const uint8_t *)&ours[i].ghash_keys + table - used;
		const uint8_t *b = (const uint8_t *)&theirs.ghash_keys + table - used;

		library_expand(size, raw[i], &theirs);
		assert_memory_equal(ours[i].expanded_keys, theirs.expanded_keys, rounds * 16);
		assert_memory_equal(a, b, used);
	}
}

static void keys_are_those_of_the_library(void **state)
{
	need_cpu();
	for (uint32_t powers = 1; powers <= XI_GCM_POWERS; powers++)
		for (unsigned int n = 1; n <= XI_GCM_LANES; n++) {
			check_keys(XI_GCM_128, n, powers);
			check_keys(XI_GCM_256, n, powers);
		}
}

/* The probe is worth something: another library is not taken for this one. */
static void a_library_that_differs_is_left_alone(void **state)
{
	IMB_MGR *sse = alloc_mb_mgr(0);
	aes_gcm_pre_t expand = mgr->gcm256_pre;

	assert_non_null(sse);
	init_mb_mgr_sse(sse);
	assert_false(xi_gcm_expand_fits(sse));
	free_mb_mgr(sse);
	need_cpu();
	mgr->gcm256_pre = mgr->gcm128_pre;
	assert_false(xi_gcm_expand_fits(mgr));
	mgr->gcm256_pre = expand;
	assert_true(xi_gcm_expand_fits(mgr));
}

/* A batch of SLOW jobs of few SAs, so that some share a key, and of all sizes of AES. */
struct batch {
	struct xi_sa_key raws[BATCH];
	struct xi_aead_job jobs[BATCH];
	uint8_t data[BATCH][DATA_MAX + TAG];
	uint32_t lens[BATCH];
};

static void batch_fill(struct batch *b, const uint32_t *lens)
{
	static const uint32_t key_lens[] = {20, 28, 36};

	for (unsigned int i = 0; i < BATCH; i++) {
		struct xi_sa_key *raw = &b->raws[i];

		*raw = (struct xi_sa_key){.alg = XI_ALG_AES_GCM, .len = key_lens[random() % 3]};
		random_fill(raw->key, raw->len);
		random_fill(b->data[i], lens[i]);
		b->lens[i] = lens[i];
		b->jobs[i] = (struct xi_aead_job){
			.raw = &b->raws[random() % 3 ? i : (unsigned int)random() % (i + 1)],
			.data = b->data[i], .icv = b->data[i] + lens[i], .len = lens[i],
			.icv_len = TAG, .aad_len = random() % 2 ? 8 : 12, .status = -1};
		random_fill(b->jobs[i].nonce, sizeof(b->jobs[i].nonce));
		random_fill(b->jobs[i].aad, sizeof(b->jobs[i].aad));
	}
}

/* The same jobs, one by one, each with a key of OpenSSL's own. */
static void openssl_seal(struct xi_crypto *c, const struct batch *b, struct batch *out)
{
	for (unsigned int i = 0; i < BATCH; i++) {
		struct xi_aead_job job = b->jobs[i];
		struct xi_ckey *key;

		memcpy(out->data[i], b->data[i], b->lens[i]);
		assert_int_equal(xi_engine_openssl.key_new(&key, job.raw, 1), 0);
		job.key = key;
		job.data = out->data[i];
		job.icv = out->data[i] + job.len;
		xi_engine_openssl.seal(c, &job, 1);
		assert_int_equal(job.status, 0);
		xi_engine_openssl.key_free(key);
	}
}

/* Forwards and back; every fifth ICV is spoilt on the way back. */
static void check_batch(struct xi_crypto *mb, struct xi_crypto *ssl, struct batch *b,
			struct batch *clear, struct batch *want)
{
	static const uint8_t zero[DATA_MAX];

	memcpy(clear->data, b->data, sizeof(b->data));
	openssl_seal(ssl, b, want);
	xi_engine_ipsec_mb.seal(mb, b->jobs, BATCH);
	for (unsigned int i = 0; i < BATCH; i++) {
		assert_int_equal(b->jobs[i].status, 0);
		assert_memory_equal(b->data[i], want->data[i], b->lens[i] + TAG);
		if (i % 5 == 4)
			b->jobs[i].icv[random() % TAG] ^= 1 << random() % 8;
	}
	xi_engine_ipsec_mb.open(mb, b->jobs, BATCH);
	for (unsigned int i = 0; i < BATCH; i++) {
		bool spoilt = i % 5 == 4;

		assert_int_equal(b->jobs[i].status, spoilt ? -EBADMSG : 0);
		assert_memory_equal(b->data[i], spoilt ? zero : clear->data[i], b->lens[i]);
	}
}

static void slow_packets_of_every_length_are_those_of_openssl(void **state)
{
	struct batch *b = calloc(3, sizeof(*b));
	struct xi_crypto *mb, *ssl;
	uint32_t lens[BATCH], len = 0;

	if (!xi_engine_ipsec_mb.usable()) {
		print_message("engine ipsec-mb is not usable on this CPU\n");
		skip();
	}
	assert_non_null(b);
	assert_int_equal(xi_engine_ipsec_mb.create(&mb, 0), 0);
	assert_int_equal(xi_engine_openssl.create(&ssl, 0), 0);
	while (len <= DATA_MAX) {
		for (unsigned int i = 0; i < BATCH; i++) /* neighbours of few blocks among them */
			lens[i] = i % 3 ? (len <= DATA_MAX ? len++ : DATA_MAX) : (uint32_t)random() % 300;
		batch_fill(b, lens);
		check_batch(mb, ssl, &b[0], &b[1], &b[2]);
	}
	xi_engine_ipsec_mb.destroy(mb);
	xi_engine_openssl.destroy(ssl);
	free(b);
}

/* A key that was expanded for short packets is not enough for the long one behind them. */
static void a_long_packet_follows_short_ones_of_its_sa(void **state)
{
	struct batch *b = calloc(3, sizeof(*b));
	struct xi_crypto *mb, *ssl;
	uint32_t lens[BATCH];

	need_cpu();
	assert_non_null(b);
	assert_int_equal(xi_engine_ipsec_mb.create(&mb, 0), 0);
	assert_int_equal(xi_engine_openssl.create(&ssl, 0), 0);
	for (unsigned int i = 0; i < BATCH; i++)
		lens[i] = i + 1 < BATCH ? 32 : 1408;
	batch_fill(b, lens);
	b->raws[0].len = 20;
	for (unsigned int i = 0; i < BATCH; i++)
		b->jobs[i].raw = &b->raws[0];
	check_batch(mb, ssl, &b[0], &b[1], &b[2]);
	xi_engine_ipsec_mb.destroy(mb);
	xi_engine_openssl.destroy(ssl);
	free(b);
}

/* The end of the key schedule, and the hash key: found where they are expanded, or not. */
struct secrets {
	uint8_t round[16], hash[16], power[16];
};

static void secrets_of(struct secrets *s, const struct xi_sa_key *raw)
{
	struct gcm_key_data key;
	const uint8_t *end = (const uint8_t *)(&key.ghash_keys.vaes_avx512 + 1);

	library_expand(XI_GCM_128, raw->key, &key);
	memcpy(s->round, key.expanded_keys + 10 * 16, 16);
	memcpy(s->hash, end - 16, 16);
	memcpy(s->power, end - 5 * 16, 16);
	explicit_bzero(&key, sizeof(key));
}

static bool holds(const void *memory, size_t len, const struct secrets *s)
{
	return memmem(memory, len, s->round, 16) || memmem(memory, len, s->hash, 16) ||
	       memmem(memory, len, s->power, 16);
}

static void a_batch_leaves_no_key_behind(void **state)
{
	struct batch *b = calloc(1, sizeof(*b));
	struct secrets secrets[BATCH];
	uint32_t lens[BATCH];
	struct xi_crypto *c;
	struct xi_ckey *key;

	need_cpu();
	assert_non_null(b);
	for (unsigned int i = 0; i < BATCH; i++)
		lens[i] = 16 * i;
	batch_fill(b, lens);
	for (unsigned int i = 0; i < BATCH; i++) {
		b->raws[i].len = 20;
		secrets_of(&secrets[i], &b->raws[i]);
	}
	assert_int_equal(xi_engine_ipsec_mb.create(&c, 0), 0);
	assert_int_equal(xi_engine_ipsec_mb.key_new(&key, &b->raws[0], 1), 0);
	assert_true(holds(key, malloc_usable_size(key), &secrets[0]));
	xi_engine_ipsec_mb.key_free(key);
	xi_engine_ipsec_mb.seal(c, b->jobs, BATCH);
	for (unsigned int i = 0; i < BATCH; i++) {
		assert_int_equal(b->jobs[i].status, 0);
		assert_false(holds(c, malloc_usable_size(c), &secrets[i]));
		assert_null(memmem(c, malloc_usable_size(c), b->raws[i].key, 16));
	}
	xi_engine_ipsec_mb.open(c, b->jobs, BATCH);
	for (unsigned int i = 0; i < BATCH; i++) {
		assert_int_equal(b->jobs[i].status, 0);
		assert_false(holds(c, malloc_usable_size(c), &secrets[i]));
	}
	xi_engine_ipsec_mb.destroy(c);
	free(b);
}

struct expansion {
	struct xi_gcm_lane lanes[XI_GCM_LANES];
	struct gcm_key_data out[XI_GCM_LANES];
};

static void *expansion_main(void *arg)
{
	struct expansion *e = arg;

	xi_gcm_expand(XI_GCM_128, e->lanes, XI_GCM_LANES);
	return NULL;
}

/* In a thread whose stack is memory of ours. */
static void expansion_leaves_nothing_on_the_stack(void **state)
{
	static struct expansion e;
	struct xi_sa_key raw = {.alg = XI_ALG_AES_GCM, .len = 20};
	uint8_t *stack = aligned_alloc(4096, STACK);
	struct secrets secrets;
	pthread_attr_t attr;
	pthread_t thread;

	need_cpu();
	assert_non_null(stack);
	memset(stack, 0, STACK);
	random_fill(raw.key, raw.len);
	for (unsigned int i = 0; i < XI_GCM_LANES; i++)
		e.lanes[i] = (struct xi_gcm_lane){.raw = raw.key, .out = &e.out[i], .powers = 48};
	secrets_of(&secrets, &raw);
	assert_int_equal(pthread_attr_init(&attr), 0);
	assert_int_equal(pthread_attr_setstack(&attr, stack, STACK), 0);
	assert_int_equal(pthread_create(&thread, &attr, expansion_main, &e), 0);
	assert_int_equal(pthread_join(thread, NULL), 0);
	pthread_attr_destroy(&attr);
	assert_true(holds(&e.out[3], sizeof(e.out[3]), &secrets));
	assert_false(holds(stack, STACK, &secrets));
	free(stack);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(keys_are_those_of_the_library),
		cmocka_unit_test(a_library_that_differs_is_left_alone),
		cmocka_unit_test(slow_packets_of_every_length_are_those_of_openssl),
		cmocka_unit_test(a_long_packet_follows_short_ones_of_its_sa),
		cmocka_unit_test(a_batch_leaves_no_key_behind),
		cmocka_unit_test(expansion_leaves_nothing_on_the_stack),
	};

	return cmocka_run_group_tests(tests, start, stop);
}
