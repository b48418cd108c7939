// SPDX-License-Identifier: MIT
// write, fsync, rename; read until end of file; flock.
#include "common/base/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/check.h"
#include "common/base/log.h"

static int sync_directory_of(const char *path) {
    char dir[PATH_MAX];
    snprintf(dir, sizeof(dir), "%s", path);
    char *slash = strrchr(dir, '/');
    if (!slash) {
        snprintf(dir, sizeof(dir), ".");
    } else if (slash != dir) {
        *slash = '\0';
    } else {
        slash[1] = '\0';
    }
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
        return -errno;
    }
    int rc = fsync(fd) < 0 ? -errno : 0;
    close(fd);
    return rc;
}

static int write_fully(int fd, const char *data, size_t len) {
    while (len > 0) {
        ssize_t n = write(fd, data, len);
        if (n < 0) {
            if (errno == EINTR) {
                continue;
            }
            return -errno;
        }
        data += n;
        len -= (size_t)n;
    }
    return 0;
}

// A new temporary file, locked against file_sweep, which may remove it before it is locked.
static int open_temporary(const char *path) {
    for (;;) {
        struct stat st;
        int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
        if (fd < 0) {
            return -errno;
        }
        flock(fd, LOCK_EX | LOCK_NB); // without locks on this file system nothing is swept either
        if (fstat(fd, &st) == 0 && st.st_nlink > 0) {
            return fd;
        }
        close(fd);
    }
}

int file_writev_atomic(const char *path, const struct iovec *iov, int iov_count) {
    char temporary[PATH_MAX];
    int n = snprintf(temporary, sizeof(temporary), "%s.tmp.%d", path, (int)getpid());
    if (n < 0 || (size_t)n >= sizeof(temporary)) {
        return -ENAMETOOLONG;
    }
    int fd = open_temporary(temporary);
    if (fd < 0) {
        return fd;
    }
    int rc = 0;
    for (int i = 0; i < iov_count && rc == 0; i++) {
        rc = write_fully(fd, iov[i].iov_base, iov[i].iov_len);
    }
    if (rc == 0 && fsync(fd) < 0) {
        rc = -errno;
    }
    if (close(fd) < 0 && rc == 0) {
        rc = -errno;
    }
    if (rc == 0 && rename(temporary, path) < 0) {
        rc = -errno;
    }
    if (rc < 0) {
        unlink(temporary);
        return rc;
    }
    return sync_directory_of(path);
}

int file_write_atomic(const char *path, const void *data, size_t len) {
    struct iovec iov = {.iov_base = (void *)data, .iov_len = len};
    return file_writev_atomic(path, &iov, 1);
}

static bool is_temporary(const char *name) {
    const char *dot = strrchr(name, '.');
    return dot && dot - name > 4 && strncmp(dot - 4, ".tmp", 4) == 0 && dot[1] != '\0' &&
           strspn(dot + 1, "0123456789") == strlen(dot + 1);
}

int file_sweep(const char *dir) {
    int removed = 0;
    DIR *d = opendir(dir);
    for (struct dirent *entry; d && (entry = readdir(d));) {
        int fd = is_temporary(entry->d_name)
                     ? openat(dirfd(d), entry->d_name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW)
                     : -1;
        if (fd >= 0) {
            removed +=
                flock(fd, LOCK_EX | LOCK_NB) == 0 && unlinkat(dirfd(d), entry->d_name, 0) == 0;
            close(fd);
        }
    }
    if (d) {
        closedir(d);
    }
    return removed;
}

// Length of the whole lines in an open file.
static int complete_length(off_t *length, int fd) {
    char block[4096];
    struct stat st;
    if (fstat(fd, &st) < 0) {
        return -errno;
    }
    for (off_t end = st.st_size; end > 0;) {
        size_t n = end < (off_t)sizeof(block) ? (size_t)end : sizeof(block);
        if (pread(fd, block, n, end - (off_t)n) != (ssize_t)n) {
            return errno ? -errno : -EIO;
        }
        const char *newline = memrchr(block, '\n', n);
        if (newline) {
            *length = end - (off_t)n + (newline - block) + 1;
            return 0;
        }
        end -= (off_t)n;
    }
    *length = 0;
    return 0;
}

