/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "control/cachecmd.h"

#include <xipsec/flow_key.h>

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

static json_t *sa_json(const struct xi_cached_sa *sa)
{
	json_t *out = json_object();

	json_object_set_new(out, "spi", xi_json_spi(sa->id.spi));
	json_object_set_new(out, "dst", xi_json_addr(sa->id.daddr, sa->id.family));
	json_object_set_new(out, "proto", json_string(xi_proto_name(sa->id.proto)));
	json_object_set_new(out, "handle", handle_json(sa->handle));
	json_object_set_new(out, "method", json_string(xi_method_name(sa->method)));
	json_object_set_new(out, "slot", slot_json(sa->slot));
	json_object_set_new(out, "why", json_string(sa->why));
	json_object_set_new(out, "cached", json_boolean(sa->cached));
	json_object_set_new(out, "age",
			    sa->age == XI_NO_AGE ? json_null() : xi_json_u64(sa->age));
	json_object_set_new(out, "hits", xi_json_u64(sa->hits));
	json_object_set_new(out, "uses", xi_json_u64(sa->uses));
	json_object_set_new(out, "misses", xi_json_u64(sa->misses));
	return out;
}

static int append_sa(void *ctx, const struct xi_cached_sa *sa)
{
	return append(ctx, sa_json(sa));
}

/* What the mask leaves out is null, the protocol 0. */
static json_t *flow_json(const struct xi_flow_key *key)
{
	const struct xi_flow_mask mask = xi_flow_key_mask(key);
	uint32_t family = xi_flow_key_family(key);
	json_t *out = json_object();

	json_object_set_new(out, "dir", json_string(xi_dir_name(xi_flow_key_dir(key))));
	json_object_set_new(out, "src", xi_json_prefix(key->saddr, family, mask.prefixlen_s));
	json_object_set_new(out, "dst", xi_json_prefix(key->daddr, family, mask.prefixlen_d));
	json_object_set_new(out, "proto", json_integer(key->proto));
	json_object_set_new(out, "sport", xi_json_match(key->sport, mask.sport));
	json_object_set_new(out, "dport", xi_json_match(key->dport, mask.dport));
	json_object_set_new(out, "fragment",
			    mask.fragment ? json_boolean(key->bits & XI_KEY_FRAGMENT) : json_null());
	json_object_set_new(out, "mark", json_integer(key->bits & XI_KEY_IF_ID ? 0 : key->mark));
	json_object_set_new(out, "if_id", json_integer(key->bits & XI_KEY_IF_ID ? key->mark : 0));
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

/* One that the table does not know: SLOW, should a packet of it come. */
static void unknown_sa(const struct xi_sa_rec *rec, struct xi_cached_sa *out)
{
	*out = (struct xi_cached_sa){
		.id = rec->sa.id,
		.handle = rec->sa.sa_index,
		.uses = xi_sa_table_uses(rec->state),
		.method = xi_choice_method(XI_CHOICE_NONE),
		.why = xi_choice_name(XI_CHOICE_NONE),
		.slot = XI_NO_SLOT,
		.age = XI_NO_AGE,
	};
}

/* All SAs of an SPI, or the one of a handle. */
static void find_sas(const struct xi_control_sources *src, uint32_t wanted, struct list *list)
{
	const struct xi_sa_rec *rec;
	struct xi_cached_sa sa;
	uint32_t at = 0;

	while ((rec = src->next_sa(src, &at))) {
		if (rec->sa.id.spi != wanted && rec->sa.sa_index != wanted)
			continue;
		if (!src->sa_cached(src->arg, rec->sa.sa_index, &sa))
			unknown_sa(rec, &sa);
		if (append_sa(list, &sa))
			break;
	}
}

static json_t *one_sa(const struct xi_control_sources *src, const json_t *name, const char **error)
{
	struct list sas = { .items = json_array() };
	uint32_t wanted;

	if (!xi_json_get_id(name, &wanted)) {
		json_decref(sas.items);
		*error = "no SPI and no handle: give one of `xipsec show`, as 0x1001";
		return NULL;
	}
	find_sas(src, wanted, &sas);
	if (!json_array_size(sas.items)) {
		json_decref(sas.items);
		*error = "no SA has this SPI or handle: `xipsec show` lists them";
		return NULL;
	}
	return json_pack("{s:o s:b}", "cached_sas", sas.items, "truncated", sas.truncated);
}

static json_t *cache(void *arg, const json_t *req, const char **error)
{
	const struct xi_control_sources *src = arg;
	const json_t *name = json_object_get(req, "sa");
	struct list sas = { 0 }, flows = { 0 };
	struct xi_sa_figures figures;
	json_t *out;

	if (name)
		return one_sa(src, name, error);
	out = json_object();
	sas.items = json_array();
	flows.items = json_array();
	src->sa_figures(src->arg, &figures);
	src->each_cached_sa(src->arg, append_sa, &sas);
	src->each_cached_flow(src->arg, append_flow, &flows);
	json_object_set_new(out, "cache", xi_usage_json(src, XI_TABLE_SA));
	json_object_set_new(out, "flows", xi_usage_json(src, XI_TABLE_FLOW));
	json_object_set_new(out, "sa_table", xi_sa_table_json(src, &figures));
	json_object_set_new(out, "misses", xi_misses_json(src, &figures));
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
