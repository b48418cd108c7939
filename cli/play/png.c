// SPDX-License-Identifier: MIT
// PNG (W3C specification): a signature, then chunks of length, name, data and CRC: header (IHDR),
// compressed rows (IDAT), end (IEND).
#include "cli/play/png.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <zlib.h>

#include "common/base/check.h"
#include "common/base/file.h"

#define CHUNK_FRAME 12 // bytes of a chunk besides its data

static void put_u32(uint8_t *out, uint32_t x) {
    for (int i = 0; i < 4; i++) {
        out[i] = (uint8_t)(x >> (24 - 8 * i));
    }
}

// Writes a chunk; data may already be in place (out + 8). Returns its size.
static size_t put_chunk(uint8_t *out, const char name[4], const uint8_t *data, size_t len) {
    put_u32(out, (uint32_t)len);
    memcpy(out + 4, name, 4);
    memmove(out + 8, data, len);
    put_u32(out + 8 + len, (uint32_t)crc32(0, out + 4, (uInt)(4 + len)));
    return len + CHUNK_FRAME;
}

int png_write(const char *path, const uint8_t *rgb, int width, int height) {
    static const uint8_t signature[8] = {0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n'};
    CHECK(width > 0 && height > 0 && width <= 65536 && height <= 4096);
    uint8_t header[13] = {[8] = 8, [9] = 2}; // bits per channel, RGB
    put_u32(header, (uint32_t)width);
    put_u32(header + 4, (uint32_t)height);

    // Each row starts with its filter type: 0, none.
    size_t row = (size_t)width * 3, raw_len = (row + 1) * (size_t)height;
    uint8_t *raw = xmalloc(raw_len);
    for (size_t y = 0; y < (size_t)height; y++) {
        raw[y * (row + 1)] = 0;
        memcpy(raw + y * (row + 1) + 1, rgb + y * row, row);
    }
    uLongf len = compressBound((uLong)raw_len);
    uint8_t *file = xmalloc(sizeof(signature) + sizeof(header) + len + 3 * CHUNK_FRAME);
    memcpy(file, signature, sizeof(signature));
    size_t n = sizeof(signature);
    n += put_chunk(file + n, "IHDR", header, sizeof(header));
    CHECK(compress2(file + n + 8, &len, raw, (uLong)raw_len, Z_BEST_SPEED) == Z_OK);
    n += put_chunk(file + n, "IDAT", file + n + 8, len);
    n += put_chunk(file + n, "IEND", file + n + 8, 0);
    int status = file_write_atomic(path, file, n);
    free(raw);
    free(file);
    return status;
}
