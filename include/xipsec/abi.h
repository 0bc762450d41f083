/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What the XDP programs, the daemon and the pinned maps agree on.
 *
 * Conventions of every struct here:
 *  - SPIs, ports, sequence numbers are in host byte order; addresses are 16 bytes in network order,
 *    an IPv4 address fills the first four and the rest is zero;
 *  - enums, no bitfields, explicit zeroed padding: bpftool then prints names, and hash keys are exact;
 *  - sizes are asserted on both sides. A change of any layout bumps XI_ABI_VERSION.
 */
#ifndef XIPSEC_ABI_H
#define XIPSEC_ABI_H

#include <linux/types.h>

#include <xipsec/reasons.h>

#define XI_ABI_VERSION 7

#define XI_MAX_PORTS 16      /* port slots, xipsec0's inner end included */
#define XI_MAX_QUEUES 16     /* queues a port */
#define XI_MAX_WORKERS 16
#define XI_MAX_INTERFACES 256 /* devices of an if_id */
#define XI_MAX_TMPLS 6       /* templates a policy, as XFRM_MAX_DEPTH */
#define XI_MAX_MASKS 32      /* distinct prefix-length pairs in the policy guard */
#define XI_FLOW_MASKS 16     /* distinct masks in flow_cache, for each direction and family */

/*
 * SA index (the "handle"): slot in the low bits, generation above, never 0. A slot that is used
 * again gets another generation, so a stale handle never names the wrong SA (invariant cache-coherent).
 */
#define XI_SA_SLOT_BITS 20
#define XI_SA_SLOT_MASK ((1U << XI_SA_SLOT_BITS) - 1)
#define XI_SAS_MAX (1U << XI_SA_SLOT_BITS)
#define XI_SA_GEN_MAX ((1U << (32 - XI_SA_SLOT_BITS)) - 1)
#define XI_SA_SLOT(index) ((index) & XI_SA_SLOT_MASK)
#define XI_SA_INDEX(gen, slot) (((gen) << XI_SA_SLOT_BITS) | (slot))
#define XI_NO_SLOT 0xffffffffU
#define XI_LARVAL 0U         /* no SA's index */

enum xi_family { XI_FAMILY_NONE = 0, XI_IPV4 = 2, XI_IPV6 = 10 };
enum xi_proto { XI_PROTO_ANY = 0, XI_ESP = 50, XI_AH = 51, XI_COMP = 108 };
enum xi_mode { XI_TRANSPORT = 0, XI_TUNNEL = 1 };
enum xi_dir { XI_IN = 0, XI_OUT = 1, XI_FWD = 2, XI_DIR_MAX = 3 };          /* values of XFRM_POLICY_* */
enum xi_action { XI_ALLOW = 0, XI_BLOCK = 1 };                             /* values of XFRM_POLICY_ALLOW, _BLOCK */
enum xi_method { XI_METHOD_NONE, XI_METHOD_FAST, XI_METHOD_SLOW, XI_METHOD_KERNEL, XI_METHOD_DROP };
/* KERNEL: the host's stack protects it by a policy of its own; it never passes the guard in clear. */
enum xi_verdict { XI_VERDICT_NONE, XI_VERDICT_PROTECT, XI_VERDICT_BYPASS, XI_VERDICT_DISCARD, XI_VERDICT_KERNEL };
enum xi_role { XI_ROLE_NONE, XI_ROLE_CIPHER, XI_ROLE_PLAIN, XI_ROLE_HOST };
enum xi_encap { XI_ENCAP_NONE = 0, XI_ENCAP_ESPINUDP = 2 };                /* values of UDP_ENCAP_* */
enum xi_df { XI_DF_COPY, XI_DF_SET, XI_DF_CLEAR };                         /* RFC 4301 section 8.1 */

/* A cipher, or cipher and integrity in one (AEAD). XI_ALG_NONE: AH, with an integrity algorithm. */
enum xi_alg {
	XI_ALG_NONE,
	XI_ALG_AES_GCM,
	XI_ALG_AES_CBC,
	XI_ALG_NULL,                 /* RFC 2410 */
	XI_ALG_AES_CTR,
	XI_ALG_AES_CCM,
	XI_ALG_CHACHA20_POLY1305,
	XI_ALG_AES_GMAC,             /* RFC 4543: an AEAD that encrypts nothing; in ESP and AH */
};

