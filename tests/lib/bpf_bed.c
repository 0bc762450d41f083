/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "bpf_bed.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <linux/if_xdp.h>
#include <net/if.h>
#include <sched.h>
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <xipsec/flow_key.h>
#include <xipsec/guard.h>

#define BED_PORT "xibed0"
#define BED_PEER "xibed1"
#define BED_META_BYTE 0xee

static char bed_warnings[8192];

static int bed_print(enum libbpf_print_level level, const char *format, va_list args)
{
	size_t used = strlen(bed_warnings);

	if (level <= LIBBPF_INFO)
		vsnprintf(bed_warnings + used, sizeof(bed_warnings) - used, format, args);
	return 0;
}

const char *xi_bed_warnings(void)
{
	return bed_warnings;
}

static int bed_link_up(struct xi_bed *bed)
{
	struct ifreq req = {};
	int fd, ret = -1;

	if (unshare(CLONE_NEWNET) ||
	    system("ip link add " BED_PORT " type veth peer name " BED_PEER
		   " && ip link set " BED_PORT " up && ip link set " BED_PEER " up"))
		return -1;
	fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -1;
	strcpy(req.ifr_name, BED_PORT);
	if (!ioctl(fd, SIOCGIFHWADDR, &req)) {
		memcpy(bed->mac, req.ifr_hwaddr.sa_data, 6);
		bed->ifindex = if_nametoindex(BED_PORT);
		ret = bed->ifindex ? 0 : -1;
	}
	close(fd);
	return ret;
}

uint32_t xi_bed_known, xi_bed_cached;

static int bed_load(struct xi_bed *bed)
{
	libbpf_set_print(bed_print);
	bed->skel = xipsec_bpf__open();
	if (!bed->skel)
		return -1;
	bpf_map__set_max_entries(bed->skel->maps.sa_state, 1024);
	bpf_map__set_max_entries(bed->skel->maps.sa_window, 16);
	if (xi_bed_known)
		bpf_map__set_max_entries(bed->skel->maps.sad_lookup, xi_bed_known);
	if (xi_bed_cached)
		bpf_map__set_max_entries(bed->skel->maps.sa_cache, xi_bed_cached);
	return xipsec_bpf__load(bed->skel);
}

int xi_bed_setup(void **state)
{
	struct xi_bed *bed = calloc(1, sizeof(*bed));

	if (!bed)
		return -1;
	bed->xsk = -1;
	*state = bed;
	if (geteuid()) {
		print_message("needs root to load BPF programs: run as root\n");
		return -1;
	}
	if (bed_link_up(bed)) {
		print_message("no network namespace with a veth pair: %s\n", strerror(errno));
		return -1;
	}
	if (bed_load(bed)) {
		print_message("object does not load: %s\n%s\n", strerror(errno), bed_warnings);
		return -1;
	}
	xi_bed_reset(bed);
	return 0;
}

int xi_bed_teardown(void **state)
{
	struct xi_bed *bed = *state;

	if (bed->xsk >= 0)
		close(bed->xsk);
	xipsec_bpf__destroy(bed->skel);
	free(bed);
	return 0;
}

static void bed_put(struct bpf_map *map, const void *key, const void *value)
{
	assert_return_code(bpf_map_update_elem(bpf_map__fd(map), key, value, BPF_ANY), errno);
}

static void bed_clear(struct bpf_map *map)
{
	uint8_t key[64];

	while (!bpf_map_get_next_key(bpf_map__fd(map), NULL, key))
		assert_return_code(bpf_map_delete_elem(bpf_map__fd(map), key), errno);
}

uint32_t xi_bed_entries(int map_fd, uint32_t key_size)
{
	uint8_t key[64], *prev = NULL;
	uint32_t n = 0;

	while (!bpf_map_get_next_key(map_fd, prev, key)) {
		prev = key;
		n++;
	}
	assert_true(key_size <= sizeof(key));
	return n;
}

static void bed_zero_array(struct bpf_map *map)
{
	uint32_t n = bpf_map__max_entries(map), *keys = calloc(n, sizeof(*keys));
	void *zeroes = calloc(n, bpf_map__value_size(map));

	assert_true(keys && zeroes);
	for (uint32_t i = 0; i < n; i++)
		keys[i] = i;
	assert_return_code(bpf_map_update_batch(bpf_map__fd(map), keys, zeroes, &n, NULL), errno);
	free(keys);
	free(zeroes);
}

