/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Log lines on stderr and in the journal, and the start-up messages to systemd. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "log.h"
#include "notify.h"

struct capture {
	int saved;
	int pipe[2];
	char text[4096];
};

static void capture_begin(struct capture *c)
{
	c->saved = dup(STDERR_FILENO);
	assert_int_equal(pipe(c->pipe), 0);
	dup2(c->pipe[1], STDERR_FILENO);
}

static const char *capture_end(struct capture *c)
{
	ssize_t n;

	dup2(c->saved, STDERR_FILENO);
	close(c->saved);
	close(c->pipe[1]);
	n = read(c->pipe[0], c->text, sizeof(c->text) - 1);
	assert_true(n >= 0);
	c->text[n] = 0;
	close(c->pipe[0]);
	return c->text;
}

static void test_lines_are_plain_outside_the_journal(void **state)
{
	struct capture c;

	unsetenv("JOURNAL_STREAM");
	capture_begin(&c);
	log_init(0);
	errno = ENOENT;
	log_warn("%s: cannot open", "wan0");
	errno = ENOENT;
	log_warnx("wan0: no such port");
	log_info("ready");
	log_debug("not said");
	assert_string_equal(capture_end(&c), "wan0: cannot open: No such file or directory\n"
					     "wan0: no such port\n"
					     "ready\n");
}

static void test_verbose_says_more(void **state)
{
	struct capture c;

	capture_begin(&c);
	log_init(1);
	log_debug("said");
	assert_string_equal(capture_end(&c), "said\n");
}

static void test_the_journal_gets_levels(void **state)
{
	struct capture c;
	char stream[64];
	struct stat st;

	capture_begin(&c);
	assert_int_equal(fstat(STDERR_FILENO, &st), 0);
	snprintf(stream, sizeof(stream), "%llu:%llu", (unsigned long long)st.st_dev,
		 (unsigned long long)st.st_ino);
	setenv("JOURNAL_STREAM", stream, 1);
	log_init(1);
	log_warnx("a");
	log_info("b");
	log_debug("c");
	setenv("JOURNAL_STREAM", "1:2", 1); /* stderr was redirected: not the journal any more */
	log_init(0);
	log_warnx("d");
	unsetenv("JOURNAL_STREAM");
	assert_string_equal(capture_end(&c), "<4>a\n<6>b\n<7>c\nd\n");
}

static void test_nothing_forges_a_line(void **state)
{
	struct capture c;

	capture_begin(&c);
	log_init(0);
	log_warnx("port %s", "a\n<0>b\x1b[2J");
	assert_string_equal(capture_end(&c), "port a?<0>b?[2J\n");
}

static void test_a_long_line_is_cut_and_ends(void **state)
{
	char text[3000];
	struct capture c;
	size_t len;

	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = 0;
	capture_begin(&c);
	log_init(0);
	errno = ENOENT;
	log_warn("%s", text);
	len = strlen(capture_end(&c));
	assert_in_range(len, 1000, 1024);
	assert_ptr_equal(strchr(c.text, '\n'), c.text + len - 1);
}

static void test_errno_survives_logging(void **state)
{
	struct capture c;

	capture_begin(&c);
	log_init(0);
	errno = EBUSY;
	log_info("x");
	assert_int_equal(errno, EBUSY);
	capture_end(&c);
}

static int notify_socket(const char *name)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_DGRAM, 0);
	size_t len = strlen(name);

	memcpy(sun.sun_path, name, len);
	if (*name == '@')
		sun.sun_path[0] = 0;
	else
		len++;
	assert_int_equal(bind(fd, (struct sockaddr *)&sun,
			      (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len)),
			 0);
	setenv("NOTIFY_SOCKET", name, 1);
	return fd;
}

static void assert_told(int fd, const char *want)
{
	char text[128];
	ssize_t n = recv(fd, text, sizeof(text) - 1, MSG_DONTWAIT);

	assert_true(n >= 0);
	text[n] = 0;
	assert_string_equal(text, want);
}

static void test_readiness_is_told_to_a_named_socket(void **state)
{
	char dir[] = "/tmp/xi-notify-XXXXXX", name[64];
	int fd;

	assert_non_null(mkdtemp(dir));
	snprintf(name, sizeof(name), "%s/s", dir);
	fd = notify_socket(name);
	assert_int_equal(xi_notify("READY=1\nSTATUS=%d ports", 2), 0);
	assert_told(fd, "READY=1\nSTATUS=2 ports");
	close(fd);
	unlink(name);
	assert_int_equal(xi_notify("READY=1"), -ENOENT);
	rmdir(dir);
}

static void test_readiness_is_told_to_an_abstract_socket(void **state)
{
	char name[64];
	int fd;

	snprintf(name, sizeof(name), "@xi-notify-test-%d", getpid());
	fd = notify_socket(name);
	assert_int_equal(xi_notify("READY=1"), 0);
	assert_told(fd, "READY=1");
	close(fd);
}

static void test_no_socket_is_no_error_and_a_bad_one_is(void **state)
{
	char name[200];

	unsetenv("NOTIFY_SOCKET");
	assert_int_equal(xi_notify("READY=1"), 0);
	setenv("NOTIFY_SOCKET", "relative", 1);
	assert_int_equal(xi_notify("READY=1"), -EINVAL);
	setenv("NOTIFY_SOCKET", "/", 1);
	assert_int_equal(xi_notify("READY=1"), -EINVAL);
	memset(name, '/', sizeof(name) - 1);
	name[sizeof(name) - 1] = 0;
	setenv("NOTIFY_SOCKET", name, 1);
	assert_int_equal(xi_notify("READY=1"), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lines_are_plain_outside_the_journal),
		cmocka_unit_test(test_verbose_says_more),
		cmocka_unit_test(test_the_journal_gets_levels),
		cmocka_unit_test(test_nothing_forges_a_line),
		cmocka_unit_test(test_a_long_line_is_cut_and_ends),
		cmocka_unit_test(test_errno_survives_logging),
		cmocka_unit_test(test_readiness_is_told_to_a_named_socket),
		cmocka_unit_test(test_readiness_is_told_to_an_abstract_socket),
		cmocka_unit_test(test_no_socket_is_no_error_and_a_bad_one_is),
	};

	return cmocka_run_group_tests_name("log", tests, NULL, NULL);
}
