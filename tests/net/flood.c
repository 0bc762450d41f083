/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A flood of packets through a gateway, every one of which is different and is compared, byte for byte, when it
 * comes out.
 *
 *   flood --from NETNS:DEV --to NETNS:DEV --mac GATEWAY-MAC --src ADDRESS --dst ADDRESS [...] [OPTION...]
 *
 *     --from, --to          a namespace's path and a device in it; --to may be left out: nothing is received
 *     --dst                 up to 8 times: flow number i goes to destination i modulo their number
 *     --sizes MIN-MAX[,N...]  bytes of IP packet; every eighth packet has one of the sizes N (60-1400)
 *     --flows N             UDP source ports (1)
 *     --in SPI,KEY,SRC,DST  up to 8 times: the receiver expects ESP, AES-GCM, and opens it with OpenSSL
 *     --out SPI,KEY,SRC,DST[,SEQ]  the sender seals with OpenSSL, from the sequence number after SEQ on
 *     --count N, --seconds S  the end, whichever is first; SIGTERM is one too (10 s)
 *     --pps N               not more a second; --window N: not more on their way at once (1024, 0: any number).
 *                           What has not arrived for --patience MS (50) is not on its way any more
 *     --first N             number of the first packet: what goes out with a later run is told from this one
 *     --mix                 single packets, small batches and floods by turns
 *     --park DEV            for each sender, in the same namespace: a device that has its program attached, which
 *                           spares each call 24 ms; the first one's is the sending device itself
 *     --pin                 a CPU of its own for each sender, so that they reach different queues
 *     --spoil DEV,DEV       XDP on the receiving device takes every third packet away, after it has moved its ends
 *                           and written over its bytes: the sender's recycled frames come back so. Some are
 *                           redirected to the first DEV, a veth whose other end, the second, drops them
 *     --status FILE         the counts of the moment, as at the end
 *
 * Prints one JSON object: checked (right in every byte, first time), wrong, duplicates (ESP sequence or packet
 * number seen before), out_of_order (sequence number below the last one of its SPI), overtaken (packet number
 * below the last one of its flow), clear (cleartext where ESP is due), spoiled, lost (none of these), ring_lost
 * (of them, by the receiver itself), foreign (not the flood's), sa (sequence numbers seen), seq (last one that
 * --out used). Ends with 0 unless it cannot run.
 */
#include "flood.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <net/if.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define TICK_MS 20
#define DRAIN_MS 500             /* without an arrival: nothing comes any more */

double flood_now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec + ts.tv_nsec / 1e9;
}

void flood_pause(long us)
{
	struct timespec ts = { 0, us * 1000 };

	nanosleep(&ts, NULL);
}

uint64_t flood_spoiled(const struct flood *f)
{
	const uint64_t *n = __atomic_load_n(&f->spoiled, __ATOMIC_ACQUIRE);

	return n ? __atomic_load_n(n, __ATOMIC_RELAXED) : 0;
}

int flood_enter(const struct flood_end *end, unsigned int *ifindex)
{
	int fd = open(end->netns, O_RDONLY | O_CLOEXEC), err = 0;

	if (fd < 0 || setns(fd, CLONE_NEWNET))
		err = -errno;
	if (fd >= 0)
		close(fd);
	if (err) {
		fprintf(stderr, "flood: %s: %s\n", end->netns, strerror(-err));
		return err;
	}
	*ifindex = if_nametoindex(end->dev);
	if (!*ifindex)
		fprintf(stderr, "flood: %s: no such device in %s\n", end->dev, end->netns);
	return *ifindex ? 0 : -ENODEV;
}

static bool parse_addr(const char *text, struct flood_addr *out)
{
	out->family = strchr(text, ':') ? AF_INET6 : AF_INET;
	return inet_pton(out->family, text, out->bytes) == 1;
}

static bool parse_mac(const char *text, uint8_t *out)
{
	return sscanf(text, "%hhx:%hhx:%hhx:%hhx:%hhx:%hhx", &out[0], &out[1], &out[2], &out[3], &out[4], &out[5]) == 6;
}

static bool parse_end(char *text, struct flood_end *out)
{
	char *dev = strrchr(text, ':');

	if (!dev)
		return false;
	*dev++ = 0;
	snprintf(out->netns, sizeof(out->netns), "%s", text);
	snprintf(out->dev, sizeof(out->dev), "%s", dev);
	return true;
}

static bool parse_hole(char *text, struct flood *f)
{
	char *far = strchr(text, ',');

	if (!far || !*f->to.dev)
		return false;
	*far++ = 0;
	f->hole[0] = f->hole[1] = f->to;
	snprintf(f->hole[0].dev, sizeof(f->hole[0].dev), "%s", text);
	snprintf(f->hole[1].dev, sizeof(f->hole[1].dev), "%s", far);
	return true;
}

static bool parse_size(const char *text, uint32_t *out)
{
	*out = atoi(text);
	return *out <= FLOOD_FRAME_MAX - 128;
}

