/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the files of the mirror share. */
#ifndef XI_MIRROR_INT_H
#define XI_MIRROR_INT_H

#include <event2/event.h>
#include <sys/queue.h>
#include <uthash.h>

#include "source/mirror.h"
#include "source/xfrm_msg.h"

#define XI_MIRROR_BLOCK (1ULL << 22) /* numbers reserved at a time */
#define XI_MIRROR_NS_A_PACKET 50 /* neither kernel nor device sends faster with one SA */
#define XI_MIRROR_TURN 128       /* things looked at before others are served */
#define XI_MIRROR_DATAGRAM 32768
#define XI_MIRROR_ANSWER 16384
#define XI_MIRROR_BATCH 3
#define XI_MIRROR_TELLINGS 32    /* SAs told of in one datagram */
#define XI_MIRROR_MANY 32768     /* its bytes */

/* Which SAs are meant: a zero address or reqid is any. */
struct xi_pattern {
	uint8_t daddr[16];
	uint32_t family;
	uint32_t reqid;
};

#define XI_PATTERN_WIDER 4       /* a pattern, and those that leave more open */

struct xi_mirror_sa;
struct xi_mirror_policy;

struct xi_sa_link {
	LIST_ENTRY(xi_sa_link) next;
	struct xi_mirror_sa *sa;
	struct xi_group *group;
};

struct xi_tmpl_link {
	LIST_ENTRY(xi_tmpl_link) next;
	struct xi_mirror_policy *policy;
	struct xi_group *group;
};

/* All about one pattern. */
struct xi_group {
	struct xi_pattern pattern;
	uint32_t refs;
	uint32_t keeps;              /* reasons to leave SAs of this pattern to the kernel, */
	uint32_t keeps_inside;       /* or of patterns that it takes in, itself included */
	uint32_t policies;           /* outbound ones in force here that ask for it */
	LIST_HEAD(, xi_sa_link) sas; /* of this pattern, and of those that it takes in */
	LIST_HEAD(, xi_tmpl_link) tmpls;
	UT_hash_handle hh;
};

enum xi_mirror_where {
	XI_MIRROR_UNKNOWN,           /* nothing was done about it so far */
	XI_MIRROR_OURS,
	XI_MIRROR_IDLE,              /* the kernel's, since no policy in force here asks for it */
	XI_MIRROR_BLOCKED,           /* the kernel's, since it has others like it, or policies for it, that are not carried */
	XI_MIRROR_KEPT,              /* the kernel's, since it is not carried */
	XI_MIRROR_SHADOWED,          /* there is one with its id from elsewhere */
};

struct xi_mirror_sa {
	struct xi_sa_id id;
	struct xi_pattern pattern;
	enum xi_mirror_where where;
	bool dirty, outbound, keeps;
	int refused;                 /* -errno of the SAD: not tried again before it is another, or waits is served */
	bool waits;                  /* to be tried again */
	bool gone;                   /* from the kernel: there is nobody to tell of it */
	bool check;                  /* its usage is to be told, and the kernel's counter looked at */
	bool told_gone;              /* by news, since the kernel last had it */
	uint8_t strays;              /* times the kernel was found to send with it, though it is ours */
	char *why;                   /* KEPT */
	uint64_t written;            /* outbound and ours: the kernel's counter, as far as we moved it */
	uint64_t told_packets, told_top;
	uint32_t told_at;            /* CLOCK_MONOTONIC, seconds */
	bool held;                   /* inbound, on its way here: there is a larval SA, by which packets wait */
	bool shut;                   /* inbound, on its way to the kernel, whose window refuses all until ours is written */
	bool replaced;               /* its key manager was asked for another, since it accepts nothing */
	bool fresh, in_holds;        /* held: in which list, if in one */
	uint8_t tries;
	uint64_t held_packets;       /* held: the kernel's count of packets, */
	uint64_t quiet_at;           /* and when it is looked at again */
	uint32_t watch;              /* ours: one more than where it stands in watches */
	struct xi_offload_sa offload;
	struct xi_sa_link links[XI_PATTERN_WIDER];
	TAILQ_ENTRY(xi_mirror_sa) queue;
	TAILQ_ENTRY(xi_mirror_sa) all;
	TAILQ_ENTRY(xi_mirror_sa) waiting;
	TAILQ_ENTRY(xi_mirror_sa) holding;
	UT_hash_handle hh;
};

