/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * SAs of the benchmark of many SAs (scale_sas.h), put into the daemon of this network namespace through its XFRM socket.
 *
 *   scale_xfrm add|delete|rekey FIRST COUNT [WINDOW]     SAs by number; rekey: the SA COUNT numbers on comes, this one goes
 *   scale_xfrm add-ah FIRST COUNT                        the same in AH, hmac(sha256)
 *   scale_xfrm flush-ah                                  all SAs of AH
 *
 * Many requests a datagram, several datagrams without an answer. Prints one JSON object; status 1 when one was refused.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/xfrm.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <linux/netlink.h>

#include "scale_sas.h"
#include "source/proto.h"

#define DATAGRAM 24576           /* sent when longer: two requests more fit XI_XFRM_REQUEST_MAX */
#define UNDER_WAY 16             /* datagrams whose last request is not answered */

struct link {
	int fd;
	uint32_t requests, refused, answers_due;
	int error;                   /* the first one */
	struct nlmsghdr *last;       /* in out */
	size_t len;
	union {
		uint64_t align;
		uint8_t buf[XI_XFRM_REQUEST_MAX];
	} out;
};

static int link_open(struct link *l)
{
	struct sockaddr_un addr;
	socklen_t len;

	l->fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	if (l->fd < 0 || xi_xfrm_sock_addr(&addr, &len, getenv(XI_XFRM_SOCK_ENV)) ||
	    connect(l->fd, (struct sockaddr *)&addr, len))
		return -errno;
	return 0;
}

static void *message(struct link *l, uint16_t type, uint16_t flags, size_t body)
{
	struct nlmsghdr *nlh = (struct nlmsghdr *)(l->out.buf + l->len);

	memset(nlh, 0, NLMSG_SPACE(body));
	nlh->nlmsg_len = NLMSG_LENGTH(body);
	nlh->nlmsg_type = type;
	nlh->nlmsg_flags = NLM_F_REQUEST | flags;
	nlh->nlmsg_seq = ++l->requests;
	l->len += NLMSG_SPACE(body);
	l->last = nlh;
	return NLMSG_DATA(nlh);
}

static int read_answer(struct link *l)
{
	uint8_t buf[XI_XFRM_ERROR_MAX];
	const struct nlmsghdr *nlh = (const struct nlmsghdr *)buf;
	const struct nlmsgerr *e = NLMSG_DATA(nlh);
	ssize_t n = recv(l->fd, buf, sizeof(buf), 0);

	if (n < (ssize_t)(NLMSG_HDRLEN + sizeof(e->error)) || nlh->nlmsg_type != NLMSG_ERROR)
		return n < 0 ? -errno : -EPROTO;
	l->refused += e->error != 0;
	l->error = l->error ?: e->error;
	l->answers_due -= (e->msg.nlmsg_flags & NLM_F_ACK) != 0;
	return 0;
}

/* Only the last request of a datagram wants an answer; one that is refused has one anyway. */
static int send_all(struct link *l, uint32_t under_way)
{
	int err = 0;

	if (l->len) {
		l->last->nlmsg_flags |= NLM_F_ACK;
		if (send(l->fd, l->out.buf, l->len, MSG_NOSIGNAL) < 0)
			return -errno;
		l->len = 0;
		l->answers_due++;
	}
	while (!err && l->answers_due > under_way)
		err = read_answer(l);
	return err;
}

static void put_alg(struct nlattr *nla, uint32_t number, bool ah)
{
	struct xfrm_algo_aead *aead = (void *)(nla + 1);
	struct xfrm_algo_auth *auth = (void *)(nla + 1);

	if (ah) {
		nla->nla_type = XFRMA_ALG_AUTH_TRUNC;
		nla->nla_len = NLA_HDRLEN + sizeof(*auth) + SCALE_AH_KEY;
		strcpy(auth->alg_name, "hmac(sha256)");
		auth->alg_key_len = 8 * SCALE_AH_KEY;
		auth->alg_trunc_len = 128;
		scale_key(number, (uint8_t *)auth->alg_key, SCALE_AH_KEY);
		return;
	}
	nla->nla_type = XFRMA_ALG_AEAD;
	nla->nla_len = NLA_HDRLEN + sizeof(*aead) + SCALE_KEY + SCALE_SALT;
	strcpy(aead->alg_name, "rfc4106(gcm(aes))");
	aead->alg_key_len = 8 * (SCALE_KEY + SCALE_SALT);
	aead->alg_icv_len = 128;
	scale_key(number, (uint8_t *)aead->alg_key, SCALE_KEY + SCALE_SALT);
}

