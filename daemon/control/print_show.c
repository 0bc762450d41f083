/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "control/print.h"

#include <inttypes.h>
#include <stdbool.h>
#include <string.h>

#define TOP_REASONS 3

static void print_port(FILE *out, const json_t *port)
{
	uint64_t queues = xi_member_u64(port, "queues");

	fprintf(out, "  port: %s, %s, %s, %" PRIu64 " %s%s\n", xi_member_string(port, "name"),
		xi_member_string(port, "role"), xi_member_string(port, "mode"), queues,
		queues == 1 ? "queue" : "queues", xi_port_gone(port) ? ", the device is gone" : "");
}

/* What goes by it is counted by its SAs. */
static void print_interface(FILE *out, const json_t *interface)
{
	const char *state = "down";

	if (json_is_null(json_object_get(interface, "ifindex")))
		state = "the device is gone";
	else if (json_is_true(json_object_get(interface, "up")))
		state = "up";
	fprintf(out, "  interface: %s, if_id 0x%" PRIx64 ", %s\n",
		xi_member_string(interface, "name"), xi_member_u64(interface, "if_id"), state);
}

static void print_offload(FILE *out, const json_t *device)
{
	uint64_t slots = xi_member_u64(device, "slots");

	fprintf(out, "  offload: %s, %" PRIu64 " SAs", xi_member_string(device, "name"),
		xi_member_u64(device, "sas"));
	if (slots)
		fprintf(out, " of %" PRIu64, slots);
	fprintf(out,
		"; %" PRIu64 " of others; %" PRIu64 " moved in, %" PRIu64 " out, %" PRIu64
		" refused%s\n",
		xi_member_u64(device, "others"), xi_member_u64(device, "in"),
		xi_member_u64(device, "out"), xi_member_u64(device, "refused"),
		json_is_true(json_object_get(device, "able")) ? "" : "; esp-hw-offload is off");
}

static void print_mirror(FILE *out, const json_t *mirror)
{
	const json_t *device;
	size_t i;

	if (!json_is_object(mirror))
		return;
	fprintf(out,
		"  mirror: %" PRIu64 " SAs and %" PRIu64 " policies of the kernel taken over; %" PRIu64
		" SAs and %" PRIu64 " policies stay with it%s\n",
		xi_member_u64(mirror, "sas"), xi_member_u64(mirror, "policies"),
		xi_member_u64(mirror, "sas_idle") + xi_member_u64(mirror, "sas_kept"),
		xi_member_u64(mirror, "policies_kept"),
		json_is_true(json_object_get(mirror, "synced")) ? "" : "; more are looked at");
	json_array_foreach(json_object_get(mirror, "offload"), i, device)
		print_offload(out, device);
}

static bool is_taken(const char *const taken[TOP_REASONS], const char *name)
{
	for (unsigned int i = 0; i < TOP_REASONS; i++)
		if (taken[i] && !strcmp(taken[i], name))
			return true;
	return false;
}

/* The reason that counts most of those not taken yet; NULL: there is none. */
static const char *top_reason(const json_t *reasons, const char *const taken[TOP_REASONS])
{
	json_int_t most = 0;
	const char *name, *top = NULL;
	json_t *value;

	json_object_foreach((json_t *)(uintptr_t)reasons, name, value) {
		if (json_integer_value(value) <= most || is_taken(taken, name))
			continue;
		most = json_integer_value(value);
		top = name;
	}
	return top;
}

static void print_drops(FILE *out, const json_t *reply)
{
	const json_t *reasons = json_object_get(reply, "drop_reasons");
	uint64_t drops = xi_member_u64(reply, "drops");
	const char *taken[TOP_REASONS] = { NULL };

	if (!json_is_object(reasons))
		return;
	if (!drops) {
		fputs("  dropped: no packet\n", out);
		return;
	}
	fprintf(out, "  dropped: %" PRIu64 " %s", drops,
		xi_text_plural(drops, "packet", "packets"));
	for (unsigned int i = 0; i < TOP_REASONS; i++) {
		const char *name = top_reason(reasons, taken);

		if (!name)
			break;
		fprintf(out, "%s %" PRIu64 " %s", i ? "," : ":", xi_member_u64(reasons, name), name);
		taken[i] = name;
	}
	fputs(json_object_size(reasons) > TOP_REASONS ? " ...; xipsec stats has all\n" : "\n", out);
}

