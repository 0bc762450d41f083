/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The control socket: hostile and slow clients, who may connect, and the tool's end of it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <grp.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "control/client.h"
#include "control/show.h"
#include "control_bed.h"

static int control_setup_hasty(void **state)
{
	return control_start(state, 50, 50);
}

/* --- hostile and slow clients --- */

static void assert_error(struct fake *f, const char *request, size_t len, const char *want)
{
	char *text = ask_bytes(f, request, len);
	json_t *reply = json_loads(text, 0, NULL);
	const char *error = json_string_value(json_object_get(reply, "error"));

	assert_non_null(error);
	assert_int_equal(json_object_size(reply), 1);
	if (!strstr(error, want))
		fail_msg("\"%s\" lacks \"%s\"", error, want);
	json_decref(reply);
	free(text);
}

static void test_hostile_requests_get_an_error(void **state)
{
	static const struct {
		const char *request, *want;
	} cases[] = {
		{ "\n", "not a JSON object" },
		{ "{\n", "not a JSON object" },
		{ "{\"cmd\":\"show\"\n", "not a JSON object" },
		{ "show\n", "not a JSON object" },
		{ "\"show\"\n", "not a JSON object" },
		{ "\xff\xfe{}\n", "not a JSON object" },
		{ "{\"cmd\":\"sh\xc3\"}\n", "not a JSON object" },
		{ "{\"cmd\":\"show\"} {\"cmd\":\"stop\"}\n", "not a JSON object" },
		{ "{\"cmd\":\"show\",\"cmd\":\"stop\"}\n", "not a JSON object" },
		{ "{\"cmd\":\"sh\\u0000ow\"}\n", "not a JSON object" },
		{ "[]\n", "no command" },
		{ "[\"cmd\",\"show\"]\n", "no command" },
		{ "{}\n", "no command" },
		{ "{\"cmd\":7}\n", "no command" },
		{ "{\"cmd\":null}\n", "no command" },
		{ "{\"cmd\":{\"cmd\":\"show\"}}\n", "no command" },
		{ "{\"cmd\":\"\"}\n", "unknown command" },
		{ "{\"cmd\":\"SHOW\"}\n", "unknown command" },
		{ "{\"cmd\":\"show\\n\"}\n", "unknown command" },
		{ "{\"cmd\":\"fail\"}\n", "nothing to see: look elsewhere" },
		{ "{\"cmd\":\"show\",\"from\":7}\n", "from: not what" },
		{ "{\"cmd\":\"show\",\"from\":null}\n", "from: not what" },
		{ "{\"cmd\":\"show\",\"from\":{\"sa\":0}}\n", "from: not what" },
		{ "{\"cmd\":\"show\",\"from\":{\"sa\":-1,\"policy\":0}}\n", "from: not what" },
		{ "{\"cmd\":\"show\",\"from\":{\"sa\":4294967296,\"policy\":0}}\n",
		  "from: not what" },
		{ "{\"cmd\":\"show\",\"from\":{\"sa\":\"0\",\"policy\":0}}\n", "from: not what" },
	};
	struct fake *f = *state;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_error(f, cases[i].request, strlen(cases[i].request), cases[i].want);
	assert_error(f, "{\"cmd\":\"show\0\"}\n", 16, "not a JSON object");
}

static void test_huge_and_deep_requests_get_an_error(void **state)
{
	struct fake *f = *state;
	char *text = malloc(1 << 17);

	memset(text, '[', 1 << 17);
	text[4095] = '\n';
	assert_error(f, text, 4096, "not a JSON object");
	text[4095] = '[';
	assert_error(f, text, 1 << 17, "longer than 4096 bytes");
	memset(text, ' ', 1 << 17);
	memcpy(text, "{\"cmd\":\"fail\"}", 14);
	text[4096] = '\n';
	assert_error(f, text, 4097, "nothing to see"); /* the longest one that is taken */
	text[4096] = ' ';
	text[4097] = '\n';
	assert_error(f, text, 4098, "longer than 4096 bytes");
	free(text);
}

