/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Invariant nonce-unique across reboots: no sequence number of a key from a file is given out
 * twice.
 */
#include <dirent.h>
#include <errno.h>
#include <linux/xfrm.h>
#include <signal.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>

#include "mem_store.h"
#include "sad/migrate.h"
#include "sad/reserve.h"
#include "sad/sad.h"

struct fixture {
	char dir[64];
	struct mem_store *m;
	struct xi_sad *sad;
	uint64_t highest;            /* number that any boot gave out */
};

static void boot(struct fixture *f)
{
	struct xi_sad_config config = { .state_dir = f->dir };

	f->m = mem_store_new(8, 0);
	assert_int_equal(xi_sad_create(&f->sad, &config, &f->m->store), 0);
}

/* Power is lost: memory and maps with it. */
static void power_off(struct fixture *f)
{
	xi_sad_destroy(f->sad);
	mem_store_free(f->m);
	f->sad = NULL;
	f->m = NULL;
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	strcpy(f->dir, "/tmp/xipsec-reserve-XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	boot(f);
	*state = f;
	return 0;
}

/* Path of the only file in the directory; false: there is none. */
static bool reserve_path(const struct fixture *f, char *path, size_t size)
{
	DIR *dir = opendir(f->dir);
	struct dirent *d;
	unsigned int n = 0;

	while ((d = readdir(dir))) {
		if (d->d_name[0] == '.')
			continue;
		snprintf(path, size, "%s/%s", f->dir, d->d_name);
		n++;
	}
	closedir(dir);
	assert_true(n <= 1);
	return n;
}

static int teardown(void **state)
{
	struct fixture *f = *state;
	char path[512];

	power_off(f);
	if (reserve_path(f, path, sizeof(path)))
		unlink(path);
	rmdir(f->dir);
	free(f);
	return 0;
}

static unsigned long long file_bound(const struct fixture *f)
{
	unsigned long long bound;
	char path[512], newline;
	FILE *file;

	assert_true(reserve_path(f, path, sizeof(path)));
	file = fopen(path, "r");
	assert_int_equal(fscanf(file, "%llu%c", &bound, &newline), 2);
	assert_int_equal(newline, '\n');
	assert_int_equal(fgetc(file), EOF);
	fclose(file);
	return bound;
}

static void file_write(const struct fixture *f, const char *text)
{
	char path[512];
	FILE *file;

	assert_true(reserve_path(f, path, sizeof(path)));
	file = fopen(path, "w");
	fputs(text, file);
	fclose(file);
}

static struct xi_sa sa_from_file(uint32_t spi)
{
	struct xi_sa sa = sample_sa("192.0.2.1", "192.0.2.2", spi);

	sa.life = XI_SA_FROM_FILE;
	return sa;
}

static int add(struct fixture *f, const struct xi_sa *sa, const char **why)
{
	struct xi_sa_key key = sample_key(0x5a);
	const char *text = NULL;
	int err = xi_sad_add(f->sad, sa, &key, NULL, &text);

	assert_true(!err || (text && *text));
	if (why)
		*why = text;
	return err;
}

static struct xi_sa_state *state_of(struct fixture *f, const struct xi_sa *sa)
{
	return xi_sad_find(f->sad, &sa->id)->state;
}

/* What a worker does: takes up to n numbers, never beyond the limit. Every number is new. */
static uint64_t take(struct fixture *f, struct xi_sa_state *s, uint64_t n)
{
	uint64_t granted = s->oseq < s->oseq_limit ? s->oseq_limit - s->oseq : 0;

	if (granted > n)
		granted = n;
	if (granted) {
		assert_true(s->oseq + 1 > f->highest);
		assert_true(s->oseq + granted <= file_bound(f));
		f->highest = s->oseq + granted;
		s->oseq += granted;
	}
	return granted;
}

static void block_is_on_disk_before_use(void **state)
{
	struct fixture *f = *state;
	struct xi_sa sa = sa_from_file(0x1000);
	char path[512];
	struct stat st;

	assert_int_equal(add(f, &sa, NULL), 0);
	assert_true(state_of(f, &sa)->oseq == 0);
	assert_true(state_of(f, &sa)->oseq_limit == XI_RESERVE_BLOCK);
	assert_true(file_bound(f) == XI_RESERVE_BLOCK);
	assert_true(reserve_path(f, path, sizeof(path)));
	assert_int_equal(strlen(strrchr(path, '/') + 1), 64);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
}

static void no_number_twice_over_power_failures(void **state)
{
	struct fixture *f = *state;
	struct xi_sa sa = sa_from_file(0x1000);
	uint64_t now = time(NULL);
	unsigned int i, j;

	for (i = 0; i < 20; i++) {
		sa.id.spi = 0x1000 + i;
		assert_int_equal(add(f, &sa, NULL), 0);
		for (j = 0; j < i; j++) {
			assert_true(take(f, state_of(f, &sa), 400000 + 50000 * j) > 0);
			xi_sad_tick(f->sad, now);
		}
		power_off(f);
		boot(f);
	}
	assert_true(f->highest > 10000000);
}

static void deleted_and_added_again(void **state)
{
	struct fixture *f = *state;
	struct xi_sa sa = sa_from_file(0x1000);
	unsigned int i;

	for (i = 0; i < 5; i++) {
		assert_int_equal(add(f, &sa, NULL), 0);
		assert_true(take(f, state_of(f, &sa), 1000) == 1000);
		assert_int_equal(xi_sad_delete(f->sad, &sa.id), 0);
	}
}

/* Added by hand, used, then written into the file: a reboot must not start its key anew. */
static void sa_that_gets_into_the_file_reserves(void **state)
{
	struct fixture *f = *state;
	struct xi_sa by_hand = sa_from_file(0x1000), sa = by_hand;
	struct xi_sa_state *s;

	by_hand.life = 0;
	assert_int_equal(add(f, &by_hand, NULL), 0);
	s = state_of(f, &sa);
	s->oseq = f->highest = 3 * XI_RESERVE_BLOCK;
	assert_int_equal(add(f, &sa, NULL), -EEXIST);
	assert_true(xi_sad_find(f->sad, &sa.id)->sa.life & XI_SA_FROM_FILE);
	assert_true(file_bound(f) == 4 * XI_RESERVE_BLOCK);
	assert_true(take(f, s, 10 * XI_RESERVE_BLOCK) == XI_RESERVE_BLOCK);
	xi_sad_tick(f->sad, time(NULL));
	assert_true(take(f, s, 10 * XI_RESERVE_BLOCK) >= XI_RESERVE_BLOCK);
	power_off(f);
	boot(f);
	assert_int_equal(add(f, &sa, NULL), 0);
	assert_true(take(f, state_of(f, &sa), 1) == 1);
	assert_int_equal(add(f, &sa, NULL), -EEXIST);
	assert_true(take(f, state_of(f, &sa), 1) == 1);
}

static void two_sas_of_one_key_share_the_numbers(void **state)
{
	struct fixture *f = *state;
	struct xi_sa a = sa_from_file(0x1000), b = sa_from_file(0x1001);
	uint64_t now = time(NULL), a_low, a_high, b_low;

	assert_int_equal(add(f, &a, NULL), 0);
	assert_int_equal(add(f, &b, NULL), 0);
	a_high = state_of(f, &a)->oseq_limit;
	b_low = state_of(f, &b)->oseq;
	assert_true(b_low >= a_high);
	state_of(f, &a)->oseq = a_high - 10;
	xi_sad_tick(f->sad, now);
	a_low = state_of(f, &a)->oseq;
	assert_true(a_low >= state_of(f, &b)->oseq_limit);
	assert_true(state_of(f, &a)->oseq_limit > a_low);
}

static void extended_when_half_is_used(void **state)
{
	struct fixture *f = *state;
	struct xi_sa sa = sa_from_file(0x1000);
	uint64_t now = time(NULL);

	assert_int_equal(add(f, &sa, NULL), 0);
	take(f, state_of(f, &sa), 1000);
	xi_sad_tick(f->sad, now);
	assert_true(file_bound(f) == XI_RESERVE_BLOCK);
	take(f, state_of(f, &sa), XI_RESERVE_BLOCK / 2);
	xi_sad_tick(f->sad, now);
	assert_true(file_bound(f) > XI_RESERVE_BLOCK);
	assert_true(state_of(f, &sa)->oseq_limit == file_bound(f));
}

/*
 * A rate of a million packets a second and more must not run dry between two ticks, once it is
 * known.
 */
static void blocks_grow_with_the_rate(void **state)
{
	struct fixture *f = *state;
	struct xi_sa sa = sa_from_file(0x1000);
	uint64_t now = time(NULL);
	unsigned int i;

	assert_int_equal(add(f, &sa, NULL), 0);
	take(f, state_of(f, &sa), 3000000);
	for (i = 0; i < 10; i++) {
		xi_sad_tick(f->sad, now + i);
		if (i > 0)
			assert_true(take(f, state_of(f, &sa), 3000000) == 3000000);
		else
			take(f, state_of(f, &sa), 3000000);
	}
}

static void garbage_is_refused(void **state)
{
	static const char *const texts[] = {
		"",
		"\n",
		"12",
		"12 \n",
		"-1\n",
		"0x10\n",
		"99999999999999999999999\n",
		"18446744073709551616\n",
		"1\n2\n",
	};
	struct fixture *f = *state;
	struct xi_sa sa = sa_from_file(0x1000);
	unsigned int i;

	assert_int_equal(add(f, &sa, NULL), 0);
	for (i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		power_off(f);
		boot(f);
		file_write(f, texts[i]);
		assert_int_equal(add(f, &sa, NULL), -EBADMSG);
		assert_int_equal(xi_sad_count(f->sad), 0);
		assert_int_equal(mem_store_count_sas(f->m), 0);
	}
	file_write(f, "42\n");
	assert_int_equal(add(f, &sa, NULL), 0);
	assert_true(state_of(f, &sa)->oseq == 42);
}

static void used_up_key_is_refused(void **state)
{
	struct fixture *f = *state;
	struct xi_sa sa = sa_from_file(0x1000);

	assert_int_equal(add(f, &sa, NULL), 0);
	assert_int_equal(xi_sad_delete(f->sad, &sa.id), 0);
	file_write(f, "4294967290\n");
	assert_int_equal(add(f, &sa, NULL), 0);
	assert_true(state_of(f, &sa)->oseq_limit == 0xffffffffULL);
	assert_int_equal(xi_sad_delete(f->sad, &sa.id), 0);
	assert_int_equal(add(f, &sa, NULL), -EOVERFLOW);
	sa.flags = XFRM_STATE_ESN;
	assert_int_equal(add(f, &sa, NULL), 0);
	assert_true(state_of(f, &sa)->oseq == 0xffffffffULL);
}

static void missing_directory_is_refused(void **state)
{
	struct fixture *f = *state;
	struct xi_sa sa = sa_from_file(0x1000);
	struct xi_sad_config config = { .state_dir = "/nonexistent/xipsec" };
	struct xi_sa_key key = sample_key(1);
	struct xi_sad *sad;
	const char *why = NULL;

	assert_non_null(f);
	assert_int_equal(xi_sad_create(&sad, &config, &f->m->store), 0);
	assert_int_equal(xi_sad_add(sad, &sa, &key, NULL, &why), -ENOENT);
	assert_non_null(why);
	assert_int_equal(xi_sad_count(sad), 0);
	xi_sad_destroy(sad);
}

static void a_file_is_no_directory(void **state)
{
	struct fixture *f = *state;
	struct xi_sa sa = sa_from_file(0x1000);
	char path[512];

	assert_int_equal(xi_reserve_dir(f->dir), 0);
	assert_int_equal(add(f, &sa, NULL), 0);
	assert_true(reserve_path(f, path, sizeof(path)));
	assert_int_equal(xi_reserve_dir(path), -ENOTDIR);
}

/* kill -9: the maps are still there, and so is the exact counter. */
static void adopted_sa_goes_on_and_extends(void **state)
{
	struct fixture *f = *state;
	struct xi_sad_config config = { .state_dir = f->dir };
	struct xi_sa sa = sa_from_file(0x1000);
	unsigned int n;

	assert_int_equal(add(f, &sa, NULL), 0);
	take(f, state_of(f, &sa), 700000);
	xi_sad_destroy(f->sad);
	assert_int_equal(xi_sad_create(&f->sad, &config, &f->m->store), 0);
	assert_int_equal(xi_sad_adopt(f->sad, &n), 0);
	assert_int_equal(n, 1);
	assert_true(state_of(f, &sa)->oseq == 700000);
	take(f, state_of(f, &sa), 1);
	xi_sad_tick(f->sad, time(NULL));
	assert_true(file_bound(f) > XI_RESERVE_BLOCK);
	assert_true(take(f, state_of(f, &sa), 900000) == 900000);
}

/* Up to the moment of a restart; then f->sad knows nothing yet. */
static void restart(struct fixture *f)
{
	struct xi_sad_config config = { .state_dir = f->dir };

	xi_sad_destroy(f->sad);
	assert_int_equal(xi_sad_create(&f->sad, &config, &f->m->store), 0);
}

static void adopt(struct fixture *f)
{
	unsigned int n;

	assert_int_equal(xi_sad_adopt(f->sad, &n), 0);
	assert_int_equal(n, 1);
}

/*
 * Somebody removes the file, or configures another directory, starts the daemon again, and then
 * there is a reboot.
 */
static void adopted_sa_writes_what_the_disk_lacks(void **state)
{
	struct fixture *f = *state;
	struct xi_sa sa = sa_from_file(0x1000);
	char path[512];

	assert_int_equal(add(f, &sa, NULL), 0);
	take(f, state_of(f, &sa), 700000);
	assert_true(reserve_path(f, path, sizeof(path)));
	assert_int_equal(unlink(path), 0);
	restart(f);
	adopt(f);
	assert_true(file_bound(f) == XI_RESERVE_BLOCK);
	take(f, state_of(f, &sa), 1000);
	power_off(f);
	boot(f);
	assert_int_equal(add(f, &sa, NULL), 0);
	assert_true(take(f, state_of(f, &sa), 1) == 1);
}

/*
 * Calls of the file system, counted and made to fail: `fail` of the next call of this letter, once
 * `skip` went well.
 */
static struct {
	char log[64];
	char letter;
	unsigned int skip;
	int fail;
} disk;

static int disk_step(char letter)
{
	size_t n = strlen(disk.log);

	if (n < sizeof(disk.log) - 1)
		disk.log[n] = letter;
	if (letter != disk.letter || !disk.fail || disk.skip--)
		return 0;
	disk.skip = 0;
	errno = disk.fail;
	return -1;
}

static void disk_fails(char letter, unsigned int skip, int err)
{
	memset(&disk, 0, sizeof(disk));
	disk.letter = letter;
	disk.skip = skip;
	disk.fail = err;
}

/* In place of libc's: F of a file, D of a directory, R rename. */
int fsync(int fd)
{
	struct stat st;

	assert_int_equal(fstat(fd, &st), 0);
	return disk_step(S_ISDIR(st.st_mode) ? 'D' : 'F') ? -1 : (int)syscall(SYS_fsync, fd);
}

int renameat(int from_dir, const char *from, int to_dir, const char *to)
{
	return disk_step('R') ? -1 : (int)syscall(SYS_renameat2, from_dir, from, to_dir, to, 0);
}

static void file_is_synced_before_it_counts(void **state)
{
	struct fixture *f = *state;
	struct xi_sa sa = sa_from_file(0x1000);

	disk_fails(0, 0, 0);
	assert_int_equal(add(f, &sa, NULL), 0);
	assert_string_equal(disk.log, "FRD");
	take(f, state_of(f, &sa), XI_RESERVE_BLOCK / 2 + 1);
	xi_sad_tick(f->sad, time(NULL));
	assert_string_equal(disk.log, "FRDFRD");
	disk_fails(0, 0, 0);
}

static void disk_errors_refuse_the_sa(void **state)
{
	static const int errors[] = { EIO, ENOSPC, EROFS, EDQUOT };
	struct fixture *f = *state;
	struct xi_sa sa = sa_from_file(0x1000);
	const char *letter;
	unsigned int i;

	for (letter = "FRD"; *letter; letter++) {
		for (i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
			disk_fails(*letter, 0, errors[i]);
			assert_int_equal(add(f, &sa, NULL), -errors[i]);
			assert_int_equal(xi_sad_count(f->sad), 0);
			assert_int_equal(mem_store_count_sas(f->m), 0);
		}
	}
	disk_fails(0, 0, 0);
	assert_int_equal(add(f, &sa, NULL), 0);
}

/* Traffic stops at the limit, whatever the disk says, and goes on when it is well again. */
static void disk_errors_raise_no_limit(void **state)
{
	struct fixture *f = *state;
	struct xi_sa sa = sa_from_file(0x1000);
	uint64_t now = time(NULL);
	const char *letter;

	assert_int_equal(add(f, &sa, NULL), 0);
	for (letter = "FRD"; *letter; letter++) {
		uint64_t limit = state_of(f, &sa)->oseq_limit;

		take(f, state_of(f, &sa), limit);
		disk_fails(*letter, 0, ENOSPC);
		xi_sad_tick(f->sad, now);
		assert_true(state_of(f, &sa)->oseq_limit == limit);
		assert_true(take(f, state_of(f, &sa), 1) == 0);
		disk_fails(0, 0, 0);
		xi_sad_tick(f->sad, now);
		assert_true(take(f, state_of(f, &sa), 1) == 1);
	}
}

/* A disk that does not know what an adopted SA has used: it sends nothing until it does. */
static void adopted_sa_waits_for_the_disk(void **state)
{
	struct fixture *f = *state;
	struct xi_sa sa = sa_from_file(0x1000);
	uint64_t now = time(NULL);
	char path[512];
	unsigned int i;

	assert_int_equal(add(f, &sa, NULL), 0);
	take(f, state_of(f, &sa), XI_RESERVE_BLOCK);
	for (i = 0; i < 2; i++) {
		assert_true(reserve_path(f, path, sizeof(path)));
		assert_int_equal(unlink(path), 0);
		restart(f);
		disk_fails('F', 0, ENOSPC);
		adopt(f);
		assert_true(take(f, state_of(f, &sa), 1) == 0);
		xi_sad_tick(f->sad, now);
		assert_true(take(f, state_of(f, &sa), 1) == 0);
		/* and so does the next daemon, which finds the limit lowered */
		restart(f);
		adopt(f);
		assert_true(take(f, state_of(f, &sa), 1) == 0);
		disk_fails(0, 0, 0);
		xi_sad_tick(f->sad, now);
		xi_sad_tick(f->sad, now);
		assert_true(take(f, state_of(f, &sa), 300) == 300);
		assert_true(file_bound(f) > XI_RESERVE_BLOCK);
	}
	power_off(f);
	boot(f);
	assert_int_equal(add(f, &sa, NULL), 0);
	assert_true(take(f, state_of(f, &sa), 1) == 1);
}

static void file_size_limit_is_a_full_disk(void **state)
{
	struct fixture *f = *state;
	struct xi_sa sa = sa_from_file(0x1000);
	struct rlimit old, none;
	char path[512];
	int err;

	assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
	none = old;
	none.rlim_cur = 0;
	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &none), 0);
	err = add(f, &sa, NULL);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
	assert_int_equal(err, -EFBIG);
	assert_false(reserve_path(f, path, sizeof(path)));
	assert_int_equal(add(f, &sa, NULL), 0);
}

