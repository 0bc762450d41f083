/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * xipsec0: what the host routes to it arrives finished at the inner end, and what the inner end
 * sends is received.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <linux/if_ether.h>
#include <linux/udp.h>
#include <bpf/bpf.h>
#include <cmocka.h>

#include "dataplane/hostif.h"
#include "dataplane/link.h"
#include "testns.h"

#define MTU 1400

static void up(struct xi_hostif *hostif, uint32_t queues)
{
	assert_int_equal(xi_hostif_up(hostif, 5, queues, MTU), 0);
}

static void link_get(const char *name, struct xi_link *link)
{
	struct xi_rtnl rt;

	assert_int_equal(xi_rtnl_open(&rt), 0);
	assert_int_equal(xi_link_get(&rt, name, link), 0);
	xi_rtnl_close(&rt);
}

static void up_makes_the_pair(void **state)
{
	struct xi_link outer, inner;
	struct xi_hostif hostif;

	testns_enter();
	up(&hostif, 3);
	link_get("xipsec0", &outer);
	link_get("xipsec0-p", &inner);
	assert_int_equal(outer.mtu, MTU);
	assert_in_range(inner.mtu, MTU + 1, 3506);
	assert_int_equal(outer.flags & (IFF_UP | IFF_NOARP | IFF_RUNNING | IFF_MULTICAST),
			 IFF_UP | IFF_NOARP | IFF_RUNNING);
	assert_int_equal(inner.flags & (IFF_UP | IFF_NOARP | IFF_RUNNING | IFF_MULTICAST),
			 IFF_UP | IFF_NOARP | IFF_RUNNING);
	assert_int_equal(hostif.ifindex, outer.ifindex);
	assert_memory_equal(hostif.mac, outer.mac, 6);
	assert_int_equal(hostif.mac[0] & 3, 2);
	assert_int_equal(hostif.port.ifindex, inner.ifindex);
	assert_memory_equal(hostif.port.mac, inner.mac, 6);
	assert_int_equal(hostif.port.slot, 5);
	assert_int_equal(hostif.port.queues, 3);
	assert_int_equal(hostif.port.config.role, XI_ROLE_HOST);
	assert_true(hostif.made);
	testns_run("test $(cat /proc/sys/net/ipv4/conf/xipsec0/rp_filter) = 0");
	testns_run("test $(cat /proc/sys/net/ipv4/conf/xipsec0/disable_xfrm) = 1");
	testns_run("test $(cat /proc/sys/net/ipv4/conf/xipsec0/disable_policy) = 1");
	testns_run("test $(cat /proc/sys/net/ipv6/conf/xipsec0/disable_policy) = 1");
	testns_run("test $(cat /proc/sys/net/ipv6/conf/xipsec0/accept_ra) = 0");
	testns_run("test $(cat /proc/sys/net/ipv6/conf/xipsec0/autoconf) = 0");
	testns_run("test -z \"$(ip -o addr show dev xipsec0)$(ip -o addr show dev xipsec0-p)\"");
}

static void up_adopts_the_pair(void **state)
{
	struct bpf_insn insns[] = {
		{.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = 2},
		{.code = BPF_JMP | BPF_EXIT},
	};
	int fd = bpf_prog_load(BPF_PROG_TYPE_XDP, "xdp_plain", "Dual BSD/GPL", insns, 2, NULL);
	struct xi_hostif first, second;

	testns_enter();
	up(&first, 2);
	/* As an earlier daemon leaves it. */
	assert_int_equal(xi_port_attach(&first.port, fd, "/run"), 0);
	testns_run("ip route add 10.9.0.0/16 dev xipsec0");
	for (uint32_t i = 0; i < 4; i++) {
		static const uint32_t counts[4] = {1, XI_MAX_QUEUES, 3, 5};
		uint32_t queues = counts[i];

		up(&second, queues);
		assert_int_equal(second.ifindex, first.ifindex);
		assert_false(second.made);
		assert_int_equal(second.port.queues, queues);
	}
	testns_run("ip route show | grep -q '10.9.0.0/16 dev xipsec0'");
	close(fd);
}

static void up_leaves_a_device_of_somebody_else(void **state)
{
	struct xi_hostif hostif;

	testns_enter();
	testns_run("ip link add xipsec0 mtu 1300 type veth peer name other0");
	assert_int_equal(xi_hostif_up(&hostif, 5, 1, MTU), -EEXIST);
	testns_run("ip link show xipsec0 | grep -q 'mtu 1300 .*state DOWN'");
	assert_int_equal(xi_hostif_down(), -EEXIST);
	testns_run("ip link show xipsec0 >/dev/null");
}

