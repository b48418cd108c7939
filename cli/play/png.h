// SPDX-License-Identifier: MIT
// A picture as a PNG file (RGB, 8 bits a channel).
#ifndef SPUR_CLI_PLAY_PNG_H
#define SPUR_CLI_PLAY_PNG_H

#include <stdint.h>

// rgb: (height, width, 3), upper row first. 0, or a negative errno.
int png_write(const char *path, const uint8_t *rgb, int width, int height);

#endif
