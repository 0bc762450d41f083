/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "control/print.h"

#include <inttypes.h>
#include <string.h>

static void print_figures(FILE *out, const json_t *reply)
{
	uint64_t priority = xi_member_u64(reply, "priority"), via = xi_member_u64(reply, "via");
	uint64_t refused = xi_member_u64(reply, "refused");
	uint64_t restored = xi_member_u64(reply, "restored");

	fprintf(out, "table: %" PRIu64 ", rules of priority %" PRIu64 " to %" PRIu64 "\n",
		xi_member_u64(reply, "table"), priority, priority + 2);
	fprintf(out, "  %" PRIu64 " %s to xipsec0, %" PRIu64 " thrown back to other tables, %" PRIu64 " waiting%s\n",
		via, via == 1 ? "route" : "routes", xi_member_u64(reply, "thrown"),
		xi_member_u64(reply, "waiting"),
		json_is_true(json_object_get(reply, "busy")) ? "; changes are under way" : "");
	if (refused || restored)
		fprintf(out, "  %" PRIu64 " refused by the kernel and tried again, %" PRIu64 " removed by others and put back\n",
			refused, restored);
}

/* As `ip route` has them. */
static void print_route(FILE *out, const json_t *route)
{
	const char *src = json_string_value(json_object_get(route, "src"));
	const char *dst = xi_member_string(route, "dst");
	const char *type = xi_member_string(route, "type");

	if (!strcmp(type, "throw"))
		fprintf(out, "throw %s\n", dst);
	else if (!strcmp(type, "waiting"))
		fprintf(out, "%s waits: no address of this host is in the source of its policies\n", dst);
	else
		fprintf(out, "%s dev %s%s%s\n", dst, type, src ? " src " : "", src ? src : "");
}

void xi_print_routes(FILE *out, const json_t *reply)
{
	const json_t *route;
	size_t i;

	if (!json_is_integer(json_object_get(reply, "table"))) {
		fputs("none are made: set routes = yes in [daemon]\n", out);
		return;
	}
	print_figures(out, reply);
	json_array_foreach(json_object_get(reply, "routes"), i, route)
		print_route(out, route);
}