static void test_a_truncated_request_ends_with_the_connection(void **state)
{
	struct fake *f = *state;
	char *text;
	int fd;

	fd = dial(f);
	assert_int_equal(send(fd, "{\"cmd\":", 7, 0), 7);
	shutdown(fd, SHUT_WR);
	text = drain(f, fd);
	assert_non_null(strstr(text, "not a JSON object"));
	free(text);

	fd = dial(f);
	assert_int_equal(send(fd, "{\"cmd\":\"fail\"}", 14, 0),
			 14); /* whole, without its newline */
	shutdown(fd, SHUT_WR);
	text = drain(f, fd);
	assert_non_null(strstr(text, "nothing to see"));
	free(text);

	fd = dial(f);
	shutdown(fd, SHUT_WR);
	text = drain(f, fd);
	assert_string_equal(text, "");
	free(text);
}

static void test_a_client_that_vanishes_harms_nobody(void **state)
{
	struct fake *f = *state;
	int fd = dial(f);

	assert_int_equal(send(fd, "{\"cmd\":\"big\"}\n", 14, 0), 14);
	close(fd);
	assert_error(f, "{\"cmd\":\"fail\"}\n", 15, "nothing to see");
	assert_error(f, "{\"cmd\":\"fail\"}\n", 15, "nothing to see");
}

static void test_a_slow_request_is_cut_off(void **state)
{
	struct fake *f = *state;

	assert_error(f, "{\"cmd\":\"show\"", 13, "no complete request in time");
}

static void test_a_client_that_does_not_read_is_cut_off(void **state)
{
	struct fake *f = *state;
	struct pollfd p = { .fd = dial(f) };
	char *text;

	assert_int_equal(send(p.fd, "{\"cmd\":\"big\"}\n", 14, 0), 14);
	while (poll(&p, 1, 0) == 0 || !(p.revents & POLLHUP))
		event_base_loop(f->base, EVLOOP_ONCE);
	text = drain(f, p.fd);
	assert_true(strlen(text) > 0 && strlen(text) < (16 << 20));
	free(text);
}

static void test_a_large_reply_arrives_whole(void **state)
{
	struct fake *f = *state;
	char *text = ask(f, "{\"cmd\":\"big\"}\n");

	assert_int_equal(strlen(text), (16 << 20) + strlen("{\"text\":\"\"}\n"));
	free(text);
}

static void test_clients_beyond_the_bound_wait(void **state)
{
	int fds[XI_CONTROL_CLIENTS], one_more;
	struct fake *f = *state;
	char *text;

	for (int i = 0; i < XI_CONTROL_CLIENTS; i++)
		fds[i] = dial(f);
	one_more = dial(f);
	assert_int_equal(send(one_more, "{\"cmd\":\"fail\"}\n", 15, 0), 15);
	text = drain(f, one_more); /* after the others' time for a request is over */
	assert_non_null(strstr(text, "nothing to see"));
	free(text);
	for (int i = 0; i < XI_CONTROL_CLIENTS; i++) {
		text = drain(f, fds[i]);
		assert_non_null(strstr(text, "no complete request in time"));
		free(text);
	}
}

static void test_commands_have_one_owner(void **state)
{
	struct fake *f = *state;

	assert_int_equal(xi_control_register(f->ctl, "show", cmd_fail, NULL), -EEXIST);
}

/* --- the socket --- */

/* The server in a thread of its own. */
static void *serve(void *arg)
{
	struct fake *f = arg;

	event_base_dispatch(f->base);
	xi_control_destroy(f->ctl); /* with the reply to "stop" not sent yet */
	f->ctl = NULL;
	return NULL;
}

static mode_t socket_mode(const char *dir)
{
	struct sockaddr_un sun;
	struct stat st;

	socket_name(&sun, dir);
	assert_int_equal(stat(sun.sun_path, &st), 0);
	return st.st_mode & 07777;
}

static void test_only_the_group_may_connect(void **state)
{
	struct fake *f = *state;
	const struct group *own = getgrgid(getegid());
	struct xi_control_config config = { .base = f->base, .run_dir = f->dir };

	assert_int_equal(socket_mode(f->dir), 0600); /* no group configured */
	xi_control_destroy(f->ctl);
	f->ctl = NULL;
	config.group = "no-such-group-here";
	assert_int_equal(xi_control_create(&f->ctl, &config), 0);
	assert_int_equal(socket_mode(f->dir), 0600);
	if (!own)
		skip();
	xi_control_destroy(f->ctl);
	f->ctl = NULL;
	config.group = own->gr_name;
	assert_int_equal(xi_control_create(&f->ctl, &config), 0);
	assert_int_equal(socket_mode(f->dir), 0660);
}

