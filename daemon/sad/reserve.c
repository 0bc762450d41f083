/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "sad/sad_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "log.h"

#define BOUND_TEXT_MAX 24       /* 2^64 - 1 has 20 digits */

struct xi_reserve {
	char name[2 * XI_DIGEST_LEN + 1];
	uint64_t seq_max;
	uint64_t bound;              /* as this SA last wrote it */
	uint64_t last_oseq;          /* at the last xi_reserve_extend() */
	bool unconfirmed;            /* the disk may not know of bound: no number is given out */
	int failed;                  /* what xi_reserve_extend() met last time and told */
};

/* Whoever else could write there could have us use numbers again. */
static int check_owner(int fd)
{
	struct stat st;

	if (fstat(fd, &st))
		return -errno;
	if ((st.st_uid && st.st_uid != geteuid()) || st.st_mode & (S_IWGRP | S_IWOTH))
		return -EPERM;
	return 0;
}

static int dir_open(const char *dir)
{
	int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC), err;

	if (fd < 0)
		return -errno;
	err = check_owner(fd);
	if (err)
		close(fd);
	return err ? err : fd;
}

static int sync_parent(const char *dir)
{
	char parent[PATH_MAX];
	int fd, err = 0;

	if (snprintf(parent, sizeof(parent), "%s", dir) >= (int)sizeof(parent))
		return -ENAMETOOLONG;
	fd = open(dirname(parent), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (fsync(fd))
		err = -errno;
	close(fd);
	return err;
}

int xi_reserve_dir(const char *dir)
{
	struct statfs fs;
	struct stat st;
	int err = 0;

	if (!mkdir(dir, 0700))
		err = sync_parent(dir);
	else if (errno != EEXIST)
		err = -errno;
	else if (!stat(dir, &st) && !S_ISDIR(st.st_mode))
		err = -ENOTDIR;
	if (!err && !statfs(dir, &fs) && (fs.f_type == TMPFS_MAGIC || fs.f_type == RAMFS_MAGIC))
		log_warnx("%s: is in memory and will be gone after a reboot, and with it which sequence numbers of SAs from the file were used; set state-dir to a directory on disk",
			  dir);
	return err;
}

/* Digits and a newline, nothing else. */
static int bound_parse(const char *text, ssize_t len, uint64_t *bound)
{
	uint64_t value = 0;
	ssize_t i;

	if (len < 2 || text[len - 1] != '\n')
		return -EBADMSG;
	for (i = 0; i < len - 1; i++) {
		if (text[i] < '0' || text[i] > '9' || __builtin_mul_overflow(value, 10, &value) ||
		    __builtin_add_overflow(value, text[i] - '0', &value))
			return -EBADMSG;
	}
	*bound = value;
	return 0;
}

/* No file: 0, which is what a key that was never used has used. */
static int bound_read(int dirfd, const char *name, uint64_t *bound)
{
	char text[BOUND_TEXT_MAX];
	ssize_t len;
	int fd, err;

	*bound = 0;
	fd = openat(dirfd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT ? 0 : -errno;
	err = check_owner(fd);
	len = err ? 0 : read(fd, text, sizeof(text));
	if (!err)
		err = len < 0 ? -errno : bound_parse(text, len, bound);
	close(fd);
	return err;
}

static int file_write(int dirfd, const char *name, const char *text, int len)
{
	int fd = openat(dirfd, name, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
	ssize_t n;
	int err = 0;

	if (fd < 0)
		return -errno;
	n = write(fd, text, len);
	if (n != len)
		err = n < 0 ? -errno : -ENOSPC;
	else if (fsync(fd))
		err = -errno;
	if (close(fd) && !err)
		err = -errno;
	return err;
}

/* After a crash at any point the file holds the old bound or the new one, whole. */
static int bound_write(int dirfd, const char *name, uint64_t bound)
{
	char text[BOUND_TEXT_MAX], tmp[2 * XI_DIGEST_LEN + 8];
	int err, len;

	len = snprintf(text, sizeof(text), "%llu\n", (unsigned long long)bound);
	snprintf(tmp, sizeof(tmp), "%s.tmp", name);
	err = file_write(dirfd, tmp, text, len);
	if (!err && renameat(dirfd, tmp, dirfd, name))
		err = -errno;
	if (err) {
		unlinkat(dirfd, tmp, 0);
		return err;
	}
	return fsync(dirfd) ? -errno : 0;
}

static uint64_t bound_ahead(uint64_t from, uint64_t by, uint64_t seq_max)
{
	return seq_max - from < by ? seq_max : from + by;
}

/* Never another state-dir: it would know nothing of the numbers that were used. */
static const char *file_remedy(int err)
{
	switch (-err) {
	case EBADMSG:
		return ": makes no sense; restore it, or give the SAs of its key another one and remove it";
	case ENOSPC:
	case EDQUOT:
		return "; make room";
	case ENOENT:
	case ENOTDIR:
		return "; set state-dir as it was when the SA was loaded";
	case EROFS:
		return "; mount it writable";
	default:
		return "";
	}
}

static void log_file(const char *dir, const struct xi_reserve *r, int err)
{
	if (err == -EPERM)
		log_warnx("sequence reserve %s/%s: others than its owner can write there; chmod go-w, chown to the user of xipsecd",
			  dir, r->name);
	else
		log_warnx("sequence reserve %s/%s: %s%s", dir, r->name, strerror(-err),
			  file_remedy(err));
}

static int reserve_new(struct xi_reserve **out, const struct xi_sa_key *key, uint64_t seq_max)
{
	uint8_t digest[XI_DIGEST_LEN];
	struct xi_reserve *r = calloc(1, sizeof(*r));
	unsigned int i;

	if (!r)
		return -ENOMEM;
	xi_key_digest(digest, "xipsec sequence reserve", key);
	for (i = 0; i < XI_DIGEST_LEN; i++)
		snprintf(r->name + 2 * i, 3, "%02x", digest[i]);
	r->seq_max = seq_max;
	*out = r;
	return 0;
}

/* Takes the next `by` numbers above *oseq and above what any SA with this key has taken. */
static int block_take(struct xi_reserve *r, int dirfd, uint64_t by, uint64_t *oseq,
		      const char **why)
{
	uint64_t stored, bound;
	int err;

	*why = "the sequence reserve of this key cannot be read; use a new key, or see the log for the file to repair";
	err = bound_read(dirfd, r->name, &stored);
	if (err)
		return err;
	if (*oseq < stored)
		*oseq = stored;
	*why = "the sequence numbers of this key are used up; install the SA with a new key";
	if (*oseq >= r->seq_max)
		return -EOVERFLOW;
	bound = bound_ahead(*oseq, by, r->seq_max);
	*why = "sequence numbers cannot be reserved on disk; see the log, and make the state directory writable";
	err = bound_write(dirfd, r->name, bound);
	if (!err)
		r->bound = bound;
	return err;
}

int xi_reserve_open(struct xi_reserve **out, const char *dir, const struct xi_sa_key *key,
		    uint64_t seq_max, uint64_t *oseq, uint64_t *limit, const char **why)
{
	struct xi_reserve *r;
	int dirfd, err;

	err = reserve_new(&r, key, seq_max);
	if (err)
		return err;
	*why = "the state directory cannot be used; see the log";
	dirfd = dir_open(dir);
	err = dirfd < 0 ? dirfd : block_take(r, dirfd, XI_RESERVE_BLOCK, oseq, why);
	if (dirfd >= 0)
		close(dirfd);
	if (err) {
		log_file(dir, r, err);
		xi_reserve_free(r);
		return err;
	}
	r->last_oseq = *oseq;
	*limit = r->bound;
	*out = r;
	return 0;
}

/* The file may have gone, or this is another directory than the one in which it is. */
static int bound_confirm(const struct xi_reserve *r, const char *dir)
{
	uint64_t stored;
	int dirfd, err;

	if (!dir)
		return -ENOENT;
	dirfd = dir_open(dir);
	if (dirfd < 0)
		return dirfd;
	err = bound_read(dirfd, r->name, &stored);
	if (!err && stored < r->bound)
		err = bound_write(dirfd, r->name, r->bound);
	close(dirfd);
	return err;
}

int xi_reserve_resume(struct xi_reserve **out, const char *dir, const struct xi_sa_key *key,
		      uint64_t seq_max, struct xi_sa_state *state)
{
	struct xi_reserve *r;
	int err = reserve_new(&r, key, seq_max);

	if (err)
		return err;
	r->bound = __atomic_load_n(&state->oseq_limit, __ATOMIC_RELAXED);
	/* an earlier daemon may have lowered the limit, for want of a disk */
	if (r->bound < state->oseq)
		r->bound = state->oseq;
	r->last_oseq = r->bound;
	err = bound_confirm(r, dir);
	if (err) {
		log_file(dir ? dir : "(no state directory)", r, err);
		r->unconfirmed = true;
		__atomic_store_n(&state->oseq_limit, 0, __ATOMIC_SEQ_CST);
	}
	*out = r;
	return 0;
}

/*
 * If another SA with the same key has reserved in between, our next block lies behind its block:
 * oseq jumps there before the limit is raised, and no worker gets a number of the other's.
 */
static void state_advance(struct xi_sa_state *state, uint64_t bound_before, uint64_t start,
			  uint64_t limit)
{
	__u64 oseq = __atomic_load_n(&state->oseq, __ATOMIC_RELAXED);

	while (start > bound_before && oseq < start)
		if (__atomic_compare_exchange_n(&state->oseq, &oseq, start, false, __ATOMIC_SEQ_CST,
						__ATOMIC_RELAXED))
			break;
	__atomic_store_n(&state->oseq_limit, limit, __ATOMIC_SEQ_CST);
}

static int reserve_confirm(struct xi_reserve *r, const char *dir, struct xi_sa_state *state)
{
	int err = bound_confirm(r, dir);

	if (err)
		return err;
	r->unconfirmed = false;
	__atomic_store_n(&state->oseq_limit, r->bound, __ATOMIC_SEQ_CST);
	return 0;
}

static int reserve_more(struct xi_reserve *r, const char *dir, struct xi_sa_state *state,
			uint64_t block)
{
	uint64_t before = r->bound, start = before;
	const char *why;
	int dirfd, err;

	if (!dir)
		return -ENOENT;
	dirfd = dir_open(dir);
	if (dirfd < 0)
		return dirfd;
	err = block_take(r, dirfd, block, &start, &why);
	close(dirfd);
	if (!err)
		state_advance(state, before, start, r->bound);
	return err;
}

int xi_reserve_extend(struct xi_reserve *r, const char *dir, struct xi_sa_state *state)
{
	uint64_t oseq = __atomic_load_n(&state->oseq, __ATOMIC_RELAXED);
	uint64_t used = oseq > r->last_oseq ? oseq - r->last_oseq : 0;
	uint64_t block = 8 * used > XI_RESERVE_BLOCK ? 8 * used : XI_RESERVE_BLOCK;
	int err, before = r->failed;

	r->last_oseq = oseq;
	if (!r->unconfirmed &&
	    (r->bound >= r->seq_max || (oseq < r->bound && r->bound - oseq >= block / 2)))
		return 0;
	r->failed = err = r->unconfirmed ? reserve_confirm(r, dir, state)
					 : reserve_more(r, dir, state, block);
	if (!err || err == before)
		return 0;
	log_file(dir ? dir : "(no state directory)", r, err);
	return err;
}

void xi_reserve_free(struct xi_reserve *reserve)
{
	free(reserve);
}
