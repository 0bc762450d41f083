/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 *   this host            the peer
 *   10.1.0.1, fd01::1    10.1.0.2, fd01::2
 *        near0 ------------- far0
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
#include <time.h>
#include <unistd.h>
#include <linux/if_ether.h>
#include <netinet/ip_icmp.h>
#include <netinet/icmp6.h>
#include <cmocka.h>

#include "dataplane/fib.h"
#include "dataplane/hostpath.h"
#include "testns.h"

struct fixture {
	struct xi_rawout raw;
	int peer;    /* namespace */
	int packets; /* everything that arrives at far0 */
};

static void setup(struct fixture *f)
{
	int home;

	testns_enter();
	f->peer = testns_new();
	testns_run("ip link add near0 type veth peer name far0");
	testns_give("far0", f->peer);
	testns_run(
		"ip addr add 10.1.0.1/24 dev near0 && ip addr add fd01::1/64 dev near0 nodad && ip link set near0 up");
	home = testns_switch(f->peer);
	testns_run(
		"ip addr add 10.1.0.2/24 dev far0 && ip addr add fd01::2/64 dev far0 nodad && ip link set far0 up");
	f->packets = testns_packets("far0");
	close(testns_switch(home));
	close(home);
	assert_int_equal(xi_rawout_open(&f->raw), 0);
}

static void teardown(struct fixture *f)
{
	xi_rawout_close(&f->raw);
	close(f->packets);
	close(f->peer);
}

/* An ESP packet of len bytes to the peer; DF set. */
static void make_esp4(uint8_t *ip, int len, const char *to)
{
	uint8_t from_addr[16], to_addr[16];

	testns_addr("10.1.0.1", from_addr);
	testns_addr(to, to_addr);
	memset(ip, 0xa5, (size_t)len);
	memcpy(ip, (uint8_t[]){0x45, 0xb8, 0, 0, 0x12, 0x34, 0x40, 0, 61, IPPROTO_ESP, 0, 0}, 12);
	ip[2] = (uint8_t)(len >> 8);
	ip[3] = (uint8_t)len;
	memcpy(ip + 12, from_addr, 4);
	memcpy(ip + 16, to_addr, 4);
}

static void make_esp6(uint8_t *ip, int len)
{
	memset(ip, 0xa5, (size_t)len);
	memcpy(ip, (uint8_t[]){0x6b, 0x80, 0, 0, 0, 0, IPPROTO_ESP, 61}, 8);
	ip[4] = (uint8_t)((len - 40) >> 8);
	ip[5] = (uint8_t)(len - 40);
	testns_addr("fd01::1", ip + 8);
	testns_addr("fd01::2", ip + 24);
}

/* The next ESP packet at the peer, past address resolution; its length. */
static int receive_esp(const struct fixture *f, uint8_t *ip, int room)
{
	uint8_t frame[4096];

	for (;;) {
		int n = testns_receive(f->packets, frame, sizeof(frame));

		if (n < 0)
			return -1;
		if ((frame[12] == 0x08 && frame[13] == 0 && frame[14 + 9] == IPPROTO_ESP) ||
		    (frame[12] == 0x86 && frame[14 + 6] == IPPROTO_ESP)) {
			assert_in_range(n, 14, room + 14);
			memcpy(ip, frame + 14, (size_t)n - 14);
			return n - 14;
		}
	}
}

static void unresolved_next_hop_costs_no_packet(void **state)
{
	uint8_t sent[300], got[300];
	struct fixture f;

	setup(&f);
	testns_run("test -z \"$(ip neigh show dev near0)\"");
	make_esp4(sent, sizeof(sent), "10.1.0.2");
	for (uint8_t i = 0; i < 10; i++) {
		sent[24] = i;
		assert_int_equal(xi_rawout_send(&f.raw, sent, sizeof(sent), 0), 0);
	}
	for (uint8_t i = 0; i < 10; i++) {
		assert_int_equal(receive_esp(&f, got, sizeof(got)), sizeof(sent));
		assert_int_equal(got[24], i);
	}
	make_esp6(sent, sizeof(sent));
	assert_int_equal(xi_rawout_send(&f.raw, sent, sizeof(sent), 0), 0);
	assert_int_equal(receive_esp(&f, got, sizeof(got)), sizeof(sent));
	assert_memory_equal(got, sent, sizeof(sent));
	teardown(&f);
}

