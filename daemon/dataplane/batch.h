/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A worker's insides, shared by worker.c (the loop), worker_open.c, worker_tx.c (what it has), batch.c, batch_resolve.c,
 * batch_out.c, batch_in.c, batch_early.c, batch_fragment.c (the steps) and emit.c (the ways out).
 */
#ifndef XI_BATCH_H
#define XI_BATCH_H

#include <pthread.h>
#include <stdatomic.h>

#include "dataplane/await.h"
#include "dataplane/burst.h"
#include "dataplane/hold.h"
#include "dataplane/hostpath.h"
#include "dataplane/worker.h"
#include "dataplane/xsk.h"
#include "ipsec/checksum.h"
#include "ipsec/reassemble.h"
#include "ipsec/transform.h"

#define XI_BATCH 64
#define XI_PIECES (4 * XI_BATCH)
/* remembered answers of the inbound policy check: sets, a power of two, and answers in each */
#define XI_ALLOWED 2048
#define XI_ALLOWED_WAYS 2

/* One packet of a batch. */
struct xi_item {
	struct xi_pkt pkt;
	uint64_t frame;              /* offset of its frame in the umem */
	const struct xi_sa_ctx *ctx;
	/* the SA around that of ctx, NULL: none. Out: still to come. In: taken off already */
	const struct xi_sa_ctx *next;
	const struct xi_nexthop *nh; /* on the way out: of the SA's peer, NULL: not known */
	/* out of the metadata */
	uint32_t handle;
	uint32_t slot;               /* where its context was when XDP looked */
	uint32_t next_handle;
	uint32_t next_slot;
	uint16_t port;
	uint16_t flags;              /* XI_META_* */
	uint32_t mark;               /* out: of the outer packet, in the host's routing rules */
	uint16_t mtu;                /* out: of the path, if the packet may be cut on its way out; else 0 */
	bool piece;                  /* out: of a packet that was cut before; aged already */
	bool whole;                  /* out: put together of fragments, so it may be cut, IPv6 as well */
	bool judged;                 /* out: handle and next_handle are the SPD's answer in this batch */
};

/* "This flow may come in through this SA, inside that one", under one SPD generation. */
struct xi_allowed {
	struct xi_flow flow;
	uint32_t sa_index;
	uint32_t next_index;         /* 0: there is none around it */
	uint32_t generation;
};
XI_ASSERT(sizeof(struct xi_allowed) == 64);

/* The answers of one hash, the newest in front. */
struct xi_allowed_set {
	struct xi_allowed ways[XI_ALLOWED_WAYS];
};

/* How often something was done in a certain millisecond. */
struct xi_allowance {
	uint64_t ms;
	uint32_t n;
};

struct xi_worker {
	struct xi_worker_config config;
	const struct xi_slots *slots;
	uint64_t *counts;
	uint64_t now;                /* seconds since the epoch, once a batch */
	uint64_t now_ms;             /* monotonic, once a batch */
	struct xi_allowance bypass;  /* verdicts put into flow_cache from here, */
	struct xi_allowance forget;  /* and taken out */
	uint64_t want_ms;            /* when the cache was last asked for a slot, */
	uint32_t want_n;             /* how often in that millisecond, */
	uint32_t wanted;             /* and for which SA */
	struct xi_crypto *crypto;
	struct xi_frames frames;
	struct xi_umem umems[XI_MAX_PORTS];
	struct xi_xsk *socks;
	uint32_t nsocks;
	struct xi_tx *by_port[XI_MAX_PORTS]; /* how to send out of a port; NULL: no socket of ours there */
	struct xi_burst *burst;      /* NULL: no port sends by it */
	char why[XI_MAX_PORTS][XI_TX_WHY]; /* ports without burst: why */
	struct {                     /* of the control thread: what the log was told */
		bool paused;
		uint64_t pauses;
		uint64_t second;
	} told[XI_MAX_PORTS];
	struct xi_rawout rawout;
	uint64_t idle_from_us;       /* monotonic; 0: packets came since the worker last looked */
	uint64_t lost_second;        /* when lost packets were last counted */
	bool busy;                   /* packets came since then */
	uint32_t icmp_tokens;        /* errors that may still be sent this second */
	uint64_t icmp_second;