int file_append_lines(const char *path, const char *text, size_t len) {
    off_t before = 0;
    int fd = open(path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    if (fd < 0) {
        return -errno;
    }
    int rc = complete_length(&before, fd);
    if (rc == 0 && ftruncate(fd, before) < 0) {
        rc = -errno;
    }
    if (rc == 0) {
        rc = write_fully(fd, text, len);
        rc = rc ? rc : fsync(fd) < 0 ? -errno : 0;
        if (rc < 0 && ftruncate(fd, before) < 0) {
            log_warn("%s: an incomplete line remains: %s", path, strerror(errno));
        }
    }
    close(fd);
    return rc;
}

int file_keep(const char *path, const char *kept) {
    char temporary[PATH_MAX];
    int n = snprintf(temporary, sizeof(temporary), "%s.tmp.%d", kept, (int)getpid());
    if (n < 0 || (size_t)n >= sizeof(temporary)) {
        return -ENAMETOOLONG;
    }
    unlink(temporary);
    if (link(path, temporary) == 0) {
        return rename(temporary, kept) < 0 ? -errno : 0;
    }
    if (errno == ENOENT) {
        return 0;
    }
    return rename(path, kept) < 0 ? -errno : 0;
}

int file_beside(char *out, size_t out_len, const char *path, const char *word) {
    const char *slash = strrchr(path, '/'), *dot = strrchr(slash ? slash : path, '.');
    size_t stem = dot ? (size_t)(dot - path) : strlen(path);
    int n = snprintf(out, out_len, "%.*s.%s%s", (int)stem, path, word, path + stem);
    return n < 0 || (size_t)n >= out_len ? -ENAMETOOLONG : 0;
}

int file_read_all(char **data, size_t *len, const char *path, size_t len_max) {
    *data = NULL;
    *len = 0;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return -errno;
    }
    int rc = 0;
    char *buffer = NULL;
    size_t used = 0;
    struct stat st;
    if (fstat(fd, &st) < 0) {
        rc = -errno;
        goto out;
    }
    if (S_ISDIR(st.st_mode)) {
        rc = -EISDIR;
        goto out;
    }
    if ((size_t)st.st_size > len_max) {
        rc = -EFBIG;
        goto out;
    }
    size_t room = (size_t)st.st_size + 4096;
    buffer = xmalloc(room + 1);
    for (;;) {
        if (used == room) {
            rc = -EFBIG; // it grew meanwhile
            goto out;
        }
        ssize_t n = read(fd, buffer + used, room - used);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            rc = -errno;
            goto out;
        }
        if (n == 0) {
            break;
        }
        used += (size_t)n;
    }
    if (used > len_max) {
        rc = -EFBIG;
        goto out;
    }
    buffer[used] = '\0';
    *data = buffer;
    *len = used;
    buffer = NULL;
out:
    free(buffer);
    close(fd);
    return rc;
}

int file_make_dirs(const char *path) {
    char partial[PATH_MAX];
    if (strlen(path) >= sizeof(partial)) {
        return -ENAMETOOLONG;
    }
    snprintf(partial, sizeof(partial), "%s", path);
    for (char *p = partial + 1;; p++) {
        if (*p != '/' && *p != '\0') {
            continue;
        }
        bool last = *p == '\0';
        *p = '\0';
        if (mkdir(partial, 0755) < 0 && errno != EEXIST) {
            return -errno;
        }
        if (last) {
            break;
        }
        *p = '/';
    }
    struct stat st;
    if (stat(path, &st) < 0) {
        return -errno;
    }
    return S_ISDIR(st.st_mode) ? 0 : -ENOTDIR;
}

int file_make_dir(const char *path) {
    return mkdir(path, 0755) < 0 && errno != EEXIST ? -errno : 0;
}

bool file_exists(const char *path) {
    struct stat st;
    return stat(path, &st) == 0;
}

int file_join(char *out, size_t out_len, const char *dir, const char *name) {
    int n = snprintf(out, out_len, "%s/%s", dir, name);
    return n < 0 || (size_t)n >= out_len ? -ENAMETOOLONG : 0;
}

int file_dir_writable(const char *dir) {
    // Creates a file, since access() is wrong for root and for read-only mounts.
    char path[PATH_MAX];
    int n = snprintf(path, sizeof(path), "%s/.writable.%d", dir, (int)getpid());
    if (n < 0 || (size_t)n >= sizeof(path)) {
        return -ENAMETOOLONG;
    }
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0) {
        return -errno;
    }
    close(fd);
    unlink(path);
    return 0;
}

static int write_pid(int fd) {
    char text[32];
    int len = snprintf(text, sizeof(text), "%d\n", (int)getpid());
    return ftruncate(fd, 0) < 0 || pwrite(fd, text, (size_t)len, 0) != len ? -errno : 0;
}

// Whether the file at path is the open one: file_lock_replace may have replaced it.
static bool is_at(int fd, const char *path) {
    struct stat held, there;
    return fstat(fd, &held) == 0 && stat(path, &there) == 0 && held.st_ino == there.st_ino &&
           held.st_dev == there.st_dev;
}

int file_lock(const char *path, int *pid) {
    *pid = 0;
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    if (fd < 0) {
        return -errno;
    }
    char text[32] = {0};
    int rc = flock(fd, LOCK_EX | LOCK_NB) < 0 ? -errno : 0;
    if (rc < 0 && pread(fd, text, sizeof(text) - 1, 0) > 0) {
        *pid = atoi(text);
    } else if (rc == 0) {
        rc = is_at(fd, path) ? write_pid(fd) : -EWOULDBLOCK;
    }
    if (rc < 0) {
        close(fd);
        return rc;
    }
    return fd;
}

int file_lock_replace(const char *path) {
    char temporary[PATH_MAX];
    int n = snprintf(temporary, sizeof(temporary), "%s.tmp.%d", path, (int)getpid());
    if (n < 0 || (size_t)n >= sizeof(temporary)) {
        return -ENAMETOOLONG;
    }
    int fd = open(temporary, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    if (fd < 0) {
        return -errno;
    }
    int rc = flock(fd, LOCK_EX | LOCK_NB) < 0 ? -errno : write_pid(fd);
    if (rc == 0 && rename(temporary, path) < 0) {
        rc = -errno;
    }
    if (rc < 0) {
        unlink(temporary);
        close(fd);
        return rc;
    }
    return fd;
}

int file_close_output(int exit_code) {
    bool lost = ferror(stdout) != 0;
    errno = 0;
    if (fflush(stdout) == 0 && !lost) {
        return exit_code;
    }
    log_error("standard output could not be written completely%s%s", errno ? ": " : "",
              errno ? strerror(errno) : "");
    return exit_code == EXIT_CODE_OK ? EXIT_CODE_IO : exit_code;
}
