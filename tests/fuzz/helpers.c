// SPDX-License-Identifier: MIT
// The folder of a fuzz target, in memory where there is /dev/shm, and files in it.
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/check.h"
#include "common/base/file.h"
#include "common/base/log.h"
#include "tests/fuzz/fuzz.h"

static unsigned long accepted;
static volatile uint64_t digest; // keeps reads from being optimised away
static char folder[64];

int LLVMFuzzerInitialize(int *argc, char ***argv) {
    (void)argc;
    (void)argv;
    log_init("fuzz", LOG_ERROR, open("/dev/null", O_WRONLY | O_CLOEXEC));
    return 0;
}

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

const char *fuzz_path(const char *name) {
    static char path[128];
    int len = snprintf(path, sizeof(path), "%s/%s", fuzz_folder(), name);
    CHECK(len < (int)sizeof(path));
    return path;
}

const char *fuzz_write(const char *name, const void *data, size_t len) {
    const char *path = fuzz_path(name);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    CHECK(fd >= 0);
    CHECK(write(fd, data, len) == (ssize_t)len);
    close(fd);
    return path;
}

size_t fuzz_take(uint8_t out[FUZZ_SAMPLE_MAX], const char *name) {
    char *data;
    size_t len;
    CHECK(file_read_all(&data, &len, fuzz_path(name), FUZZ_SAMPLE_MAX) == 0);
    memcpy(out, data, len);
    free(data);
    unlink(fuzz_path(name));
    return len;
}

size_t fuzz_without_sum(uint8_t *data, size_t len) {
    static const char name[] = "\"checksum\"", other[] = "\"no_check\"";
    uint8_t *found = memmem(data, len, name, sizeof(name) - 1);
    CHECK(found);
    memcpy(found, other, sizeof(other) - 1);
    return len;
}
