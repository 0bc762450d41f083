/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A capability that is missing is named before anything is touched. Numbers as in capabilities(7). */
#include <errno.h>
#include <linux/capability.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cmocka.h>

#include "caps.h"

#define ALL ((1ULL << (CAP_LAST_CAP + 1)) - 1)

static char logged[4096];

/* stderr goes to a pipe meanwhile. */
static int check(uint64_t effective, uint64_t memlock)
{
	int fds[2], saved = dup(2), err;
	ssize_t n;

	assert_int_equal(pipe(fds), 0);
	assert_true(dup2(fds[1], 2) >= 0);
	close(fds[1]);
	err = xi_caps_check(effective, memlock);
	dup2(saved, 2);
	close(saved);
	n = read(fds[0], logged, sizeof(logged) - 1);
	logged[n > 0 ? n : 0] = 0;
	close(fds[0]);
	return err;
}

static uint64_t without(int cap)
{
	return ALL & ~(1ULL << cap);
}

static void root_has_all(void **state)
{
	assert_int_equal(check(ALL, 65536), 0);
	assert_string_equal(logged, "");
}

static void missing_one_is_named(void **state)
{
	assert_int_equal(check(without(CAP_NET_ADMIN), RLIM_INFINITY), -EPERM);
	assert_non_null(strstr(logged, "CAP_NET_ADMIN is missing"));
	assert_int_equal(check(without(CAP_NET_RAW), RLIM_INFINITY), -EPERM);
	assert_non_null(strstr(logged, "CAP_NET_RAW is missing"));
	assert_int_equal(check(without(CAP_SYS_ADMIN), RLIM_INFINITY), -EPERM);
	assert_non_null(strstr(logged, "CAP_SYS_ADMIN is missing"));
	assert_int_equal(check(without(CAP_SYS_ADMIN) & without(CAP_BPF), RLIM_INFINITY), -EPERM);
	assert_non_null(strstr(logged, "CAP_BPF is missing"));
	assert_null(strstr(logged, "CAP_PERFMON"));
}

static void ipc_lock_only_where_memory_is_limited(void **state)
{
	assert_int_equal(check(without(CAP_IPC_LOCK), RLIM_INFINITY), 0);
	assert_int_equal(check(without(CAP_IPC_LOCK), 8 << 20), -EPERM);
	assert_non_null(strstr(logged, "CAP_IPC_LOCK is missing"));
	assert_non_null(strstr(logged, "LimitMEMLOCK="));
}

static void nobody_is_told_all_of_it(void **state)
{
	assert_int_equal(check(0, 65536), -EPERM);
	assert_non_null(strstr(logged, "CAP_BPF"));
	assert_non_null(strstr(logged, "CAP_PERFMON"));
	assert_non_null(strstr(logged, "CAP_IPC_LOCK"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(root_has_all),
		cmocka_unit_test(missing_one_is_named),
		cmocka_unit_test(ipc_lock_only_where_memory_is_limited),
		cmocka_unit_test(nobody_is_told_all_of_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
