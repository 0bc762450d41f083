/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The receive record on its way to the host: tc_mark on a live device, read by a UDP socket. Then
 * tc_guard on packets whose headers are not in the linear part.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <linux/if_link.h>
#include <linux/if_packet.h>
#include <linux/pkt_cls.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <xipsec/origin.h>

#include "bpf_bed.h"

#ifndef SO_RCVMARK
#define SO_RCVMARK 75 /* Linux 5.19 */
#endif

#define INNER .src = "10.2.0.9", .dst = "10.1.0.1", .proto = IPPROTO_UDP, .sport = 7, .dport = 4711
#define RECORD(status, handle)                                                                     \
	{                                                                                          \
		0x02, status, (handle) >> 24, ((handle) >> 16) & 255, ((handle) >> 8) & 255,       \
			(handle)&255                                                               \
	}
#define N(a) (sizeof(a) / sizeof((a)[0]))

static const uint8_t verified[] = RECORD(XI_CRYPTO_SUCCESS, XI_BED_HANDLE);
static const uint8_t failed[] = RECORD(XI_CRYPTO_TUNNEL_ESP_AUTH_FAILED, XI_BED_HANDLE);
static const uint8_t bypassed[] = RECORD(XI_CRYPTO_NOT_DONE, 0);
static const uint8_t no_status[] = RECORD(XI_CRYPTO_NOT_DONE + 1, XI_BED_HANDLE);
static const uint8_t no_record[] = { 0x06, 0, 0, 0x30, 0, 7 };

/* A new hook each time: programs of earlier tests go with the old one. */
static void attach_tc(struct xi_bed *bed, struct bpf_program *prog, enum bpf_tc_attach_point point)
{
	LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = bed->ifindex, .attach_point = point);
	LIBBPF_OPTS(bpf_tc_opts, opts, .prog_fd = bpf_program__fd(prog));

	hook.attach_point = BPF_TC_INGRESS | BPF_TC_EGRESS;
	bpf_tc_hook_destroy(&hook);
	hook.attach_point = point;
	assert_return_code(bpf_tc_hook_create(&hook), errno);
	assert_return_code(bpf_tc_attach(&hook, &opts), errno);
}

static int packet_socket(const char *dev)
{
	struct sockaddr_ll addr = {
		.sll_family = AF_PACKET,
		.sll_protocol = htons(ETH_P_ALL),
		.sll_ifindex = if_nametoindex(dev),
	};
	int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);

	assert_return_code(fd, errno);
	assert_return_code(bind(fd, (struct sockaddr *)&addr, sizeof(addr)), errno);
	return fd;
}

static int receiver(void)
{
	struct sockaddr_in addr = { .sin_family = AF_INET, .sin_port = htons(4711) };
	struct timeval patience = { .tv_sec = 5 };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), one = 1;

	assert_return_code(fd, errno);
	assert_return_code(bind(fd, (struct sockaddr *)&addr, sizeof(addr)), errno);
	assert_return_code(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)),
			   errno);
	if (setsockopt(fd, SOL_SOCKET, SO_RCVMARK, &one, sizeof(one)))
		skip();
	return fd;
}

static uint32_t receive_mark(int fd)
{
	char data[64], control[64];
	struct iovec iov = { data, sizeof(data) };
	struct msghdr msg = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control,
		.msg_controllen = sizeof(control),
	};
	struct cmsghdr *cmsg;
	uint32_t mark;

	assert_return_code(recvmsg(fd, &msg, 0), errno);
	cmsg = CMSG_FIRSTHDR(&msg);
	assert_non_null(cmsg);
	assert_int_equal(cmsg->cmsg_type, SO_MARK);
	memcpy(&mark, CMSG_DATA(cmsg), sizeof(mark));
	return mark;
}

/* xibed0 plays xipsec0 and xibed1 its inner end, where a worker sends. */
static uint32_t mark_of(struct xi_bed *bed, int out, int in, const uint8_t *smac)
{
	struct xi_spec spec = { INNER, .dmac = bed->mac, .smac = smac };
	struct xi_frame frame;

	xi_frame_build(&frame, &spec);
	assert_int_equal(send(out, frame.data, frame.len, 0), frame.len);
	return receive_mark(in);
}

