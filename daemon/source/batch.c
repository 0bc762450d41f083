/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "source/batch_int.h"

#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "log.h"
#include "source/program.h"
#include "source/proto.h"
#include "source/server.h"

#define FAILURES_MAX 100

extern char **environ;

static void run_end(struct xi_batch *b)
{
	if (b->ev_err)
		event_free(b->ev_err);
	if (b->ev_pid)
		event_free(b->ev_pid);
	if (b->err_fd >= 0)
		close(b->err_fd);
	if (b->pid_fd >= 0)
		close(b->pid_fd);
	b->ev_err = b->ev_pid = NULL;
	b->err_fd = b->pid_fd = -1;
	if (b->config.server)
		xi_xfrm_server_set_file_pid(b->config.server, 0);
}

static void batch_free(struct xi_batch *b)
{
	run_end(b);
	if (b->mem >= 0)
		close(b->mem);
	free(b->commands);
	free(b->file);
	free(b);
}

static struct xi_batch *batch_new(const char *file, char *why, size_t n)
{
	struct xi_batch *b = calloc(1, sizeof(*b));

	if (b)
		b->file = strdup(file);
	if (b && b->file) {
		b->mem = b->err_fd = b->pid_fd = -1;
		return b;
	}
	free(b);
	snprintf(why, n, "%s: %s", file, strerror(ENOMEM));
	return NULL;
}

int xi_batch_check(const char *file, char *why, size_t n)
{
	struct xi_batch *b = batch_new(file, why, n);
	int err;

	if (!b)
		return -ENOMEM;
	err = xi_batch_read(b, why, n);
	if (!err && b->mode & (S_IRGRP | S_IROTH))
		log_warnx("%s: %s can read the keys in it: chmod 600 it", file,
			  b->mode & S_IROTH ? "everybody" : "its group");
	batch_free(b);
	return err;
}

static int run_start(struct xi_batch *b, char *why, size_t n);

static void batch_finish(struct xi_batch *b)
{
	struct xi_batch_config config = b->config;
	char report[XI_BATCH_REPORT];
	int status = b->failed ? -EINVAL : 0;

	if (b->failed)
		xi_batch_report_rest(b);
	memcpy(report, b->report, sizeof(report));
	batch_free(b);
	config.done(config.arg, status, report);
}

/* ip ended: done, or it stumbled over a command and goes on behind it. */
static void run_finish(struct xi_batch *b)
{
	bool clean = WIFEXITED(b->wait_status) && WEXITSTATUS(b->wait_status) == 0;
	unsigned int requests, refused;
	size_t bad;

	xi_batch_stderr(b, "\n", 1);
	xi_xfrm_server_file_progress(b->config.server, &requests, &refused);
	run_end(b);
	if (clean) {
		b->at = b->ncommands;
		batch_finish(b);
		return;
	}
	/* Refused by the server, or by ip itself before it asked. */
	bad = b->at + requests - (refused ? 1 : 0);
	if (bad >= b->ncommands)
		bad = b->ncommands - 1;
	xi_batch_report(b, b->commands[bad].line);
	b->at = bad + 1;
	if (b->at < b->ncommands && b->failed < FAILURES_MAX) {
		if (!run_start(b, b->reason, sizeof(b->reason)))
			return;
		xi_batch_report(b, b->commands[b->at].line);
	}
	batch_finish(b);
}

static void on_err(evutil_socket_t fd, short what, void *arg)
{
	struct xi_batch *b = arg;
	char text[4096];
	ssize_t n = read(fd, text, sizeof(text));

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n > 0) {
		xi_batch_stderr(b, text, n);
		return;
	}
	event_del(b->ev_err);
	close(b->err_fd);
	b->err_fd = -1;
	if (b->exited)
		run_finish(b);
}

static void on_exit_event(evutil_socket_t fd, short what, void *arg)
{
	struct xi_batch *b = arg;

	if (waitpid(b->pid, &b->wait_status, WNOHANG) != b->pid)
		return;
	event_del(b->ev_pid);
	b->exited = true;
	if (b->err_fd < 0)
		run_finish(b);
}

/* The environment with our two variables in front: the first of a name counts. */
static char **child_environ(const char *preload, const char *name, char *vars[2])
{
	size_t n = 0;
	char **env;

	while (environ[n])
		n++;
	env = calloc(n + 3, sizeof(*env));
	if (!env || asprintf(&vars[0], "LD_PRELOAD=%s", preload) < 0 ||
	    asprintf(&vars[1], XI_XFRM_SOCK_ENV "=%s", name) < 0) {
		free(env);
		return NULL;
	}
	env[0] = vars[0];
	env[1] = vars[1];
	for (size_t i = 0, at = 2; i < n; i++) {
		if (strncmp(environ[i], "LD_PRELOAD=", 11) &&
		    strncmp(environ[i], XI_XFRM_SOCK_ENV "=", sizeof(XI_XFRM_SOCK_ENV)))
			env[at++] = environ[i];
	}
	return env;
}

