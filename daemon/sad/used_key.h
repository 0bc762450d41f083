/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * How far the keys of deleted SAs had counted, for nonce-unique: the control thread's memory of them. A key is named by
 * a digest; the key itself is forgotten with its SA.
 */
#ifndef XI_USED_KEY_H
#define XI_USED_KEY_H

#include <stdint.h>

#include "sad/slot_map.h"

#define XI_USED_KEYS_MIN 65536
/* Half of a SHA-256: of 2^32 keys, two have the same with a chance of 2^-65. */
#define XI_KEY_NAME_LEN 16

struct xi_key_name {
	uint8_t digest[XI_KEY_NAME_LEN];
};

struct xi_used_key {
	struct xi_key_name name;
	uint64_t oseq;
	uint32_t newer, older;       /* by age of the note */
};

/* The newest `max` of them; memory grows with their number. */
struct xi_used_keys {
	struct xi_used_key *keys;
	uint32_t n, room, max;
	uint32_t newest, oldest;
	struct xi_slot_map by_name;
};

static inline uint64_t xi_key_name_hash(const struct xi_key_name *name)
{
	uint64_t hash;

	__builtin_memcpy(&hash, name->digest, sizeof(hash));
	return hash;
}

void xi_used_keys_init(struct xi_used_keys *used, uint32_t max);
void xi_used_keys_free(struct xi_used_keys *used);
/* Keeps the higher number; the key is then the newest. At `max`, the oldest goes. */
void xi_used_keys_note(struct xi_used_keys *used, const struct xi_key_name *name, uint64_t oseq);
uint64_t xi_used_keys_oseq(const struct xi_used_keys *used, const struct xi_key_name *name);

#endif
