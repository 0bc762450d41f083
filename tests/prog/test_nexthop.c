/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Next hops follow the kernel. The test is worker 0 and the control thread at once.
 *
 *   10.1.0.1/24, fd01::1/64   lan0 (port 4) --- far0
 *   10.2.0.1/24               aux0 (no port) --- far1
 */
#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <net/if.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>

#include "dataplane/nexthop.h"
#include "testns.h"

#define PORT 4

static time_t clock_ahead;

/*
 * In the place of the C library's: minutes pass at once, for the code under test and for libevent.
 */
int clock_gettime(clockid_t clock, struct timespec *ts)
{
	long err = syscall(SYS_clock_gettime, clock, ts);

	ts->tv_sec += clock_ahead;
	return (int)err;
}

struct fixture {
	struct event_base *base;
	struct xi_nexthops *nh;
	uint32_t lan;
	struct xi_addr *addrs;
	uint32_t naddrs;
	unsigned int addr_calls;
	unsigned int syncs;
	const struct xi_nexthop *held; /* by the worker, until it is quiescent */
	bool held_at_sync;
	bool late;
	uint32_t mark;               /* of the packets that are asked about */
};

static int port_of(void *arg, uint32_t ifindex)
{
	const struct fixture *f = arg;

	return ifindex == f->lan ? PORT : -1;
}

static void take_addrs(void *arg, const struct xi_addr *addrs, uint32_t n)
{
	struct fixture *f = arg;

	f->addrs = realloc(f->addrs, (n + 1) * sizeof(*addrs));
	assert_non_null(f->addrs);
	memcpy(f->addrs, addrs, n * sizeof(*addrs));
	f->naddrs = n;
	f->addr_calls++;
}

static void take_sync(void *arg)
{
	struct fixture *f = arg;

	if (f->held)
		f->held_at_sync = f->held->kind == XI_NEXTHOP_HOST;
	f->held = NULL;
	f->syncs++;
}

static void setup(struct fixture *f)
{
	struct xi_nexthop_config config = {
		.nworkers = 1,
		.port = port_of,
		.addrs = take_addrs,
		.sync = take_sync,
		.mark = 0x50051,
		.sport = 4500,
		.arg = f,
	};

	memset(f, 0, sizeof(*f));
	testns_enter();
	testns_run("ip link add lan0 address 02:00:00:00:01:01 type veth peer name far0");
	testns_run("ip link add aux0 type veth peer name far1");
	testns_run("for d in lan0 far0 aux0 far1; do ip link set $d up; done");
	testns_run(
		"ip addr add 10.1.0.1/24 dev lan0 && ip addr add fd01::1/64 dev lan0 nodad && ip addr add 10.2.0.1/24 dev aux0");
	f->lan = if_nametoindex("lan0");
	f->base = config.base = event_base_new();
	assert_int_equal(xi_nexthops_create(&f->nh, &config), 0);
}

static void teardown(struct fixture *f)
{
	xi_nexthops_destroy(f->nh);
	event_base_free(f->base);
	free(f->addrs);
}

static void on_deadline(evutil_socket_t fd, short what, void *arg)
{
	((struct fixture *)arg)->late = true;
}

typedef bool (*condition_fn)(struct fixture *f, const void *arg);

/* Runs the event loop until the condition holds; fails after 5 s. */
static void await(struct fixture *f, condition_fn condition, const void *arg)
{
	static const struct timeval patience = {.tv_sec = 5};
	struct event *deadline = evtimer_new(f->base, on_deadline, f);

	evtimer_add(deadline, &patience);
	while (!condition(f, arg)) {
		assert_false(f->late);
		event_base_loop(f->base, EVLOOP_ONCE);
	}
	event_free(deadline);
}

static const struct xi_nexthop *find(struct fixture *f, const char *text)
{
	uint8_t addr[16];
	enum xi_family family = testns_addr(text, addr) == AF_INET ? XI_IPV4 : XI_IPV6;

	return xi_nexthop_find(f->nh, addr, family, f->mark);
}

static void want(struct fixture *f, const char *text)
{
	uint8_t addr[16];
	enum xi_family family = testns_addr(text, addr) == AF_INET ? XI_IPV4 : XI_IPV6;

	xi_nexthop_want(f->nh, 0, addr, family, f->mark);
}