static void put_sa(struct xi_bed *bed, uint32_t mark, uint32_t mask)
{
	struct xi_sa sa = { .sa_index = XI_BED_HANDLE,
			    .output_mark = mark,
			    .output_mark_mask = mask };
	uint32_t handle = XI_BED_HANDLE;

	assert_return_code(
		bpf_map_update_elem(bpf_map__fd(bed->skel->maps.sad), &handle, &sa, BPF_ANY),
		errno);
}

static void output_mark_reaches_the_host(void **state)
{
	struct xi_bed *bed = *state;
	int in, out;

	xi_bed_reset(bed);
	assert_int_equal(system("ip addr replace 10.1.0.1/16 dev xibed0 && ip route replace "
				"10.2.0.0/16 dev xibed0"),
			 0);
	in = receiver();
	out = packet_socket("xibed1");
	attach_tc(bed, bed->skel->progs.tc_mark, BPF_TC_INGRESS);
	put_sa(bed, 0xffff1234, 0xffff);
	assert_int_equal(mark_of(bed, out, in, verified), 0x1234);
	put_sa(bed, 0xabcd0000, 0xffffffff);
	assert_int_equal(mark_of(bed, out, in, verified), 0xabcd0000);
	put_sa(bed, 0, 0);
	assert_int_equal(mark_of(bed, out, in, verified), 0);
	put_sa(bed, 0x77, 0xffffffff);
	assert_int_equal(mark_of(bed, out, in, bypassed), 0);
	assert_int_equal(mark_of(bed, out, in, no_record), 0);
	assert_int_equal(mark_of(bed, out, in, failed), 0);
	assert_int_equal(mark_of(bed, out, in, no_status), 0);
	close(in);
	close(out);
}

/* Of an SA with a mark, as the kernel would have wanted it of the packet before. */
static void mark_of_the_sa_reaches_the_host(void **state)
{
	struct xi_sa sa = { .sa_index = XI_BED_HANDLE, .mark_v = 0x21, .mark_m = 0xff,
			    .output_mark = 0x300, .output_mark_mask = 0xf01 };
	uint32_t handle = XI_BED_HANDLE;
	struct xi_bed *bed = *state;
	int in, out;

	xi_bed_reset(bed);
	in = receiver();
	out = packet_socket("xibed1");
	attach_tc(bed, bed->skel->progs.tc_mark, BPF_TC_INGRESS);
	assert_return_code(
		bpf_map_update_elem(bpf_map__fd(bed->skel->maps.sad), &handle, &sa, BPF_ANY),
		errno);
	assert_int_equal(mark_of(bed, out, in, verified), 0x320);
	close(in);
	close(out);
}

static void bed_put_u32(const struct bpf_map *map, uint32_t key, uint32_t value)
{
	assert_return_code(bpf_map_update_elem(bpf_map__fd(map), &key, &value, BPF_ANY), errno);
}

/* Bytes of the next frame of IPv4: the host has something to say of itself, as of IPv6 groups. */
static ssize_t receive_ipv4(int tap, uint8_t *got, size_t room, int flags)
{
	ssize_t n;

	do
		n = recv(tap, got, room, flags);
	while (n >= 14 && !(got[12] == 0x08 && got[13] == 0x00));
	return n;
}