static void put_add(struct link *l, uint32_t number, uint32_t window, bool ah)
{
	const size_t attr = ah ? NLA_HDRLEN + sizeof(struct xfrm_algo_auth) + SCALE_AH_KEY
			       : NLA_HDRLEN + sizeof(struct xfrm_algo_aead) + SCALE_KEY + SCALE_SALT;
	struct xfrm_usersa_info *info = message(l, XFRM_MSG_NEWSA, NLM_F_CREATE | NLM_F_EXCL, sizeof(*info) + attr);

	info->id.daddr.a4 = htonl(SCALE_GATEWAY);
	info->id.spi = htonl(SCALE_SPI + number);
	info->id.proto = ah ? IPPROTO_AH : IPPROTO_ESP;
	info->saddr.a4 = htonl(SCALE_PEER);
	info->family = AF_INET;
	info->mode = XFRM_MODE_TUNNEL;
	info->reqid = 1;
	info->replay_window = window;
	info->lft.soft_byte_limit = info->lft.hard_byte_limit = XFRM_INF;
	info->lft.soft_packet_limit = info->lft.hard_packet_limit = XFRM_INF;
	put_alg((struct nlattr *)(info + 1), number, ah);
}

static void put_delete(struct link *l, uint32_t number)
{
	struct xfrm_usersa_id *id = message(l, XFRM_MSG_DELSA, 0, sizeof(*id));

	id->daddr.a4 = htonl(SCALE_GATEWAY);
	id->spi = htonl(SCALE_SPI + number);
	id->proto = IPPROTO_ESP;
	id->family = AF_INET;
}

struct job {
	const char *name;
	uint32_t first, count, window;
};

static void put(struct link *l, const struct job *job, uint32_t number)
{
	if (!strcmp(job->name, "delete")) {
		put_delete(l, number);
	} else if (!strcmp(job->name, "rekey")) {
		put_add(l, number + job->count, job->window, false);
		put_delete(l, number);
	} else {
		put_add(l, number, job->window, !strcmp(job->name, "add-ah"));
	}
}

static int run(struct link *l, const struct job *job)
{
	int err = link_open(l);

	if (!err && !strcmp(job->name, "flush-ah")) {
		struct xfrm_usersa_flush *flush = message(l, XFRM_MSG_FLUSHSA, 0, sizeof(*flush));

		flush->proto = IPPROTO_AH;
		return send_all(l, 0);
	}
	for (uint32_t i = 0; !err && i < job->count; i++) {
		put(l, job, job->first + i);
		if (l->len > DATAGRAM)
			err = send_all(l, UNDER_WAY);
	}
	return err ?: send_all(l, 0);
}

int main(int argc, char **argv)
{
	struct job job = { .name = argc > 1 ? argv[1] : "" };
	static struct link l;
	struct timespec a, b;
	double seconds;
	int err;

	if (argc > 3) {
		job.first = strtoul(argv[2], NULL, 0);
		job.count = strtoul(argv[3], NULL, 0);
		job.window = argc > 4 ? strtoul(argv[4], NULL, 0) : 0;
	} else if (argc != 2 || strcmp(job.name, "flush-ah")) {
		fputs("usage: scale_xfrm add|delete|rekey|add-ah FIRST COUNT [WINDOW]\n       scale_xfrm flush-ah\n", stderr);
		return 2;
	}
	clock_gettime(CLOCK_MONOTONIC, &a);
	err = run(&l, &job);
	clock_gettime(CLOCK_MONOTONIC, &b);
	seconds = b.tv_sec - a.tv_sec + (b.tv_nsec - a.tv_nsec) / 1e9;
	err = err ?: l.error;
	if (err)
		fprintf(stderr, "scale_xfrm: %s: %u requests refused: %s\n", job.name, l.refused, strerror(-err));
	printf("{\"job\": \"%s\", \"requests\": %u, \"seconds\": %.6f, \"refused\": %u}\n", job.name, l.requests, seconds,
	       l.refused);
	return err != 0;
}
