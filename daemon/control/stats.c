/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "control/stats.h"

#include <xipsec/reasons.h>

#include "control/names.h"

static const struct {
	unsigned int value;
	const char *name;
	enum xi_reason_kind kind;
} reasons[] = {
#define X(value, symbol, name, kind, text) { value, name, XI_REASON_##kind },
	XI_REASONS(X)
#undef X
};

static json_t *count_json(const struct xi_control_sources *src, enum xi_reason reason)
{
	return xi_json_u64(src->reason(src->arg, reason));
}

json_t *xi_held_json(const struct xi_control_sources *src)
{
	json_t *out = json_object();
	struct xi_held held;

	src->held(src, &held);
	json_object_set_new(out, "sas", xi_json_u64(held.sas));
	json_object_set_new(out, "max_sas", xi_json_u64(held.max_sas));
	json_object_set_new(out, "policies", xi_json_u64(held.policies));
	json_object_set_new(out, "max_policies", xi_json_u64(held.max_policies));
	return out;
}

void xi_drops_put(json_t *out, const struct xi_control_sources *src)
{
	json_t *counts = json_object();
	uint64_t n, drops = 0;

	for (size_t i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++) {
		if (reasons[i].kind != XI_REASON_DROP)
			continue;
		n = src->reason(src->arg, reasons[i].value);
		if (n)
			json_object_set_new(counts, reasons[i].name, xi_json_u64(n));
		drops += n;
	}
	json_object_set_new(out, "drops", xi_json_u64(drops));
	json_object_set_new(out, "drop_reasons", counts);
}

json_t *xi_usage_json(const struct xi_control_sources *src, enum xi_table table)
{
	bool sa = table == XI_TABLE_SA;
	struct xi_table_usage usage = { 0 };
	json_t *out = json_object();

	src->usage(src->arg, table, &usage);
	json_object_set_new(out, "hits", count_json(src, sa ? XI_SA_HIT : XI_FLOW_HIT));
	json_object_set_new(out, "misses", count_json(src, sa ? XI_SA_MISS : XI_FLOW_MISS));
	json_object_set_new(out, "evictions", xi_json_u64(usage.evictions));
	json_object_set_new(out, "entries", xi_json_u64(usage.entries));
	json_object_set_new(out, "capacity", xi_json_u64(usage.capacity));
	return out;
}

json_t *xi_waiting_json(const struct xi_control_sources *src)
{
	struct xi_waiting waiting = { 0 };

	src->waiting(src->arg, &waiting);
	return json_pack("{s:o s:b}", "packets", xi_json_u64(waiting.packets), "key_manager",
			 waiting.key_manager);
}

static void put_u64(json_t *object, const char *name, uint64_t value)
{
	json_object_set_new(object, name, xi_json_u64(value));
}

static json_t *methods_json(const struct xi_sa_figures *figures)
{
	json_t *out = json_object();

	for (unsigned int method = XI_METHOD_FAST; method <= XI_METHOD_DROP; method++)
		put_u64(out, xi_method_name(method), figures->methods[method]);
	return out;
}

static json_t *filled_json(const struct xi_sa_figures *figures)
{
	json_t *out = json_object();

	for (unsigned int why = XI_CHOICE_NONE + 1; why < XI_CHOICE_MAX; why++)
		put_u64(out, xi_choice_name(why), figures->table.filled[why]);
	return out;
}

static json_t *evicted_json(const struct xi_sa_table_figures *table)
{
	json_t *out = json_object();

	put_u64(out, "admission", table->evicted_admission);
	put_u64(out, "kernel", table->evicted_kernel);
	put_u64(out, "deleted", table->evicted_deleted);
	put_u64(out, "changed", table->evicted_changed);
	return out;
}

/* null: no packets */
static json_t *per_million(uint64_t part, uint64_t rest)
{
	long double all = (long double)part + rest;

	return all ? json_integer((json_int_t)(part / all * 1000000)) : json_null();
}