/* What an SA of an interface brought is received by that, if there is one. */
static void an_interface_receives_what_is_of_its_sas(void **state)
{
	struct xi_spec spec = { INNER, .smac = verified };
	struct xi_sa sa = { .sa_index = XI_BED_HANDLE, .if_id = 42 };
	uint32_t handle = XI_BED_HANDLE;
	struct xi_bed *bed = *state;
	struct timeval patience = { .tv_sec = 5 };
	uint8_t got[2048];
	struct xi_frame frame;
	int out, tap;

	xi_bed_reset(bed);
	spec.dmac = bed->mac;
	assert_int_equal(system("ip link add xi42 type veth peer name xi42p && ip link set xi42 up"), 0);
	bed_put_u32(bed->skel->maps.if_ids, 42, if_nametoindex("xi42"));
	attach_tc(bed, bed->skel->progs.tc_mark, BPF_TC_INGRESS);
	assert_return_code(
		bpf_map_update_elem(bpf_map__fd(bed->skel->maps.sad), &handle, &sa, BPF_ANY),
		errno);
	out = packet_socket("xibed1");
	tap = packet_socket("xi42");
	assert_return_code(setsockopt(tap, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)), errno);
	xi_frame_build(&frame, &spec);
	assert_int_equal(send(out, frame.data, frame.len, 0), frame.len);
	assert_int_equal(receive_ipv4(tap, got, sizeof(got), 0), frame.len);
	assert_memory_equal(got, frame.data, frame.len);
	sa.if_id = 43;               /* none: it stays where it is */
	assert_return_code(
		bpf_map_update_elem(bpf_map__fd(bed->skel->maps.sad), &handle, &sa, BPF_ANY),
		errno);
	assert_int_equal(send(out, frame.data, frame.len, 0), frame.len);
	assert_int_equal(receive_ipv4(tap, got, sizeof(got), MSG_DONTWAIT), -1);
	close(out);
	close(tap);
	assert_int_equal(system("ip link del xi42"), 0);
}

/*
 * xibed0 plays xipsec0: what leaves it says where it comes from, whatever its sender wrote. A guard and an
 * interface, played by another device, send by it.
 */
static void frames_say_where_they_come_from(void **state)
{
	static const uint8_t forged[] = { 2, XI_ORIGIN_GUARD, 0, 0, 0, 99 };
	static const uint8_t forged_if[] = { 2, XI_ORIGIN_TAG, 0, 0, 0, 98 };
	struct xi_spec spec = { INNER, .dmac = forged, .smac = forged_if };
	struct xi_config config = xi_bed_config();
	uint32_t mark = 0x12345678;
	struct xi_bed *bed = *state;
	struct timeval patience = { .tv_sec = 5 };
	struct xi_origin origin;
	uint8_t got[2048];
	struct xi_frame frame;
	int out, tap;

	xi_bed_reset(bed);
	config.host_ifindex = bed->ifindex;
	xi_bed_put_config(bed, &config);
	attach_tc(bed, bed->skel->progs.tc_host, BPF_TC_EGRESS);
	tap = packet_socket("xibed1");
	assert_return_code(setsockopt(tap, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)), errno);
	out = packet_socket("xibed0");
	assert_return_code(setsockopt(out, SOL_SOCKET, SO_MARK, &mark, sizeof(mark)), errno);
	xi_frame_build(&frame, &spec);
	assert_int_equal(send(out, frame.data, frame.len, 0), frame.len);
	assert_int_equal(receive_ipv4(tap, got, sizeof(got), 0), frame.len);
	origin = xi_origin_read(got);
	assert_int_equal(origin.kind, XI_ORIGIN_ROUTED);
	assert_int_equal(origin.mark, mark);
	assert_int_equal(origin.if_id, 0);
	assert_memory_equal(got + 12, frame.data + 12, frame.len - 12);
	/* anybody may choose a priority, which is an if_id where tc_interface says so alone */
	int priority = 6;
	assert_return_code(setsockopt(out, SOL_SOCKET, SO_PRIORITY, &priority, sizeof(priority)), errno);
	assert_int_equal(send(out, frame.data, frame.len, 0), frame.len);
	assert_int_equal(receive_ipv4(tap, got, sizeof(got), 0), frame.len);
	assert_int_equal(xi_origin_read(got).if_id, 0);
	close(out);

	assert_int_equal(system("ip link add xi42 type veth peer name xi42p && ip link set xi42p up && "
				"ip link set xi42 up && tc qdisc add dev xi42 clsact"), 0);
	bed_put_u32(bed->skel->maps.interfaces, if_nametoindex("xi42"), 0xfedcba98);
	LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = if_nametoindex("xi42"), .attach_point = BPF_TC_EGRESS);
	LIBBPF_OPTS(bpf_tc_opts, opts, .prog_fd = bpf_program__fd(bed->skel->progs.tc_interface));
	assert_return_code(bpf_tc_attach(&hook, &opts), errno);
	out = packet_socket("xi42");
	assert_return_code(setsockopt(out, SOL_SOCKET, SO_MARK, &mark, sizeof(mark)), errno);
	assert_int_equal(send(out, frame.data, frame.len, 0), frame.len);
	assert_int_equal(receive_ipv4(tap, got, sizeof(got), 0), frame.len);
	origin = xi_origin_read(got);
	assert_int_equal(origin.kind, XI_ORIGIN_ROUTED);
	assert_int_equal(origin.mark, mark);
	assert_int_equal(origin.if_id, 0xfedcba98);
	/* one that the maps do not know sends nothing */
	uint32_t ifindex = if_nametoindex("xi42");
	assert_int_equal(bpf_map_delete_elem(bpf_map__fd(bed->skel->maps.interfaces), &ifindex), 0);
	send(out, frame.data, frame.len, 0);
	assert_int_equal(xi_bed_stat(bed, XI_DROP_CLEAR_OUT), 1);
	close(out);
	close(tap);
	assert_int_equal(system("ip link del xi42"), 0);
}

