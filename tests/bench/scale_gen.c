/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Generator and sink of packets of many SAs. The ESP packet of each SA is made once, with OpenSSL; a run sends them in
 * an order drawn beforehand, with one long BPF_PROG_TEST_RUN call of live frames, and counts at the other side of the
 * gateway, meanwhile, what came through. Beside it a second stream, at a fixed rate, is told apart at the sink.
 *
 *   scale_gen LEFT RIGHT SAS SIZE        namespaces' paths, SAs (scale_sas.h), bytes of IP packet inside
 *
 * Reads commands, one a line, and answers each with one JSON object, or {"error": ...}:
 *
 *   run way=in|out dev=GATEWAY [flood=KIND[:ORDER:N[:PPS]]] [live=KIND:ORDER:N:PPS] [warm=MS] [time=MS] [drain=MS]
 *       [worker=THREADS] [control=THREADS] [hold=CPU]
 *
 *     way      in: from r-GATEWAY to l-GATEWAY; out: the other way
 *     KIND     esp, random-spi, bad-icv: of the SAs that ORDER names; foreign, clear, tuples, clear-live: in clear, no ORDER (scale_gen.h)
 *     ORDER    hot, zipf, uniform, scan over N SAs (scale_order.h); live, window: over the special ones. Each goes on where
 *              the last run left it
 *     PPS      packets a second; none: as many as it goes
 *     time     ms that count, after warm ms; 0: the answer has the total alone
 *     drain    ms without an arrival after the end: then the total is complete
 *     hold     the gateway's CPU: the same time again with half of it (gen_cpu.h)
 *
 *   {"seconds", "flood": {"sent", "got", "bytes"}, "live": ..., "cpu": {"worker", "control", "sender"}, "held": {... "hold"},
 *    "total": {"seconds", "flood", "live", "other", "wrong"}}
 *
 * cpu: seconds; the sender's are the generator's and the gateway's receive softirq, which on a veth runs in it.
 * wrong: packets, one in 61 that arrived in clear, that are not what was put into their ESP. CPUs are the caller's choice.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/if_link.h>
#include <linux/if_ether.h>
#include <net/if.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "gen_cpu.h"
#include "scale_gen.h"
#include "scale_order.h"
#include "scale_sas.h"
#include "scale_gen.skel.h"

#define ORDERS 24                /* different ones in the life of a process */
#define LINE 1024
#define PPS_MAX 10000000.0
#define BLOCKS (SCALE_DRAWS / SCALE_BLOCK)

static const uint8_t l_mac[] = { 2, 0, 0, 0, 1, 2 }, lan_mac[] = { 2, 0, 0, 0, 1, 1 };
static const uint8_t wan_mac[] = { 2, 0, 0, 0, 2, 1 }, r_mac[] = { 2, 0, 0, 0, 2, 2 };

struct order {
	char name[48];
	uint32_t *draws;
	uint32_t count, at;
};

struct tool {
	struct scale_gen_bpf *skel;
	const char *left, *right;
	uint32_t sas;
	struct scale_block *blocks;  /* of the map `order`: half of them a stream's */
	struct order orders[ORDERS], *used[2];
};

struct request {
	char way[8], dev[16], stream[2][96], worker[64], control[64];
	unsigned int warm, time, drain;
	int hold;
};

struct reading {
	double time, cpu[3];         /* worker, control, sender */
	uint64_t sent[2];
	struct scale_count got[SCALE_CLASSES];
};

struct sender {
	int fd, netns;
	char tid[16];
	atomic_int over, err, running;
};

static int enter(const char *netns)
{
	int fd = open(netns, O_RDONLY | O_CLOEXEC), err = 0;

	if (fd < 0 || setns(fd, CLONE_NEWNET))
		err = -errno;
	if (fd >= 0)
		close(fd);
	return err;
}

static void on_signal(int sig)
{
}

/* data_in is longer than any frame: only then does the kernel leave room to size each as wanted. */
static void *sender_main(void *arg)
{
	static unsigned char buffer[SCALE_FRAME_MAX + 64];
	struct sender *s = arg;
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = buffer, .data_size_in = sizeof(buffer), .repeat = 1 << 30,
		    .flags = BPF_F_TEST_XDP_LIVE_FRAMES, .batch_size = 64);

	snprintf(s->tid, sizeof(s->tid), "%d", gettid());
	s->running = 1;
	s->err = setns(s->netns, CLONE_NEWNET) ? -errno : bpf_prog_test_run_opts(s->fd, &opts);
	if (s->err == -EINTR)
		s->err = 0;
	s->over = 1;
	return NULL;
}

