/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Every map. Keys and values have types, so that bpftool prints fields by name. The daemon sets
 * max_entries from its configuration before it loads; what stands here suits tests and small
 * gateways.
 */
#ifndef XI_MAPS_BPF_H
#define XI_MAPS_BPF_H

#include <stdbool.h>

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include <xipsec/abi.h>
#include <xipsec/reasons.h>

#define XI_DEFAULT_SAS 65536
#define XI_DEFAULT_WINDOWS 1024
#define XI_DEFAULT_POLICIES 8192

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, XI_DEFAULT_SAS);
	__type(key, __u32);
	__type(value, struct xi_sa);
} sad SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, XI_DEFAULT_SAS);
	__type(key, __u32);
	__type(value, struct xi_sa_key);
} sad_keys SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, XI_DEFAULT_SAS);
	__type(key, struct xi_sa_id);
	__type(value, __u32);
} sad_lookup SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, XI_DEFAULT_SAS);
	__type(key, __u32);
	__type(value, struct xi_sa_state);
} sa_state SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, XI_DEFAULT_WINDOWS);
	__type(key, __u32);
	__type(value, struct xi_window);
} sa_window SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 4096);
	__type(key, struct xi_sa_id);
	__type(value, struct xi_sa_cached);
} sa_cache SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 16384);
	__type(key, struct xi_flow_key);
	__type(value, struct xi_flow_verdict);
} flow_cache SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, XI_FLOW_TABLES);
	__type(key, __u32);
	__type(value, struct xi_flow_masks);
} flow_masks SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, XI_DEFAULT_POLICIES);
	__type(key, __u32);
	__type(value, struct xi_policy);
} spd SEC(".maps");

/* Value: number of policies that share the prefix pair. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, XI_DEFAULT_POLICIES);
	__type(key, struct xi_guard_key);
	__type(value, __u32);
} spd_guard SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct xi_guard_masks);
} spd_masks SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 4096);
	__type(key, struct xi_addr);
	__type(value, __u32);
} local_addrs SEC(".maps");

/* Port in host order -> number of SAs of UDP encapsulation that end at it on this host. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 1024);
	__type(key, __u32);
	__type(value, __u32);
} encap_ports SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, XI_MAX_PORTS);
	__type(key, __u32);
	__type(value, struct xi_port);
} ports SEC(".maps");

/* Devices of an if_id: ifindex -> if_id, and the other way round. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, XI_MAX_INTERFACES);
	__type(key, __u32);
	__type(value, __u32);
} interfaces SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, XI_MAX_INTERFACES);
	__type(key, __u32);
	__type(value, __u32);
} if_ids SEC(".maps");

/* Port slot * XI_MAX_QUEUES + queue. */
struct {
	__uint(type, BPF_MAP_TYPE_XSKMAP);
	__uint(max_entries, XI_MAX_PORTS *XI_MAX_QUEUES);
	__type(key, __u32);
	__type(value, __u32);
} xsks SEC(".maps");

/* One ring a CPU; libbpf sizes it. Records: struct xi_miss. */
struct {
	__uint(type, BPF_MAP_TYPE_PERF_EVENT_ARRAY);
	__type(key, __u32);
	__type(value, __u32);
} misses SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, XI_REASON_MAX);
	__type(key, __u32);
	__type(value, __u64);
} stats SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, XI_MAX_WORKERS);
	__type(key, __u32);
	__type(value, struct xi_worker_stats);
} worker_stats SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct xi_config);
} config SEC(".maps");

/*
 * Misses of SAs reported of late: the handle above, CLOCK_MONOTONIC in units of 1024 ns below, in the
 * row that the handle's hash chooses. Two SAs in one row cost a message more. An array, as a packet
 * that missed pays for it; and apart from flows, so that a flood of new flows cannot push out what
 * is known about SAs.
 */
#define XI_MISS_ROW_BITS 14

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1 << XI_MISS_ROW_BITS);
	__type(key, __u32);
	__type(value, __u64);
} miss_sa SEC(".maps");

/* CLOCK_MONOTONIC ns of the last message. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 4096);
	__type(key, struct xi_flow_key);
	__type(value, __u64);
} miss_flow SEC(".maps");

/*
 * Sources of misses, rate-limited apart: arriving cleartext cannot use up the messages of SAs or of
 * leaving flows.
 */
enum xi_miss_source { XI_SOURCE_SA, XI_SOURCE_FLOW_IN, XI_SOURCE_FLOW_OUT, XI_SOURCE_MAX };

struct xi_bucket {
	__u64 credit; /* ns times messages a second; a message costs 10^9, at most one second's worth */
	__u64 last;   /* CLOCK_MONOTONIC, ns */
	struct xi_miss miss; /* room to write one: programs have no stack to spare */
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, XI_SOURCE_MAX);
	__type(key, __u32);
	__type(value, struct xi_bucket);
} miss_bucket SEC(".maps");

#endif
