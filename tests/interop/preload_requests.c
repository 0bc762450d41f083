/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * preload_requests THREADS
 *
 * Sends XFRM requests all the time, until a line comes on its standard input, over as many restarts of the
 * server as there are. Each thread has a blocking socket, a non-blocking one, and half of one
 * that it shares with its neighbour. Each request must be answered, or refused as netlink would,
 * within 10 s. At the end: what came of them, and whether descriptors were lost or left over.
 */
#include <dirent.h>
#include <errno.h>
#include <linux/netlink.h>
#include <linux/xfrm.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define THREADS_MAX 16
#define STUCK_SECONDS 10

struct thread {
	pthread_t id;
	int blocking, nonblocking;
	int shared;                  /* with the next thread: one sends, one receives */
	bool sends;
	atomic_uint step;
	atomic_ulong answered, refused, failed, lost;
};

static struct thread threads[THREADS_MAX];
static unsigned int nthreads;
static atomic_bool over;
static atomic_ulong wrong;

static void complain(const char *what, long rc)
{
	printf("wrong: %s: %ld, %s\n", what, rc, strerror(errno));
	atomic_fetch_add(&wrong, 1);
}

static int netlink(int type)
{
	int fd = socket(AF_NETLINK, type, NETLINK_XFRM);

	if (fd < 0) {
		perror("socket");
		exit(1);
	}
	return fd;
}

static unsigned int descriptors(void)
{
	DIR *dir = opendir("/proc/self/fd");
	unsigned int n = 0;

	while (dir && readdir(dir))
		n++;
	if (dir)
		closedir(dir);
	return n;
}

static bool ask(struct thread *t, int fd, uint32_t seq)
{
	struct {
		struct nlmsghdr hdr;
		uint32_t flags;
	} r = { { sizeof(r), XFRM_MSG_GETSADINFO, NLM_F_REQUEST, seq, 0 }, 0 };
	ssize_t n = send(fd, &r, sizeof(r), 0);

	if (n == sizeof(r))
		return true;
	if (n >= 0 || errno != ECONNREFUSED) {
		complain("send", n);
		return false;
	}
	t->refused++;
	nanosleep(&(struct timespec){ .tv_nsec = 2000000 }, NULL);
	return false;
}

/* false: nothing more is to be had of this request */
static bool take(struct thread *t, int fd, uint32_t seq)
{
	union {
		struct nlmsghdr hdr;
		char buf[4096];
	} m;
	const struct nlmsgerr *err = NLMSG_DATA(&m.hdr);
	ssize_t n = recv(fd, &m, sizeof(m), 0);

	if (n < 0 && (errno == ENOBUFS || errno == EAGAIN)) {
		t->lost++;
		return false;
	}
	if (n < (ssize_t)sizeof(m.hdr) || m.hdr.nlmsg_len != (size_t)n) {
		complain("recv", n);
		return false;
	}
	if (seq && m.hdr.nlmsg_seq != seq)
		return true;
	if (m.hdr.nlmsg_type == XFRM_MSG_NEWSADINFO)
		t->answered++;
	else if (m.hdr.nlmsg_type == NLMSG_ERROR && err->error == -ECONNREFUSED)
		t->failed++;
	else
		complain("answer", m.hdr.nlmsg_type);
	return false;
}

static void use_shared(struct thread *t)
{
	struct pollfd p = { .fd = t->shared, .events = POLLIN };

	nanosleep(&(struct timespec){ .tv_nsec = 200000 }, NULL);
	if (t->sends)
		ask(t, t->shared, 0x1000000 | t->step);
	else if (poll(&p, 1, 10) > 0)
		take(t, t->shared, 0);
}

static void *work(void *arg)
{
	struct thread *t = arg;

	while (!over) {
		int fd = ++t->step & 1 ? t->blocking : t->nonblocking;

		if (ask(t, fd, t->step)) {
			while (take(t, fd, t->step))
				;
		}
		use_shared(t);
		/* a socket of a moment, as IKE daemons have them */
		if (t->step % 64 == 0 && (fd = socket(AF_NETLINK, SOCK_RAW, NETLINK_XFRM)) >= 0) {
			if (dup2(fd, t->blocking) != t->blocking)
				complain("dup2", -1);
			close(fd);
		}
	}
	return NULL;
}

static void *watch(void *arg)
{
	unsigned int seen[THREADS_MAX] = { 0 };

	for (unsigned int s = 0;; s++) {
		sleep(1);
		for (unsigned int i = 0; s % STUCK_SECONDS == 0 && i < nthreads; i++) {
			if (!over && s && threads[i].step == seen[i]) {
				printf("wrong: thread %u is stuck\n", i);
				_exit(1);
			}
			seen[i] = threads[i].step;
		}
	}
	return NULL;
}

static void start(void)
{
	pthread_t watcher;

	for (unsigned int i = 0; i < nthreads; i++) {
		struct thread *t = &threads[i];

		t->blocking = netlink(SOCK_RAW | SOCK_CLOEXEC);
		t->nonblocking = netlink(SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC);
		t->sends = !(i & 1);
		t->shared = t->sends ? netlink(SOCK_RAW | SOCK_NONBLOCK) : threads[i - 1].shared;
	}
	for (unsigned int i = 0; i < nthreads; i++)
		pthread_create(&threads[i].id, NULL, work, &threads[i]);
	pthread_create(&watcher, NULL, watch, NULL);
	pthread_detach(watcher);
}

/* After the last restart every socket works again. */
static void check_each(void)
{
	struct thread t = { 0 };

	for (unsigned int i = 0; i < nthreads; i++) {
		int fds[] = { threads[i].blocking, threads[i].nonblocking };

		for (int k = 0; k < 2; k++) {
			unsigned long before = t.answered;

			while (ask(&t, fds[k], 0x2000000) && take(&t, fds[k], 0x2000000))
				;
			if (t.answered == before)
				complain("after the last restart", fds[k]);
		}
	}
}

int main(int argc, char **argv)
{
	unsigned long answered = 0, refused = 0, failed = 0, lost = 0;
	unsigned int before;
	char line[64];

	nthreads = argc > 1 ? atoi(argv[1]) : 2;
	if (nthreads < 2 || nthreads > THREADS_MAX || nthreads % 2)
		return 2;
	setvbuf(stdout, NULL, _IOLBF, 0);
	start();
	before = descriptors();
	puts("ready");
	if (!fgets(line, sizeof(line), stdin))
		puts("wrong: no line");
	over = true;
	for (unsigned int i = 0; i < nthreads; i++) {
		struct thread *t = &threads[i];

		pthread_join(t->id, NULL);
		answered += t->answered;
		refused += t->refused;
		failed += t->failed;
		lost += t->lost;
	}
	check_each();
	printf("wrong %lu\nanswered %lu\nrefused %lu\nfailed %lu\nlost %lu\nleft-over %d\n", wrong,
	       answered, refused, failed, lost, (int)(descriptors() - before));
	return wrong > 0;
}