static void bed_zero_percpu(struct bpf_map *map, uint32_t n)
{
	size_t size = bpf_map__value_size(map) * libbpf_num_possible_cpus();
	void *zero = calloc(1, size);

	assert_non_null(zero);
	for (uint32_t i = 0; i < n; i++)
		bed_put(map, &i, zero);
	free(zero);
}

struct xi_config xi_bed_config(void)
{
	return (struct xi_config){
		.abi_version = XI_ABI_VERSION,
		.spd_generation = XI_BED_GENERATION,
		.unknown_spi = XI_METHOD_DROP,
		.miss_per_second = 1000,
		.miss_dedup_ms = 60000,
	};
}

void xi_bed_put_config(struct xi_bed *bed, const struct xi_config *config)
{
	uint32_t zero = 0;

	bed_put(bed->skel->maps.config, &zero, config);
}

void xi_bed_local(struct xi_bed *bed, const char *text)
{
	struct xi_addr addr = {};
	uint32_t one = 1;

	addr.family = xi_addr_parse(addr.addr, text) == 4 ? XI_IPV4 : XI_IPV6;
	bed_put(bed->skel->maps.local_addrs, &addr, &one);
}

static enum xi_family bed_prefix(uint8_t addr[16], uint8_t *plen, const char *text)
{
	char copy[64], *slash;

	snprintf(copy, sizeof(copy), "%s", text);
	slash = strchr(copy, '/');
	assert_non_null(slash);
	*slash = '\0';
	*plen = atoi(slash + 1);
	return xi_addr_parse(addr, copy) == 4 ? XI_IPV4 : XI_IPV6;
}

void xi_bed_guard(struct xi_bed *bed, uint32_t row, enum xi_dir dir, const char *src,
		  const char *dst)
{
	struct xi_guard_key key = { .dir = dir };
	struct xi_guard_mask mask = { .dir = dir, .used = 1 };
	struct xi_guard_masks masks;
	uint8_t saddr[16], daddr[16];
	uint32_t zero = 0, one = 1;

	key.family = mask.family = bed_prefix(saddr, &mask.prefixlen_s, src);
	bed_prefix(daddr, &mask.prefixlen_d, dst);
	key.saddr = xi_guard_fold(saddr, mask.prefixlen_s, mask.family);
	key.daddr = xi_guard_fold(daddr, mask.prefixlen_d, mask.family);
	key.prefixlen_s = mask.prefixlen_s;
	key.prefixlen_d = mask.prefixlen_d;
	assert_return_code(
		bpf_map_lookup_elem(bpf_map__fd(bed->skel->maps.spd_masks), &zero, &masks), errno);
	masks.rows[row] = mask;
	bed_put(bed->skel->maps.spd_masks, &zero, &masks);
	bed_put(bed->skel->maps.spd_guard, &key, &one);
}

static struct xi_sa_id bed_id(enum xi_proto proto, const char *daddr, uint32_t spi)
{
	struct xi_sa_id id = { .spi = spi, .proto = proto };

	id.family = xi_addr_parse(id.daddr, daddr) == 4 ? XI_IPV4 : XI_IPV6;
	return id;
}

static void bed_sa_cached(struct xi_bed *bed, const struct xi_sa_id *id, enum xi_method method)
{
	struct xi_sa_cached cached = { .sa_index = XI_BED_HANDLE, .method = method, .slot = 11 };

	bed_put(bed->skel->maps.sad_lookup, id, &cached.sa_index);
	bed_put(bed->skel->maps.sa_cache, id, &cached);
}

void xi_bed_sa_known(struct xi_bed *bed, const char *daddr, uint32_t spi, uint32_t handle)
{
	struct xi_sa_id id = bed_id(XI_ESP, daddr, spi);

	bed_put(bed->skel->maps.sad_lookup, &id, &handle);
}

void xi_bed_sa_cached(struct xi_bed *bed, const char *daddr, uint32_t spi, enum xi_method method)
{
	struct xi_sa_id id = bed_id(XI_ESP, daddr, spi);

	bed_sa_cached(bed, &id, method);
}

