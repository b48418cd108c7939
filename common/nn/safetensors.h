// SPDX-License-Identifier: MIT
// Reader and writer of the safetensors file format (https://huggingface.co/docs/safetensors).
//
// A file is the length of the header (u64, little-endian), the header (JSON, padded so that the
// data is 8-byte aligned), then the tensors without gaps. Writes are atomic. The reader treats
// files as untrusted: it checks lengths, offsets, overlaps and types, and the checksum of the whole
// file in the metadata. Files without one, as other programs write them, are read too.
#ifndef SPUR_COMMON_NN_SAFETENSORS_H
#define SPUR_COMMON_NN_SAFETENSORS_H

#include <stddef.h>
#include <stdint.h>

#define TENSOR_DIMS_MAX 4
#define TENSOR_NAME_MAX 128

enum tensor_type { TENSOR_F32, TENSOR_F64, TENSOR_U8, TENSOR_U64 };

struct tensor {
    char name[TENSOR_NAME_MAX];
    enum tensor_type type;
    int dims;
    uint64_t shape[TENSOR_DIMS_MAX];
    const void *data; // borrowed
};

// One entry of the file's metadata.
struct safetensors_meta {
    const char *key, *value;
};

struct tensor tensor_make(const char *name, enum tensor_type type, const void *data, int dims,
                          const uint64_t *shape);
struct tensor tensor_f32(const char *name, const float *data, uint64_t n); // one dimension
struct tensor tensor_u64(const char *name, const uint64_t *data, uint64_t n);
size_t tensor_size(const struct tensor *t); // bytes of its data

// Writes a file. Returns 0, or -1 with a message in err.
int safetensors_write(const char *path, const struct tensor *tensors, int tensor_count,
                      const struct safetensors_meta *meta, int meta_count, char *err,
                      size_t err_len);

struct safetensors;
// Reads a whole file into memory. Returns NULL with a message in err if it cannot be read.
struct safetensors *safetensors_open(const char *path, char *err, size_t err_len);
void safetensors_close(struct safetensors **c);
// Look up a tensor or a metadata value by name, NULL if absent. The result belongs to c.
const struct tensor *safetensors_find(const struct safetensors *c, const char *name);
const char *safetensors_meta_value(const struct safetensors *c, const char *key);
// Copies a tensor that must have exactly n elements of the type. Returns 0, or -1 with a message in
// err.
int safetensors_copy_f32(const struct safetensors *c, const char *name, float *out, uint64_t n,
                         char *err, size_t err_len);
int safetensors_copy_u64(const struct safetensors *c, const char *name, uint64_t *out, uint64_t n,
                         char *err, size_t err_len);
// Iteration over all tensors, in file order.
int safetensors_count(const struct safetensors *c);
const struct tensor *safetensors_at(const struct safetensors *c, int index);

#endif
