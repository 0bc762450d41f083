/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "testns.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>

void testns_enter(void)
{
	if (geteuid() || unshare(CLONE_NEWNET | CLONE_NEWNS)) {
		print_message("skipped: a network namespace of its own needs root\n");
		skip();
	}
	assert_int_equal(mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL), 0);
	testns_run("ip link set lo up");
}

static int testns_current(void)
{
	int fd = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);

	assert_true(fd >= 0);
	return fd;
}

int testns_new(void)
{
	int old = testns_current();
	int fresh;

	assert_int_equal(unshare(CLONE_NEWNET), 0);
	testns_run("ip link set lo up");
	fresh = testns_current();
	close(testns_switch(old));
	close(old);
	return fresh;
}

int testns_switch(int fd)
{
	int old = testns_current();

	assert_int_equal(setns(fd, CLONE_NEWNET), 0);
	return old;
}

void testns_run(const char *fmt, ...)
{
	char command[512];
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(command, sizeof(command), fmt, ap);
	va_end(ap);
	assert_in_range(n, 1, sizeof(command) - 1);
	if (system(command))
		fail_msg("failed: %s", command);
}

void testns_give(const char *device, int fd)
{
	testns_run("ip link set %s netns /proc/%d/fd/%d", device, (int)getpid(), fd);
}

int testns_addr(const char *text, uint8_t addr[16])
{
	int family = strchr(text, ':') ? AF_INET6 : AF_INET;

	memset(addr, 0, 16);
	assert_int_equal(inet_pton(family, text, addr), 1);
	return family;
}

int testns_packets(const char *device)
{
	struct sockaddr_ll ll = {.sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL)};
	int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, htons(ETH_P_ALL));

	ll.sll_ifindex = (int)if_nametoindex(device);
	assert_true(fd >= 0 && ll.sll_ifindex);
	assert_int_equal(bind(fd, (struct sockaddr *)&ll, sizeof(ll)), 0);
	return fd;
}

static bool readable(int fd, int ms)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};

	return poll(&p, 1, ms) == 1;
}

int testns_receive(int fd, void *buf, int room)
{
	return readable(fd, 5000) ? (int)recv(fd, buf, (size_t)room, 0) : -1;
}

bool testns_readable(int fd)
{
	return readable(fd, 0);
}

static uint32_t sum(uint32_t s, const uint8_t *data, int len)
{
	for (int i = 0; i < len; i++)
		s += i % 2 ? data[i] : (uint32_t)data[i] << 8;
	return s;
}

uint16_t testns_l4_checksum(const uint8_t *ip, int len)
{
	bool v4 = ip[0] >> 4 == 4;
	int header = v4 ? (ip[0] & 15) * 4 : 40;
	uint32_t s = v4 ? sum(ip[9], ip + 12, 8) : sum(ip[6], ip + 8, 32);

	s = sum(s + (uint32_t)(len - header), ip + header, len - header);
	while (s >> 16)
		s = (s & 0xffff) + (s >> 16);
	return (uint16_t)~s;
}
