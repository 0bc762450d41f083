/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "caps.h"

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <linux/capability.h>

#include "log.h"

/* CAP_SYS_ADMIN stands in for what was split off from it in Linux 5.8. */
static const struct {
	unsigned int cap;
	const char *name;
	const char *what;
	bool or_admin;
} needed[] = {
	{ CAP_BPF, "CAP_BPF", "programs and maps", true },
	{ CAP_PERFMON, "CAP_PERFMON", "miss messages, and programs that read packets", true },
	{ CAP_NET_ADMIN, "CAP_NET_ADMIN", "XDP, xipsec0 and routes", false },
	{ CAP_NET_RAW, "CAP_NET_RAW", "AF_XDP and raw sockets", false },
	{ CAP_IPC_LOCK, "CAP_IPC_LOCK", "packet memory", false },
};

static bool has(uint64_t caps, unsigned int cap)
{
	return caps >> cap & 1;
}

/* Locked memory without limit does as well, as in a unit file with LimitMEMLOCK=infinity. */
static bool memory_unlimited(void)
{
	struct rlimit limit;

	return !getrlimit(RLIMIT_MEMLOCK, &limit) && limit.rlim_cur == RLIM_INFINITY;
}

int xi_caps_check(void)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = { { 0 } };
	uint64_t caps;
	int err = 0;

	if (syscall(SYS_capget, &header, data))
		return 0;            /* the kernel itself will say no */
	caps = (uint64_t)data[1].effective << 32 | data[0].effective;
	for (unsigned int i = 0; i < sizeof(needed) / sizeof(needed[0]); i++) {
		if (has(caps, needed[i].cap) || (needed[i].or_admin && has(caps, CAP_SYS_ADMIN)) ||
		    (needed[i].cap == CAP_IPC_LOCK && memory_unlimited()))
			continue;
		log_warnx("%s is missing, for %s: start xipsecd as root, or add it to CapabilityBoundingSet= of its unit",
			  needed[i].name, needed[i].what);
		err = -EPERM;
	}
	return err;
}
