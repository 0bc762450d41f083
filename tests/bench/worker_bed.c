/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "worker_bed.h"

#include <net/if.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <linux/xfrm.h>

#include "ipsec/bytes.h"
#include "mem_store.h"
#include "null_store.h"

#define PEER "192.0.2.2"
#define HOSTS 64                 /* behind this gateway */

struct bed bed;
const struct xi_engine *real_engine;

void die(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	fprintf(stderr, "worker: ");
	vfprintf(stderr, fmt, ap);
	fprintf(stderr, "\n");
	va_end(ap);
	exit(1);
}

static void run(const char *command)
{
	if (system(command))
		die("failed: %s", command);
}

static bool sink_send(struct xi_tx *tx, uint64_t addr, uint32_t len)
{
	bed.sent[bed.nsent++] = (struct xdp_desc){ .addr = addr, .len = len };
	return true;
}

static void sink_nothing(struct xi_tx *tx)
{
}

static const struct xi_tx_ops sink_ops = {
	.name = "sink", .send = sink_send, .flush = sink_nothing, .reap = sink_nothing };

static int bed_port(void *arg, uint32_t ifindex)
{
	uint32_t i;

	for (i = 0; i < XI_MAX_PORTS; i++)
		if (bed.port_of_slot[i] && bed.ports[i].ifindex == ifindex)
			return i;
	return -1;
}

static void bed_addrs(void *arg, const struct xi_addr *addrs, uint32_t n)
{
}

static void bed_sync(void *arg)
{
}

static void ports_open(void)
{
	static const char *const names[] = { [PLAIN_PORT] = "lan0", [CIPHER_PORT] = "wan0" };
	uint32_t i;

	bed.sink.ops = &sink_ops;
	for (i = PLAIN_PORT; i <= CIPHER_PORT; i++) {
		bed.ports[i].config.role = i == PLAIN_PORT ? XI_ROLE_PLAIN : XI_ROLE_CIPHER;
		bed.ports[i].ifindex = if_nametoindex(names[i]);
		bed.port_of_slot[i] = &bed.ports[i];
		bed.w->by_port[i] = &bed.sink;
	}
}

static void nexthop_await(const uint8_t addr[16])
{
	const struct xi_nexthop *nh;
	uint64_t end = clock_ns() + 5000000000;

	while (!(nh = xi_nexthop_find(bed.nexthops, addr, XI_IPV4, 0)) ||
	       nh->kind != XI_NEXTHOP_PORT) {
		if (clock_ns() > end)
			die("the kernel names no next hop");
		if (!nh)
			xi_nexthop_want(bed.nexthops, 0, addr, XI_IPV4, 0);
		event_base_loop(bed.base, EVLOOP_ONCE);
	}
}

static void nexthops_open(void)
{
	struct xi_nexthop_config config = {
		.nworkers = 1, .port = bed_port, .addrs = bed_addrs, .sync = bed_sync };
	uint8_t addr[16];
	uint32_t i;

	bed.base = config.base = event_base_new();
	if (!bed.base || xi_nexthops_create(&bed.nexthops, &config))
		die("cannot follow the kernel's next hops");
	for (i = 0; i < HOSTS; i++) {
		worker_local_addr(addr, i);
		nexthop_await(addr);
	}
	sample_addr(addr, PEER);
	nexthop_await(addr);
}

/* What comes in; handles in the metadata are the verdict for what goes out. */
static void policy_add(void)
{
	struct xi_sa sa = sample_sa("192.0.2.1", PEER, 0x1000);
	struct xi_policy policy = { .dir = XI_FWD, .priority = 100, .ntmpls = 1 };
	const char *why = "";

	policy.sel.family = XI_IPV4;
	sample_addr(policy.sel.saddr, "10.16.0.0");
	policy.sel.prefixlen_s = 12;
	sample_addr(policy.sel.daddr, "10.1.0.0");
	policy.sel.prefixlen_d = 16;
	policy.limits = sa.limits;
	policy.tmpls[0] = (struct xi_tmpl){ .id = sa.id, .mode = XI_TUNNEL, .reqid = 1,
					    .ealgos = ~0U, .aalgos = ~0U, .calgos = ~0U,
					    .family = XI_IPV4 };
	policy.tmpls[0].id.spi = 0;
	memcpy(policy.tmpls[0].saddr, sa.saddr, sizeof(sa.saddr));
	if (xi_spd_add(bed.spd, &policy, false, &why))
		die("policy: %s", why);
}

