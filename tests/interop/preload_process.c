/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * preload_process
 *
 * An XFRM socket and what else a process does: children of fork(), of vfork() and posix_spawn(),
 * exec, duplicates, a signal handler that closes. Prints a line of TAP for each.
 *
 * preload_process FD: asks on this inherited socket. Exit status 0: it was answered.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <linux/xfrm.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;
static const char *self;
static int to_close;

static int netlink(int flags)
{
	struct sockaddr_nl nl = { .nl_family = AF_NETLINK };
	int fd = socket(AF_NETLINK, SOCK_RAW | flags, NETLINK_XFRM);

	if (fd < 0 || bind(fd, (struct sockaddr *)&nl, sizeof(nl))) {
		perror("socket");
		exit(1);
	}
	return fd;
}

static bool asks(int fd)
{
	struct {
		struct nlmsghdr hdr;
		uint32_t flags;
	} r = { { sizeof(r), XFRM_MSG_GETSADINFO, NLM_F_REQUEST, 5, 0 }, 0 };
	struct sockaddr_nl from = { 0 };
	socklen_t len = sizeof(from);
	union {
		struct nlmsghdr hdr;
		char buf[4096];
	} m;

	return send(fd, &r, sizeof(r), 0) == sizeof(r) &&
	       recvfrom(fd, &m, sizeof(m), 0, (struct sockaddr *)&from, &len) > 0 &&
	       from.nl_family == AF_NETLINK && m.hdr.nlmsg_type == XFRM_MSG_NEWSADINFO;
}

static bool is_netlink(int fd)
{
	struct sockaddr_nl nl;
	socklen_t len = sizeof(nl);

	return !getsockname(fd, (struct sockaddr *)&nl, &len) && nl.nl_family == AF_NETLINK;
}

static void ok(const char *what, bool good)
{
	static int n;

	printf("%sok %d - %s\n", good ? "" : "not ", ++n, what);
}

static bool ends_well(pid_t pid)
{
	int status;

	return pid > 0 && waitpid(pid, &status, 0) == pid && WIFEXITED(status) && !WEXITSTATUS(status);
}

static void exec_self(int fd)
{
	char number[16];

	snprintf(number, sizeof(number), "%d", fd);
	execl(self, self, number, NULL);
	_exit(127);
}

static void forks(int fd)
{
	pid_t pid = fork();

	if (!pid)
		_exit(!(asks(fd) && asks(netlink(0)) && !close(fd) && !is_netlink(fd)));
	ok("a child of fork() uses it, has one of its own, and closes it", ends_well(pid));
	ok("which is nothing to the parent", asks(fd) && is_netlink(fd));
	pid = fork();
	if (!pid)
		exec_self(fd);
	ok("a program that is executed finds the socket that it inherited", ends_well(pid));
	pid = _Fork();
	if (!pid) {
		int other = open("/dev/null", O_RDWR);

		close(fd);
		_exit(!(dup2(other, fd) == fd && write(fd, "x", 1) == 1));
	}
	ok("a child that no handler knows of has a table of its own", ends_well(pid));
}

static void vforks(int fd)
{
	char number[] = "60";
	char *argv[] = { (char *)self, number, NULL };
	posix_spawn_file_actions_t actions;
	pid_t pid;

	/* as shells and spawners do: duplicate, close, execute */
	pid = vfork();
	if (!pid) {
		dup2(fd, 60);
		close(fd);
		execv(self, argv);
		_exit(127);
	}
	ok("a child of vfork() duplicates, closes, and executes", ends_well(pid));
	ok("which is nothing to the parent", asks(fd) && !is_netlink(60));
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, fd, 60);
	posix_spawn_file_actions_addclose(&actions, fd);
	ok("so does posix_spawn()",
	   !posix_spawn(&pid, self, &actions, NULL, argv, environ) && ends_well(pid));
	ok("which is nothing to the parent, either", asks(fd) && !is_netlink(60));
}

static bool file_works(int fd)
{
	char byte = 0;

	return !is_netlink(fd) && read(fd, &byte, 1) == 1 && byte == '#';
}

static int some_file(void)
{
	char path[] = "/tmp/xipsec-preload-XXXXXX";
	int fd = mkstemp(path);

	unlink(path);
	if (write(fd, "#", 1) != 1 || lseek(fd, 0, SEEK_SET))
		exit(1);
	return fd;
}

static void duplicates(void)
{
	int fd = netlink(SOCK_CLOEXEC), a = dup(fd), b = fcntl(fd, F_DUPFD_CLOEXEC, 40), c, file;

	ok("duplicates are the same socket", asks(a) && asks(b) && b >= 40);
	close(fd);
	close(a);
	ok("the last of them remains", asks(b) && is_netlink(b) && !is_netlink(a));
	file = some_file();
	c = dup2(file, b);
	ok("a file that is put in its place is a file", c == b && file_works(b));
	close(b);
	close(file);
	fd = netlink(0);
	ok("a file does not go where there is no descriptor to copy", dup2(999, fd) < 0 && asks(fd));
	a = dup3(fd, 50, O_CLOEXEC);
	ok("dup3", a == 50 && asks(a) && fcntl(a, F_GETFD) == FD_CLOEXEC);
	close_range(fd, 50, 0);
	file = some_file();
	ok("close_range: their numbers are other files'", file <= 50 && file_works(file));
	fd = netlink(0);
	closefrom(fd);
	a = some_file();
	ok("closefrom, too", a == fd && file_works(a));
	close(a);
	close(file);
}

static void on_signal(int signal)
{
	close(to_close);
}

static void signals(void)
{
	bool good = true;

	signal(SIGALRM, on_signal);
	for (int i = 0; i < 200 && good; i++) {
		int keep = netlink(0);

		to_close = dup(keep);
		ualarm(50 + i * 7, 0);
		while (is_netlink(to_close))
			good = good && asks(keep);
		close(keep);
	}
	ok("a signal handler closes while the program asks", good);
}

int main(int argc, char **argv)
{
	int fd;

	self = "/proc/self/exe";
	if (argc > 1)
		return !(is_netlink(atoi(argv[1])) && asks(atoi(argv[1])));
	setvbuf(stdout, NULL, _IOLBF, 0);
	fd = netlink(0);
	forks(fd);
	vforks(fd);
	close(fd);
	duplicates();
	signals();
	puts("1..16");
	return 0;
}
