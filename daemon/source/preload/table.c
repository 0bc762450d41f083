/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Which descriptors are ours. Looked up on every read and write of the program, so: one load. */
#include "source/preload/shim.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#define FDS 65536
#define SOCKS 256

static _Atomic(struct shim_sock *) by_fd[FDS];
static atomic_int last_fd = -1;
static struct shim_sock socks[SOCKS];
static pthread_mutex_t table_lock = PTHREAD_MUTEX_INITIALIZER;
static pid_t owner;

void *shim_real(_Atomic(void *) *slot, const char *name)
{
	void *fn = atomic_load_explicit(slot, memory_order_acquire);

	if (!fn) {
		fn = dlsym(RTLD_NEXT, name);
		atomic_store_explicit(slot, fn, memory_order_release);
	}
	return fn;
}

static void own_table(void)
{
	owner = getpid();
}

static void lock_table(void)
{
	pthread_mutex_lock(&table_lock);
}

static void unlock_table(void)
{
	pthread_mutex_unlock(&table_lock);
}

static void unlock_in_child(void)
{
	own_table();
	pthread_mutex_unlock(&table_lock);
}

__attribute__((constructor)) static void table_init(void)
{
	own_table();
	pthread_atfork(lock_table, unlock_table, unlock_in_child);
}

/* Between vfork() and exec the child shares this table with its parent, and must not change it. */
static bool is_vfork_child(void)
{
	return owner && getpid() != owner;
}

struct shim_sock *shim_find(int fd)
{
	if (fd < 0 || fd >= FDS)
		return NULL;
	return atomic_load_explicit(&by_fd[fd], memory_order_acquire);
}

int shim_last_fd(void)
{
	return atomic_load(&last_fd);
}

struct shim_sock *shim_alloc(void)
{
	struct shim_sock *s = NULL;

	lock_table();
	for (size_t i = 0; i < SOCKS && !s; i++) {
		if (!socks[i].used)
			s = &socks[i];
	}
	if (s) {
		memset(s, 0, sizeof(*s));
		pthread_mutex_init(&s->lock, NULL);
		s->used = true;
	}
	unlock_table();
	return s;
}

int shim_track(int fd, struct shim_sock *s)
{
	if (fd < 0 || fd >= FDS || is_vfork_child()) {
		errno = EMFILE;
		return -1;
	}
	lock_table();
	s->refs++;
	atomic_store_explicit(&by_fd[fd], s, memory_order_release);
	if (fd > atomic_load(&last_fd))
		atomic_store(&last_fd, fd);
	unlock_table();
	return 0;
}

void shim_untrack(int fd)
{
	struct shim_sock *s;

	if (!shim_find(fd) || is_vfork_child())
		return;
	lock_table();
	s = atomic_exchange(&by_fd[fd], NULL);
	if (s && !--s->refs)
		s->used = false;
	unlock_table();
}

void shim_each_fd(struct shim_sock *s, void (*fn)(int fd, void *arg), void *arg)
{
	int last = shim_last_fd();

	for (int fd = 0; fd <= last; fd++) {
		if (shim_find(fd) == s)
			fn(fd, arg);
	}
}

bool shim_portid_taken(const struct shim_sock *except, uint32_t portid)
{
	bool taken = false;

	lock_table();
	for (size_t i = 0; i < SOCKS; i++) {
		const struct shim_sock *s = &socks[i];

		if (s != except && s->used && s->bound && s->portid == portid)
			taken = true;
	}
	unlock_table();
	return taken;
}