static void test_the_group_may_look_but_not_act(void **state)
{
	struct fake *f = *state;
	struct sockaddr_un sun;
	pthread_t thread;
	json_t *reply;
	int status;
	pid_t pid;

	if (geteuid())
		skip(); /* needs two users */
	socket_name(&sun, f->dir);
	assert_int_equal(chmod(f->dir, 0755) | chmod(sun.sun_path, 0666), 0);
	assert_int_equal(pthread_create(&thread, NULL, serve, f), 0);
	pid = fork();
	if (!pid) {
		if (setuid(65534) || xi_control_call(f->dir, "fail", &reply) ||
		    strcmp(json_string_value(json_object_get(reply, "error")),
			   "nothing to see: look elsewhere"))
			_exit(1);
		if (xi_control_call(f->dir, "stop", &reply) ||
		    strcmp(json_string_value(json_object_get(reply, "error")),
			   "permission denied: this command is for root"))
			_exit(2);
		if (chmod(sun.sun_path, 0600) == 0)
			_exit(3);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	assert_int_equal(xi_control_call(f->dir, "stop", &reply), 0);
	json_decref(reply);
	pthread_join(thread, NULL);
}

static void test_a_second_daemon_is_refused_and_a_stale_socket_replaced(void **state)
{
	struct fake *f = *state;
	struct xi_control_config config = { .base = f->base, .run_dir = f->dir };
	struct xi_control *second = NULL;
	struct sockaddr_un sun;
	int fd;

	assert_int_equal(xi_control_create(&second, &config), -EADDRINUSE);
	assert_error(f, "{\"cmd\":\"fail\"}\n", 15,
		     "nothing to see"); /* the first one still serves */

	xi_control_destroy(f->ctl);
	socket_name(&sun, f->dir);
	fd = socket(AF_UNIX, SOCK_STREAM, 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&sun, sizeof(sun)), 0);
	close(fd); /* as kill -9 leaves it */
	assert_int_equal(xi_control_create(&f->ctl, &config), 0);
}

static void test_a_run_dir_is_made_for_all_to_enter(void **state)
{
	struct fake *f = *state;
	struct xi_control_config config = { .base = f->base };
	struct xi_control *ctl;
	mode_t mask = umask(0077);
	char dir[64];
	struct stat st;

	snprintf(dir, sizeof(dir), "%s/run", f->dir);
	config.run_dir = dir;
	assert_int_equal(xi_control_create(&ctl, &config), 0);
	umask(mask);
	assert_int_equal(stat(dir, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0755);
	assert_int_equal(socket_mode(dir), 0600);
	xi_control_destroy(ctl);
	assert_int_equal(rmdir(dir), 0);
}

static void test_a_run_dir_that_cannot_be_is_refused(void **state)
{
	struct fake *f = *state;
	struct xi_control_config config = { .base = f->base, .run_dir = "/nonexistent/a" };
	struct xi_control *ctl = NULL;
	char longest[200];

	assert_int_equal(xi_control_create(&ctl, &config), -ENOENT);
	memset(longest, 'a', sizeof(longest) - 1);
	longest[0] = '/';
	longest[sizeof(longest) - 1] = 0;
	config.run_dir = longest;
	assert_int_equal(xi_control_create(&ctl, &config), -ENAMETOOLONG);
	assert_null(ctl);
}

/* --- the tool's end --- */

static void test_the_tools_calls(void **state)
{
	struct fake *f = *state;
	pthread_t thread;
	json_t *reply;

	f->nsas = 2 * XI_SHOW_PAGE + 3;
	assert_int_equal(pthread_create(&thread, NULL, serve, f), 0);
	assert_int_equal(xi_control_call(f->dir, "show", &reply), 0);
	assert_int_equal(json_array_size(json_object_get(reply, "sas")), 2 * XI_SHOW_PAGE + 3);
	assert_int_equal(json_array_size(json_object_get(reply, "policies")), 1);
	assert_null(json_object_get(reply, "next"));
	json_decref(reply);
	assert_int_equal(xi_control_call(f->dir, "what", &reply), 0);
	assert_non_null(json_object_get(reply, "error"));
	json_decref(reply);
	assert_int_equal(xi_control_call(f->dir, "stop", &reply), 0);
	assert_true(json_is_true(json_object_get(reply, "ok")));
	json_decref(reply);
	pthread_join(thread, NULL);
	assert_int_equal(xi_control_call(f->dir, "show", &reply), -ENOENT);
	assert_int_equal(xi_control_call("/nonexistent", "show", &reply), -ENOENT);
}

static void test_a_call_to_something_else_fails(void **state)
{
	static const char *const answers[] = { "", "\n", "[]\n", "hello\n", "{\"sas\":[\n" };
	struct sockaddr_un sun;
	struct fake *f = *state;
	json_t *reply;
	int fd, peer;

	xi_control_destroy(f->ctl);
	f->ctl = NULL;
	socket_name(&sun, f->dir);
	fd = socket(AF_UNIX, SOCK_STREAM, 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&sun, sizeof(sun)), 0);
	assert_int_equal(xi_control_call(f->dir, "show", &reply),
			 -ECONNREFUSED); /* nobody listens */
	assert_int_equal(listen(fd, 8), 0);
	for (size_t i = 0; i < sizeof(answers) / sizeof(answers[0]); i++) {
		pid_t pid = fork();

		if (!pid)
			_exit(xi_control_call(f->dir, "show", &reply) == -EPROTO ? 0 : 1);
		peer = accept(fd, NULL, NULL);
		if (*answers[i])
			assert_true(send(peer, answers[i], strlen(answers[i]), 0) > 0);
		shutdown(peer, SHUT_WR);
		{
			char request[64];
			int status;

			assert_true(recv(peer, request, sizeof(request), MSG_WAITALL) > 0);
			assert_int_equal(waitpid(pid, &status, 0), pid);
			assert_int_equal(status, 0);
		}
		close(peer);
	}
	close(fd);
	unlink(sun.sun_path);
}