void xi_bed_ah_known(struct xi_bed *bed, const char *daddr, uint32_t spi, uint32_t handle)
{
	struct xi_sa_id id = bed_id(XI_AH, daddr, spi);

	bed_put(bed->skel->maps.sad_lookup, &id, &handle);
}

void xi_bed_ah_cached(struct xi_bed *bed, const char *daddr, uint32_t spi, enum xi_method method)
{
	struct xi_sa_id id = bed_id(XI_AH, daddr, spi);

	bed_sa_cached(bed, &id, method);
}

void xi_bed_encap(struct xi_bed *bed, uint16_t port)
{
	struct xi_config cfg = xi_bed_config();
	uint32_t key = port, one = 1;

	cfg.flags = XI_CONFIG_ENCAP;
	xi_bed_put_config(bed, &cfg);
	if (port)
		bed_put(bed->skel->maps.encap_ports, &key, &one);
}

static bool bed_is_local(struct xi_bed *bed, const struct xi_flow *flow)
{
	struct xi_addr addr = { .family = flow->family };
	uint32_t value;

	memcpy(addr.addr, flow->daddr, 16);
	return !bpf_map_lookup_elem(bpf_map__fd(bed->skel->maps.local_addrs), &addr, &value);
}

void xi_bed_masks(struct xi_bed *bed, enum xi_dir dir, enum xi_family family,
		  const struct xi_flow_mask *rows, uint32_t n)
{
	struct xi_flow_masks masks = { .n = n };
	uint32_t table = XI_FLOW_TABLE(dir, family);

	memcpy(masks.rows, rows, n * sizeof(*rows));
	bed_put(bed->skel->maps.flow_masks, &table, &masks);
}

void xi_bed_flow_masked(struct xi_bed *bed, const struct xi_spec *spec, enum xi_dir dir,
			const struct xi_flow_mask *mask, enum xi_verdict verdict,
			uint32_t generation)
{
	struct xi_flow_verdict value = { .verdict = verdict, .generation = generation };
	struct xi_flow flow = { .proto = spec->proto, .fragment = spec->frag_off != 0,
				.mark = spec->mark, .if_id = spec->if_id };
	struct xi_flow_mask whole;
	struct xi_flow_key key;

	flow.family = xi_addr_parse(flow.saddr, spec->src) == 4 ? XI_IPV4 : XI_IPV6;
	xi_addr_parse(flow.daddr, spec->dst);
	if (!flow.fragment) {
		flow.sport = spec->sport;
		flow.dport = spec->dport;
	}
	if (dir == XI_IN && !bed_is_local(bed, &flow))
		dir = XI_FWD;
	if (verdict == XI_VERDICT_PROTECT) {
		value.handle = XI_BED_OUT_HANDLE;
		value.next_handle = XI_BED_OUT_HANDLE + 1;
		value.slot = 21;
		value.next_slot = 22;
	}
	whole = xi_flow_mask_whole(flow.family);
	xi_flow_key_make(&key, &flow, dir, mask ? mask : &whole,
			 xi_flow_key_mark(&flow, UINT32_MAX));
	bed_put(bed->skel->maps.flow_cache, &key, &value);
}

void xi_bed_flow(struct xi_bed *bed, const struct xi_spec *spec, enum xi_dir dir,
		 enum xi_verdict verdict, uint32_t generation)
{
	xi_bed_flow_masked(bed, spec, dir, NULL, verdict, generation);
}

void xi_bed_role(struct xi_bed *bed, enum xi_role role)
{
	struct xi_port port = { .role = role, .slot = XI_BED_SLOT, .queues = 1,
				.packet_max = XI_PACKET_ONE };

	memcpy(port.mac, bed->mac, 6);
	bed_put(bed->skel->maps.ports, &bed->ifindex, &port);
}

/*
 * An AF_XDP socket with a receive ring: all that XSKMAP asks for. Nothing is ever delivered in a
 * test run.
 */
void xi_bed_worker(struct xi_bed *bed, bool there)
{
	uint32_t row = XI_BED_SLOT * XI_MAX_QUEUES;
	int size = 64;

	if (bed->xsk >= 0)
		close(bed->xsk);
	bed->xsk = -1;
	bpf_map_delete_elem(bpf_map__fd(bed->skel->maps.xsks), &row);
	if (!there)
		return;
	bed->xsk = socket(AF_XDP, SOCK_RAW | SOCK_CLOEXEC, 0);
	assert_return_code(bed->xsk, errno);
	assert_return_code(setsockopt(bed->xsk, SOL_XDP, XDP_RX_RING, &size, sizeof(size)), errno);
	bed_put(bed->skel->maps.xsks, &row, &bed->xsk);
}

