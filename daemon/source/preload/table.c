/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Which descriptors are ours. Looked up on every read and write of the program, so: one load. */
#include "source/preload/shim.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define FDS 65536
#define SOCKS 256

static _Atomic(struct shim_sock *) by_fd[FDS];
static atomic_int last_fd = -1;
static struct shim_sock socks[SOCKS];
/*
 * Whose table this is. The page is zero in a child of fork(), which has a table of its own, and
 * shared with a child of vfork(), which has not.
 */
static atomic_int *owner;

/* Another thread's lock is nobody's in the child, and its calls are not under way. */
static void after_fork(void)
{
	pthread_mutexattr_t attr;
	int none = 0;

	if (!owner || !atomic_compare_exchange_strong(owner, &none, getpid()))
		return;
	pthread_mutexattr_init(&attr);
	pthread_mutexattr_settype(&attr, PTHREAD_MUTEX_ERRORCHECK);
	for (size_t i = 0; i < SOCKS; i++) {
		if (!atomic_load(&socks[i].used))
			continue;
		pthread_mutex_init(&socks[i].lock, &attr);
		atomic_store(&socks[i].users, 0);
	}
}

__attribute__((constructor(102))) static void table_init(void)
{
	void *page = mmap(NULL, sizeof(*owner), PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (page == MAP_FAILED)
		return;
	if (madvise(page, sizeof(*owner), MADV_WIPEONFORK)) {
		munmap(page, sizeof(*owner));
		return;
	}
	owner = page;
	atomic_store(owner, getpid());
	pthread_atfork(NULL, NULL, after_fork); /* else on first use: _Fork() and clone() */
}

bool shim_is_vfork_child(void)
{
	if (!owner)
		return false;
	if (!atomic_load(owner))
		after_fork();
	return atomic_load(owner) != getpid();
}

struct shim_sock *shim_find(int fd)
{
	if (fd < 0 || fd >= FDS)
		return NULL;
	return atomic_load_explicit(&by_fd[fd], memory_order_acquire);
}

struct shim_sock *shim_get(int fd)
{
	struct shim_sock *s = shim_find(fd);

	if (!s)
		return NULL;
	if (owner && !atomic_load(owner))
		after_fork();
	atomic_fetch_add(&s->users, 1);
	if (atomic_load(&by_fd[fd]) == s)
		return s;
	atomic_fetch_sub(&s->users, 1);
	return NULL;
}

void shim_put(struct shim_sock **s)
{
	if (*s)
		atomic_fetch_sub(&(*s)->users, 1);
}

int shim_last_fd(void)
{
	return atomic_load(&last_fd);
}

static void sock_init(struct shim_sock *s)
{
	pthread_mutexattr_t attr;

	memset(&s->type, 0, sizeof(*s) - offsetof(struct shim_sock, type));
	pthread_mutexattr_init(&attr);
	pthread_mutexattr_settype(&attr, PTHREAD_MUTEX_ERRORCHECK);
	pthread_mutex_init(&s->lock, &attr);
}

struct shim_sock *shim_alloc(void)
{
	for (size_t i = 0; i < SOCKS; i++) {
		struct shim_sock *s = &socks[i];
		bool used = false;

		if (atomic_load(&s->users) || !atomic_compare_exchange_strong(&s->used, &used, true))
			continue;
		sock_init(s);
		return s;
	}
	return NULL;
}

void shim_free(struct shim_sock *s)
{
	atomic_store(&s->used, false);
}

int shim_track(int fd, struct shim_sock *s)
{
	int last = atomic_load(&last_fd);

	if (fd < 0 || fd >= FDS) {
		errno = EMFILE;
		return -1;
	}
	atomic_fetch_add(&s->refs, 1);
	atomic_store(&by_fd[fd], s);
	while (fd > last && !atomic_compare_exchange_weak(&last_fd, &last, fd))
		;
	return 0;
}

/* Under the lock, so that no reconnection puts a file there that nobody closes. */
void shim_untrack(int fd)
{
	SHIM_GET(s, fd);
	struct shim_sock *was = s;
	struct shim_hold hold;

	if (!s || shim_is_vfork_child())
		return;
	hold = shim_lock(s);
	if (atomic_compare_exchange_strong(&by_fd[fd], &was, NULL)) {
		shim_epolls_forget(s, fd);
		if (atomic_fetch_sub(&s->refs, 1) == 1)
			shim_free(s);
	}
	shim_unlock(&hold);
}

void shim_each_fd(struct shim_sock *s, void (*fn)(struct shim_sock *s, int fd, void *arg),
		  void *arg)
{
	int last = shim_last_fd();

	for (int fd = 0; fd <= last; fd++) {
		if (shim_find(fd) == s)
			fn(s, fd, arg);
	}
}

bool shim_portid_taken(const struct shim_sock *except, uint32_t portid)
{
	for (size_t i = 0; i < SOCKS; i++) {
		const struct shim_sock *s = &socks[i];

		if (s != except && atomic_load(&s->used) && atomic_load(&s->portid) == portid)
			return true;
	}
	return false;
}

struct shim_hold shim_lock(struct shim_sock *s)
{
	struct shim_hold hold = { .s = s };
	sigset_t all;

	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &hold.cancel);
	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, &hold.signals);
	hold.locked = !pthread_mutex_lock(&s->lock);
	return hold;
}

void shim_unlock(struct shim_hold *hold)
{
	if (hold->locked)
		pthread_mutex_unlock(&hold->s->lock);
	pthread_sigmask(SIG_SETMASK, &hold->signals, NULL);
	pthread_setcancelstate(hold->cancel, NULL);
}
