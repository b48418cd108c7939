// SPDX-License-Identifier: MIT
// Where the frames of `spur render` go: an MP4 file, made by ffmpeg behind a
// pipe, and a folder of PNG files; either or both.
#ifndef SPUR_CLI_PLAY_VIDEO_H
#define SPUR_CLI_PLAY_VIDEO_H

#include <stddef.h>
#include <stdint.h>

struct video;

// mp4, png_dir: NULL when not wanted; the folder is made. NULL with a sentence
// in err. SIGPIPE must be ignored: an ffmpeg that ends early is an error here.
struct video *video_open(const char *mp4, const char *png_dir, int width, int height,
                         double frames_per_second, char *err, size_t err_len);
// rgb: (height, width, 3), upper row first. 0, or -1 with a sentence in err.
int video_add(struct video *f, const uint8_t *rgb, char *err, size_t err_len);
// Completes the files; mp4 appears under its name only now. 0, or -1 with a
// sentence in err. *f is gone in either case.
int video_close(struct video **f, char *err, size_t err_len);
// Leaves no MP4, for those who give up.
void video_discard(struct video **f);

#endif
