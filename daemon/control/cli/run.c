/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* `xipsec run CMD` is CMD with the preload library in front; exit statuses are those of env(1). */
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "control/cli/cli.h"
#include "control/cli/preload.h"

#define RUN_FAILED 125
#define RUN_NOT_EXECUTABLE 126
#define RUN_NOT_FOUND 127

/* The file that execvp() will find. */
static int program_find(char path[PATH_MAX], const char *name)
{
	const char *at = getenv("PATH");

	if (strchr(name, '/'))
		return snprintf(path, PATH_MAX, "%s", name) < PATH_MAX ? 0 : -1;
	for (at = at ? at : "/bin:/usr/bin"; at; at = strchr(at, ':')) {
		at += *at == ':';
		if (snprintf(path, PATH_MAX, "%.*s/%s", (int)strcspn(at, ":"), at, name) < PATH_MAX &&
		    !access(path, X_OK))
			return 0;
	}
	return -1;
}

/* Programs that ld.so does not load, or that are not of our kind. Scripts have an interpreter. */
static const char *elf_objection(int fd)
{
	Elf64_Ehdr eh;
	Elf64_Phdr ph;

	if (pread(fd, &eh, sizeof(eh), 0) < (ssize_t)sizeof(eh) ||
	    memcmp(eh.e_ident, ELFMAG, SELFMAG))
		return NULL;
	if (eh.e_ident[EI_CLASS] != (sizeof(void *) == 8 ? ELFCLASS64 : ELFCLASS32))
		return "it is of another word size than the library";
	for (unsigned int i = 0; i < eh.e_phnum; i++) {
		if (pread(fd, &ph, sizeof(ph), eh.e_phoff + i * (off_t)eh.e_phentsize) <
		    (ssize_t)sizeof(ph))
			return NULL;
		if (ph.p_type == PT_INTERP)
			return NULL;
	}
	return "it is linked statically";
}

static const char *rights_objection(int fd)
{
	struct stat st;

	if (fstat(fd, &st))
		return NULL;
	if ((st.st_mode & S_ISUID) && st.st_uid != getuid())
		return "it is setuid";
	if ((st.st_mode & S_ISGID) && st.st_gid != getgid())
		return "it is setgid";
	if (getuid() && fgetxattr(fd, "security.capability", NULL, 0) > 0)
		return "it has file capabilities";
	return NULL;
}

static void program_check(const char *name)
{
	const char *why = NULL;
	char path[PATH_MAX];
	int fd;

	if (program_find(path, name))
		return;
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return;
	why = elf_objection(fd);
	if (!why)
		why = rights_objection(fd);
	if (why)
		fprintf(stderr,
			"xipsec: warning: %s: %s, so the preload library is ignored and its XFRM goes to the kernel\n",
			path, why);
	close(fd);
}

int cli_run(int argc, char **argv)
{
	char text[128];
	int err, at = argc > 1 && !strcmp(argv[1], "--") ? 2 : 1;

	if (argc > at && at == 1 && argv[at][0] == '-')
		fprintf(stderr, "xipsec: run: %s: unknown option: there is none but --\n", argv[at]);
	if (argc <= at || argv[at][0] == '-') {
		fputs("usage: xipsec run [--] COMMAND [ARGUMENT ...]\n", stderr);
		return CLI_USAGE;
	}
	if (cli_preload_set())
		return RUN_FAILED;
	err = cli_daemon_check(text, sizeof(text));
	if (err)
		fprintf(stderr, "xipsec: %s%s%s\n", err == -EPERM ? "" : "warning: ", text,
			err == -ECONNREFUSED ? "; start it before an IKE daemon, which ends when it finds no XFRM" : "");
	if (err == -EPERM)
		return RUN_FAILED;
	program_check(argv[at]);
	fflush(NULL);
	execvp(argv[at], argv + at);
	err = errno;
	fprintf(stderr, "xipsec: run: %s: %s: %s\n", argv[at], strerror(err),
		err == ENOENT ? "install it, or give its path" : "name a program that can be run");
	return err == ENOENT ? RUN_NOT_FOUND : RUN_NOT_EXECUTABLE;
}
