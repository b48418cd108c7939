// SPDX-License-Identifier: MIT
// A bounded queue of pointers between two threads.
//
// The only way a loop thread and a worker meet. Any number of threads may push
// and pop. A full queue refuses (queue_push) rather than grow: whoever pushes
// decides what that means and counts it. Closing wakes all who wait; what is
// still inside can be popped.
#ifndef SPUR_COMMON_BASE_QUEUE_H
#define SPUR_COMMON_BASE_QUEUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct queue;

struct queue *queue_create(size_t len_max);
void queue_destroy(struct queue **q); // must be empty or its items owned elsewhere; NULL is fine
bool queue_push(struct queue *q, void *item); // false when full or closed
// Waits up to timeout_ms (UINT32_MAX: for ever; 0: not at all). NULL when
// nothing came, or when closed and empty.
void *queue_pop(struct queue *q, uint32_t timeout_ms);
void queue_close(struct queue *q);
bool queue_closed(struct queue *q);
size_t queue_len(struct queue *q);

#endif