static void header_leaves_as_it_is(void **state)
{
	uint8_t sent[60], got[60];
	uint32_t sum = 0;
	struct fixture f;

	setup(&f);
	make_esp4(sent, sizeof(sent), "10.1.0.2");
	assert_int_equal(xi_rawout_send(&f.raw, sent, sizeof(sent), 0), 0);
	assert_int_equal(receive_esp(&f, got, sizeof(got)), sizeof(sent));
	/* All but the checksum: DSCP, ID 0x1234, DF, TTL 61. */
	assert_memory_equal(got, sent, 10);
	assert_memory_equal(got + 12, sent + 12, sizeof(sent) - 12);
	for (int i = 0; i < 20; i += 2)
		sum += (uint32_t)(got[i] << 8 | got[i + 1]);
	assert_int_equal((sum & 0xffff) + (sum >> 16), 0xffff);
	teardown(&f);
}

static void too_big_for_the_device_is_told(void **state)
{
	uint8_t packet[1600];
	struct fixture f;

	setup(&f);
	make_esp4(packet, 1501, "10.1.0.2");
	packet[6] = 0;
	assert_int_equal(xi_rawout_send(&f.raw, packet, 1501, 0), -EMSGSIZE);
	make_esp6(packet, 1501);
	assert_int_equal(xi_rawout_send(&f.raw, packet, 1501, 0), -EMSGSIZE);
	make_esp4(packet, 1500, "10.1.0.2");
	assert_int_equal(xi_rawout_send(&f.raw, packet, 1500, 0), 0);
	teardown(&f);
}

static void path_mtu_does_not_make_fragments(void **state)
{
	uint8_t packet[1200], got[1200];
	struct fixture f;

	setup(&f);
	testns_run("ip route add 10.5.0.0/16 via 10.1.0.2 mtu 700");
	for (int df = 0; df < 2; df++) {
		make_esp4(packet, sizeof(packet), "10.5.0.1");
		packet[6] = df ? 0x40 : 0;
		assert_int_equal(xi_rawout_send(&f.raw, packet, sizeof(packet), 0), 0);
		assert_int_equal(receive_esp(&f, got, sizeof(got)), sizeof(packet));
		assert_int_equal(got[6], packet[6]);
	}
	teardown(&f);
}

static void bad_packets_and_routes_are_told(void **state)
{
	uint8_t packet[100] = {0x45};
	struct fixture f;

	setup(&f);
	assert_int_equal(xi_rawout_send(&f.raw, packet, 0, 0), -EINVAL);
	assert_int_equal(xi_rawout_send(&f.raw, packet, 19, 0), -EINVAL);
	packet[0] = 0x60;
	assert_int_equal(xi_rawout_send(&f.raw, packet, 39, 0), -EINVAL);
	packet[0] = 0x50;
	assert_int_equal(xi_rawout_send(&f.raw, packet, 100, 0), -EINVAL);
	make_esp4(packet, sizeof(packet), "203.0.113.1");
	assert_int_equal(xi_rawout_send(&f.raw, packet, sizeof(packet), 0), -ENETUNREACH);
	testns_run("ip route add unreachable 203.0.113.0/24");
	assert_int_equal(xi_rawout_send(&f.raw, packet, sizeof(packet), 0), -EHOSTUNREACH);
	teardown(&f);
}

