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
	json_t *out = json_object();

	json_object_set_new(out, "spi", xi_json_spi(id->spi));
	json_object_set_new(out, "dst", xi_json_addr(id->daddr, id->family));
	json_object_set_new(out, "proto", json_string(xi_proto_name(id->proto)));
	json_object_set_new(out, "handle", handle_json(cached->sa_index));
	json_object_set_new(out, "method", json_string(xi_method_name(cached->method)));
	json_object_set_new(out, "slot", slot_json(cached->slot));
	return append(ctx, out);
}

/* What the mask leaves out is null, the protocol 0. */
static json_t *flow_json(const struct xi_flow_key *key)
{
	const struct xi_flow_mask *mask = &key->mask;
	json_t *out = json_object();

	json_object_set_new(out, "dir", json_string(xi_dir_name(key->dir)));
	json_object_set_new(out, "src", xi_json_prefix(key->saddr, key->family, mask->prefixlen_s));
	json_object_set_new(out, "dst", xi_json_prefix(key->daddr, key->family, mask->prefixlen_d));
	json_object_set_new(out, "proto", json_integer(key->proto));
	json_object_set_new(out, "sport", xi_json_match(key->sport, mask->sport));
	json_object_set_new(out, "dport", xi_json_match(key->dport, mask->dport));
	json_object_set_new(out, "fragment",
			    mask->fragment ? json_boolean(key->fragment) : json_null());
	return out;
}

static int append_flow(void *ctx, const struct xi_flow_key *key, const struct xi_flow_verdict *v)
{
	uint32_t slot = v->handle ? v->slot : XI_NO_SLOT;
	uint32_t next_slot = v->next_handle ? v->next_slot : XI_NO_SLOT;
	json_t *out = flow_json(key);

	json_object_set_new(out, "verdict", json_string(xi_verdict_name(v->verdict)));
	json_object_set_new(out, "handle", handle_json(v->handle));
	json_object_set_new(out, "next_handle", handle_json(v->next_handle));
	json_object_set_new(out, "slot", slot_json(slot));
	json_object_set_new(out, "next_slot", slot_json(next_slot));
	return append(ctx, out);
}

static json_t *cache(void *arg, const json_t *req, const char **error)
{
	const struct xi_control_sources *src = arg;
	struct list sas = { .items = json_array() };
	struct list flows = { .items = json_array() };
	json_t *out = json_object();

	src->each_cached_sa(src->arg, append_sa, &sas);
	src->each_cached_flow(src->arg, append_flow, &flows);
	json_object_set_new(out, "cache", xi_usage_json(src, XI_TABLE_SA));
	json_object_set_new(out, "flows", xi_usage_json(src, XI_TABLE_FLOW));
	json_object_set_new(out, "cached_sas", sas.items);
	json_object_set_new(out, "cached_flows", flows.items);
	json_object_set_new(out, "truncated", json_boolean(sas.truncated || flows.truncated));
	if (!out)
		*error = "out of memory: try again later";
	return out;
}

int xi_cachecmd_register(struct xi_control *ctl, const struct xi_control_sources *src)
{
	return xi_control_register(ctl, "cache", cache, (void *)(uintptr_t)src);
}
