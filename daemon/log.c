/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <syslog.h>
#include <unistd.h>

#define LINE_MAX_BYTES 1024

static bool verbose;
static bool journal;

/* systemd.exec(5), JOURNAL_STREAM: stderr still is the journal while device and inode agree. */
static bool stderr_is_journal(void)
{
	const char *stream = getenv("JOURNAL_STREAM");
	unsigned long long dev, ino;
	struct stat st;

	if (!stream || sscanf(stream, "%llu:%llu", &dev, &ino) != 2 ||
	    fstat(STDERR_FILENO, &st) < 0)
		return false;
	return st.st_dev == dev && st.st_ino == ino;
}

void log_init(int level)
{
	verbose = level > 0;
	journal = stderr_is_journal();
}

/* One write a line: lines of several threads never mix. Control bytes cannot forge a line. */
static void log_line(int priority, int err, const char *fmt, va_list ap)
{
	char line[LINE_MAX_BYTES];
	size_t room = sizeof(line) - 1; /* the newline */
	size_t len = 0, start;
	ssize_t n;

	if (journal)
		len += (size_t)snprintf(line, room, "<%d>", priority);
	start = len;
	vsnprintf(line + len, room - len, fmt, ap);
	len += strlen(line + len);
	if (err)
		snprintf(line + len, room - len, ": %s", strerror(err));
	len += strlen(line + len);
	for (size_t i = start; i < len; i++)
		if ((unsigned char)line[i] < ' ' || line[i] == 0x7f)
			line[i] = '?';
	line[len++] = '\n';
	do
		n = write(STDERR_FILENO, line, len);
	while (n < 0 && errno == EINTR);
}

#define LOG_BODY(priority, err)                                                                    \
	do {                                                                                       \
		int saved = errno;                                                                 \
		va_list ap;                                                                        \
		va_start(ap, fmt);                                                                 \
		log_line(priority, err, fmt, ap);                                                  \
		va_end(ap);                                                                        \
		errno = saved;                                                                     \
	} while (0)

void log_warn(const char *fmt, ...)
{
	LOG_BODY(LOG_WARNING, saved);
}

void log_warnx(const char *fmt, ...)
{
	LOG_BODY(LOG_WARNING, 0);
}

void log_info(const char *fmt, ...)
{
	LOG_BODY(LOG_INFO, 0);
}

void log_debug(const char *fmt, ...)
{
	if (verbose)
		LOG_BODY(LOG_DEBUG, 0);
}
