// SPDX-License-Identifier: MIT
// Safetensors: round trips, byte layout and rejection of malformed files.
//
// Truncated files, overlapping tensors, wrong sizes and other formats are refused with a message. A
// small fuzzer flips bytes of a valid file: tensors of accepted files must be within the file,
// refusals must have a message.
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/file.h"
#include "common/base/rng.h"
#include "common/nn/safetensors.h"

static char dir[] = "/tmp/spur-test-checkpoint-XXXXXX";
static char path[64];

static int set_up(void **state) {
    (void)state;
    if (!mkdtemp(dir)) {
        return -1;
    }
    snprintf(path, sizeof(path), "%s/x.safetensors", dir);
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    unlink(path);
    return rmdir(dir);
}

static const float weights[6] = {1.5f, -2.0f, 3.25f, 0.0f, 1e-40f, 7.0f};
static const uint64_t counters[2] = {UINT64_MAX, 42};
static const uint8_t flags[3] = {1, 0, 255};
static const double exact[1] = {0.1};

static void write_example(void) {
    const struct tensor tensors[] = {
        tensor_make("flags", TENSOR_U8, flags, 1, (const uint64_t[]){3}),
        tensor_make("policy.weight", TENSOR_F32, weights, 2, (const uint64_t[]){2, 3}),
        tensor_u64("counters", counters, 2),
        tensor_make("exact", TENSOR_F64, exact, 0, NULL),
        tensor_f32("empty", NULL, 0),
    };
    const struct safetensors_meta meta[] = {{"task", "hopper"}, {"note", "\"quoted\" \xc3\xa9"}};
    char err[256] = "";
    if (safetensors_write(path, tensors, 5, meta, 2, err, sizeof(err)) < 0) {
        fail_msg("%s", err);
    }
}

static struct safetensors *open_good(void) {
    char err[512] = "";
    struct safetensors *c = safetensors_open(path, err, sizeof(err));
    if (!c) {
        fail_msg("%s", err);
    }
    return c;
}

static void round_trip(void **state) {
    (void)state;
    char err[256] = "";
    write_example();
    struct safetensors *c = open_good();
    assert_int_equal(safetensors_count(c), 5);
    assert_string_equal(safetensors_meta_value(c, "task"), "hopper");
    assert_string_equal(safetensors_meta_value(c, "note"), "\"quoted\" \xc3\xa9");
    assert_null(safetensors_meta_value(c, "absent"));
    float w[6];
    uint64_t n[2];
    assert_int_equal(safetensors_copy_f32(c, "policy.weight", w, 6, err, sizeof(err)), 0);
    assert_memory_equal(w, weights, sizeof(w));
    assert_int_equal(safetensors_copy_u64(c, "counters", n, 2, err, sizeof(err)), 0);
    assert_memory_equal(n, counters, sizeof(n));
    const struct tensor *t = safetensors_find(c, "policy.weight");
    assert_true(t->dims == 2 && t->shape[0] == 2 && t->shape[1] == 3 && t->type == TENSOR_F32);
    t = safetensors_find(c, "flags");
    assert_memory_equal(t->data, flags, sizeof(flags));
    t = safetensors_find(c, "exact");
    assert_true(t->dims == 0 && *(const double *)t->data == 0.1);
    assert_null(safetensors_find(c, "absent"));
    // In file order, each aligned to its type, whatever the order it was given in.
    for (int i = 0; i < safetensors_count(c); i++) {
        t = safetensors_at(c, i);
        assert_true((uintptr_t)t->data % (t->type == TENSOR_F32  ? 4
                                          : t->type == TENSOR_U8 ? 1
                                                                 : 8) ==
                    0);
        assert_true(i == 0 ||
                    (const char *)t->data >= (const char *)safetensors_at(c, i - 1)->data);
    }
    safetensors_close(&c);
    assert_null(c);
    safetensors_close(&c); // harmless
}

static void copies_check_type_and_size(void **state) {
    (void)state;
    char err[256];
    float w[8] = {0};
    uint64_t n[8] = {0};
    write_example();
    struct safetensors *c = open_good();
    assert_int_equal(safetensors_copy_f32(c, "absent", w, 6, err, sizeof(err)), -1);
    assert_string_equal(err, "tensor absent: missing");
    assert_int_equal(safetensors_copy_f32(c, "policy.weight", w, 7, err, sizeof(err)), -1);
    assert_string_equal(err, "tensor policy.weight: 6 elements, expected 7");
    assert_int_equal(safetensors_copy_f32(c, "counters", w, 2, err, sizeof(err)), -1);
    assert_string_equal(err, "tensor counters: dtype is U64, not F32");
    assert_int_equal(safetensors_copy_u64(c, "policy.weight", n, 6, err, sizeof(err)), -1);
    assert_true(w[0] == 0 && n[0] == 0);
    safetensors_close(&c);
}