static void what_others_can_write_is_refused(void **state)
{
	struct fixture *f = *state;
	struct xi_sa sa = sa_from_file(0x1000);
	char path[512], other[600];

	chmod(f->dir, 0777);
	assert_int_equal(add(f, &sa, NULL), -EPERM);
	chmod(f->dir, 0720);
	assert_int_equal(add(f, &sa, NULL), -EPERM);
	chmod(f->dir, 0755);
	assert_int_equal(add(f, &sa, NULL), 0);
	power_off(f);
	boot(f);
	assert_true(reserve_path(f, path, sizeof(path)));
	chmod(path, 0662);
	assert_int_equal(add(f, &sa, NULL), -EPERM);
	chmod(path, 0644);
	snprintf(other, sizeof(other), "%s.moved", f->dir);
	assert_int_equal(rename(path, other), 0);
	assert_int_equal(symlink(other, path), 0);
	assert_int_equal(add(f, &sa, NULL), -ELOOP);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(mkfifo(path, 0600), 0);
	assert_int_equal(add(f, &sa, NULL), -EBADMSG);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(rename(other, path), 0);
	assert_int_equal(add(f, &sa, NULL), 0);
	assert_true(state_of(f, &sa)->oseq == XI_RESERVE_BLOCK);
}

/* MIGRATE: the SA takes its numbers from the file of its key wherever it is. */
static void an_sa_that_moved_extends(void **state)
{
	struct fixture *f = *state;
	struct xi_sa sa = sa_from_file(0x1000), to;
	const char *why;

	assert_int_equal(add(f, &sa, NULL), 0);
	to = xi_sad_find(f->sad, &sa.id)->sa;
	sample_addr(to.id.daddr, "198.51.100.7");
	assert_int_equal(xi_sad_move(f->sad, to.sa_index, &to, 1, &why), 0);
	assert_true(take(f, state_of(f, &to), XI_RESERVE_BLOCK) == XI_RESERVE_BLOCK);
	xi_sad_tick(f->sad, time(NULL));
	assert_true(take(f, state_of(f, &to), 1) == 1);
	assert_int_equal(xi_sad_delete(f->sad, &to.id), 0);
}