static int sender_start(const struct tool *t, struct sender *s, const char *netns, pthread_t *thread)
{
	int err;

	*s = (struct sender){ .fd = bpf_program__fd(t->skel->progs.scale_send), .netns = open(netns, O_RDONLY | O_CLOEXEC) };
	if (s->netns < 0)
		return -errno;
	err = -pthread_create(thread, NULL, sender_main, s);
	while (!err && !s->running)
		gen_sleep_ms(1);
	return err;
}

/* The signal may come before the call that it is to end. */
static int sender_stop(struct sender *s, pthread_t thread)
{
	while (!s->over) {
		pthread_kill(thread, SIGUSR1);
		gen_sleep_ms(1);
	}
	pthread_join(thread, NULL);
	close(s->netns);
	return s->err;
}

static void read_counts(const struct tool *t, struct scale_count *got)
{
	int cpus = libbpf_num_possible_cpus();
	struct scale_count each[cpus];

	for (__u32 class = 0; class < SCALE_CLASSES; class++) {
		got[class] = (struct scale_count){ 0 };
		if (bpf_map_lookup_elem(bpf_map__fd(t->skel->maps.counts), &class, each))
			continue;
		for (int i = 0; i < cpus; i++) {
			got[class].packets += each[i].packets;
			got[class].bytes += each[i].bytes;
		}
	}
}

static void read_all(const struct tool *t, const struct request *req, const char *sender, struct reading *r)
{
	r->time = now();
	for (int i = 0; i < 2; i++)
		r->sent[i] = *(volatile __u64 *)&t->skel->bss->streams[i].sent;
	read_counts(t, r->got);
	r->cpu[0] = gen_cpu_seconds(req->worker);
	r->cpu[1] = gen_cpu_seconds(req->control);
	r->cpu[2] = gen_cpu_seconds(sender);
}

static void print_streams(const struct reading *a, const struct reading *b)
{
	static const char *const names[] = { "flood", "live" };

	printf("\"seconds\": %.4f", b->time - a->time);
	for (int i = 0; i < 2; i++)
		printf(", \"%s\": {\"sent\": %llu, \"got\": %llu, \"bytes\": %llu}", names[i],
		       (unsigned long long)(b->sent[i] - a->sent[i]),
		       (unsigned long long)(b->got[i].packets - a->got[i].packets),
		       (unsigned long long)(b->got[i].bytes - a->got[i].bytes));
}

static void print_cpu(const struct reading *a, const struct reading *b)
{
	static const char *const names[] = { "worker", "control", "sender" };
	const char *sep = "";

	printf(", \"cpu\": {");
	for (int i = 0; i < 3; i++) {
		if (a->cpu[i] < 0 || b->cpu[i] < 0)
			continue;
		printf("%s\"%s\": %.5f", sep, names[i], b->cpu[i] - a->cpu[i]);
		sep = ", ";
	}
	printf("}");
}

static void measure(const struct tool *t, const struct request *req, const char *sender, struct reading *a,
		    struct reading *b)
{
	read_all(t, req, sender, a);
	gen_sleep_ms(req->time);
	read_all(t, req, sender, b);
}

static int measure_held(const struct tool *t, const struct request *req, const char *sender)
{
	struct gen_hold hold;
	struct reading a, b;
	int err = gen_hold_begin(&hold, req->hold);

	if (err)
		return err;
	measure(t, req, sender, &a, &b);
	printf(", \"held\": {");
	print_streams(&a, &b);
	print_cpu(&a, &b);
	printf(", \"hold\": %.2f}", gen_hold_end(&hold, b.time - a.time));
	return 0;
}

static uint64_t arrived(const struct reading *r)
{
	return r->got[SCALE_FLOOD].packets + r->got[SCALE_LIVE].packets;
}

/* The time stays what it was. */
static void drain(const struct tool *t, const struct request *req, struct reading *r)
{
	double end = r->time;

	for (uint64_t before = ~0ULL; req->drain && arrived(r) != before; read_all(t, req, NULL, r)) {
		before = arrived(r);
		gen_sleep_ms(req->drain);
	}
	r->time = end;
}