/* As the kernel looks it up: byte by byte. */
struct xi_mirror_policy_key {
	struct xfrm_selector sel;
	uint32_t dir;
	uint32_t mark_v, mark_m, if_id;
};

struct xi_mirror_policy {
	struct xi_mirror_policy_key key;
	enum xi_mirror_where where;  /* OURS: carried; KEPT: known to XDP, left to the kernel; IDLE: no matter of XDP */
	bool dirty, in_spd, keeps, asks;
	int refused;                 /* -errno of the SPD: not tried again before it is another, or waits is served */
	bool waits;                  /* to be tried again */
	bool out_kept;               /* outbound, and not in force here */
	struct xi_selector sel;      /* in the SPD */
	uint32_t ntmpls;
	struct xi_tmpl_link tmpls[XI_MAX_TMPLS];
	TAILQ_ENTRY(xi_mirror_policy) queue;
	TAILQ_ENTRY(xi_mirror_policy) waiting;
	UT_hash_handle hh;
};

struct xi_mirror_acquired {
	uint32_t policy;
	uint8_t peer[16];
	uint64_t until;
};

#define XI_MIRROR_ACQUIRES 256

enum xi_mirror_dump { XI_MIRROR_DUMP_NONE, XI_MIRROR_DUMP_SAS, XI_MIRROR_DUMP_POLICIES };

/* What was refused for a reason that passes. */
struct xi_mirror_retry {
	TAILQ_HEAD(, xi_mirror_sa) sas;
	TAILQ_HEAD(, xi_mirror_policy) policies;
	uint64_t at;                 /* CLOCK_MONOTONIC, seconds: the next try, */
	uint32_t after;              /* from there to the one behind it, */
	unsigned int batch;          /* and so many at a time */
};

/* An SA that left the SAD and is the kernel's again, told by the listener before its record is gone. */
struct xi_mirror_given {
	const struct xi_sa_rec *rec;
	struct xi_mirror_sa *sa;
};

/* An SA that is ours, and what its state said when nothing was left to do for it. */
struct xi_mirror_watch {
	const struct xi_sa_state *state;
	struct xi_mirror_sa *sa;
	uint32_t packets, top;       /* low halves */
	uint32_t oseq;               /* by 65,536 */
	bool anew;                   /* it is to be looked at, whatever they say */
};

struct xi_mirror_watches {
	struct xi_mirror_watch *sas;
	unsigned int n, room;
	unsigned int at, left;       /* of the walk */
	unsigned int put_off;        /* turns in a row that told nothing, since news waited to be read */
};

/* Messages of one datagram. */
struct xi_mirror_many {
	unsigned int n;
	size_t len, last;            /* in buf */
	union {
		uint64_t align;
		uint8_t buf[XI_MIRROR_MANY];
	};
};

struct xi_mirror_telling {
	struct xi_mirror_sa *sas[XI_MIRROR_TELLINGS];
	enum { XI_TELLING_ASKED, XI_TELLING_WELL, XI_TELLING_FAILED } state[XI_MIRROR_TELLINGS];
	unsigned int n;
	uint8_t whose[2 * XI_MIRROR_TELLINGS]; /* by message */
	struct xi_mirror_many msgs;
};

struct xi_mirror {
	struct xi_mirror_config config;
	struct xi_sad *sad;
	struct xi_spd *spd;
	int ask_fd, news_fd, dump_fd;
	uint32_t seq;
	struct event *on_news, *on_dump, *work, *tick, *on_holds, *on_usage;
	enum xi_mirror_dump dump;
	bool fenced;
	bool resync, defaults, out_blocked;
	bool starting;               /* until all that the first dump named were looked at */
	bool sas_first;              /* at the start; not when an earlier daemon's policies are in force */
	bool leaving;                /* nothing is taken any more */
	bool unpublished;            /* policies were changed, and are not in force for want of memory */
	bool unsure;                 /* there may be policies that are not known, or not in force */
	bool touch_policies;         /* all of them, at the end of this turn */
	uint64_t resync_after;       /* CLOCK_MONOTONIC, seconds */
	struct xi_group *groups;
	uint32_t open_keeps;         /* keeps of patterns with one of the two open */
	struct xi_mirror_sa *sas;
	struct xi_mirror_policy *policies;
	TAILQ_HEAD(xi_mirror_sas, xi_mirror_sa) dirty_sas, all_sas;
	TAILQ_HEAD(xi_mirror_policies, xi_mirror_policy) dirty_policies;
	struct xi_mirror_retry retry;
	struct xi_mirror_watches watches;
	struct xi_mirror_telling telling;
	struct xi_mirror_sa *offload_cursor;
	struct xi_offload *offload;  /* NULL: nothing is */
	uint64_t clock_ahead;        /* ns by which xi_mirror_now() is ahead, which tests move on */
	struct xi_mirror_sa *giving;
	struct xi_mirror_given *given; /* in this round */
	unsigned int ngiven, given_room;
	TAILQ_HEAD(xi_mirror_holds, xi_mirror_sa) holds, fresh_holds; /* by quiet_at */
	uint32_t out_kept;           /* outbound policies of the kernel that are not in force here */
	uint32_t out_ours;
	struct xi_mirror_acquired acquired[XI_MIRROR_ACQUIRES];
	unsigned int acquired_at;
	struct xi_mirror_figures figures;
	union {
		uint64_t align;
		struct nlmsghdr hdr;
		uint8_t buf[XI_MIRROR_ANSWER];
	} answer;
	union {
		uint64_t align;
		uint8_t buf[XI_MIRROR_DATAGRAM];
	} datagram;
};