static void print_daemon(FILE *out, const json_t *reply)
{
	const json_t *daemon = json_object_get(reply, "daemon");
	uint64_t workers = xi_member_u64(daemon, "workers");
	char up[XI_TEXT_MAX];
	const json_t *port, *interface;
	size_t i;

	fprintf(out, "daemon: xipsecd %s, process %" PRIu64 ", up %s\n",
		xi_member_string(daemon, "version"), xi_member_u64(daemon, "pid"),
		xi_text_duration(up, xi_member_u64(daemon, "uptime")));
	fprintf(out, "  engine: %s, %" PRIu64 " %s\n", xi_member_string(daemon, "engine"), workers,
		workers == 1 ? "worker" : "workers");
	json_array_foreach(json_object_get(daemon, "ports"), i, port)
		print_port(out, port);
	json_array_foreach(json_object_get(daemon, "interfaces"), i, interface)
		print_interface(out, interface);
	xi_print_held(out, reply, "  ");
	print_mirror(out, json_object_get(reply, "mirror"));
	xi_print_waiting(out, reply, "  ");
	print_drops(out, reply);
	fputs("  sa cache: ", out);
	xi_print_usage(out, json_object_get(reply, "cache"), "SAs");
	fputs("  flow cache: ", out);
	xi_print_usage(out, json_object_get(reply, "flows"), "flows");
}

/* A cipher with its key, if it has one; an integrity algorithm, or an AEAD's short ICV, in bits. */
static void print_algorithms(FILE *out, const json_t *sa)
{
	const char *integrity = json_string_value(json_object_get(sa, "integrity"));
	const char *cipher = xi_member_string(sa, "algorithm");
	uint64_t bits = xi_member_u64(sa, "key_bits"), icv = xi_member_u64(sa, "icv_bits");
	bool alone = integrity && !strcmp(cipher, "none");

	fputs("  algorithm: ", out);
	if (!alone)
		fputs(cipher, out);
	if (bits)
		fprintf(out, " %" PRIu64, bits);
	if (integrity)
		fprintf(out, "%s%s %" PRIu64, alone ? "" : " with ", integrity, icv);
	else if (icv && icv < 128)
		fprintf(out, " with an ICV of %" PRIu64, icv);
}

static void print_algorithm(FILE *out, const json_t *sa)
{
	uint64_t window = xi_member_u64(sa, "replay_window"), tfcpad = xi_member_u64(sa, "tfcpad");
	const json_t *encap = json_object_get(sa, "encap");

	print_algorithms(out, sa);
	fprintf(out, ", %s mode", xi_member_string(sa, "mode"));
	if (json_is_true(json_object_get(sa, "esn")))
		fputs(", esn", out);
	/* of what is sent the receiver judges */
	if (window && strcmp(xi_member_string(sa, "dir"), "out"))
		fprintf(out, ", replay window %" PRIu64, window);
	if (json_is_object(encap))
		fprintf(out, ", %s %" PRIu64 " -> %" PRIu64, xi_member_string(encap, "type"),
			xi_member_u64(encap, "sport"), xi_member_u64(encap, "dport"));
	if (tfcpad)
		fprintf(out, ", padded up to %" PRIu64 " bytes", tfcpad);
	fputc('\n', out);
}

static void print_age(FILE *out, const json_t *sa)
{
	const json_t *last = json_object_get(sa, "last_use");
	char text[XI_TEXT_MAX];

	fprintf(out, "  age: %s, ", xi_text_duration(text, xi_member_u64(sa, "age")));
	if (json_is_integer(last))
		fprintf(out, "last used %s ago\n",
			xi_text_duration(text, xi_member_u64(sa, "last_use")));
	else
		fputs("never used\n", out);
}

static void print_traffic(FILE *out, const json_t *sa)
{
	uint64_t packets = xi_member_u64(sa, "packets"), top = xi_member_u64(sa, "top");
	uint64_t oseq = xi_member_u64(sa, "oseq");
	char bytes[XI_TEXT_MAX];

	fprintf(out, "  traffic: %" PRIu64 " %s, %s", packets, packets == 1 ? "packet" : "packets",
		xi_text_bytes(bytes, xi_member_u64(sa, "bytes")));
	if (oseq)
		fprintf(out, ", sent up to number %" PRIu64, oseq);
	if (top)
		fprintf(out, ", received up to number %" PRIu64, top);
	fputc('\n', out);
}

static void print_errors(FILE *out, const json_t *sa)
{
	const json_t *errors = json_object_get(sa, "errors");
	uint64_t integrity = xi_member_u64(errors, "integrity");
	uint64_t replay = xi_member_u64(errors, "replay");
	uint64_t other = xi_member_u64(errors, "other");

	if (replay || integrity || other)
		fprintf(out,
			"  refused: %" PRIu64 " replayed, %" PRIu64 " bad ICV, %" PRIu64 " other\n",
			replay, integrity, other);
}

static void print_in_cache(FILE *out, const json_t *sa)
{
	const json_t *cached = json_object_get(sa, "cached");
	const json_t *slot = json_object_get(cached, "slot");

	if (!json_is_object(cached))
		fputs("  cache: not in the cache\n", out);
	else if (json_is_integer(slot))
		fprintf(out, "  cache: in the cache, %s, slot %" JSON_INTEGER_FORMAT "\n",
			xi_member_string(cached, "method"), json_integer_value(slot));
	else
		fprintf(out, "  cache: in the cache, %s\n", xi_member_string(cached, "method"));
}

