// SPDX-License-Identifier: MIT
// Lock, reservation and mapping.
#include "actor/spool_file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/error.h"

static int fail(struct spool_file *f, const char *path, const char *what, int code, char *err,
                size_t err_len) {
    close(f->fd);
    *f = (struct spool_file){.fd = -1};
    return error_set(err, err_len, -1, "%s: %s: %s", path, what, strerror(code));
}

int spool_file_open(struct spool_file *f, const char *path, size_t bytes, char *err,
                    size_t err_len) {
    struct stat st;
    *f = (struct spool_file){.fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600)};
    if (f->fd < 0) {
        return error_set(err, err_len, -1, "%s: cannot be opened: %s", path, strerror(errno));
    }
    if (flock(f->fd, LOCK_EX | LOCK_NB) < 0) {
        return fail(f, path, "another actor uses it", errno, err, err_len);
    }
    if (fstat(f->fd, &st) < 0) {
        return fail(f, path, "cannot be examined", errno, err, err_len);
    }
    int code = st.st_size == 0 ? posix_fallocate(f->fd, 0, (off_t)bytes) : 0;
    if (code != 0) {
        unlink(path);
        return fail(f, path, "its size cannot be reserved", code, err, err_len);
    }
    f->bytes = st.st_size == 0 ? bytes : (size_t)st.st_size;
    void *block = mmap(NULL, f->bytes, PROT_READ | PROT_WRITE, MAP_SHARED, f->fd, 0);
    if (block == MAP_FAILED) {
        return fail(f, path, "cannot be mapped", errno, err, err_len);
    }
    f->block = block;
    return 0;
}

void spool_file_close(struct spool_file *f) {
    if (f->block) {
        munmap(f->block, f->bytes);
        close(f->fd);
    }
    *f = (struct spool_file){.fd = -1};
}
