/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "control/cachecmd.h"

#include "control/names.h"
#include "control/stats.h"

struct list {
	json_t *items;
	bool truncated;
};

static json_t *slot_json(uint32_t slot)
{
	return slot == XI_NO_SLOT ? json_null() : json_integer(slot);
}

/* null: no SA */
static json_t *handle_json(uint32_t handle)
{
	return handle ? json_sprintf("0x%08x", handle) : json_null();
}

static int append(struct list *list, json_t *item)
{
	if (json_array_size(list->items) == XI_CACHE_LIST_MAX) {
		json_decref(item);
		list->truncated = true;
		return 1;
	}
	return json_array_append_new(list->items, item);
}

static int append_sa(void *ctx, const struct xi_sa_id *id, const struct xi_sa_cached *cached)
{
	return append(ctx, json_pack("{s:o s:o s:s s:o s:s s:o}", "spi", xi_json_spi(id->spi),
				     "dst", xi_json_addr(id->daddr, id->family), "proto", xi_proto_name(id->proto),
				     "handle", handle_json(cached->sa_index),
				     "method", xi_method_name(cached->method), "slot", slot_json(cached->slot)));
}

static int append_flow(void *ctx, const struct xi_flow *flow, const struct xi_flow_verdict *v)
{
	return append(ctx, json_pack("{s:s s:o s:o s:I s:I s:I s:b s:s s:o s:o s:o s:o}",
				     "dir", xi_dir_name(flow->dir), "src", xi_json_addr(flow->saddr, flow->family),
				     "dst", xi_json_addr(flow->daddr, flow->family),
				     "proto", (json_int_t)flow->proto, "sport", (json_int_t)flow->sport,
				     "dport", (json_int_t)flow->dport, "fragment", !!flow->fragment,
				     "verdict", xi_verdict_name(v->verdict), "handle", handle_json(v->handle),
				     "next_handle", handle_json(v->next_handle),
				     "slot", v->handle ? slot_json(v->slot) : json_null(),
				     "next_slot", v->next_handle ? slot_json(v->next_slot) : json_null()));
}

static json_t *cache(void *arg, const json_t *req, const char **error)
{
	const struct xi_control_sources *src = arg;
	struct list sas = { .items = json_array() };
	struct list flows = { .items = json_array() };
	json_t *reply;

	src->each_cached_sa(src->arg, append_sa, &sas);
	src->each_cached_flow(src->arg, append_flow, &flows);
	reply = json_pack("{s:o s:o s:o s:o s:b}", "cache", xi_usage_json(src, XI_TABLE_SA),
			  "flows", xi_usage_json(src, XI_TABLE_FLOW), "cached_sas", sas.items,
			  "cached_flows", flows.items, "truncated", sas.truncated || flows.truncated);
	if (!reply)
		*error = "out of memory: try again later";
	return reply;
}

int xi_cachecmd_register(struct xi_control *ctl, const struct xi_control_sources *src)
{
	return xi_control_register(ctl, "cache", cache, (void *)(uintptr_t)src);
}