static void policies_of_the_kernel_are_bypassed(void **state)
{
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(9)};
	uint8_t packet[100], got[100];
	struct fixture f;
	int plain = -1;

	setup(&f);
	if (system("ip xfrm policy add dir out src 0.0.0.0/0 dst 10.1.0.2/32 action block 2>/dev/null")) {
		print_message("skipped: this kernel has no XFRM policies\n");
		skip();
	}
	testns_addr("10.1.0.2", packet);
	memcpy(&to.sin_addr, packet, 4);
	plain = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	assert_int_equal(sendto(plain, "x", 1, 0, (struct sockaddr *)&to, sizeof(to)), -1);
	assert_int_equal(errno, EPERM);
	make_esp4(packet, sizeof(packet), "10.1.0.2");
	assert_int_equal(xi_rawout_send(&f.raw, packet, sizeof(packet), 0), 0);
	assert_int_equal(receive_esp(&f, got, sizeof(got)), sizeof(packet));
	close(plain);
	teardown(&f);
}

/*
 * ESP from the peer, then UDP to a closed port: the first refusal that comes back says whether ESP
 * was refused.
 */
static int first_refusal(const struct fixture *f, int family)
{
	int home = testns_switch(f->peer);
	int esp = socket(family, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_ESP);
	int udp = socket(family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	int icmp = socket(family, SOCK_RAW | SOCK_CLOEXEC,
			  family == AF_INET ? IPPROTO_ICMP : (int)IPPROTO_ICMPV6);
	struct sockaddr_in6 to6 = {.sin6_family = AF_INET6};
	struct sockaddr_in to4 = {.sin_family = AF_INET};
	struct sockaddr *to = family == AF_INET ? (struct sockaddr *)&to4 : (struct sockaddr *)&to6;
	socklen_t len = family == AF_INET ? sizeof(to4) : sizeof(to6);
	uint8_t packet[256] = {0};
	int refusal = -1;

	testns_addr("10.1.0.1", packet);
	memcpy(&to4.sin_addr, packet, 4);
	testns_addr("fd01::1", (uint8_t *)&to6.sin6_addr);
	assert_int_equal(sendto(esp, packet, 64, 0, to, len), 64);
	to4.sin_port = to6.sin6_port = htons(9);
	assert_int_equal(sendto(udp, "x", 1, 0, to, len), 1);
	while (refusal < 0) {
		const uint8_t *h = packet + (family == AF_INET ? 20 : 0);

		assert_true(testns_receive(icmp, packet, sizeof(packet)) > 0);
		if (h[0] == (family == AF_INET ? ICMP_DEST_UNREACH : ICMP6_DST_UNREACH) ||
		    (family == AF_INET6 && h[0] == ICMP6_PARAM_PROB))
			refusal = h[0] << 8 | h[1];
	}
	close(esp);
	close(udp);
	close(icmp);
	close(testns_switch(home));
	close(home);
	return refusal;
}

static void sink_keeps_the_host_from_refusing_esp(void **state)
{
	const int port4 = ICMP_DEST_UNREACH << 8 | ICMP_PORT_UNREACH;
	const int port6 = ICMP6_DST_UNREACH << 8 | ICMP6_DST_UNREACH_NOPORT;
	struct fixture f;
	char byte;
	int fds[2];

	setup(&f);
	assert_int_equal(xi_esp_sink_open(fds), 0);
	assert_int_equal(first_refusal(&f, AF_INET), port4);
	assert_int_equal(first_refusal(&f, AF_INET6), port6);
	for (int i = 0; i < 2; i++)
		assert_int_equal(recv(fds[i], &byte, 1, MSG_DONTWAIT), -1);
	xi_esp_sink_close(fds);
	/* The control: without it, a host whose kernel has no ESP does refuse. */
	if (first_refusal(&f, AF_INET) != (ICMP_DEST_UNREACH << 8 | ICMP_PROT_UNREACH))
		print_message("this kernel has ESP of its own: the control does not apply\n");
	teardown(&f);
}

/* "Fragmentation needed, MTU 900" (RFC 1191) from the peer about packet. */
static void refuse_size(const struct fixture *f, const uint8_t *packet)
{
	struct sockaddr_in to = {.sin_family = AF_INET};
	uint8_t icmp[8 + 28] = {ICMP_DEST_UNREACH, ICMP_FRAG_NEEDED, 0, 0, 0, 0,
				900 >> 8,	   900 & 255};
	int home = testns_switch(f->peer);
	int fd = socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_ICMP);
	uint32_t sum = 0;

	memcpy(icmp + 8, packet, 28);
	for (size_t i = 0; i < sizeof(icmp); i += 2)
		sum += (uint32_t)(icmp[i] << 8 | icmp[i + 1]);
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	icmp[2] = (uint8_t)(~sum >> 8);
	icmp[3] = (uint8_t)~sum;
	memcpy(&to.sin_addr, packet + 12, 4);
	assert_int_equal(sendto(fd, icmp, sizeof(icmp), 0, (struct sockaddr *)&to, sizeof(to)),
			 sizeof(icmp));
	close(fd);
	close(testns_switch(home));
	close(home);
}