static int spawn_with(struct xi_batch *b, const char *ip, char **env, int in, int out)
{
	char *argv[] = { (char *)"ip", (char *)"-batch", (char *)"-", NULL };
	posix_spawn_file_actions_t files;
	posix_spawnattr_t attr;
	sigset_t none, all;
	int err;

	sigemptyset(&none);
	sigfillset(&all);
	posix_spawn_file_actions_init(&files);
	posix_spawnattr_init(&attr);
	posix_spawn_file_actions_adddup2(&files, in, 0);
	posix_spawn_file_actions_addopen(&files, 1, "/dev/null", O_WRONLY, 0);
	posix_spawn_file_actions_adddup2(&files, out, 2);
	posix_spawnattr_setsigmask(&attr, &none);
	posix_spawnattr_setsigdefault(&attr, &all);
	posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
	err = posix_spawn(&b->pid, ip, &files, &attr, argv, env);
	posix_spawnattr_destroy(&attr);
	posix_spawn_file_actions_destroy(&files);
	return -err;
}

static int spawn_ip(struct xi_batch *b, int in, int out, char *why, size_t n)
{
	char ip[PATH_MAX], preload[PATH_MAX];
	char *vars[2] = { NULL, NULL };
	int err = -ENOMEM;
	char **env;

	if (xi_find_ip(ip)) {
		snprintf(why, n, "%s: no ip program found to read it: install iproute2", b->file);
		return -ENOENT;
	}
	if (xi_find_preload(preload)) {
		snprintf(why, n, "%s: " XI_PRELOAD_NAME " not found: set " XI_PRELOAD_ENV, b->file);
		return -ENOENT;
	}
	env = child_environ(preload, xi_xfrm_server_name(b->config.server), vars);
	if (env)
		err = spawn_with(b, ip, env, in, out);
	if (err)
		snprintf(why, n, "%s: %s: %s", b->file, ip, strerror(-err));
	free(vars[0]);
	free(vars[1]);
	free(env);
	return err;
}

static int batch_watch(struct xi_batch *b)
{
	b->pid_fd = syscall(SYS_pidfd_open, b->pid, 0);
	if (b->pid_fd < 0)
		return -errno;
	b->ev_err = event_new(b->config.base, b->err_fd, EV_READ | EV_PERSIST, on_err, b);
	b->ev_pid = event_new(b->config.base, b->pid_fd, EV_READ | EV_PERSIST, on_exit_event, b);
	if (!b->ev_err || !b->ev_pid || event_add(b->ev_err, NULL) || event_add(b->ev_pid, NULL))
		return -ENOMEM;
	return 0;
}

static int run_start(struct xi_batch *b, char *why, size_t n)
{
	int pipe_fds[2];
	int err;

	b->exited = false;
	b->reason[0] = '\0';
	if (lseek(b->mem, b->commands[b->at].offset, SEEK_SET) < 0 || pipe2(pipe_fds, O_CLOEXEC)) {
		err = -errno;
		snprintf(why, n, "%s: %s", b->file, strerror(-err));
		return err;
	}
	b->err_fd = pipe_fds[0];
	fcntl(b->err_fd, F_SETFL, O_NONBLOCK);
	err = spawn_ip(b, b->mem, pipe_fds[1], why, n);
	close(pipe_fds[1]);
	if (err) {
		run_end(b);
		return err;
	}
	xi_xfrm_server_set_file_pid(b->config.server, b->pid);
	err = batch_watch(b);
	if (err) {
		snprintf(why, n, "%s: %s", b->file, strerror(-err));
		kill(b->pid, SIGKILL);
		waitpid(b->pid, NULL, 0);
		run_end(b);
	}
	return err;
}

/* Nothing to run: done all the same comes from the loop, as callers expect. */
static void on_empty(evutil_socket_t fd, short what, void *arg)
{
	batch_finish(arg);
}

static int run_empty(struct xi_batch *b, char *why, size_t n)
{
	struct timeval now = { 0 };

	b->exited = true;
	b->ev_pid = evtimer_new(b->config.base, on_empty, b);
	if (b->ev_pid && !event_add(b->ev_pid, &now))
		return 0;
	snprintf(why, n, "%s: %s", b->file, strerror(ENOMEM));
	return -ENOMEM;
}

int xi_batch_start(struct xi_batch **out, const struct xi_batch_config *config, char *why, size_t n)
{
	struct xi_batch *b = batch_new(config->file, why, n);
	int err;

	*out = NULL;
	if (!b)
		return -ENOMEM;
	b->config = *config;
	err = xi_batch_read(b, why, n);
	if (!err)
		err = b->ncommands ? run_start(b, why, n) : run_empty(b, why, n);
	if (err) {
		batch_free(b);
		return err;
	}
	*out = b;
	return 0;
}

void xi_batch_cancel(struct xi_batch *b)
{
	if (!b)
		return;
	if (!b->exited) {
		kill(b->pid, SIGKILL);
		waitpid(b->pid, NULL, 0);
	}
	batch_free(b);
}