static void up_refuses_impossible_numbers(void **state)
{
	struct xi_hostif hostif;

	assert_int_equal(xi_hostif_up(&hostif, 5, 0, MTU), -ERANGE);
	assert_int_equal(xi_hostif_up(&hostif, 5, XI_MAX_QUEUES + 1, MTU), -ERANGE);
	assert_int_equal(xi_hostif_up(&hostif, 5, 1, 9217), -ERANGE);
}

static void down_removes_the_pair(void **state)
{
	struct xi_hostif hostif;

	testns_enter();
	assert_int_equal(xi_hostif_down(), 0);
	up(&hostif, 1);
	assert_int_equal(xi_hostif_down(), 0);
	testns_run("! ip link show xipsec0 2>/dev/null");
	testns_run("! ip link show xipsec0-p 2>/dev/null");
	assert_int_equal(xi_hostif_down(), 0);
}

/* A UDP socket of the host connected to to:port. */
static int udp_to(const char *to, uint16_t port)
{
	struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
	struct sockaddr_in in4 = {.sin_family = AF_INET, .sin_port = htons(port)};
	uint8_t addr[16];
	int family = testns_addr(to, addr);
	int fd = socket(family, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	memcpy(&in4.sin_addr, addr, 4);
	memcpy(&in6.sin6_addr, addr, 16);
	assert_true(fd >= 0);
	assert_int_equal(family == AF_INET ? connect(fd, (struct sockaddr *)&in4, sizeof(in4))
					   : connect(fd, (struct sockaddr *)&in6, sizeof(in6)),
			 0);
	return fd;
}

static void expect_frame(int packets, const struct xi_hostif *hostif, uint16_t type, int l3_len)
{
	uint8_t frame[4096];
	int n = testns_receive(packets, frame, sizeof(frame));

	/* Nothing in front of it: no ARP, no neighbour or router solicitation. */
	assert_int_equal(n, 14 + l3_len);
	assert_memory_equal(frame, hostif->mac, 6);
	assert_int_equal(frame[12] << 8 | frame[13], type);
	assert_int_equal(testns_l4_checksum(frame + 14, l3_len), 0);
}

static int sender_ready(struct xi_hostif *hostif)
{
	testns_enter();
	up(hostif, 2);
	testns_run("ip addr add 10.1.0.1/32 dev lo && ip addr add fd01::1/128 dev lo nodad");
	testns_run("ip route add 10.9.0.0/16 dev xipsec0 && ip route add fd09::/48 dev xipsec0");
	return testns_packets("xipsec0-p");
}

static void routed_packets_arrive_without_address_resolution(void **state)
{
	static const char data[700] = "every odd byte counts";
	struct xi_hostif hostif;
	int packets = sender_ready(&hostif);
	int fd4 = udp_to("10.9.3.4", 7000), fd6 = udp_to("fd09::4", 7000);

	assert_int_equal(send(fd4, data, sizeof(data), 0), sizeof(data));
	expect_frame(packets, &hostif, ETH_P_IP, 20 + 8 + (int)sizeof(data));
	assert_int_equal(send(fd6, data, sizeof(data), 0), sizeof(data));
	expect_frame(packets, &hostif, ETH_P_IPV6, 40 + 8 + (int)sizeof(data));
	close(fd4);
	close(fd6);
	close(packets);
}

static void segmented_sends_arrive_as_finished_packets(void **state)
{
	static const char data[5000] = "longer than four segments";
	struct xi_hostif hostif;
	int packets = sender_ready(&hostif);
	int fd = udp_to("10.9.3.4", 7000);
	int segment = 1200;

	assert_int_equal(setsockopt(fd, IPPROTO_UDP, UDP_SEGMENT, &segment, sizeof(segment)), 0);
	if (send(fd, data, sizeof(data), 0) < 0) {
		/*
		 * Kernels that will not segment in software refuse: nothing unfinished leaves
		 * either way.
		 */
		assert_int_equal(errno, EIO);
		assert_false(testns_readable(packets));
	} else {
		for (int left = sizeof(data); left > 0; left -= segment)
			expect_frame(packets, &hostif, ETH_P_IP,
				     28 + (left < segment ? left : segment));
	}
	close(fd);
	close(packets);
}

static void tcp_arrives_with_its_checksum(void **state)
{
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(80)};
	struct xi_hostif hostif;
	int packets = sender_ready(&hostif);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	uint8_t frame[2048];
	int n;

	to.sin_addr.s_addr = htonl(0x0a090304);
	assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof(to)), -1);
	assert_int_equal(errno, EINPROGRESS);
	n = testns_receive(packets, frame, sizeof(frame));
	assert_true(n > 54);
	assert_int_equal(frame[14 + 9], IPPROTO_TCP);
	assert_int_equal(testns_l4_checksum(frame + 14, n - 14), 0);
	close(fd);
	close(packets);
}