/* ICMP destination unreachable that this namespace's stack has taken in. */
static unsigned long unreachables(void)
{
	char line[512], names[512] = "", *name, *value, *save_n, *save_v;
	FILE *file = fopen("/proc/thread-self/net/snmp", "re");
	unsigned long n = 0;

	assert_non_null(file);
	while (fgets(line, sizeof(line), file)) {
		if (strncmp(line, "Icmp:", 5))
			continue;
		if (!*names) {
			strcpy(names, line);
			continue;
		}
		name = strtok_r(names, " \n", &save_n);
		value = strtok_r(line, " \n", &save_v);
		for (; name && value; name = strtok_r(NULL, " \n", &save_n),
				      value = strtok_r(NULL, " \n", &save_v))
			if (!strcmp(name, "InDestUnreachs"))
				n = strtoul(value, NULL, 10);
		break;
	}
	fclose(file);
	return n;
}

/* Only errors about SAs count, and the stack knows none: anybody could write the others. */
static void errors_about_esp_teach_the_host_no_path_mtu(void **state)
{
	time_t deadline = time(NULL) + 5;
	struct xi_fib_route route = {0};
	uint8_t packet[1200], got[1200];
	unsigned long before;
	struct xi_rtnl rt;
	struct fixture f;
	int fds[2];

	setup(&f);
	testns_run("ip route add 10.5.0.0/16 via 10.1.0.2");
	assert_int_equal(xi_esp_sink_open(fds), 0);
	assert_int_equal(xi_rtnl_open(&rt), 0);
	make_esp4(packet, sizeof(packet), "10.5.0.1");
	assert_int_equal(xi_rawout_send(&f.raw, packet, sizeof(packet), 0), 0);
	assert_int_equal(receive_esp(&f, got, sizeof(got)), sizeof(packet));
	before = unreachables();
	refuse_size(&f, got);
	while (unreachables() == before && time(NULL) < deadline)
		;
	assert_int_equal(unreachables(), before + 1);
	assert_int_equal(xi_fib_route(&rt, (uint8_t[16]){10, 5, 0, 1}, XI_IPV4, 0, &route), 0);
	assert_int_not_equal(route.mtu, 900);
	xi_rtnl_close(&rt);
	xi_esp_sink_close(fds);
	teardown(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(unresolved_next_hop_costs_no_packet),
		cmocka_unit_test(header_leaves_as_it_is),
		cmocka_unit_test(too_big_for_the_device_is_told),
		cmocka_unit_test(path_mtu_does_not_make_fragments),
		cmocka_unit_test(bad_packets_and_routes_are_told),
		cmocka_unit_test(policies_of_the_kernel_are_bypassed),
		cmocka_unit_test(sink_keeps_the_host_from_refusing_esp),
		cmocka_unit_test(errors_about_esp_teach_the_host_no_path_mtu),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
