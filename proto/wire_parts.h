// SPDX-License-Identifier: MIT
// Internal interface of wire*.c: memory, the scan of raw bytes, conversion to and from
// protobuf-c's structs, and validation of our structs. Only proto/ includes this.
#ifndef SPUR_PROTO_WIRE_PARTS_H
#define SPUR_PROTO_WIRE_PARTS_H

#include <stddef.h>
#include <stdint.h>

#include "proto/wire.h"

// ---- memory (wire_arena.c) ----

// Memory for one message: allocated in pieces, released at once, and reused for the next
// message of similar size. Allocations beyond the budget fail.
struct arena_block;
struct arena {
    struct arena_block *blocks; // newest first
    size_t used, budget;
};
void arena_reset(struct arena *a, size_t expected, size_t budget);
void *arena_alloc(struct arena *a, size_t size); // aligned to 16; NULL beyond the budget
void arena_deinit(struct arena *a);
// Removes and returns all memory of the arena, which is then empty. Release with arena_free.
struct arena_block *arena_detach(struct arena *a);
void arena_free(struct arena_block *blocks);

// Bytes of the structs of a message with rows, and for aligning its columns.
#define WIRE_STRUCTS_BYTES_ROWS 1024

struct wire {
    struct arena packing, unpacking;
    struct Spur__Envelope *envelope; // being packed
};

// wire_pack in two steps: the first returns the number of bytes, the second writes them.
size_t wire_pack_begin(struct wire *wire, const struct wire_msg *msg);
void wire_pack_end(const struct wire *wire, void *bytes, size_t len);

// ---- raw bytes (wire_scan.c) ----

// Reads only the schema of a message. 0, or -WIRE_REFUSED_FORMAT.
int wire_scan_schema(uint32_t *schema, const void *data, size_t len, char *err, size_t err_len);
// Scans the message without allocating. Refuses bytes that do not parse, strings that are too
// long or contain NUL, repeated scalar fields, and too many sub-messages.
int wire_scan(const void *data, size_t len, char *err, size_t err_len);

// ---- conversions ----

struct Spur__Envelope;
struct Spur__Status;

// wire_body.c. Packing borrows from msg: the result is valid as long as msg is.
void wire_pack_body(struct arena *a, struct Spur__Envelope *p, const struct wire_msg *msg);
int wire_unpack_body(struct arena *a, struct wire_msg *msg, const struct Spur__Envelope *p,
                     char *err, size_t err_len);
// wire_status.c
struct Spur__Status *wire_pack_status(struct arena *a, const struct wire_status *m);
int wire_unpack_status(struct arena *a, struct wire_status *m, const struct Spur__Status *p,
                       char *err, size_t err_len);

// wire_metrics.c. The packed list borrows the names; field names the list in refusals.
struct Spur__Metric;
struct Spur__Metric **wire_pack_metrics(struct arena *a, const struct metrics *m);
int wire_unpack_metrics(struct metrics *m, size_t n, struct Spur__Metric *const *list,
                        const char *field, char *err, size_t err_len);

// Copies a string that wire_scan has accepted (or our own). Characters that are not printable
// UTF-8 become '?', so that terminals, logs and JSON need no escaping.
void wire_copy_text(char out[WIRE_STRING_MAX], const char *text);

// One list of fields per message serves both directions. In the lists NUM is for numbers and
// bools, ENUM for enums, TEXT for strings.
#define WIRE_PACK_NUM(f) p->f = m->f;
#define WIRE_PACK_ENUM(f) p->f = (int)m->f;
#define WIRE_PACK_TEXT(f) p->f = (char *)m->f;
#define WIRE_UNPACK_NUM(f) m->f = p->f;
#define WIRE_UNPACK_ENUM(f) m->f = (int)p->f;
#define WIRE_UNPACK_TEXT(f) wire_copy_text(m->f, p->f);

// ---- validation of our structs (wire_check.c) ----

// Limits, enums, terminated strings, dimensions: 0 or -WIRE_REFUSED_FORMAT.
int wire_check_form(const struct wire_msg *msg, char *err, size_t err_len);
// Numbers: 0 or -WIRE_REFUSED_VALUE. The form must be correct.
int wire_check_values(const struct wire_msg *msg, char *err, size_t err_len);

#endif