/* Of an SA or policy: what tells it from others of the same addresses. */
static void print_mark(FILE *out, const json_t *of)
{
	uint64_t mask = xi_member_u64(of, "mark_mask"), if_id = xi_member_u64(of, "if_id");

	if (mask)
		fprintf(out, ", mark 0x%" PRIx64, xi_member_u64(of, "mark"));
	if (mask && mask != UINT32_MAX)
		fprintf(out, "/0x%" PRIx64, mask);
	if (if_id)
		fprintf(out, ", if_id 0x%" PRIx64, if_id);
}

static void print_sa(FILE *out, const json_t *sa)
{
	const char *dir = json_string_value(json_object_get(sa, "dir"));

	fprintf(out, "\nsa: %s %s%s%s, %s -> %s", xi_member_string(sa, "proto"),
		xi_member_string(sa, "spi"), dir ? " " : "", dir ? dir : "",
		xi_member_string(sa, "src"), xi_member_string(sa, "dst"));
	print_mark(out, sa);
	fputc('\n', out);
	if (json_is_true(json_object_get(sa, "larval"))) {
		fputs("  larval: SPI allotted, no keys yet\n", out);
		return;
	}
	if (json_is_true(json_object_get(sa, "kernel")))
		fputs("  taken over from the kernel\n", out);
	print_algorithm(out, sa);
	print_age(out, sa);
	print_traffic(out, sa);
	print_in_cache(out, sa);
	print_errors(out, sa);
}

static void print_tmpl(FILE *out, const json_t *tmpl)
{
	uint64_t reqid = xi_member_u64(tmpl, "reqid");

	fprintf(out, "  protect: %s %s, %s -> %s", xi_member_string(tmpl, "proto"),
		xi_member_string(tmpl, "mode"), xi_member_string(tmpl, "src"),
		xi_member_string(tmpl, "dst"));
	if (json_is_string(json_object_get(tmpl, "spi")))
		fprintf(out, ", spi %s", xi_member_string(tmpl, "spi"));
	if (reqid)
		fprintf(out, ", reqid %" PRIu64, reqid);
	fputs(json_is_true(json_object_get(tmpl, "optional")) ? ", optional\n" : "\n", out);
}

static void print_policy(FILE *out, const json_t *policy)
{
	uint64_t proto = xi_member_u64(policy, "proto");
	char text[XI_TEXT_MAX];
	const json_t *tmpl;
	size_t i;

	fprintf(out, "\npolicy: %s, %s -> %s", xi_member_string(policy, "dir"),
		xi_member_string(policy, "src"), xi_member_string(policy, "dst"));
	if (proto)
		fprintf(out, ", %s", xi_text_ip_proto(text, proto));
	xi_print_match(out, policy, "sport");
	xi_print_match(out, policy, "dport");
	print_mark(out, policy);
	fprintf(out, ": %s, priority %" PRIu64 "\n", xi_member_string(policy, "action"),
		xi_member_u64(policy, "priority"));
	if (json_is_true(json_object_get(policy, "left_to_kernel")))
		fputs("  left to the kernel\n", out);
	else if (json_is_true(json_object_get(policy, "kernel")))
		fputs("  of the kernel\n", out);
	json_array_foreach(json_object_get(policy, "templates"), i, tmpl)
		print_tmpl(out, tmpl);
}

static void print_acquire(FILE *out, const json_t *acquire)
{
	const json_t *flow = json_object_get(acquire, "flow");
	uint64_t reqid = xi_member_u64(acquire, "reqid");
	char text[XI_TEXT_MAX];

	fprintf(out, "\nacquire: %s %s, %s -> %s", xi_member_string(acquire, "proto"),
		xi_member_string(acquire, "mode"), xi_member_string(acquire, "src"),
		xi_member_string(acquire, "dst"));
	if (reqid)
		fprintf(out, ", reqid %" PRIu64, reqid);
	fprintf(out, "\n  for: %s -> %s, %s\n", xi_member_string(flow, "src"),
		xi_member_string(flow, "dst"),
		xi_text_ip_proto(text, xi_member_u64(flow, "proto")));
	fprintf(out, "  asked: %s ago", xi_text_duration(text, xi_member_u64(acquire, "age")));
	fprintf(out, ", again in %s\n", xi_text_duration(text, xi_member_u64(acquire, "left")));
}

void xi_print_acquires(FILE *out, const json_t *reply)
{
	const json_t *item;
	size_t i;

	json_array_foreach(json_object_get(reply, "acquires"), i, item)
		print_acquire(out, item);
}

void xi_print_show(FILE *out, const json_t *reply)
{
	const json_t *item;
	size_t i;

	print_daemon(out, reply);
	json_array_foreach(json_object_get(reply, "sas"), i, item)
		print_sa(out, item);
	json_array_foreach(json_object_get(reply, "policies"), i, item)
		print_policy(out, item);
	xi_print_acquires(out, reply);
}
