/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the files of hardware on demand share. */
#ifndef XI_OFFLOAD_INT_H
#define XI_OFFLOAD_INT_H

#include "cache/admit.h"
#include "source/mirror_int.h"

#define XI_OFFLOAD_LATER_S 60    /* after a refusal that may be for now */
#define XI_OFFLOAD_SAMPLES 8     /* a round and place */
#define XI_OFFLOAD_KINDS 32
#define XI_OFFLOAD_GAP (1ULL << 20) /* 50 ms of 20 million packets a second */

/* What a device may refuse, other than one SA. No padding: compared as bytes. */
struct xi_offload_kind {
	uint32_t alg, auth, icv, mode, family, proto, encap, esn, key_len, in;
};

/* An SA that has a place in a device, or is to have one. */
struct xi_offload_resident {
	uint32_t id;
	struct xi_mirror_sa *sa;
	struct xi_offload_kind kind;
	TAILQ_ENTRY(xi_offload_resident) next;
	UT_hash_handle hh;
};

struct xi_offload_device {
	struct xi_offload_port port;
	struct xi_offload *offload;
	uint32_t ifindex;            /* 0: it cannot, or there is none */
	uint32_t link;               /* ifindex when it last could */
	struct xi_admit *admit;      /* NULL: capacity 0 */
	uint32_t capacity;
	bool known;                  /* what the device holds */
	bool probing;                /* whether it holds one more */
	uint32_t retry_at, retry_s;
	struct xi_offload_resident *by_id;
	TAILQ_HEAD(, xi_offload_resident) residents;
	uint32_t unlooked;           /* residents not looked at in this round */
	uint32_t there, others, outs;
	uint32_t moves, evictions;   /* in this round */
	bool down;                   /* and may have lost SAs that were there before */
	uint64_t down_at;            /* xi_mirror_now(), when it was last found to be down, or to have been; 0: never */
	uint64_t packets, total;     /* of all SAs, in this round and in the last */
	struct xi_offload_kind kinds[XI_OFFLOAD_KINDS];
	uint32_t nkinds;
	uint64_t in, out, refused, restored;
	uint64_t told;               /* moves, in the log */
};

struct xi_offload {
	struct xi_offload_config config;
	struct xi_offload_net *net;
	struct event *on_links;
	struct xi_offload_notes *notes;
	uint32_t last_id;
	uint64_t round_at;
	uint32_t rounds, left;       /* SAs to be looked at in this round */
	unsigned int ndevices;
	struct xi_offload_device devices[XI_OFFLOAD_DEVICES];
};

/* offload.c */
uint32_t xi_offload_seconds(const struct xi_mirror *m);

/* offload_device.c: what a device holds, and what it refuses */
/* ifindex; 0: it cannot take SAs */
uint32_t xi_offload_able(const struct xi_offload_device *dev);
int xi_offload_device_init(struct xi_offload *o, struct xi_offload_device *dev, const struct xi_offload_port *port);
struct xi_offload_device *xi_offload_device_of(const struct xi_mirror *m, const struct xi_mirror_sa *sa);
/* 1 ...; 0: none of ours */
uint8_t xi_offload_device_by_ifindex(const struct xi_offload *o, uint32_t ifindex);
bool xi_offload_resident_add(struct xi_offload_device *dev, struct xi_mirror_sa *sa,
			     const struct xi_offload_kind *kind);
void xi_offload_resident_free(struct xi_offload_device *dev, struct xi_mirror_sa *sa);
void xi_offload_kind_of(struct xi_offload_kind *kind, const struct xi_mirror_sa *sa, const struct xi_sa_rec *rec);
bool xi_offload_kind_refused(const struct xi_offload_device *dev, const struct xi_offload_kind *kind);
/* The device has an SA of this kind, other than this one. */
bool xi_offload_kind_is_there(const struct xi_offload_device *dev, const struct xi_offload_kind *kind,
			      const struct xi_mirror_sa *but);
/* As many as are there now fit; others that are to be put there are not. */
void xi_offload_full(struct xi_mirror *m, struct xi_offload_device *dev, uint32_t now);
/* Once in a while there may be more room than there was. */
void xi_offload_room_check(struct xi_offload_device *dev, uint32_t now);
void xi_offload_device_log(struct xi_offload_device *dev);

/* offload_sa.c: the way of one SA, in and out */
/* A place is given up: its policy comes back first, then the SA. */
void xi_offload_out(struct xi_mirror *m, struct xi_offload_device *dev, struct xi_mirror_sa *sa);

/* offload_swap.c: an SA to be made as GETSA told it */
struct xi_offload_made {
	const struct nlmsghdr *told;
	struct xfrm_usersa_info info;
	struct xi_attrs attrs;       /* of told */
	uint64_t oseq;               /* to begin behind */
	struct xfrm_lifetime_cur cur;
	bool inbound;
	bool shut;                   /* its window is to accept nothing */
};

/* What GETSA told, which stays the caller's. Outbound, and not shut. -ENOENT: without a replay state. */
int xi_offload_told(struct xi_offload_made *made, const struct nlmsghdr *told);
/* It is to begin behind n more numbers. -ERANGE: moves must not use an SA's numbers up. */
int xi_offload_skip(struct xi_offload_made *made, uint64_t n);
/* NEWSA. ifindex 0: on no device */
void xi_offload_newsa(struct xi_nlmsg *msg, const struct xi_offload_made *made, uint32_t ifindex);

/* offload_restore.c: what a device loses when it is set down */
/* Notes what GETSA told of an SA in a device, which is in m->answer. */
void xi_offload_copy(struct xi_mirror *m, struct xi_mirror_sa *sa);
void xi_offload_copy_free(struct xi_mirror_sa *sa);

/* offload_choice.c: which SA is worth a place */
/* Of an SA that is ours: whether it is to go in. routes: how many may be asked for. */
void xi_offload_look(struct xi_mirror *m, struct xi_mirror_sa *sa, unsigned int *routes, uint32_t now);
/* What those in hardware were used, and whether they are to stay. */
void xi_offload_residents_look(struct xi_mirror *m, struct xi_offload_device *dev);

#endif
