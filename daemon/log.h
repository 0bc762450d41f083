/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * log_warn and log_fatal append strerror(errno); log_warnx, log_info, log_debug do not. To stderr, with
 * syslog level prefixes ("<4>") when stderr is the journal. Never keys.
 */
#ifndef XI_LOG_H
#define XI_LOG_H

#define XI_PRINTF(a, b) __attribute__((format(printf, a, b)))

void log_init(int verbose);
void log_warn(const char *fmt, ...) XI_PRINTF(1, 2);
void log_warnx(const char *fmt, ...) XI_PRINTF(1, 2);
void log_info(const char *fmt, ...) XI_PRINTF(1, 2);
void log_debug(const char *fmt, ...) XI_PRINTF(1, 2);

#endif
