// SPDX-License-Identifier: MIT
// Preloaded into a process, makes one of its allocations fail, as when memory runs out.
//
//   FAIL_PROGRAM  name of the program; others are left alone
//   FAIL_AT       number of the allocation that fails: 1, 2, ...; 0: none
//   FAIL_OWNER    program (default): counts allocations that the program's own code asks for;
//                 all: also those of libraries
//   FAIL_MARK     file that is made when the allocation fails; while it exists no other fails,
//                 so a restarted process is whole
//   FAIL_COUNT    file to which the number of allocations is written at the end
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t n, size_t size);
extern void *__libc_realloc(void *p, size_t size);
extern void *__libc_memalign(size_t alignment, size_t size);

static bool counts; // this program, and its code's place is known
static bool all;
static uintptr_t begin, end; // of the program
static long fail_at;
static const char *mark;
static atomic_long allocations;

static int find_program(struct dl_phdr_info *info, size_t size, void *arg) {
    (void)size;
    (void)arg;
    for (int i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *part = &info->dlpi_phdr[i];
        uintptr_t at = info->dlpi_addr + part->p_vaddr;
        if (part->p_type == PT_LOAD && (part->p_flags & PF_X)) {
            begin = at;
            end = at + part->p_memsz;
        }
    }
    return 1; // the first object is the program
}

__attribute__((constructor)) static void start(void) {
    const char *program = getenv("FAIL_PROGRAM"), *at = getenv("FAIL_AT");
    const char *owner = getenv("FAIL_OWNER");
    if (!program || strcmp(program, program_invocation_short_name) != 0) {
        return;
    }
    mark = getenv("FAIL_MARK");
    fail_at = at && !(mark && access(mark, F_OK) == 0) ? atol(at) : 0;
    all = owner && strcmp(owner, "all") == 0;
    dl_iterate_phdr(find_program, NULL);
    counts = true;
}

__attribute__((destructor)) static void finish(void) {
    const char *path = getenv("FAIL_COUNT");
    if (counts && path) {
        char text[32];
        int len = snprintf(text, sizeof(text), "%ld\n", atomic_load(&allocations));
        int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
        if (fd < 0 || write(fd, text, (size_t)len) != len) {
            abort();
        }
        close(fd);
    }
}

static bool fails(const void *caller) {
    uintptr_t at = (uintptr_t)caller;
    if (!counts || (!all && (at < begin || at >= end))) {
        return false;
    }
    if (atomic_fetch_add(&allocations, 1) + 1 != fail_at) {
        return false;
    }
    int fd = mark ? open(mark, O_WRONLY | O_CREAT | O_CLOEXEC, 0600) : -1;
    if (fd >= 0) {
        close(fd);
    }
    errno = ENOMEM;
    return true;
}

void *malloc(size_t size) {
    return fails(__builtin_return_address(0)) ? NULL : __libc_malloc(size);
}

void *calloc(size_t n, size_t size) {
    return fails(__builtin_return_address(0)) ? NULL : __libc_calloc(n, size);
}

void *realloc(void *p, size_t size) {
    return fails(__builtin_return_address(0)) ? NULL : __libc_realloc(p, size);
}

int posix_memalign(void **p, size_t alignment, size_t size) {
    void *got = fails(__builtin_return_address(0)) ? NULL : __libc_memalign(alignment, size);
    if (!got) {
        return ENOMEM;
    }
    *p = got;
    return 0;
}

void *aligned_alloc(size_t alignment, size_t size) {
    return fails(__builtin_return_address(0)) ? NULL : __libc_memalign(alignment, size);
}