void xi_bed_reset(struct xi_bed *bed)
{
	struct bpf_map *hashes[] = {
		bed->skel->maps.sad,	    bed->skel->maps.sad_lookup, bed->skel->maps.sa_cache,
		bed->skel->maps.flow_cache, bed->skel->maps.spd_guard,	bed->skel->maps.local_addrs,
		bed->skel->maps.ports,	    bed->skel->maps.miss_flow,	bed->skel->maps.encap_ports,
	};
	struct xi_guard_masks none = {};
	struct xi_config cfg = xi_bed_config();
	uint32_t zero = 0;

	for (unsigned int i = 0; i < sizeof(hashes) / sizeof(hashes[0]); i++)
		bed_clear(hashes[i]);
	bed_put(bed->skel->maps.spd_masks, &zero, &none);
	for (enum xi_dir dir = 0; dir < XI_DIR_MAX; dir++) {
		struct xi_flow_mask v4 = xi_flow_mask_whole(XI_IPV4);
		struct xi_flow_mask v6 = xi_flow_mask_whole(XI_IPV6);

		xi_bed_masks(bed, dir, XI_IPV4, &v4, 1);
		xi_bed_masks(bed, dir, XI_IPV6, &v6, 1);
	}
	bed_zero_array(bed->skel->maps.miss_sa);
	bed_zero_percpu(bed->skel->maps.stats, XI_REASON_MAX);
	bed_zero_percpu(bed->skel->maps.miss_bucket,
			bpf_map__max_entries(bed->skel->maps.miss_bucket));
	xi_bed_put_config(bed, &cfg);
	xi_bed_role(bed, XI_ROLE_CIPHER);
	xi_bed_worker(bed, true);
	xi_bed_local(bed, "192.0.2.1");
	xi_bed_local(bed, "2001:db8::1");
	xi_bed_local(bed, "10.1.0.1");
	xi_bed_guard(bed, 0, XI_OUT, "10.1.0.0/16", "10.2.0.0/16");
	xi_bed_guard(bed, 1, XI_IN, "10.2.0.0/16", "10.1.0.0/16");
	xi_bed_guard(bed, 2, XI_OUT, "fd01::/32", "fd02::/32");
	xi_bed_guard(bed, 3, XI_IN, "fd02::/32", "fd01::/32");
}

uint64_t xi_bed_stat(const struct xi_bed *bed, uint32_t reason)
{
	int ncpus = libbpf_num_possible_cpus();
	uint64_t values[ncpus], sum = 0;

	assert_return_code(bpf_map_lookup_elem(bpf_map__fd(bed->skel->maps.stats), &reason, values),
			   errno);
	for (int i = 0; i < ncpus; i++)
		sum += values[i];
	return sum;
}

void xi_bed_stats(const struct xi_bed *bed, uint64_t stats[XI_REASON_MAX])
{
	for (uint32_t i = 0; i < XI_REASON_MAX; i++)
		stats[i] = xi_bed_stat(bed, i);
}

void xi_bed_run_xdp(struct xi_bed *bed, struct bpf_program *prog, const struct xi_frame *frame,
		    uint32_t meta_len, uint32_t repeat, struct xi_run *run)
{
	uint8_t in[XI_FRAME_MAX + 256];
	struct xdp_md ctx = {
		.data = meta_len,
		.data_end = meta_len + frame->len,
		.ingress_ifindex = bed->ifindex,
	};
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = in, .data_size_in = meta_len + frame->len,
		    .data_out = run->out, .data_size_out = sizeof(run->out), .ctx_in = &ctx,
		    .ctx_size_in = sizeof(ctx), .ctx_out = &ctx, .ctx_size_out = sizeof(ctx),
		    .repeat = repeat);

	memset(in, BED_META_BYTE, meta_len);
	memcpy(in + meta_len, frame->data, frame->len);
	assert_return_code(bpf_prog_test_run_opts(bpf_program__fd(prog), &opts), errno);
	run->verdict = opts.retval;
	run->meta_len = ctx.data - ctx.data_meta;
	run->len = ctx.data_end - ctx.data;
	run->ns = opts.duration;
}

