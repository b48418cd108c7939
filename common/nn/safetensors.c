// SPDX-License-Identifier: MIT
// Safetensors: header as JSON (the only user of jansson here), data by writev and one read.
#include "common/nn/safetensors.h"

#include <endian.h>
#include <errno.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>

#include "common/base/check.h"
#include "common/base/checksum.h"
#include "common/base/error.h"
#include "common/base/file.h"

// Limits on files read. The largest file is a learner's checkpoint with its replay buffer; a header
// has about 100 bytes per tensor.
#define FILE_BYTES_MAX (UINT64_C(16) << 30)
#define HEADER_BYTES_MAX (UINT64_C(1) << 20)
#define TENSORS_MAX 4096
#define META_KEY "__metadata__"
// The metadata's entry "checksum" is this and eight hexadecimal digits: the checksum of the whole
// file with '0' for each of the digits. Files of earlier builds have none.
#define SUM_KEY "checksum"
#define SUM_PREFIX "crc32 "
enum { SUM_DIGITS = 8, SUM_LEN = sizeof(SUM_PREFIX) - 1 + SUM_DIGITS };
static const char no_digits[] = "00000000";

static const struct {
    const char *name;
    size_t size;
} types[] = {
    [TENSOR_F32] = {"F32", 4},
    [TENSOR_F64] = {"F64", 8},
    [TENSOR_U8] = {"U8", 1},
    [TENSOR_U64] = {"U64", 8},
};
#define TYPES ((int)(sizeof(types) / sizeof(types[0])))

// Size of a tensor's data. False if it exceeds 63 bits.
static bool tensor_bytes(uint64_t *bytes, const struct tensor *t) {
    uint64_t n = types[t->type].size;
    for (int i = 0; i < t->dims; i++) {
        if (__builtin_mul_overflow(n, t->shape[i], &n)) {
            return false;
        }
    }
    *bytes = n;
    return n <= INT64_MAX;
}

size_t tensor_size(const struct tensor *t) {
    uint64_t bytes;
    CHECK(tensor_bytes(&bytes, t));
    return (size_t)bytes;
}

static uint64_t tensor_elements(const struct tensor *t) {
    return tensor_size(t) / types[t->type].size;
}

struct tensor tensor_make(const char *name, enum tensor_type type, const void *data, int dims,
                          const uint64_t *shape) {
    CHECK(dims >= 0);
    CHECK(dims <= TENSOR_DIMS_MAX);
    CHECK(strlen(name) < TENSOR_NAME_MAX);
    struct tensor t = {.type = type, .dims = dims, .data = data};
    memcpy(t.name, name, strlen(name) + 1);
    for (int i = 0; i < dims; i++) {
        t.shape[i] = shape[i];
    }
    return t;
}

struct tensor tensor_f32(const char *name, const float *data, uint64_t n) {
    return tensor_make(name, TENSOR_F32, data, 1, &n);
}

struct tensor tensor_u64(const char *name, const uint64_t *data, uint64_t n) {
    return tensor_make(name, TENSOR_U64, data, 1, &n);
}

// --- writing

// Header entry of a tensor whose data starts at offset. NULL if out of memory.
static json_t *describe(const struct tensor *t, uint64_t offset, uint64_t bytes) {
    json_t *shape = json_array();
    for (int i = 0; i < t->dims; i++) {
        json_array_append_new(shape, json_integer((json_int_t)t->shape[i]));
    }
    return json_pack("{s:s, s:o, s:[I,I]}", "dtype", types[t->type].name, "shape", shape,
                     "data_offsets", (json_int_t)offset, (json_int_t)(offset + bytes));
}

