/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * How long a gateway takes for a packet at light load.
 *
 *   latency SEND-NETNS RECEIVE-NETNS FRAME.pcap COUNT INTERVAL-US NAME:DEV:OUT|NAME:CPU...
 *
 * Sends the capture's first frame out of DEV, one each interval, and takes the time until an IPv4
 * packet comes out of the gateway at OUT; COUNT packets for each NAME, in blocks that go around
 * all of them. One thread does both: it waits for one packet before it sends the next. Times are
 * those before send() and after the recv() that had the packet, so the kernel's way through both
 * sockets is in them, and a comparison takes it out. NAME:CPU is no gateway: a thread on that CPU,
 * asleep in poll(), is woken by an eventfd, and the time is from before the write() until it runs.
 * Prints a JSON object, times in us.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <arpa/inet.h>
#include <time.h>
#include <unistd.h>

#define BLOCK 250
#define PCAP_HEADER 24
#define PCAP_RECORD 16
#define LOST_NS 50000000
#define SPIN_NS 100000
#define NS_PER_S 1000000000LL

struct path {
	char *name, *dev, *out;
	int tx, rx;                  /* of a CPU, tx is the eventfd */
	_Atomic(long long) woken;    /* a CPU's: when its thread last ran */
	pthread_t thread;
	int count, lost;
	long long *ns;
};

static unsigned char frame[2048];
static size_t frame_len;

static long long now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * NS_PER_S + ts.tv_nsec;
}

/* Sleeps, but is awake when the time comes: waking up is not what is measured. */
static void wait_until(long long ns)
{
	struct timespec ts = { (ns - SPIN_NS) / NS_PER_S, (ns - SPIN_NS) % NS_PER_S };

	clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &ts, NULL);
	while (now_ns() < ns)
		;
}

static int read_frame(const char *path)
{
	unsigned char head[PCAP_HEADER + PCAP_RECORD];
	FILE *f = fopen(path, "re");
	unsigned int len;
	int err = -EINVAL;

	if (!f)
		return -errno;
	if (fread(head, sizeof(head), 1, f) != 1)
		goto out;
	memcpy(&len, head + PCAP_HEADER + 8, sizeof(len));
	if (len > sizeof(frame) || fread(frame, 1, len, f) != len)
		goto out;
	frame_len = len;
	err = 0;
out:
	fclose(f);
	return err;
}

static int enter_netns(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC), err;

	if (fd < 0)
		return -errno;
	err = setns(fd, CLONE_NEWNET) ? -errno : 0;
	close(fd);
	return err;
}

static int open_packet(const char *dev, unsigned short protocol)
{
	struct sockaddr_ll addr = {
		.sll_family = AF_PACKET,
		.sll_protocol = htons(protocol),
		.sll_ifindex = if_nametoindex(dev),
	};
	int fd, on = 1;

	if (!addr.sll_ifindex)
		return -ENODEV;
	fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	if (setsockopt(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, &on, sizeof(on)) ||
	    bind(fd, (struct sockaddr *)&addr, sizeof(addr))) {
		on = -errno;
		close(fd);
		return on;
	}
	return fd;
}

static void *sleeper(void *arg)
{
	struct path *path = arg;
	struct pollfd fd = { .fd = path->tx, .events = POLLIN };
	uint64_t value;

	for (;;) {
		poll(&fd, 1, -1);
		path->woken = now_ns();
		if (read(path->tx, &value, sizeof(value)) < 0)
			return NULL;
	}
}

/* Nanoseconds until the thread ran, or -1. */
static long long try_wake(struct path *path)
{
	const uint64_t one = 1;
	long long start, woken;

	path->woken = 0;
	start = now_ns();
	if (write(path->tx, &one, sizeof(one)) < 0)
		return -1;
	do {
		woken = path->woken;
		if (woken)
			return woken - start;
	} while (now_ns() - start < LOST_NS);
	return -1;
}

/* Nanoseconds until a packet came, or -1. */
static long long try_packet(const struct path *path)
{
	unsigned char buffer[2048];
	long long start, end;

	while (recv(path->rx, buffer, sizeof(buffer), MSG_DONTWAIT) >= 0)
		;
	start = now_ns();
	if (send(path->tx, frame, frame_len, 0) < 0)
		return -1;
	do {
		if (recv(path->rx, buffer, sizeof(buffer), MSG_DONTWAIT) >= 0)
			return now_ns() - start;
		end = now_ns();
	} while (end - start < LOST_NS);
	return -1;
}

