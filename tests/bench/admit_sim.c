/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * How good the admission policies are: the daemon's own code, and policies that were not chosen, on traces, beside LRU
 * that sees every hit and Belady's optimum.
 *
 *   admit_sim [--json FILE] [--quick] [--policy NAME]
 *
 * For each policy the hit ratio in per cent and the evictions in a thousand requests, both after the first fifth of a
 * trace; then what a miss costs, and memory. All runs make the same requests; policies draw seeds of their own, so that
 * figures vary by a tenth of a point. --quick: tables up to 1,024 alone. Exits 1 when a policy contradicts itself or
 * beats the optimum.
 */
#include <errno.h>
#include <malloc.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <jansson.h>

#include "admit/policies.h"
#include "admit/reference.h"
#include "admit/trace.h"

#define MAX_POLICIES 16
#define QUICK_MAX 1024               /* the largest table of --quick */
#define TELL_AGAIN 1000              /* sampled traces: requests before an SA's next miss is told */
#define TELL_EVERY 4                 /* and at most one miss in so many requests */

static const uint32_t capacities[] = { 64, 256, 1024, 4096, 16384 };
#define NCAPACITIES (sizeof(capacities) / sizeof(capacities[0]))

struct policy {
	const char *name;
	const struct xi_admit_ops *ops;  /* NULL: a reference, or the daemon's by its name */
	struct score (*reference)(const uint32_t *sas, uint32_t n, uint32_t skip,
				  uint32_t capacity);
	double margin_scan, worst_other; /* points against exact LRU, where they are least */
	char worst_name[64], margin_name[64];
};

struct world {
	uint32_t *used;              /* of each SA, since the policy last asked */
	uint32_t *missed;            /* since its miss was last told */
	uint32_t *told;              /* when; 0: never */
	bool *resident;
	uint64_t asked;
};

static uint32_t world_uses(void *arg, uint32_t sa)
{
	struct world *world = arg;
	uint32_t n = world->used[sa];

	world->used[sa] = 0;
	world->asked++;
	return n;
}

static void world_init(struct world *world)
{
	*world = (struct world){
		calloc(TRACE_SAS_MAX, sizeof(uint32_t)), calloc(TRACE_SAS_MAX, sizeof(uint32_t)),
		calloc(TRACE_SAS_MAX, sizeof(uint32_t)), calloc(TRACE_SAS_MAX, sizeof(bool)), 0,
	};
	if (!world->used || !world->missed || !world->told || !world->resident)
		abort();
}

static void world_fini(struct world *world)
{
	free(world->used);
	free(world->missed);
	free(world->told);
	free(world->resident);
}

static void fail(const struct policy *policy, const char *what)
{
	fprintf(stderr, "admit_sim: policy %s: %s\n", policy->name, what);
	exit(1);
}

static struct xi_admit *policy_open(const struct policy *policy, uint32_t capacity,
				    struct world *world)
{
	const struct xi_admit_config config = {
		.policy = policy->name,
		.capacity = capacity,
		.uses = world_uses,
		.arg = world,
	};
	struct xi_admit *admit;

	if (policy->ops ? xi_admit_create_ops(&admit, &config, policy->ops) :
			  xi_admit_create(&admit, &config))
		fail(policy, "cannot be created");
	return admit;
}

/* True: somebody was evicted. */
static bool world_tell(struct world *world, const struct policy *policy, struct xi_admit *admit,
		       uint32_t sa, uint32_t capacity)
{
	bool room = xi_admit_resident(admit) < capacity;
	struct xi_admission answer;

	xi_admit_miss(admit, sa, world->missed[sa], &answer);
	world->missed[sa] = 0;
	if (answer.verdict == XI_ADMIT_REFUSED)
		return false;
	if (answer.verdict == XI_ADMIT_FREE && !room)
		fail(policy, "more resident than there is room for");
	if (answer.verdict == XI_ADMIT_EVICT) {
		if (answer.victim == sa || !world->resident[answer.victim])
			fail(policy, "the victim was not resident");
		world->resident[answer.victim] = false;
	}
	world->resident[sa] = true;
	world->used[sa] = 0;
	return answer.verdict == XI_ADMIT_EVICT;
}