	uint32_t nout, nin;
	uint32_t ncold;              /* packets of the two whose metadata names no context slot */
	uint32_t nasked;             /* packets of out[] whose SA XDP did not know */
	struct xi_item out[XI_BATCH];
	struct xi_item in[XI_BATCH];
	struct xi_aead_job jobs[XI_BATCH];
	struct xi_frame framed[XI_BATCH]; /* of the packets in out[]; by the SA around them: */
	struct xi_frame next_framed[XI_BATCH];
	struct xi_esp_in esp_in[XI_BATCH]; /* of the packets in in[] */
	struct xi_ah_saved saved[XI_BATCH];
	uint32_t nagain;
	struct xi_item again[XI_BATCH]; /* out of one SA, and for another of ours */
	uint32_t npieces;
	struct xi_item pieces[XI_PIECES]; /* of packets that were cut before ESP */
	struct xi_reassembly *held_in, *held_out;
	uint32_t fragment_id;        /* IPv6 identification of the next packet of ours that is cut */
	struct xi_allowed_set *allowed;

	struct xi_await await;       /* out, */
	struct xi_await early;       /* and in */
	const atomic_uint *changes;  /* of SAs and policies (cache.h); */
	unsigned int looked;         /* as it was when the held packets' flows were last judged, */
	uint64_t looked_second;
	bool look;                   /* that must be done again, */
	uint64_t look_from_ms;       /* but not before: changes may come one a round, and flows be many */

	struct xi_hold hold;
	bool adopting;               /* as config.adopting was at the start of this round */

	pthread_t thread;
	bool started;
	int stop_fd;
	atomic_bool stop;
};

/* Brings now and now_ms up to date. */
void xi_worker_clock(struct xi_worker *w);
/* Ports that can send by burst do. A worker without it works, only slower: never an error. */
void xi_worker_open_burst(struct xi_worker *w);
void xi_worker_log_paths(struct xi_worker *w);

static inline void xi_worker_count_n(struct xi_worker *w, enum xi_reason reason, uint32_t n)
{
	/* one writer; readers of the mapped map want no torn value */
	__atomic_store_n(&w->counts[reason], w->counts[reason] + n, __ATOMIC_RELAXED);
}

static inline void xi_worker_count(struct xi_worker *w, enum xi_reason reason)
{
	xi_worker_count_n(w, reason, 1);
}

static inline void xi_item_drop(struct xi_worker *w, struct xi_item *item, enum xi_reason reason)
{
	xi_worker_count(w, reason);
	xi_frame_put(&w->frames, item->frame);
}

/*
 * Fetches a packet's metadata: for a whole batch before the first of it is taken, since its lines
 * come from the core that received it. Taking it fetches the lines where headers and trailer go.
 */
static inline void xi_batch_prefetch(const struct xi_worker *w, uint64_t addr)
{
	__builtin_prefetch(w->frames.base + addr - sizeof(struct xi_meta), 1);
}

/*
 * A received packet at umem offset addr: into the batch of its direction, which has room for it, or
 * dropped.
 */
void xi_batch_take(struct xi_worker *w, uint64_t addr, uint32_t len);

/*
 * The context for an item's handle: from its slot (hint: the one in its metadata), or of the SAD, without expanded
 * keys (the SLOW method). NULL: the SA is gone. Counts nothing.
 */
const struct xi_sa_ctx *xi_batch_context(struct xi_worker *w, uint32_t handle, uint32_t hint);

static inline bool xi_ctx_is_slow(const struct xi_sa_ctx *ctx)
{
	return !ctx->key;
}

/* Fetches what an item with a handle will want of its SA: a slot's context at once, else the way there. */
void xi_item_prefetch(struct xi_worker *w, const struct xi_item *item, bool out);

/* Fetches the contexts of the items whose metadata names no slot; xi_item_prefetch() has begun it. */
void xi_batch_prefetch_contexts(struct xi_worker *w);

/* Sends what was put into transmit rings and lists. */
void xi_worker_send(struct xi_worker *w);

/* Tells the control thread of an SA that a flush found at a limit. */
void xi_batch_tell(struct xi_worker *w, struct xi_esp_tally *tally);

/* Packets that got their context in one way or the other, counted once a batch. */
struct xi_batch_tally {
	uint32_t fast, slow;
};

static inline void xi_batch_tally(struct xi_batch_tally *tally, const struct xi_sa_ctx *ctx)
{
	if (xi_ctx_is_slow(ctx))
		tally->slow++;
	else
		tally->fast++;
}

static inline bool xi_item_is_framed(const struct xi_item *item)
{
	return item->flags & XI_META_FRAMED;
}

/*
 * Contexts of the SAs for out[] (batch_resolve.c); a packet with the handles of the one before it has
 * the same. Returns how many items are left, in place: policy has something else in mind for the others,
 * or their SA is gone.
 */