/* Sends, with the sink in place. */
static int send_and_measure(const struct tool *t, const struct request *req, const char *from)
{
	struct reading zero, a, b;
	struct sender sender;
	pthread_t thread;
	int err, stopped_err;

	read_all(t, req, NULL, &zero);
	err = sender_start(t, &sender, from, &thread);
	if (err)
		return err;
	gen_sleep_ms(req->warm);
	printf("{");
	measure(t, req, sender.tid, &a, &b);
	if (req->time) {
		print_streams(&a, &b);
		print_cpu(&a, &b);
	}
	if (req->time && req->hold >= 0)
		err = measure_held(t, req, sender.tid);
	stopped_err = sender_stop(&sender, thread);
	read_all(t, req, NULL, &b);
	drain(t, req, &b);
	printf("%s\"total\": {", req->time ? ", " : "");
	print_streams(&zero, &b);
	print_cpu(&zero, &b);
	printf(", \"other\": %llu, \"wrong\": %llu}}\n",
	       (unsigned long long)(b.got[SCALE_OTHER].packets - zero.got[SCALE_OTHER].packets),
	       (unsigned long long)t->skel->bss->wrong);
	return err ?: stopped_err;
}

static struct order *find_order(struct tool *t, const char *name, uint32_t n)
{
	struct order *o = t->orders;
	char full[sizeof(o->name)];
	int count;

	snprintf(full, sizeof(full), "%s:%u", name, n);
	for (; o < t->orders + ORDERS && o->draws; o++)
		if (!strcmp(o->name, full))
			return o;
	if (o == t->orders + ORDERS)
		return NULL;
	o->draws = malloc(SCALE_DRAWS * sizeof(*o->draws));
	if (!o->draws)
		return NULL;
	strcpy(o->name, full);
	count = -EINVAL;
	if (!strcmp(name, "live") || !strcmp(name, "window")) {
		uint32_t first = t->sas + (*name == 'l' ? 0 : SCALE_LIVE_SAS);

		count = scale_order("scan", *name == 'l' ? SCALE_LIVE_SAS : SCALE_WINDOW_SAS, o->draws);
		for (int i = 0; i < count; i++)
			o->draws[i] += first;
	} else if (n && n <= t->sas) {
		count = scale_order(name, n, o->draws);
	}
	if (count < 0) {
		free(o->draws);
		o->draws = NULL;
		return NULL;
	}
	o->count = count;
	return o;
}

static int kind_of(const char *name)
{
	static const char *const names[SCALE_KINDS] = {
		"-", "esp", "random-spi", "bad-icv", "foreign", "clear", "tuples", "clear-live",
	};

	for (int i = 1; i < SCALE_KINDS; i++)
		if (!strcmp(name, names[i]))
			return i;
	return -EINVAL;
}

/* KIND[:ORDER:N[:PPS]], or KIND:PPS of those without an order */
static int set_stream(struct tool *t, int which, char *text)
{
	struct scale_stream *s = &t->skel->bss->streams[which];
	char *save = NULL, *word = strtok_r(text, ":", &save), *name, *pps;
	struct order *o = NULL;
	int kind;

	*s = (struct scale_stream){ .sent = s->sent, .first = which * BLOCKS };
	t->used[which] = NULL;
	if (!word)
		return 0;
	kind = kind_of(word);
	if (kind < 0)
		return kind;
	if (kind < SCALE_FOREIGN) {
		name = strtok_r(NULL, ":", &save);
		word = strtok_r(NULL, ":", &save);
		o = name && word ? find_order(t, name, strtoul(word, NULL, 0)) : NULL;
		if (!o)
			return -EINVAL;
		memcpy(t->blocks + s->first, o->draws, o->count * sizeof(*o->draws));
		s->count = o->count;
		s->at = o->at;
		t->used[which] = o;
	}
	pps = strtok_r(NULL, ":", &save);
	if (pps && (atof(pps) <= 0 || atof(pps) > PPS_MAX))
		return -ERANGE;
	s->interval = pps ? 1e9 / atof(pps) : 0;
	s->kind = kind;
	return 0;
}

static int set_streams(struct tool *t, struct request *req)
{
	int err = 0;

	for (int i = 0; i < 2 && !err; i++)
		err = set_stream(t, i, req->stream[i]);
	t->skel->bss->timed = t->skel->bss->streams[0].interval || t->skel->bss->streams[1].interval;
	return err;
}

