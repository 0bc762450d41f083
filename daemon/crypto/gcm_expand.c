/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "crypto/gcm_expand.h"

#include <immintrin.h>
#include <string.h>
#include <openssl/crypto.h>

#define VECTOR_ENTRY __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,vaes,vpclmulqdq")))
#define VECTOR VECTOR_ENTRY __attribute__((always_inline)) inline

#define BLOCK 16

/* Bits 127, 126 and 121 of NIST SP 800-38D's polynomial, bit-reflected; x^128 is its bit 0. */
#define POLY_HIGH 0xc200000000000000LL

/* Round keys of four keys: state and key schedule go on together. */
struct schedule {
	uint8_t *out[XI_GCM_LANES];
	__m512i hash;                /* AES of zero, so far */
};

static VECTOR void round_store(struct schedule *s, unsigned int round, __m512i key)
{
	_mm_storeu_si128((__m128i *)(s->out[0] + round * BLOCK), _mm512_extracti64x2_epi64(key, 0));
	_mm_storeu_si128((__m128i *)(s->out[1] + round * BLOCK), _mm512_extracti64x2_epi64(key, 1));
	_mm_storeu_si128((__m128i *)(s->out[2] + round * BLOCK), _mm512_extracti64x2_epi64(key, 2));
	_mm_storeu_si128((__m128i *)(s->out[3] + round * BLOCK), _mm512_extracti64x2_epi64(key, 3));
}

static VECTOR void round_next(struct schedule *s, unsigned int round, unsigned int last,
			      __m512i key)
{
	round_store(s, round, key);
	if (!round)
		s->hash = key;
	else if (round < last)
		s->hash = _mm512_aesenc_epi128(s->hash, key);
	else
		s->hash = _mm512_aesenclast_epi128(s->hash, key);
}

/* FIPS 197 section 5.2: w[i] = w[i - Nk] ^ w[i - 1], of four words; temp: from the one before them. */
static VECTOR __m512i words_next(__m512i key, __m512i temp)
{
	key = _mm512_xor_si512(key, _mm512_bslli_epi128(key, 4));
	key = _mm512_xor_si512(key, _mm512_bslli_epi128(key, 8));
	return _mm512_xor_si512(key, temp);
}

/* SubWord(RotWord(last word)) ^ Rcon. In a state of four equal columns ShiftRows moves nothing. */
static VECTOR __m512i word_rotated(__m512i key, uint32_t rcon)
{
	const __m512i last = _mm512_set1_epi32(0x0c0f0e0d);

	return _mm512_aesenclast_epi128(_mm512_shuffle_epi8(key, last), _mm512_set1_epi32((int)rcon));
}

/* SubWord(last word), in the middle of the eight words of a 256-bit key. */
static VECTOR __m512i word_plain(__m512i key)
{
	const __m512i last = _mm512_set1_epi32(0x0f0e0d0c);

	return _mm512_aesenclast_epi128(_mm512_shuffle_epi8(key, last), _mm512_setzero_si512());
}

static VECTOR void schedule_128(struct schedule *s, __m512i key)
{
	static const uint8_t rcon[] = {0x01, 0x02, 0x04, 0x08, 0x10, 0x20, 0x40, 0x80, 0x1b, 0x36};
	unsigned int i;

	round_next(s, 0, 10, key);
#pragma GCC unroll 10
	for (i = 1; i <= 10; i++) {
		key = words_next(key, word_rotated(key, rcon[i - 1]));
		round_next(s, i, 10, key);
	}
}

static VECTOR void schedule_256(struct schedule *s, __m512i even, __m512i odd)
{
	unsigned int i;

	round_next(s, 0, 14, even);
	round_next(s, 1, 14, odd);
#pragma GCC unroll 7
	for (i = 1; i <= 7; i++) {
		even = words_next(even, word_rotated(odd, 1U << (i - 1)));
		round_next(s, 2 * i, 14, even);
		if (i == 7)
			break;
		odd = words_next(odd, word_plain(even));
		round_next(s, 2 * i + 1, 14, odd);
	}
}

static VECTOR __m512i swap_halves(__m512i x)
{
	return _mm512_shuffle_epi32(x, _MM_PERM_BADC);
}