/* mirror_nl.c */
int xi_mirror_open(struct xi_mirror *m);
void xi_mirror_close(struct xi_mirror *m);
/* Another socket for dumps: one that broke off in the midst of a dump goes on with it for ever. */
int xi_mirror_reopen_dump(struct xi_mirror *m);
/*
 * Sends a request and waits for its answer, which the kernel has at once: 0, its error, or -ETIMEDOUT. What it says is
 * in m->answer.
 */
int xi_mirror_ask(struct xi_mirror *m, struct xi_nlmsg *msg);
/* The same of at most XI_MIRROR_BATCH messages in one datagram, each with NLM_F_ACK. -errno: some have no answer. */
int xi_mirror_ask_batch(struct xi_mirror *m, struct xi_nlmsg *msgs, int *errs, unsigned int n);
/* A message more for xi_mirror_ask_many(), which gives it its number. */
bool xi_mirror_many_fits(const struct xi_mirror_many *many, size_t len);
void xi_mirror_many_put(struct xi_mirror_many *many, const struct xi_nlmsg *msg);
/*
 * All of them in one datagram, the last alone with NLM_F_ACK: fn is called for each answer, which is in m->answer, with the
 * place of its message and its error. Who asks for nothing, nor fails, has none. -errno: some that should be are missing.
 */
int xi_mirror_ask_many(struct xi_mirror *m, struct xi_mirror_many *many,
		       void (*fn)(struct xi_mirror *m, uint32_t nth, int err));
/* Starts a dump; its answers come to dump_fd. */
int xi_mirror_ask_dump(struct xi_mirror *m, uint16_t type);
int xi_mirror_ask_sa(struct xi_mirror *m, const struct xi_sa_id *id);
int xi_mirror_ask_policy(struct xi_mirror *m, const struct xi_mirror_policy_key *key);
/* Reads one datagram: its length, 0 when there is none, -errno. */
int xi_mirror_read(struct xi_mirror *m, int fd);
uint64_t xi_mirror_clock(void);  /* CLOCK_MONOTONIC, ns */
uint64_t xi_mirror_now(const struct xi_mirror *m); /* the same, moved on by tests */

/* mirror.c: all is to be looked at anew */
void xi_mirror_resync(struct xi_mirror *m);

/* mirror_news.c */
void xi_mirror_on_news(evutil_socket_t fd, short what, void *mirror);
void xi_mirror_on_dump(evutil_socket_t fd, short what, void *mirror);
void xi_mirror_dump_failed(struct xi_mirror *m, int err);
void xi_mirror_touch_sas(struct xi_mirror *m);
void xi_mirror_touch_policies(struct xi_mirror *m);