uint32_t xi_batch_resolve(struct xi_worker *w);

/*
 * Packets held for want of an SA: judges their flows anew if something may have changed, and sends, hands on or drops
 * those of each that is not to wait any longer, in their order; gives up those whose time is over. None of them leaves in
 * clear because its policy has gone. Between batches.
 */
void xi_batch_look(struct xi_worker *w);

static inline void xi_batch_look_again(struct xi_worker *w)
{
	if (__builtin_expect(w->await.n | w->early.n, 0))
		xi_batch_look(w);
}

/*
 * Packets that come before their SA has keys (batch_early.c), by item->handle, which is a larval SA's or not; 0: nobody's.
 * True: the SA is there, those that came before the item have gone, and it is the one at w->in[w->nin]. Else it
 * was consumed. Until the batch is taken, for that may be processed first.
 */
bool xi_batch_early(struct xi_worker *w, struct xi_item *item);
/* The same for a packet whose SPI XDP found to be a larval SA's (XI_META_LARVAL). */
bool xi_batch_early_arrived(struct xi_worker *w, struct xi_item *item);
/* The SA of item->handle is there: what waits for it goes first. The item is the one at w->in[w->nin] then. */
void xi_batch_early_line(struct xi_worker *w, struct xi_item *item);
/* What waits for a larval SA, as far as it need not wait any longer: true, and it is gone. Between batches. */
bool xi_batch_early_look(struct xi_worker *w, struct xi_await_flow *f);

/* Each takes the items collected so far, and sends, hands on or drops every one of them. */
void xi_batch_out(struct xi_worker *w);
void xi_batch_in(struct xi_worker *w);
/* Cleartext from a port that XDP could not judge alone. */
void xi_batch_clear(struct xi_worker *w, struct xi_item *item);

/* Fragments (batch_fragment.c). 0 or -errno. */
int xi_batch_fragments_create(struct xi_worker *w);
void xi_batch_fragments_destroy(struct xi_worker *w);
/* Gives up what waited for too long. */
void xi_batch_fragments_expire(struct xi_worker *w);
/*
 * A fragment that arrived for this host. True: a packet became whole, and its SA is known
 * (item->handle). Else the item was consumed; whole packets of no SA are judged as cleartext.
 */
bool xi_batch_arrived(struct xi_worker *w, struct xi_item *item);
/*
 * For transport mode, which protects whole datagrams. True: the item is one, perhaps only now
 * (item->whole). Else it was consumed.
 */
bool xi_batch_whole(struct xi_worker *w, struct xi_item *item);
/* Cuts a packet whose SAs are known into pieces of at most limit bytes, for the next round. Consumes it. */
void xi_batch_cut(struct xi_worker *w, struct xi_item *item, uint32_t limit);
/* Cuts what is finished into pieces of at most mtu bytes and emits each. Consumes the item. */
void xi_emit_cut(struct xi_worker *w, struct xi_item *item, uint32_t mtu,
		 void (*emit)(struct xi_worker *w, struct xi_item *piece));

/* The ways out (emit.c). Each consumes the item. */
void xi_emit_port(struct xi_worker *w, struct xi_item *item, const struct xi_nexthop *nh);
/* To the host, with the receive record of the SAs it came through (item->ctx, next), if any. */
void xi_emit_host(struct xi_worker *w, struct xi_item *item, enum xi_crypto_status status);
/* A finished packet to the SA's peer: by item->nh if known, else the host's stack. In pieces if it must be. */
void xi_emit_esp(struct xi_worker *w, struct xi_item *item);
/* Does not fit: tells the sender the MTU that would (rate-limited) and drops the packet. */
void xi_emit_too_big(struct xi_worker *w, struct xi_item *item, uint32_t mtu);
/* Finds the next hop of packets with this mark to an address; asks for it when it is not known yet. */
const struct xi_nexthop *xi_emit_nexthop(struct xi_worker *w, const uint8_t addr[16], enum xi_family family,
					 uint32_t mark);
/* Header checksum of IPv4, which a router verifies (RFC 1812 section 5.2.2). */
static inline bool xi_emit_sound(const struct xi_pkt *pkt)
{
	return pkt->data[0] >> 4 == 6 || xi_ip4_sound(pkt->data);
}
/* TTL or hop limit less one, as a router does (RFC 1812 section 5.3.1). False: it was used up. */
bool xi_emit_age(struct xi_pkt *pkt);

#endif