enum xi_auth {
	XI_AUTH_NONE,
	XI_AUTH_HMAC_SHA1,
	XI_AUTH_HMAC_SHA256,
	XI_AUTH_HMAC_SHA384,
	XI_AUTH_HMAC_SHA512,
	XI_AUTH_AES_CMAC,            /* RFC 4494 */
};

/* Outcome of the crypto work on a received packet: names and values of the send/receive record (NDIS 5.1). */
enum xi_crypto_status {
	XI_CRYPTO_SUCCESS = 0,
	XI_CRYPTO_GENERIC_ERROR = 1,
	XI_CRYPTO_TRANSPORT_AH_AUTH_FAILED = 2,
	XI_CRYPTO_TRANSPORT_ESP_AUTH_FAILED = 3,
	XI_CRYPTO_TUNNEL_AH_AUTH_FAILED = 4,
	XI_CRYPTO_TUNNEL_ESP_AUTH_FAILED = 5,
	XI_CRYPTO_INVALID_PACKET_SYNTAX = 6,
	XI_CRYPTO_INVALID_PROTOCOL = 7,
	XI_CRYPTO_NOT_DONE = 8,
};

/*
 * Receive record: the source MAC of a frame handed to the host, locally administered, says which SA the packet came
 * through and what was verified: 02:FS:II:II:II:II, F flags (XI_RECORD_*), S status (enum xi_crypto_status), I sa_index of
 * the innermost SA, 0 = none (bypass).
 */
#define XI_RECORD_MAC 0x02
#define XI_RECORD_STATUS 0x0f
#define XI_RECORD_CRYPTO_DONE 0x10       /* by that SA */
#define XI_RECORD_NEXT_CRYPTO_DONE 0x20  /* and by the SA around it */
#define XI_RECORD_SA_DELETE_REQ 0x40     /* one of them has reached a hard limit */

struct xi_addr {
	__u8 addr[16];
	enum xi_family family;
};

/*
 * Key of sad_lookup and sa_cache: what an inbound packet shows of its SA (RFC 4301 section 4.1). Value of sad_lookup: the
 * sa_index; XI_LARVAL for an SPI that a key manager has allocated and not given its keys yet.
 */
struct xi_sa_id {
	__u8 daddr[16];
	__u32 spi;
	enum xi_proto proto;
	enum xi_family family;
};

/* RFC 4301 section 4.4.1.1. A zero prefix length, protocol or port mask matches everything. */
struct xi_selector {
	__u8 saddr[16];
	__u8 daddr[16];
	__u16 sport, sport_mask;     /* ICMP: type */
	__u16 dport, dport_mask;     /* ICMP: code */
	__u8 prefixlen_s, prefixlen_d;
	__u8 proto;
	__u8 pad;
	enum xi_family family;       /* XI_FAMILY_NONE: any */
	__u32 ifindex;
	__u32 user;
};

/* RFC 4301 section 4.4.2.1; units: bytes, packets, seconds. 0 seconds = none; ~0 bytes or packets = none. */
struct xi_limits {
	__u64 soft_bytes, hard_bytes;
	__u64 soft_packets, hard_packets;
	__u64 soft_add, hard_add;
	__u64 soft_use, hard_use;
};

/* Value of `sad`. No key bytes: a dump of it can go into a bug report. */
struct xi_sa {
	struct xi_sa_id id;
	__u8 saddr[16];
	__u32 sa_index;
	struct xi_selector sel;
	enum xi_mode mode;
	enum xi_alg alg;             /* XI_ALG_NONE in AH with an integrity algorithm */
	enum xi_auth auth;           /* XI_AUTH_NONE with an AEAD */
	__u32 key_bits;              /* cipher key without salt */
	__u32 auth_bits;             /* integrity key */
	__u32 icv_len;               /* bytes */
	__u32 replay_window;         /* packets, 0 = no anti-replay */
	__u32 window_slot;           /* into sa_window, XI_NO_SLOT = the words inside sa_state */
	__u32 reqid;
	__u32 flags;                 /* XFRM_STATE_* */
	__u32 extra_flags;           /* XFRM_SA_XFLAG_* */
	__u32 seq;                   /* the key manager's own number (xfrm_usersa_info.seq) */
	__u32 mark_v, mark_m;
	__u32 output_mark, output_mark_mask;
	__u32 if_id;
	__u32 life;                  /* XI_SA_LARVAL ... */
	__u32 generation;            /* bumped by each change of this SA */
	__u32 sa_dir;                /* XFRMA_SA_DIR: 0 not given, 1 in, 2 out */
	enum xi_encap encap;         /* of ESP in UDP (RFC 3948) */
	__u16 encap_sport;           /* of saddr's and */
	__u16 encap_dport;           /* daddr's end */
	__u8 encap_oa[16];           /* original address (xfrm_encap_tmpl), kept for the key manager alone */
	__u32 tfcpad;                /* bytes: shorter payloads are padded up to it (RFC 4303 section 2.7); 0 none */
	enum xi_df df;               /* of the outer header, unless XFRM_STATE_NOPMTUDISC clears it */
	__u64 add_time;              /* seconds since the epoch */
	struct xi_limits limits;
	/* what the key manager alone cares about; of those marked +1, 0 is none given and else it is one more than what was */
	__u8 coaddr[16];             /* care-of address of Mobile IPv6; of id.family */
	__u32 replay_thresh;         /* +1, packets after which NEWAE tells of them */
	__u32 etimer_thresh;         /* +1, 100 ms after which it tells of fewer */
	__u32 mtimer_thresh;         /* seconds before the same MAPPING is told again; 0 the daemon's choice */
	__u32 pcpu;                  /* +1, the CPU it was made for (RFC 9611); any worker carries it */
	__u32 moved_under;           /* spd_generation when its addresses last changed, 0 never: templates of that one have the old ones */
	__u32 nat_keepalive;         /* seconds without a packet of it after which one is sent (RFC 3948 section 4); 0 the key manager's */
};