// CRC-32 bit by bit, as its definition has it.
static uint32_t crc32_of(const char *bytes, size_t len) {
    uint32_t crc = UINT32_MAX;
    for (size_t i = 0; i < 8 * len; i++) {
        uint32_t bit = (uint32_t)(unsigned char)bytes[i / 8] >> (i % 8) & 1;
        crc = (crc >> 1) ^ (((crc ^ bit) & 1) * 0xedb88320u);
    }
    return ~crc;
}

// The bytes as in the format's specification.
static void layout_of_the_file(void **state) {
    (void)state;
    char err[256], *bytes;
    size_t len;
    const struct tensor t = tensor_make("w", TENSOR_F32, weights, 2, (const uint64_t[]){3, 2});
    assert_int_equal(safetensors_write(path, &t, 1, NULL, 0, err, sizeof(err)), 0);
    assert_int_equal(file_read_all(&bytes, &len, path, 4096), 0);
    const char *header = "{\"__metadata__\":{\"checksum\":\"crc32 00000000\"},"
                         "\"w\":{\"dtype\":\"F32\",\"shape\":[3,2],\"data_offsets\":[0,24]}}";
    char *digits = memmem(bytes, len, "crc32 ", 6), sum[9];
    assert_non_null(digits);
    digits += 6;
    memcpy(sum, digits, 8);
    sum[8] = '\0';
    memset(digits, '0', 8);
    assert_int_equal(strtoul(sum, NULL, 16), crc32_of(bytes, len));
    size_t padded = (strlen(header) + 7) / 8 * 8;
    assert_int_equal(len, 8 + padded + 24);
    assert_int_equal((unsigned char)bytes[0], padded); // little-endian
    for (int i = 1; i < 8; i++) {
        assert_int_equal(bytes[i], 0);
    }
    assert_memory_equal(bytes + 8, header, strlen(header));
    for (size_t i = strlen(header); i < padded; i++) {
        assert_int_equal(bytes[8 + i], ' ');
    }
    assert_memory_equal(bytes + 8 + padded, weights, 24);
    free(bytes);
}

static void writing_refuses(void **state) {
    (void)state;
    char err[256] = "";
    const struct tensor twice[] = {tensor_f32("a", weights, 1), tensor_f32("a", weights, 1)};
    assert_int_equal(safetensors_write(path, twice, 2, NULL, 0, err, sizeof(err)), -1);
    assert_non_null(strstr(err, "tensor a: given twice"));
    const struct tensor bad = tensor_f32("\xff", weights, 1);
    assert_int_equal(safetensors_write(path, &bad, 1, NULL, 0, err, sizeof(err)), -1);
    const struct tensor huge =
        tensor_make("h", TENSOR_F32, weights, 2, (const uint64_t[]){UINT64_MAX, 2});
    assert_int_equal(safetensors_write(path, &huge, 1, NULL, 0, err, sizeof(err)), -1);
    assert_non_null(strstr(err, "too large"));
    const struct tensor good = tensor_f32("a", weights, 1);
    assert_int_equal(safetensors_write("/nonexistent-dir/x", &good, 1, NULL, 0, err, sizeof(err)),
                     -1);
    assert_string_equal(err, "/nonexistent-dir/x: cannot be written: No such file or directory");
}

// Writes a file with this header (padded) and the given number of data bytes.
static void write_raw(const char *header, size_t data_len) {
    char file[2048] = {0};
    size_t padded = (strlen(header) + 7) / 8 * 8;
    assert_true(8 + padded + data_len <= sizeof(file));
    file[0] = (char)(padded & 255);
    file[1] = (char)(padded >> 8);
    memset(file + 8, ' ', padded);
    memcpy(file + 8, header, strlen(header));
    assert_int_equal(file_write_atomic(path, file, 8 + padded + data_len), 0);
}

static void assert_refused(const char *why) {
    char err[512] = "";
    struct safetensors *c = safetensors_open(path, err, sizeof(err));
    assert_null(c);
    if (!strstr(err, why) || strncmp(err, path, strlen(path)) != 0) {
        fail_msg("'%s' does not name the file and '%s'", err, why);
    }
}