static struct score policy_run(const struct policy *policy, const struct trace_kind *kind,
			       const uint32_t *sas, uint32_t n, uint32_t skip, uint32_t capacity)
{
	struct score score = { 0 };
	struct world world;
	struct xi_admit *admit;
	uint32_t i, next_tell = 0;

	world_init(&world);
	admit = policy_open(policy, capacity, &world);
	for (i = 0; i < n; i++) {
		uint32_t sa = sas[i];

		if (world.resident[sa]) {
			world.used[sa]++;
			score.all_hits++;
			score.hits += i >= skip;
			continue;
		}
		world.missed[sa]++;
		if (kind->sampled) {
			if (i < next_tell || (world.told[sa] && i - world.told[sa] < TELL_AGAIN))
				continue;
			next_tell = i + TELL_EVERY;
			world.told[sa] = i;
		}
		if (world_tell(&world, policy, admit, sa, capacity))
			score.evictions += i >= skip;
	}
	xi_admit_destroy(admit);
	world_fini(&world);
	return score;
}

static uint32_t trace_length(uint32_t capacity)
{
	return XI_MIN(XI_MAX(160 * capacity, 200000U), 2500000U);
}

static void policy_compare(struct policy *policy, const struct trace_kind *kind, uint32_t capacity,
			   double points)
{
	char name[64];

	snprintf(name, sizeof(name), "%s/%u", kind->name, capacity);
	if (!strcmp(kind->family, "scan") && points < policy->margin_scan) {
		policy->margin_scan = points;
		strcpy(policy->margin_name, name);
	}
	if (strcmp(kind->family, "scan") && points < policy->worst_other) {
		policy->worst_other = points;
		strcpy(policy->worst_name, name);
	}
}

static void trace_run(const struct trace_kind *kind, uint32_t capacity,
		      struct policy *policies, size_t npolicies, json_t *rows)
{
	uint32_t n = trace_length(capacity), skip = n / 5;
	uint32_t *sas = malloc(n * sizeof(*sas));
	json_t *row = json_pack("{s:s,s:s,s:i,s:i}", "trace", kind->name, "family", kind->family,
				"capacity", (int)capacity, "requests", (int)(n - skip));
	json_t *results = json_object();
	uint64_t optimum = 0;
	double lru = 0;
	size_t i;

	if (!sas || !row || !results)
		abort();
	kind->make(kind, capacity, sas, n);
	printf("%-15s %5u", kind->name, capacity);
	for (i = 0; i < npolicies; i++) {
		struct policy *p = &policies[i];
		struct score score = p->reference ? p->reference(sas, n, skip, capacity) :
						    policy_run(p, kind, sas, n, skip, capacity);
		double hits = 100.0 * (double)score.hits / (n - skip);
		double evictions = 1000.0 * (double)score.evictions / (n - skip);

		if (p->reference == reference_optimum)
			optimum = score.all_hits;
		else if (score.all_hits > optimum)
			fail(p, "more hits than the optimum");
		if (p->reference == reference_lru)
			lru = hits;
		policy_compare(p, kind, capacity, hits - lru);
		printf(" %6.2f %4.0f", hits, evictions);
		json_object_set_new(results, p->name,
				    json_pack("{s:f,s:f}", "hit_ratio", hits / 100,
					      "evictions_per_1000", evictions));
	}
	printf("\n");
	fflush(stdout);
	json_object_set_new(row, "policies", results);
	json_array_append_new(rows, row);
	free(sas);
}

static double now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
	return (double)ts.tv_sec * 1e9 + (double)ts.tv_nsec;
}

static size_t heap_used(void)
{
	struct mallinfo2 info = mallinfo2();

	return info.uordblks + info.hblkhd;
}

/* A full table, every resident used, misses of SAs of Zipf's: time, questions and memory. */
static void policy_cost(const struct policy *policy, uint32_t capacity, const uint32_t *sas,
			uint32_t n, json_t *costs)
{
	struct world world;
	struct xi_admit *admit;
	double ns, asked, bytes;
	size_t before;
	uint32_t i;

	world_init(&world);
	before = heap_used();
	admit = policy_open(policy, capacity, &world);
	bytes = (double)(heap_used() - before) / capacity;
	for (i = 0; i < TRACE_SAS_MAX; i++)
		world.used[i] = 3;
	ns = now_ns();
	for (i = 0; i < n; i++) {
		struct xi_admission answer;

		xi_admit_miss(admit, sas[i], 1, &answer);
	}
	ns = (now_ns() - ns) / n;
	asked = (double)world.asked / n;
	printf("%-12s %8u %8.0f %8.1f %8.1f\n", policy->name, capacity, ns, asked, bytes);
	json_array_append_new(costs, json_pack("{s:s,s:i,s:f,s:f,s:f}", "policy", policy->name,
					       "capacity", (int)capacity, "ns_per_miss", ns,
					       "uses_per_miss", asked, "bytes_per_sa", bytes));
	xi_admit_destroy(admit);
	world_fini(&world);
}