#define XI_SA_LARVAL (1U << 0)       /* made by ALLOCSPI, no keys yet */
#define XI_SA_SOFT_EXPIRED (1U << 1) /* EXPIRE hard=0 was sent */
#define XI_SA_FROM_FILE (1U << 2)    /* sequence numbers are reserved on disk */
#define XI_SA_FROM_KERNEL (1U << 3)  /* taken over from the kernel's XFRM, whose counter its numbers are reserved in */

#define XI_KEY_MAX 112

/*
 * Value of `sad_keys`: cipher key, salt (AES-GCM: four bytes, RFC 4106 section 8.1), integrity key. The
 * longest that an RFC has is AES-256-CTR with HMAC-SHA-512, 100 bytes.
 */
struct xi_sa_key {
	enum xi_alg alg;
	enum xi_auth auth;
	__u32 len;                   /* bytes used of key[] */
	__u32 auth_len;              /* the last of them, which are the integrity key */
	__u8 key[XI_KEY_MAX];
};

/*
 * Replay window of 32-packet blocks. A word holds the block number (low 32 bits of seq >> 5) above and one
 * bit a packet below; a compare-and-swap on one word either marks a packet, finds it marked, or finds
 * that the word has moved on to a later block. No step clears words, so workers need no lock.
 * n words serve windows up to 32 * (n - 1) packets; n is a power of two.
 */
#define XI_WINDOW_INLINE_WORDS 16
#define XI_WINDOW_INLINE_MAX (32 * (XI_WINDOW_INLINE_WORDS - 1))
#define XI_WINDOW_WORDS 256
#define XI_WINDOW_MAX 65536
#define XI_WINDOW_RUN 16             /* slots in a row for the largest window, 4096 words */

/* Value of `sa_state`, by SA slot: everything that changes per packet. Mapped and shared, so: atomics only. */
struct xi_sa_state {
	/* outbound */
	__u64 oseq;                  /* last sequence number given out, 64 bits with and without ESN */
	__u64 oseq_limit;            /* last one that may be given out */
	__u32 sa_index;              /* owner, 0 = free */
	__u32 pad0;
	__u32 pmtu;                  /* bytes of the path to the peer, as ICMP told; 0 = as the device */
	__u32 pmtu_until;            /* seconds since the epoch: then it is forgotten (RFC 1191 section 6.3) */
	__u32 expired;               /* hard limit reached: carries nothing any more */
	__u32 packets_asked;         /* the low half of `packets` when admission last counted; the daemon's alone */
	__u32 pad1[6];
	/* both ways */
	__u64 bytes;
	__u64 packets;
	__u64 use_time;              /* first use, seconds since the epoch, 0 = never */
	__u64 last_use;              /* seconds since the epoch */
	__u64 replay_failed;
	__u64 integrity_failed;
	__u64 other_failed;
	/* inbound */
	__u64 top;                   /* highest sequence number accepted */
	__u64 words[XI_WINDOW_INLINE_WORDS];
};

/*
 * Value of `sa_window`, by window slot: windows that do not fit into sa_state. Larger ones take several slots in
 * a row, the first of them a multiple of their number; the array lies in one piece in memory.
 */