/* mirror_group.c: what hangs together by destination and reqid */
void xi_pattern_widen(struct xi_pattern out[XI_PATTERN_WIDER], const struct xi_pattern *p);
int xi_group_link_sa(struct xi_mirror *m, struct xi_mirror_sa *sa);
void xi_group_unlink_sa(struct xi_mirror *m, struct xi_mirror_sa *sa);
int xi_group_link_tmpl(struct xi_mirror *m, struct xi_mirror_policy *policy, const struct xi_pattern *p);
void xi_group_unlink_tmpls(struct xi_mirror *m, struct xi_mirror_policy *policy);
/* A reason more or less to leave SAs of this pattern to the kernel; the pattern is linked. Whom it concerns becomes dirty. */
void xi_group_keep(struct xi_mirror *m, const struct xi_pattern *p, bool on);
/* A policy that asks for this pattern is in force, or no more. */
void xi_group_ask(struct xi_mirror *m, const struct xi_pattern *p, bool on);
bool xi_group_kept(const struct xi_mirror *m, const struct xi_pattern *p);
bool xi_group_asked(const struct xi_mirror *m, const struct xi_pattern *p);
/* No other SA is like it, and whatever policy names its like names destination and reqid, and nothing else beside. */
bool xi_group_alone(const struct xi_mirror *m, const struct xi_mirror_sa *sa);

/* mirror_seen.c: what the kernel answered to GETSA */
struct xi_mirror_seen {
	struct xfrm_usersa_info info;
	struct xi_sa_request req;
	struct xi_extack ack;
	uint64_t asked;              /* when */
	int err;                     /* of reading it as an SA that is carried */
	bool odd_window;             /* which the kernel would not let us write */
	bool elsewhere;              /* of an interface: it serves no policy that is known here */
	struct xfrm_user_offload device; /* ifindex 0: it is not offloaded */
};

/*
 * 0: there is one, carried or not (seen->err). -ESRCH: none, or a larval one, which says nothing yet. What cannot be
 * read at all is not carried. Keys are in seen and in m->answer then.
 */
int xi_mirror_sa_look(struct xi_mirror *m, const struct xi_mirror_sa *sa, struct xi_mirror_seen *seen);

/* mirror_sa.c */
/* The SA of this id may have changed. */
void xi_mirror_sa_dirty(struct xi_mirror *m, const struct xi_sa_id *id);
void xi_mirror_sa_touch(struct xi_mirror *m, struct xi_mirror_sa *sa);
/* The same, before all others. */
void xi_mirror_sa_touch_first(struct xi_mirror *m, struct xi_mirror_sa *sa);
/* Asks the kernel about it, and does what follows. Within a round. */
void xi_mirror_sa_settle(struct xi_mirror *m, struct xi_mirror_sa *sa);
/* Reasons to leave what is like it to the kernel: one more or less. */
void xi_mirror_sa_keep(struct xi_mirror *m, struct xi_mirror_sa *sa, bool on);
/* Out of the SAD, if it is ours; within a round of at most XI_MIRROR_TURN. */
void xi_mirror_sa_give(struct xi_mirror *m, struct xi_mirror_sa *sa);
/* It is about to leave the SAD. -errno: it must not, for the kernel's window could not be shut. */
int xi_mirror_sa_going(struct xi_mirror *m, struct xi_mirror_sa *sa, const struct xi_sa_rec *rec);
/* It left the SAD, no packet comes through it any more, and its record is still there. */
void xi_mirror_sa_given(struct xi_mirror *m, struct xi_mirror_sa *sa, const struct xi_sa_rec *rec);
void xi_mirror_sas_free(struct xi_mirror *m);
bool xi_mirror_sa_is_in(const struct xi_mirror *m, const struct xi_sa *sa);

/* mirror_hold.c: packets of an SA that is to come from the kernel */
/*
 * Within a round, when the kernel's answer to GETSA is in m->answer. 0: packets of this SA are held here, and the kernel's
 * window is final. -EAGAIN: not yet, and it will be looked at again. -EBUSY: it goes on changing. -errno: it cannot be.
 */
int xi_mirror_hold(struct xi_mirror *m, struct xi_mirror_sa *sa);
/* rec is the larval SA by which packets of this one are held: it is to become the SA. */
bool xi_mirror_holds(const struct xi_mirror_sa *sa, const struct xi_sa_rec *rec);
/* They are not held any longer: XDP leaves them to the kernel. */
void xi_mirror_hold_end(struct xi_mirror *m, struct xi_mirror_sa *sa);
/*
 * It is looked at again in a millisecond. An event that makes itself active again and again lets no other have a turn.
 */
int xi_mirror_wait(struct xi_mirror *m, struct xi_mirror_sa *sa);
bool xi_mirror_holding(const struct xi_mirror *m);
void xi_mirror_on_holds(evutil_socket_t fd, short what, void *mirror);
/* The kernel's count of packets, in m->answer. */
int xi_mirror_packets(const struct xi_mirror *m, uint64_t *packets);