static void keep_orders(struct tool *t)
{
	for (int i = 0; i < 2; i++)
		if (t->used[i])
			t->used[i]->at = t->skel->bss->streams[i].at;
}

static void put_eth(uint8_t *to, bool in)
{
	memcpy(to, in ? wan_mac : lan_mac, ETH_ALEN);
	memcpy(to + ETH_ALEN, in ? r_mac : l_mac, ETH_ALEN);
	to[12] = ETH_P_IP >> 8;
	to[13] = ETH_P_IP & 0xff;
}

/* In clear and in: as foreign as what comes from the peer's own address. */
static int set_heads(const struct tool *t, bool in)
{
	int fd = bpf_map__fd(t->skel->maps.heads), err = 0;

	for (__u32 kind = SCALE_ESP; kind < SCALE_KINDS && !err; kind++) {
		uint32_t src = in ? SCALE_PEER : SCALE_HOST, dst = in ? SCALE_HOST : SCALE_PEER;
		uint8_t head[SCALE_CLEAR] = { 0 };

		put_eth(head, in);
		if (kind == SCALE_TUPLES || kind == SCALE_CLEAR_FLOOD)
			dst = SCALE_NET_FLOOD;
		if (kind == SCALE_CLEAR_LIVE)
			dst = SCALE_NET_LIVE | 1;
		if (kind < SCALE_FOREIGN)
			scale_ip(head + SCALE_ETH, SCALE_HEAD - SCALE_ETH + t->skel->rodata->body_len, IPPROTO_ESP,
				 SCALE_PEER, SCALE_GATEWAY);
		else
			scale_udp(head + SCALE_ETH, SCALE_CLEAR - SCALE_ETH, src, dst,
				  kind == SCALE_CLEAR_LIVE ? SCALE_PORT_LIVE : SCALE_PORT_FLOOD);
		err = bpf_map_update_elem(fd, &kind, head, BPF_ANY);
	}
	return err;
}

static int set_out(const struct tool *t, const char *netns, const char *dev)
{
	__u32 zero = 0, ifindex;
	int err = enter(netns);

	if (err)
		return err;
	ifindex = if_nametoindex(dev);
	return ifindex ? bpf_map_update_elem(bpf_map__fd(t->skel->maps.out), &zero, &ifindex, BPF_ANY) : -errno;
}

static int run_between(const struct tool *t, const struct request *req, const char *from, const char *to, char *to_dev)
{
	const __u32 flags = XDP_FLAGS_DRV_MODE;
	int ifindex, err = enter(to);

	if (err)
		return err;
	ifindex = if_nametoindex(to_dev);
	err = ifindex ? bpf_xdp_attach(ifindex, bpf_program__fd(t->skel->progs.scale_sink),
				       flags | XDP_FLAGS_UPDATE_IF_NOEXIST, NULL) : -errno;
	if (err)
		return err;
	err = send_and_measure(t, req, from);
	bpf_xdp_detach(ifindex, flags, NULL);
	return err;
}

static int run(struct tool *t, struct request *req)
{
	bool in = !strcmp(req->way, "in");
	const char *from = in ? t->right : t->left, *to = in ? t->left : t->right;
	char from_dev[24], to_dev[24];
	int err;

	snprintf(from_dev, sizeof(from_dev), "%c-%s", in ? 'r' : 'l', req->dev);
	snprintf(to_dev, sizeof(to_dev), "%c-%s", in ? 'l' : 'r', req->dev);
	err = set_heads(t, in);
	err = err ?: set_out(t, from, from_dev);
	err = err ?: set_streams(t, req);
	err = err ?: run_between(t, req, from, to, to_dev);
	keep_orders(t);
	return err;
}

static bool parse_word(struct request *req, const char *key, const char *value)
{
	struct {
		const char *key;
		char *to;
		size_t room;
	} texts[] = {
		{ "way", req->way, sizeof(req->way) }, { "dev", req->dev, sizeof(req->dev) },
		{ "flood", req->stream[SCALE_FLOOD], sizeof(req->stream[0]) },
		{ "live", req->stream[SCALE_LIVE], sizeof(req->stream[0]) },
		{ "worker", req->worker, sizeof(req->worker) }, { "control", req->control, sizeof(req->control) },
	};
	unsigned int *number = !strcmp(key, "warm") ? &req->warm : !strcmp(key, "time") ? &req->time :
			       !strcmp(key, "drain") ? &req->drain : NULL;

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		if (!strcmp(key, texts[i].key))
			return snprintf(texts[i].to, texts[i].room, "%s", value) < (int)texts[i].room;
	if (number)
		*number = strtoul(value, NULL, 0);
	else if (!strcmp(key, "hold"))
		req->hold = atoi(value);
	else
		return false;
	return true;
}