static bool parse_sizes(char *text, struct flood_plan *plan)
{
	char *word = strtok(text, ","), *dash = word ? strchr(word, '-') : NULL;

	if (!dash || !parse_size(word, &plan->size_min) || !parse_size(dash + 1, &plan->size_max) ||
	    plan->size_max < plan->size_min)
		return false;
	while ((word = strtok(NULL, ",")))
		if (plan->nedges == FLOOD_EDGES || !parse_size(word, &plan->edges[plan->nedges++]))
			return false;
	return true;
}

static int parse_key(const char *hex, uint8_t *key, unsigned int room)
{
	unsigned int n;

	if (!strncmp(hex, "0x", 2))
		hex += 2;
	for (n = 0; n < room && hex[2 * n]; n++)
		if (sscanf(hex + 2 * n, "%2hhx", &key[n]) != 1)
			return 0;
	return (int)n;
}

static bool parse_sa(char *text, struct flood_sa *sa, bool seal)
{
	char *spi = strtok(text, ","), *key = strtok(NULL, ","), *src = strtok(NULL, ","), *dst = strtok(NULL, ",");
	char *seq = strtok(NULL, ",");
	uint8_t bytes[36];

	if (!dst)
		return false;
	sa->spi = strtoul(spi, NULL, 0);
	sa->seq = seq ? strtoul(seq, NULL, 0) : 0;
	sa->seen = seal ? NULL : calloc(FLOOD_NUMBERS / 8, 1);
	return sa->spi && (seal || sa->seen) && parse_addr(src, &sa->src) && parse_addr(dst, &sa->dst) &&
	       !flood_sa_key(sa, bytes, parse_key(key, bytes, sizeof(bytes)), seal);
}

enum { FROM, TO, MAC, SRC, DST, SIZES, FLOWS, IN, OUT, COUNT, SECONDS, PPS, WINDOW, PATIENCE, FIRST, PARK, STATUS,
	MIX, PIN, SPOIL };
static const struct option options[] = {
	{ "from", 1, NULL, FROM }, { "to", 1, NULL, TO }, { "mac", 1, NULL, MAC }, { "src", 1, NULL, SRC },
	{ "dst", 1, NULL, DST }, { "sizes", 1, NULL, SIZES }, { "flows", 1, NULL, FLOWS }, { "in", 1, NULL, IN },
	{ "out", 1, NULL, OUT }, { "count", 1, NULL, COUNT }, { "seconds", 1, NULL, SECONDS },
	{ "pps", 1, NULL, PPS }, { "window", 1, NULL, WINDOW }, { "patience", 1, NULL, PATIENCE },
	{ "first", 1, NULL, FIRST }, { "park", 1, NULL, PARK }, { "status", 1, NULL, STATUS },
	{ "mix", 0, NULL, MIX }, { "pin", 0, NULL, PIN }, { "spoil", 1, NULL, SPOIL }, { NULL, 0, NULL, 0 },
};

static bool parse_option(struct flood *f, int option)
{
	struct flood_plan *plan = &f->plan;

	switch (option) {
	case FROM: return parse_end(optarg, &f->from);
	case TO: return parse_end(optarg, &f->to);
	case MAC: return parse_mac(optarg, f->eth_dst);
	case SRC: return parse_addr(optarg, &plan->src);
	case DST: return plan->ndst < FLOOD_DSTS && parse_addr(optarg, &plan->dst[plan->ndst++]);
	case SIZES: return parse_sizes(optarg, plan);
	case FLOWS: return (plan->flows = atoi(optarg)) > 0 && plan->flows <= FLOOD_FLOWS;
	case IN: return f->nin < FLOOD_SAS && parse_sa(optarg, &f->in[f->nin++], false);
	case OUT: return parse_sa(optarg, &f->out, true);
	case COUNT: return (f->count = strtoull(optarg, NULL, 0)) > 0;
	case SECONDS: return (f->seconds = atof(optarg)) > 0;
	case PPS: return (f->pps = atof(optarg)) > 0;
	case WINDOW: f->window = atoi(optarg); return true;
	case PATIENCE: return (f->patience_ms = atoi(optarg)) > 0;
	case FIRST: f->first = strtoul(optarg, NULL, 0); return f->first < FLOOD_NUMBERS;
	case PARK: return f->npark < FLOOD_SENDERS && (f->park[f->npark++] = optarg);
	case STATUS: f->status = optarg; return true;
	case MIX: return f->mix = true;
	case PIN: return f->pin = true;
	case SPOIL: return (f->spoil = parse_hole(optarg, f));
	}
	return false;
}

static bool parse(struct flood *f, int argc, char **argv)
{
	int option;

	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1)
		if (!parse_option(f, option)) {
			fprintf(stderr, "flood: argument %d is wrong: %s\n", optind - 1, argv[optind - 1]);
			return false;
		}
	if (!f->npark)
		f->park[f->npark++] = f->from.dev;
	f->senders = f->npark;
	/* a flow belongs to one sender, and one sender counts an SA's sequence numbers */
	if (optind != argc || !f->plan.ndst || !f->plan.src.family || !*f->from.dev ||
	    f->plan.flows % f->senders || (f->out.ctx && f->senders > 1) ||
	    f->plan.size_min < (f->plan.src.family == AF_INET6 ? 64 : 44)) {
		fputs("flood: see the head of tests/net/flood.c for its options\n", stderr);
		return false;
	}
	return true;
}

