/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "dataplane/hostpath.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <netinet/ip6.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <linux/filter.h>
#include <linux/netlink.h>
#include <linux/xfrm.h>

#include "log.h"

/*
 * Packets that wait for ARP count against the socket's buffer, up to 208 KiB a neighbour: with the
 * usual buffer one dead next hop would block all others.
 */
#define RAWOUT_SNDBUF (16 << 20)

static int socket_drop_input(int fd)
{
	struct sock_filter drop = BPF_STMT(BPF_RET | BPF_K, 0);
	struct sock_fprog prog = {.len = 1, .filter = &drop};

	return setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &prog, sizeof(prog)) < 0 ? -errno : 0;
}

/* A raw socket that never receives. */
static int raw_open(int family, int protocol)
{
	int fd = socket(family, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, protocol);
	int err;

	if (fd < 0)
		return -errno;
	err = socket_drop_input(fd);
	if (err) {
		close(fd);
		return err;
	}
	return fd;
}

static int rawout_set_policy(int fd, int family)
{
	struct xfrm_userpolicy_info policy = {
		.sel.family = (uint16_t)family,
		.action = XFRM_POLICY_ALLOW,
		.dir = XFRM_POLICY_OUT,
	};
	int level = family == AF_INET ? IPPROTO_IP : IPPROTO_IPV6;
	int name = family == AF_INET ? IP_XFRM_POLICY : IPV6_XFRM_POLICY;

	return setsockopt(fd, level, name, &policy, sizeof(policy)) ? -errno : 0;
}

/*
 * The packets have been through our policies: those of the kernel's own XFRM must not see them
 * again. It understands the policy only when the module xfrm_user is there, which the opening of
 * such a socket loads.
 */
static int rawout_bypass_xfrm(int fd, int family)
{
	int err = rawout_set_policy(fd, family), xfrm;

	if (err == -EINVAL) {
		xfrm = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_XFRM);
		if (xfrm >= 0)
			close(xfrm);
		err = rawout_set_policy(fd, family);
	}
	/* A kernel without XFRM has no policies to bypass. */
	return err == -ENOPROTOOPT || err == -EOPNOTSUPP ? 0 : err;
}

/*
 * PROBE: the size of a packet was decided by who made it; the stack neither fragments nor drops by
 * path MTU.
 */
static int rawout_open_family(int family)
{
	int level = family == AF_INET ? IPPROTO_IP : IPPROTO_IPV6;
	int name = family == AF_INET ? IP_MTU_DISCOVER : IPV6_MTU_DISCOVER;
	int probe = family == AF_INET ? IP_PMTUDISC_PROBE : IPV6_PMTUDISC_PROBE;
	int size = RAWOUT_SNDBUF;
	int fd = raw_open(family, IPPROTO_RAW);
	int err;

	if (fd < 0)
		return fd;
	err = setsockopt(fd, level, name, &probe, sizeof(probe)) < 0 ? -errno : 0;
	if (!err)
		err = rawout_bypass_xfrm(fd, family);
	if (err) {
		close(fd);
		return err;
	}
	if (setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof(size)) < 0)
		(void)setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
	return fd;
}

/* Both families by the same opener; a host without IPv6 is none to complain about. */
static int open_pair(int fds[2], int (*open_family)(int family), const char *what)
{
	static const int families[2] = {AF_INET, AF_INET6};

	fds[0] = fds[1] = -1;
	for (int i = 0; i < 2; i++) {
		int fd = open_family(families[i]);

		if (fd == -EAFNOSUPPORT && i)
			break;
		if (fd < 0) {
			log_warnx(
				"cannot open the %s socket: %s: CAP_NET_RAW and CAP_NET_ADMIN are needed",
				what, strerror(-fd));
			if (fds[0] >= 0)
				close(fds[0]);
			fds[0] = -1;
			return fd;
		}
		fds[i] = fd;
	}
	return 0;
}

