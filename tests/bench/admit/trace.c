/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "trace.h"

#include <math.h>
#include <stdlib.h>

#define FRESH 1100000U               /* SAs from here on are used once */
#define SHIFTS 5

/* splitmix64 */
static uint64_t rng_next(uint64_t *rng)
{
	uint64_t z = (*rng += 0x9e3779b97f4a7c15ULL);

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
	return z ^ (z >> 31);
}

static uint32_t rng_below(uint64_t *rng, uint32_t n)
{
	return (uint32_t)((rng_next(rng) >> 32) * n >> 32);
}

/* Walker's alias method: column i gives i with probability keep[i] / 2^32, else other[i]. */
struct zipf {
	uint32_t n;
	double skew;
	uint32_t *keep, *other;
};

static void zipf_columns(struct zipf *z, double *p, uint32_t *small, uint32_t *large)
{
	uint32_t i, nsmall = 0, nlarge = 0;

	for (i = 0; i < z->n; i++)
		if (p[i] < 1)
			small[nsmall++] = i;
		else
			large[nlarge++] = i;
	while (nsmall && nlarge) {
		uint32_t s = small[--nsmall], l = large[nlarge - 1];

		z->keep[s] = (uint32_t)(p[s] * 4294967295.0);
		z->other[s] = l;
		p[l] -= 1 - p[s];
		if (p[l] < 1) {
			nlarge--;
			small[nsmall++] = l;
		}
	}
	while (nlarge)
		z->keep[large[--nlarge]] = UINT32_MAX;
	while (nsmall)
		z->keep[small[--nsmall]] = UINT32_MAX;
}

static void zipf_init(struct zipf *z, uint32_t n, double skew)
{
	double *p = malloc(n * sizeof(*p)), sum = 0;
	uint32_t i, *lists = malloc(2 * (size_t)n * sizeof(*lists));

	*z = (struct zipf){ n, skew, malloc(n * sizeof(uint32_t)), calloc(n, sizeof(uint32_t)) };
	if (!p || !lists || !z->keep || !z->other)
		abort();
	for (i = 0; i < n; i++)
		sum += p[i] = pow(i + 1, -skew);
	for (i = 0; i < n; i++)
		p[i] *= n / sum;
	zipf_columns(z, p, lists, lists + n);
	free(p);
	free(lists);
}

/* One distribution is kept: traces of the same come one after another. */
static const struct zipf *zipf_get(uint32_t n, double skew)
{
	static struct zipf z;

	if (z.n != n || z.skew != skew) {
		free(z.keep);
		free(z.other);
		zipf_init(&z, n, skew);
	}
	return &z;
}

/* Rank, from 0. */
static uint32_t zipf_draw(const struct zipf *z, uint64_t *rng)
{
	uint64_t r = rng_next(rng);
	uint32_t i = (uint32_t)((r >> 32) * z->n >> 32);

	return (uint32_t)r <= z->keep[i] ? i : z->other[i];
}

static void make_zipf(const struct trace_kind *kind, uint32_t capacity, uint32_t *sas, uint32_t n)
{
	const struct zipf *z = zipf_get(kind->population, kind->skew);
	uint64_t rng = 1;
	uint32_t i;

	for (i = 0; i < n; i++)
		sas[i] = 1 + zipf_draw(z, &rng);
}

/* As many requests of Zipf's as the scan is long, then the scan, and so on; or at random one of either. */
static void make_scan(const struct trace_kind *kind, uint32_t capacity, uint32_t *sas, uint32_t n)
{
	const struct zipf *z = zipf_get(kind->population, kind->skew);
	uint32_t i, block = kind->param * capacity, fresh = FRESH;
	uint64_t rng = 2;

	for (i = 0; i < n; i++)
		if (block ? i / block & 1 : rng_next(&rng) & 1)
			sas[i] = fresh++;
		else
			sas[i] = 1 + zipf_draw(z, &rng);
}

static void make_loop(const struct trace_kind *kind, uint32_t capacity, uint32_t *sas, uint32_t n)
{
	uint32_t i, length = (uint32_t)(capacity * kind->skew);

	for (i = 0; i < n; i++)
		sas[i] = 1 + i % length;
}

/* With each shift every rank is another SA's; nobody who was popular still is. */
static void make_shift(const struct trace_kind *kind, uint32_t capacity, uint32_t *sas, uint32_t n)
{
	const struct zipf *z = zipf_get(kind->population, kind->skew);
	uint32_t i, step = kind->population / SHIFTS;
	uint64_t rng = 3;

	for (i = 0; i < n; i++) {
		uint32_t shift = (uint32_t)((uint64_t)i * SHIFTS / n);

		sas[i] = 1 + (zipf_draw(z, &rng) + shift * step) % kind->population;
	}
}

/* One packet in four is of a hot set half as big as the table, the others are each of an SA of its own. */
static void make_flood(const struct trace_kind *kind, uint32_t capacity, uint32_t *sas, uint32_t n)
{
	uint32_t i, fresh = FRESH;
	uint64_t rng = 4;

	for (i = 0; i < n; i++)
		sas[i] = rng_next(&rng) & 3 ? fresh++ : 1 + rng_below(&rng, capacity / 2);
}

const struct trace_kind trace_kinds[] = {
	{ "zipf-0.7-100k", "zipf", make_zipf, 100000, 0.7, 0, false },
	{ "zipf-0.7-1M", "zipf", make_zipf, 1000000, 0.7, 0, false },
	{ "zipf-1.2-100k", "zipf", make_zipf, 100000, 1.2, 0, false },
	{ "zipf-1.2-1M", "zipf", make_zipf, 1000000, 1.2, 0, false },
	{ "zipf-0.99-1M", "zipf", make_zipf, 1000000, 0.99, 0, false },
	{ "zipf-0.99-100k", "zipf", make_zipf, 100000, 0.99, 0, false },
	{ "zipf-sampled", "zipf", make_zipf, 100000, 0.99, 0, true },
	{ "scan-2x", "scan", make_scan, 100000, 0.99, 2, false },
	{ "scan-10x", "scan", make_scan, 100000, 0.99, 10, false },
	{ "scan-mixed", "scan", make_scan, 100000, 0.99, 0, false },
	{ "scan-sampled", "scan", make_scan, 100000, 0.99, 0, true },
	{ "shift", "shift", make_shift, 100000, 0.99, 0, false },
	{ "shift-sampled", "shift", make_shift, 100000, 0.99, 0, true },
	{ "loop-0.5x", "loop", make_loop, 0, 0.5, 0, false },
	{ "loop-1.1x", "loop", make_loop, 0, 1.1, 0, false },
	{ "loop-2x", "loop", make_loop, 0, 2, 0, false },
	{ "flood", "flood", make_flood, 0, 0, 0, false },
};
const size_t trace_nkinds = sizeof(trace_kinds) / sizeof(trace_kinds[0]);
