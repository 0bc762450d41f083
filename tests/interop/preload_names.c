/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * preload_names
 *
 * What an XFRM netlink socket answers to calls that programs make of it. The same on the kernel's
 * and, with the preload library, on a server's: the test compares both. Prints no number that
 * differs between two runs.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <linux/xfrm.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#define NL(pid, groups) \
	((struct sockaddr *)&(struct sockaddr_nl){ AF_NETLINK, 0, (pid), (groups) })
#define FAMILY(family) ((struct sockaddr *)&(struct sockaddr_nl){ family, 0, 0, 0 })
#define SAY(what, rc) say(what, (long)(rc))

struct request {
	struct nlmsghdr hdr;
	uint32_t flags;
};

static void say(const char *what, long rc)
{
	if (rc < 0)
		printf("%s: %s\n", what, strerrorname_np(errno));
	else
		printf("%s: %ld\n", what, rc);
}

static int netlink(int type)
{
	int fd = socket(AF_NETLINK, type, NETLINK_XFRM);

	if (fd < 0) {
		perror("socket");
		exit(77);
	}
	return fd;
}

static const char *id_kind(uint32_t id)
{
	if (!id)
		return "none";
	if (id == (uint32_t)getpid())
		return "pid";
	return (int32_t)id < 0 ? "negative" : "chosen";
}

static void name(const char *what, int fd)
{
	struct sockaddr_nl nl;
	socklen_t len = sizeof(nl);
	int rc;

	memset(&nl, 0x55, sizeof(nl));
	rc = getsockname(fd, (struct sockaddr *)&nl, &len);
	printf("%s: rc %d len %u family %d pad %d id %s groups %x\n", what, rc, len, nl.nl_family,
	       nl.nl_pad, id_kind(nl.nl_pid), nl.nl_groups);
}

static void peer(const char *what, int fd)
{
	struct sockaddr_nl nl = { 0 };
	socklen_t len = sizeof(nl);
	int rc = getpeername(fd, (struct sockaddr *)&nl, &len);

	printf("%s: rc %d len %u family %d id %u groups %x\n", what, rc, len, nl.nl_family,
	       nl.nl_pid, nl.nl_groups);
}

static void sent(const char *what, int fd, const struct sockaddr *to, socklen_t len)
{
	struct request r = {
		.hdr = { sizeof(r), XFRM_MSG_GETSADINFO, NLM_F_REQUEST, 7, 0 },
	};

	SAY(what, sendto(fd, &r, sizeof(r), 0, to, len));
}

static void binding(void)
{
	int a = netlink(SOCK_RAW), b = netlink(SOCK_DGRAM), c = netlink(SOCK_RAW);
	struct sockaddr_nl nl;
	socklen_t len = 5;

	name("fresh", a);
	SAY("bind short", bind(a, NL(0, 0), 8));
	SAY("bind of another family", bind(a, FAMILY(AF_UNIX), 12));
	SAY("bind", bind(a, NL(0, 0), 12));
	name("first", a);
	SAY("bind again to none", bind(a, NL(0, 4), 12));
	SAY("bind again to another", bind(a, NL(77, 4), 12));
	SAY("bind again to itself, groups", bind(a, NL(getpid(), 0x21), 12));
	name("with groups", a);
	SAY("bind to a taken id", bind(b, NL(getpid(), 0), 12));
	SAY("bind to a free id", bind(b, NL(getpid() + 1000000, 0), 12));
	name("chosen", b);
	SAY("bind the third", bind(c, NL(0, 0), 12));
	name("third", c);
	memset(&nl, 0x55, sizeof(nl));
	SAY("short name", getsockname(c, (struct sockaddr *)&nl, &len));
	printf("short name len %u untouched %x\n", len, nl.nl_groups);
	close(a);
	SAY("its id is free then", bind(netlink(SOCK_RAW), NL(getpid(), 0), 12));
	close(b);
	close(c);
}

static void autobind(void)
{
	int fd = netlink(SOCK_DGRAM);

	SAY("write without bind",
	    write(fd, &(struct request){ { 20, XFRM_MSG_GETSADINFO, 1, 1, 0 }, 0 }, 20));
	name("after it", fd);
	close(fd);
	fd = netlink(SOCK_RAW);
	SAY("connect", connect(fd, NL(0, 0), 12));
	name("after connect", fd);
	peer("peer", fd);
	close(fd);
}

