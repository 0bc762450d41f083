/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Requests that wait for an answer: who answers them when the server dies is this library. */
#include "source/preload/shim.h"

#include <errno.h>
#include <linux/xfrm.h>
#include <string.h>

/* n bytes from offset `from` on; how many there were. */
size_t shim_iov_copy(void *to, size_t n, const struct iovec *iov, size_t niov, size_t from)
{
	size_t done = 0;

	for (size_t i = 0; i < niov && done < n; i++) {
		size_t len = iov[i].iov_len, part;

		if (from >= len) {
			from -= len;
			continue;
		}
		part = len - from < n - done ? len - from : n - done;
		memcpy((char *)to + done, (const char *)iov[i].iov_base + from, part);
		done += part;
		from = 0;
	}
	return done;
}

size_t shim_iov_len(const struct iovec *iov, size_t niov)
{
	size_t len = 0;

	for (size_t i = 0; i < niov; i++)
		len += iov[i].iov_len;
	return len;
}

static size_t iov_fill(const struct iovec *iov, size_t niov, const void *from, size_t n)
{
	size_t done = 0;

	for (size_t i = 0; i < niov && done < n; i++) {
		size_t part = iov[i].iov_len < n - done ? iov[i].iov_len : n - done;

		memcpy(iov[i].iov_base, (const char *)from + done, part);
		done += part;
	}
	return done;
}

static bool is_get(unsigned int type)
{
	return type == XFRM_MSG_GETSA || type == XFRM_MSG_GETPOLICY || type == XFRM_MSG_GETAE ||
	       type == XFRM_MSG_ALLOCSPI || type == XFRM_MSG_GETSADINFO ||
	       type == XFRM_MSG_GETSPDINFO || type == XFRM_MSG_GETDEFAULT;
}

/* Even when it succeeds. */
static bool is_answered(const struct nlmsghdr *nlh)
{
	return nlh->nlmsg_type >= NLMSG_MIN_TYPE && (nlh->nlmsg_flags & NLM_F_REQUEST) &&
	       ((nlh->nlmsg_flags & NLM_F_ACK) || is_get(nlh->nlmsg_type));
}

static void append(struct shim_sock *s, const struct nlmsghdr *nlh)
{
	if (s->npending == SHIM_PENDING)
		memmove(s->pending, s->pending + 1, --s->npending * sizeof(s->pending[0]));
	s->pending[s->npending++] = (struct shim_request){ .serial = s->serial++, .hdr = *nlh };
}

uint32_t shim_requests_add(struct shim_sock *s, const struct msghdr *msg, bool *answered)
{
	size_t len = shim_iov_len(msg->msg_iov, msg->msg_iovlen);
	struct shim_hold hold = shim_lock(s);
	uint32_t first = s->serial;
	struct nlmsghdr nlh;
	size_t at = 0;

	*answered = false;
	while (shim_iov_copy(&nlh, sizeof(nlh), msg->msg_iov, msg->msg_iovlen, at) == sizeof(nlh)) {
		if (nlh.nlmsg_len < sizeof(nlh) || nlh.nlmsg_len > len - at)
			break;
		if (is_answered(&nlh)) {
			append(s, &nlh);
			*answered = true;
		}
		at += NLMSG_ALIGN(nlh.nlmsg_len);
		if (at >= len)
			break;
	}
	shim_unlock(&hold);
	return first;
}

static unsigned int drop_from(struct shim_request *list, unsigned int n, uint32_t serial)
{
	unsigned int kept = 0;

	for (unsigned int i = 0; i < n; i++) {
		if ((int32_t)(list[i].serial - serial) < 0)
			list[kept++] = list[i];
	}
	return kept;
}

void shim_requests_drop(struct shim_sock *s, uint32_t serial)
{
	struct shim_hold hold = shim_lock(s);

	s->npending = drop_from(s->pending, s->npending, serial);
	s->nfailed = drop_from(s->failed, s->nfailed, serial);
	shim_unlock(&hold);
}

void shim_requests_done(struct shim_sock *s, const struct nlmsghdr *answer)
{
	struct shim_hold hold;

	if ((answer->nlmsg_flags & NLM_F_MULTI) && answer->nlmsg_type != NLMSG_DONE)
		return;
	hold = shim_lock(s);
	for (unsigned int i = 0; i < s->npending; i++) {
		if (s->pending[i].hdr.nlmsg_seq != answer->nlmsg_seq)
			continue;
		s->npending--;
		memmove(&s->pending[i], &s->pending[i + 1],
			(s->npending - i) * sizeof(s->pending[0]));
		break;
	}
	shim_unlock(&hold);
}

void shim_requests_forget(struct shim_sock *s)
{
	struct shim_hold hold = shim_lock(s);

	s->npending = 0;
	shim_unlock(&hold);
}

void shim_requests_fail(struct shim_sock *s)
{
	for (unsigned int i = 0; i < s->npending && s->nfailed < SHIM_PENDING; i++)
		s->failed[s->nfailed++] = s->pending[i];
	s->npending = 0;
}

struct failure {
	struct nlmsghdr hdr;
	struct nlmsgerr err;
};

static bool take_failure(struct shim_sock *s, struct failure *f, bool peek)
{
	struct shim_hold hold = shim_lock(s);
	bool found = s->nfailed > 0;

	if (found) {
		f->err.msg = s->failed[0].hdr;
		f->hdr.nlmsg_seq = f->err.msg.nlmsg_seq;
		f->hdr.nlmsg_pid = s->portid;
	}
	if (found && !peek) {
		s->nfailed--;
		memmove(s->failed, s->failed + 1, s->nfailed * sizeof(s->failed[0]));
	}
	shim_unlock(&hold);
	return found;
}

ssize_t shim_requests_answer(struct shim_sock *s, struct msghdr *msg, int flags)
{
	struct failure f = {
		.hdr = { .nlmsg_len = sizeof(f),
			 .nlmsg_type = NLMSG_ERROR,
			 .nlmsg_flags = NLM_F_CAPPED },
		.err = { .error = -ECONNREFUSED },
	};
	size_t room = msg->msg_controllen, done;

	if (!s->nfailed || !take_failure(s, &f, flags & MSG_PEEK))
		return -1;
	done = iov_fill(msg->msg_iov, msg->msg_iovlen, &f, sizeof(f));
	msg->msg_flags = done < sizeof(f) ? MSG_TRUNC : 0;
	shim_ancillary(s, msg, room, 0, &f.hdr);
	return flags & MSG_TRUNC ? (ssize_t)sizeof(f) : (ssize_t)done;
}