/* Montgomery's reduction by 64 bits: what x has below them goes into what lies 64 bits higher. */
static VECTOR __m512i reduce(__m512i x, __m512i higher)
{
	const __m512i poly = _mm512_set1_epi64(POLY_HIGH);
	__m512i x_poly = _mm512_clmulepi64_epi128(x, poly, 0x00);

	return _mm512_ternarylogic_epi64(higher, x_poly, swap_halves(x), 0x96); /* xor of the three */
}

/* Products in GF(2^128), lane by lane, of elements that are bit-reflected and times x. */
static VECTOR __m512i multiply(__m512i a, __m512i b)
{
	__m512i low = _mm512_clmulepi64_epi128(a, b, 0x00);
	__m512i high = _mm512_clmulepi64_epi128(a, b, 0x11);
	__m512i mid = _mm512_xor_si512(_mm512_clmulepi64_epi128(a, b, 0x01),
				       _mm512_clmulepi64_epi128(a, b, 0x10));

	return reduce(reduce(low, mid), high);
}

/* The hash key as the library keeps it: bytes reversed, times x. */
static VECTOR __m512i hash_shifted(__m512i hash)
{
	const __m512i reverse = _mm512_broadcast_i32x4(
		_mm_set_epi8(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15));
	const __m512i poly = _mm512_broadcast_i32x4(_mm_set_epi64x(POLY_HIGH, 1));
	__m512i h = _mm512_shuffle_epi8(hash, reverse), carry, over;

	/* what leaves each half at its top, and all ones where bit 127 was set */
	carry = _mm512_bslli_epi128(_mm512_srli_epi64(h, 63), 8);
	over = _mm512_srai_epi64(_mm512_shuffle_epi32(h, _MM_PERM_DCDC), 63);
	h = _mm512_or_si512(_mm512_add_epi64(h, h), carry);
	return _mm512_xor_si512(h, _mm512_and_si512(over, poly));
}

/* Four powers of one key, in four steps of the table, whose end is H: 0 for H^4 to H. */
static VECTOR uint8_t *powers_at(struct gcm_key_data *key, unsigned int step)
{
	uint8_t *end = key->ghash_keys.vaes_avx512.shifted_hkey + XI_GCM_POWERS * BLOCK;

	return end - (step + 1) * sizeof(__m512i);
}

/* From one power of all keys in each vector, H^4 to H of each key. */
static VECTOR void powers_store(struct gcm_key_data *const keys[XI_GCM_LANES], __m512i h,
				__m512i h2, __m512i h3, __m512i h4)
{
	__m512i low43 = _mm512_shuffle_i64x2(h4, h3, 0x44); /* lanes 0, 1 of both */
	__m512i high43 = _mm512_shuffle_i64x2(h4, h3, 0xee);
	__m512i low21 = _mm512_shuffle_i64x2(h2, h, 0x44);
	__m512i high21 = _mm512_shuffle_i64x2(h2, h, 0xee);

	_mm512_storeu_si512(powers_at(keys[0], 0), _mm512_shuffle_i64x2(low43, low21, 0x88));
	_mm512_storeu_si512(powers_at(keys[1], 0), _mm512_shuffle_i64x2(low43, low21, 0xdd));
	_mm512_storeu_si512(powers_at(keys[2], 0), _mm512_shuffle_i64x2(high43, high21, 0x88));
	_mm512_storeu_si512(powers_at(keys[3], 0), _mm512_shuffle_i64x2(high43, high21, 0xdd));
}

/*
 * Steps from .. to - 1 are steps 0 .. times the power that step from - 1 begins with. They are read
 * out of the table again: a copy on the stack would be wiped by nobody.
 */
static VECTOR void powers_run(struct gcm_key_data *key, unsigned int from, unsigned int to)
{
	__m512i by = _mm512_broadcast_i32x4(
		_mm_loadu_si128((const __m128i *)powers_at(key, from - 1)));
	unsigned int i;

#pragma GCC unroll 4
	for (i = from; i < to; i++)
		_mm512_storeu_si512(powers_at(key, i),
				    multiply(_mm512_loadu_si512(powers_at(key, i - from)), by));
}

/* To 8, 16, 32 or 48 powers. */
static VECTOR void powers_extend(const struct xi_gcm_lane *lane)
{
	if (lane->powers > 4)
		powers_run(lane->out, 1, 2);
	if (lane->powers > 8)
		powers_run(lane->out, 2, 4);
	if (lane->powers > 16)
		powers_run(lane->out, 4, 8);
	if (lane->powers > 32)
		powers_run(lane->out, 8, 12);
}

