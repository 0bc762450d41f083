/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Admission by expected use: who of the newcomer and the residents will be used most in the packets to come.
 *
 * Time is counted in missed packets, in ticks. Each SA has a count of its uses of late, halved every 8 ticks a slot: a
 * resident's in its node, everybody else's in a sketch, as TinyLFU has it. Count and time since the last use make a
 * class, and how often the SAs of a class are used per tick is not assumed but measured, all the time, apart for
 * residents and for those outside (as least hit density does with the age of objects: Beckmann, Chen and Cidon, NSDI
 * 2018). When the hot set moves, the classes of those who were hot soon lose their rate, though each SA's own history
 * is too short to tell.
 *
 * A hand goes around the residents, three a miss; the weakest it has seen is who contends with the newcomer. A newcomer
 * has to have been used twice, so that scans cost no eviction, and its class needs one and a half times the rate of the
 * weakest's. If it was not used more often, it also has to have been used again within a time in which the weakest was
 * not used at all: those of a loop longer than the table are equals, and stay where they are.
 *
 * Measured with tests/bench/admit_sim; doc/architecture.md has the table.
 */
#include <errno.h>
#include <stdlib.h>

#include "cache/admit_priv.h"
#include "cache/admit_sketch.h"

#define LOOKS 3                      /* residents looked at for each miss, beside the weakest */
#define PERIOD 8                     /* ticks a slot until counts are halved */
#define UNKNOWN 2                    /* epochs since a use nobody remembers */
#define COUNTERS 15                  /* of each row of the sketch, a slot */
#define SEEN 4                       /* places for last misses, a slot */
#define MEMORY 2                     /* looks a slot until what was measured counts half */
#define MEMORY_MIN 4096              /* but never fewer: small tables would forget before they knew */
#define PRIOR 2.0                    /* ticks a slot that the presumed rate is worth */
#define HYSTERESIS 1.5

/* Class: binary magnitude of the count, and of the time since the last use in eighths of a tick a slot. */
#define MAGNITUDES 9
#define TIMES 8
#define CLASSES (MAGNITUDES * TIMES)

struct tally {
	double uses, ticks;
	double prior;                /* uses per tick, as long as nothing is known */
};

/* The last miss of an SA that was refused. Another SA's with the same hash takes its place. */
struct seen {
	uint32_t sa_index;           /* 0: nobody's */
	uint32_t tick;
	uint32_t class;
};

struct rate {
	struct xi_admit admit;
	struct xi_sketch sketch;
	uint32_t now;                /* tick; it wraps: times are differences, and bounded */
	uint32_t period, ticks;      /* of an epoch, all and gone by */
	uint32_t hand;
	uint32_t weakest;            /* node: the contender of the last miss, or who is there now */
	uint32_t memory, looks;
	struct tally residents[CLASSES], outside[CLASSES];
	struct seen *seen;
	unsigned int seen_shift;
	uint64_t seen_seed[2];
};

static uint32_t magnitude(uint64_t x, uint32_t n)
{
	uint32_t bits = x ? 64 - (uint32_t)__builtin_clzll(x) : 0;

	return bits < n ? bits : n - 1;
}

static uint32_t rate_class(const struct rate *rate, uint32_t count, uint32_t unused)
{
	return magnitude(count, MAGNITUDES) * TIMES +
	       magnitude((uint64_t)unused * 8 / rate->admit.config.capacity, TIMES);
}

static double tally_rate(const struct rate *rate, const struct tally *tally)
{
	double presumed = PRIOR * rate->admit.config.capacity;

	return (tally->uses + tally->prior * presumed) / (tally->ticks + presumed);
}

/*
 * Presumed rates: the middle of what a class counts, over an epoch and a half. Of those outside one less: what made
 * them known may have been all.
 */
static void tallies_init(struct rate *rate)
{
	uint32_t i, m;

	for (i = 0; i < CLASSES; i++) {
		m = i / TIMES;
		rate->residents[i].prior = (m ? 0.75 * (1 << m) : 0.25) / (1.5 * rate->period);
		rate->outside[i].prior = (m > 1 ? 0.75 * (1 << m) - 1 : 0.25) /
					 (1.5 * rate->period);
	}
}

static void tallies_age(struct rate *rate)
{
	uint32_t i;

	for (i = 0; i < CLASSES; i++) {
		rate->residents[i].uses /= 2;
		rate->residents[i].ticks /= 2;
		rate->outside[i].uses /= 2;
		rate->outside[i].ticks /= 2;
	}
}

static int rate_init(struct xi_admit *admit)
{
	struct rate *rate = (struct rate *)admit;
	uint32_t capacity = admit->config.capacity;
	unsigned int bits = 4;
	int err;

	rate->period = PERIOD * capacity;
	rate->memory = MEMORY * capacity > MEMORY_MIN ? MEMORY * capacity : MEMORY_MIN;
	tallies_init(rate);
	while (1U << bits < SEEN * capacity)
		bits++;
	rate->seen_shift = 64 - bits;
	rate->seen = calloc((size_t)1 << bits, sizeof(*rate->seen));
	if (!rate->seen)
		return -ENOMEM;
	err = xi_admit_random(rate->seen_seed, sizeof(rate->seen_seed));
	return err ? err : xi_sketch_init(&rate->sketch, COUNTERS * (uint64_t)capacity);
}

static void rate_fini(struct xi_admit *admit)
{
	struct rate *rate = (struct rate *)admit;

	free(rate->seen);
	xi_sketch_fini(&rate->sketch);
}