static void tc_attach(const char *dev, const struct bpf_program *prog)
{
	LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = if_nametoindex(dev), .attach_point = BPF_TC_EGRESS);
	LIBBPF_OPTS(bpf_tc_opts, opts, .prog_fd = bpf_program__fd(prog));

	assert_return_code(bpf_tc_hook_create(&hook), errno);
	assert_return_code(bpf_tc_attach(&hook, &opts), errno);
}

static void send_marked(const char *dev, const struct xi_frame *frame, uint32_t mark)
{
	int fd = packet_socket(dev);

	assert_return_code(setsockopt(fd, SOL_SOCKET, SO_MARK, &mark, sizeof(mark)), errno);
	assert_int_equal(send(fd, frame->data, frame->len, 0), frame->len);
	close(fd);
}

/* xi43 plays a cipher port: what leaves it goes by its mark, and on to xipsec0 as what the guard sent. */
static void the_guard_goes_by_marks(void **state)
{
	struct xi_spec spec = { .src = "10.1.0.9", .dst = "10.2.0.9", .proto = IPPROTO_TCP,
				.dport = 80, .mark = 0x78 };
	struct xi_config config = xi_bed_config();
	struct timeval patience = { .tv_sec = 5 };
	struct xi_bed *bed = *state;
	struct xi_origin origin;
	uint8_t got[2048];
	struct xi_frame frame;
	int tap;

	xi_bed_reset(bed);
	config.host_ifindex = bed->ifindex;
	config.mark_mask = 0xff;
	xi_bed_put_config(bed, &config);
	xi_bed_flow(bed, &spec, XI_OUT, XI_VERDICT_BYPASS, XI_BED_GENERATION);
	attach_tc(bed, bed->skel->progs.tc_host, BPF_TC_EGRESS);
	assert_int_equal(system("ip link add xi43 type veth peer name xi43p && ip link set xi43p up && "
				"ip link set xi43 up"), 0);
	tc_attach("xi43", bed->skel->progs.tc_guard);
	tap = packet_socket("xibed1");
	assert_return_code(setsockopt(tap, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)), errno);
	xi_frame_build(&frame, &spec);
	send_marked("xi43", &frame, 0x178);
	assert_int_equal(xi_bed_stat(bed, XI_PASS_BYPASS), 1);
	send_marked("xi43", &frame, 0x177);
	assert_int_equal(xi_bed_stat(bed, XI_TO_HOSTIF), 1);
	assert_int_equal(xi_bed_stat(bed, XI_PASS_BYPASS), 1);
	assert_int_equal(receive_ipv4(tap, got, sizeof(got), 0), frame.len);
	origin = xi_origin_read(got);
	assert_int_equal(origin.kind, XI_ORIGIN_GUARD);
	assert_int_equal(origin.mark, 0x177);
	assert_int_equal(origin.if_id, 0);
	close(tap);
	assert_int_equal(system("ip link del xi43"), 0);
}

/* A transmit ring hands the kernel packets with only the Ethernet header in the linear part. */
struct ring {
	int fd;
	uint8_t *slots;
	uint32_t next;
};

#define RING_SLOT 2048
#define RING_SLOTS 8