// Builds the header's text (gives it to the caller) and iov[0..tensor_count), the data in the order
// of the file: by decreasing element size, which aligns every tensor to its type.
static int plan(char **text, struct iovec *iov, const struct tensor *tensors, int tensor_count,
                const struct safetensors_meta *meta, int meta_count, char *err, size_t err_len) {
    int rc = -1;
    int placed = 0;
    uint64_t offset = 0;
    json_t *header = json_object(), *strings = json_object();
    json_object_set_new(header, META_KEY, strings);
    json_object_set_new(strings, SUM_KEY, json_sprintf("%s%s", SUM_PREFIX, no_digits));
    for (int i = 0; i < meta_count; i++) {
        if (json_object_set_new(strings, meta[i].key, json_string(meta[i].value)) != 0) {
            snprintf(err, err_len, "metadata %s: not valid UTF-8", meta[i].key);
            goto out;
        }
    }
    for (size_t size = 8; size > 0; size /= 2) {
        for (int i = 0; i < tensor_count; i++) {
            const struct tensor *t = &tensors[i];
            uint64_t bytes;
            if (types[t->type].size != size) {
                continue;
            }
            if (!tensor_bytes(&bytes, t) || bytes > FILE_BYTES_MAX - offset) {
                snprintf(err, err_len, "tensor %s: too large", t->name);
                goto out;
            }
            if (json_object_get(header, t->name)) {
                snprintf(err, err_len, "tensor %s: given twice", t->name);
                goto out;
            }
            if (json_object_set_new(header, t->name, describe(t, offset, bytes)) != 0) {
                snprintf(err, err_len, "tensor %s: the name is not valid UTF-8", t->name);
                goto out;
            }
            iov[placed++] = (struct iovec){.iov_base = (void *)t->data, .iov_len = bytes};
            offset += bytes;
        }
    }
    *text = json_dumps(header, JSON_COMPACT);
    if (!*text) {
        snprintf(err, err_len, "out of memory for the header");
        goto out;
    }
    rc = 0;
out:
    json_decref(header);
    return rc;
}

// Where the digits of the checksum are in the header's text; NULL: nowhere.
static char *find_digits(char *text, size_t len, const char *sum) {
    char *found = memmem(text, len, sum, SUM_LEN);
    return found ? found + SUM_LEN - SUM_DIGITS : NULL;
}

// Writes the checksum of iov, the whole file, into the header's text, which is part of it.
static void fill_sum(char *text, const struct iovec *iov, int iov_count) {
    uint32_t sum = 0;
    char digits[SUM_DIGITS + 1];
    for (int i = 0; i < iov_count; i++) {
        sum = checksum_add(sum, iov[i].iov_base, iov[i].iov_len);
    }
    snprintf(digits, sizeof(digits), "%08x", sum);
    char *to = find_digits(text, strlen(text), SUM_PREFIX "00000000");
    CHECK(to);
    memcpy(to, digits, SUM_DIGITS);
}

int safetensors_write(const char *path, const struct tensor *tensors, int tensor_count,
                      const struct safetensors_meta *meta, int meta_count, char *err,
                      size_t err_len) {
    static const char blanks[8] = "        ";
    int rc = -1;
    char *text = NULL;
    char why[256] = "";
    // Length, header, padding to a multiple of eight, tensors.
    struct iovec *iov = xcalloc((size_t)tensor_count + 3, sizeof(*iov));
    if (tensor_count > TENSORS_MAX) {
        snprintf(why, sizeof(why), "%d tensors, limit %d", tensor_count, TENSORS_MAX);
        goto out;
    }
    if (plan(&text, iov + 3, tensors, tensor_count, meta, meta_count, why, sizeof(why)) < 0) {
        goto out;
    }
    size_t length = strlen(text);
    size_t padding = (8 - length % 8) % 8;
    if (length + padding > HEADER_BYTES_MAX) {
        snprintf(why, sizeof(why), "header of %zu bytes, limit %llu", length,
                 (unsigned long long)HEADER_BYTES_MAX);
        goto out;
    }
    uint64_t prefix = htole64(length + padding);
    iov[0] = (struct iovec){.iov_base = &prefix, .iov_len = sizeof(prefix)};
    iov[1] = (struct iovec){.iov_base = text, .iov_len = length};
    iov[2] = (struct iovec){.iov_base = (void *)blanks, .iov_len = padding};
    fill_sum(text, iov, tensor_count + 3);
    int written = file_writev_atomic(path, iov, tensor_count + 3);
    if (written < 0) {
        snprintf(why, sizeof(why), "%s", strerror(-written));
        goto out;
    }
    rc = 0;
out:
    if (rc < 0) {
        snprintf(err, err_len, "%s: cannot be written: %s", path, why);
    }
    free(text);
    free(iov);
    return rc;
}