static void run_block(struct path *path, int count, long long interval)
{
	long long next = now_ns() + interval;

	for (int i = 0; i < count; i++, next += interval) {
		long long ns;

		if (next < now_ns())
			next = now_ns() + SPIN_NS;
		wait_until(next);
		ns = path->out ? try_packet(path) : try_wake(path);
		if (ns < 0)
			path->lost++;
		else
			path->ns[path->count++] = ns;
	}
}

static int compare_ns(const void *a, const void *b)
{
	long long x = *(const long long *)a, y = *(const long long *)b;

	return (x > y) - (x < y);
}

static double quantile_us(const struct path *path, int percent)
{
	return path->count ? path->ns[(path->count - 1) * percent / 100] / 1e3 : -1;
}

static void print_paths(struct path *paths, int n)
{
	for (int i = 0; i < n; i++) {
		struct path *p = &paths[i];

		qsort(p->ns, p->count, sizeof(*p->ns), compare_ns);
		printf("%s\"%s\": {\"packets\": %d, \"lost\": %d, \"p50\": %.1f, \"p99\": %.1f, \"max\": %.1f}",
		       i ? ", " : "{", p->name, p->count, p->lost, quantile_us(p, 50), quantile_us(p, 99),
		       quantile_us(p, 100));
	}
	puts("}");
}

/* Splits NAME:DEV:OUT or NAME:CPU in place. */
static int parse_path(struct path *path, char *text, int count)
{
	path->name = text;
	path->dev = strchr(text, ':');
	if (!path->dev)
		return -EINVAL;
	*path->dev++ = 0;
	path->out = strchr(path->dev, ':');
	if (path->out)
		*path->out++ = 0;
	path->ns = calloc(count, sizeof(*path->ns));
	return path->ns ? 0 : -ENOMEM;
}

static int start_sleeper(struct path *path)
{
	pthread_attr_t attr;
	cpu_set_t set;
	int err;

	CPU_ZERO(&set);
	CPU_SET(atoi(path->dev), &set);
	path->tx = eventfd(0, EFD_CLOEXEC);
	if (path->tx < 0)
		return -errno;
	pthread_attr_init(&attr);
	err = pthread_attr_setaffinity_np(&attr, sizeof(set), &set) ?:
		pthread_create(&path->thread, &attr, sleeper, path);
	pthread_attr_destroy(&attr);
	return -err;
}

static int open_paths(struct path *paths, int n, char **netns)
{
	int err = enter_netns(netns[0]);

	for (int i = 0; i < n && !err; i++) {
		if (!paths[i].out) {
			err = start_sleeper(&paths[i]);
			continue;
		}
		paths[i].tx = open_packet(paths[i].dev, 0);
		err = paths[i].tx < 0 ? paths[i].tx : 0;
	}
	err = err ?: enter_netns(netns[1]);
	for (int i = 0; i < n && !err; i++) {
		if (!paths[i].out)
			continue;
		paths[i].rx = open_packet(paths[i].out, ETH_P_IP);
		err = paths[i].rx < 0 ? paths[i].rx : 0;
	}
	return err;
}

int main(int argc, char **argv)
{
	int n = argc - 6, count = argc > 4 ? atoi(argv[4]) : 0, err;
	long long interval = argc > 5 ? atoll(argv[5]) * 1000 : 0;
	struct path paths[16] = {};

	if (n < 1 || n > 16 || count < 1 || interval < 1) {
		fputs("usage: latency SEND-NETNS RECEIVE-NETNS FRAME.pcap COUNT INTERVAL-US "
		      "NAME:DEV:OUT|NAME:CPU...\n",
		      stderr);
		return 2;
	}
	err = read_frame(argv[3]);
	for (int i = 0; i < n && !err; i++)
		err = parse_path(&paths[i], argv[6 + i], count);
	err = err ?: open_paths(paths, n, argv + 1);
	if (err) {
		fprintf(stderr, "latency: %s\n", strerror(-err));
		return 1;
	}
	for (int done = 0; done < count; done += BLOCK)
		for (int i = 0; i < n; i++)
			run_block(&paths[i], count - done < BLOCK ? count - done : BLOCK, interval);
	print_paths(paths, n);
	return 0;
}
