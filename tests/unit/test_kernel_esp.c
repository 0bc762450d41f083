/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What a kernel says of its ESP, in lines as Debian's and others' have them. */
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "source/kernel_esp.h"

static const char *const files[] = {"proc/kallsyms", "lib/modules/6.1.0/modules.builtin",
				    "lib/modules/6.1.0/modules.dep"};

/* NULL: there is no such file. */
static enum xi_kernel_esp says(const char *symbols, const char *builtin, const char *dep)
{
	const char *const texts[] = {symbols, builtin, dep};
	char root[] = "/tmp/xipsec-esp-XXXXXX", command[PATH_MAX + 64], path[PATH_MAX];
	enum xi_kernel_esp esp;
	FILE *file;

	assert_non_null(mkdtemp(root));
	snprintf(command, sizeof(command), "mkdir -p %s/proc %s/lib/modules/6.1.0", root, root);
	assert_int_equal(system(command), 0);
	for (unsigned int i = 0; i < 3; i++) {
		if (!texts[i])
			continue;
		snprintf(path, sizeof(path), "%s/%s", root, files[i]);
		file = fopen(path, "w");
		assert_non_null(file);
		fputs(texts[i], file);
		fclose(file);
	}
	esp = xi_kernel_esp(root, "6.1.0");
	snprintf(command, sizeof(command), "rm -r %s", root);
	assert_int_equal(system(command), 0);
	return esp;
}

#define SYMBOLS "0000000000000000 T _stext\n0000000000000000 t xfrm_init_state\n"
#define DEP "kernel/net/ipv4/ah4.ko: kernel/net/xfrm/xfrm_algo.ko\n"

static void test_it_is_there(void **state)
{
	assert_int_equal(says(SYMBOLS "0000000000000000 t esp_init_state\t[esp4]\n", NULL, NULL),
			 XI_KERNEL_ESP_THERE);
	assert_int_equal(says(SYMBOLS "0000000000000000 t esp6_init_state\n", NULL, NULL),
			 XI_KERNEL_ESP_THERE);
	assert_int_equal(says(NULL, "kernel/net/ipv4/esp4.ko\n", DEP), XI_KERNEL_ESP_THERE);
}

static void test_it_is_a_module(void **state)
{
	assert_int_equal(says(SYMBOLS, "kernel/net/ipv4/ah4.ko\n",
			      DEP "kernel/net/ipv4/esp4.ko: kernel/net/xfrm/xfrm_algo.ko\n"),
			 XI_KERNEL_ESP_MODULE);
	assert_int_equal(says(NULL, NULL, DEP "kernel/net/ipv6/esp6.ko.xz:\n"),
			 XI_KERNEL_ESP_MODULE);
}

static void test_there_is_none(void **state)
{
	assert_int_equal(says(SYMBOLS, NULL, NULL), XI_KERNEL_ESP_NONE);
	assert_int_equal(says(SYMBOLS, "kernel/net/ipv4/ah4.ko\n", DEP), XI_KERNEL_ESP_NONE);
	/* another's, of a like name */
	assert_int_equal(says("0000000000000000 t dsp_esp_init_state_x\n", NULL,
			      "kernel/drivers/scsi/esp_scsi.ko:\n"),
			 XI_KERNEL_ESP_NONE);
}

static void test_it_does_not_say(void **state)
{
	assert_int_equal(says(NULL, NULL, NULL), XI_KERNEL_ESP_HIDDEN);
	assert_int_equal(says("", "", DEP), XI_KERNEL_ESP_HIDDEN);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_it_is_there),
		cmocka_unit_test(test_it_is_a_module),
		cmocka_unit_test(test_there_is_none),
		cmocka_unit_test(test_it_does_not_say),
	};

	return cmocka_run_group_tests_name("kernel_esp", tests, NULL, NULL);
}
