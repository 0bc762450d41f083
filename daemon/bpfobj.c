/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "bpfobj.h"

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/magic.h>

#include <xipsec/reasons.h>
#include "cache/sa_table.h"
#include "log.h"
#include "pins.h"
#include "xipsec.skel.h"

struct xi_bpfobj {
	struct xipsec_bpf *skel;
	struct xi_worker_stats *rows;
	size_t rows_size;
	int ncpus;
	uint32_t sa_entries, flow_entries; /* in effect */
	const char *pin_dir;
	bool loaded;
	bool fresh;                  /* nothing was pinned before */
};

static int bpfobj_print(enum libbpf_print_level level, const char *fmt, va_list ap)
{
	char line[1024];
	size_t len;

	if (level == LIBBPF_DEBUG)
		return 0;
	vsnprintf(line, sizeof(line), fmt, ap);
	len = strlen(line);
	if (len && line[len - 1] == '\n')
		line[len - 1] = '\0';
	if (level == LIBBPF_WARN)
		log_warnx("%s", line);
	else
		log_debug("%s", line);
	return 0;
}

/* Pins live as long as their file system is mounted. Process 1 has the mounts that stay. */
static bool bpfobj_is_private(const char *pin_dir)
{
	unsigned int major_no, minor_no;
	bool seen = false;
	char line[4096];
	struct stat st;
	FILE *file;

	if (stat(pin_dir, &st))
		return false;
	file = fopen("/proc/1/mountinfo", "re");
	if (!file)
		return false;
	while (!seen && fgets(line, sizeof(line), file))
		seen = sscanf(line, "%*u %*u %u:%u", &major_no, &minor_no) == 2 &&
		       makedev(major_no, minor_no) == st.st_dev;
	fclose(file);
	return !seen;
}

/*
 * A bpffs that nobody gave a mode to is writable by all: whoever made the directory first could take
 * the pins away, and the next start would know of nothing to protect.
 */
static int bpfobj_check_dir(const char *pin_dir)
{
	struct stat st;

	if (lstat(pin_dir, &st))
		return -errno;
	if (S_ISDIR(st.st_mode) && (!st.st_uid || st.st_uid == geteuid()) &&
	    !(st.st_mode & (S_IWGRP | S_IWOTH)))
		return 0;
	log_warnx("%s: others than its owner can write there, or it is no directory; chmod go-w, chown to the user of xipsecd, or set pin-dir",
		  pin_dir);
	return -EPERM;
}

/*
 * The parent of the pin directory must lie on a bpffs; /sys/fs/bpf is mounted when nobody has yet.
 */
static int bpfobj_make_dir(const char *pin_dir)
{
	struct statfs fs;
	int err;

	if (statfs("/sys/fs/bpf", &fs) == 0 && fs.f_type != BPF_FS_MAGIC &&
	    !strncmp(pin_dir, "/sys/fs/bpf/", 12) &&
	    mount("bpf", "/sys/fs/bpf", "bpf", 0, "mode=0700"))
		log_warn("/sys/fs/bpf: cannot mount a bpf file system");
	if (mkdir(pin_dir, 0700) && errno != EEXIST) {
		err = -errno;
		log_warn("%s: cannot make the pin directory; make what it lies in, on a bpf file system, or set pin-dir", pin_dir);
		return err;
	}
	if (statfs(pin_dir, &fs) || fs.f_type != BPF_FS_MAGIC) {
		log_warnx(
			"%s: not on a bpf file system; mount one with `mount -t bpf bpf /sys/fs/bpf`, or set pin-dir",
			pin_dir);
		return -EINVAL;
	}
	err = bpfobj_check_dir(pin_dir);
	if (err)
		return err;
	if (bpfobj_is_private(pin_dir))
		log_warnx(
			"%s: this bpf file system is seen by this mount namespace alone and goes with it (`ip netns exec` makes one); start xipsecd by `nsenter --net=/run/netns/NAME` to keep SAs and protection over a restart",
			pin_dir);
	return 0;
}

static uint32_t bpfobj_lru_size(const struct xi_bpfobj *obj, uint32_t wanted)
{
	/*
	 * old kernels keep half of a small LRU map's size, and evict in batches: room for twice as
	 * many
	 */
	uint32_t least = 256U * obj->ncpus;

	return wanted * 2 > least ? wanted * 2 : least;
}