static void sa_add(uint32_t i)
{
	struct xi_sa sa = sample_sa("192.0.2.1", PEER, 0x1000 + i);
	struct xi_sa_key key = sample_key(i);
	const struct xi_sa_rec *rec;
	const char *why = "";

	sa.reqid = 1;
	sa.flags = XFRM_STATE_ESN;
	sa.replay_window = 64;
	if (xi_sad_add(bed.sad, &sa, &key, NULL, &why))
		die("SA %u: %s", i, why);
	rec = xi_sad_find(bed.sad, &sa.id);
	bed.handles[i] = rec->sa.sa_index;
	bed.slot_of[i] = XI_NO_SLOT;
	if (i < bed.opt.slots && xi_slots_fill(&bed.slots, rec, &bed.slot_of[i]))
		die("no context slot for SA %u", i);
}

/* The states lie as a map's do: shared, in small pages. */
static void store_open(void)
{
	size_t size = (bed.opt.sas + 1UL) * sizeof(struct xi_sa_state);

	bed.store = null_store_new(bed.opt.sas + 1)->store;
	bed.store.states = mmap(NULL, size, PROT_READ | PROT_WRITE,
				MAP_SHARED | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	if (bed.store.states == MAP_FAILED)
		die("out of memory");
	madvise(bed.store.states, size, MADV_NOHUGEPAGE);
}

void worker_sas_open(void)
{
	struct xi_sad_config config = { 0 };
	uint32_t i, *order = traffic_shuffle(bed.opt.sas);

	store_open();
	bed.handles = calloc(bed.opt.sas, sizeof(*bed.handles));
	bed.slot_of = calloc(bed.opt.sas, sizeof(*bed.slot_of));
	if (!order || !bed.handles || !bed.slot_of ||
	    xi_sad_create(&bed.sad, &config, &bed.store) ||
	    xi_spd_create(&bed.spd, bed.sad, &bed.store) ||
	    xi_slots_create(&bed.slots, real_engine, bed.opt.slots, 1))
		die("out of memory");
	for (i = 0; i < bed.opt.sas; i++)
		sa_add(order[i]);
	free(order);
	policy_add();
}

static void worker_open(void)
{
	struct xi_worker *w = aligned_alloc(64, (sizeof(*w) + 63) & ~63UL);
	size_t size = (size_t)bed.opt.frames * XI_FRAME_SIZE;

	memset(w, 0, sizeof(*w));
	bed.w = w;
	bed.engine = *real_engine;
	w->config.engine = &bed.engine;
	w->config.ports = bed.port_of_slot;
	w->config.nworkers = 1;
	w->slots = &bed.slots;
	w->counts = bed.counts;
	w->now = time(NULL);
	w->allowed = calloc(XI_ALLOWED, sizeof(*w->allowed));
	w->frames.n = bed.opt.frames;
	w->frames.free = calloc(bed.opt.frames, sizeof(*w->frames.free));
	w->frames.base = mmap(NULL, size, PROT_READ | PROT_WRITE,
			      MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	bed.sent = calloc(bed.opt.frames, sizeof(*bed.sent));
	bed.ntemplates = bed.opt.order == TRAFFIC_TURN ? bed.opt.frames : SEQUENCE;
	bed.template_size = (sizeof(struct template) + ETH + bed.opt.len + 128 + 63) & ~63UL;
	bed.templates = aligned_alloc(64, bed.ntemplates * bed.template_size);
	bed.sa_of = traffic_make(bed.opt.order, bed.opt.sas, bed.ntemplates);
	if (!w->allowed || !w->frames.free || w->frames.base == MAP_FAILED || !bed.sent ||
	    !bed.templates || !bed.sa_of || real_engine->create(&w->crypto, 0))
		die("out of memory");
	madvise(w->frames.base, size, MADV_NOHUGEPAGE);
}

void worker_local_addr(uint8_t addr[16], uint32_t i)
{
	memset(addr, 0, 16);
	xi_put32(addr, 0x0a010100 + i % HOSTS);
}

void worker_namespace_enter(void)
{
	if (unshare(CLONE_NEWNET))
		die("needs root, for a network namespace of its own");
	run("ip link add lan0 type veth peer name lan1");
	run("ip link add wan0 type veth peer name wan1");
	run("for d in lan0 lan1 wan0 wan1; do ip link set $d mtu 1600 up || exit; done");
	run("ip addr add 10.1.0.1/16 dev lan0 && ip addr add 192.0.2.1/24 dev wan0");
	run("for i in $(seq 0 63); do ip neigh add 10.1.1.$i lladdr 02:00:00:00:00:02 dev lan0 nud permanent || exit; done");
	run("ip neigh add " PEER " lladdr 02:00:00:00:00:03 dev wan0 nud permanent");
}

void worker_bed_open(void)
{
	worker_open();
	ports_open();
	nexthops_open();
	bed.w->config.sad = bed.sad;
	bed.w->config.spd = bed.spd;
	bed.w->config.nexthops = bed.nexthops;
}