struct xi_window {
	__u64 words[XI_WINDOW_WORDS];
};

/* Value of `sa_cache`. */
struct xi_sa_cached {
	__u32 sa_index;
	enum xi_method method;
	__u32 slot;                  /* context slot, XI_NO_SLOT = none */
	__u32 generation;
};

/* What a packet shows of its flow, every field as found. */
struct xi_flow {
	__u8 saddr[16];
	__u8 daddr[16];
	__u16 sport;                 /* ICMP: type; non-initial fragment: 0 */
	__u16 dport;                 /* ICMP: code */
	__u8 proto;
	__u8 dir;                    /* XI_OUT; for cleartext that arrives XI_IN when daddr is of this host, else XI_FWD */
	__u8 fragment;               /* 1: non-initial fragment, has no ports */
	__u8 pad;
	enum xi_family family;
	__u32 mark;                  /* of the host's packet buffer; 0 on a port, where there is none yet */
	__u32 if_id;                 /* out: of the interface it was routed to; in: of the SA it came through; 0 none */
};

/* The part of a flow that its verdict was made by: every flow that agrees in it gets the same. */
struct xi_flow_mask {
	__u8 prefixlen_s, prefixlen_d;
	__u8 proto;                  /* bits, as those below */
	__u8 fragment;
	__u16 sport, dport;
};

/*
 * Key of `flow_cache` and `miss_flow`: a flow with everything outside its mask zero, and the mask, so that no packet
 * mistakes an element for one under another mask, whatever it read of `flow_masks`. Made by xi_flow_key_make() alone.
 * Every packet pays for hashing it, so it is short: of flows with an if_id the mark has no place, and they are not cached
 * where a policy looks at both. if_id is always looked at, for there are few; of the mark, xi_config.mark_mask.
 */
struct xi_flow_key {
	__u8 saddr[16];
	__u8 daddr[16];
	__u16 sport, dport;
	__u16 sport_mask, dport_mask;
	__u8 prefixlen_s, prefixlen_d;
	__u8 proto;
	__u8 bits;                   /* XI_KEY_* */
	__u32 mark;                  /* or, XI_KEY_IF_ID, the if_id */
};

#define XI_KEY_DIR 0x03              /* enum xi_dir */
#define XI_KEY_IPV6 0x04
#define XI_KEY_FRAGMENT 0x08
#define XI_KEY_LOOKS_FRAGMENT 0x10   /* of the mask, */
#define XI_KEY_LOOKS_PROTO 0x20      /* as this */
#define XI_KEY_IF_ID 0x40

/* Value of `flow_masks`, by XI_FLOW_TABLE: under which masks a packet looks for its flow, in this order. */
struct xi_flow_masks {
	__u32 n;
	__u32 pad;
	struct xi_flow_mask rows[XI_FLOW_MASKS];
};

#define XI_FLOW_TABLES (2 * XI_DIR_MAX)
#define XI_FLOW_TABLE(dir, family) (2 * (dir) + ((family) == XI_IPV6))

struct xi_flow_verdict {
	enum xi_verdict verdict;
	__u32 handle;                /* sa_index: the SA, or with next_handle the transport SA */
	__u32 next_handle;           /* sa_index of the tunnel SA of a bundle, else 0 */
	__u32 slot;                  /* context slots of the two */
	__u32 next_slot;
	__u32 generation;            /* xi_config.spd_generation this verdict was made under */
};

struct xi_tmpl {
	struct xi_sa_id id;          /* spi 0, daddr zero: any */
	__u8 saddr[16];
	enum xi_mode mode;
	__u32 reqid;
	__u32 optional;
	__u32 share;
	__u32 aalgos, ealgos, calgos;
	enum xi_family family;       /* of saddr and daddr */
};

/* Value of `spd`. */
struct xi_policy {
	struct xi_selector sel;
	__u32 index;
	__u32 priority;
	enum xi_dir dir;
	enum xi_action action;
	__u32 flags;                 /* XFRM_POLICY_* */
	__u32 share;
	__u32 type;                  /* XFRM_POLICY_TYPE_* */
	__u32 mark_v, mark_m;
	__u32 if_id;
	__u32 ntmpls;
	__u32 origin;                /* XI_POLICY_FROM_FILE ... */
	__u64 add_time;
	__u64 use_time;
	__u64 order;                 /* among equal priorities the lower one is asked first */
	struct xi_limits limits;
	struct xi_tmpl tmpls[XI_MAX_TMPLS];
};

