// SPDX-License-Identifier: MIT
// Writer of PNG files (RGB, 8 bits per channel).
#ifndef SPUR_CLI_PLAY_PNG_H
#define SPUR_CLI_PLAY_PNG_H

#include <stdint.h>

// rgb (height, width, 3), top row first. Returns 0 or a negative errno.
int png_write(const char *path, const uint8_t *rgb, int width, int height);

#endif
