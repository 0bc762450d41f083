/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Memory of records. A packet that goes by the SLOW method meets a cold one: it wants few lines, that
 * lie together, and few pages. So a record lies directly behind the runtime form of its SA, both
 * begin at a line, and many are in one chunk, which the kernel can map as one huge page.
 */
#include "sad/sad_priv.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(addr, size) ((void)(addr), (void)(size))
#define ASAN_UNPOISON_MEMORY_REGION(addr, size) ((void)(addr), (void)(size))
#endif

#define CHUNK_SIZE (2UL << 20)  /* a huge page of x86-64, and of arm64 with 4 KB pages */

/* What is allocated. The key comes first in the record: a worker reads it, and no more of it. */
struct block {
	struct xi_sa_ctx ctx;
	struct xi_sa_rec rec;
} __attribute__((aligned(64)));

XI_ASSERT(__builtin_offsetof(struct block, rec.key) % 64 == 0);

/* Lies at the start of its memory. */
struct xi_rec_chunk {
	struct xi_recs *recs;
	struct xi_rec_chunk *prev, *next; /* in the list of those with room */
	struct free_block *free;
	uint32_t fresh;              /* blocks from this one on were never used */
	uint32_t used;
};

struct free_block {
	struct free_block *next;
};

#define CHUNK_BLOCKS ((CHUNK_SIZE - sizeof(struct block)) / sizeof(struct block))
XI_ASSERT(sizeof(struct xi_rec_chunk) <= sizeof(struct block));

static struct block *chunk_block(struct xi_rec_chunk *chunk, uint32_t i)
{
	return (struct block *)chunk + 1 + i;
}

static struct xi_rec_chunk *chunk_of(const struct block *block)
{
	return (struct xi_rec_chunk *)((uintptr_t)block & ~(CHUNK_SIZE - 1));
}

static bool chunk_is_full(const struct xi_rec_chunk *chunk)
{
	return chunk->used == CHUNK_BLOCKS;
}

static void chunk_link(struct xi_rec_chunk *chunk)
{
	struct xi_recs *recs = chunk->recs;

	chunk->prev = NULL;
	chunk->next = recs->room;
	if (chunk->next)
		chunk->next->prev = chunk;
	recs->room = chunk;
}

static void chunk_unlink(struct xi_rec_chunk *chunk)
{
	if (chunk->prev)
		chunk->prev->next = chunk->next;
	else
		chunk->recs->room = chunk->next;
	if (chunk->next)
		chunk->next->prev = chunk->prev;
}

