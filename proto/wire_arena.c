// SPDX-License-Identifier: MIT
// The arena of one message: a list of blocks, reused for the next message, with a budget.
#include <stdbool.h>
#include <stdlib.h>

#include "common/base/check.h"
#include "proto/wire_parts.h"

enum { ALIGNMENT = 16, BLOCK_BYTES_MIN = 4 << 10 };

struct arena_block {
    struct arena_block *older;
    size_t size, used;
    _Alignas(ALIGNMENT) unsigned char bytes[];
};

static struct arena_block *add_block(struct arena *a, size_t size) {
    struct arena_block *block = malloc(sizeof(*block) + size);
    CHECK_RESOURCES(block); // the budget bounds the size
    block->older = a->blocks;
    block->size = size;
    block->used = 0;
    a->blocks = block;
    return block;
}

void arena_reset(struct arena *a, size_t expected, size_t budget) {
    const struct arena_block *block = a->blocks;
    bool fits = block && !block->older && block->size >= expected &&
                block->size <= 2 * expected + BLOCK_BYTES_MIN;
    if (!fits) {
        arena_deinit(a);
        add_block(a, expected);
    }
    a->blocks->used = 0;
    a->used = 0;
    a->budget = budget;
}

void *arena_alloc(struct arena *a, size_t size) {
    if (size > a->budget - a->used) {
        return NULL;
    }
    size = (size + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    struct arena_block *block = a->blocks;
    if (!block || size > block->size - block->used) {
        // Block sizes double, up to the budget, so that many small pieces need few blocks.
        size_t block_size = block ? 2 * block->size : BLOCK_BYTES_MIN;
        if (block_size > a->budget - a->used) {
            block_size = a->budget - a->used;
        }
        block = add_block(a, size > block_size ? size : block_size);
    }
    void *piece = block->bytes + block->used;
    block->used += size;
    a->used = size > a->budget - a->used ? a->budget : a->used + size;
    return piece;
}

struct arena_block *arena_detach(struct arena *a) {
    struct arena_block *blocks = a->blocks;
    *a = (struct arena){0};
    return blocks;
}

void arena_free(struct arena_block *blocks) {
    while (blocks) {
        struct arena_block *older = blocks->older;
        free(blocks);
        blocks = older;
    }
}

void arena_deinit(struct arena *a) {
    arena_free(arena_detach(a));
}