int xi_rawout_open(struct xi_rawout *r)
{
	int fds[2];
	int err = open_pair(fds, rawout_open_family, "raw IP");

	*r = (struct xi_rawout){.fd4 = fds[0], .fd6 = fds[1]};
	return err;
}

void xi_rawout_close(struct xi_rawout *r)
{
	if (r->fd4 >= 0)
		close(r->fd4);
	if (r->fd6 >= 0)
		close(r->fd6);
	*r = (struct xi_rawout){.fd4 = -1, .fd6 = -1};
}

static int send_marked(int fd, const struct sockaddr *to, socklen_t tolen, const uint8_t *packet,
		       uint32_t len, uint32_t mark)
{
	union {
		struct cmsghdr hdr;
		char buf[CMSG_SPACE(sizeof(mark))];
	} control = {.hdr = {CMSG_LEN(sizeof(mark)), SOL_SOCKET, SO_MARK}};
	struct iovec iov = {(void *)packet, len};
	const struct msghdr msg = {.msg_name = (void *)to,
				   .msg_namelen = tolen,
				   .msg_iov = &iov,
				   .msg_iovlen = 1,
				   .msg_control = &control,
				   .msg_controllen = sizeof(control)};

	if (!mark)
		return sendto(fd, packet, len, 0, to, tolen) < 0 ? -errno : 0;
	memcpy(CMSG_DATA(&control.hdr), &mark, sizeof(mark));
	return sendmsg(fd, &msg, 0) < 0 ? -errno : 0;
}

static int rawout_send4(struct xi_rawout *r, const uint8_t *packet, uint32_t len, uint32_t mark)
{
	struct sockaddr_in to = {.sin_family = AF_INET};

	if (len < sizeof(struct iphdr))
		return -EINVAL;
	memcpy(&to.sin_addr, packet + offsetof(struct iphdr, daddr), 4);
	return send_marked(r->fd4, (struct sockaddr *)&to, sizeof(to), packet, len, mark);
}

static int rawout_send6(struct xi_rawout *r, const uint8_t *packet, uint32_t len, uint32_t mark)
{
	struct sockaddr_in6 to = {.sin6_family = AF_INET6};

	if (len < sizeof(struct ip6_hdr))
		return -EINVAL;
	if (r->fd6 < 0)
		return -EAFNOSUPPORT;
	memcpy(&to.sin6_addr, packet + offsetof(struct ip6_hdr, ip6_dst), 16);
	return send_marked(r->fd6, (struct sockaddr *)&to, sizeof(to), packet, len, mark);
}

int xi_rawout_send(struct xi_rawout *r, const uint8_t *ip_packet, uint32_t len, uint32_t mark)
{
	switch (len ? ip_packet[0] >> 4 : 0) {
	case 4:
		return rawout_send4(r, ip_packet, len, mark);
	case 6:
		return rawout_send6(r, ip_packet, len, mark);
	default:
		return -EINVAL;
	}
}

/*
 * INTERFACE: by an ICMP error about any ESP, whatever its SPI, the stack would learn a path MTU for
 * the peer, which the next hop's then follows. An unconnected IPv6 socket learns none.
 */
static int esp_sink_family(int family)
{
	int fd = raw_open(family, IPPROTO_ESP);
	int interface = IP_PMTUDISC_INTERFACE;

	if (fd >= 0 && family == AF_INET &&
	    setsockopt(fd, IPPROTO_IP, IP_MTU_DISCOVER, &interface, sizeof(interface))) {
		int err = -errno;

		close(fd);
		return err;
	}
	return fd;
}

int xi_esp_sink_open(int fds[2])
{
	return open_pair(fds, esp_sink_family, "raw ESP");
}

void xi_esp_sink_close(int fds[2])
{
	for (int i = 0; i < 2; i++) {
		if (fds[i] >= 0)
			close(fds[i]);
		fds[i] = -1;
	}
}
