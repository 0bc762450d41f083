/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What workers tell the control thread: a ring of records a worker, one writer and one reader each, and one
 * eventfd that wakes the reader once for all that is waiting. A full ring takes nothing more, so records say what
 * is, not what has happened: whoever finds it so later says it again.
 */
#ifndef XI_MAILBOX_H
#define XI_MAILBOX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define XI_MAILBOX_RECORD_MAX 64

struct xi_mailbox;

/* size: bytes of a record, at most XI_MAILBOX_RECORD_MAX. 0 or -errno. */
int xi_mailbox_create(struct xi_mailbox **out, unsigned int nworkers, size_t size);
void xi_mailbox_destroy(struct xi_mailbox *box); /* NULL is fine */
/* Readable when there is something to pop. */
int xi_mailbox_fd(const struct xi_mailbox *box);

/*
 * Worker. Records are compared byte by byte, padding included: one that was last pushed with this hash,
 * since the last xi_mailbox_renew, is left out. A system call at most once for all that is waiting.
 */
void xi_mailbox_push(struct xi_mailbox *box, unsigned int worker, uint64_t hash,
		     const void *record);

/* Control thread, once after each wake-up and before the first pop. */
void xi_mailbox_ack(struct xi_mailbox *box);
bool xi_mailbox_pop(struct xi_mailbox *box, void *record);
/* Control thread: lets workers push again what they have pushed. */
void xi_mailbox_renew(struct xi_mailbox *box);

#endif
