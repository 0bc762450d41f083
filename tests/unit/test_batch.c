/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Whose file of SAs is taken: judged where it is read, at a check and again at a start. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>
#include <event2/event.h>

#include "source/batch.h"

static char dir[] = "/tmp/xipsec-batch-XXXXXX";
static char file[64], other[64];
static unsigned int ended;

static int make_dir(void **state)
{
	if (!mkdtemp(dir))
		return -1;
	snprintf(file, sizeof(file), "%s/sas", dir);
	snprintf(other, sizeof(other), "%s/other", dir);
	return 0;
}

static int remove_dir(void **state)
{
	return rmdir(dir);
}

static int remove_files(void **state)
{
	unlink(file);
	unlink(other);
	return 0;
}

/* Nothing but a comment: a start needs neither ip nor a server. */
static void file_write(const char *path, mode_t mode)
{
	static const char text[] = "# none yet\n";
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	assert_int_equal(fchmod(fd, mode), 0);
	close(fd);
}

static void on_done(void *arg, int status, const char *report)
{
	assert_int_equal(status, 0);
	assert_string_equal(report, "");
	ended++;
}

static int start(char *why, size_t n)
{
	struct event_base *base = event_base_new();
	const struct xi_batch_config config = { .base = base, .file = file, .done = on_done };
	struct xi_batch *batch;
	int err;

	assert_non_null(base);
	ended = 0;
	err = xi_batch_start(&batch, &config, why, n);
	if (!err)
		event_base_dispatch(base);
	assert_int_equal(ended, !err);
	event_base_free(base);
	return err;
}

static void assert_refused(int err, const char *reason)
{
	char why[512], want[256];

	snprintf(want, sizeof(want), "%s: %s", file, reason);
	assert_int_equal(xi_batch_check(file, why, sizeof(why)), err);
	assert_string_equal(why, want);
	memset(why, 0, sizeof(why));
	assert_int_equal(start(why, sizeof(why)), err);
	assert_string_equal(why, want);
}

static void assert_taken(void)
{
	char why[512] = "";

	assert_int_equal(xi_batch_check(file, why, sizeof(why)), 0);
	assert_int_equal(start(why, sizeof(why)), 0);
	assert_string_equal(why, "");
}

#define WRITABLE "others than root can write SAs and policies there: chown root it, and chmod 600"

static void what_others_cannot_write_is_taken(void **state)
{
	static const mode_t modes[] = { 0600, 0400, 0640, 0644 };

	for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
		file_write(file, modes[i]);
		assert_taken();
		unlink(file);
	}
}

static void what_others_can_write_is_refused(void **state)
{
	static const mode_t modes[] = { 0620, 0602, 0660, 0666 };

	for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
		file_write(file, modes[i]);
		assert_refused(-EPERM, WRITABLE);
		unlink(file);
	}
}

static void somebody_elses_is_refused(void **state)
{
	if (geteuid())
		skip();
	file_write(file, 0600);
	assert_int_equal(chown(file, 65534, 0), 0);
	assert_refused(-EPERM, WRITABLE);
}

/* What was checked may not be there any more when it is read for the last time. */
static void one_put_in_its_place_is_judged_anew(void **state)
{
	char why[512];

	file_write(file, 0600);
	assert_int_equal(xi_batch_check(file, why, sizeof(why)), 0);
	file_write(other, 0666);
	assert_int_equal(rename(other, file), 0);
	assert_int_equal(start(why, sizeof(why)), -EPERM);
}

static void a_link_is_what_it_leads_to(void **state)
{
	file_write(other, 0600);
	assert_int_equal(symlink(other, file), 0);
	assert_taken();
	assert_int_equal(chmod(other, 0666), 0);
	assert_refused(-EPERM, WRITABLE);
}

static void what_is_no_file_is_refused(void **state)
{
	assert_int_equal(mkfifo(file, 0600), 0);
	assert_refused(-ENOTSUP, "no regular file: name a file of ip -batch lines");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(what_others_cannot_write_is_taken, remove_files),
		cmocka_unit_test_teardown(what_others_can_write_is_refused, remove_files),
		cmocka_unit_test_teardown(somebody_elses_is_refused, remove_files),
		cmocka_unit_test_teardown(one_put_in_its_place_is_judged_anew, remove_files),
		cmocka_unit_test_teardown(a_link_is_what_it_leads_to, remove_files),
		cmocka_unit_test_teardown(what_is_no_file_is_refused, remove_files),
	};

	return cmocka_run_group_tests_name("batch", tests, make_dir, remove_dir);
}