static bool is_known(struct fixture *f, const void *arg)
{
	return find(f, arg);
}

static const struct xi_nexthop *resolve(struct fixture *f, const char *text)
{
	const struct xi_nexthop *nh = find(f, text);

	if (!nh) {
		want(f, text);
		await(f, is_known, text);
	}
	return find(f, text);
}

struct expected {
	const char *addr;
	enum xi_nexthop_kind kind;
	uint8_t mac;  /* last byte of the neighbour's, XI_NEXTHOP_PORT only */
	uint32_t mtu; /* 0: any */
};

static bool is_as_expected(struct fixture *f, const void *arg)
{
	const struct expected *e = arg;
	const struct xi_nexthop *nh = find(f, e->addr);

	return nh && nh->kind == e->kind && (e->kind != XI_NEXTHOP_PORT || nh->eth[5] == e->mac) &&
	       (!e->mtu || nh->mtu == e->mtu);
}

static void await_nexthop(struct fixture *f, const char *addr, enum xi_nexthop_kind kind,
			  uint8_t mac, uint32_t mtu)
{
	const struct expected e = {addr, kind, mac, mtu};

	await(f, is_as_expected, &e);
}

static void unknown_address_is_null_until_asked_for(void **state)
{
	struct fixture f;

	setup(&f);
	assert_null(find(&f, "10.1.0.9"));
	assert_int_equal(xi_nexthops_count(f.nh), 0);
	want(&f, "10.1.0.9");
	want(&f, "10.1.0.9");
	await(&f, is_known, "10.1.0.9");
	assert_int_equal(xi_nexthops_count(f.nh), 1);
	teardown(&f);
}

static void own_address_is_local(void **state)
{
	struct fixture f;

	setup(&f);
	assert_int_equal(resolve(&f, "10.1.0.1")->kind, XI_NEXTHOP_LOCAL);
	assert_int_equal(resolve(&f, "10.2.0.1")->kind, XI_NEXTHOP_LOCAL);
	assert_int_equal(resolve(&f, "fd01::1")->kind, XI_NEXTHOP_LOCAL);
	assert_int_equal(resolve(&f, "127.0.0.1")->kind, XI_NEXTHOP_LOCAL);
	teardown(&f);
}

static void resolved_neighbour_has_a_complete_header(void **state)
{
	static const uint8_t eth4[14] = {2, 0, 0, 0, 9, 9, 2, 0, 0, 0, 1, 1, 0x08, 0x00};
	static const uint8_t eth6[14] = {2, 0, 0, 0, 9, 6, 2, 0, 0, 0, 1, 1, 0x86, 0xdd};
	const struct xi_nexthop *nh;
	struct fixture f;

	setup(&f);
	testns_run("ip neigh add 10.1.0.9 lladdr 02:00:00:00:09:09 dev lan0 nud permanent");
	testns_run("ip neigh add fd01::9 lladdr 02:00:00:00:09:06 dev lan0 nud permanent");
	nh = resolve(&f, "10.1.0.9");
	assert_int_equal(nh->kind, XI_NEXTHOP_PORT);
	assert_int_equal(nh->port, PORT);
	assert_int_equal(nh->ifindex, f.lan);
	assert_int_equal(nh->mtu, 1500);
	assert_memory_equal(nh->eth, eth4, 14);
	nh = resolve(&f, "fd01::9");
	assert_int_equal(nh->kind, XI_NEXTHOP_PORT);
	assert_memory_equal(nh->eth, eth6, 14);
	teardown(&f);
}