// --- reading

struct safetensors {
    char *bytes; // the whole file
    json_t *header;
    struct tensor *tensors; // in file order
    int count;
};

// A tensor as described by the header, with its range of the data. Not yet checked against others.
struct claim {
    struct tensor tensor;
    uint64_t begin, end;
};

static int read_type(struct tensor *t, const json_t *entry, char *err, size_t err_len) {
    const char *name = json_string_value(json_object_get(entry, "dtype"));
    for (int i = 0; name && i < TYPES; i++) {
        if (strcmp(name, types[i].name) == 0) {
            t->type = (enum tensor_type)i;
            return 0;
        }
    }
    snprintf(err, err_len, "dtype is %.20s, not F32, F64, U8 or U64", name ? name : "missing");
    return -1;
}

static int read_shape(struct tensor *t, const json_t *entry, char *err, size_t err_len) {
    const json_t *shape = json_object_get(entry, "shape");
    if (!json_is_array(shape) || json_array_size(shape) > TENSOR_DIMS_MAX) {
        snprintf(err, err_len, "shape is not a list of up to %d sizes", TENSOR_DIMS_MAX);
        return -1;
    }
    t->dims = (int)json_array_size(shape);
    for (int i = 0; i < t->dims; i++) {
        const json_t *size = json_array_get(shape, (size_t)i);
        if (!json_is_integer(size) || json_integer_value(size) < 0) {
            snprintf(err, err_len, "shape has an entry that is not a size");
            return -1;
        }
        t->shape[i] = (uint64_t)json_integer_value(size);
    }
    return 0;
}

static int read_offsets(struct claim *c, const json_t *entry, uint64_t data_len, char *err,
                        size_t err_len) {
    const json_t *offsets = json_object_get(entry, "data_offsets");
    const json_t *begin = json_array_get(offsets, 0), *end = json_array_get(offsets, 1);
    if (json_array_size(offsets) != 2 || !json_is_integer(begin) || !json_is_integer(end) ||
        json_integer_value(begin) < 0 || json_integer_value(end) < json_integer_value(begin)) {
        snprintf(err, err_len, "data_offsets are not a begin and an end");
        return -1;
    }
    c->begin = (uint64_t)json_integer_value(begin);
    c->end = (uint64_t)json_integer_value(end);
    if (c->end > data_len) {
        snprintf(err, err_len, "data ends beyond the end of the file; the file may be truncated");
        return -1;
    }
    uint64_t bytes;
    if (!tensor_bytes(&bytes, &c->tensor) || bytes != c->end - c->begin) {
        snprintf(err, err_len, "shape and data_offsets do not match");
        return -1;
    }
    if (c->begin % types[c->tensor.type].size != 0) {
        snprintf(err, err_len, "data is not aligned to its dtype");
        return -1;
    }
    return 0;
}

static int read_claim(struct claim *c, const char *name, const json_t *entry, uint64_t data_len,
                      char *err, size_t err_len) {
    char why[128];
    if (strlen(name) >= TENSOR_NAME_MAX) {
        snprintf(err, err_len, "a tensor name is longer than %d bytes", TENSOR_NAME_MAX - 1);
        return -1;
    }
    memcpy(c->tensor.name, name, strlen(name) + 1);
    if (!json_is_object(entry)) {
        snprintf(err, err_len, "tensor %s: header entry is not an object", name);
        return -1;
    }
    if (read_type(&c->tensor, entry, why, sizeof(why)) < 0 ||
        read_shape(&c->tensor, entry, why, sizeof(why)) < 0 ||
        read_offsets(c, entry, data_len, why, sizeof(why)) < 0) {
        snprintf(err, err_len, "tensor %s: %s", name, why);
        return -1;
    }
    return 0;
}

