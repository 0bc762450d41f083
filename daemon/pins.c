/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "pins.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <bpf/bpf.h>

#include <xipsec/abi.h>
#include "log.h"

#define NEXT_STEP "stop traffic, run `xipsec down` and start again; SAs and policies are then gone, and key managers have to add them again"

/*
 * Without one of these the others mean nothing: numbers would be used twice, or policies be
 * forgotten.
 */
static const char *const state_maps[] = {
	XI_MAP_CONFIG, XI_MAP_SAD, XI_MAP_SAD_KEYS, XI_MAP_SAD_LOOKUP,
	XI_MAP_SA_STATE, XI_MAP_SA_WINDOW, XI_MAP_SPD,
};

#define NSTATE_MAPS (sizeof(state_maps) / sizeof(state_maps[0]))

static int pin_path(char path[PATH_MAX], const char *pin_dir, const char *name)
{
	return snprintf(path, PATH_MAX, "%s/%s", pin_dir, name) < PATH_MAX ? 0 : -ENAMETOOLONG;
}

/* A file descriptor, -ENOENT, or another error, logged. */
static int pin_open(const char *pin_dir, const char *name)
{
	char path[PATH_MAX];
	int err = pin_path(path, pin_dir, name), fd;

	if (err)
		return err;
	fd = bpf_obj_get(path);
	if (fd >= 0)
		return fd;
	err = -errno;
	if (err != -ENOENT)
		log_warn("%s: cannot open the pinned map", path);
	return err;
}

const char *xi_pins_lost(const char *pin_dir)
{
	char path[PATH_MAX];
	unsigned int i;

	for (i = 0; i < NSTATE_MAPS; i++)
		if (pin_path(path, pin_dir, state_maps[i]) || access(path, F_OK))
			return state_maps[i];
	return NULL;
}

/* *version: 0 when nothing of the directory ever counted: the daemon that began it wrote none. */
static int pins_abi(const char *pin_dir, uint32_t *version)
{
	struct bpf_map_info info = { 0 };
	uint32_t len = sizeof(info), zero = 0;
	int fd = pin_open(pin_dir, XI_MAP_CONFIG), err = 0;
	char *value;

	*version = 0;
	if (fd < 0)
		return fd == -ENOENT ? 0 : fd;
	/* whatever the version, it comes first; the value may be longer than ours */
	if (bpf_obj_get_info_by_fd(fd, &info, &len))
		err = -errno;
	value = calloc(1, info.value_size + sizeof(*version));
	if (!err && value && info.key_size == sizeof(zero) && info.value_size >= sizeof(*version))
		err = bpf_map_lookup_elem(fd, &zero, value);
	else if (!err)
		err = value ? -ESTALE : -ENOMEM;
	if (!err)
		memcpy(version, value, sizeof(*version));
	free(value);
	close(fd);
	return err;
}

static bool pin_is_empty(const char *pin_dir, const char *name)
{
	char key[256];
	int fd = pin_open(pin_dir, name);
	bool empty;

	if (fd < 0)
		return fd == -ENOENT;
	empty = bpf_map_get_next_key(fd, NULL, key) && errno == ENOENT;
	close(fd);
	return empty;
}

static void pin_remove(const char *pin_dir, const char *name)
{
	char path[PATH_MAX];

	if (!pin_path(path, pin_dir, name) && unlink(path) && errno != ENOENT)
		log_warn("%s: cannot unpin", path);
}

void xi_pins_remove(const struct bpf_object *obj, const char *pin_dir)
{
	struct bpf_program *prog;
	struct bpf_map *map;

	bpf_object__for_each_map(map, obj)
		if (!bpf_map__is_internal(map))
			pin_remove(pin_dir, bpf_map__name(map));
	bpf_object__for_each_program(prog, obj)
		pin_remove(pin_dir, bpf_program__name(prog));
	rmdir(pin_dir);
}

/*
 * The first start of a daemon was cut short while it pinned its maps: no program is attached yet,
 * and no SA or policy was taken. Somebody may have removed a pin as well: then there are some.
 */
