/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "source/batch.h"

#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "log.h"
#include "source/program.h"
#include "source/proto.h"
#include "source/server.h"

#define FILE_MAX (512U << 20) /* a million SAs take 200 MiB */
#define LINE_MAX_BYTES 1024
#define REPORT_MAX (4096 + LINE_MAX_BYTES)
#define FAILURES_MAX 100

extern char **environ;

/* Where a command starts: in the text, and in the file's lines. */
struct command {
	off_t offset;
	unsigned int line;
};

/*
 * ip ends at the first command that the server refuses (even with -force, which `ip xfrm` does not
 * heed) and does not say which it was. Each allowed command makes one request, so the server's
 * count tells; ip is then started again behind it.
 */
struct xi_batch {
	struct xi_batch_config config;
	char *file;
	int mem; /* the text: what was checked is what ip reads */
	struct command *commands;
	size_t ncommands;
	size_t at; /* first command of this run */
	pid_t pid;
	int err_fd; /* ip's stderr */
	int pid_fd;
	struct event *ev_err, *ev_pid;
	bool exited;
	int wait_status;
	char line[LINE_MAX_BYTES]; /* of stderr, under way */
	size_t line_len;
	char reason[LINE_MAX_BYTES]; /* the last line that was not "Command failed" */
	char report[REPORT_MAX];
	size_t report_len;
	unsigned int failed;
};

/* The first words of a line, as iproute2 splits it. */
static bool line_allowed(const char *line, size_t n)
{
	static const char *const words[3][3] = { { "xfrm" },
						 { "state", "policy" },
						 { "add", "update" } };
	size_t at = 0;

	for (int w = 0; w < 3; w++) {
		size_t len = 0;
		bool known = false;

		while (at < n && strchr(" \t\r", line[at]))
			at++;
		while (at + len < n && !strchr(" \t\r", line[at + len]))
			len++;
		for (int i = 0; i < 3 && words[w][i]; i++)
			known |= strlen(words[w][i]) == len && !memcmp(words[w][i], line + at, len);
		if (!known)
			return false;
		at += len;
	}
	return true;
}

static bool line_blank(const char *line, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (!strchr(" \t\r", line[i]))
			return false;
	}
	return true;
}

static int command_add(struct xi_batch *b, off_t offset, unsigned int line)
{
	struct command *grown;

	if ((b->ncommands & (b->ncommands - 1)) == 0) {
		grown = realloc(b->commands,
				(b->ncommands ? b->ncommands * 2 : 1) * sizeof(*grown));
		if (!grown)
			return -ENOMEM;
		b->commands = grown;
	}
	b->commands[b->ncommands++] = (struct command){ offset, line };
	return 0;
}

/*
 * iproute2 takes '#' for a comment wherever it stands, and a backslash at the end for a continued
 * line. A line that is refused is not quoted: it may hold a key.
 */
static int text_check(struct xi_batch *b, const char *text, size_t size, char *why, size_t n)
{
	bool continued = false;
	unsigned int number = 0;

	for (size_t at = 0; at < size;) {
		const char *line = text + at;
		const char *end = memchr(line, '\n', size - at);
		size_t len = end ? (size_t)(end - line) : size - at;
		const char *hash = memchr(line, '#', len);
		size_t used = hash ? (size_t)(hash - line) : len;
		bool starts = !continued && !line_blank(line, used);

		number++;
		if (memchr(line, '\0', len)) {
			snprintf(why, n, "%s:%u: not a text file", b->file, number);
			return -EINVAL;
		}
		if (starts && !line_allowed(line, used)) {
			snprintf(
				why, n,
				"%s:%u: only `xfrm state|policy add|update ...` may stand here, as for ip -batch",
				b->file, number);
			return -EINVAL;
		}
		if (starts && command_add(b, at, number)) {
			snprintf(why, n, "%s: %s", b->file, strerror(ENOMEM));
			return -ENOMEM;
		}
		continued = !hash && used && line[used - 1] == '\\';
		at += len + 1;
	}
	return 0;
}

static int text_read(struct xi_batch *b, int fd, size_t size, char *why, size_t n)
{
	char *text;
	int err;

	text = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, b->mem, 0);
	if (text == MAP_FAILED)
		err = -errno;
	else
		err = pread(fd, text, size, 0) == (ssize_t)size ? 0 : -EIO;
	if (err)
		snprintf(why, n, "%s: %s", b->file, strerror(-err));
	else
		err = text_check(b, text, size, why, n);
	if (text != MAP_FAILED)
		munmap(text, size);
	return err;
}

