/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A daemon without a free descriptor: who connects to one of its sockets waits, the daemon goes on, and says so once. */
#include <event2/event.h>
#include <linux/netlink.h>
#include <linux/xfrm.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>

#include "control/control.h"
#include "null_store.h"
#include "source/proto.h"
#include "source/server.h"

#define CLIENTS 3
#define FULL_MS 1500             /* several pauses of either socket */
#define SECONDS 20

struct fixture {
	struct event_base *base;
	struct sockaddr_un addr;
	socklen_t len;
	int type;
	int fds[CLIENTS];
	int log, stderr_before;
	struct rlimit limit;
};

static uint64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000ULL + ts.tv_nsec / 1000000;
}

/* Nobody gets another descriptor. */
static void descriptors_full(struct fixture *f)
{
	int next = dup(STDERR_FILENO);
	struct rlimit limit;

	assert_true(next >= 0);
	close(next);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &f->limit), 0);
	limit = f->limit;
	limit.rlim_cur = next;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
	assert_int_equal(dup(STDERR_FILENO), -1);
}

static void descriptors_free(struct fixture *f)
{
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &f->limit), 0);
}

static int log_lines(struct fixture *f)
{
	char buf[4096];
	ssize_t n = pread(f->log, buf, sizeof(buf) - 1, 0);
	int lines = 0;
	char *at = buf;

	assert_true(n >= 0);
	buf[n] = '\0';
	while ((at = strstr(at, "cannot accept a client: Too many open files")))
		at++, lines++;
	return lines;
}

static void log_capture(struct fixture *f)
{
	char path[] = "/tmp/test_accept.XXXXXX";

	f->log = mkstemp(path);
	assert_true(f->log >= 0);
	unlink(path);
	f->stderr_before = dup(STDERR_FILENO);
	dup2(f->log, STDERR_FILENO);
}

static void log_release(struct fixture *f)
{
	dup2(f->stderr_before, STDERR_FILENO);
	close(f->stderr_before);
	close(f->log);
}

static void on_tick(evutil_socket_t fd, short what, void *arg)
{
}

/* How often the loop was woken in this time: by one clock, however often something else wakes it. */
static int wakes(struct fixture *f, unsigned int ms)
{
	const struct timeval tick = { .tv_usec = 50000 };
	struct event *clock = event_new(f->base, -1, EV_PERSIST, on_tick, NULL);
	uint64_t end = now_ms() + ms;
	int n;

	assert_non_null(clock);
	event_add(clock, &tick);
	for (n = 0; now_ms() < end; n++)
		event_base_loop(f->base, EVLOOP_ONCE);
	event_free(clock);
	return n;
}

static void connect_all(struct fixture *f)
{
	int i;

	for (i = 0; i < CLIENTS; i++)
		assert_int_equal(connect(f->fds[i], (struct sockaddr *)&f->addr, f->len), 0);
}

/* Waits until there is something to read. */
static void assert_answered(struct fixture *f, int fd)
{
	uint64_t end = now_ms() + SECONDS * 1000;
	char buf[512];

	while (recv(fd, buf, sizeof(buf), MSG_DONTWAIT) <= 0) {
		assert_true(now_ms() < end);
		event_base_loop(f->base, EVLOOP_NONBLOCK);
	}
}

static void ask(struct fixture *f, int fd)
{
	struct {
		struct nlmsghdr hdr;
		__u32 flags;
	} info = {.hdr = {sizeof(info), XFRM_MSG_GETSADINFO, NLM_F_REQUEST, 1, 0}};
	const char line[] = "{\"cmd\": \"none\"}\n";

	if (f->type == SOCK_SEQPACKET)
		assert_int_equal(send(fd, &info, sizeof(info), 0), sizeof(info));
	else
		assert_int_equal(send(fd, line, sizeof(line) - 1, 0), sizeof(line) - 1);
}

static void waits_and_is_served(struct fixture *f)
{
	int i;

	for (i = 0; i < CLIENTS; i++) {
		f->fds[i] = socket(AF_UNIX, f->type | SOCK_CLOEXEC, 0);
		assert_true(f->fds[i] >= 0);
	}
	log_capture(f);
	descriptors_full(f);
	connect_all(f);
	/* the clock of the test alone is 30 of them */
	assert_true(wakes(f, FULL_MS) < 100);
	assert_int_equal(log_lines(f), 1);
	descriptors_free(f);
	for (i = 0; i < CLIENTS; i++) {
		ask(f, f->fds[i]);
		assert_answered(f, f->fds[i]);
	}
	log_release(f);
	for (i = 0; i < CLIENTS; i++)
		close(f->fds[i]);
}

static void the_xfrm_socket(void **state)
{
	struct null_store *store = null_store_new(64);
	struct fixture f = {.type = SOCK_SEQPACKET, .base = event_base_new()};
	struct xi_sad_config config = {0};
	struct xi_xfrm_server *server;
	struct xi_sad *sad;
	struct xi_spd *spd;
	char name[32];

	snprintf(name, sizeof(name), "xi-accept-%d", getpid());
	assert_int_equal(xi_sad_create(&sad, &config, &store->store), 0);
	assert_int_equal(xi_spd_create(&spd, sad, &store->store), 0);
	assert_int_equal(xi_xfrm_server_create(&server, f.base, sad, spd, name), 0);
	assert_int_equal(xi_xfrm_sock_addr(&f.addr, &f.len, name), 0);
	waits_and_is_served(&f);
	xi_xfrm_server_destroy(server);
	xi_spd_destroy(spd);
	xi_sad_destroy(sad);
	event_base_free(f.base);
	null_store_free(store);
}

static void the_control_socket(void **state)
{
	struct fixture f = {.type = SOCK_STREAM, .base = event_base_new(), .len = sizeof(f.addr)};
	char dir[] = "/tmp/test_accept.XXXXXX";
	struct xi_control_config config = {.base = f.base, .run_dir = dir};
	struct xi_control *ctl;

	assert_non_null(mkdtemp(dir));
	assert_int_equal(xi_control_create(&ctl, &config), 0);
	f.addr.sun_family = AF_UNIX;
	snprintf(f.addr.sun_path, sizeof(f.addr.sun_path), "%s/%s", dir, XI_CONTROL_SOCKET);
	waits_and_is_served(&f);
	xi_control_destroy(ctl);
	event_base_free(f.base);
	rmdir(dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_xfrm_socket),
		cmocka_unit_test(the_control_socket),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
