/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The text of a batch: what may stand in it, and where its commands begin. */
#include "source/batch_int.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILE_MAX (512U << 20) /* a million SAs take 200 MiB */

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
	struct xi_batch_command *grown;

	if ((b->ncommands & (b->ncommands - 1)) == 0) {
		grown = realloc(b->commands,
				(b->ncommands ? b->ncommands * 2 : 1) * sizeof(*grown));
		if (!grown)
			return -ENOMEM;
		b->commands = grown;
	}
	b->commands[b->ncommands++] = (struct xi_batch_command){ offset, line };
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

/*
 * Whoever else can write there decides what is sent in clear. It is the file that is read which is
 * judged: another may have its name by then.
 */
static int file_check(struct xi_batch *b, const struct stat *st)
{
	if (!S_ISREG(st->st_mode))
		return -ENOTSUP;
	if ((st->st_uid && st->st_uid != geteuid()) || st->st_mode & (S_IWGRP | S_IWOTH))
		return -EPERM;
	if ((size_t)st->st_size > FILE_MAX)
		return -EFBIG;
	b->mode = st->st_mode;
	return 0;
}

static void file_explain(const struct xi_batch *b, int err, char *why, size_t n)
{
	if (err == -ENOTSUP)
		snprintf(why, n, "%s: no regular file: name a file of ip -batch lines", b->file);
	else if (err == -EPERM)
		snprintf(why, n,
			 "%s: others than root can write SAs and policies there: chown root it, and chmod 600",
			 b->file);
	else
		snprintf(why, n, "%s: cannot read the file of SAs: %s%s", b->file, strerror(-err),
			 err == -ENOENT ? ": write one, or take `sas` out of the configuration" :
			 err == -EACCES ? ": give it to the user of xipsecd, or run this as root" : "");
}

int xi_batch_read(struct xi_batch *b, char *why, size_t n)
{
	struct stat st;
	int err;
	int fd = open(b->file, O_RDONLY | O_NONBLOCK | O_CLOEXEC); /* not to wait for a FIFO's writer */

	if (fd < 0 || fstat(fd, &st))
		err = -errno;
	else
		err = file_check(b, &st);
	if (!err) {
		b->mem = memfd_create("xipsec-batch", MFD_CLOEXEC);
		if (b->mem < 0 || ftruncate(b->mem, st.st_size))
			err = -errno;
	}
	if (err)
		file_explain(b, err, why, n);
	else if (st.st_size)
		err = text_read(b, fd, st.st_size, why, n);
	if (fd >= 0)
		close(fd);
	return err;
}