static void assert_explained(const char *run_dir, int err, const char *want)
{
	size_t len;
	char *text;
	FILE *out = open_memstream(&text, &len);

	xi_control_explain(out, run_dir, err);
	fclose(out);
	assert_string_equal(text, want);
	free(text);
}

static void test_a_failed_call_says_what_to_do(void **state)
{
	static const char not_running[] =
		"xipsecd is not running (no socket at /run/xipsec/control.sock): "
		"start it with `xipsecd -c /etc/xipsec/xipsec.conf`\n";

	/* whatever runs on this host */
	setenv("XIPSEC_XFRM_SOCK", "xipsec-test-nobody", 1);
	assert_explained("/run/xipsec", -ENOENT, not_running);
	assert_explained("/run/xipsec", -ECONNREFUSED, not_running);
	assert_explained("/nonexistent", -EACCES,
			 "/nonexistent/control.sock: permission denied: run this as root\n");
	assert_explained("/run/xipsec", -ETIMEDOUT,
			 "xipsecd does not answer at /run/xipsec/control.sock: see its log\n");
	assert_explained("/run/xipsec", -EPROTO, "/run/xipsec/control.sock: Protocol error\n");
}

#define WITH_HASTY_SERVER(test) cmocka_unit_test_setup_teardown(test, control_setup_hasty, control_teardown)
#define WITH_SERVER(test) cmocka_unit_test_setup_teardown(test, control_setup, control_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_SERVER(test_hostile_requests_get_an_error),
		WITH_SERVER(test_huge_and_deep_requests_get_an_error),
		WITH_SERVER(test_a_truncated_request_ends_with_the_connection),
		WITH_SERVER(test_a_client_that_vanishes_harms_nobody),
		WITH_HASTY_SERVER(test_a_slow_request_is_cut_off),
		WITH_HASTY_SERVER(test_a_client_that_does_not_read_is_cut_off),
		WITH_SERVER(test_a_large_reply_arrives_whole),
		WITH_HASTY_SERVER(test_clients_beyond_the_bound_wait),
		WITH_SERVER(test_commands_have_one_owner),
		WITH_SERVER(test_only_the_group_may_connect),
		WITH_SERVER(test_the_group_may_look_but_not_act),
		WITH_SERVER(test_a_second_daemon_is_refused_and_a_stale_socket_replaced),
		WITH_SERVER(test_a_run_dir_is_made_for_all_to_enter),
		WITH_SERVER(test_a_run_dir_that_cannot_be_is_refused),
		WITH_SERVER(test_the_tools_calls),
		WITH_SERVER(test_a_call_to_something_else_fails),
		cmocka_unit_test(test_a_failed_call_says_what_to_do),
	};

	return cmocka_run_group_tests_name("control", tests, NULL, NULL);
}