/* mirror_window.c: the kernel's window of an SA that changes hands */
/* Of NEWSA or NEWAE: XFRMA_REPLAY_ESN_VAL, else _VAL; NULL: none, or too short. */
const struct nlattr *xi_mirror_window_find(const struct xi_attrs *attrs);
/* Makes a window one that refuses every packet. type: of the attribute, whose payload replay is. */
void xi_mirror_window_refuse(uint8_t *replay, int type, size_t len, bool esn);
bool xi_mirror_window_refuses(const struct xi_replay_init *init, bool esn);
/* From now on the kernel accepts nothing by this SA, until it is told a window. */
int xi_mirror_shut(struct xi_mirror *m, const struct xi_sa_rec *rec);
/*
 * The same of the kernel's own, which seen and m->answer tell of: 0: that window was final. -ESTALE: the kernel accepted
 * more, and what is not known. *open is what makes it as it was.
 */
int xi_mirror_seal(struct xi_mirror *m, const struct xi_mirror_seen *seen, struct xi_nlmsg *open);
/* A soft EXPIRE: the key manager is to make another. */
void xi_mirror_replace(struct xi_mirror *m, const struct xi_sa_id *id);

/* mirror_count.c: numbers and usage */
void xi_mirror_ae_begin(struct xi_nlmsg *msg, const struct xi_sa *sa);
/*
 * The kernel's counter stood at k when it was asked, at `asked`: reserves numbers behind it, of which *first is the one
 * before the first. Its replay state is in m->answer. 0 or -errno.
 */
int xi_mirror_reserve(struct xi_mirror *m, const struct xi_sa *sa, uint64_t k, uint64_t asked, uint64_t *first,
		      uint64_t *limit);
/* Moves the reserve's end, the kernel's counter, on to limit. As above. */
int xi_mirror_extend(struct xi_mirror *m, const struct xi_sa *sa, uint64_t limit);
void xi_mirror_expired(void *mirror, const struct xi_sa_rec *rec, bool hard);

/* mirror_usage.c */
/* Usage, and an inbound SA's window, to the kernel. */
int xi_mirror_tell(struct xi_mirror *m, struct xi_mirror_sa *sa, const struct xi_sa_rec *rec);
/* Room for so many SAs that are ours. -ENOMEM. */
int xi_mirror_watch_room(struct xi_mirror *m, unsigned int n);
/* It is ours, and rec its record; or no more. */
void xi_mirror_watch(struct xi_mirror *m, struct xi_mirror_sa *sa, const struct xi_sa_rec *rec);
void xi_mirror_unwatch(struct xi_mirror *m, struct xi_mirror_sa *sa);
/* Numbers that run out, and usage that changed, of some of the SAs that are ours, or of all. */
void xi_mirror_usage_tick(struct xi_mirror *m);
void xi_mirror_on_usage(evutil_socket_t fd, short what, void *mirror);
void xi_mirror_usage_all(struct xi_mirror *m);

/* mirror_retry.c */
bool xi_mirror_refusal_passes(int err);
/* It was refused with err: if that may pass, it waits to be tried again. */
void xi_mirror_retry_sa(struct xi_mirror *m, struct xi_mirror_sa *sa, int err);
void xi_mirror_retry_policy(struct xi_mirror *m, struct xi_mirror_policy *policy, int err);
/* It does not wait any more. */
void xi_mirror_retry_no_sa(struct xi_mirror *m, struct xi_mirror_sa *sa);
void xi_mirror_retry_no_policy(struct xi_mirror *m, struct xi_mirror_policy *policy);
/* Something came free. */
void xi_mirror_retry_soon(struct xi_mirror *m);
/* One that waited was taken. */
void xi_mirror_retry_went_well(struct xi_mirror *m);
void xi_mirror_retry_tick(struct xi_mirror *m);

/* mirror_policy.c */
void xi_mirror_policy_dirty(struct xi_mirror *m, const struct xi_mirror_policy_key *key, bool first);
void xi_mirror_policy_touch(struct xi_mirror *m, struct xi_mirror_policy *policy);
void xi_mirror_policy_settle(struct xi_mirror *m, struct xi_mirror_policy *policy);
/* Of a message about a policy. False: of no matter here. */
bool xi_mirror_policy_key(struct xi_mirror_policy_key *key, const struct nlmsghdr *nlh);
/* The key of a policy in the SPD. */
struct xi_mirror_policy_key xi_mirror_policy_key_of(const struct xi_policy *policy);
void xi_mirror_policies_free(struct xi_mirror *m);

#endif
