/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * install [OPTION...] add N | get N | del N | rekey N | dump | flush
 *
 * How fast SAs go in and out through the XFRM socket of the daemon in this network namespace. SA number i, from -f on,
 * has SPI 0x1000 + i, a key of its own, and one of -p peers. rekey: of each the SA N numbers on comes, then it goes. Requests are
 * pipelined: -b of them in a datagram, at most -w without an answer. `-b 1 -w 1` is what `ip -batch` and key managers do.
 * Prints one line of JSON; exit status 1: not every request succeeded.
 *
 *   -n NAME   of the socket         -b N  requests a datagram (64)      -w N  requests under way (4096)
 *   -p N      peers (500)           -f N  first SA (0)                  -l S  hard lifetime, seconds (none)
 *   -i        SAs of scale_sas.h, which come in, in the place of these  -a    AH, hmac(sha256), in the place of ESP
 *   -r N      replay window (32)
 */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/xfrm.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <linux/netlink.h>

#include "scale_sas.h"
#include "source/proto.h"

#define ANSWERS 64               /* datagrams read at once */
#define GATEWAY 0xc0000201U      /* 192.0.2.1 */
#define PEERS 0xc6120000U        /* 198.18.0.0/15, RFC 2544 */
#define SPI 0x1000

struct run {
	const char *name, *op;
	unsigned int batch, window, peers, first, n, replay;
	bool in, ah;
	uint64_t lifetime;
	int fd;
	unsigned int sent, answered, refused, listed;
	int error;                   /* the first one */
	bool done;                   /* of a dump */
	uint64_t slowest;            /* ns, from a datagram to its last answer, with one under way */
	size_t len;
	union {
		uint64_t align;
		uint8_t buf[XI_XFRM_REQUEST_MAX];
	} out;
};

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000000ULL + ts.tv_nsec;
}

static int connect_to(const char *name)
{
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0), bytes = 4 << 20;
	struct sockaddr_un addr;
	socklen_t len;

	if (fd < 0 || xi_xfrm_sock_addr(&addr, &len, name))
		return -1;
	if (setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &bytes, sizeof(bytes)))
		setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof(bytes));
	return connect(fd, (struct sockaddr *)&addr, len) ? -1 : fd;
}

static void *message(struct run *r, uint16_t type, uint16_t flags, size_t body)
{
	struct nlmsghdr *nlh = (struct nlmsghdr *)(r->out.buf + r->len);

	memset(nlh, 0, NLMSG_SPACE(body));
	nlh->nlmsg_len = NLMSG_LENGTH(body);
	nlh->nlmsg_type = type;
	nlh->nlmsg_flags = NLM_F_REQUEST | flags;
	nlh->nlmsg_seq = r->sent + 1;
	r->len += NLMSG_SPACE(body);
	return NLMSG_DATA(nlh);
}

static void sa_id(const struct run *r, uint32_t i, xfrm_address_t *daddr, __be32 *spi)
{
	daddr->a4 = htonl(r->in ? SCALE_GATEWAY : PEERS + i % r->peers);
	*spi = htonl((r->in ? SCALE_SPI : SPI) + i);
}

static void put_aead(struct nlattr *nla, uint32_t i)
{
	struct xfrm_algo_aead *aead = (struct xfrm_algo_aead *)(nla + 1);

	nla->nla_type = XFRMA_ALG_AEAD;
	nla->nla_len = NLA_HDRLEN + sizeof(*aead) + SCALE_KEY + SCALE_SALT;
	snprintf(aead->alg_name, sizeof(aead->alg_name), "rfc4106(gcm(aes))");
	aead->alg_key_len = 8 * (SCALE_KEY + SCALE_SALT);
	aead->alg_icv_len = 128;
	scale_key(i, (uint8_t *)aead->alg_key, SCALE_KEY + SCALE_SALT);
}

static void put_auth(struct nlattr *nla, uint32_t i)
{
	struct xfrm_algo_auth *auth = (struct xfrm_algo_auth *)(nla + 1);

	nla->nla_type = XFRMA_ALG_AUTH_TRUNC;
	nla->nla_len = NLA_HDRLEN + sizeof(*auth) + SCALE_AH_KEY;
	snprintf(auth->alg_name, sizeof(auth->alg_name), "hmac(sha256)");
	auth->alg_key_len = 8 * SCALE_AH_KEY;
	auth->alg_trunc_len = 128;
	scale_key(i, (uint8_t *)auth->alg_key, SCALE_AH_KEY);
}