static void inbound_sas_reserve_nothing(void **state)
{
	struct fixture *f = *state;
	struct xi_sa sa = sa_from_file(0x1000);
	char path[512];

	sa.sa_dir = 1;
	assert_int_equal(add(f, &sa, NULL), 0);
	assert_false(reserve_path(f, path, sizeof(path)));
}

#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(block_is_on_disk_before_use),
		T(no_number_twice_over_power_failures),
		T(deleted_and_added_again),
		T(sa_that_gets_into_the_file_reserves),
		T(two_sas_of_one_key_share_the_numbers),
		T(extended_when_half_is_used),
		T(blocks_grow_with_the_rate),
		T(garbage_is_refused),
		T(used_up_key_is_refused),
		T(missing_directory_is_refused),
		T(a_file_is_no_directory),
		T(adopted_sa_goes_on_and_extends),
		T(adopted_sa_writes_what_the_disk_lacks),
		T(file_is_synced_before_it_counts),
		T(disk_errors_refuse_the_sa),
		T(disk_errors_raise_no_limit),
		T(adopted_sa_waits_for_the_disk),
		T(file_size_limit_is_a_full_disk),
		T(what_others_can_write_is_refused),
		T(an_sa_that_moved_extends),
		T(inbound_sas_reserve_nothing),
	};

	return cmocka_run_group_tests_name("reserve", tests, NULL, NULL);
}