static void unresolved_neighbour_goes_by_the_host_until_known(void **state)
{
	struct fixture f;

	setup(&f);
	assert_int_equal(resolve(&f, "10.1.0.9")->kind, XI_NEXTHOP_HOST);
	assert_int_equal(resolve(&f, "fd01::9")->kind, XI_NEXTHOP_HOST);
	testns_run("ip neigh replace 10.1.0.9 lladdr 02:00:00:00:00:21 dev lan0 nud reachable");
	await_nexthop(&f, "10.1.0.9", XI_NEXTHOP_PORT, 0x21, 0);
	testns_run("ip neigh replace fd01::9 lladdr 02:00:00:00:00:22 dev lan0 nud reachable");
	await_nexthop(&f, "fd01::9", XI_NEXTHOP_PORT, 0x22, 0);
	testns_run("ip neigh replace 10.1.0.9 lladdr 02:00:00:00:00:23 dev lan0 nud reachable");
	await_nexthop(&f, "10.1.0.9", XI_NEXTHOP_PORT, 0x23, 0);
	testns_run("ip neigh del 10.1.0.9 dev lan0");
	await_nexthop(&f, "10.1.0.9", XI_NEXTHOP_HOST, 0, 0);
	teardown(&f);
}

/* Rules of fwmark, and those by which questions pass by a table that is for the host's own packets. */
static void packets_of_a_mark_have_a_way_of_their_own(void **state)
{
	struct fixture f;
	int i;

	setup(&f);
	for (i = 7; i <= 9; i++) {
		testns_run("ip neigh add 10.1.0.%d lladdr 02:00:00:00:00:0%d dev lan0 nud permanent", i, i);
		testns_run("ip neigh add fd01::%d lladdr 02:00:00:00:00:0%d dev lan0 nud permanent", i, i);
	}
	for (i = 4; i <= 6; i += 2) {
		testns_run("ip -%d route add default via %s dev lan0", i, i == 4 ? "10.1.0.7" : "fd01::7");
		testns_run("ip -%d route add default via %s dev lan0 table 55", i, i == 4 ? "10.1.0.8" : "fd01::8");
		testns_run("ip -%d route add default via %s dev lan0 table 56", i, i == 4 ? "10.1.0.9" : "fd01::9");
		testns_run("ip -%d rule add pref 300 fwmark 5 table 55", i);
		testns_run("ip -%d rule add pref 212 nop", i);
		testns_run("ip -%d rule add pref 210 fwmark 0x50051 goto 212", i);
		testns_run("ip -%d rule add pref 210 ipproto udp sport 4500 goto 212", i);
		testns_run("ip -%d rule add pref 211 iif lo table 56", i);
	}
	for (f.mark = 0; f.mark < 10; f.mark += 5) {
		resolve(&f, "9.9.9.9");
		resolve(&f, "fd09::9");
		await_nexthop(&f, "9.9.9.9", XI_NEXTHOP_PORT, f.mark ? 8 : 7, 0);
		await_nexthop(&f, "fd09::9", XI_NEXTHOP_PORT, f.mark ? 8 : 7, 0);
	}
	assert_int_equal(xi_nexthops_count(f.nh), 4);
	f.mark = 6;
	resolve(&f, "9.9.9.9");
	await_nexthop(&f, "9.9.9.9", XI_NEXTHOP_PORT, 7, 0);
	f.mark = 5;
	testns_run("ip rule del fwmark 5");
	await_nexthop(&f, "9.9.9.9", XI_NEXTHOP_PORT, 7, 0);
	teardown(&f);
}

static void gateway_serves_all_its_destinations(void **state)
{
	struct fixture f;

	setup(&f);
	testns_run("ip route add 10.9.0.0/16 via 10.1.0.9 && ip route add fd09::/48 via fd01::9");
	testns_run("ip route add 10.8.0.0/16 via inet6 fd01::9 dev lan0");
	resolve(&f, "10.9.0.1");
	resolve(&f, "10.9.0.2");
	resolve(&f, "10.8.0.1");
	resolve(&f, "fd09::1");
	testns_run("ip neigh add 10.1.0.9 lladdr 02:00:00:00:00:31 dev lan0 nud stale");
	testns_run("ip neigh add fd01::9 lladdr 02:00:00:00:00:32 dev lan0 nud permanent");
	await_nexthop(&f, "10.9.0.1", XI_NEXTHOP_PORT, 0x31, 0);
	await_nexthop(&f, "10.9.0.2", XI_NEXTHOP_PORT, 0x31, 0);
	await_nexthop(&f, "fd09::1", XI_NEXTHOP_PORT, 0x32, 0);
	await_nexthop(&f, "10.8.0.1", XI_NEXTHOP_PORT, 0x32, 0);
	/* The header's type is the packet's family, whatever the gateway's. */
	assert_int_equal(find(&f, "10.8.0.1")->eth[12], 0x08);
	teardown(&f);
}