static void print_counts(struct flood *f, FILE *out, double seconds)
{
	uint64_t sent = f->sent, checked = f->checked, spoiled = flood_spoiled(f);
	uint64_t there = checked + f->wrong + f->duplicates + f->clear + spoiled;
	unsigned int i;

	fprintf(out, "{\"sent\": %lu, \"checked\": %lu, \"wrong\": %lu, \"duplicates\": %lu, \"out_of_order\": %lu, "
		"\"overtaken\": %lu, \"clear\": %lu, \"spoiled\": %lu, \"lost\": %lu, \"ring_lost\": %lu, \"foreign\": %lu, "
		"\"seconds\": %.3f, \"pps\": %.0f, \"first_wrong\": \"%s\", \"first_foreign\": \"%s\", \"sa\": [",
		sent, checked, f->wrong, f->duplicates, f->out_of_order, f->overtaken, f->clear, spoiled,
		sent > there ? sent - there : 0, f->ring_lost, f->foreign, seconds, checked / seconds, f->first_wrong,
		f->first_foreign);
	for (i = 0; i < f->nin; i++)
		fprintf(out, "%s{\"spi\": %u, \"lowest\": %u, \"highest\": %u}", i ? ", " : "", f->in[i].spi, f->in[i].lowest,
			f->in[i].highest);
	fprintf(out, "], \"seq\": %u}\n", f->out.seq);
}

static void write_status(struct flood *f, double seconds)
{
	char tmp[256];
	FILE *out;

	if (!f->status)
		return;
	snprintf(tmp, sizeof(tmp), "%s.tmp", f->status);
	out = fopen(tmp, "we");
	if (!out)
		return;
	print_counts(f, out, seconds);
	fclose(out);
	rename(tmp, f->status);
}

/* Whether SIGTERM or SIGINT came, which all threads have blocked, within a tick. */
static bool tick(const sigset_t *set)
{
	struct timespec ts = { 0, TICK_MS * 1000000 };

	return sigtimedwait(set, NULL, &ts) > 0;
}

static void drain(struct flood *f, const sigset_t *set)
{
	uint64_t there = 0, now;
	int quiet = 0;

	while (quiet < DRAIN_MS) {
		now = f->checked + f->wrong + f->duplicates + flood_spoiled(f);
		if (now >= f->sent)
			quiet += DRAIN_MS / 5;  /* whatever comes now is a duplicate */
		quiet = now == there ? quiet + TICK_MS : 0;
		there = now;
		tick(set);
	}
}

static int device_mac(struct flood *f)
{
	struct ifreq ifr = { 0 };
	unsigned int ifindex;
	int err = flood_enter(&f->from, &ifindex), fd;

	if (err)
		return err;
	fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	memcpy(ifr.ifr_name, f->from.dev, sizeof(ifr.ifr_name));
	err = fd < 0 || ioctl(fd, SIOCGIFHWADDR, &ifr) ? -errno : 0;
	if (fd >= 0)
		close(fd);
	memcpy(f->eth_src, ifr.ifr_hwaddr.sa_data, 6);
	return err;
}

static double run(struct flood *f, const sigset_t *set)
{
	struct flood_sender which[FLOOD_SENDERS];
	pthread_t senders[FLOOD_SENDERS], receiver;
	bool receives = *f->to.dev;
	double start, took;
	unsigned int i;

	f->running = 1;
	if (receives && !pthread_create(&receiver, NULL, flood_receiver_main, f))
		while (f->running)
			tick(set);
	if (f->failed)
		f->senders = 0;
	f->running = f->senders;
	start = flood_now();
	for (i = 0; i < f->senders; i++) {
		which[i] = (struct flood_sender){ f, i };
		pthread_create(&senders[i], NULL, flood_sender_main, &which[i]);
	}
	while (f->running) {
		if (tick(set) || flood_now() - start > f->seconds)
			f->stop = true;
		write_status(f, flood_now() - start);
	}
	for (i = 0; i < f->senders; i++)
		pthread_join(senders[i], NULL);
	took = flood_now() - start;
	if (receives && !f->failed)
		drain(f, set);
	f->drained = true;
	if (receives)
		pthread_join(receiver, NULL);
	return took;
}

int main(int argc, char **argv)
{
	static struct flood f = {
		.plan = { .flows = 1, .size_min = 64, .size_max = 1400 },
		.seconds = 10, .window = 1024, .patience_ms = 50,
	};
	sigset_t set;
	double took;
	int err;

	if (!parse(&f, argc, argv))
		return 2;
	err = device_mac(&f);
	if (err)
		return 1;
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigprocmask(SIG_BLOCK, &set, NULL);
	took = run(&f, &set);
	if (f.failed) {
		fprintf(stderr, "flood: %s\n", strerror(-f.failed));
		return 1;
	}
	write_status(&f, took);
	print_counts(&f, stdout, took);
	return 0;
}
