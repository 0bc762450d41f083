/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Which SAs were put in hardware here, and not by a key manager, whose SAs look the same: one a
 * line, PROTOCOL SPI DESTINATION. A line that is left over does no harm but that an SA of the same
 * id which a key manager offloads itself would be taken for ours.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <uthash.h>

#include "log.h"
#include "source/mirror_int.h"

struct note {
	struct xi_sa_id id;
	UT_hash_handle hh;
};

struct xi_offload_notes {
	char *path; /* NULL: kept in memory alone */
	struct note *all;
};

static int note_add(struct xi_offload_notes *notes, const struct xi_sa_id *id)
{
	struct note *note;

	if (xi_offload_noted(notes, id))
		return 0;
	note = calloc(1, sizeof(*note));
	if (!note)
		return -ENOMEM;
	note->id = *id;
	HASH_ADD(hh, notes->all, id, sizeof(note->id), note);
	return 0;
}

static bool line_read(struct xi_sa_id *id, const char *line)
{
	char addr[INET6_ADDRSTRLEN];
	unsigned int proto, spi;

	memset(id, 0, sizeof(*id));
	if (sscanf(line, "%u 0x%x %45s", &proto, &spi, addr) != 3)
		return false;
	id->proto = (enum xi_proto)proto;
	id->spi = spi;
	id->family = strchr(addr, ':') ? XI_IPV6 : XI_IPV4;
	return inet_pton((int)id->family, addr, id->daddr) == 1;
}

static int notes_read(struct xi_offload_notes *notes)
{
	FILE *file = fopen(notes->path, "re");
	struct xi_sa_id id;
	char line[128];
	int err = 0;

	if (!file)
		return errno == ENOENT ? 0 : -errno;
	while (!err && fgets(line, sizeof(line), file))
		if (line_read(&id, line))
			err = note_add(notes, &id);
	fclose(file);
	return err;
}

static int notes_write(const struct xi_offload_notes *notes)
{
	char addr[INET6_ADDRSTRLEN], temp[PATH_MAX];
	const struct note *note, *next;
	FILE *file;
	int err = 0;

	if (!notes->path)
		return 0;
	snprintf(temp, sizeof(temp), "%s.new", notes->path);
	file = fopen(temp, "we");
	if (!file)
		return -errno;
	HASH_ITER(hh, notes->all, note, next)
	fprintf(file, "%u 0x%08x %s\n", note->id.proto, note->id.spi,
		inet_ntop((int)note->id.family, note->id.daddr, addr, sizeof(addr)));
	if (ferror(file))
		err = -EIO;
	if (fclose(file) && !err)
		err = -errno;
	if (!err && rename(temp, notes->path))
		err = -errno;
	if (err)
		unlink(temp);
	return err;
}

int xi_offload_notes_open(struct xi_offload_notes **out, const char *path)
{
	struct xi_offload_notes *notes = calloc(1, sizeof(*notes));
	int err = 0;

	*out = NULL;
	if (!notes)
		return -ENOMEM;
	if (path) {
		notes->path = strdup(path);
		err = notes->path ? notes_read(notes) : -ENOMEM;
	}
	if (err) {
		xi_offload_notes_close(notes);
		return err;
	}
	*out = notes;
	return 0;
}

void xi_offload_notes_close(struct xi_offload_notes *notes)
{
	struct note *note, *next;

	if (!notes)
		return;
	HASH_ITER(hh, notes->all, note, next)
	{
		HASH_DEL(notes->all, note);
		free(note);
	}
	free(notes->path);
	free(notes);
}

bool xi_offload_noted(const struct xi_offload_notes *notes, const struct xi_sa_id *id)
{
	struct note *note;

	HASH_FIND(hh, notes->all, id, sizeof(*id), note);
	return note;
}

int xi_offload_note(struct xi_offload_notes *notes, const struct xi_sa_id *id)
{
	int err;

	if (xi_offload_noted(notes, id))
		return 0;
	err = note_add(notes, id);
	if (!err)
		err = notes_write(notes);
	if (err)
		xi_offload_unnote(notes, id);
	return err;
}

void xi_offload_unnote(struct xi_offload_notes *notes, const struct xi_sa_id *id)
{
	struct note *note;

	HASH_FIND(hh, notes->all, id, sizeof(*id), note);
	if (!note)
		return;
	HASH_DEL(notes->all, note);
	free(note);
}