static void connecting(void)
{
	int fd = netlink(SOCK_RAW);

	peer("peer of none", fd);
	SAY("connect short", connect(fd, NL(0, 0), 4));
	SAY("connect to another family", connect(fd, FAMILY(AF_INET), 12));
	SAY("connect to somebody", connect(fd, NL(4242424, 0x6), 12));
	peer("peer is somebody", fd);
	sent("send to somebody", fd, NULL, 0);
	SAY("disconnect", connect(fd, FAMILY(AF_UNSPEC), 12));
	peer("peer of none again", fd);
	sent("send", fd, NULL, 0);
	sent("sendto the kernel", fd, NL(0, 0), 12);
	sent("sendto somebody", fd, NL(4242424, 0), 12);
	sent("sendto short", fd, NL(0, 0), 8);
	sent("sendto another family", fd, FAMILY(AF_INET), 12);
	SAY("send nothing", send(fd, "", 0, 0));
	SAY("send out of band", send(fd, "x", 1, MSG_OOB));
	SAY("receive out of band", recv(fd, &(char){ 0 }, 1, MSG_OOB));
	SAY("shutdown", shutdown(fd, SHUT_RDWR));
	close(fd);
}

static void option(int fd, int level, int opt, const char *what)
{
	int value = 0;
	socklen_t len = sizeof(value);

	if (getsockopt(fd, level, opt, &value, &len))
		SAY(what, -1);
	else
		printf("%s: %d, %u bytes\n", what, value, len);
}

static void options(void)
{
	static const int opts[] = { NETLINK_PKTINFO, NETLINK_BROADCAST_ERROR, NETLINK_NO_ENOBUFS,
				    NETLINK_CAP_ACK, NETLINK_EXT_ACK, NETLINK_GET_STRICT_CHK, 99 };
	int fd = netlink(SOCK_DGRAM), group, on = 1, bytes = 65536;
	uint32_t groups[4] = { 0 };
	socklen_t len = sizeof(groups);
	char what[64];

	for (size_t i = 0; i < sizeof(opts) / sizeof(opts[0]); i++) {
		snprintf(what, sizeof(what), "netlink option %d", opts[i]);
		option(fd, SOL_NETLINK, opts[i], what);
		SAY(what, setsockopt(fd, SOL_NETLINK, opts[i], &on, sizeof(on)));
		option(fd, SOL_NETLINK, opts[i], what);
	}
	SAY("short option", setsockopt(fd, SOL_NETLINK, NETLINK_CAP_ACK, &on, 2));
	SAY("other level", setsockopt(fd, 6, 1, &on, sizeof(on)));
	option(fd, 6, 1, "other level");
	for (group = 0; group < 40; group += 3 + 7 * !group) {
		snprintf(what, sizeof(what), "add group %d", group);
		SAY(what, setsockopt(fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &group, sizeof(group)));
	}
	group = 13;
	SAY("drop", setsockopt(fd, SOL_NETLINK, NETLINK_DROP_MEMBERSHIP, &group, sizeof(group)));
	SAY("memberships", getsockopt(fd, SOL_NETLINK, NETLINK_LIST_MEMBERSHIPS, groups, &len));
	printf("memberships: %x %x, %u bytes\n", groups[0], groups[1], len);
	len = 0;
	SAY("how many", getsockopt(fd, SOL_NETLINK, NETLINK_LIST_MEMBERSHIPS, groups, &len));
	printf("how many: %u bytes\n", len);
	name("not bound by that", fd);
	option(fd, SOL_SOCKET, SO_DOMAIN, "domain");
	option(fd, SOL_SOCKET, SO_TYPE, "type");
	option(fd, SOL_SOCKET, SO_PROTOCOL, "protocol");
	option(fd, SOL_SOCKET, SO_ERROR, "error");
	option(fd, SOL_SOCKET, SO_RCVBUF, "receive buffer");
	SAY("set it", setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof(bytes)));
	option(fd, SOL_SOCKET, SO_RCVBUF, "receive buffer");
	SAY("set send buffer", setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof(bytes)));
	option(fd, SOL_SOCKET, SO_SNDBUF, "send buffer");
	close(fd);
}

static void control(const struct msghdr *msg)
{
	for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR((struct msghdr *)msg, c)) {
		uint32_t data[3] = { 0 };

		memcpy(data, CMSG_DATA(c), c->cmsg_len - CMSG_LEN(0) < 12 ? c->cmsg_len - CMSG_LEN(0) : 12);
		printf(" cmsg %d/%d len %zu %x %x %x", c->cmsg_level, c->cmsg_type, c->cmsg_len,
		       data[0], data[1], data[2]);
	}
}