static int pins_sweep(const struct bpf_object *obj, const char *pin_dir)
{
	const struct bpf_map *map;

	if (!pin_is_empty(pin_dir, XI_MAP_SAD) || !pin_is_empty(pin_dir, XI_MAP_SPD)) {
		log_warnx("%s: holds SAs or policies, but %s is not among the maps or says nothing; " NEXT_STEP,
			  pin_dir, XI_MAP_CONFIG);
		return -ESTALE;
	}
	log_info("%s: what a start left that was cut short is removed", pin_dir);
	bpf_object__for_each_map(map, obj)
		if (!bpf_map__is_internal(map))
			pin_remove(pin_dir, bpf_map__name(map));
	return 0;
}

/*
 * What differs between a pinned map and the one that this program would make; NULL: nothing that
 * matters.
 */
static const char *map_differs(const struct bpf_map *map, const struct bpf_map_info *info)
{
	if (info->type != bpf_map__type(map))
		return "its type";
	if (info->key_size != bpf_map__key_size(map))
		return "the size of its keys";
	if (info->value_size != bpf_map__value_size(map))
		return "the size of its values";
	if (info->map_flags != bpf_map__map_flags(map))
		return "its flags";
	return NULL;
}

static int map_adopt(struct bpf_map *map, const char *pin_dir, int fd)
{
	struct bpf_map_info info = { 0 };
	uint32_t len = sizeof(info);
	const char *name = bpf_map__name(map), *differs;

	if (bpf_obj_get_info_by_fd(fd, &info, &len))
		return -errno;
	differs = map_differs(map, &info);
	if (differs) {
		log_warnx("%s/%s: %s is not that of this xipsecd; " NEXT_STEP, pin_dir, name, differs);
		return -ESTALE;
	}
	return bpf_map__reuse_fd(map, fd);
}

static int maps_adopt(struct bpf_object *obj, const char *pin_dir, bool sweep, unsigned int *found,
		      unsigned int *missing)
{
	char path[PATH_MAX];
	struct bpf_map *map;
	int err = 0, fd;

	bpf_object__for_each_map(map, obj) {
		if (bpf_map__is_internal(map))
			continue;
		fd = sweep ? -ENOENT : pin_open(pin_dir, bpf_map__name(map));
		if (fd >= 0) {
			err = map_adopt(map, pin_dir, fd);
			close(fd);
			++*found;
		} else if (fd == -ENOENT) {
			err = pin_path(path, pin_dir, bpf_map__name(map));
			if (!err)
				err = bpf_map__set_pin_path(map, path);
			++*missing;
		} else {
			err = fd;
		}
		if (err)
			break;
	}
	return err;
}

static bool pins_any(const struct bpf_object *obj, const char *pin_dir)
{
	const struct bpf_map *map;
	char path[PATH_MAX];

	bpf_object__for_each_map(map, obj)
		if (!bpf_map__is_internal(map) && !pin_path(path, pin_dir, bpf_map__name(map)) &&
		    !access(path, F_OK))
			return true;
	return false;
}

int xi_pins_adopt(struct bpf_object *obj, const char *pin_dir, unsigned int *found,
		  unsigned int *missing)
{
	bool any = pins_any(obj, pin_dir);
	uint32_t version;
	int err;

	*found = *missing = 0;
	err = pins_abi(pin_dir, &version);
	if (err == -ESTALE || (!err && version && version != XI_ABI_VERSION)) {
		log_warnx("%s: its maps are of ABI version %u, and this xipsecd has version %u: start the xipsecd that made them, or " NEXT_STEP,
			  pin_dir, version, XI_ABI_VERSION);
		return -ESTALE;
	}
	if (err)
		return err;
	if (version && xi_pins_lost(pin_dir)) {
		log_warnx("%s: the map %s is missing, and with it what was to be protected; " NEXT_STEP,
			  pin_dir, xi_pins_lost(pin_dir));
		return -ESTALE;
	}
	if (!version && any)
		err = pins_sweep(obj, pin_dir);
	return err ? err : maps_adopt(obj, pin_dir, !version, found, missing);
}
