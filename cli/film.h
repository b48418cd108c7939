// SPDX-License-Identifier: MIT
// Where the frames of `spur render` go: an MP4 file, made by ffmpeg behind a
// pipe, and a folder of PNG files; either or both.
#ifndef SPUR_CLI_FILM_H
#define SPUR_CLI_FILM_H

#include <stddef.h>
#include <stdint.h>

struct film;

// mp4, png_dir: NULL when not wanted; the folder is made. NULL with a sentence
// in err. SIGPIPE must be ignored: an ffmpeg that ends early is an error here.
struct film *film_open(const char *mp4, const char *png_dir, int width, int height,
                       double frames_per_second, char *err, size_t err_len);
// rgb: (height, width, 3), upper row first. 0, or -1 with a sentence in err.
int film_add(struct film *f, const uint8_t *rgb, char *err, size_t err_len);
// Completes the files; mp4 appears under its name only now. 0, or -1 with a
// sentence in err. *f is gone in either case.
int film_close(struct film **f, char *err, size_t err_len);
// Leaves no MP4, for those who give up.
void film_discard(struct film **f);

#endif