json_t *xi_sa_table_json(const struct xi_control_sources *src, const struct xi_sa_figures *figures)
{
	const struct xi_sa_table_figures *table = &figures->table;
	uint64_t slow = src->reason(src->arg, XI_SLOW_IN) + src->reason(src->arg, XI_SLOW_OUT);
	uint64_t fast = src->reason(src->arg, XI_FAST_IN) + src->reason(src->arg, XI_FAST_OUT);
	json_t *out = json_object();

	json_object_set_new(out, "methods", methods_json(figures));
	put_u64(out, "fast_packets", fast);
	put_u64(out, "slow_packets", slow);
	json_object_set_new(out, "hits_per_million", per_million(fast, slow));
	json_object_set_new(out, "filled", filled_json(figures));
	json_object_set_new(out, "evicted", evicted_json(table));
	put_u64(out, "lapsed", table->lapsed);
	put_u64(out, "refused", table->refused);
	put_u64(out, "unproven", table->unproven);
	return out;
}

static json_t *latency_json(const struct xi_latency *latency)
{
	json_t *out = json_object(), *octaves = json_array();

	put_u64(out, "count", latency->count);
	put_u64(out, "p50_ns", xi_latency_quantile(latency, 500000));
	put_u64(out, "p99_ns", xi_latency_quantile(latency, 990000));
	put_u64(out, "p999_ns", xi_latency_quantile(latency, 999000));
	put_u64(out, "max_ns", latency->max);
	for (unsigned int octave = 0; octave <= XI_LATENCY_TOP; octave++) {
		uint64_t n = xi_latency_octave(latency, octave);

		if (n)
			json_array_append_new(octaves,
					      json_pack("{s:I s:o}", "below_ns",
							(json_int_t)(2ULL << octave), "count",
							xi_json_u64(n)));
	}
	json_object_set_new(out, "histogram", octaves);
	return out;
}

json_t *xi_misses_json(const struct xi_control_sources *src, const struct xi_sa_figures *figures)
{
	const struct xi_cache_misses *misses = &figures->misses;
	json_t *out = json_object();

	json_object_set_new(out, "sent", count_json(src, XI_MISS_SENT));
	json_object_set_new(out, "lost", count_json(src, XI_MISS_LOST));
	json_object_set_new(out, "repeated", count_json(src, XI_MISS_DEDUP));
	json_object_set_new(out, "limited", count_json(src, XI_MISS_LIMITED));
	put_u64(out, "read", misses->messages);
	put_u64(out, "ring_lost", misses->lost);
	put_u64(out, "stale", figures->table.stale);
	put_u64(out, "rests", misses->rests);
	json_object_set_new(out, "latency",
			    json_pack("{s:o s:o}", "sa", latency_json(&misses->sa), "flow",
				      latency_json(&misses->flow)));
	return out;
}

static json_t *stats(void *arg, const json_t *req, const char **error)
{
	const struct xi_control_sources *src = arg;
	json_t *counts = json_object();
	json_t *out = json_object();
	struct xi_sa_figures figures;
	uint64_t drops = 0;

	for (size_t i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++) {
		uint64_t n;

		if (reasons[i].value == XI_NONE)
			continue;
		n = src->reason(src->arg, reasons[i].value);
		if (reasons[i].kind == XI_REASON_DROP)
			drops += n;
		json_object_set_new(counts, reasons[i].name, xi_json_u64(n));
	}
	json_object_set_new(out, "reasons", counts);
	json_object_set_new(out, "drops", xi_json_u64(drops));
	json_object_set_new(out, "held", xi_held_json(src));
	json_object_set_new(out, "waiting", xi_waiting_json(src));
	json_object_set_new(out, "cache", xi_usage_json(src, XI_TABLE_SA));
	json_object_set_new(out, "flows", xi_usage_json(src, XI_TABLE_FLOW));
	src->sa_figures(src->arg, &figures);
	json_object_set_new(out, "sa_table", xi_sa_table_json(src, &figures));
	json_object_set_new(out, "misses", xi_misses_json(src, &figures));
	if (!out)
		*error = "out of memory: try again later";
	return out;
}

int xi_stats_register(struct xi_control *ctl, const struct xi_control_sources *src)
{
	return xi_control_register(ctl, "stats", stats, (void *)(uintptr_t)src);
}
