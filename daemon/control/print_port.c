/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "control/print.h"

#include <inttypes.h>
#include <string.h>

static void print_path(FILE *out, const json_t *tx)
{
	const char *path = xi_member_string(tx, "path");
	const char *why = xi_member_string(tx, "why");

	fprintf(out, "  transmit: %s", path);
	if (!strcmp(path, "xsk"))
		fputs(json_is_true(json_object_get(tx, "zerocopy")) ? ", zero-copy" : ", copying",
		      out);
	fprintf(out, ", configured %s", xi_member_string(tx, "configured"));
	fputs(json_is_true(json_object_get(tx, "paused")) ? ", paused: xsk sends for now\n" : "\n",
	      out);
	if (*why)
		fprintf(out, "  why: %s\n", why);
}

static void print_sent(FILE *out, const json_t *tx)
{
	uint64_t pauses = xi_member_u64(tx, "pauses");

	fprintf(out, "  sent: %" PRIu64 " by burst, %" PRIu64 " of them lost, %" PRIu64 " by xsk",
		xi_member_u64(tx, "burst_packets"), xi_member_u64(tx, "burst_lost"),
		xi_member_u64(tx, "xsk_packets"));
	fprintf(out, ", %" PRIu64 " %s\n", pauses, pauses == 1 ? "pause" : "pauses");
}

/* The driver's own words, as `ethtool -S` has them. */
static void print_device(FILE *out, const json_t *device)
{
	if (!json_is_object(device))
		return;
	fprintf(out, "  device: %" PRIu64 " xdp_xmit", xi_member_u64(device, "xdp_xmit"));
	if (json_is_integer(json_object_get(device, "xdp_xmit_errors")))
		fprintf(out, ", %" PRIu64 " xdp_xmit_errors",
			xi_member_u64(device, "xdp_xmit_errors"));
	fputc('\n', out);
}

static void print_one(FILE *out, const json_t *port)
{
	const json_t *tx = json_object_get(port, "tx");
	uint64_t queues = xi_member_u64(port, "queues");

	fprintf(out, "port: %s, %s, %s, attach %s, %" PRIu64 " %s, mtu %" PRIu64 ", packets up to %" PRIu64 "\n",
		xi_member_string(port, "name"), xi_member_string(port, "role"),
		xi_member_string(port, "mode"), xi_member_string(port, "attach"), queues,
		queues == 1 ? "queue" : "queues", xi_member_u64(port, "mtu"),
		xi_member_u64(port, "packet_max"));
	if (xi_port_gone(port))
		fputs("  the device is gone: nothing goes that way until there is one of this name\n", out);
	else
		print_path(out, tx);
	print_sent(out, tx);
	print_device(out, json_object_get(port, "device"));
}

void xi_print_port(FILE *out, const json_t *reply)
{
	const json_t *port;
	size_t i;

	json_array_foreach(json_object_get(reply, "ports"), i, port) {
		if (i)
			fputc('\n', out);
		print_one(out, port);
	}
}
