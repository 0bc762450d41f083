/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "control/client.h"

#include <errno.h>
#include <grp.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "config.h"
#include "control/control.h"
#include "source/program.h"

#define SILENCE_SECONDS 30

struct reader {
	int fd;
	int err;
};

static int connect_to(const char *run_dir)
{
	const struct timeval limit = { .tv_sec = SILENCE_SECONDS };
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	int fd, err, n;

	n = snprintf(sun.sun_path, sizeof(sun.sun_path), "%s/%s", run_dir, XI_CONTROL_SOCKET);
	if (n < 0 || (size_t)n >= sizeof(sun.sun_path))
		return -ENAMETOOLONG;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)) < 0 ||
	    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit)) < 0 ||
	    connect(fd, (struct sockaddr *)&sun, sizeof(sun)) < 0) {
		err = errno == EAGAIN ? -ETIMEDOUT : -errno;
		close(fd);
		return err;
	}
	return fd;
}

static int send_request(int fd, const json_t *req)
{
	char text[XI_CONTROL_REQUEST_MAX + 1];
	size_t len = json_dumpb(req, text, XI_CONTROL_REQUEST_MAX, JSON_COMPACT);
	ssize_t n;

	if (!len || len > XI_CONTROL_REQUEST_MAX)
		return -EINVAL;
	text[len++] = '\n';
	n = send(fd, text, len, MSG_NOSIGNAL);
	if (n < 0)
		return errno == EAGAIN ? -ETIMEDOUT : -errno;
	return (size_t)n == len ? 0 : -EPIPE;
}

static size_t read_some(void *buf, size_t size, void *arg)
{
	struct reader *r = arg;
	ssize_t n;

	do
		n = recv(r->fd, buf, size, 0);
	while (n < 0 && errno == EINTR);
	if (n >= 0)
		return (size_t)n;
	r->err = errno == EAGAIN ? -ETIMEDOUT : -errno;
	return (size_t)-1;
}

int xi_control_request(const char *run_dir, const json_t *req, json_t **reply)
{
	struct reader r = { .fd = connect_to(run_dir) };
	int err;

	if (r.fd < 0)
		return r.fd;
	err = send_request(r.fd, req);
	if (!err) {
		*reply = json_load_callback(read_some, &r, JSON_REJECT_DUPLICATES, NULL);
		if (!json_is_object(*reply)) {
			json_decref(*reply);
			*reply = NULL;
			err = r.err ? r.err : -EPROTO;
		}
	}
	close(r.fd);
	return err;
}

static bool is_error(const json_t *reply)
{
	return json_object_get(reply, "error") != NULL;
}

/* Takes the lists of a further page over into the first. */
static void append_page(json_t *reply, json_t *page)
{
	const char *name;
	json_t *value;

	json_object_foreach(page, name, value) {
		if (json_is_array(value))
			json_array_extend(json_object_get(reply, name), value);
	}
	json_object_set(reply, "next", json_object_get(page, "next"));
}

/* The pages behind the first; an error reply to one of them takes the first one's place. */
static int call_rest(const char *run_dir, const char *cmd, json_t **reply)
{
	json_t *next, *page, *req;
	int err;

	while (json_is_object(next = json_object_get(*reply, "next"))) {
		req = json_pack("{s:s s:O}", "cmd", cmd, "from", next);
		err = xi_control_request(run_dir, req, &page);
		json_decref(req);
		if (err)
			return err;
		if (is_error(page)) {
			json_decref(*reply);
			*reply = page;
			return 0;
		}
		append_page(*reply, page);
		json_decref(page);
	}
	json_object_del(*reply, "next");
	return 0;
}

int xi_control_call(const char *run_dir, const char *cmd, json_t **reply)
{
	json_t *req = json_pack("{s:s}", "cmd", cmd);
	int err = xi_control_request(run_dir, req, reply);

	json_decref(req);
	if (err)
		return err;
	err = call_rest(run_dir, cmd, reply);
	if (err)
		json_decref(*reply);
	return err;
}

/* The group that may look is the socket's. */
static void explain_refusal(FILE *out, const char *run_dir)
{
	char path[PATH_MAX];
	const struct group *group;
	struct stat st;

	snprintf(path, sizeof(path), "%s/" XI_CONTROL_SOCKET, run_dir);
	group = !stat(path, &st) && st.st_gid ? getgrgid(st.st_gid) : NULL;
	if (group)
		fprintf(out, "%s: permission denied: join group %s, or run this as root\n", path,
			group->gr_name);
	else
		fprintf(out, "%s: permission denied: run this as root\n", path);
}

static void explain_silence(FILE *out, const char *run_dir)
{
	int err = xi_xfrm_probe(NULL);

	if (err && err != -EPERM && err != -ETIMEDOUT)
		fprintf(out,
			"xipsecd is not running (no socket at %s/" XI_CONTROL_SOCKET
			"): start it with `xipsecd -c " XI_CONFIG_PATH "`\n",
			run_dir);
	else
		fprintf(out,
			"no xipsecd answers at %s/" XI_CONTROL_SOCKET
			", and one serves this network namespace: wait until it is ready, or name its run directory with --run-dir\n",
			run_dir);
}

void xi_control_explain(FILE *out, const char *run_dir, int err)
{
	switch (-err) {
	case ENOENT:
	case ECONNREFUSED:
		explain_silence(out, run_dir);
		break;
	case EACCES:
		explain_refusal(out, run_dir);
		break;
	case ETIMEDOUT:
		fprintf(out, "xipsecd does not answer at %s/" XI_CONTROL_SOCKET ": see its log\n",
			run_dir);
		break;
	default:
		fprintf(out, "%s/" XI_CONTROL_SOCKET ": %s\n", run_dir, strerror(-err));
	}
}