/* Memory at a multiple of its size; NULL. */
static void *chunk_map(void)
{
	uint8_t *p = mmap(NULL, 2 * CHUNK_SIZE, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	size_t before;

	if (p == MAP_FAILED)
		return NULL;
	before = -(uintptr_t)p & (CHUNK_SIZE - 1);
	if (before)
		munmap(p, before);
	munmap(p + before + CHUNK_SIZE, CHUNK_SIZE - before);
	return p + before;
}

/* Small gateways do without huge pages: their only chunk costs what is used of it. */
static struct xi_rec_chunk *chunk_new(struct xi_recs *recs)
{
	struct xi_rec_chunk *chunk = chunk_map();

	if (!chunk)
		return NULL;
	madvise(chunk, CHUNK_SIZE, recs->nchunks ? MADV_HUGEPAGE : MADV_NOHUGEPAGE);
	chunk->recs = recs;
	recs->nchunks++;
	chunk_link(chunk);
	return chunk;
}

static void chunk_free(struct xi_rec_chunk *chunk)
{
	chunk->recs->nchunks--;
	chunk_unlink(chunk);
	ASAN_UNPOISON_MEMORY_REGION(chunk, CHUNK_SIZE);
	munmap(chunk, CHUNK_SIZE);
}

static struct block *block_take(struct xi_rec_chunk *chunk)
{
	struct block *block = (struct block *)chunk->free;

	if (block) {
		ASAN_UNPOISON_MEMORY_REGION(block, sizeof(*block));
		chunk->free = chunk->free->next;
		memset(block, 0, sizeof(struct free_block));
	} else {
		block = chunk_block(chunk, chunk->fresh++);
	}
	chunk->used++;
	if (chunk_is_full(chunk))
		chunk_unlink(chunk);
	return block;
}

struct xi_sa_rec *xi_rec_new(struct xi_sad *sad)
{
	struct xi_rec_chunk *chunk = sad->recs.room;

	if (!chunk)
		chunk = chunk_new(&sad->recs);
	return chunk ? &block_take(chunk)->rec : NULL;
}

/* The last chunk with room stays, so that SAs that come and go do not map and unmap one. */
void xi_rec_free(struct xi_sa_rec *rec)
{
	struct xi_rec_chunk *chunk;
	struct free_block *freed;
	struct block *block;

	if (!rec)
		return;
	block = (struct block *)((uint8_t *)rec - __builtin_offsetof(struct block, rec));
	chunk = chunk_of(block);
	explicit_bzero(block, sizeof(*block));
	if (chunk_is_full(chunk))
		chunk_link(chunk);
	freed = (struct free_block *)block;
	freed->next = chunk->free;
	chunk->free = freed;
	ASAN_POISON_MEMORY_REGION(block, sizeof(*block));
	if (!--chunk->used && (chunk->prev || chunk->next))
		chunk_free(chunk);
}

void xi_recs_free(struct xi_sad *sad)
{
	while (sad->recs.room)
		chunk_free(sad->recs.room);
}

struct xi_sa_rec *xi_rec_make(struct xi_sad *sad, const struct xi_sa *sa,
			      const struct xi_sa_key *key, uint32_t sa_index)
{
	struct xi_sa_rec *rec = xi_rec_new(sad);

	if (!rec)
		return NULL;
	rec->sa = *sa;
	if (key)
		rec->key = *key;
	rec->sa.sa_index = sa_index;
	rec->sa.window_slot = XI_NO_SLOT;
	return rec;
}

void xi_rec_bind(struct xi_sad *sad, struct xi_sa_rec *rec)
{
	rec->state = &sad->store.states[XI_SA_SLOT(rec->sa.sa_index)];
	if (rec->sa.window_slot == XI_NO_SLOT)
		rec->words = (uint64_t *)rec->state->words;
	else
		rec->words = (uint64_t *)sad->store.windows[rec->sa.window_slot].words;
	rec->nwords = xi_window_words(rec->sa.replay_window);
}

static struct xi_sa_ctx *rec_ctx(const struct xi_sa_rec *rec)
{
	return (struct xi_sa_ctx *)((uint8_t *)rec - __builtin_offsetof(struct block, rec));
}

void xi_rec_ready(struct xi_sa_rec *rec)
{
	struct xi_sa_ctx *ctx = rec_ctx(rec);

	if (rec->sa.life & XI_SA_LARVAL ||
	    xi_sa_ctx_init(ctx, &rec->sa, &rec->key, rec->state, rec->words, rec->nwords))
		ctx->sa_index = 0;
}

const struct xi_sa_ctx *xi_sad_context(const struct xi_sad *sad, uint32_t sa_index)
{
	uint32_t slot = XI_SA_SLOT(sa_index);
	const struct xi_sa_rec *rec;

	if (slot >= sad->slots.n)
		return NULL;
	rec = rcu_dereference(sad->slots.recs[slot]);
	return rec && rec_ctx(rec)->sa_index == sa_index ? rec_ctx(rec) : NULL;
}

void xi_sad_prefetch_state(const struct xi_sad *sad, uint32_t sa_index, bool out)
{
	uint32_t slot = XI_SA_SLOT(sa_index);
	const struct xi_sa_state *state;

	if (slot >= sad->slots.n)
		return;
	state = &sad->store.states[slot];
	__builtin_prefetch(&state->bytes, 1);
	if (out) {
		__builtin_prefetch(&state->oseq, 1);
		__builtin_prefetch(&sad->slots.superseded[slot]);
	} else {
		__builtin_prefetch(&state->words[0], 1);
		__builtin_prefetch(&state->words[XI_WINDOW_INLINE_WORDS / 2], 1);
	}
}

void xi_sad_prefetch_way(const struct xi_sad *sad, uint32_t sa_index)
{
	uint32_t slot = XI_SA_SLOT(sa_index);

	if (slot < sad->slots.n)
		__builtin_prefetch(&sad->slots.recs[slot]);
}

void xi_sad_prefetch_context(const struct xi_sad *sad, uint32_t sa_index, bool out)
{
	uint32_t slot = XI_SA_SLOT(sa_index);
	const struct xi_sa_rec *rec;

	rec = slot < sad->slots.n ? rcu_dereference(sad->slots.recs[slot]) : NULL;
	if (!rec)
		return;
	xi_sa_ctx_prefetch(rec_ctx(rec), out);
	__builtin_prefetch(&rec->key);
}