static int compare_claims(const void *left, const void *right) {
    const struct claim *a = left, *b = right;
    if (a->begin != b->begin) {
        return a->begin < b->begin ? -1 : 1;
    }
    return (a->end > b->end) - (a->end < b->end); // empty tensors first
}

static int check_meta(const json_t *meta, char *err, size_t err_len) {
    const char *key;
    json_t *value;
    if (meta && !json_is_object(meta)) {
        snprintf(err, err_len, "metadata is not an object");
        return -1;
    }
    json_object_foreach((json_t *)meta, key, value) {
        if (!json_is_string(value)) {
            snprintf(err, err_len, "metadata %.100s is not a string", key);
            return -1;
        }
    }
    return 0;
}

// Fills c->tensors from c->header. Every byte of the data must belong to exactly one tensor.
static int read_tensors(struct safetensors *c, const char *data, uint64_t data_len, char *err,
                        size_t err_len) {
    int rc = -1;
    size_t entries = json_object_size(c->header);
    if (entries > TENSORS_MAX) {
        snprintf(err, err_len, "%zu tensors, limit %d", entries, TENSORS_MAX);
        return -1;
    }
    struct claim *claims = xcalloc(entries, sizeof(*claims));
    const char *name;
    json_t *entry;
    json_object_foreach(c->header, name, entry) {
        if (strcmp(name, META_KEY) == 0) {
            continue;
        }
        if (read_claim(&claims[c->count], name, entry, data_len, err, err_len) < 0) {
            goto out;
        }
        c->count++;
    }
    qsort(claims, (size_t)c->count, sizeof(*claims), compare_claims);
    c->tensors = xcalloc((size_t)c->count, sizeof(*c->tensors));
    uint64_t covered = 0;
    for (int i = 0; i < c->count; i++) {
        if (claims[i].begin != covered) {
            snprintf(err, err_len, "tensor %s: %s", claims[i].tensor.name,
                     claims[i].begin < covered ? "overlaps another tensor" : "gap before it");
            goto out;
        }
        covered = claims[i].end;
        c->tensors[i] = claims[i].tensor;
        c->tensors[i].data = data + claims[i].begin;
    }
    if (covered != data_len) {
        snprintf(err, err_len, "%llu bytes at the end belong to no tensor",
                 (unsigned long long)(data_len - covered));
        goto out;
    }
    rc = 0;
out:
    free(claims);
    return rc;
}

static int check_sum(const struct safetensors *c, size_t header_len, size_t len, char *err,
                     size_t err_len) {
    const char *has = safetensors_meta_value(c, SUM_KEY);
    if (!has) {
        return 0;
    }
    char *digits =
        strlen(has) == SUM_LEN ? find_digits(c->bytes + sizeof(uint64_t), header_len, has) : NULL;
    uint32_t sum = 0;
    char is[SUM_LEN + 1] = "unknown";
    if (digits) {
        size_t before = (size_t)(digits - c->bytes), after = before + SUM_DIGITS;
        sum = checksum_add(sum, c->bytes, before);
        sum = checksum_add(sum, no_digits, SUM_DIGITS);
        sum = checksum_add(sum, c->bytes + after, len - after);
        snprintf(is, sizeof(is), "%s%08x", SUM_PREFIX, sum);
    }
    return strcmp(has, is) == 0
               ? 0
               : error_set(err, err_len, -1,
                           "it is damaged: its checksum is %s, and it records %.20s", is, has);
}