static void ring_open(struct ring *ring)
{
	struct tpacket_req req = {
		.tp_block_size = RING_SLOT * RING_SLOTS,
		.tp_block_nr = 1,
		.tp_frame_size = RING_SLOT,
		.tp_frame_nr = RING_SLOTS,
	};

	ring->fd = packet_socket("xibed0");
	ring->next = 0;
	assert_return_code(setsockopt(ring->fd, SOL_PACKET, PACKET_TX_RING, &req, sizeof(req)),
			   errno);
	ring->slots =
		mmap(NULL, req.tp_block_size, PROT_READ | PROT_WRITE, MAP_SHARED, ring->fd, 0);
	assert_ptr_not_equal(ring->slots, MAP_FAILED);
}

static void ring_send(struct ring *ring, const struct xi_spec *spec)
{
	struct tpacket_hdr *slot = (void *)(ring->slots + RING_SLOT * (ring->next++ % RING_SLOTS));
	struct xi_frame frame;

	xi_frame_build(&frame, spec);
	memcpy((uint8_t *)slot + TPACKET_HDRLEN - sizeof(struct sockaddr_ll), frame.data,
	       frame.len);
	slot->tp_len = frame.len;
	slot->tp_status = TP_STATUS_SEND_REQUEST;
	send(ring->fd, NULL, 0, 0); /* ENOBUFS when the guard drops it */
}

static void guard_reads_non_linear_packets(void **state)
{
	struct xi_spec held = { .src = "10.1.0.9",
				.dst = "10.2.0.9",
				.proto = IPPROTO_TCP,
				.dport = 80,
				.payload_len = 600 };
	struct xi_spec bypass = { .src = "fd01::9",
				  .dst = "fd02::9",
				  .proto = IPPROTO_TCP,
				  .dport = 80,
				  .payload_len = 600,
				  .ext = "hrd" };
	struct xi_bed *bed = *state;
	struct ring ring;

	xi_bed_reset(bed);
	xi_bed_flow(bed, &bypass, XI_OUT, XI_VERDICT_BYPASS, XI_BED_GENERATION);
	attach_tc(bed, bed->skel->progs.tc_guard, BPF_TC_EGRESS);
	ring_open(&ring);
	ring_send(&ring, &bypass);
	assert_int_equal(xi_bed_stat(bed, XI_PASS_BYPASS), 1);
	ring_send(&ring, &held); /* stays in the ring when it is dropped, so it comes last */
	assert_int_equal(xi_bed_stat(bed, XI_DROP_CLEAR_OUT), 1);
	assert_int_equal(xi_bed_stat(bed, XI_DROP_MALFORMED), 0);
	munmap(ring.slots, RING_SLOT * RING_SLOTS);
	close(ring.fd);
}

/* An IP header that is not whole names no address to judge by, so it does not leave. */
static void guard_drops_cut_headers(void **state)
{
	struct xi_spec specs[] = { { INNER },
				   { .src = "fd01::9", .dst = "fd02::9" },
				   { INNER, .vlans = 1 } };
	const uint32_t whole[] = { 20, 40, 24 };
	struct xi_bed *bed = *state;
	int out = packet_socket("xibed0");
	struct xi_frame frame;
	uint64_t sent = 0;

	xi_bed_reset(bed);
	attach_tc(bed, bed->skel->progs.tc_guard, BPF_TC_EGRESS);
	for (unsigned int i = 0; i < N(specs); i++) {
		xi_frame_build(&frame, &specs[i]);
		for (uint32_t len = ETH_HLEN + 1; len < ETH_HLEN + whole[i]; len++)
			sent += send(out, frame.data, len, 0) < 0 && errno == ENOBUFS;
	}
	assert_int_equal(sent, 19 + 39 + 23);
	assert_int_equal(xi_bed_stat(bed, XI_DROP_MALFORMED), sent);
	close(out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(output_mark_reaches_the_host),
		cmocka_unit_test(mark_of_the_sa_reaches_the_host),
		cmocka_unit_test(an_interface_receives_what_is_of_its_sas),
		cmocka_unit_test(frames_say_where_they_come_from),
		cmocka_unit_test(the_guard_goes_by_marks),
		cmocka_unit_test(guard_reads_non_linear_packets),
		cmocka_unit_test(guard_drops_cut_headers),
	};

	return cmocka_run_group_tests_name("host", tests, xi_bed_setup, xi_bed_teardown);
}