static void put_add(struct run *r, uint32_t i)
{
	const size_t attr = NLA_HDRLEN + (r->ah ? sizeof(struct xfrm_algo_auth) + SCALE_AH_KEY
						: sizeof(struct xfrm_algo_aead) + SCALE_KEY + SCALE_SALT);
	struct xfrm_usersa_info *info =
		message(r, XFRM_MSG_NEWSA, NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL, sizeof(*info) + attr);

	sa_id(r, i, &info->id.daddr, &info->id.spi);
	info->id.proto = r->ah ? IPPROTO_AH : IPPROTO_ESP;
	info->saddr.a4 = htonl(r->in ? SCALE_PEER : GATEWAY);
	info->family = info->sel.family = AF_INET;
	info->mode = XFRM_MODE_TUNNEL;
	info->reqid = 1 + i % r->peers;
	info->replay_window = r->replay;
	info->lft.soft_byte_limit = info->lft.hard_byte_limit = XFRM_INF;
	info->lft.soft_packet_limit = info->lft.hard_packet_limit = XFRM_INF;
	info->lft.hard_add_expires_seconds = r->lifetime;
	(r->ah ? put_auth : put_aead)((struct nlattr *)(info + 1), i);
}

static void put_id(struct run *r, uint32_t i, uint16_t type, uint16_t flags)
{
	struct xfrm_usersa_id *id = message(r, type, flags, sizeof(*id));

	sa_id(r, i, &id->daddr, &id->spi);
	id->proto = r->ah ? IPPROTO_AH : IPPROTO_ESP;
	id->family = AF_INET;
}

/* Two requests an SA. */
static void put_rekey(struct run *r)
{
	uint32_t i = r->first + r->sent / 2;

	if (r->sent % 2)
		put_id(r, i, XFRM_MSG_DELSA, NLM_F_ACK);
	else
		put_add(r, i + r->n / 2);
}

static void put_flush(struct run *r)
{
	struct xfrm_usersa_flush *flush = message(r, XFRM_MSG_FLUSHSA, NLM_F_ACK, sizeof(*flush));

	flush->proto = r->ah ? IPPROTO_AH : 0;
}

static void put(struct run *r)
{
	uint32_t i = r->first + r->sent;

	if (!strcmp(r->op, "add"))
		put_add(r, i);
	else if (!strcmp(r->op, "get"))
		put_id(r, i, XFRM_MSG_GETSA, 0);
	else if (!strcmp(r->op, "del"))
		put_id(r, i, XFRM_MSG_DELSA, NLM_F_ACK);
	else if (!strcmp(r->op, "rekey"))
		put_rekey(r);
	else if (!strcmp(r->op, "flush"))
		put_flush(r);
	else
		message(r, XFRM_MSG_GETSA, NLM_F_DUMP, 0);
	r->sent++;
}