static void hostile_headers(void **state) {
    (void)state;
#define A(dtype, shape, offsets)                                                                   \
    "{\"a\":{\"dtype\":" dtype ",\"shape\":" shape ",\"data_offsets\":" offsets "}}"
#define TWO(first, second)                                                                         \
    "{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":" first "},"                         \
    "\"b\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":" second "}}"
    static const struct {
        const char *header;
        size_t data_len;
        const char *why;
    } cases[] = {
        {"", 0, "not a JSON object"},
        {"[]", 0, "not a JSON object"},
        {"{\"a\":", 0, "not a JSON object"},
        {"{\"a\":1}", 0, "not an object"},
        {A("\"BF16\"", "[2]", "[0,4]"), 4, "dtype is BF16"},
        {A("3", "[2]", "[0,4]"), 4, "dtype is missing"},
        {A("\"F32\"", "2", "[0,8]"), 8, "shape "},
        {A("\"F32\"", "[1,1,1,1,1]", "[0,4]"), 4, "shape "},
        {A("\"F32\"", "[-2]", "[0,8]"), 8, "shape "},
        {A("\"F32\"", "[2.0]", "[0,8]"), 8, "shape "},
        {A("\"F32\"", "[3]", "[0,8]"), 8, "do not match"},
        {A("\"F32\"", "[1]", "[0,8]"), 8, "do not match"},
        {A("\"F32\"", "[4611686018427387904,4]", "[0,0]"), 0, "do not match"}, // 2^64 elements
        {A("\"F32\"", "[2305843009213693952]", "[0,0]"), 0, "do not match"},   // 2^63 bytes
        {A("\"F32\"", "[2]", "[0,16]"), 8, "truncated"},
        {A("\"F32\"", "[2]", "[8,0]"), 8, "begin and an end"},
        {A("\"F32\"", "[2]", "[-8,0]"), 8, "begin and an end"},
        {A("\"F32\"", "[2]", "[0,8,16]"), 8, "begin and an end"},
        {A("\"F32\"", "[2]", "[0]"), 8, "begin and an end"},
        {A("\"F32\"", "[2]", "[0,18446744073709551616]"), 8, "not a JSON object"},
        {A("\"F32\"", "[2]", "[0,8]"), 12, "belong to no tensor"},
        {A("\"F32\"", "[2]", "[4,12]"), 12, "gap before it"},
        {A("\"F32\"", "[2]", "[2,10]"), 12, "not aligned"},
        {TWO("[0,8]", "[4,12]"), 12, "overlaps"},
        {TWO("[0,8]", "[0,8]"), 8, "overlaps"},
        {TWO("[0,8]", "[12,20]"), 20, "gap before it"},
        {"{\"a\":{},\"a\":{}}", 0, "not a JSON object"}, // duplicate name
        {"{\"__metadata__\":7}", 0, "metadata is not an object"},
        {"{\"__metadata__\":{\"k\":7}}", 0, "metadata k is not a string"},
        {"{}", 3, "belong to no tensor"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        write_raw(cases[i].header, cases[i].data_len);
        assert_refused(cases[i].why);
    }
    char err[256], name[400];
    memset(name, 'n', sizeof(name));
    memcpy(name + 200, "\":{}}", 6);
    memcpy(name, "{\"", 2);
    write_raw(name, 0);
    assert_refused("name is longer");
    // Unusual but valid.
    write_raw("{}", 0);
    struct safetensors *c = safetensors_open(path, err, sizeof(err));
    assert_non_null(c);
    assert_int_equal(safetensors_count(c), 0);
    safetensors_close(&c);
}

static void files_of_another_kind(void **state) {
    (void)state;
    unlink(path);
    assert_refused("No such file");
    assert_int_equal(file_write_atomic(path, "", 0), 0);
    assert_refused("too few");
    assert_int_equal(file_write_atomic(path, "\x89PNG\r\n\x1a\n and so on", 18), 0);
    assert_refused("not a safetensors file");
    assert_int_equal(file_write_atomic(path, "\xff\xff\xff\xff\xff\xff\xff\xff{}", 10), 0);
    assert_refused("not a safetensors file");
    assert_int_equal(file_write_atomic(path, "\x40\0\0\0\0\0\0\0{}", 10), 0);
    assert_refused("truncated");
    assert_int_equal(file_write_atomic(path, "\x03\0\0\0\0\0\0\0{} ", 11), 0);
    assert_refused("multiple of eight");
}

// Writes without the sync of file_write_atomic, and into the old blocks, which would make this
// slow.
static void write_quickly(const char *bytes, size_t len) {
    int fd = open(path, O_WRONLY | O_CREAT, 0600);
    assert_true(fd >= 0);
    assert_int_equal(pwrite(fd, bytes, len, 0), len);
    assert_int_equal(ftruncate(fd, (off_t)len), 0);
    assert_int_equal(close(fd), 0);
}

static void every_truncation_is_refused(void **state) {
    (void)state;
    char *bytes;
    size_t len;
    write_example();
    assert_int_equal(file_read_all(&bytes, &len, path, 1 << 20), 0);
    for (size_t n = 0; n < len; n++) {
        write_quickly(bytes, n);
        assert_refused("cannot be read");
    }
    free(bytes);
}