static void costs_run(const struct policy *policies, size_t npolicies, bool quick, json_t *costs)
{
	uint32_t n = quick ? 200000 : 1000000, *sas = malloc(n * sizeof(*sas));
	const struct trace_kind *kind = &trace_kinds[0];
	size_t i, c;

	if (!sas)
		abort();
	kind->make(kind, 0, sas, n);
	printf("\n%-12s %8s %8s %8s %8s   (misses of %s)\n", "policy", "capacity", "ns/miss",
	       "asked", "bytes/SA", kind->name);
	for (i = 0; i < npolicies; i++)
		for (c = 2; c < NCAPACITIES && !policies[i].reference; c += 2)
			policy_cost(&policies[i], capacities[c], sas, n, costs);
	free(sas);
}

static void goals_print(const struct policy *policies, size_t npolicies, json_t *goals)
{
	size_t i;

	printf("\n%-12s points against exact LRU: least on scans, worst on others\n", "policy");
	for (i = 0; i < npolicies; i++) {
		const struct policy *p = &policies[i];

		if (p->reference)
			continue;
		printf("%-12s %+7.2f (%s)  %+7.2f (%s)\n", p->name, p->margin_scan, p->margin_name,
		       p->worst_other, p->worst_name);
		json_object_set_new(goals, p->name,
				    json_pack("{s:f,s:s,s:f,s:s}", "scan_points", p->margin_scan,
					      "scan_at", p->margin_name, "other_points",
					      p->worst_other, "other_at", p->worst_name));
	}
}

static size_t policies_list(struct policy *policies, const char *only)
{
	static const struct xi_admit_ops *const others[] = { &xi_admit_s3fifo, &xi_admit_sieve,
							     &xi_admit_wtinylfu };
	const char *const *names = xi_admit_policies();
	size_t i, n = 0;

	policies[n++] = (struct policy){ .name = "optimum", .reference = reference_optimum };
	policies[n++] = (struct policy){ .name = "exact-lru", .reference = reference_lru };
	for (i = 0; names[i]; i++)
		if (!only || !strcmp(only, names[i]))
			policies[n++] = (struct policy){ .name = names[i] };
	for (i = 0; i < sizeof(others) / sizeof(others[0]); i++)
		if (!only || !strcmp(only, others[i]->name))
			policies[n++] = (struct policy){ .name = others[i]->name, .ops = others[i] };
	for (i = 0; i < n; i++)
		policies[i].margin_scan = policies[i].worst_other = 100;
	return n;
}

int main(int argc, char **argv)
{
	const char *json_path = NULL, *only = NULL;
	struct policy policies[MAX_POLICIES];
	json_t *report;
	bool quick = false;
	size_t i, c, n;

	for (i = 1; i < (size_t)argc; i++) {
		if (!strcmp(argv[i], "--quick")) {
			quick = true;
		} else if (!strcmp(argv[i], "--json") && i + 1 < (size_t)argc) {
			json_path = argv[++i];
		} else if (!strcmp(argv[i], "--policy") && i + 1 < (size_t)argc) {
			only = argv[++i];
		} else {
			fprintf(stderr, "usage: admit_sim [--json FILE] [--quick] [--policy NAME]\n");
			return 2;
		}
	}
	n = policies_list(policies, only);
	if (n == 2) {
		fprintf(stderr, "admit_sim: no policy %s\n", only);
		return 2;
	}
	report = json_pack("{s:s,s:[],s:[],s:{}}", "default", xi_admit_policies()[0], "runs", "costs",
			   "goals");
	printf("%-15s %5s", "trace", "size");
	for (i = 0; i < n; i++)
		printf(" %11s", policies[i].name);
	printf("\n");
	for (i = 0; i < trace_nkinds; i++)
		for (c = 0; c < NCAPACITIES && !(quick && capacities[c] > QUICK_MAX); c++)
			trace_run(&trace_kinds[i], capacities[c], policies, n,
				  json_object_get(report, "runs"));
	goals_print(policies, n, json_object_get(report, "goals"));
	costs_run(policies, n, quick, json_object_get(report, "costs"));
	if (json_path && json_dump_file(report, json_path, JSON_INDENT(1))) {
		fprintf(stderr, "admit_sim: cannot write %s: %s\n", json_path, strerror(errno));
		return 1;
	}
	json_decref(report);
	return 0;
}
