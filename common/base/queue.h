// SPDX-License-Identifier: MIT
// A bounded, blocking queue of pointers between threads.
//
// The loop's thread and the workers communicate through queues only. Any number of threads
// may push and pop. A push to a full queue fails; the caller handles and counts that.
// Closing wakes all waiting threads; items still in the queue can be popped.
#ifndef SPUR_COMMON_BASE_QUEUE_H
#define SPUR_COMMON_BASE_QUEUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct queue;

struct queue *queue_create(size_t len_max);
void queue_destroy(struct queue **q);         // does not free items; accepts NULL
bool queue_push(struct queue *q, void *item); // false if full or closed
// Waits up to timeout_ms (UINT32_MAX: without limit; 0: not at all). NULL after a timeout,
// or if the queue is closed and empty.
void *queue_pop(struct queue *q, uint32_t timeout_ms);
void queue_close(struct queue *q);
bool queue_closed(struct queue *q);
size_t queue_len(struct queue *q);

#endif