static VECTOR __m512i lanes_load(const struct xi_gcm_lane *const lanes[XI_GCM_LANES],
				 unsigned int at)
{
	__m512i x = _mm512_castsi128_si512(_mm_loadu_si128((const __m128i *)(lanes[0]->raw + at)));

	x = _mm512_inserti64x2(x, _mm_loadu_si128((const __m128i *)(lanes[1]->raw + at)), 1);
	x = _mm512_inserti64x2(x, _mm_loadu_si128((const __m128i *)(lanes[2]->raw + at)), 2);
	return _mm512_inserti64x2(x, _mm_loadu_si128((const __m128i *)(lanes[3]->raw + at)), 3);
}

/* Lanes without a key of their own do the first once more. */
VECTOR_ENTRY void xi_gcm_expand(enum xi_gcm_size size, const struct xi_gcm_lane *lanes,
				unsigned int n)
{
	const struct xi_gcm_lane *used[XI_GCM_LANES];
	struct gcm_key_data *keys[XI_GCM_LANES];
	struct schedule s;
	__m512i h, h2;
	unsigned int i;

	for (i = 0; i < XI_GCM_LANES; i++) {
		used[i] = &lanes[i < n ? i : 0];
		keys[i] = used[i]->out;
		s.out[i] = keys[i]->expanded_keys;
	}
	if (size == XI_GCM_128)
		schedule_128(&s, lanes_load(used, 0));
	else
		schedule_256(&s, lanes_load(used, 0), lanes_load(used, BLOCK));
	h = hash_shifted(s.hash);
	h2 = multiply(h, h);
	powers_store(keys, h, h2, multiply(h2, h), multiply(h2, h2));
	for (i = 0; i < n; i++)
		powers_extend(used[i]);
}

/* As many blocks as there are, and the longest packets' lengths behind a multiple of all. */
#define CHECK_LEN (3 * XI_GCM_POWERS * BLOCK + 9)

/* Seals len bytes of zero with both keys: the same comes out? */
static bool check_seal(aes_gcm_enc_dec_t seal, const struct gcm_key_data *a,
		       const struct gcm_key_data *b, uint32_t len)
{
	static const uint8_t zero[CHECK_LEN], nonce[12], aad[12];
	uint8_t out_a[CHECK_LEN], out_b[CHECK_LEN], icv_a[BLOCK], icv_b[BLOCK];
	struct gcm_context_data ctx;

	seal(a, &ctx, out_a, zero, len, nonce, aad, sizeof(aad), icv_a, sizeof(icv_a));
	seal(b, &ctx, out_b, zero, len, nonce, aad, sizeof(aad), icv_b, sizeof(icv_b));
	return !CRYPTO_memcmp(out_a, out_b, len) && !CRYPTO_memcmp(icv_a, icv_b, sizeof(icv_a));
}

/* Powers that were not computed are garbage. */
static bool check_size(enum xi_gcm_size size, aes_gcm_pre_t expand, aes_gcm_enc_dec_t seal)
{
	static const uint8_t raw[32] = {0x80, 1, 2, 3, 5, 8, 13, 21, 34, 55, 89, 144, 233};
	struct gcm_key_data theirs, ours;
	struct xi_gcm_lane lane = {.raw = raw, .out = &ours};
	uint32_t len;

	expand(raw, &theirs);
	for (len = 0; len <= CHECK_LEN; len += 5) {
		memset(&ours, 0xa5, sizeof(ours));
		lane.powers = xi_gcm_powers(len);
		xi_gcm_expand(size, &lane, 1);
		if (!check_seal(seal, &theirs, &ours, len))
			return false;
	}
	return true;
}

bool xi_gcm_expand_fits(const IMB_MGR *mgr)
{
	const uint64_t need = IMB_FEATURE_AVX512_SKX | IMB_FEATURE_VAES | IMB_FEATURE_VPCLMULQDQ;

	return (mgr->features & need) == need && mgr->used_arch == IMB_ARCH_AVX512 &&
	       check_size(XI_GCM_128, mgr->gcm128_pre, mgr->gcm128_enc) &&
	       check_size(XI_GCM_256, mgr->gcm256_pre, mgr->gcm256_enc);
}
