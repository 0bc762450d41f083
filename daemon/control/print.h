/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Replies of the control socket as people read them. A reply that lacks something prints "?" there:
 * tool and daemon may be of different versions.
 */
#ifndef XI_CONTROL_PRINT_H
#define XI_CONTROL_PRINT_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

void xi_print_show(FILE *out, const json_t *reply);
void xi_print_stats(FILE *out, const json_t *reply);
void xi_print_cache(FILE *out, const json_t *reply);
void xi_print_port(FILE *out, const json_t *reply);
void xi_print_routes(FILE *out, const json_t *reply);

#define XI_TEXT_MAX 64

/* For those above. Each formats into text and returns it. */
const char *xi_text_duration(char text[XI_TEXT_MAX], uint64_t seconds);  /* "2 hours, 5 minutes" */
const char *xi_text_bytes(char text[XI_TEXT_MAX], uint64_t bytes);       /* "1.50 KiB" */

const char *xi_text_plural(uint64_t n, const char *one, const char *many);

/* Members of an object; absent or of another type: "?" and 0. */
const char *xi_member_string(const json_t *object, const char *name);
uint64_t xi_member_u64(const json_t *object, const char *name);
/* "tcp", "udp" ... or the number, of an IP protocol; "any" for 0. */
const char *xi_text_ip_proto(char text[XI_TEXT_MAX], uint64_t proto);
/* Methods, evictions and miss messages, of a reply that has "sa_table" and "misses". */
/* Its device is gone; the daemon waits for one of this name. */
bool xi_port_gone(const json_t *port);
void xi_print_sa_table(FILE *out, const json_t *reply);
/* ", sport 53", or nothing for any. */
void xi_print_match(FILE *out, const json_t *object, const char *name);
/* "waiting: 3 packets for SAs", of a reply that has "waiting". */
void xi_print_waiting(FILE *out, const json_t *reply, const char *indent);
/* ACQUIREs that are pending, of a reply that has "acquires". */
void xi_print_acquires(FILE *out, const json_t *reply);
/* "held: 8000 of 65536 SAs, 12000 of 16384 policies", of a reply that has "held". */
void xi_print_held(FILE *out, const json_t *reply, const char *indent);
/* "2 of 1024 SAs, 312 hits, 2 misses, 0 evictions" */
void xi_print_usage(FILE *out, const json_t *usage, const char *what);

#endif
