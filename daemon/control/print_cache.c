/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "control/print.h"

#include <inttypes.h>
#include <string.h>

#include "cache/shadow.h"

static const char *text_ns(char text[XI_TEXT_MAX], uint64_t ns)
{
	static const char *const units[] = { "ns", "us", "ms", "s" };
	double value = (double)ns;
	size_t unit = 0;

	for (; value >= 1000 && unit < sizeof(units) / sizeof(units[0]) - 1; unit++)
		value /= 1000;
	snprintf(text, XI_TEXT_MAX, "%.*f %s", unit ? 1 : 0, value, units[unit]);
	return text;
}

static void print_methods(FILE *out, const json_t *table)
{
	const json_t *per_million = json_object_get(table, "hits_per_million");
	const json_t *methods = json_object_get(table, "methods");
	const json_t *evicted = json_object_get(table, "evicted");

	fprintf(out,
		"sa methods: %" PRIu64 " fast, %" PRIu64 " slow, %" PRIu64 " kernel, %" PRIu64
		" drop",
		xi_member_u64(methods, "fast"), xi_member_u64(methods, "slow"),
		xi_member_u64(methods, "kernel"), xi_member_u64(methods, "drop"));
	if (json_is_integer(per_million))
		fprintf(out, "; %.2f %% of packets fast",
			(double)json_integer_value(per_million) / 10000);
	fprintf(out,
		"\nsa evictions: %" PRIu64 " for others, %" PRIu64 " by the kernel, %" PRIu64
		" deleted, %" PRIu64 " changed; %" PRIu64 " refused, %" PRIu64 " unproven\n",
		xi_member_u64(evicted, "admission"), xi_member_u64(evicted, "kernel"),
		xi_member_u64(evicted, "deleted"), xi_member_u64(evicted, "changed"),
		xi_member_u64(table, "refused"), xi_member_u64(table, "unproven"));
}

static void print_latency(FILE *out, const json_t *latency, const char *what)
{
	char half[XI_TEXT_MAX], p99[XI_TEXT_MAX], p999[XI_TEXT_MAX], max[XI_TEXT_MAX];

	if (!xi_member_u64(latency, "count"))
		return;
	fprintf(out, "  %s: half answered in %s, 99 %% in %s, 99.9 %% in %s, all in %s\n", what,
		text_ns(half, xi_member_u64(latency, "p50_ns")),
		text_ns(p99, xi_member_u64(latency, "p99_ns")),
		text_ns(p999, xi_member_u64(latency, "p999_ns")),
		text_ns(max, xi_member_u64(latency, "max_ns")));
}

void xi_print_sa_table(FILE *out, const json_t *reply)
{
	const json_t *table = json_object_get(reply, "sa_table");
	const json_t *misses = json_object_get(reply, "misses");
	const json_t *latency = json_object_get(misses, "latency");

	if (json_is_object(table))
		print_methods(out, table);
	if (!json_is_object(misses))
		return;
	fprintf(out,
		"miss messages: %" PRIu64 " sent, %" PRIu64 " lost, %" PRIu64 " held back, %" PRIu64
		" stale\n",
		xi_member_u64(misses, "sent"), xi_member_u64(misses, "lost"),
		xi_member_u64(misses, "repeated") + xi_member_u64(misses, "limited"),
		xi_member_u64(misses, "stale"));
	print_latency(out, json_object_get(latency, "sa"), "SAs");
	print_latency(out, json_object_get(latency, "flow"), "flows");
}

/* NULL: a word of another version. */
static const char *choice_text(const char *name)
{
	static const struct {
		const char *name, *text;
	} texts[] = {
#define X(symbol, method, cname, ctext) { cname, ctext },
		XI_CHOICES(X)
#undef X
	};

	for (size_t i = 0; name && i < sizeof(texts) / sizeof(texts[0]); i++)
		if (!strcmp(texts[i].name, name))
			return texts[i].text;
	return NULL;
}

static void print_slot(FILE *out, const json_t *object, const char *name)
{
	const json_t *slot = json_object_get(object, name);

	if (json_is_integer(slot))
		fprintf(out, ", slot %" JSON_INTEGER_FORMAT, json_integer_value(slot));
}

static void print_cached_flow(FILE *out, const json_t *flow)
{
	const char *next = json_string_value(json_object_get(flow, "next_handle"));
	const char *handle = json_string_value(json_object_get(flow, "handle"));
	char proto[XI_TEXT_MAX];

	fprintf(out, "  %-3s %s -> %s, %s", xi_member_string(flow, "dir"),
		xi_member_string(flow, "src"), xi_member_string(flow, "dst"),
		xi_text_ip_proto(proto, xi_member_u64(flow, "proto")));
	if (json_is_true(json_object_get(flow, "fragment")))
		fputs(", fragment", out);
	xi_print_match(out, flow, "sport");
	xi_print_match(out, flow, "dport");
	if (xi_member_u64(flow, "mark"))
		fprintf(out, ", mark 0x%" PRIx64, xi_member_u64(flow, "mark"));
	if (xi_member_u64(flow, "if_id"))
		fprintf(out, ", if_id 0x%" PRIx64, xi_member_u64(flow, "if_id"));
	fprintf(out, ": %s", xi_member_string(flow, "verdict"));
	if (handle) {
		fprintf(out, " by %s", handle);
		print_slot(out, flow, "slot");
	}
	if (next) {
		fprintf(out, " in %s", next);
		print_slot(out, flow, "next_slot");
	}
	fputc('\n', out);
}

static void print_cached_sa(FILE *out, const json_t *sa)
{
	const char *why = choice_text(json_string_value(json_object_get(sa, "why")));
	uint64_t hits = xi_member_u64(sa, "hits"), asked = xi_member_u64(sa, "misses");
	char age[XI_TEXT_MAX];

	fprintf(out, "  %s %s to %s, handle %s: %s", xi_member_string(sa, "proto"),
		xi_member_string(sa, "spi"), xi_member_string(sa, "dst"),
		xi_member_string(sa, "handle"), xi_member_string(sa, "method"));
	print_slot(out, sa, "slot");
	if (json_is_integer(json_object_get(sa, "age")))
		fprintf(out,
			" for %s, %" PRIu64 " %s, %" PRIu64 " of them not counted yet, asked %" PRIu64
			" %s",
			xi_text_duration(age, xi_member_u64(sa, "age")), hits,
			xi_text_plural(hits, "packet", "packets"), xi_member_u64(sa, "uses"), asked,
			xi_text_plural(asked, "time", "times"));
	if (why)
		fprintf(out, "; %s", why);
	fputc('\n', out);
}

void xi_print_cache(FILE *out, const json_t *reply)
{
	const json_t *item;
	bool all = json_is_object(json_object_get(reply, "cache"));
	size_t i;

	if (all) {
		fputs("sa cache: ", out);
		xi_print_usage(out, json_object_get(reply, "cache"), "SAs");
		xi_print_sa_table(out, reply);
	}
	json_array_foreach(json_object_get(reply, "cached_sas"), i, item)
		print_cached_sa(out, item);
	if (all) {
		fputs("flow cache: ", out);
		xi_print_usage(out, json_object_get(reply, "flows"), "flows");
	}
	json_array_foreach(json_object_get(reply, "cached_flows"), i, item)
		print_cached_flow(out, item);
	if (json_is_true(json_object_get(reply, "truncated")))
		fputs("(more of them not listed)\n", out);
}