static int parse(struct safetensors *c, size_t len, char *err, size_t err_len) {
    uint64_t header_len;
    if (len < sizeof(header_len)) {
        snprintf(err, err_len, "%zu bytes are too few for a safetensors file", len);
        return -1;
    }
    memcpy(&header_len, c->bytes, sizeof(header_len));
    header_len = le64toh(header_len);
    if (header_len > HEADER_BYTES_MAX) {
        snprintf(err, err_len, "header length of %llu bytes: not a safetensors file",
                 (unsigned long long)header_len);
        return -1;
    }
    if (header_len > len - sizeof(header_len)) {
        snprintf(err, err_len, "truncated within the header");
        return -1;
    }
    json_error_t error;
    c->header =
        json_loadb(c->bytes + sizeof(header_len), header_len, JSON_REJECT_DUPLICATES, &error);
    if (!json_is_object(c->header)) {
        snprintf(err, err_len, "header is not a JSON object (%s)",
                 c->header ? "it is another JSON value" : error.text);
        return -1;
    }
    if (check_meta(json_object_get(c->header, META_KEY), err, err_len) < 0) {
        return -1;
    }
    size_t start = sizeof(header_len) + (size_t)header_len;
    if (start % 8 != 0) {
        snprintf(err, err_len, "data does not start at a multiple of eight bytes");
        return -1;
    }
    if (check_sum(c, (size_t)header_len, len, err, err_len) < 0) {
        return -1;
    }
    return read_tensors(c, c->bytes + start, len - start, err, err_len);
}

struct safetensors *safetensors_open(const char *path, char *err, size_t err_len) {
    struct safetensors *c = xmalloc(sizeof(*c));
    char why[384];
    size_t len;
    int rc = file_read_all(&c->bytes, &len, path, FILE_BYTES_MAX);
    if (rc < 0) {
        snprintf(why, sizeof(why), "%s", strerror(-rc));
    } else {
        rc = parse(c, len, why, sizeof(why));
    }
    if (rc < 0) {
        snprintf(err, err_len, "%s: cannot be read: %s", path, why);
        safetensors_close(&c);
    }
    return c;
}

void safetensors_close(struct safetensors **c) {
    if (!*c) {
        return;
    }
    free((*c)->tensors);
    json_decref((*c)->header);
    free((*c)->bytes);
    free(*c);
    *c = NULL;
}

const struct tensor *safetensors_find(const struct safetensors *c, const char *name) {
    for (int i = 0; i < c->count; i++) {
        if (strcmp(c->tensors[i].name, name) == 0) {
            return &c->tensors[i];
        }
    }
    return NULL;
}

const char *safetensors_meta_value(const struct safetensors *c, const char *key) {
    return json_string_value(json_object_get(json_object_get(c->header, META_KEY), key));
}

static int copy(void *out, const struct safetensors *c, const char *name, enum tensor_type type,
                uint64_t n, char *err, size_t err_len) {
    const struct tensor *t = safetensors_find(c, name);
    if (!t) {
        snprintf(err, err_len, "tensor %s: missing", name);
        return -1;
    }
    if (t->type != type) {
        snprintf(err, err_len, "tensor %s: dtype is %s, not %s", name, types[t->type].name,
                 types[type].name);
        return -1;
    }
    if (tensor_elements(t) != n) {
        snprintf(err, err_len, "tensor %s: %llu elements, expected %llu", name,
                 (unsigned long long)tensor_elements(t), (unsigned long long)n);
        return -1;
    }
    memcpy(out, t->data, n * types[type].size);
    return 0;
}

int safetensors_copy_f32(const struct safetensors *c, const char *name, float *out, uint64_t n,
                         char *err, size_t err_len) {
    return copy(out, c, name, TENSOR_F32, n, err, err_len);
}

int safetensors_copy_u64(const struct safetensors *c, const char *name, uint64_t *out, uint64_t n,
                         char *err, size_t err_len) {
    return copy(out, c, name, TENSOR_U64, n, err, err_len);
}

int safetensors_count(const struct safetensors *c) {
    return c->count;
}

const struct tensor *safetensors_at(const struct safetensors *c, int index) {
    CHECK(index >= 0);
    CHECK(index < c->count);
    return &c->tensors[index];
}
