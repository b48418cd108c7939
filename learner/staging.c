// SPDX-License-Identifier: MIT
// Creation of the folder of one start, and removal of those that earlier starts left.
#include "learner/staging.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "common/base/error.h"
#include "common/base/file.h"

#define PREFIX "learner.next."
// A learner that still runs adds files meanwhile: one at a time.
#define TRIES_MAX 100

enum { TURN_MS = 2000, TURN_POLL_MS = 10 };

// Empties the folder; `kept` goes to kept_path. 0, or a negative errno.
static int empty(const char *folder, const char *kept, const char *kept_path) {
    DIR *d = opendir(folder);
    if (!d) {
        return -errno;
    }
    for (struct dirent *e; (e = readdir(d)) != NULL;) {
        char path[PATH_MAX];
        bool dots = strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0;
        if (dots || file_join(path, sizeof(path), folder, e->d_name) < 0) {
            continue;
        }
        if (strcmp(e->d_name, kept) != 0 || rename(path, kept_path) < 0) {
            unlink(path);
        }
    }
    closedir(d);
    return 0;
}

// 0, or a negative errno.
static int remove_folder(const char *folder, const char *kept, const char *kept_path) {
    for (int i = 0; i < TRIES_MAX; i++) {
        int rc = empty(folder, kept, kept_path);
        if (rc < 0 || rmdir(folder) == 0) {
            return rc == -ENOENT ? 0 : rc;
        }
        if (errno != ENOTEMPTY && errno != EEXIST) {
            return -errno;
        }
    }
    return -ENOTEMPTY;
}

// Removes the folders of other starts than that of `own`.
static int remove_others(const char *dir, const char *own, const char *kept, char *err,
                         size_t err_len) {
    char kept_path[PATH_MAX], path[PATH_MAX];
    DIR *d = opendir(dir);
    if (!d || file_join(kept_path, sizeof(kept_path), own, kept) < 0) {
        int rc = error_set(err, err_len, -1, "%s: %s", dir, strerror(d ? ENAMETOOLONG : errno));
        if (d) {
            closedir(d);
        }
        return rc;
    }
    int rc = 0;
    for (struct dirent *e; rc == 0 && (e = readdir(d)) != NULL;) {
        if (strncmp(e->d_name, PREFIX, strlen(PREFIX)) != 0 ||
            file_join(path, sizeof(path), dir, e->d_name) < 0 || strcmp(path, own) == 0) {
            continue;
        }
        int removed = remove_folder(path, kept, kept_path);
        if (removed < 0 && removed != -ENOTDIR) {
            rc = error_set(err, err_len, -1, "%s: cannot be removed: %s", path, strerror(-removed));
        }
    }
    closedir(d);
    return rc;
}

// Starts take turns: of two in the same instant the later one removes the folder of the other, not
// each that of the other. A process that was frozen in its turn is waited for TURN_MS. Returns a
// descriptor, whose closing ends the turn, or -1.
static int take_turn(const char *dir) {
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    for (int ms = 0; fd >= 0 && ms < TURN_MS && flock(fd, LOCK_EX | LOCK_NB) < 0;
         ms += TURN_POLL_MS) {
        poll(NULL, 0, TURN_POLL_MS);
    }
    return fd;
}

static int create(char path[PATH_MAX], const char *dir, const char *kept, char *err,
                  size_t err_len) {
    int rc = file_join(path, PATH_MAX, dir, PREFIX "XXXXXX");
    if (rc == 0 && !mkdtemp(path)) {
        rc = -errno;
    }
    if (rc < 0) {
        path[0] = '\0';
        return error_set(err, err_len, -1, "%s: %s", dir, strerror(-rc));
    }
    if (remove_others(dir, path, kept, err, err_len) < 0) {
        staging_remove(path);
        path[0] = '\0';
        return -1;
    }
    return 0;
}

int staging_create(char path[PATH_MAX], const char *dir, const char *kept, char *err,
                   size_t err_len) {
    int rc = file_make_dirs(dir);
    if (rc < 0) {
        path[0] = '\0';
        return error_set(err, err_len, -1, "%s: %s", dir, strerror(-rc));
    }
    int turn = take_turn(dir);
    rc = create(path, dir, kept, err, err_len);
    if (turn >= 0) {
        close(turn);
    }
    return rc;
}

bool staging_is_lost(const char *path) {
    char dir[PATH_MAX];
    snprintf(dir, sizeof(dir), "%s", path);
    char *slash = strrchr(dir, '/');
    if (!slash || access(path, F_OK) == 0 || errno != ENOENT) {
        return false;
    }
    *slash = '\0';
    DIR *d = opendir(dir);
    bool other = false;
    for (struct dirent *e; d && !other && (e = readdir(d)) != NULL;) {
        other = strncmp(e->d_name, PREFIX, strlen(PREFIX)) == 0;
    }
    if (d) {
        closedir(d);
    }
    return other; // else the run directory is being removed
}

void staging_remove(const char *path) {
    if (path[0]) {
        rmdir(path);
    }
}
