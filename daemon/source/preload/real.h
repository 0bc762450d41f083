/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The C library's own functions behind those that we stand in front of. */
#ifndef XI_SHIM_REAL_H
#define XI_SHIM_REAL_H

#define XI_EXPORT __attribute__((visibility("default")))

#define SHIM_FUNCTIONS(X) \
	X(bind) X(close) X(close_range) X(closefrom) X(connect) X(dup) X(dup2) X(dup3) \
	X(epoll_ctl) X(execve) X(execvpe) X(fexecve) X(posix_spawn) X(posix_spawnp) X(fcntl) X(fcntl64) X(getpeername) X(getsockname) X(getsockopt) X(ioctl) X(poll) X(ppoll) X(pselect) X(select) \
	X(read) X(readv) X(recv) X(recvfrom) X(recvmmsg) X(recvmsg) X(send) X(sendmmsg) \
	X(sendmsg) X(sendto) X(setsockopt) X(shutdown) X(socket) X(write) X(writev) \
	X(__poll_chk) X(__ppoll_chk) X(__read_chk) X(__recv_chk) X(__recvfrom_chk)

enum shim_function {
#define X(fn) SHIM_FN_##fn,
	SHIM_FUNCTIONS(X)
#undef X
	SHIM_FN_COUNT
};

/* Looked up when the library is loaded, or on a call that comes before that. */
void *shim_real(enum shim_function fn);

#define REAL(fn) ((__typeof__(&fn))shim_real(SHIM_FN_##fn))

#endif
