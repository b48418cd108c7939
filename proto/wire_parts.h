// SPDX-License-Identifier: MIT
// The parts of wire.c, for one another: memory, the look at raw bytes, the
// conversions to and from protobuf-c's structs, and the checks of our own
// structs. Nothing outside proto/ includes this.
#ifndef SPUR_PROTO_WIRE_PARTS_H
#define SPUR_PROTO_WIRE_PARTS_H

#include <stddef.h>
#include <stdint.h>

#include "proto/wire.h"

// ---- memory (wire_arena.c) ----

// Memory for one message: taken piece by piece, given back all at once, kept
// for a next message that expects about as much. Refuses to hand out more than
// its budget, whatever a peer sends.
struct arena_block;
struct arena {
    struct arena_block *blocks; // newest first
    size_t taken, budget;
};
void arena_reset(struct arena *a, size_t expected, size_t budget);
void *arena_take(struct arena *a, size_t size); // aligned to 16; NULL beyond the budget
void arena_deinit(struct arena *a);
// Takes all memory out of the arena, which begins anew. arena_free ends it.
struct arena_block *arena_detach(struct arena *a);
void arena_free(struct arena_block *blocks);

// What the structs of a message of rows take, and aligning its columns.
#define WIRE_STRUCTS_BYTES_ROWS 1024

struct wire {
    struct arena packing, unpacking;
    struct Spur__Envelope *envelope; // being packed
};

// wire_pack in two steps: the first says how many bytes, the second writes them.
size_t wire_pack_begin(struct wire *wire, const struct wire_msg *msg);
void wire_pack_end(const struct wire *wire, void *bytes, size_t len);

// ---- refusals ----

// Writes the sentence and returns -code.
int wire_refused(char *err, size_t err_len, enum wire_refusal code, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));

// ---- raw bytes (wire_scan.c) ----

// Finds the schema of a message whatever else it holds. 0, or -WIRE_REFUSED_FORMAT.
int wire_scan_schema(uint32_t *schema, const void *data, size_t len, char *err, size_t err_len);
// Walks through the message without allocating: refuses what does not parse,
// overlong strings and NULs in them, repeated fields that should not repeat,
// and too many sub-messages.
int wire_scan(const void *data, size_t len, char *err, size_t err_len);

// ---- conversions ----

struct Spur__Envelope;
struct Spur__Status;

// wire_body.c. Packing borrows from msg: the result is good as long as msg is.
void wire_pack_body(struct arena *a, struct Spur__Envelope *p, const struct wire_msg *msg);
int wire_unpack_body(struct arena *a, struct wire_msg *msg, const struct Spur__Envelope *p,
                     char *err, size_t err_len);
// wire_status.c
struct Spur__Status *wire_pack_status(struct arena *a, const struct wire_status *m);
int wire_unpack_status(struct arena *a, struct wire_status *m, const struct Spur__Status *p,
                       char *err, size_t err_len);

// Copies a string that wire_scan has passed (or our own). What is not printable
// UTF-8 becomes '?', so that it can go to terminals, logs and JSON as it is.
void wire_copy_text(char out[WIRE_STRING_MAX], const char *text);

// One list of fields a message serves both directions. In the lists NUM is for
// numbers and bools, ENUM for enums, TEXT for strings.
#define WIRE_PACK_NUM(f) p->f = m->f;
#define WIRE_PACK_ENUM(f) p->f = (int)m->f;
#define WIRE_PACK_TEXT(f) p->f = (char *)m->f;
#define WIRE_UNPACK_NUM(f) m->f = p->f;
#define WIRE_UNPACK_ENUM(f) m->f = (int)p->f;
#define WIRE_UNPACK_TEXT(f) wire_copy_text(m->f, p->f);

// ---- checks of our structs (wire_check.c) ----

// Limits, enums, terminated strings, dimensions: 0 or -WIRE_REFUSED_FORMAT.
int wire_check_form(const struct wire_msg *msg, char *err, size_t err_len);
// Numbers: 0 or -WIRE_REFUSED_VALUE. The form must be right.
int wire_check_values(const struct wire_msg *msg, char *err, size_t err_len);

#endif