/* One datagram; 0, or -EAGAIN with the datagram kept. */
static int send_some(struct run *r)
{
	while (!r->len && r->sent < r->n && r->sent - r->answered < r->window) {
		do {
			put(r);
		} while (r->sent % r->batch && r->sent < r->n);
	}
	if (!r->len)
		return 0;
	if (send(r->fd, r->out.buf, r->len, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
		return -errno;
	r->len = 0;
	return 0;
}

static void answer(struct run *r, const struct nlmsghdr *nlh)
{
	const struct nlmsgerr *e = NLMSG_DATA(nlh);

	if (nlh->nlmsg_flags & NLM_F_MULTI) {
		if (nlh->nlmsg_type == NLMSG_DONE)
			r->answered++;
		else
			r->listed++;
		return;
	}
	r->answered++;
	if (nlh->nlmsg_type != NLMSG_ERROR || !e->error)
		return;
	r->refused++;
	if (!r->error)
		r->error = e->error;
}

static int receive(struct run *r)
{
	static uint8_t bufs[ANSWERS][XI_XFRM_REPLY_MAX];
	struct mmsghdr msgs[ANSWERS] = { 0 };
	struct iovec iovs[ANSWERS];
	int i, n;

	for (i = 0; i < ANSWERS; i++) {
		iovs[i] = (struct iovec){ bufs[i], sizeof(bufs[i]) };
		msgs[i].msg_hdr = (struct msghdr){ .msg_iov = &iovs[i], .msg_iovlen = 1 };
	}
	n = recvmmsg(r->fd, msgs, ANSWERS, MSG_DONTWAIT, NULL);
	if (n < 0)
		return errno == EAGAIN ? 0 : -errno;
	for (i = 0; i < n; i++) {
		int len = msgs[i].msg_len;
		struct nlmsghdr *nlh = (struct nlmsghdr *)bufs[i];

		if (!len)
			return -EPIPE;
		for (; NLMSG_OK(nlh, len); nlh = NLMSG_NEXT(nlh, len))
			answer(r, nlh);
	}
	return 0;
}

static int turn(struct run *r)
{
	int err = send_some(r);
	struct pollfd p = { .fd = r->fd, .events = POLLIN };

	if (err && err != -EAGAIN)
		return err;
	if (err || (r->sent < r->n && r->sent - r->answered < r->window))
		p.events |= POLLOUT;
	if (r->sent - r->answered && poll(&p, 1, 60000) <= 0)
		return -ETIMEDOUT;
	return p.revents & (POLLIN | POLLHUP) ? receive(r) : 0;
}

static int run(struct run *r)
{
	uint64_t started = 0, took;
	int err = 0;

	while (!err && r->answered < r->n) {
		if (r->sent == r->answered)
			started = now_ns();
		err = turn(r);
		took = now_ns() - started;
		if (r->sent == r->answered && took > r->slowest)
			r->slowest = took;
	}
	return err;
}

static int options(struct run *r, int argc, char **argv)
{
	int c;

	while ((c = getopt(argc, argv, "n:b:w:p:f:l:iar:")) != -1) {
		unsigned long value = optarg && c != 'n' ? strtoul(optarg, NULL, 0) : 0;

		switch (c) {
		case 'n': r->name = optarg; break;
		case 'b': r->batch = value; break;
		case 'w': r->window = value; break;
		case 'p': r->peers = value; break;
		case 'f': r->first = value; break;
		case 'l': r->lifetime = value; break;
		case 'r': r->replay = value; break;
		case 'i': r->in = true; break;
		case 'a': r->ah = true; break;
		default: return -1;
		}
	}
	if (optind >= argc || !r->batch || r->batch > 64 || !r->window || !r->peers)
		return -1;
	r->op = argv[optind];
	r->n = argc > optind + 1 ? strtoul(argv[optind + 1], NULL, 0) : 1;
	if (!strcmp(r->op, "rekey"))
		r->n *= 2;
	return strcmp(r->op, "add") && strcmp(r->op, "get") && strcmp(r->op, "del") && strcmp(r->op, "rekey") &&
	       strcmp(r->op, "dump") && strcmp(r->op, "flush");
}

int main(int argc, char **argv)
{
	struct run r = { .batch = 64, .window = 4096, .peers = 500, .replay = 32 };
	uint64_t start;
	double seconds;
	unsigned int n;
	int err;

	if (options(&r, argc, argv)) {
		fprintf(stderr, "usage: install [-n NAME] [-b N] [-w N] [-p N] [-f N] [-l S] [-r N] [-i] [-a] add|get|del|rekey N | dump | flush\n");
		return 2;
	}
	r.fd = connect_to(r.name);
	if (r.fd < 0) {
		perror("install: cannot connect to the daemon");
		return 1;
	}
	start = now_ns();
	err = run(&r);
	seconds = (now_ns() - start) / 1e9;
	n = !strcmp(r.op, "dump") ? r.listed : r.answered;
	printf("{\"op\": \"%s\", \"n\": %u, \"refused\": %u, \"seconds\": %.6f, \"rate\": %.0f, \"slowest_us\": %.1f}\n",
	       r.op, n, r.refused, seconds, n / seconds, r.slowest / 1e3);
	if (err || r.refused)
		fprintf(stderr, "install: %s\n", strerror(err ? -err : -r.error));
	return err || r.refused;
}
