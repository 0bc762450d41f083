/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "control/print.h"

#include <inttypes.h>
#include <stdbool.h>
#include <netinet/in.h>
#include <string.h>
#include <xipsec/reasons.h>

const char *xi_member_string(const json_t *object, const char *name)
{
	const char *value = json_string_value(json_object_get(object, name));

	return value ? value : "?";
}

uint64_t xi_member_u64(const json_t *object, const char *name)
{
	json_int_t value = json_integer_value(json_object_get(object, name));

	return value > 0 ? (uint64_t)value : 0;
}

/* The two largest units, as a person would say it. */
const char *xi_text_duration(char text[XI_TEXT_MAX], uint64_t seconds)
{
	static const struct {
		const char *name;
		uint64_t size;
	} units[] = { { "day", 86400 }, { "hour", 3600 }, { "minute", 60 }, { "second", 1 } };
	size_t len = 0;
	int parts = 0;

	if (!seconds)
		return strcpy(text, "0 seconds");
	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]) && parts < 2; i++) {
		uint64_t n = seconds / units[i].size;

		seconds %= units[i].size;
		if (!n && !parts)
			continue;
		parts++;
		if (n)
			len += (size_t)snprintf(text + len, XI_TEXT_MAX - len, "%s%" PRIu64 " %s%s",
						len ? ", " : "", n, units[i].name,
						n == 1 ? "" : "s");
	}
	return text;
}

const char *xi_text_bytes(char text[XI_TEXT_MAX], uint64_t bytes)
{
	static const char *const units[] = { "KiB", "MiB", "GiB", "TiB", "PiB", "EiB" };
	double value = (double)bytes / 1024;
	size_t unit = 0;

	if (bytes < 1024) {
		snprintf(text, XI_TEXT_MAX, "%" PRIu64 " B", bytes);
		return text;
	}
	for (; value >= 1024 && unit < sizeof(units) / sizeof(units[0]) - 1; unit++)
		value /= 1024;
	snprintf(text, XI_TEXT_MAX, "%.2f %s", value, units[unit]);
	return text;
}

const char *xi_text_ip_proto(char text[XI_TEXT_MAX], uint64_t proto)
{
	static const struct {
		uint64_t value;
		const char *name;
	} protos[] = {
		{ 0, "any" },		{ IPPROTO_ICMP, "icmp" },     { IPPROTO_TCP, "tcp" },
		{ IPPROTO_UDP, "udp" }, { IPPROTO_ICMPV6, "icmpv6" }, { IPPROTO_SCTP, "sctp" },
	};

	for (size_t i = 0; i < sizeof(protos) / sizeof(protos[0]); i++)
		if (protos[i].value == proto)
			return strcpy(text, protos[i].name);
	snprintf(text, XI_TEXT_MAX, "%" PRIu64, proto);
	return text;
}

const char *xi_text_plural(uint64_t n, const char *one, const char *many)
{
	return n == 1 ? one : many;
}

void xi_print_held(FILE *out, const json_t *reply, const char *indent)
{
	const json_t *held = json_object_get(reply, "held");

	if (!json_is_object(held))
		return;
	fprintf(out,
		"%sheld: %" PRIu64 " of %" PRIu64 " SAs, %" PRIu64 " of %" PRIu64 " policies\n", indent,
		xi_member_u64(held, "sas"), xi_member_u64(held, "max_sas"),
		xi_member_u64(held, "policies"), xi_member_u64(held, "max_policies"));
}

bool xi_port_gone(const json_t *port)
{
	const json_t *ifindex = json_object_get(port, "ifindex");

	return json_is_integer(ifindex) && !json_integer_value(ifindex);
}

void xi_print_waiting(FILE *out, const json_t *reply, const char *indent)
{
	const json_t *waiting = json_object_get(reply, "waiting");
	uint64_t n = xi_member_u64(waiting, "packets");
	bool listens = json_is_true(json_object_get(waiting, "key_manager"));

	if (json_is_object(waiting))
		fprintf(out, "%swaiting: %" PRIu64 " %s for an SA; %s\n", indent, n,
			n == 1 ? "packet" : "packets",
			listens ? "a key manager listens" : "no key manager listens");
}

void xi_print_usage(FILE *out, const json_t *usage, const char *what)
{
	uint64_t hits = xi_member_u64(usage, "hits");
	uint64_t misses = xi_member_u64(usage, "misses");
	uint64_t evictions = xi_member_u64(usage, "evictions");

	fprintf(out,
		"%" PRIu64 " of %" PRIu64 " %s, %" PRIu64 " %s, %" PRIu64 " %s, %" PRIu64 " %s\n",
		xi_member_u64(usage, "entries"), xi_member_u64(usage, "capacity"), what, hits,
		xi_text_plural(hits, "hit", "hits"), misses,
		xi_text_plural(misses, "miss", "misses"), evictions,
		xi_text_plural(evictions, "eviction", "evictions"));
}

static const char *reason_text(const char *name, enum xi_reason_kind *kind)
{
	static const struct {
		const char *name;
		enum xi_reason_kind kind;
		const char *text;
	} reasons[] = {
#define X(value, symbol, rname, rkind, rtext) { rname, XI_REASON_##rkind, rtext },
		XI_REASONS(X)
#undef X
	};

	for (size_t i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++) {
		if (strcmp(reasons[i].name, name))
			continue;
		*kind = reasons[i].kind;
		return reasons[i].text;
	}
	*kind = XI_REASON_EVENT;
	return "(this tool does not know it)";
}

static void print_reasons(FILE *out, const json_t *reasons, enum xi_reason_kind wanted)
{
	enum xi_reason_kind kind;
	const char *name;
	json_t *value;

	json_object_foreach((json_t *)(uintptr_t)reasons, name, value) {
		const char *text = reason_text(name, &kind);

		if (kind == wanted && json_integer_value(value) > 0)
			fprintf(out, "  %12" JSON_INTEGER_FORMAT "  %-18s %s\n",
				json_integer_value(value), name, text);
	}
}

void xi_print_stats(FILE *out, const json_t *reply)
{
	const json_t *reasons = json_object_get(reply, "reasons");

	xi_print_held(out, reply, "");
	xi_print_waiting(out, reply, "");
	fputs("sa cache: ", out);
	xi_print_usage(out, json_object_get(reply, "cache"), "SAs");
	fputs("flow cache: ", out);
	xi_print_usage(out, json_object_get(reply, "flows"), "flows");
	xi_print_sa_table(out, reply);
	fprintf(out, "dropped: %" PRIu64 "\n", xi_member_u64(reply, "drops"));
	print_reasons(out, reasons, XI_REASON_DROP);
	fputs("events:\n", out);
	print_reasons(out, reasons, XI_REASON_EVENT);
}

void xi_print_match(FILE *out, const json_t *object, const char *name)
{
	const json_t *match = json_object_get(object, name);

	if (json_is_integer(match))
		fprintf(out, ", %s %" JSON_INTEGER_FORMAT, name, json_integer_value(match));
	else if (json_is_string(match))
		fprintf(out, ", %s %s", name, json_string_value(match));
}
