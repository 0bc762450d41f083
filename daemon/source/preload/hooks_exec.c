/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Programs that are given an environment of their own, as charon gives its updown scripts one of
 * PLUTO_ variables alone: without LD_PRELOAD in it their `ip xfrm` would silently speak to the
 * kernel. It is added, and which server is meant with it. LD_PRELOAD that is there, even empty,
 * is the program's own decision; so is what it does with environ (execv and the like).
 *
 * Called between fork() and exec: no allocation, no lock.
 */
#include "source/preload/real.h"
#include "source/proto.h"

#include <alloca.h>
#include <dlfcn.h>
#include <limits.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ADDED_MAX 2

static char preload[PATH_MAX + sizeof("LD_PRELOAD=")];
static char server[256];
static const char *added[ADDED_MAX];
static unsigned int nadded;
static char *const none[] = { NULL }; /* what Linux makes of NULL */

/* Of a library in /etc/ld.so.preload nobody needs to be told. */
__attribute__((constructor(102))) static void environment_keep(void)
{
	const char *given = getenv("LD_PRELOAD"), *name = getenv(XI_XFRM_SOCK_ENV);
	Dl_info self;

	if (!given || !dladdr(preload, &self) || !self.dli_fname || !strstr(given, self.dli_fname) ||
	    (size_t)snprintf(preload, sizeof(preload), "LD_PRELOAD=%s", self.dli_fname) >=
		    sizeof(preload))
		return;
	added[nadded++] = preload;
	if (name && (size_t)snprintf(server, sizeof(server), XI_XFRM_SOCK_ENV "=%s", name) <
			    sizeof(server))
		added[nadded++] = server;
}

static bool has_variable(char *const *envp, const char *assignment)
{
	size_t len = strcspn(assignment, "=") + 1;

	for (; *envp; envp++) {
		if (!strncmp(*envp, assignment, len))
			return true;
	}
	return false;
}

/* Room for envp and what is added, in pointers; 0: it stays as it is. */
static size_t room_for(char *const *envp)
{
	size_t n = 0;

	if (!nadded || has_variable(envp, preload))
		return 0;
	while (envp[n])
		n++;
	return n + ADDED_MAX + 1;
}

static char *const *fill(char **out, char *const *envp)
{
	size_t n = 0;

	while (envp[n]) {
		out[n] = envp[n];
		n++;
	}
	for (unsigned int i = 0; i < nadded; i++) {
		if (!has_variable(envp, added[i]))
			out[n++] = (char *)added[i];
	}
	out[n] = NULL;
	return out;
}

/* On the caller's stack. */
#define PRELOADED(envp)                                                                            \
	({                                                                                         \
		char *const *from_ = (envp) ? (envp) : none;                                       \
		size_t room_ = room_for(from_);                                                    \
		room_ ? fill(alloca(room_ * sizeof(char *)), from_) : (envp);                      \
	})

XI_EXPORT int execve(const char *path, char *const argv[], char *const envp[])
{
	return REAL(execve)(path, argv, PRELOADED(envp));
}

XI_EXPORT int execvpe(const char *file, char *const argv[], char *const envp[])
{
	return REAL(execvpe)(file, argv, PRELOADED(envp));
}

XI_EXPORT int fexecve(int fd, char *const argv[], char *const envp[])
{
	return REAL(fexecve)(fd, argv, PRELOADED(envp));
}

XI_EXPORT int execle(const char *path, const char *arg, ...)
{
	char *const *envp;
	size_t n = 1;
	char **argv;
	va_list ap;

	va_start(ap, arg);
	while (va_arg(ap, char *))
		n++;
	envp = va_arg(ap, char *const *);
	va_end(ap);
	argv = alloca((n + 1) * sizeof(*argv));
	va_start(ap, arg);
	argv[0] = (char *)arg;
	for (size_t i = 1; i <= n; i++)
		argv[i] = va_arg(ap, char *);
	va_end(ap);
	return execve(path, argv, envp);
}

XI_EXPORT int posix_spawn(pid_t *pid, const char *path, const posix_spawn_file_actions_t *actions,
			  const posix_spawnattr_t *attr, char *const argv[], char *const envp[])
{
	return REAL(posix_spawn)(pid, path, actions, attr, argv, PRELOADED(envp));
}

XI_EXPORT int posix_spawnp(pid_t *pid, const char *file, const posix_spawn_file_actions_t *actions,
			   const posix_spawnattr_t *attr, char *const argv[], char *const envp[])
{
	return REAL(posix_spawnp)(pid, file, actions, attr, argv, PRELOADED(envp));
}
