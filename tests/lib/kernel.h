/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A small model of the kernel's XFRM for the mirror's tests: it answers behind socket pairs, in a thread of its own.
 * The model is of what Linux does: SA by destination, SPI and protocol, policy by selector and direction; messages of
 * one datagram are worked off one after the other, whatever becomes of them; NEWSA of an SA that exists fails with
 * EEXIST, and one that the device refuses is not made; NEWAE sets counters as told; a hard EXPIRE deletes.
 *
 * The test's thread sets SAs and policies, and takes the lock where the model may look at them meanwhile. Only
 * DELSA and NEWSA, as the mirror asks for them, are told to its news socket; all else the test says.
 */
#ifndef XI_TEST_KERNEL_H
#define XI_TEST_KERNEL_H

#include <linux/xfrm.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "source/xfrm_msg.h"

#define KERNEL_SAS 64
#define KERNEL_DEVICE 7              /* that takes SAs */

struct kernel_sa {
	bool used;
	bool comp, larval;           /* is told with another algorithm, or with none */
	bool legacy;                 /* its replay state is told as XFRMA_REPLAY_VAL */
	uint32_t device;             /* 0: in software */
	struct xfrm_mark mark;       /* whom GETSA does not name finds it if its own value is 0 (xfrm_user_state_lookup()) */
	bool inbound;                /* as its offload was said to be */
	struct xfrm_usersa_info info;
	uint8_t key[20];
	uint64_t sent;               /* highest number that it, or xipsec, put on the wire */
	uint32_t bmp[4];
	struct xfrm_replay_state_esn esn; /* but for its bitmap, and last: it ends in an array without length */
};

struct kernel_policy {
	bool used;
	struct xfrm_userpolicy_info info;
	struct xfrm_user_tmpl tmpl;
	struct xfrm_mark mark;
};

struct kernel {
	pthread_mutex_t lock;
	_Atomic bool wants;          /* the model does, the lock */
	pthread_t thread;
	int fds[3], nfds;            /* of the mirror's news, ask and dump sockets, in this order */
	bool stop;
	struct kernel_sa sas[KERNEL_SAS];
	struct kernel_policy policies[KERNEL_SAS];
	struct xfrm_userpolicy_default def;
	/* what it was asked for */
	unsigned int expires[2], acquires, aes, getaes;
	unsigned int most_messages;  /* in one datagram */
	unsigned int acks;           /* answers that only say that it went well */
	unsigned int dels, dels_alone; /* alone: in a datagram without a NEWSA */
	unsigned int in, refusals;   /* SAs that the device took, and did not */
	/* what happens during a NEWAE with a counter or window */
	unsigned int delay_us;       /* before it is done, */
	uint64_t sends;              /* while so many packets go by each SA, */
	bool vanish;                 /* and the SA is deleted */
	uint64_t sent_first, sent_last; /* numbers of those packets, of the first time */
	int refuse_aes;              /* so many NEWAE fail, */
	int refuse_aes_after;        /* once so many were done */
	bool receives;               /* packet 5, when it has told of an SA */
	uint32_t dump_error;         /* in NLMSG_DONE, once */
	/* Before it answers a request, but a dump: locked, in its thread, while the mirror waits. */
	void (*meanwhile)(void *arg);
	void *meanwhile_arg;
	/* of the device */
	uint32_t slots;
	bool mute;                   /* says yes, and takes the SA in software */
	int refuses;                 /* error for every SA */
	uint32_t refuses_spi;
	int refuse_back;             /* so many NEWSA without a device are refused */
	bool vanish_early;           /* an SA, before the first DELSA: */
	struct kernel_sa *vanished;  /* this one */
};

/* The lock, after the model, should it wait: for a test's thread that takes it again and again. */
void kernel_lock(struct kernel *k);

void kernel_start(struct kernel *k);
void kernel_stop(struct kernel *k);
/* As struct xi_mirror_config's. */
int kernel_connect(struct kernel *k, uint32_t groups);
void kernel_disconnect(struct kernel *k);

uint64_t oseq_of(const struct kernel_sa *sa);
void oseq_set(struct kernel_sa *sa, uint64_t oseq);
uint32_t kernel_on_device(const struct kernel *k);
/* The device is set down: the kernel deletes its SAs, and says nothing. */
void kernel_device_down(struct kernel *k);
/* A packet whose ICV is right, without ESN: whether it is accepted. Locked. */
bool kernel_receive(struct kernel *k, const xfrm_address_t *daddr, uint32_t spi, uint32_t seq);

void kernel_put_sa(struct xi_nlmsg *msg, uint16_t type, uint32_t seq, uint16_t flags, const struct kernel_sa *sa);
void kernel_put_policy(struct xi_nlmsg *msg, uint16_t type, uint32_t seq, uint16_t flags,
		       const struct kernel_policy *p);
void kernel_say(int fd, struct xi_nlmsg *msg);
void kernel_say_error(int fd, const struct nlmsghdr *req, int err);
/* To the mirror's news socket, if there is one. */
void kernel_tell(struct kernel *k, struct xi_nlmsg *msg);
/* Tells of an SA: XFRM_MSG_NEWSA, _UPDSA, _DELSA. */
void kernel_news_sa(struct kernel *k, const struct kernel_sa *sa, uint16_t type);

#endif
