/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "source/program.h"

#include <errno.h>
#include <linux/xfrm.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "source/xfrm_attr.h"

#define PROBE_MS 3000

static int usable(char path[PATH_MAX], const char *dir, size_t dir_len, const char *name, int mode)
{
	if (snprintf(path, PATH_MAX, "%.*s/%s", (int)dir_len, dir, name) >= PATH_MAX)
		return -ENAMETOOLONG;
	return access(path, mode) ? -ENOENT : 0;
}

int xi_find_preload(char path[PATH_MAX])
{
	static const char *const beside[] = { XI_PRELOAD_NAME, "../lib/xipsec/" XI_PRELOAD_NAME };
	const char *given = secure_getenv(XI_PRELOAD_ENV);
	char exe[PATH_MAX];
	char *slash;
	ssize_t n;

	if (given && *given) {
		if (snprintf(path, PATH_MAX, "%s", given) >= PATH_MAX)
			return -ENAMETOOLONG;
		return access(path, R_OK) ? -ENOENT : 0;
	}
	n = readlink("/proc/self/exe", exe, sizeof(exe) - 1);
	exe[n > 0 ? n : 0] = '\0';
	slash = strrchr(exe, '/');
	for (size_t i = 0; slash && i < sizeof(beside) / sizeof(beside[0]); i++) {
		if (!usable(path, exe, slash - exe, beside[i], R_OK))
			return 0;
	}
	return usable(path, "/usr/lib/xipsec", 15, XI_PRELOAD_NAME, R_OK);
}

int xi_find_ip(char path[PATH_MAX])
{
	static const char *const dirs[] = { "/sbin", "/usr/sbin", "/bin", "/usr/bin" };
	const char *at = getenv("PATH");

	for (size_t i = 0; i < sizeof(dirs) / sizeof(dirs[0]); i++) {
		if (!usable(path, dirs[i], strlen(dirs[i]), "ip", X_OK))
			return 0;
	}
	while (at && *at) {
		size_t n = strcspn(at, ":");

		if (n && !usable(path, at, n, "ip", X_OK))
			return 0;
		at += n + (at[n] == ':');
	}
	return -ENOENT;
}

static int probe_ask(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	struct xi_nlmsg msg;
	int n;

	xi_nlmsg_begin(&msg, XFRM_MSG_GETSADINFO, NLM_F_REQUEST, 1, 0, sizeof(uint32_t));
	if (send(fd, msg.buf, msg.hdr.nlmsg_len, MSG_NOSIGNAL) < 0)
		return errno == EPIPE || errno == ECONNRESET ? -EPERM : -errno;
	n = poll(&p, 1, PROBE_MS);
	if (n <= 0)
		return n ? -errno : -ETIMEDOUT;
	return recv(fd, msg.buf, sizeof(msg.buf), 0) > 0 ? 0 : -EPERM;
}

int xi_xfrm_probe(const char *name)
{
	struct timeval wait = { .tv_sec = PROBE_MS / 1000 };
	struct sockaddr_un addr;
	struct ucred cred;
	socklen_t len;
	int err = 0;
	int fd;

	if (xi_xfrm_sock_addr(&addr, &len, name ? name : secure_getenv(XI_XFRM_SOCK_ENV)))
		return -ENAMETOOLONG;
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof(wait));
	if (connect(fd, (struct sockaddr *)&addr, len))
		err = errno == EAGAIN ? -ETIMEDOUT : -errno;
	len = sizeof(cred);
	if (!err && getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len))
		err = -errno;
	if (!err && cred.uid != 0 && cred.uid != geteuid())
		err = -EPERM;
	if (!err)
		err = probe_ask(fd);
	close(fd);
	return err;
}
