// SPDX-License-Identifier: MIT
// Files and folders of fuzz targets, in memory where there is /dev/shm.
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "common/base/check.h"
#include "common/base/file.h"
#include "tests/fuzz/fuzz.h"

static unsigned long accepted;
static volatile uint64_t digest; // keeps reads from being optimised away
static char folder[64];

void fuzz_accept(void) {
    accepted++;
}

unsigned long fuzz_accepted(void) {
    return accepted;
}

void fuzz_read(const void *data, size_t len) {
    const unsigned char *p = data;
    uint64_t sum = digest;
    for (size_t i = 0; i < len; i++) {
        sum = sum * 31 + p[i];
    }
    digest = sum;
}

const char *fuzz_file(int slot, const void *data, size_t len) {
    static int fd[2] = {-1, -1};
    static char path[2][32];
    if (fd[slot] < 0) {
        fd[slot] = memfd_create("fuzz", MFD_CLOEXEC);
        CHECK(fd[slot] >= 0);
        snprintf(path[slot], sizeof(path[slot]), "/proc/self/fd/%d", fd[slot]);
    }
    CHECK(ftruncate(fd[slot], 0) == 0);
    CHECK(pwrite(fd[slot], data, len, 0) == (ssize_t)len);
    return path[slot];
}

size_t fuzz_take_file(uint8_t out[FUZZ_SAMPLE_MAX], const char *path) {
    FILE *f = fopen(path, "rb");
    CHECK(f);
    size_t len = fread(out, 1, FUZZ_SAMPLE_MAX, f);
    CHECK(len < FUZZ_SAMPLE_MAX);
    fclose(f);
    unlink(path);
    return len;
}

static void remove_folder(void) {
    char command[96];
    snprintf(command, sizeof(command), "rm -rf '%s'", folder);
    CHECK(system(command) == 0);
}

const char *fuzz_folder(void) {
    if (folder[0] == '\0') {
        bool memory = access("/dev/shm", W_OK) == 0;
        snprintf(folder, sizeof(folder), "%s/spur-fuzz-XXXXXX", memory ? "/dev/shm" : "/tmp");
        CHECK(mkdtemp(folder));
        atexit(remove_folder);
    }
    return folder;
}
