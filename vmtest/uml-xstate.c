// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Preloaded into user-mode Linux 6.1, which keeps 2696 bytes of extended state a process. On a CPU with more (AMX) Linux
 * takes no less than the whole on PTRACE_SETREGSET, and init dies at once. What is missing is appended here: the initial
 * state, which is that of components whose bits in the header are clear.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <elf.h>
#include <errno.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/uio.h>

typedef long (*ptrace_fn)(enum __ptrace_request request, ...);

/* Of the one thread that traces; its stacks are small. */
static uint8_t state[64 << 10] __attribute__((aligned(64)));
static size_t state_len;

static long set_xstate(ptrace_fn next, void *pid, void *type, const struct iovec *given)
{
	struct iovec whole = {.iov_base = state, .iov_len = sizeof(state)};

	if (!state_len) {
		if (next(PTRACE_GETREGSET, pid, type, &whole))
			return -1;
		state_len = whole.iov_len;
		memset(state, 0, state_len);
	}
	if (given->iov_len >= state_len)
		return next(PTRACE_SETREGSET, pid, type, given);
	memcpy(state, given->iov_base, given->iov_len);
	whole.iov_len = state_len;
	return next(PTRACE_SETREGSET, pid, type, &whole);
}

long ptrace(enum __ptrace_request request, ...)
{
	static ptrace_fn next;
	void *pid, *addr, *data;
	va_list args;

	va_start(args, request);
	pid = va_arg(args, void *);
	addr = va_arg(args, void *);
	data = va_arg(args, void *);
	va_end(args);
	if (!next)
		next = (ptrace_fn)dlsym(RTLD_NEXT, "ptrace");
	if (!next) {
		errno = ENOSYS;
		return -1;
	}
	if (request == PTRACE_SETREGSET && (uintptr_t)addr == NT_X86_XSTATE)
		return set_xstate(next, pid, addr, data);
	return next(request, pid, addr, data);
}
