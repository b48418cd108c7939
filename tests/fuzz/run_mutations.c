// SPDX-License-Identifier: MIT
// Runs a fuzz target without libFuzzer: every sample, and random changes of it from a fixed seed.
//
//   mutations_NAME [CHANGES [SEED]]   CHANGES of each sample (default 2000)
//   mutations_NAME --write DIR        writes the samples there: the first corpus of libFuzzer
//   mutations_NAME --file FILE...     runs the inputs in these files, as libFuzzer found them
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/check.h"
#include "common/base/file.h"
#include "common/base/rng.h"
#include "tests/fuzz/fuzz.h"

static struct rng rng;
static uint8_t sample[FUZZ_SAMPLE_MAX], other[FUZZ_SAMPLE_MAX], changed[2 * FUZZ_SAMPLE_MAX];

static size_t below(size_t n) {
    return rng_below(&rng, (uint32_t)n);
}

// A piece of another sample replaces what is there.
static void put_piece(uint8_t *out, size_t len, size_t at, size_t other_len) {
    size_t from = below(other_len), n = 1 + below(64);
    n = n < len - at ? n : len - at;
    memcpy(out + at, other + from, n < other_len - from ? n : other_len - from);
}

// Numbers in text that parsers get wrong.
static void put_number(uint8_t *out, size_t len, size_t at) {
    static const char *const numbers[] = {"-1",  "0",   "1e999", "18446744073709551615",
                                          "nan", "4e9", "",      "9007199254740993"};
    const char *text = numbers[below(sizeof(numbers) / sizeof(numbers[0]))];
    size_t n = strlen(text);
    memcpy(out + at, text, n < len - at ? n : len - at);
}

// One to four changes of out. Returns the new size, at most twice the old one.
static size_t change(uint8_t *out, size_t len, size_t other_len) {
    size_t room = 2 * len;
    for (size_t n = 1 + below(4); n > 0 && len > 0; n--) {
        size_t at = below(len), piece = 1 + below(len - at);
        switch (below(8)) {
        case 0:
            out[at] ^= (uint8_t)(1u << below(8));
            break;
        case 1:
            out[at] = (uint8_t)below(256);
            break;
        case 2:
            len = at;
            break;
        case 3:
            if (len + piece <= room) {
                memmove(out + at + piece, out + at, len - at);
                len += piece;
            }
            break;
        case 4:
            memmove(out + at, out + at + piece, len - at - piece);
            len -= piece;
            break;
        case 5:
            put_piece(out, len, at, other_len);
            break;
        case 6:
            put_number(out, len, at);
            break;
        default:
            memset(out + at, below(2) ? 0xff : 0, piece < 10 ? piece : 10);
            break;
        }
    }
    return len;
}

static void write_samples(const char *dir) {
    size_t len;
    for (int i = 0; (len = fuzz_sample(i, sample)) > 0; i++) {
        char path[4096];
        snprintf(path, sizeof(path), "%s/sample-%d", dir, i);
        CHECK(file_write_atomic(path, sample, len) == 0);
    }
}

static void run_file(const char *path) {
    char *data;
    size_t len;
    CHECK(file_read_all(&data, &len, path, 1 << 26) == 0);
    LLVMFuzzerTestOneInput((const uint8_t *)data, len);
    free(data);
}

static void run_samples(unsigned long changes, uint64_t seed) {
    size_t len;
    int samples = 0;
    for (; (len = fuzz_sample(samples, sample)) > 0; samples++) {
        unsigned long before = fuzz_accepted();
        LLVMFuzzerTestOneInput(sample, len);
        if (fuzz_accepted() != before + 1) {
            fprintf(stderr, "sample %d is refused\n", samples);
            exit(1);
        }
        size_t other_len = fuzz_sample(samples / 2, other);
        rng = rng_make(seed, RNG_TEST, (uint64_t)samples);
        for (unsigned long i = 0; i < changes; i++) {
            memcpy(changed, sample, len);
            LLVMFuzzerTestOneInput(changed, change(changed, len, other_len));
        }
    }
    CHECK(samples > 0);
    printf("seed %" PRIu64 ": %d samples and %lu changes of each: %lu accepted, all others were "
           "refused\n",
           seed, samples, changes, fuzz_accepted());
}

int main(int argc, char **argv) {
    LLVMFuzzerInitialize(&argc, &argv);
    if (argc == 3 && strcmp(argv[1], "--write") == 0) {
        write_samples(argv[2]);
        return 0;
    }
    if (argc > 2 && strcmp(argv[1], "--file") == 0) {
        for (int i = 2; i < argc; i++) {
            run_file(argv[i]);
        }
        return 0;
    }
    run_samples(argc > 1 ? strtoul(argv[1], NULL, 10) : 2000,
                argc > 2 ? strtoull(argv[2], NULL, 10) : 1);
    return 0;
}