static void received(const char *what, int fd, int flags, size_t room, size_t control_room)
{
	char buf[8192], ctl[256];
	struct sockaddr_nl from;
	struct iovec iov[2] = { { buf, room / 2 }, { buf + room / 2, room - room / 2 } };
	struct msghdr msg = { &from, sizeof(from), iov, 2, ctl, control_room, 0 };
	const struct nlmsghdr *hdr = (void *)buf;
	ssize_t n;

	memset(&from, 0x55, sizeof(from));
	memset(buf, 0, sizeof(buf));
	n = recvmsg(fd, &msg, flags);
	if (n < 0) {
		SAY(what, n);
		return;
	}
	printf("%s: %zd bytes, flags %x, control %zu, from len %u family %d id %u groups %x", what, n,
	       msg.msg_flags & ~MSG_CMSG_CLOEXEC, msg.msg_controllen, msg.msg_namelen, from.nl_family, from.nl_pid,
	       from.nl_groups);
	if (room >= sizeof(*hdr))
		printf(" type %d seq %u id %s", hdr->nlmsg_type, hdr->nlmsg_seq, id_kind(hdr->nlmsg_pid));
	control(&msg);
	putchar('\n');
}

static void receiving(void)
{
	int fd = netlink(SOCK_RAW), on = 1;
	struct timeval wait = { .tv_usec = 30000 };
	char small[8];
	struct sockaddr_nl from;
	socklen_t len = 6;

	received("nothing there", fd, MSG_DONTWAIT, 100, 0);
	SAY("timeout", setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof(wait)));
	received("nothing in time", fd, 0, 100, 0);
	sent("send", fd, NULL, 0);
	received("how long", fd, MSG_PEEK | MSG_TRUNC, 0, 0);
	received("peek", fd, MSG_PEEK, 8192, 0);
	received("take", fd, 0, 8192, 0);
	sent("send", fd, NULL, 0);
	received("cut", fd, 0, 18, 0);
	sent("send", fd, NULL, 0);
	received("cut, whole length", fd, MSG_TRUNC, 18, 0);
	sent("send", fd, NULL, 0);
	memset(&from, 0x55, sizeof(from));
	SAY("short address", recvfrom(fd, small, sizeof(small), 0, (struct sockaddr *)&from, &len));
	printf("short address: len %u, %x\n", len, from.nl_groups);
	SAY("passcred", setsockopt(fd, SOL_SOCKET, SO_PASSCRED, &on, sizeof(on)));
	option(fd, SOL_SOCKET, SO_PASSCRED, "passcred");
	sent("send", fd, NULL, 0);
	received("credentials", fd, 0, 8192, 256);
	sent("send", fd, NULL, 0);
	received("no room for them", fd, 0, 8192, 8);
	SAY("pktinfo", setsockopt(fd, SOL_NETLINK, NETLINK_PKTINFO, &on, sizeof(on)));
	sent("send", fd, NULL, 0);
	received("both", fd, 0, 8192, 256);
	for (size_t room = 16; room <= 64; room += 8) {
		sent("send", fd, NULL, 0);
		received("control cut", fd, 0, 8192, room);
	}
	close(fd);
}

/* An answer is nobody's news, though its type has a group. */
static void group_of_answer(void)
{
	struct {
		struct nlmsghdr hdr;
		struct xfrm_userspi_info spi;
	} r = { { sizeof(r), XFRM_MSG_ALLOCSPI, NLM_F_REQUEST, 21, 0 }, { .min = 0x1000, .max = 0xffff } };
	char buf[4096], cbuf[64];
	struct iovec iov = { buf, sizeof(buf) };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = cbuf, .msg_controllen = sizeof(cbuf) };
	int fd = netlink(SOCK_RAW), on = 1;

	r.spi.info.family = AF_INET;
	r.spi.info.id.proto = IPPROTO_ESP;
	r.spi.info.id.daddr.a4 = htonl(0xc0000201);
	r.spi.info.saddr.a4 = htonl(0xc0000202);
	SAY("pktinfo", setsockopt(fd, SOL_NETLINK, NETLINK_PKTINFO, &on, sizeof(on)));
	SAY("ask for an SPI", send(fd, &r, sizeof(r), 0));
	SAY("answer", recvmsg(fd, &msg, 0) > 0);
	printf("type %d", ((struct nlmsghdr *)buf)->nlmsg_type);
	control(&msg);
	putchar('\n');
	close(fd);
}

