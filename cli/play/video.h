// SPDX-License-Identifier: MIT
// Video output of `spur render`: an MP4 file, encoded by an ffmpeg process, a directory of PNG
// files, or both.
#ifndef SPUR_CLI_PLAY_VIDEO_H
#define SPUR_CLI_PLAY_VIDEO_H

#include <stddef.h>
#include <stdint.h>

struct video;

// mp4, png_dir: may be NULL; the directory is created. Returns NULL with a message in err. SIGPIPE
// must be ignored, so that an ffmpeg that exits early is reported as an error.
struct video *video_open(const char *mp4, const char *png_dir, int width, int height,
                         double frames_per_second, char *err, size_t err_len);
// Adds a frame, rgb (height, width, 3), top row first. Returns 0, or -1 with a message in err.
int video_add(struct video *f, const uint8_t *rgb, char *err, size_t err_len);
// Completes the files and renames the MP4 to its final name. Returns 0, or -1 with a message in
// err. Frees *video in either case.
int video_close(struct video **video, char *err, size_t err_len);
// Frees *video and deletes the incomplete MP4.
void video_discard(struct video **video);

#endif
