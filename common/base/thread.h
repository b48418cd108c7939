// SPDX-License-Identifier: MIT
// Threads that receive no signals: those of a process go to the thread of its event loop.
#ifndef SPUR_COMMON_BASE_THREAD_H
#define SPUR_COMMON_BASE_THREAD_H

#include <pthread.h>

// Returns pthread_create's result.
int thread_start(pthread_t *thread, void *(*run)(void *arg), void *arg);

#endif
