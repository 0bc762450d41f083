/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "caps.h"

#include <errno.h>
#include <linux/capability.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "log.h"

#define BIT(cap) (1ULL << (cap))

static const struct {
	uint64_t any;                /* one of these will do */
	const char *name, *use;
} needs[] = {
	{ BIT(CAP_NET_ADMIN), "CAP_NET_ADMIN", "XDP and tc programs, devices and routes" },
	{ BIT(CAP_NET_RAW), "CAP_NET_RAW", "AF_XDP and raw sockets" },
	{ BIT(CAP_BPF) | BIT(CAP_SYS_ADMIN), "CAP_BPF", "maps and programs" },
	{ BIT(CAP_PERFMON) | BIT(CAP_SYS_ADMIN), "CAP_PERFMON", "programs and the event ring" },
	{ BIT(CAP_SYS_ADMIN), "CAP_SYS_ADMIN", "finding programs and maps of an earlier daemon" },
};

static void log_missing(const char *name, const char *use)
{
	log_warnx("%s is missing, for %s: run this as root, or grant it (systemd.exec(5), "
		  "AmbientCapabilities=)", name, use);
}

int xi_caps_check(uint64_t effective, uint64_t memlock)
{
	int err = 0;

	for (size_t i = 0; i < sizeof(needs) / sizeof(needs[0]); i++) {
		if (effective & needs[i].any)
			continue;
		log_missing(needs[i].name, needs[i].use);
		err = -EPERM;
	}
	if (!(effective & BIT(CAP_IPC_LOCK)) && memlock != RLIM_INFINITY) {
		log_missing("CAP_IPC_LOCK",
			    "packet memory (or raise the limit of locked memory, LimitMEMLOCK=)");
		err = -EPERM;
	}
	return err;
}

int xi_caps_check_self(void)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = { 0 };
	struct rlimit memlock = { 0 };

	if (syscall(SYS_capget, &head, data) || getrlimit(RLIMIT_MEMLOCK, &memlock))
		return -errno;
	return xi_caps_check(data[0].effective | (uint64_t)data[1].effective << 32,
			     memlock.rlim_cur);
}