static void route_change_is_followed(void **state)
{
	struct fixture f;

	setup(&f);
	testns_run("ip neigh add 10.1.0.9 lladdr 02:00:00:00:00:41 dev lan0 nud permanent");
	testns_run("ip neigh add 10.1.0.8 lladdr 02:00:00:00:00:42 dev lan0 nud permanent");
	assert_int_equal(resolve(&f, "10.9.0.1")->kind, XI_NEXTHOP_HOST);
	testns_run("ip route add 10.9.0.0/16 via 10.1.0.9 mtu 1300");
	await_nexthop(&f, "10.9.0.1", XI_NEXTHOP_PORT, 0x41, 1300);
	testns_run("ip route replace 10.9.0.0/16 via 10.1.0.8");
	await_nexthop(&f, "10.9.0.1", XI_NEXTHOP_PORT, 0x42, 1500);
	testns_run("ip route add 10.9.0.1 dev aux0");
	await_nexthop(&f, "10.9.0.1", XI_NEXTHOP_HOST, 0, 0);
	testns_run("ip route del 10.9.0.1 dev aux0");
	await_nexthop(&f, "10.9.0.1", XI_NEXTHOP_PORT, 0x42, 0);
	testns_run("ip rule add to 10.9.0.0/16 blackhole");
	await_nexthop(&f, "10.9.0.1", XI_NEXTHOP_HOST, 0, 0);
	testns_run("ip rule del to 10.9.0.0/16 blackhole");
	await_nexthop(&f, "10.9.0.1", XI_NEXTHOP_PORT, 0x42, 0);
	teardown(&f);
}

static void nexthop_object_change_is_followed(void **state)
{
	struct fixture f;

	setup(&f);
	testns_run("ip neigh add 10.1.0.9 lladdr 02:00:00:00:00:45 dev lan0 nud permanent");
	testns_run("ip neigh add 10.1.0.8 lladdr 02:00:00:00:00:46 dev lan0 nud permanent");
	testns_run("ip nexthop add id 7 via 10.1.0.9 dev lan0 && ip route add 10.9.0.0/16 nhid 7");
	assert_int_equal(resolve(&f, "10.9.0.1")->eth[5], 0x45);
	testns_run("ip nexthop replace id 7 via 10.1.0.8 dev lan0");
	await_nexthop(&f, "10.9.0.1", XI_NEXTHOP_PORT, 0x46, 0);
	teardown(&f);
}

static void link_changes_are_followed(void **state)
{
	struct fixture f;

	setup(&f);
	testns_run("ip neigh add 10.1.0.9 lladdr 02:00:00:00:00:51 dev lan0 nud permanent");
	assert_int_equal(resolve(&f, "10.1.0.9")->kind, XI_NEXTHOP_PORT);
	testns_run("ip link set lan0 mtu 1380");
	await_nexthop(&f, "10.1.0.9", XI_NEXTHOP_PORT, 0x51, 1380);
	testns_run("ip link set lan0 down");
	await_nexthop(&f, "10.1.0.9", XI_NEXTHOP_HOST, 0, 0);
	testns_run(
		"ip link set lan0 up && ip neigh replace 10.1.0.9 lladdr 02:00:00:00:00:52 dev lan0 nud permanent");
	await_nexthop(&f, "10.1.0.9", XI_NEXTHOP_PORT, 0x52, 1380);
	testns_run("ip link del lan0");
	await_nexthop(&f, "10.1.0.9", XI_NEXTHOP_HOST, 0, 0);
	teardown(&f);
}