static void rate_tick(struct rate *rate, uint32_t n)
{
	rate->now += n;
	rate->ticks += n;
	if (rate->ticks < rate->period)
		return;
	rate->ticks = 0;
	xi_sketch_age(&rate->sketch);
}

static uint8_t node_count(const struct rate *rate, const struct xi_admit_node *node)
{
	uint32_t age = rate->sketch.epoch - node->epoch;

	return age < 8 ? (uint8_t)(node->count >> age) : 0;
}

/* Asks for a resident's uses. What its class is used per tick. */
static double rate_look(struct rate *rate, uint32_t number)
{
	struct xi_admit_node *node = xi_admit_node(&rate->admit, number);
	uint32_t uses = xi_admit_uses(&rate->admit, number), count = node_count(rate, node);

	rate->residents[node->class].uses += uses;
	rate->residents[node->class].ticks += rate->now - node->looked;
	node->looked = rate->now;
	if (uses)
		node->used = rate->now;
	else if (rate->now - node->used > UNKNOWN * rate->period)
		node->used = rate->now - UNKNOWN * rate->period;
	node->count = (uint8_t)(uses < XI_SKETCH_MAX - count ? count + uses : XI_SKETCH_MAX);
	node->epoch = rate->sketch.epoch;
	node->class = (uint8_t)rate_class(rate, node->count, rate->now - node->used);
	if (++rate->looks >= rate->memory) {
		rate->looks = 0;
		tallies_age(rate);
	}
	return tally_rate(rate, &rate->residents[node->class]);
}

/* The table is full, so every node is a resident. Moves the hand. *least: the rate of the weakest. */
static uint32_t rate_weakest(struct rate *rate, double *least)
{
	uint32_t i, node, weakest = rate->weakest;
	double expected;

	*least = rate_look(rate, weakest);
	for (i = 0; i < LOOKS && i < rate->admit.config.capacity; i++) {
		node = rate->hand;
		rate->hand = node + 1 < rate->admit.table.n ? node + 1 : 0;
		expected = rate_look(rate, node);
		if (expected < *least) {
			weakest = node;
			*least = expected;
		}
	}
	rate->weakest = weakest;
	return weakest;
}

static struct seen *seen_find(struct rate *rate, uint32_t sa_index)
{
	return &rate->seen[xi_admit_hash(rate->seen_seed, sa_index, rate->seen_shift)];
}

/* A miss, after weight uses: measures, and puts this miss in the last one's place. Ticks from one use to the next. */
static uint32_t seen_miss(struct rate *rate, struct seen *seen, uint32_t sa_index, uint32_t count,
			  uint32_t weight)
{
	uint32_t since = rate->now - seen->tick;
	bool known = seen->sa_index == sa_index;

	if (seen->sa_index)
		rate->outside[seen->class].ticks += since;
	if (known)
		rate->outside[seen->class].uses += weight;
	else
		since = UNKNOWN * rate->period;
	seen->sa_index = sa_index;
	seen->tick = rate->now;
	seen->class = rate_class(rate, count, since);
	return since / weight;
}

static bool rate_worth_it(struct rate *rate, const struct seen *seen, uint32_t count,
			  uint32_t every, uint32_t *weakest)
{
	struct xi_admit_node *node;
	double least;

	*weakest = rate_weakest(rate, &least);
	node = xi_admit_node(&rate->admit, *weakest);
	/* two may be the sketch's error, unless the first was seen */
	if (count < 2 || (count < 3 && every >= UNKNOWN * rate->period))
		return false;
	if (count <= node->count && every >= rate->now - node->used)
		return false;
	return tally_rate(rate, &rate->outside[seen->class]) > HYSTERESIS * least;
}

static void rate_remove(struct xi_admit *admit, uint32_t number)
{
	struct rate *rate = (struct rate *)admit;
	struct xi_admit_node *node = xi_admit_node(admit, number);

	xi_sketch_raise(&rate->sketch, node->sa_index, node_count(rate, node));
}

static void rate_admit(struct rate *rate, uint32_t sa_index, uint8_t count)
{
	uint32_t number = xi_admit_add(&rate->admit, sa_index);
	struct xi_admit_node *node = xi_admit_node(&rate->admit, number);

	node->count = count;
	node->epoch = rate->sketch.epoch;
	node->used = node->looked = rate->now;
	node->class = (uint8_t)rate_class(rate, count, 0);
	xi_admit_admit(&rate->admit, number);
}

static void rate_miss(struct xi_admit *admit, uint32_t number, uint32_t sa_index, uint32_t weight,
		      struct xi_admission *out)
{
	struct rate *rate = (struct rate *)admit;
	uint32_t n = weight < XI_SKETCH_MAX ? weight : XI_SKETCH_MAX, every, weakest;
	uint8_t count = xi_sketch_add(&rate->sketch, sa_index, n);
	struct seen *seen = seen_find(rate, sa_index);

	rate_tick(rate, n);
	every = seen_miss(rate, seen, sa_index, count, weight);
	if (admit->resident == admit->config.capacity) {
		if (!rate_worth_it(rate, seen, count, every, &weakest)) {
			out->verdict = XI_ADMIT_REFUSED;
			return;
		}
		xi_admit_evict(admit, weakest, out);
		rate_remove(admit, weakest);
		xi_admit_del(admit, weakest);
	}
	seen->sa_index = 0;
	rate_admit(rate, sa_index, count);
}

const struct xi_admit_ops xi_admit_rate = {
	.name = "rate",
	.size = sizeof(struct rate),
	.nodes_per_sa = 1,
	.init = rate_init,
	.fini = rate_fini,
	.miss = rate_miss,
	.remove = rate_remove,
};
