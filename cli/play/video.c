// SPDX-License-Identifier: MIT
// Video output: raw frames through a pipe to ffmpeg, and PNG files.
#include "cli/play/video.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli/play/png.h"
#include "common/base/check.h"
#include "common/base/file.h"

extern char **environ;

struct video {
    int width, height;
    uint64_t frames;
    const char *png_dir; // borrowed; NULL: none
    const char *mp4;     // borrowed; NULL: none
    char part[PATH_MAX]; // incomplete MP4, renamed when complete
    pid_t ffmpeg;
    int pipe; // to ffmpeg's standard input
};

// ---- ffmpeg ----

static int start_ffmpeg(struct video *f, double frames_per_second, char *err, size_t err_len) {
    char size[32], rate[32], out[PATH_MAX + 8];
    if (snprintf(f->part, sizeof(f->part), "%s.part", f->mp4) >= (int)sizeof(f->part)) {
        snprintf(err, err_len, "%.60s...: the path is too long", f->mp4);
        return -1;
    }
    // Checked here, as ffmpeg's message would name the .part file.
    FILE *probe = fopen(f->part, "wb");
    if (!probe || fclose(probe) != 0) {
        snprintf(err, err_len, "%s cannot be written: %s", f->mp4, strerror(errno));
        return -1;
    }
    snprintf(size, sizeof(size), "%dx%d", f->width, f->height);
    snprintf(rate, sizeof(rate), "%.9g", frames_per_second);
    snprintf(out, sizeof(out), "file:%s", f->part); // a name may look like an option or a URL
    // yuv420p is supported by all players.
    const char *const args[] = {
        "ffmpeg",   "-y",      "-loglevel",  "error",      "-f", "rawvideo", "-pix_fmt", "rgb24",
        "-s",       size,      "-framerate", rate,         "-i", "pipe:0",   "-c:v",     "libx264",
        "-pix_fmt", "yuv420p", "-movflags",  "+faststart", "-f", "mp4",      out,        NULL};
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) < 0) {
        snprintf(err, err_len, "cannot create a pipe to ffmpeg: %s", strerror(errno));
        unlink(f->part);
        return -1;
    }
    posix_spawn_file_actions_t actions;
    CHECK(posix_spawn_file_actions_init(&actions) == 0);
    CHECK(posix_spawn_file_actions_adddup2(&actions, ends[0], STDIN_FILENO) == 0);
    int status = posix_spawnp(&f->ffmpeg, "ffmpeg", &actions, NULL, (char *const *)args, environ);
    posix_spawn_file_actions_destroy(&actions);
    close(ends[0]);
    if (status != 0) {
        f->ffmpeg = 0;
        close(ends[1]);
        unlink(f->part);
        snprintf(err, err_len,
                 status == ENOENT ? "MP4 output needs the program ffmpeg, which is not installed "
                                    "(Debian's package ffmpeg); --png DIR works without it"
                                  : "cannot start ffmpeg: %s",
                 strerror(status));
        return -1;
    }
    f->pipe = ends[1];
    return 0;
}

// Waits for ffmpeg to exit; returns whether it succeeded.
static bool end_ffmpeg(struct video *f) {
    int status;
    close(f->pipe);
    while (waitpid(f->ffmpeg, &status, 0) < 0) {
        CHECK(errno == EINTR);
    }
    f->ffmpeg = 0;
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static bool write_all(int fd, const uint8_t *data, size_t len) {
    while (len > 0) {
        ssize_t n = write(fd, data, len);
        if (n < 0 && errno != EINTR) {
            return false;
        }
        data += n > 0 ? n : 0;
        len -= n > 0 ? (size_t)n : 0;
    }
    return true;
}

// ---- public functions ----

struct video *video_open(const char *mp4, const char *png_dir, int width, int height,
                         double frames_per_second, char *err, size_t err_len) {
    CHECK(mp4 || png_dir);
    struct video *f = xcalloc(1, sizeof(*f));
    f->width = width;
    f->height = height;
    f->png_dir = png_dir;
    f->mp4 = mp4;
    int status = png_dir ? file_make_dirs(png_dir) : 0;
    if (status < 0) {
        snprintf(err, err_len, "%s: the folder cannot be created: %s", png_dir, strerror(-status));
    }
    if (status < 0 || (mp4 && start_ffmpeg(f, frames_per_second, err, err_len) < 0)) {
        free(f);
        return NULL;
    }
    return f;
}

int video_add(struct video *f, const uint8_t *rgb, char *err, size_t err_len) {
    if (f->png_dir) {
        char path[PATH_MAX];
        int status = -ENAMETOOLONG;
        if (snprintf(path, sizeof(path), "%s/%06llu.png", f->png_dir,
                     (unsigned long long)f->frames) < (int)sizeof(path)) {
            status = png_write(path, rgb, f->width, f->height);
        }
        if (status < 0) {
            snprintf(err, err_len, "%s: a frame cannot be written: %s", f->png_dir,
                     strerror(-status));
            return -1;
        }
    }
    if (f->mp4 && !write_all(f->pipe, rgb, (size_t)f->width * (size_t)f->height * 3)) {
        snprintf(err, err_len, "%s: ffmpeg exited early; see its message above", f->mp4);
        return -1;
    }
    f->frames++;
    return 0;
}

int video_close(struct video **video, char *err, size_t err_len) {
    struct video *f = *video;
    int rc = 0;
    if (f->mp4 && !end_ffmpeg(f)) {
        snprintf(err, err_len, "%s: ffmpeg failed; see its message above", f->mp4);
        rc = -1;
    } else if (f->mp4 && rename(f->part, f->mp4) < 0) {
        snprintf(err, err_len, "%s cannot be written: %s", f->mp4, strerror(errno));
        rc = -1;
    }
    if (rc < 0) {
        unlink(f->part);
    }
    free(f);
    *video = NULL;
    return rc;
}

void video_discard(struct video **video) {
    struct video *f = *video;
    if (!f) {
        return;
    }
    if (f->mp4) {
        end_ffmpeg(f);
        unlink(f->part);
    }
    free(f);
    *video = NULL;
}
