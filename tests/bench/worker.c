/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What a worker does with a packet between the AF_XDP receive ring and the transmit ring, by phase.
 *
 *   worker [-d out|in] [-l BYTES] [-s SAS] [-n SLOTS] [-o ORDER] [-f FRAMES] [-r ROUNDS] [-e ENGINE]
 *          [-c CPU[,CPU]]
 *
 * BYTES of the inner packet; FRAMES of 4096 bytes, gone through once a round; without -d, -l or -s
 * a table of both directions, 64 and 1408 bytes, 1 and 1000 SAs. SAD, SPD, context slots and next
 * hops are the daemon's own (the latter in a network namespace, so root), the transmit path only
 * writes descriptors down. Before each round the frames are written as XDP and the kernel would, by
 * a second thread on the second CPU of -c (0,1), so that their lines come from another core; with
 * one CPU, by the worker itself.
 *
 * ORDER is that in which packets are of SAs: turn, hot (64 of them at random), zipf (exponent 0.99),
 * uniform; without -o turn, with more than 1024 SAs each of the others. The SLOTS (1024) most popular
 * SAs have context slots, packets of the others go by the SLOW method; "slow" is their share. Traffic of
 * any order but turn repeats itself after SEQUENCE packets.
 *
 * Printed: nanoseconds a packet, minimum over all rounds and (median).
 *   take      metadata read, packet put into its batch
 *   prepare   SA, next hop, headers, jobs
 *   crypto    the engine
 *   finish    status, replay, policy, transmit ring
 */
#include <errno.h>
#include <event2/event.h>
#include <net/if.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sched.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <linux/xfrm.h>

#include "dataplane/batch.h"
#include "ipsec/bytes.h"
#include "mem_store.h"
#include "null_store.h"
#include "traffic.h"

#define PLAIN_PORT 1
#define CIPHER_PORT 2
#define XDP_ROOM 256             /* XDP_PACKET_HEADROOM: where a received frame begins */
#define PEER "192.0.2.2"
#define SAS_MAX 1048575
#define SLOTS 1024
#define SEQUENCE 131072
#define HOSTS 64                 /* behind this gateway */
#define ETH 14
#define DATA_MAX 1664

enum phase { TAKE, PREPARE, CRYPTO, FINISH, ALL, PHASES };

struct options {
	bool in;
	enum traffic order;
	uint32_t len, sas, slots, frames, rounds;
	const char *engine;
	int cpus[2];
};

/* A frame as it comes out of XDP. */
struct template {
	struct xi_meta meta;
	uint32_t len;
	uint8_t data[];
};

struct bed {
	struct options opt;
	struct xi_store store;
	struct xi_sad *sad;
	struct xi_spd *spd;
	struct xi_slots slots;
	struct event_base *base;
	struct xi_nexthops *nexthops;
	struct xi_port_dev ports[XI_MAX_PORTS];
	struct xi_port_dev *port_of_slot[XI_MAX_PORTS];
	struct xi_engine engine;     /* the real one, with clocks around seal and open */
	struct xi_worker *w;
	struct xi_tx sink;
	struct xdp_desc *sent;
	uint32_t nsent;
	uint32_t *handles, *slot_of; /* by popularity */
	uint8_t *templates;          /* one a packet */
	size_t template_size;
	uint32_t ntemplates;
	uint32_t *sa_of;             /* of each template */
	uint64_t counts[XI_REASON_MAX];
	atomic_uint filled, drained; /* rounds */
};

static struct bed bed;
static const struct xi_engine *real_engine;
static uint64_t crypto_from, crypto_to;

static void die(const char *fmt, ...)
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

static uint64_t clock_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

/* What one reading of the clock costs, to be taken off each phase. */
static double clock_cost(void)
{
	uint64_t from, took, best = UINT64_MAX;
	int i, k;

	for (i = 0; i < 1000; i++) {
		from = clock_ns();
		for (k = 0; k < 15; k++)
			clock_ns();
		took = clock_ns() - from;
		if (took < best)
			best = took;
	}
	return best / 16.0;
}

static void timed_seal(struct xi_crypto *c, struct xi_aead_job *jobs, unsigned int n)
{
	crypto_from = clock_ns();
	real_engine->seal(c, jobs, n);
	crypto_to = clock_ns();
}

