/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What batch.c (running ip), batch_text.c and batch_report.c share. Nobody else includes this. */
#ifndef XI_BATCH_INT_H
#define XI_BATCH_INT_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "source/batch.h"

#define XI_BATCH_LINE 1024
#define XI_BATCH_REPORT (4096 + XI_BATCH_LINE)

/* Where a command starts: in the text, and in the file's lines. */
struct xi_batch_command {
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
	mode_t mode; /* its permissions when it was read */
	int mem; /* the text: what was checked is what ip reads */
	struct xi_batch_command *commands;
	size_t ncommands;
	size_t at; /* first command of this run */
	pid_t pid;
	int err_fd; /* ip's stderr */
	int pid_fd;
	struct event *ev_err, *ev_pid;
	bool exited;
	int wait_status;
	char line[XI_BATCH_LINE]; /* of stderr, under way */
	size_t line_len;
	char reason[XI_BATCH_LINE]; /* the last line that was not "Command failed" */
	char report[XI_BATCH_REPORT];
	size_t report_len;
	unsigned int failed;
};

/*
 * batch_text.c: takes the file and finds its commands. 0, or -errno and why. The file descriptor mem, if any, is the
 * caller's to close.
 */
int xi_batch_read(struct xi_batch *b, char *why, size_t n);

/* batch_report.c */
void xi_batch_stderr(struct xi_batch *b, const char *text, size_t n);
/* The command of this line was refused, for the reason that ip gave. */
void xi_batch_report(struct xi_batch *b, unsigned int line);
/* What the report had no room for. */
void xi_batch_report_rest(struct xi_batch *b);

#endif