static unsigned sum_of_bytes(const struct safetensors *c) {
    static const size_t sizes[] = {
        [TENSOR_F32] = 4, [TENSOR_F64] = 8, [TENSOR_U8] = 1, [TENSOR_U64] = 8};
    unsigned sum = 0;
    for (int i = 0; i < safetensors_count(c); i++) {
        const struct tensor *t = safetensors_at(c, i);
        size_t n = sizes[t->type];
        for (int d = 0; d < t->dims; d++) {
            n *= t->shape[d];
        }
        for (size_t k = 0; k < n; k++) {
            sum += ((const unsigned char *)t->data)[k];
        }
    }
    return sum;
}

// A damaged byte is found, unless it is part of the name under which the checksum is.
static void every_damaged_byte_is_refused(void **state) {
    (void)state;
    char *bytes, err[512];
    size_t len;
    write_example();
    assert_int_equal(file_read_all(&bytes, &len, path, 1 << 20), 0);
    const char *key = memmem(bytes, len, "checksum", 8),
               *meta = memmem(bytes, len, "__metadata__", 12);
    int accepted = 0;
    for (size_t i = 0; i < len; i++) {
        bytes[i] ^= 1 << (i % 8);
        write_quickly(bytes, len);
        struct safetensors *c = safetensors_open(path, err, sizeof(err));
        bool in_name = (bytes + i >= key && bytes + i < key + 8) ||
                       (bytes + i >= meta && bytes + i < meta + 12);
        if (c && !in_name) {
            fail_msg("byte %zu of %zu is damaged, and the file is accepted", i, len);
        }
        accepted += c != NULL;
        safetensors_close(&c);
        bytes[i] ^= 1 << (i % 8);
    }
    assert_true(accepted <= 20);
    // In the data nothing but the checksum finds it.
    bytes[len - 1] ^= 1;
    write_quickly(bytes, len);
    assert_refused("it is damaged: its checksum is crc32 ");
    free(bytes);
}

// A file of an earlier build: the parser has no checksum to lean on.
static void hide_checksum(char *bytes, size_t len) {
    char *key = memmem(bytes, len, "checksum", 8);
    assert_non_null(key);
    key[0] = 'C';
}

static void a_file_without_checksum_is_read(void **state) {
    (void)state;
    char *bytes;
    size_t len;
    write_example();
    assert_int_equal(file_read_all(&bytes, &len, path, 1 << 20), 0);
    hide_checksum(bytes, len);
    write_quickly(bytes, len);
    struct safetensors *c = open_good();
    assert_int_equal(safetensors_count(c), 5);
    safetensors_close(&c);
    free(bytes);
}

static void flipped_bytes(void **state) {
    (void)state;
    enum { ROUNDS = 20000, SEED = 1 };
    char *bytes;
    size_t len;
    write_example();
    assert_int_equal(file_read_all(&bytes, &len, path, 1 << 20), 0);
    hide_checksum(bytes, len);
    char *hurt = malloc(len);
    struct rng rng = rng_make(SEED, RNG_TEST, 30);
    int accepted = 0, refused = 0;
    unsigned sum = 0;
    for (int round = 0; round < ROUNDS; round++) {
        memcpy(hurt, bytes, len);
        int flips = 1 + (int)rng_below(&rng, 3);
        for (int i = 0; i < flips; i++) {
            static const char alphabet[] = "0123456789[]{}\",:-";
            uint32_t at = rng_below(&rng, (uint32_t)len);
            hurt[at] = rng_below(&rng, 2) ? (char)rng_u32(&rng)
                                          : alphabet[rng_below(&rng, sizeof(alphabet) - 1)];
        }
        write_quickly(hurt, len);
        char err[512] = "";
        struct safetensors *c = safetensors_open(path, err, sizeof(err));
        if (c) {
            sum += sum_of_bytes(c); // checked by AddressSanitizer
            accepted++;
            safetensors_close(&c);
        } else {
            assert_true(strlen(err) > strlen(path));
            refused++;
        }
    }
    print_message("          seed %d: %d accepted, %d refused (sum %u)\n", SEED, accepted, refused,
                  sum);
    assert_true(accepted > 0 && refused > ROUNDS / 2);
    free(hurt);
    free(bytes);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(round_trip),
        cmocka_unit_test(copies_check_type_and_size),
        cmocka_unit_test(layout_of_the_file),
        cmocka_unit_test(writing_refuses),
        cmocka_unit_test(hostile_headers),
        cmocka_unit_test(files_of_another_kind),
        cmocka_unit_test(every_truncation_is_refused),
        cmocka_unit_test(every_damaged_byte_is_refused),
        cmocka_unit_test(a_file_without_checksum_is_read),
        cmocka_unit_test(flipped_bytes),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
