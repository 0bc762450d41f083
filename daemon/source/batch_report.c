/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What was refused of a batch, and why, in the words of ip, but for keys. */
#include "source/batch_int.h"

#include <stdio.h>
#include <string.h>

void xi_batch_report(struct xi_batch *b, unsigned int line)
{
	size_t room = sizeof(b->report) - XI_BATCH_LINE - b->report_len; /* the rest: of what had no room */
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

void xi_batch_stderr(struct xi_batch *b, const char *text, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (text[i] == '\n')
			err_line(b);
		else if (b->line_len < sizeof(b->line) - 1)
			b->line[b->line_len++] = text[i];
	}
}

void xi_batch_report_rest(struct xi_batch *b)
{
	unsigned int shown = 1;

	for (const char *c = b->report; *c; c++)
		shown += *c == '\n';
	if (b->failed > shown || b->at < b->ncommands)
		snprintf(b->report + b->report_len, sizeof(b->report) - b->report_len,
			 "\n%s: %u commands were refused%s", b->file, b->failed,
			 b->at < b->ncommands ? ", and those behind them not tried" : " in all");
}