static void timed_open(struct xi_crypto *c, struct xi_aead_job *jobs, unsigned int n)
{
	crypto_from = clock_ns();
	real_engine->open(c, jobs, n);
	crypto_to = clock_ns();
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

/* Host i behind the other gateway, which has an SA of its own. */
static void remote_addr(uint8_t addr[16], uint32_t i)
{
	memset(addr, 0, 16);
	xi_put32(addr, 0x0a100000 + i);
}

/* Behind this one. */
static void local_addr(uint8_t addr[16], uint32_t i)
{
	memset(addr, 0, 16);
	xi_put32(addr, 0x0a010100 + i % HOSTS);
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
		local_addr(addr, i);
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

/* In an order of memory that has nothing to do with popularity. */
static void sas_open(void)
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
	bed.engine.seal = timed_seal;
	bed.engine.open = timed_open;
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

/* UDP between host `sa` there and one here. */
static void inner_write(uint8_t *ip, uint32_t sa)
{
	uint8_t here[16], there[16];
	uint32_t i, sum = 0;

	memset(ip, 0, bed.opt.len);
	local_addr(here, sa);
	remote_addr(there, sa);
	ip[0] = 0x45;
	xi_put16(ip + 2, bed.opt.len);
	ip[8] = 64;
	ip[9] = IPPROTO_UDP;
	memcpy(ip + 12, bed.opt.in ? there : here, 4);
	memcpy(ip + 16, bed.opt.in ? here : there, 4);
	for (i = 0; i < 20; i += 2)
		sum += xi_get16(ip + i);
	sum = (sum & 0xffff) + (sum >> 16);
	xi_put16(ip + 10, ~(sum + (sum >> 16)));
	xi_put16(ip + 20, 1000);
	xi_put16(ip + 22, 2000);
	xi_put16(ip + 24, bed.opt.len - 20);
}

static void sa_context(struct xi_sa_ctx *ctx, uint32_t sa)
{
	const struct xi_sa_rec *rec = xi_sad_rec(bed.sad, bed.handles[sa]);

	if (xi_sa_ctx_init(ctx, &rec->sa, &rec->key, rec->state, rec->words, rec->nwords))
		die("SA %u is not carried", sa);
}

/* Seals a template's packet, for the other direction to open. */
static void template_seal(struct template *t, uint32_t sa)
{
	uint8_t buf[256 + DATA_MAX + 256];
	struct xi_pkt pkt = { .data = buf + 256, .len = bed.opt.len, .headroom = 256,
			      .tailroom = DATA_MAX };
	struct xi_sa_ctx ctx;
	struct xi_frame frame;
	struct xi_aead_job job;
	enum xi_reason why;
	uint64_t seq;

	sa_context(&ctx, sa);
	memcpy(pkt.data, t->data + ETH, pkt.len);
	if (xi_seq_take(&ctx, 1, &seq, &why) != 1 ||
	    xi_esp_frame(&ctx, seq, UINT32_MAX, &pkt, &frame))
		die("cannot make an ESP packet");
	xi_esp_out_job(&ctx, &frame, &job);
	real_engine->seal(bed.w->crypto, &job, 1);
	memcpy(t->data + ETH, pkt.data, pkt.len);
	t->len = ETH + pkt.len;
}

static struct template *template_of(uint32_t packet)
{
	return (void *)(bed.templates + packet % bed.ntemplates * bed.template_size);
}

static void templates_make(void)
{
	uint32_t i, sa;

	for (i = 0; i < bed.ntemplates; i++) {
		struct template *t = template_of(i);

		sa = bed.sa_of[i];
		memset(t, 0, bed.template_size);
		inner_write(t->data + ETH, sa);
		t->len = ETH + bed.opt.len;
		t->meta = (struct xi_meta){
			.magic = XI_META_MAGIC,
			.handle = bed.handles[sa],
			.slot = bed.slot_of[sa],
			.dir = bed.opt.in ? XI_IN : XI_OUT,
			.l3_offset = ETH,
			.port = bed.opt.in ? CIPHER_PORT : PLAIN_PORT,
		};
		if (bed.opt.in)
			template_seal(t, sa);
	}
}

/* For round number `round`, from 1. */
static void frames_fill(unsigned int round)
{
	uint32_t i;

	for (i = 0; i < bed.opt.frames; i++) {
		const struct template *t = template_of((round - 1) * bed.opt.frames + i);
		uint8_t *data = bed.w->frames.base + (size_t)i * XI_FRAME_SIZE + XDP_ROOM;

		memcpy(data - sizeof(t->meta), &t->meta, sizeof(t->meta));
		memcpy(data, t->data, t->len);
	}
}

static void cpu_set(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	if (cpu >= 0 && sched_setaffinity(0, sizeof(set), &set))
		die("cannot run on CPU %d", cpu);
}

static void *filler_main(void *arg)
{
	unsigned int round;

	cpu_set(bed.opt.cpus[1]);
	for (round = 1; round <= bed.opt.rounds; round++) {
		frames_fill(round);
		atomic_store(&bed.filled, round);
		while (atomic_load(&bed.drained) < round)
			sched_yield();
	}
	return NULL;
}

/* The same packets come again: forget that they came. */
static void windows_reset(void)
{
	uint32_t i;

	for (i = 0; i < bed.ntemplates; i++) {
		uint32_t slot = XI_SA_SLOT(bed.handles[bed.sa_of[i]]);

		bed.store.states[slot].top = 0;
		memset(bed.store.states[slot].words, 0, sizeof(bed.store.states[slot].words));
	}
}

/* As worker_receive() does it. */
static void batch_run(unsigned int round, uint32_t first, uint64_t ns[PHASES])
{
	struct xi_worker *w = bed.w;
	uint64_t addr = (uint64_t)first * XI_FRAME_SIZE + XDP_ROOM;
	uint64_t from, taken, to;
	uint32_t i, lens[XI_BATCH];

	for (i = 0; i < XI_BATCH; i++)
		lens[i] = template_of((round - 1) * bed.opt.frames + first + i)->len;
	from = clock_ns();
	for (i = 0; i < XI_BATCH; i++)
		xi_batch_prefetch(w, addr + i * XI_FRAME_SIZE);
	for (i = 0; i < XI_BATCH; i++)
		xi_batch_take(w, addr + i * XI_FRAME_SIZE, lens[i]);
	xi_batch_prefetch_contexts(w);
	taken = clock_ns();
	if (w->nin)
		xi_batch_in(w);
	if (w->nout)
		xi_batch_out(w);
	to = clock_ns();
	ns[TAKE] += taken - from;
	ns[PREPARE] += crypto_from - taken;
	ns[CRYPTO] += crypto_to - crypto_from;
	ns[FINISH] += to - crypto_to;
}

static void round_run(unsigned int round, double clock, double ns[PHASES])
{
	uint64_t sums[PHASES] = { 0 };
	uint32_t first, p;

	bed.nsent = 0;
	if (bed.opt.in && !((round - 1) * bed.opt.frames % bed.ntemplates))
		windows_reset();
	if (bed.opt.cpus[1] < 0)
		frames_fill(round);
	while (bed.opt.cpus[1] >= 0 && atomic_load(&bed.filled) < round)
		sched_yield();
	for (first = 0; first < bed.opt.frames; first += XI_BATCH)
		batch_run(round, first, sums);
	atomic_store(&bed.drained, round);
	if (bed.nsent != bed.opt.frames)
		die("%u of %u packets came through", bed.nsent, bed.opt.frames);
	ns[ALL] = 0;
	for (p = 0; p < ALL; p++) {
		ns[p] = (double)sums[p] / bed.opt.frames - clock / XI_BATCH;
		ns[ALL] += ns[p];
	}
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static void report(double (*ns)[PHASES])
{
	double *column = calloc(bed.opt.rounds, sizeof(*column));
	uint64_t slow = bed.counts[XI_SLOW_IN] + bed.counts[XI_SLOW_OUT];
	uint64_t all = slow + bed.counts[XI_FAST_IN] + bed.counts[XI_FAST_OUT];
	uint32_t i, p;

	printf("%-4s %5u %7u %-7s %3.0f%%", bed.opt.in ? "in" : "out", bed.opt.len, bed.opt.sas,
	       traffic_names[bed.opt.order], 100.0 * slow / all);
	for (p = 0; p < PHASES; p++) {
		for (i = 0; i < bed.opt.rounds; i++)
			column[i] = ns[i][p];
		qsort(column, bed.opt.rounds, sizeof(*column), by_value);
		printf("  %6.1f (%6.1f)", column[0], column[bed.opt.rounds / 2]);
	}
	printf("\n");
	free(column);
}

/* A fork leaves out what is shared: each page would be missed once while the clock runs. */
static void states_touch(void)
{
	uint32_t i;

	for (i = 0; i < bed.store.nstates; i++)
		__atomic_fetch_add(&bed.store.states[i].packets, 0, __ATOMIC_RELAXED);
}

static void measure(const struct options *opt)
{
	double clock = clock_cost(), (*ns)[PHASES] = calloc(opt->rounds, sizeof(*ns));
	pthread_t filler;
	uint32_t i;

	bed.opt = *opt;
	states_touch();
	worker_open();
	ports_open();
	nexthops_open();
	bed.w->config.sad = bed.sad;
	bed.w->config.spd = bed.spd;
	bed.w->config.nexthops = bed.nexthops;
	templates_make();
	cpu_set(opt->cpus[0]);
	if (opt->cpus[1] >= 0 && pthread_create(&filler, NULL, filler_main, NULL))
		die("no second thread");
	for (i = 0; i < opt->rounds; i++)
		round_run(i + 1, clock, ns[i]);
	if (opt->cpus[1] >= 0)
		pthread_join(filler, NULL);
	report(ns);
	free(ns);
}

/* In a process of its own, which leaves nothing behind. */
static void apart(void (*fn)(const struct options *opt), const struct options *opt)
{
	pid_t pid;
	int status;

	fflush(stdout);
	pid = fork();
	if (!pid) {
		fn(opt);
		exit(0);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid || status)
		exit(1);
}

static const int *dirs = (const int[]){ 0, 1, -1 };
static const int *lens = (const int[]){ 64, 1408, -1 };
static const int *sas = (const int[]){ 1, 1000, -1 };
static const int *orders;        /* NULL: as the number of SAs says */

/* One set of SAs. The records of a million are made once, and shared by the measurements. */
static void measure_sas(const struct options *given)
{
	static const int few[] = { TRAFFIC_TURN, -1 };
	static const int many[] = { TRAFFIC_HOT_SET, TRAFFIC_ZIPF, TRAFFIC_UNIFORM, -1 };
	struct options opt = *given;
	const int *d, *l, *o;

	bed.opt = opt;
	sas_open();
	for (d = dirs; *d >= 0; d++)
		for (l = lens; *l >= 0; l++)
			for (o = orders ? orders : opt.sas > SLOTS ? many : few; *o >= 0; o++) {
				opt.in = *d;
				opt.len = *l;
				opt.order = *o;
				apart(measure, &opt);
			}
}

static void namespace_enter(void)
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

static uint32_t number(const char *text, uint32_t min, uint32_t max)
{
	unsigned long n = strtoul(text, NULL, 10);

	if (n < min || n > max)
		die("%s: %u to %u are possible", text, min, max);
	return n;
}

static const int *one(int value)
{
	int *list = malloc(2 * sizeof(*list));

	if (!list)
		die("out of memory");
	list[0] = value;
	list[1] = -1;
	return list;
}

static void options_parse(struct options *opt, int argc, char **argv)
{
	int c;

	while ((c = getopt(argc, argv, "d:l:s:n:o:f:r:e:c:")) != -1) {
		switch (c) {
		case 'd':
			dirs = one(!strcmp(optarg, "in"));
			break;
		case 'l':
			lens = one(number(optarg, 28, 1500));
			break;
		case 's':
			sas = one(number(optarg, 1, SAS_MAX));
			break;
		case 'n':
			opt->slots = number(optarg, 1, SAS_MAX);
			break;
		case 'o':
			if (traffic_find(optarg) == TRAFFIC_MAX)
				die("%s: no such order", optarg);
			orders = one(traffic_find(optarg));
			break;
		case 'f':
			opt->frames = number(optarg, XI_BATCH, 65536) & ~(XI_BATCH - 1U);
			break;
		case 'r':
			opt->rounds = number(optarg, 1, 1000000);
			break;
		case 'e':
			opt->engine = optarg;
			break;
		case 'c':
			opt->cpus[1] = -1;
			if (sscanf(optarg, "%d,%d", &opt->cpus[0], &opt->cpus[1]) < 1)
				die("%s: no CPU", optarg);
			break;
		default:
			die("usage: worker [-d out|in] [-l BYTES] [-s SAS] [-n SLOTS] [-o turn|hot|zipf|uniform] [-f FRAMES] [-r ROUNDS] [-e ENGINE] [-c CPU[,CPU]]");
		}
	}
}

int main(int argc, char **argv)
{
	struct options opt = { .frames = 1024, .rounds = 400, .slots = SLOTS, .engine = "auto",
			       .cpus = { 1, 0 } };
	const int *s;

	options_parse(&opt, argc, argv);
	real_engine = xi_engine_find(opt.engine);
	if (!real_engine)
		die("%s: no such engine on this CPU", opt.engine);
	namespace_enter();
	printf("%s, ns a packet, minimum and (median) of %u rounds of %u packets\n"
	       "dir  bytes     SAs order   slow  %15s  %15s  %15s  %15s  %15s\n", real_engine->name,
	       opt.rounds, opt.frames, "take", "prepare", "crypto", "finish", "all");
	for (s = sas; *s >= 0; s++) {
		opt.sas = *s;
		apart(measure_sas, &opt);
	}
	return 0;
}