static void put_checksum(uint8_t *at, uint16_t sum)
{
	at[0] = (uint8_t)(sum >> 8);
	at[1] = (uint8_t)sum;
}

/* A UDP packet to port 7001 with the text "decrypted"; its length. */
static int make_udp(uint8_t *ip, const char *from, const char *to)
{
	uint8_t saddr[16], daddr[16];
	bool v4 = testns_addr(from, saddr) == AF_INET;
	int header = v4 ? 20 : 40;
	uint8_t *udp = ip + header;
	uint32_t sum = 0;

	testns_addr(to, daddr);
	memset(ip, 0, (size_t)header + 8);
	if (v4) {
		memcpy(ip, (uint8_t[]){0x45, 0, 0, 37, 0, 0, 0x40, 0, 64, 17}, 10);
		memcpy(ip + 12, saddr, 4);
		memcpy(ip + 16, daddr, 4);
		for (int i = 0; i < 20; i += 2)
			sum += (uint32_t)(ip[i] << 8 | ip[i + 1]);
		put_checksum(ip + 10, (uint16_t) ~((sum & 0xffff) + (sum >> 16)));
	} else {
		memcpy(ip, (uint8_t[]){0x60, 0, 0, 0, 0, 17, 17, 64}, 8);
		memcpy(ip + 8, saddr, 16);
		memcpy(ip + 24, daddr, 16);
	}
	memcpy(udp, (uint8_t[]){0x1b, 0x57, 0x1b, 0x59, 0, 17}, 6);
	memcpy(udp + 8, "decrypted", 9);
	put_checksum(udp + 6, testns_l4_checksum(ip, header + 17));
	return header + 17;
}

static void frames_from_inside_reach_the_host(void **state)
{
	static const char *const from[2] = {"10.77.0.1", "fd77::1"}, *const to[2] = {"10.1.0.1",
										     "fd01::1"};
	struct xi_hostif hostif;
	int packets = sender_ready(&hostif);
	struct sockaddr_in6 any = {.sin6_family = AF_INET6, .sin6_port = htons(7001)};
	int udp = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	/* No route leads back to 10.77.0.0/16 and fd77::/16 by xipsec0. */
	testns_run("ip route add 10.77.0.0/16 dev lo && ip route add fd77::/16 dev lo");
	assert_int_equal(bind(udp, (struct sockaddr *)&any, sizeof(any)), 0);
	for (int i = 0; i < 2; i++) {
		uint8_t frame[128] = {0}, text[64];
		int n = make_udp(frame + 14, from[i], to[i]);

		memcpy(frame, hostif.mac, 6);
		xi_hostif_record(frame + 6, 0x00300007, XI_CRYPTO_SUCCESS);
		put_checksum(frame + 12, i ? ETH_P_IPV6 : ETH_P_IP);
		assert_int_equal(send(packets, frame, (size_t)n + 14, 0), n + 14);
		assert_int_equal(testns_receive(udp, text, sizeof(text)), 9);
		assert_memory_equal(text, "decrypted", 9);
	}
	close(udp);
	close(packets);
}

static void record_is_a_locally_administered_address(void **state)
{
	static const uint8_t want[6] = {0x02, 0x05, 0x12, 0x34, 0x56, 0x78};
	uint8_t mac[6];

	xi_hostif_record(mac, 0x12345678, XI_CRYPTO_TUNNEL_ESP_AUTH_FAILED);
	assert_memory_equal(mac, want, 6);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(record_is_a_locally_administered_address),
		cmocka_unit_test(up_refuses_impossible_numbers),
		cmocka_unit_test(up_makes_the_pair),
		cmocka_unit_test(up_adopts_the_pair),
		cmocka_unit_test(up_leaves_a_device_of_somebody_else),
		cmocka_unit_test(down_removes_the_pair),
		cmocka_unit_test(routed_packets_arrive_without_address_resolution),
		cmocka_unit_test(segmented_sends_arrive_as_finished_packets),
		cmocka_unit_test(tcp_arrives_with_its_checksum),
		cmocka_unit_test(frames_from_inside_reach_the_host),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
