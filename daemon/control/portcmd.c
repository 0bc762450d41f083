/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "control/portcmd.h"

#include "control/names.h"

static void put(json_t *object, const char *name, json_t *value)
{
	json_object_set_new(object, name, value);
}

static json_t *mac_json(const uint8_t m[6])
{
	return json_sprintf("%02x:%02x:%02x:%02x:%02x:%02x", m[0], m[1], m[2], m[3], m[4], m[5]);
}

json_t *xi_port_json(const struct xi_port_dev *port)
{
	static const char *const attaches[] = {
		[XI_ATTACH_NETLINK] = "netlink",
		[XI_ATTACH_LINK] = "link",
		[XI_ATTACH_NONE] = "none",
	};
	bool skb = port->config.mode == XI_PORT_SKB;
	json_t *out = json_object();

	put(out, "name", json_string(port->config.name));
	put(out, "role", json_string(xi_role_name(port->config.role)));
	put(out, "mode", json_string(skb ? "skb" : "native"));
	put(out, "attach", json_string(attaches[port->config.attach]));
	put(out, "ifindex", xi_json_u64(port->ifindex));
	put(out, "slot", xi_json_u64(port->slot));
	put(out, "queues", xi_json_u64(port->queues));
	put(out, "mtu", xi_json_u64(port->mtu));
	put(out, "packet_max", xi_json_u64(port->packet_max));
	put(out, "mac", mac_json(port->mac));
	return out;
}

static json_t *tx_json(const struct xi_control_sources *src, const struct xi_port_dev *port)
{
	static const char *const txs[] = {
		[XI_PORT_TX_AUTO] = "auto",
		[XI_PORT_TX_BURST] = "burst",
		[XI_PORT_TX_XSK] = "xsk",
	};
	struct xi_tx_status status;
	json_t *out = json_object();

	src->port_tx(src->arg, port->slot, &status);
	put(out, "configured", json_string(txs[port->config.tx]));
	put(out, "path", json_string(status.path));
	put(out, "why", json_string(status.why));
	put(out, "zerocopy", json_boolean(status.zerocopy));
	put(out, "paused", json_boolean(status.paused));
	put(out, "burst_packets", xi_json_u64(status.burst_packets));
	put(out, "burst_lost", xi_json_u64(status.burst_lost));
	put(out, "xsk_packets", xi_json_u64(status.xsk_packets));
	put(out, "pauses", xi_json_u64(status.pauses));
	return out;
}

static json_t *device_json(const struct xi_control_sources *src, const struct xi_port_dev *port)
{
	struct xi_link_xmit xmit;
	json_t *out;

	if (src->port_xmit(src->arg, port->slot, &xmit))
		return json_null();
	out = json_object();
	put(out, "xdp_xmit", xi_json_u64(xmit.packets));
	put(out, "xdp_xmit_errors", xmit.counts_errors ? xi_json_u64(xmit.errors) : json_null());
	return out;
}

static json_t *port(void *arg, const json_t *req, const char **error)
{
	const struct xi_control_sources *src = arg;
	const struct xi_port_dev *dev;
	json_t *ports = json_array(), *one;
	json_t *out = json_object();

	for (unsigned int i = 0; (dev = src->port(src->arg, i)); i++) {
		one = xi_port_json(dev);
		put(one, "tx", tx_json(src, dev));
		put(one, "device", device_json(src, dev));
		json_array_append_new(ports, one);
	}
	put(out, "ports", ports);
	if (!out)
		*error = "out of memory: try again later";
	return out;
}

int xi_portcmd_register(struct xi_control *ctl, const struct xi_control_sources *src)
{
	return xi_control_register(ctl, "port", port, (void *)(uintptr_t)src);
}