void xi_bed_run_tc(struct xi_bed *bed, struct bpf_program *prog, const struct xi_frame *frame,
		   uint32_t repeat, struct xi_run *run)
{
	struct __sk_buff ctx = { .ifindex = bed->ifindex };
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = frame->data, .data_size_in = frame->len,
		    .data_out = run->out, .data_size_out = sizeof(run->out), .ctx_in = &ctx,
		    .ctx_size_in = sizeof(ctx), .repeat = repeat);

	assert_return_code(bpf_prog_test_run_opts(bpf_program__fd(prog), &opts), errno);
	run->verdict = opts.retval;
	run->meta_len = 0;
	run->len = opts.data_size_out;
	run->ns = opts.duration;
}

static bool case_verdict(const struct xi_case *c, const struct xi_run *run)
{
	if (run->verdict != c->verdict)
		print_error("%s: verdict %d, expected %d\n", c->name, run->verdict, c->verdict);
	return run->verdict == c->verdict;
}

static bool case_counts(const struct xi_bed *bed, const struct xi_case *c, bool stripped)
{
	uint64_t expected[XI_REASON_MAX] = {}, got[XI_REASON_MAX];
	bool ok = true;

	for (unsigned int i = 0; i < XI_CASE_REASONS; i++)
		expected[c->reasons[i]]++;
	expected[XI_META_STRIPPED] = stripped;
	xi_bed_stats(bed, got);
	for (unsigned int i = 1; i < XI_REASON_MAX; i++) {
		if (expected[i] == got[i])
			continue;
		print_error("%s: reason %u: %lu, expected %lu\n", c->name, i, (unsigned long)got[i],
			    (unsigned long)expected[i]);
		ok = false;
	}
	return ok;
}

/*
 * Packets that go on are never changed; metadata are ours or none. What is dropped may look as it
 * likes.
 */
static bool case_output(const struct xi_case *c, const struct xi_frame *frame,
			const struct xi_run *run)
{
	uint32_t want = c->meta.magic ? sizeof(c->meta) : 0;

	if (c->verdict == XDP_DROP)
		return true;
	if (run->meta_len != want || (want && memcmp(run->out, &c->meta, want))) {
		print_error("%s: %u bytes of metadata not as expected\n", c->name, run->meta_len);
		return false;
	}
	if (run->len != frame->len || memcmp(run->out + want, frame->data, frame->len)) {
		print_error("%s: packet was changed\n", c->name);
		return false;
	}
	return true;
}

const uint8_t xi_bed_origin[XI_ORIGIN_LEN] = { 2, XI_ORIGIN_ROUTED, [6] = 2, [7] = XI_ORIGIN_TAG };

void xi_bed_cases(struct xi_bed *bed, struct bpf_program *prog, enum xi_role role,
		  const struct xi_case *cases, unsigned int n, uint32_t meta_len)
{
	bool tc = bpf_program__type(prog) == BPF_PROG_TYPE_SCHED_CLS;
	static struct xi_frame frame;
	static struct xi_run run;
	unsigned int failed = 0;

	for (unsigned int i = 0; i < n; i++) {
		const struct xi_case *c = &cases[i];
		struct xi_spec spec = c->spec;

		xi_bed_reset(bed);
		xi_bed_role(bed, role);
		if (role == XI_ROLE_PLAIN && !spec.dmac)
			spec.dmac = bed->mac;
		if (role == XI_ROLE_HOST && !spec.dmac) {
			spec.dmac = xi_bed_origin;
			spec.smac = xi_bed_origin + 6;
		}
		if (c->arrange)
			c->arrange(bed, &spec);
		xi_frame_build(&frame, &spec);
		if (tc)
			xi_bed_run_tc(bed, prog, &frame, 1, &run);
		else
			xi_bed_run_xdp(bed, prog, &frame, meta_len, 1, &run);
		if (!case_verdict(c, &run) || !case_counts(bed, c, meta_len) ||
		    !case_output(c, &frame, &run))
			failed++;
	}
	assert_int_equal(failed, 0);
}