static void what_is_no_port_of_ours_goes_by_the_host(void **state)
{
	struct fixture f;

	setup(&f);
	testns_run("ip neigh add 10.2.0.9 lladdr 02:00:00:00:00:61 dev aux0 nud permanent");
	testns_run("ip route add unreachable 10.6.0.0/16 && ip route add blackhole 10.7.0.0/16");
	assert_int_equal(resolve(&f, "10.2.0.9")->kind, XI_NEXTHOP_HOST);
	assert_int_equal(resolve(&f, "10.2.0.9")->ifindex, if_nametoindex("aux0"));
	assert_int_equal(resolve(&f, "10.6.0.1")->kind, XI_NEXTHOP_HOST);
	assert_int_equal(resolve(&f, "10.7.0.1")->kind, XI_NEXTHOP_HOST);
	assert_int_equal(resolve(&f, "203.0.113.1")->kind, XI_NEXTHOP_HOST);
	assert_int_equal(resolve(&f, "10.1.0.255")->kind, XI_NEXTHOP_HOST);
	assert_int_equal(resolve(&f, "224.0.0.1")->kind, XI_NEXTHOP_HOST);
	assert_int_equal(resolve(&f, "2001:db8::1")->kind, XI_NEXTHOP_HOST);
	teardown(&f);
}

static bool has_addr(struct fixture *f, const void *arg)
{
	struct xi_addr want_addr = {0};

	want_addr.family = testns_addr(arg, want_addr.addr) == AF_INET ? XI_IPV4 : XI_IPV6;
	for (uint32_t i = 0; i < f->naddrs; i++)
		if (!memcmp(&f->addrs[i], &want_addr, sizeof(want_addr)))
			return true;
	return false;
}

static bool lacks_addr(struct fixture *f, const void *arg)
{
	return !has_addr(f, arg);
}

static void own_addresses_are_told_whole(void **state)
{
	struct fixture f;

	setup(&f);
	assert_int_equal(f.addr_calls, 1);
	assert_true(has_addr(&f, "127.0.0.1") && has_addr(&f, "::1"));
	assert_true(has_addr(&f, "10.1.0.1") && has_addr(&f, "10.2.0.1") &&
		    has_addr(&f, "fd01::1"));
	assert_false(has_addr(&f, "10.1.0.3"));
	testns_run(
		"ip addr add 10.1.0.3/24 dev lan0 && ip addr add 10.3.0.1 peer 10.3.0.2 dev lan0");
	await(&f, has_addr, "10.1.0.3");
	await(&f, has_addr, "10.3.0.1");
	assert_false(has_addr(&f, "10.3.0.2"));
	assert_int_equal(resolve(&f, "10.1.0.3")->kind, XI_NEXTHOP_LOCAL);
	testns_run("ip addr del 10.1.0.3/24 dev lan0 && ip addr del fd01::1/64 dev lan0");
	await(&f, lacks_addr, "10.1.0.3");
	await(&f, lacks_addr, "fd01::1");
	assert_true(has_addr(&f, "10.1.0.1"));
	await_nexthop(&f, "10.1.0.3", XI_NEXTHOP_HOST, 0, 0);
	teardown(&f);
}

static bool is_no_longer_stale(struct fixture *f, const void *arg)
{
	find(f, "10.1.0.9");
	return !system("ip neigh show 10.1.0.9 dev lan0 | grep -qE 'DELAY|PROBE|REACHABLE'");
}

static void stale_neighbour_in_use_is_confirmed(void **state)
{
	struct fixture f;

	setup(&f);
	testns_run("ip neigh add 10.1.0.9 lladdr 02:00:00:00:00:71 dev lan0 nud stale");
	assert_int_equal(resolve(&f, "10.1.0.9")->kind, XI_NEXTHOP_PORT);
	await(&f, is_no_longer_stale, NULL);
	assert_int_equal(find(&f, "10.1.0.9")->kind, XI_NEXTHOP_PORT);
	teardown(&f);
}

static bool has_synced(struct fixture *f, const void *arg)
{
	return f->syncs;
}

static void replaced_answers_wait_for_the_workers(void **state)
{
	struct fixture f;

	setup(&f);
	f.held = resolve(&f, "10.1.0.9");
	assert_int_equal(f.held->kind, XI_NEXTHOP_HOST);
	testns_run("ip neigh replace 10.1.0.9 lladdr 02:00:00:00:00:81 dev lan0 nud permanent");
	await_nexthop(&f, "10.1.0.9", XI_NEXTHOP_PORT, 0x81, 0);
	await(&f, has_synced, NULL);
	assert_true(f.held_at_sync);
	teardown(&f);
}

