/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "dataplane/burst_priv.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <arpa/inet.h>
#include <bpf/libbpf.h>
#include <linux/if_ether.h>
#include <linux/if_link.h>
#include <linux/if_packet.h>

#include "burst.skel.h"
#include "log.h"

#define BATCH_SIZE 64            /* pages of a batch are used again in the next one of the same call */
#define PROBE_FRAMES 96          /* more than a batch, so that used pages are among them */
#define PROBE_WAIT_MS 500
#define PROBE_RCVBUF (4 << 20)

static void *map_of(const struct bpf_map *map, size_t size)
{
	void *at = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, bpf_map__fd(map), 0);

	return at == MAP_FAILED ? NULL : at;
}

static size_t lost_size(void)
{
	return sizeof(struct xi_burst_lost) * (XI_BURST_PORTS + 1);
}

/* Number of the network namespace that this thread is in; a kernel without namespaces has no file. */
static int netns_number(__u32 *number)
{
	struct stat st;

	*number = 0;
	if (stat("/proc/thread-self/ns/net", &st))
		return errno == ENOENT ? 0 : -errno;
	*number = (__u32)st.st_ino;
	return 0;
}

static int burst_load(struct xi_burst *b)
{
	__u32 netns;
	int err;

	err = netns_number(&netns);
	if (err)
		return err;
	b->skel = burst_bpf__open();
	if (!b->skel)
		return -errno;
	b->skel->rodata->park_ifindex = b->park.ifindex;
	b->skel->rodata->park_netns = netns;
	err = bpf_map__reuse_fd(b->skel->maps.frames, b->config.frames->map_fd);
	if (!err)
		err = burst_bpf__load(b->skel);
	if (err)
		return err;
	b->prog_fd = bpf_program__fd(b->skel->progs.xdp_burst);
	b->ring = map_of(b->skel->maps.tx_ring, sizeof(*b->ring));
	b->lost = map_of(b->skel->maps.tx_lost, lost_size());
	return b->ring && b->lost ? 0 : -ENOMEM;
}

/*
 * By a link that no file pins: when the process ends, in whatever way, the program leaves the
 * device, and packet memory goes with it.
 */
static int burst_park(struct xi_burst *b)
{
	LIBBPF_OPTS(bpf_link_create_opts, opts, .flags = XDP_FLAGS_DRV_MODE);

	b->link_fd = bpf_link_create(b->prog_fd, (int)b->park.ifindex, BPF_XDP, &opts);
	return b->link_fd < 0 ? b->link_fd : 0;
}

static int burst_watch_losses(struct xi_burst *b)
{
	b->skel->links.burst_xmit = bpf_program__attach(b->skel->progs.burst_xmit);
	if (!b->skel->links.burst_xmit)
		return -errno;
	b->skel->links.burst_refused = bpf_program__attach(b->skel->progs.burst_refused);
	return b->skel->links.burst_refused ? 0 : -errno;
}

static int burst_enter(struct xi_burst *b, uint32_t slot, uint32_t ifindex)
{
	int err = bpf_map_update_elem(bpf_map__fd(b->skel->maps.tx_ports), &slot, &ifindex, BPF_ANY);

	return err ? err
		   : bpf_map_update_elem(bpf_map__fd(b->skel->maps.tx_slots), &ifindex, &slot,
					 BPF_ANY);
}

static int probe_socket(const struct xi_park *park)
{
	const struct sockaddr_ll addr = {
		.sll_family = AF_PACKET,
		.sll_protocol = htons(ETH_P_LOOPBACK),
		.sll_ifindex = (int)park->peer_ifindex,
	};
	const int room = PROBE_RCVBUF;
	int err, fd = socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -errno;
	setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof(room));
	if (!bind(fd, (const struct sockaddr *)&addr, sizeof(addr)))
		return fd;
	err = -errno;
	close(fd);
	return err;
}

/* Lengths go up and down: a page that comes back was another frame's. */
static uint32_t probe_len(uint32_t i)
{
	return ETH_ZLEN + i * 631 % (ETH_FRAME_LEN - ETH_ZLEN + 1);
}

static void probe_fill(uint8_t *at, uint32_t i)
{
	struct ethhdr *eth = (void *)at;
	uint32_t j, x = i * 2654435761U + 1;

	memset(eth->h_dest, 0xff, ETH_ALEN);
	memset(eth->h_source, 0x02, ETH_ALEN);
	eth->h_proto = htons(ETH_P_LOOPBACK);
	for (j = sizeof(*eth); j < probe_len(i); j++) {
		x = x * 1664525U + 1013904223U;
		at[j] = x >> 24;
	}
}

/* Everything that was sent, in its order, to the last byte. */
static int probe_receive(int fd, const struct xi_frames *frames, const uint64_t *sent)
{
	struct pollfd pfd = {.fd = fd, .events = POLLIN};
	uint8_t got[ETH_FRAME_LEN + 1];
	uint32_t i;
	ssize_t n;

	for (i = 0; i < PROBE_FRAMES; i++) {
		if (poll(&pfd, 1, PROBE_WAIT_MS) != 1)
			return -ENODATA;
		n = recv(fd, got, sizeof(got), 0);
		if (n != probe_len(i) || memcmp(got, frames->base + sent[i], n))
			return -EBADMSG;
	}
	return 0;
}

