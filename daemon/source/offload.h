/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Hardware that takes few SAs, on demand: of the SAs that the mirror carries and whose peer is reached by a device
 * with the kernel's crypto offload, the busiest are put there, and the coldest taken out. Who is worth a place is chosen
 * as it is for the SA table (cache/admit.h).
 *
 * An SA in hardware is the kernel's, as any other that is not carried. It goes there while xipsec carries it, and comes
 * back when its policy is in force here again: either way the kernel sends nothing with it at that moment. Nor does it
 * receive: on the way in its window refuses all until ours is final (mirror_window.c), on the way out packets are held
 * here until its own is (mirror_hold.c). To the kernel such a move is DELSA and NEWSA, in one datagram, hence within one
 * system call: whoever is killed, the SA stays.
 */
#ifndef XI_OFFLOAD_H
#define XI_OFFLOAD_H

#include <net/if.h>
#include <stdbool.h>
#include <stdint.h>

#define XI_OFFLOAD_DEVICES 16

struct xi_mirror;
struct xi_mirror_sa;
struct xi_offload;
struct xi_offload_copy;
struct xi_offload_resident;
struct xi_sa;
struct xi_sa_rec;
struct xfrm_user_offload;

struct xi_offload_port {
	char name[IFNAMSIZ];
	uint32_t slots;              /* at most so many SAs; 0: as many as the device takes */
};

struct xi_offload_config {
	const struct xi_offload_port *ports;
	unsigned int nports;         /* 0: nothing is offloaded */
	const char *policy;          /* for xi_admit_create() */
	const char *notes;           /* file that says which SAs were put in hardware; NULL: none */
	/* ifindex of the device by which the peer of an SA is reached, 0: none. NULL: the kernel's routes. */
	uint32_t (*route)(void *arg, const struct xi_sa *sa, bool outbound);
	/* ifindex of a device that is up and has esp-hw-offload on, 0: none. NULL: the kernel's devices. */
	uint32_t (*able)(void *arg, const char *name);
	void *arg;
};

struct xi_offload_figures {
	char name[IFNAMSIZ];
	bool able;                   /* the device is up, and has esp-hw-offload on */
	uint32_t sas;                /* that were put there */
	uint32_t others;             /* that somebody else has put there */
	uint32_t slots;              /* for those that are put there; 0: not known yet */
	uint32_t kinds;              /* of SAs that it refuses */
	uint64_t in, out;            /* moves */
	uint64_t refused;            /* SAs, each once, and each time there was no room */
	uint64_t restored;           /* SAs that it lost when it was set down */
};

/* Where an SA is. */
enum xi_offload_where {
	XI_OFFLOAD_NO,
	XI_OFFLOAD_IN,               /* to be put in hardware */
	XI_OFFLOAD_THERE,            /* put there by us */
	XI_OFFLOAD_OUT,              /* to be taken out */
	XI_OFFLOAD_OTHERS,           /* put there by somebody else: it stays */
};

/* Of each SA of the mirror. */
struct xi_offload_sa {
	enum xi_offload_where where;
	uint8_t device;              /* 1 ...; 0: not known, or none */
	bool refused;                /* for good: the kind, or this SA */
	struct xi_offload_copy *copy; /* as the kernel last told it; THERE and OUT */
	uint32_t id;                 /* for the admission policy; 0: none yet */
	struct xi_offload_resident *resident; /* IN and THERE */
	uint32_t routed;             /* when its device was looked up, and */
	uint32_t not_before;         /* before when it is not moved again: seconds of CLOCK_MONOTONIC */
	float samples;               /* of its packets, that the policy was not told of */
	uint64_t packets;            /* when they were last looked at */
};

/* 0 or -errno, logged. *out is NULL without ports. */
int xi_offload_create(struct xi_offload **out, const struct xi_offload_config *config);
void xi_offload_destroy(struct xi_offload *offload);
/* Follows the state of links, once m->offload is there. 0 or -errno. */
int xi_offload_listen(struct xi_mirror *m);

/* Looks at a bounded number of SAs; what is to be moved becomes dirty. Four times a second. */
void xi_offload_tick(struct xi_mirror *m);
/* What is asked for waits for something else: policies to be in force, or another SA to make room. */
bool xi_offload_waits(const struct xi_mirror *m, const struct xi_mirror_sa *sa);
/*
 * The kernel has this SA on the device, 0: on none. True: it is to be taken out, or was; the SA is to be looked at
 * anew.
 */
bool xi_offload_seen(struct xi_mirror *m, struct xi_mirror_sa *sa, const struct xfrm_user_offload *on);
/* The SA is ours and in order: if it is to be put in hardware, so it is. */
void xi_offload_carried(struct xi_mirror *m, struct xi_mirror_sa *sa);
/* It is not ours: nor goes it in. */
void xi_offload_left(struct xi_mirror *m, struct xi_mirror_sa *sa);
/*
 * The kernel does not have the SA any more. True: a device had it that was set down, nobody else deleted it, and it is there
 * again, on no device: an outbound one behind all numbers that may have been used, an inbound one with a window that
 * accepts nothing, and a key manager is told to make another.
 */
bool xi_offload_restore(struct xi_mirror *m, struct xi_mirror_sa *sa);
/* A link is down, or up and may have been down before. ifindex 0: any of them. */
void xi_offload_link(struct xi_mirror *m, uint32_t ifindex, bool up);
/* It is gone, or another has its place. */
void xi_offload_forget(struct xi_mirror *m, struct xi_mirror_sa *sa);
/* Fills at most XI_OFFLOAD_DEVICES; how many. */
unsigned int xi_offload_figures(const struct xi_offload *offload, struct xi_offload_figures *out);

/* offload_net.c: the kernel's devices and routes */
struct xi_offload_net;
int xi_offload_net_open(struct xi_offload_net **out);
void xi_offload_net_close(struct xi_offload_net *net);
uint32_t xi_offload_net_route(struct xi_offload_net *net, const struct xi_sa *sa, bool outbound);
/* Readable when links changed. */
int xi_offload_net_fd(const struct xi_offload_net *net);
/* Tells xi_offload_link() what is read there. */
void xi_offload_net_links(struct xi_offload_net *net, struct xi_mirror *m);
uint32_t xi_offload_net_able(const char *name);

/* offload_swap.c */
/*
 * Replaces the kernel's SA by the same one on the device (ifindex 0: on none), behind the numbers that it may have used.
 * rec: it is xipsec's, and so is its usage; NULL: the kernel's. 0; or -errno: the kernel has it as it was, or, if it is
 * -ENOTRECOVERABLE (logged), no more.
 */
int xi_offload_swap(struct xi_mirror *m, struct xi_mirror_sa *sa, const struct xi_sa_rec *rec, uint32_t ifindex);

/* offload_notes.c: which SAs were put in hardware, for a daemon to come. */
struct xi_sa_id;
struct xi_offload_notes;
/* Reads the file. path NULL: nothing is kept. */
int xi_offload_notes_open(struct xi_offload_notes **out, const char *path);
void xi_offload_notes_close(struct xi_offload_notes *notes);
bool xi_offload_noted(const struct xi_offload_notes *notes, const struct xi_sa_id *id);
/* Before the SA is moved: 0 or -errno, and then it must not be. */
int xi_offload_note(struct xi_offload_notes *notes, const struct xi_sa_id *id);
void xi_offload_unnote(struct xi_offload_notes *notes, const struct xi_sa_id *id);

#endif