static bool parse(char *line, struct request *req)
{
	char *save = NULL, *word = strtok_r(line, " \n", &save);

	*req = (struct request){ .hold = -1 };
	if (!word || strcmp(word, "run"))
		return false;
	while ((word = strtok_r(NULL, " \n", &save))) {
		char *value = strchr(word, '=');

		if (!value)
			return false;
		*value++ = 0;
		if (!parse_word(req, word, value))
			return false;
	}
	return (!strcmp(req->way, "in") || !strcmp(req->way, "out")) && *req->dev;
}

static void *map_array(const struct bpf_map *map, size_t size)
{
	void *at = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, bpf_map__fd(map), 0);

	return at == MAP_FAILED ? NULL : at;
}

/* Whole cache lines an element: a packet touches no more of them than it must. */
static int make_packets(struct tool *t, uint32_t size, uint32_t stride)
{
	uint8_t *all = map_array(t->skel->maps.packets, (size_t)(t->sas + SCALE_SPECIALS) * stride);
	uint8_t *special = all + (size_t)t->sas * stride;
	int err;

	if (!all)
		return -errno;
	err = scale_seal(0, t->sas, size, SCALE_PORT_FLOOD, all, stride);
	err = err ?: scale_seal(SCALE_SPECIAL, SCALE_LIVE_SAS, size, SCALE_PORT_LIVE, special, stride);
	return err ?: scale_seal(SCALE_SPECIAL + SCALE_LIVE_SAS, SCALE_WINDOW_SAS, size, SCALE_PORT_FLOOD,
				 special + SCALE_LIVE_SAS * stride, stride);
}

static int prepare(struct tool *t, uint32_t size)
{
	uint32_t len = scale_esp_len(size), stride = (len + 63) & ~63U;
	int err;

	t->skel = scale_gen_bpf__open();
	if (!t->skel)
		return -errno;
	t->skel->rodata->body_len = len;
	err = bpf_map__set_value_size(t->skel->maps.packets, stride);
	err = err ?: bpf_map__set_max_entries(t->skel->maps.packets, t->sas + SCALE_SPECIALS);
	err = err ?: bpf_map__set_max_entries(t->skel->maps.order, 2 * BLOCKS);
	err = err ?: scale_gen_bpf__load(t->skel);
	if (err)
		return err;
	t->blocks = map_array(t->skel->maps.order, 2 * BLOCKS * sizeof(*t->blocks));
	return t->blocks ? make_packets(t, size, stride) : -errno;
}

static void serve(struct tool *t)
{
	struct request req;
	char line[LINE];

	puts("{\"ready\": true}");
	fflush(stdout);
	while (fgets(line, sizeof(line), stdin)) {
		int err = parse(line, &req) ? run(t, &req) : -EINVAL;

		if (err)
			printf("{\"error\": \"%s\"}\n", strerror(-err));
		fflush(stdout);
	}
}

int main(int argc, char **argv)
{
	struct sigaction act = { .sa_handler = on_signal };
	struct tool t = { 0 };
	uint32_t size;
	int err;

	t.sas = argc == 5 ? strtoul(argv[3], NULL, 0) : 0;
	size = t.sas ? strtoul(argv[4], NULL, 0) : 0;
	if (!t.sas || t.sas > SCALE_SPECIAL || size < 64 || SCALE_HEAD + scale_esp_len(size) > SCALE_FRAME_MAX - 320) {
		fputs("usage: scale_gen LEFT RIGHT SAS SIZE\n", stderr);
		return 2;
	}
	t.left = argv[1];
	t.right = argv[2];
	sigaction(SIGUSR1, &act, NULL);
	err = prepare(&t, size);
	if (err)
		fprintf(stderr, "scale_gen: %s\n", strerror(-err));
	else
		serve(&t);
	scale_gen_bpf__destroy(t.skel);
	return err ? 1 : 0;
}
