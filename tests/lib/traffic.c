/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "traffic.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

const char *const traffic_names[TRAFFIC_MAX] = {
	[TRAFFIC_TURN] = "turn",
	[TRAFFIC_HOT_SET] = "hot",
	[TRAFFIC_ZIPF] = "zipf",
	[TRAFFIC_UNIFORM] = "uniform",
};

enum traffic traffic_find(const char *name)
{
	enum traffic traffic = 0;

	while (traffic < TRAFFIC_MAX && strcmp(name, traffic_names[traffic]))
		traffic++;
	return traffic;
}

/* splitmix64 */
static uint64_t draw(uint64_t *state)
{
	uint64_t z = *state += 0x9e3779b97f4a7c15;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
	z = (z ^ z >> 27) * 0x94d049bb133111eb;
	return z ^ z >> 31;
}

/* sums[i]: how often one of the i + 1 most popular comes. */
static double *zipf_sums(uint32_t nsas)
{
	double *sums = malloc(nsas * sizeof(*sums)), sum = 0;

	for (uint32_t i = 0; sums && i < nsas; i++)
		sums[i] = sum += pow(i + 1, -0.99);
	return sums;
}

static uint32_t zipf_draw(const double *sums, uint32_t nsas, uint64_t *state)
{
	double at = (double)(draw(state) >> 11) / (1ULL << 53) * sums[nsas - 1];
	uint32_t from = 0, to = nsas - 1;

	while (from < to) {
		uint32_t mid = from + (to - from) / 2;

		if (sums[mid] > at)
			to = mid;
		else
			from = mid + 1;
	}
	return from;
}

uint32_t *traffic_make(enum traffic traffic, uint32_t nsas, uint32_t n)
{
	uint32_t hot = nsas < TRAFFIC_HOT ? nsas : TRAFFIC_HOT;
	uint32_t *sas = malloc(n * sizeof(*sas));
	double *sums = traffic == TRAFFIC_ZIPF ? zipf_sums(nsas) : NULL;
	uint64_t state = 1;

	if (!sas || (traffic == TRAFFIC_ZIPF && !sums)) {
		free(sums);
		free(sas);
		return NULL;
	}
	for (uint32_t i = 0; i < n; i++) {
		if (traffic == TRAFFIC_TURN)
			sas[i] = i % nsas;
		else if (traffic == TRAFFIC_ZIPF)
			sas[i] = zipf_draw(sums, nsas, &state);
		else
			sas[i] = draw(&state) % (traffic == TRAFFIC_HOT_SET ? hot : nsas);
	}
	free(sums);
	return sas;
}

uint32_t *traffic_shuffle(uint32_t n)
{
	uint32_t *order = malloc(n * sizeof(*order));
	uint64_t state = 2;

	for (uint32_t i = 0; order && i < n; i++) {
		uint32_t j = draw(&state) % (i + 1);

		order[i] = order[j];
		order[j] = i;
	}
	return order;
}