#define XI_POLICY_FROM_FILE (1U << 0)
#define XI_POLICY_FROM_KERNEL (1U << 1) /* mirrored */
#define XI_POLICY_IN_KERNEL (1U << 2)   /* outbound, and left to the kernel (XI_VERDICT_KERNEL): has no templates here */

/* Value of `ports`, by ifindex. */
struct xi_port {
	enum xi_role role;
	__u32 slot;                  /* row in xsks */
	__u8 mac[6];
	__u16 packet_max;            /* longest IP packet that workers take: XI_PACKET_ONE or XI_PACKET_LONG */
	__u32 queues;
};

/*
 * Longest IP packets: in the one buffer, a page less what the kernel keeps of it, that AF_XDP took before Linux 6.6; and
 * in a worker's long buffers, where it hands on packets of several.
 */
#define XI_PACKET_ONE 3500
#define XI_PACKET_LONG 9600

/*
 * Policy guard: which cleartext XDP may leave to the kernel without asking anybody. `spd_guard` holds the
 * prefix pair of every policy that discards or has templates; `spd_masks` the distinct pairs of lengths.
 * No hit: nothing to protect. A hit: flow_cache, and on a miss a worker, decide exactly.
 * dir: XI_OUT, or XI_IN for policies of both in and fwd. Every packet in clear pays for hashing the key, so
 * it is short: an IPv4 prefix as it is, an IPv6 prefix folded (xipsec/guard.h). Prefixes that fold alike share
 * an entry: a packet then asks flow_cache in vain, and none is let go that a policy wants.
 */
struct xi_guard_key {
	__u32 saddr;                 /* network order */
	__u32 daddr;
	__u8 prefixlen_s, prefixlen_d;
	__u8 dir;
	__u8 family;                 /* enum xi_family */
};

struct xi_guard_mask {
	__u8 prefixlen_s, prefixlen_d;
	__u8 dir;
	__u8 used;
	enum xi_family family;
};

/* Value of `spd_masks`[0]: all of them in one, for one lookup a packet. The first unused one ends the list. */
struct xi_guard_masks {
	struct xi_guard_mask rows[XI_MAX_MASKS];
};

#define XI_GUARD_ALL (1U << 0)       /* every packet goes through flow_cache */

/*
 * There is an SA of UDP encapsulation: `encap_ports` (by port, host order: how many SAs end at it here) counts
 * beside port 4500, and fragments of UDP for this host are put together before they are looked at.
 */
#define XI_CONFIG_ENCAP (1U << 0)

/* Value of `config`[0]. */
struct xi_config {
	__u32 abi_version;
	__u32 sad_generation;
	__u32 spd_generation __attribute__((aligned(8))); /* flows of another generation are misses */
	__u32 mark_mask;             /* bits of a mark that outbound policies look at; read in one with the generation */
	__u32 guard_flags[XI_DIR_MAX]; /* XI_GUARD_*, by direction (fwd unused) */
	enum xi_action default_action[XI_DIR_MAX];
	enum xi_method unknown_spi;  /* XI_METHOD_DROP or XI_METHOD_KERNEL, for ESP to an address of ours */
	__u32 miss_per_second;       /* messages a second and CPU */
	__u32 miss_dedup_ms;
	__u32 flags;                 /* XI_CONFIG_* */
	__u32 host_ifindex;          /* of xipsec0; 0: leaving packets that want protection are dropped */
	__u32 pad;
};

#define XI_META_MAGIC 0x58495031U    /* "XIP1" */
#define XI_META_MISS (1U << 0)           /* not in the cache: SLOW method, look up by handle or policy */
#define XI_META_CRYPTO_DONE (1U << 1)
#define XI_META_NEXT_CRYPTO_DONE (1U << 2)
#define XI_META_SA_DELETE_REQ (1U << 3)
#define XI_META_FRAGMENT (1U << 4)       /* of ESP, AH or UDP to this host: handle 0, put together first */
#define XI_META_ENCAP (1U << 5)          /* ESP in UDP */
#define XI_META_FRAMED (1U << 6)         /* out: framed already, ipsec/framed.h; only crypto is left */
#define XI_META_LARVAL (1U << 7)         /* for an SPI without keys yet: handle 0, looked up by the worker */

