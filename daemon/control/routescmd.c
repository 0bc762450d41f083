/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "control/routescmd.h"

#include "control/names.h"
#include "control/show.h"

static void put(json_t *object, const char *name, json_t *value)
{
	json_object_set_new(object, name, value);
}

static json_t *route_json(const struct xi_route *route)
{
	static const char *const types[] = {
		[XI_ROUTE_NONE] = "waiting",
		[XI_ROUTE_VIA] = "xipsec0",
		[XI_ROUTE_THROW] = "throw",
	};
	const struct xi_prefix *dst = &route->dst;
	json_t *out = json_object();

	put(out, "dst", xi_json_prefix(dst->addr, dst->family, dst->plen));
	put(out, "type", json_string(types[route->kind]));
	put(out, "src", route->has_src ? xi_json_addr(route->src, dst->family) : json_null());
	return out;
}

/* A page at most. */
static void put_routes(json_t *out, const struct xi_routes *routes, uint64_t at)
{
	json_t *list = json_array();
	const struct xi_route *route = NULL;

	while (json_array_size(list) < XI_SHOW_PAGE && (route = xi_routes_next(routes, &at)))
		json_array_append_new(list, route_json(route));
	put(out, "routes", list);
	put(out, "next", route ? json_pack("{s:o}", "route", xi_json_u64(at)) : json_null());
}

static void put_figures(json_t *out, const struct xi_routes *routes)
{
	struct xi_routes_figures figures;

	xi_routes_figures(routes, &figures);
	put(out, "table", xi_json_u64(figures.table));
	put(out, "priority", xi_json_u64(figures.priority));
	put(out, "via", xi_json_u64(figures.counts.via));
	put(out, "thrown", xi_json_u64(figures.counts.thrown));
	put(out, "waiting", xi_json_u64(figures.counts.waiting));
	put(out, "changes", xi_json_u64(figures.changes));
	put(out, "refused", xi_json_u64(figures.refused));
	put(out, "restored", xi_json_u64(figures.restored));
	put(out, "busy", json_boolean(figures.busy));
}

static json_t *routes(void *arg, const json_t *req, const char **error)
{
	const struct xi_control_sources *src = arg;
	const json_t *from = json_object_get(req, "from"), *at = json_object_get(from, "route");
	json_t *out;

	if (from && (!json_is_integer(at) || json_integer_value(at) < 0)) {
		*error = "from: not what \"next\" of an earlier reply said: send that, or nothing";
		return NULL;
	}
	out = json_object();
	if (src->routes) {
		put_figures(out, src->routes);
		put_routes(out, src->routes, (uint64_t)json_integer_value(at));
	} else {
		put(out, "table", json_null());
		put(out, "routes", json_array());
		put(out, "next", json_null());
	}
	if (!out)
		*error = "out of memory: try again later";
	return out;
}

int xi_routescmd_register(struct xi_control *ctl, const struct xi_control_sources *src)
{
	return xi_control_register(ctl, "routes", routes, (void *)(uintptr_t)src);
}
