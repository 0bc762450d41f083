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

static json_t *stats(void *arg, const json_t *req, const char **error)
{
	const struct xi_control_sources *src = arg;
	json_t *counts = json_object();
	json_t *out = json_object();
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
	json_object_set_new(out, "cache", xi_usage_json(src, XI_TABLE_SA));
	json_object_set_new(out, "flows", xi_usage_json(src, XI_TABLE_FLOW));
	if (!out)
		*error = "out of memory: try again later";
	return out;
}

int xi_stats_register(struct xi_control *ctl, const struct xi_control_sources *src)
{
	return xi_control_register(ctl, "stats", stats, (void *)(uintptr_t)src);
}