/* In front of a packet on its way to a worker. Written by XDP only; what a packet arrives with is discarded. */
struct xi_meta {
	__u32 magic;
	__u32 handle;
	__u32 next_handle;
	__u32 slot;
	__u32 next_slot;
	__u16 flags;
	__u8 dir;                    /* XI_IN: decrypt handle, or with handle 0 cleartext to judge. XI_OUT: encrypt */
	__u8 status;                 /* enum xi_crypto_status */
	__u16 l3_offset;             /* from the packet's first byte */
	__u16 port;                  /* port slot it came in by */
	__u32 pad;
};

enum xi_miss_kind { XI_MISS_NONE, XI_MISS_SA, XI_MISS_FLOW };

/* Record of the perf event array `misses`. Readers accept longer records: the kernel rounds sizes up. */
struct xi_miss {
	enum xi_miss_kind kind;
	__u32 handle;                /* SA misses */
	struct xi_sa_id id;          /* SA misses */
	struct xi_flow flow;         /* flow misses */
	__u64 ktime;                 /* CLOCK_MONOTONIC, ns */
	__u32 ifindex;
	__u32 queue;
};

/* Value of `worker_stats`, by worker: its counters, by reason. Written by that worker alone, read by anybody. */
struct xi_worker_stats {
	__u64 counts[XI_REASON_MAX];
};

/* Names of the maps and programs, which are also their file names below the pin directory. */
#define XI_MAP_SAD "sad"
#define XI_MAP_SAD_KEYS "sad_keys"
#define XI_MAP_SAD_LOOKUP "sad_lookup"
#define XI_MAP_SA_STATE "sa_state"
#define XI_MAP_SA_WINDOW "sa_window"
#define XI_MAP_SA_CACHE "sa_cache"
#define XI_MAP_FLOW_CACHE "flow_cache"
#define XI_MAP_FLOW_MASKS "flow_masks"
#define XI_MAP_SPD "spd"
#define XI_MAP_SPD_GUARD "spd_guard"
#define XI_MAP_SPD_MASKS "spd_masks"
#define XI_MAP_LOCAL_ADDRS "local_addrs"
#define XI_MAP_ENCAP_PORTS "encap_ports"
#define XI_MAP_PORTS "ports"
#define XI_MAP_INTERFACES "interfaces"
#define XI_MAP_IF_IDS "if_ids"
#define XI_MAP_XSKS "xsks"
#define XI_MAP_MISSES "misses"
#define XI_MAP_STATS "stats"
#define XI_MAP_WORKER_STATS "worker_stats"
#define XI_MAP_CONFIG "config"

#define XI_ASSERT(cond) _Static_assert(cond, #cond)
XI_ASSERT(sizeof(struct xi_addr) == 20);
XI_ASSERT(sizeof(struct xi_sa_id) == 28);
XI_ASSERT(sizeof(struct xi_selector) == 56);
XI_ASSERT(sizeof(struct xi_limits) == 64);
XI_ASSERT(sizeof(struct xi_sa) == 328);
XI_ASSERT(sizeof(struct xi_sa_key) == 128);
XI_ASSERT(sizeof(struct xi_sa_state) == 256);
XI_ASSERT(__builtin_offsetof(struct xi_sa_state, bytes) == 64);
XI_ASSERT(__builtin_offsetof(struct xi_sa_state, words) == 128);
XI_ASSERT(sizeof(struct xi_window) == 2048);
XI_ASSERT(sizeof(struct xi_sa_cached) == 16);
XI_ASSERT(sizeof(struct xi_flow) == 52);
XI_ASSERT(sizeof(struct xi_flow_mask) == 8);
XI_ASSERT(sizeof(struct xi_flow_key) == 48);
XI_ASSERT(sizeof(struct xi_flow_masks) == 8 + 8 * XI_FLOW_MASKS);
XI_ASSERT(sizeof(struct xi_flow_verdict) == 24);
XI_ASSERT(sizeof(struct xi_tmpl) == 76);
XI_ASSERT(sizeof(struct xi_policy) == 648);
XI_ASSERT(sizeof(struct xi_guard_key) == 12);
XI_ASSERT(sizeof(struct xi_guard_mask) == 8);
XI_ASSERT(sizeof(struct xi_guard_masks) == 256);
XI_ASSERT(sizeof(struct xi_config) == 64);
XI_ASSERT(__builtin_offsetof(struct xi_config, mark_mask) == 12);
XI_ASSERT(sizeof(struct xi_meta) == 32);
XI_ASSERT(sizeof(struct xi_miss) == 104);
XI_ASSERT(XI_WINDOW_MAX <= 32 * (XI_WINDOW_WORDS * XI_WINDOW_RUN - 1));

#endif
