// SPDX-License-Identifier: MIT
// getrlimit and mallopt; threads and descriptors are counted by creating and releasing them.
#include "common/base/rlimits.h"

#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "common/base/error.h"
#include "common/base/log.h"

enum {
    PROBE_THREADS_MAX = 16,
    PROBE_DESCRIPTORS_MAX = 256,
    STACK_BYTES = 1 << 20, // of threads, under a limit of address space
};

// ---- start ----

static void open_standard_streams(void) {
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
        if (fcntl(fd, F_GETFD) < 0 && errno == EBADF) {
            int opened = open("/dev/null", O_RDWR); // the lowest free number: fd
            (void)opened;
        }
    }
}

// Prints the line and returns: the process then ends by the signal. log_line is not made for
// signal handlers, but abort() is not called from within the functions that it uses.
static void on_abort(int number) {
    log_error("a library has called abort; its reason is the line before this one. Often a limit "
              "is too low: memory (ulimit -v), threads (ulimit -u) or open files (ulimit -n)");
    signal(number, SIG_DFL);
}

static void save_address_space(void) {
    pthread_attr_t attributes;
    mallopt(M_ARENA_MAX, 1);
    if (pthread_attr_init(&attributes) == 0) {
        pthread_attr_setstacksize(&attributes, STACK_BYTES);
        pthread_setattr_default_np(&attributes);
        pthread_attr_destroy(&attributes);
    }
}

static void raise_descriptors(void) {
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < RLIMITS_DESCRIPTORS) {
        bool ample = limit.rlim_max == RLIM_INFINITY || limit.rlim_max > RLIMITS_DESCRIPTORS;
        limit.rlim_cur = ample ? RLIMITS_DESCRIPTORS : limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
}

void rlimits_start(void) {
    raise_descriptors();
    open_standard_streams();
    signal(SIGXFSZ, SIG_IGN);
    signal(SIGABRT, on_abort);
    if (rlimits_address_space() != UINT64_MAX) {
        save_address_space();
    }
}

uint64_t rlimits_address_space(void) {
    struct rlimit limit;
    if (getrlimit(RLIMIT_AS, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) {
        return UINT64_MAX;
    }
    return limit.rlim_cur;
}

int rlimits_descriptors(void) {
    struct rlimit limit;
    return getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < RLIMITS_DESCRIPTORS
               ? (int)limit.rlim_cur
               : RLIMITS_DESCRIPTORS;
}

// ---- probes ----

static void *wait_for_release(void *arg) {
    pthread_mutex_t *held = arg;
    pthread_mutex_lock(held);
    pthread_mutex_unlock(held);
    return NULL;
}

// Returns 0, or the errno of the first thread that could not be created.
static int try_threads(int n) {
    pthread_t threads[PROBE_THREADS_MAX];
    pthread_mutex_t held = PTHREAD_MUTEX_INITIALIZER;
    int started = 0, failure = 0;
    pthread_mutex_lock(&held);
    while (started < n && started < PROBE_THREADS_MAX && failure == 0) {
        failure = pthread_create(&threads[started], NULL, wait_for_release, &held);
        started += failure == 0;
    }
    pthread_mutex_unlock(&held);
    for (int i = 0; i < started; i++) {
        pthread_join(threads[i], NULL);
    }
    pthread_mutex_destroy(&held);
    return failure;
}

static int try_descriptors(int n) {
    int fds[PROBE_DESCRIPTORS_MAX];
    int opened = 0, failure = 0;
    while (opened < n && opened < PROBE_DESCRIPTORS_MAX && failure == 0) {
        fds[opened] = open("/dev/null", O_RDONLY | O_CLOEXEC);
        failure = fds[opened] < 0 ? errno : 0;
        opened += failure == 0;
    }
    for (int i = 0; i < opened; i++) {
        close(fds[i]);
    }
    return failure;
}

static int try_bytes(size_t bytes) {
    void *p = bytes ? mmap(NULL, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) : NULL;
    if (p == MAP_FAILED) {
        return errno;
    }
    if (p) {
        munmap(p, bytes);
    }
    return 0;
}

static unsigned long long limit_of(int resource) {
    struct rlimit limit;
    return getrlimit(resource, &limit) == 0 ? (unsigned long long)limit.rlim_cur : 0;
}

int rlimits_check(int threads, int descriptors, size_t bytes, char *err, size_t err_len) {
    int failure = try_bytes(bytes);
    if (failure) {
        return error_set(err, err_len, -failure,
                         "%zu MiB of address space cannot be had (limit, ulimit -v: %llu KiB)",
                         bytes >> 20, limit_of(RLIMIT_AS) >> 10);
    }
    failure = try_descriptors(descriptors);
    if (failure) {
        return error_set(err, err_len, -failure,
                         "%d more files and sockets cannot be opened (limit, ulimit -n: %llu): %s",
                         descriptors, limit_of(RLIMIT_NOFILE), strerror(failure));
    }
    failure = try_threads(threads);
    if (failure) {
        return error_set(err, err_len, -failure,
                         "%d more threads cannot be started: the limit of processes and threads "
                         "(ulimit -u: %llu) or of address space (ulimit -v) is too low",
                         threads, limit_of(RLIMIT_NPROC));
    }
    return 0;
}