static void bpfobj_size_maps(struct xi_bpfobj *obj, const struct xi_bpfobj_config *config)
{
	struct xipsec_bpf *skel = obj->skel;

	bpf_map__set_max_entries(skel->maps.sad, config->max_sas);
	bpf_map__set_max_entries(skel->maps.sad_keys, config->max_sas);
	bpf_map__set_max_entries(skel->maps.sad_lookup, config->max_sas);
	bpf_map__set_max_entries(skel->maps.sa_state, config->max_sas);
	bpf_map__set_max_entries(skel->maps.spd, config->max_policies);
	bpf_map__set_max_entries(skel->maps.spd_guard, config->max_policies);
	bpf_map__set_max_entries(skel->maps.sa_cache, bpfobj_lru_size(obj, xi_sa_table_elements(config->sa_entries)));
	bpf_map__set_max_entries(skel->maps.flow_cache, bpfobj_lru_size(obj, config->flow_entries));
	bpf_map__set_max_entries(skel->maps.worker_stats, XI_MAX_WORKERS + 1);
}

/* The most SAs that an adopted sa_cache has room for: the inverse of how it was sized. */
static uint32_t bpfobj_sa_room(uint32_t elements)
{
	uint32_t low = 1, high = elements;

	while (low < high) {
		uint32_t mid = low + (high - low + 1) / 2;

		if (xi_sa_table_elements(mid) <= elements / 2)
			low = mid;
		else
			high = mid - 1;
	}
	return low;
}

static uint32_t bpfobj_keep(const char *key, uint32_t wanted, uint32_t kept)
{
	if (kept != wanted)
		log_warnx("%s = %u: stays %u, the size of what is pinned; to change it stop traffic, run `xipsec down` and start again",
			  key, wanted, kept);
	return kept;
}

/* Adopted maps keep their sizes. A smaller sa-entries fits into a larger map and holds from now on. */
static void bpfobj_keep_sizes(struct xi_bpfobj *obj, const struct xi_bpfobj_config *config)
{
	uint32_t sas = xi_bpfobj_map_size(obj, XI_MAP_SA_CACHE);
	uint32_t flows = xi_bpfobj_map_size(obj, XI_MAP_FLOW_CACHE);

	bpfobj_keep("max-sas", config->max_sas, xi_bpfobj_map_size(obj, XI_MAP_SAD));
	bpfobj_keep("max-policies", config->max_policies, xi_bpfobj_map_size(obj, XI_MAP_SPD));
	if (sas < bpfobj_lru_size(obj, xi_sa_table_elements(config->sa_entries)))
		obj->sa_entries = bpfobj_keep("sa-entries", config->sa_entries,
					      bpfobj_sa_room(sas));
	if (flows != bpfobj_lru_size(obj, config->flow_entries))
		obj->flow_entries = bpfobj_keep("flow-entries", config->flow_entries, flows / 2);
}

/* The new program takes the name in one step, so that the path always names one. */
static int bpfobj_pin_prog(const struct bpf_program *prog, const char *pin_dir)
{
	char path[PATH_MAX], tmp[PATH_MAX];
	int err;

	snprintf(path, sizeof(path), "%s/%s", pin_dir, bpf_program__name(prog));
	snprintf(tmp, sizeof(tmp), "%s/new_%s", pin_dir, bpf_program__name(prog));
	unlink(tmp);
	if (bpf_obj_pin(bpf_program__fd(prog), tmp) || rename(tmp, path)) {
		err = -errno;
		log_warn("%s: cannot pin the program", path);
		return err;
	}
	return 0;
}

static int bpfobj_map_rows(struct xi_bpfobj *obj)
{
	size_t page = sysconf(_SC_PAGESIZE);

	if (bpf_map__max_entries(obj->skel->maps.worker_stats) < XI_MAX_WORKERS + 1) {
		log_warnx("%s/" XI_MAP_WORKER_STATS ": too small for this xipsecd; stop traffic, run `xipsec down` and start again",
			  obj->pin_dir);
		return -ESTALE;
	}
	obj->rows_size = (sizeof(*obj->rows) * (XI_MAX_WORKERS + 1) + page - 1) & ~(page - 1);
	obj->rows = mmap(NULL, obj->rows_size, PROT_READ | PROT_WRITE, MAP_SHARED,
			 bpf_map__fd(obj->skel->maps.worker_stats), 0);
	if (obj->rows == MAP_FAILED) {
		obj->rows = NULL;
		return -errno;
	}
	return 0;
}

