/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Metadata in front of a packet. It crosses veth pairs, so a program first discards what a packet
 * arrives with, and writes its own just before the packet goes to a worker or, on xipsec0, to the
 * host.
 */
#ifndef XI_META_BPF_H
#define XI_META_BPF_H

#include "maps.bpf.h"
#include "parse.bpf.h"
#include "stats.bpf.h"

/* False: the driver would not let go of it. */
static __always_inline bool xi_meta_strip(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data;
	void *meta = (void *)(long)ctx->data_meta;

	/* A driver without metadata has data_meta behind data. */
	if (meta >= data)
		return true;
	xi_count(XI_META_STRIPPED);
	return bpf_xdp_adjust_meta(ctx, data - meta) == 0;
}

static __always_inline bool xi_meta_write(struct xdp_md *ctx, const struct xi_meta *meta)
{
	struct xi_meta *room;

	if (bpf_xdp_adjust_meta(ctx, -(int)sizeof(*room)))
		return false;
	room = (void *)(long)ctx->data_meta;
	if ((void *)(room + 1) > (void *)(long)ctx->data)
		return false;
	*room = *meta;
	return true;
}

/*
 * For a packet that nobody has decided on yet: the worker looks handle up, or with handle 0 the
 * policy.
 */
static __always_inline struct xi_meta xi_meta_miss(enum xi_dir dir, __u32 handle)
{
	return (struct xi_meta){
		.magic = XI_META_MAGIC,
		.handle = handle,
		.slot = XI_NO_SLOT,
		.next_slot = XI_NO_SLOT,
		.flags = XI_META_MISS,
		.dir = dir,
		.status = XI_CRYPTO_NOT_DONE,
	};
}

/*
 * Sockets of a port that carries no long packets take one buffer, whatever its length; before Linux 6.6 the redirect
 * would fail uncounted.
 */
static __always_inline bool xi_is_too_long(struct xdp_md *ctx, const struct xi_port *port,
					   const struct xi_view *v)
{
	if (v->frame_len > (__u32)port->packet_max + v->l3_offset)
		return true;
	return port->packet_max <= XI_PACKET_ONE && v->frame_len != ctx->data_end - ctx->data;
}

/* The queue's own socket: AF_XDP takes a frame only on the queue it came in by. */
static __always_inline enum xi_reason xi_to_worker(struct xdp_md *ctx, const struct xi_port *port,
						   const struct xi_view *v, struct xi_meta *meta)
{
	__u32 queue = ctx->rx_queue_index;

	if (port->slot >= XI_MAX_PORTS || queue >= XI_MAX_QUEUES)
		return XI_DROP_NO_WORKER;
	if (xi_is_too_long(ctx, port, v))
		return XI_DROP_TOO_BIG;
	meta->port = port->slot;
	meta->l3_offset = v->l3_offset;
	if (!xi_meta_write(ctx, meta))
		return XI_DROP_META_ROOM;
	if (bpf_redirect_map(&xsks, port->slot * XI_MAX_QUEUES + queue, XDP_DROP) != XDP_REDIRECT)
		return XI_DROP_NO_WORKER;
	return XI_TO_WORKER;
}

#endif