static void unused_next_hops_are_forgotten_and_can_come_back(void **state)
{
	struct fixture f;

	setup(&f);
	testns_run("ip route add 10.9.0.0/16 via 10.1.0.9");
	resolve(&f, "10.9.0.1");
	resolve(&f, "10.9.0.2");
	resolve(&f, "10.9.0.3");
	for (int i = 0; i < 20 && xi_nexthops_count(f.nh) > 1; i++) {
		clock_ahead += 200;
		find(&f, "10.9.0.2");
		event_base_loop(f.base, EVLOOP_ONCE);
	}
	assert_int_equal(xi_nexthops_count(f.nh), 1);
	assert_null(find(&f, "10.9.0.1"));
	assert_null(find(&f, "10.9.0.3"));
	assert_non_null(find(&f, "10.9.0.2"));
	assert_true(f.syncs);
	assert_int_equal(resolve(&f, "10.9.0.1")->kind, XI_NEXTHOP_HOST);
	testns_run("ip neigh replace 10.1.0.9 lladdr 02:00:00:00:00:85 dev lan0 nud permanent");
	await_nexthop(&f, "10.9.0.1", XI_NEXTHOP_PORT, 0x85, 0);
	await_nexthop(&f, "10.9.0.2", XI_NEXTHOP_PORT, 0x85, 0);
	teardown(&f);
}

/* The notification socket is the netlink socket that does not block. */
static void shrink_notification_buffer(void)
{
	for (int fd = 3; fd < 64; fd++) {
		int domain = 0, size = 1;
		socklen_t len = sizeof(domain);

		if (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &len) || domain != AF_NETLINK)
			continue;
		if (fcntl(fd, F_GETFL) & O_NONBLOCK)
			assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size)),
					 0);
	}
}

static bool has_many(struct fixture *f, const void *arg)
{
	return xi_nexthops_count(f->nh) == 200;
}

static void many_are_followed_through_lost_notifications(void **state)
{
	char text[32];
	struct fixture f;

	setup(&f);
	testns_run("ip neigh add 10.1.0.9 lladdr 02:00:00:00:00:91 dev lan0 nud permanent");
	testns_run("ip route add 10.9.0.0/16 via 10.1.0.9");
	for (int i = 0; i < 200; i++) {
		snprintf(text, sizeof(text), "10.9.0.%d", i + 1);
		want(&f, text);
	}
	await(&f, has_many, NULL);
	/*
	 * More changes than the socket's buffer holds, while nobody reads: those that count are
	 * lost.
	 */
	shrink_notification_buffer();
	testns_run(
		"for i in $(seq 1 100); do echo route add 10.100.$i.0/24 dev aux0; done | ip -batch -");
	testns_run("ip neigh replace 10.1.0.9 lladdr 02:00:00:00:00:92 dev lan0 nud permanent");
	testns_run("ip addr add 10.1.0.77/24 dev lan0");
	for (int i = 0; i < 200; i++) {
		snprintf(text, sizeof(text), "10.9.0.%d", i + 1);
		await_nexthop(&f, text, XI_NEXTHOP_PORT, 0x92, 0);
	}
	await(&f, has_addr, "10.1.0.77");
	teardown(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(unknown_address_is_null_until_asked_for),
		cmocka_unit_test(own_address_is_local),
		cmocka_unit_test(resolved_neighbour_has_a_complete_header),
		cmocka_unit_test(unresolved_neighbour_goes_by_the_host_until_known),
		cmocka_unit_test(packets_of_a_mark_have_a_way_of_their_own),
		cmocka_unit_test(gateway_serves_all_its_destinations),
		cmocka_unit_test(route_change_is_followed),
		cmocka_unit_test(nexthop_object_change_is_followed),
		cmocka_unit_test(link_changes_are_followed),
		cmocka_unit_test(what_is_no_port_of_ours_goes_by_the_host),
		cmocka_unit_test(own_addresses_are_told_whole),
		cmocka_unit_test(stale_neighbour_in_use_is_confirmed),
		cmocka_unit_test(replaced_answers_wait_for_the_workers),
		cmocka_unit_test(unused_next_hops_are_forgotten_and_can_come_back),
		cmocka_unit_test(many_are_followed_through_lost_notifications),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