int xi_bpfobj_load(struct xi_bpfobj *obj)
{
	struct bpf_program *prog;
	int err;

	if (obj->loaded)
		return 0;
	err = xipsec_bpf__load(obj->skel);
	if (err) {
		errno = -err;
		log_warn(
			"BPF object: the kernel refused it; it takes Linux 6.1 or newer, CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON");
		return err;
	}
	obj->loaded = true;
	bpf_object__for_each_program(prog, obj->skel->obj) {
		err = bpfobj_pin_prog(prog, obj->pin_dir);
		if (err)
			return err;
	}
	return 0;
}

static int bpfobj_maps(struct xi_bpfobj *obj, const struct xi_bpfobj_config *config, bool *adopted)
{
	unsigned int found, missing;
	int err;

	bpfobj_size_maps(obj, config);
	err = xi_pins_adopt(obj->skel->obj, obj->pin_dir, &found, &missing);
	if (err)
		return err;
	obj->sa_entries = config->sa_entries;
	obj->flow_entries = config->flow_entries;
	if (found)
		bpfobj_keep_sizes(obj, config);
	obj->fresh = !found;
	*adopted = found;
	if (missing)
		err = xi_bpfobj_load(obj);
	return err ? err : bpfobj_map_rows(obj);
}

int xi_bpfobj_open(struct xi_bpfobj **out, const struct xi_bpfobj_config *config, bool *adopted)
{
	struct xi_bpfobj *obj;
	int err;

	*adopted = false;
	libbpf_set_print(bpfobj_print);
	err = bpfobj_make_dir(config->pin_dir);
	if (err)
		return err;
	obj = calloc(1, sizeof(*obj));
	if (!obj)
		return -ENOMEM;
	obj->pin_dir = config->pin_dir;
	obj->ncpus = libbpf_num_possible_cpus();
	obj->skel = xipsec_bpf__open();
	err = obj->skel ? bpfobj_maps(obj, config, adopted) : -errno;
	if (err) {
		xi_bpfobj_abandon(obj);
		xi_bpfobj_close(obj);
		return err;
	}
	*out = obj;
	return 0;
}

void xi_bpfobj_abandon(struct xi_bpfobj *obj)
{
	if (obj && obj->fresh)
		xi_pins_remove(obj->skel->obj, obj->pin_dir);
}

void xi_bpfobj_close(struct xi_bpfobj *obj)
{
	if (!obj)
		return;
	if (obj->rows)
		munmap(obj->rows, obj->rows_size);
	xipsec_bpf__destroy(obj->skel);
	free(obj);
}

int xi_bpfobj_map_fd(const struct xi_bpfobj *obj, const char *name)
{
	int fd = bpf_object__find_map_fd_by_name(obj->skel->obj, name);

	assert(fd >= 0);
	return fd;
}

uint32_t xi_bpfobj_map_size(const struct xi_bpfobj *obj, const char *name)
{
	return bpf_map__max_entries(bpf_object__find_map_by_name(obj->skel->obj, name));
}

uint32_t xi_bpfobj_sa_entries(const struct xi_bpfobj *obj)
{
	return obj->sa_entries;
}

uint32_t xi_bpfobj_flow_entries(const struct xi_bpfobj *obj)
{
	return obj->flow_entries;
}

int xi_bpfobj_prog_fd(const struct xi_bpfobj *obj, const char *name)
{
	int fd = bpf_program__fd(bpf_object__find_program_by_name(obj->skel->obj, name));

	assert(fd >= 0);
	return fd;
}

uint64_t *xi_bpfobj_counts(const struct xi_bpfobj *obj, unsigned int row)
{
	assert(row <= XI_CONTROL_ROW);
	return (uint64_t *)obj->rows[row].counts;
}

uint64_t xi_bpfobj_reason(const struct xi_bpfobj *obj, unsigned int reason)
{
	__u64 cpus[obj->ncpus], sum = 0;
	__u32 key = reason;
	int i;

	if (reason >= XI_REASON_MAX)
		return 0;
	if (!bpf_map_lookup_elem(bpf_map__fd(obj->skel->maps.stats), &key, cpus))
		for (i = 0; i < obj->ncpus; i++)
			sum += cpus[i];
	for (i = 0; i <= XI_CONTROL_ROW; i++)
		sum += __atomic_load_n(&obj->rows[i].counts[reason], __ATOMIC_RELAXED);
	return sum;
}