static int file_take(struct xi_batch *b, char *why, size_t n)
{
	struct stat st;
	int err = 0;
	int fd = open(b->file, O_RDONLY | O_NONBLOCK | O_CLOEXEC); /* not to wait for a FIFO's writer */

	if (fd < 0 || fstat(fd, &st))
		err = -errno;
	else if (!S_ISREG(st.st_mode))
		err = -ENOTSUP;
	else if ((size_t)st.st_size > FILE_MAX)
		err = -EFBIG;
	if (!err) {
		b->mem = memfd_create("xipsec-batch", MFD_CLOEXEC);
		if (b->mem < 0 || ftruncate(b->mem, st.st_size))
			err = -errno;
	}
	if (err == -ENOTSUP)
		snprintf(why, n, "%s: no regular file: name a file of ip -batch lines", b->file);
	else if (err)
		snprintf(why, n, "%s: cannot read the file of SAs: %s%s", b->file, strerror(-err),
			 err == -ENOENT ? ": write one, or take `sas` out of the configuration" : "");
	else if (st.st_size)
		err = text_read(b, fd, st.st_size, why, n);
	if (fd >= 0)
		close(fd);
	return err;
}

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
	struct stat st;
	int err;

	if (!b)
		return -ENOMEM;
	err = file_take(b, why, n);
	if (!err && !stat(file, &st) && st.st_mode & S_IROTH)
		log_warnx("%s: everybody can read the keys in it: chmod 600 it", file);
	batch_free(b);
	return err;
}

static void report_add(struct xi_batch *b, unsigned int line)
{
	size_t room = sizeof(b->report) - LINE_MAX_BYTES - b->report_len; /* the rest: report_rest() */
	int n;

	b->failed++;
	n = snprintf(b->report + b->report_len, room, "%s%s:%u: %s", b->report_len ? "\n" : "",
		     b->file, line, b->reason[0] ? b->reason : "ip gave no reason");
	if (n > 0 && (size_t)n < room)
		b->report_len += n;
	else
		b->report[b->report_len] = '\0'; /* whole lines only */
}

/* Short words that are no hexadecimal number beyond an SPI, and addresses. */
static bool word_tells_no_key(const char *word, size_t n)
{
	size_t digits = strspn(word, "0123456789abcdefABCDEF:./");

	if (digits >= n && (memchr(word, '.', n) || memchr(word, ':', n)))
		return true;
	return n <= (strncmp(word, "0x", 2) ? 15 : 10);
}

/* ip quotes the argument that it stumbled over, which may be a key, or part of one. */
static void hide_keys(char *line)
{
	char *word = strchr(line, '"');

	while (word) {
		size_t n = strcspn(++word, "\"");
		bool ends = word[n] == '"';

		if (!word_tells_no_key(word, n)) {
			memmove(word + 3, word + n, strlen(word + n) + 1);
			memcpy(word, "...", 3);
			n = 3;
		}
		word = ends ? strchr(word + n + 1, '"') : NULL;
	}
}

static void err_line(struct xi_batch *b)
{
	b->line[b->line_len] = '\0';
	b->line_len = 0;
	hide_keys(b->line);
	if (b->line[0] && strncmp(b->line, "Command failed ", 15))
		snprintf(b->reason, sizeof(b->reason), "%s", b->line);
}

static void err_text(struct xi_batch *b, const char *text, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (text[i] == '\n')
			err_line(b);
		else if (b->line_len < sizeof(b->line) - 1)
			b->line[b->line_len++] = text[i];
	}
}

static int run_start(struct xi_batch *b, char *why, size_t n);

/* What the report had no room for. */
static void report_rest(struct xi_batch *b)
{
	unsigned int shown = 1;

	for (const char *c = b->report; *c; c++)
		shown += *c == '\n';
	if (b->failed > shown || b->at < b->ncommands)
		snprintf(b->report + b->report_len, sizeof(b->report) - b->report_len,
			 "\n%s: %u commands were refused%s", b->file, b->failed,
			 b->at < b->ncommands ? ", and those behind them not tried" : " in all");
}

static void batch_finish(struct xi_batch *b)
{
	struct xi_batch_config config = b->config;
	char report[REPORT_MAX];
	int status = b->failed ? -EINVAL : 0;

	if (b->failed)
		report_rest(b);
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

	err_text(b, "\n", 1);
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
	report_add(b, b->commands[bad].line);
	b->at = bad + 1;
	if (b->at < b->ncommands && b->failed < FAILURES_MAX) {
		if (!run_start(b, b->reason, sizeof(b->reason)))
			return;
		report_add(b, b->commands[b->at].line);
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
		err_text(b, text, n);
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
	err = file_take(b, why, n);
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