static int probe_bytes(struct xi_burst *b, int fd)
{
	struct xi_frames *frames = b->config.frames;
	uint64_t sent[PROBE_FRAMES];
	uint32_t i, before = b->ring->cons;
	int err;

	if (frames->nfree < PROBE_FRAMES)
		return -ENOMEM;
	for (i = 0; i < PROBE_FRAMES; i++) {
		sent[i] = xi_frame_get(frames);
		probe_fill(frames->base + sent[i], i);
		xi_burst_list(b, XI_BURST_PARK, sent[i], probe_len(i));
	}
	err = xi_burst_call(b);
	if (!err && b->ring->cons - before != PROBE_FRAMES)
		err = -EIO;
	if (!err)
		err = probe_receive(fd, frames, sent);
	for (i = 0; i < PROBE_FRAMES; i++)
		xi_frame_put(frames, sent[i]);
	return err;
}

/* With the other end down a frame must be seen to be lost. The end stays down: nothing comes in there. */
static int probe_loss(struct xi_burst *b)
{
	struct xi_frames *frames = b->config.frames;
	uint64_t frame, before;
	int err = xi_park_close_peer(&b->park);

	if (err)
		return err;
	frame = xi_frame_get(frames);
	probe_fill(frames->base + frame, 0);
	before = xi_burst_lost_frames(b, XI_BURST_PARK);
	xi_burst_list(b, XI_BURST_PARK, frame, probe_len(0));
	err = xi_burst_call(b);
	xi_frame_put(frames, frame);
	if (!err && xi_burst_lost_frames(b, XI_BURST_PARK) != before + 1)
		err = -ENOTSUP;
	return err;
}

static int burst_probe(struct xi_burst *b)
{
	int fd = probe_socket(&b->park);
	int err;

	if (fd < 0)
		return fd;
	err = probe_bytes(b, fd);
	close(fd);
	return err;
}

struct step {
	int (*run)(struct xi_burst *b);
	const char *why;
};

static int burst_make_park(struct xi_burst *b)
{
	return xi_park_open(&b->park, b->config.worker);
}

static int burst_rest_park(struct xi_burst *b)
{
	return xi_park_rest(&b->park);
}

static int burst_enter_park(struct xi_burst *b)
{
	return burst_enter(b, XI_BURST_PARK, b->park.ifindex);
}

static const struct step steps[] = {
	{burst_make_park, "cannot make a device to park the program on"},
	{burst_load, "the kernel refused the program (5.18 and type information are needed)"},
	{burst_watch_losses, "losses cannot be watched (raw tracepoints)"},
	{burst_park, "the program cannot be parked"},
	{burst_enter_park, "the program cannot be parked"},
	{burst_probe, "the probe's frames did not arrive as they were sent"},
	{probe_loss, "the probe's loss was not seen"},
	{burst_rest_park, "the device that the program is parked on cannot be taken down"},
};

int xi_burst_open(struct xi_burst **out, const struct xi_burst_config *config,
		  char why[XI_BURST_WHY])
{
	struct xi_burst *b = calloc(1, sizeof(*b));
	size_t i;
	int err = 0;

	if (!b)
		return -ENOMEM;
	b->config = *config;
	b->link_fd = -1;
	b->opts = (struct bpf_test_run_opts){
		.sz = sizeof(b->opts),
		.flags = BPF_F_TEST_XDP_LIVE_FRAMES,
		.batch_size = BATCH_SIZE,
	};
	for (i = 0; i < sizeof(steps) / sizeof(steps[0]) && !err; i++) {
		err = steps[i].run(b);
		if (err)
			snprintf(why, XI_BURST_WHY, "%s: %s", steps[i].why, strerror(-err));
	}
	if (err) {
		xi_burst_close(b);
		return err;
	}
	*out = b;
	return 0;
}

void xi_burst_close(struct xi_burst *b)
{
	if (!b)
		return;
	if (b->link_fd >= 0)
		close(b->link_fd);
	if (b->ring)
		munmap(b->ring, sizeof(*b->ring));
	if (b->lost)
		munmap(b->lost, lost_size());
	burst_bpf__destroy(b->skel);
	xi_park_close(&b->park);
	free(b);
}

struct xi_tx *xi_burst_add_port(struct xi_burst *b, struct xi_xsk *xsk)
{
	uint32_t slot = xsk->port->slot;
	struct xi_burst_port *port = &b->ports[slot];
	int err;

	*port = (struct xi_burst_port){
		.tx = {.ops = &xi_tx_burst_ops}, .burst = b, .xsk = xsk, .slot = slot};
	err = burst_enter(b, slot, xsk->port->ifindex);
	if (err) {
		errno = -err;
		log_warn("port %s: cannot be sent to by burst transmit", xsk->port->config.name);
		return NULL;
	}
	port->on = xi_burst_try_port(port);
	if (!port->on)
		xi_burst_port_off(port, *b->config.now_ms);
	return &port->tx;
}