/* Several requests in one datagram; answers are there when it was sent. */
static void synchronous(void)
{
	struct request r[3] = {
		{ { 20, XFRM_MSG_GETSADINFO, NLM_F_REQUEST, 11, 0 }, 0 },
		{ { 20, XFRM_MSG_GETSPDINFO, NLM_F_REQUEST, 12, 0 }, 0 },
		{ { 20, XFRM_MSG_GETDEFAULT, NLM_F_REQUEST, 13, 0 }, 0 },
	};
	struct {
		struct nlmsghdr hdr;
		struct xfrm_usersa_flush flush;
	} quiet = { { 17, XFRM_MSG_FLUSHSA, NLM_F_REQUEST, 14, 0 }, { 50 } };
	int fd = netlink(SOCK_DGRAM | SOCK_NONBLOCK), on = 1, i;
	int members = netlink(SOCK_RAW);

	printf("nonblock %d\n", !!(fcntl(fd, F_GETFL) & O_NONBLOCK));
	SAY("three in one", send(fd, r, sizeof(r), 0));
	for (i = 0; i < 3; i++)
		received("answer", fd, 0, 8192, 0);
	received("no more", fd, 0, 8192, 0);
	for (i = 0; i < 200; i++) {
		char buf[256];

		if (write(fd, r, 20) != 20 || recv(fd, buf, sizeof(buf), 0) < 20)
			printf("no answer to %d: %s\n", i, strerror(errno));
	}
	SAY("dump", send(fd, &(struct request){ { 16, XFRM_MSG_GETSA, 0x301, 15, 0 }, 0 }, 16, 0));
	received("end of dump", fd, 0, 8192, 0);
	SAY("bind", bind(members, NL(0, 0x4), 12));
	SAY("quiet", send(members, &quiet, 17, 0));
	SAY("blocking again", ioctl(fd, FIONBIO, &(int){ 0 }));
	printf("nonblock %d\n", !!(fcntl(fd, F_GETFL) & O_NONBLOCK));
	SAY("nonblock by ioctl", ioctl(fd, FIONBIO, &on));
	printf("nonblock %d\n", !!(fcntl(fd, F_GETFL) & O_NONBLOCK));
	SAY("unknown type", send(fd, &(struct request){ { 20, 0x7f, 5, 16, 0 }, 0 }, 20, 0));
	received("its answer", fd, 0, 8192, 0);
	SAY("no operation", send(fd, &(struct request){ { 20, NLMSG_NOOP, 5, 17, 0 }, 0 }, 20, 0));
	received("its acknowledgement", fd, 0, 8192, 0);
	SAY("no request", send(fd, &(struct request){ { 20, XFRM_MSG_GETSADINFO, 0, 18, 0 }, 0 }, 20, 0));
	received("no answer", fd, 0, 8192, 0);
	close(fd);
	close(members);
}

/* Requests that have no answer leave nothing to read, and those who never read may go on for ever. */
static void unanswered(void)
{
	struct {
		struct nlmsghdr hdr;
		struct xfrm_usersa_flush flush;
	} quiet = { { 17, XFRM_MSG_FLUSHSA, NLM_F_REQUEST, 14, 0 }, { 50 } };
	int fd = netlink(SOCK_RAW | SOCK_NONBLOCK), i;
	struct pollfd p = { .fd = fd, .events = POLLIN };
	time_t end = time(NULL) + 20;

	SAY("quiet", send(fd, &quiet, 17, 0));
	SAY("readable", poll(&p, 1, 0));
	received("nothing", fd, 0, 8192, 0);
	for (i = 0; i < 5000 && time(NULL) < end; i++)
		if (send(fd, &quiet, 17, 0) != 17)
			break;
	SAY("many", i);
	/* who does not wait is not made to */
	end = time(NULL) + 10;
	for (i = 0; i < 20; i++) {
		SAY("no request", send(fd, &(struct request){ { 20, XFRM_MSG_GETSADINFO, 0, 18, 0 }, 0 }, 20, 0));
		received("no answer", fd, 0, 8192, 0);
	}
	SAY("in time", time(NULL) < end);
	SAY("an error", send(fd, &(struct request){ { 20, 0x7f, 1, 16, 0 }, 0 }, 20, 0));
	SAY("readable", poll(&p, 1, 0));
	received("it", fd, 0, 8192, 0);
	close(fd);
}

int main(void)
{
	setvbuf(stdout, NULL, _IOLBF, 0);
	binding();
	autobind();
	connecting();
	options();
	receiving();
	synchronous();
	unanswered();
	group_of_answer();
	return 0;
}
