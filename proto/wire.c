// SPDX-License-Identifier: MIT
// Encoding and decoding of messages. Decoding has five stages; each relies on the checks of the
// earlier ones:
//
//   schema   compares the version, the only field that any version can read
//   scan     whether the bytes parse, strings, repetitions, number of parts (wire_scan.c)
//   parse    protobuf-c, with memory from an arena with a budget
//   convert  to our structs: shapes against lengths (wire_body.c, wire_status.c)
//   check    limits, enums, finite numbers (wire_check.c)
//
// Encoding runs check, convert and protobuf-c's packing.
#include "proto/wire.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/check.h"
#include "common/base/error.h"
#include "common/base/log.h"
#include "common/io/net.h"
#include "proto/wire_parts.h"
#include "spur.pb-c.h"

// Limit of memory beyond the message's bytes: the structs of a Status with all its actors.
#define STRUCTS_BYTES_MAX ((size_t)24 << 20)

struct wire *wire_create(void) {
    return xmalloc(sizeof(struct wire));
}

void wire_destroy(struct wire **wire) {
    if (!*wire) {
        return;
    }
    arena_deinit(&(*wire)->packing);
    arena_deinit(&(*wire)->unpacking);
    free(*wire);
    *wire = NULL;
}

void wire_policy_hidden(struct wire_policy *p, int layers, const int *widths,
                        enum wire_activation activation) {
    CHECK(layers >= 1 && layers <= WIRE_LAYERS_MAX);
    p->hidden_layers = (uint32_t)layers;
    p->activation = activation;
    for (int l = 0; l < layers; l++) {
        p->hidden[l] = (uint32_t)widths[l];
    }
}

const char *wire_type_name(enum wire_type type) {
    static const char *const names[] = {
        [WIRE_HELLO] = "Hello",
        [WIRE_WELCOME] = "Welcome",
        [WIRE_REFUSE] = "Refuse",
        [WIRE_TRANSITIONS] = "Transitions",
        [WIRE_ACK] = "Ack",
        [WIRE_CREDIT] = "Credit",
        [WIRE_EPISODE] = "Episode",
        [WIRE_HEARTBEAT] = "Heartbeat",
        [WIRE_GOODBYE] = "Goodbye",
        [WIRE_SHUTDOWN] = "Shutdown",
        [WIRE_EVAL_REQUEST] = "EvalRequest",
        [WIRE_EVAL_REPORT] = "EvalReport",
        [WIRE_EXPERIENCE] = "Experience",
        [WIRE_GRANT] = "Grant",
        [WIRE_ENSEMBLE] = "Model",
        [WIRE_STATES] = "States",
        [WIRE_PROGRESS] = "Progress",
        [WIRE_POLICY_GET] = "PolicyGet",
        [WIRE_POLICY] = "Policy",
        [WIRE_STATUS_REQUEST] = "StatusRequest",
        [WIRE_STATUS] = "Status",
    };
    return type >= WIRE_HELLO && type <= WIRE_TYPE_LAST ? names[type] : "unknown";
}

// ---- text ----

// Length of the UTF-8 character at p if it is printable, else 0. Reads no byte after a NUL.
static size_t printable(const unsigned char *p) {
    if (p[0] < 0x80) {
        return p[0] >= 0x20 && p[0] != 0x7f;
    }
    size_t len = p[0] >= 0xf0 && p[0] <= 0xf4 ? 4 : p[0] >= 0xe0 ? 3 : p[0] >= 0xc2 ? 2 : 0;
    if (len == 0 || p[0] > 0xf4) {
        return 0;
    }
    uint32_t character = p[0] & (0xffu >> (len + 1));
    for (size_t i = 1; i < len; i++) {
        if ((p[i] & 0xc0) != 0x80) {
            return 0;
        }
        character = character << 6 | (p[i] & 0x3f);
    }
    // C1 control characters, overlong forms and surrogates are not printable.
    bool shortest = len == 2 || (len == 3 && character >= 0x800) || character >= 0x10000;
    bool surrogate = character >= 0xd800 && character <= 0xdfff;
    return shortest && !surrogate && character >= 0xa0 && character <= 0x10ffff ? len : 0;
}

void wire_copy_text(char out[WIRE_STRING_MAX], const char *text) {
    size_t n = 0;
    const unsigned char *p = (const unsigned char *)text;
    while (*p) {
        size_t len = printable(p);
        if (n + (len ? len : 1) >= WIRE_STRING_MAX) {
            break;
        }
        if (len == 0) {
            out[n++] = '?';
            p++;
        } else {
            memcpy(out + n, p, len);
            n += len;
            p += len;
        }
    }
    out[n] = '\0';
}

// ---- pack ----

size_t wire_pack_begin(struct wire *wire, const struct wire_msg *msg) {
    char err[256];
    int rc = wire_check_form(msg, err, sizeof(err));
    if (rc != 0) {
        log_error("an outgoing %s is malformed: %s", wire_type_name(msg->type), err);
    }
    CHECK(rc == 0);

    struct arena *a = &wire->packing;
    arena_reset(a, WIRE_STRUCTS_BYTES_ROWS, NET_MESSAGE_MAX + STRUCTS_BYTES_MAX);
    wire->envelope = arena_alloc(a, sizeof(*wire->envelope));
    CHECK(wire->envelope);
    spur__envelope__init(wire->envelope);
    wire->envelope->schema = WIRE_SCHEMA;
    wire->envelope->run_id = msg->run_id;
    wire_pack_body(a, wire->envelope, msg);

    size_t len = protobuf_c_message_get_packed_size(&wire->envelope->base);
    CHECK(len <= NET_MESSAGE_MAX);
    return len;
}

void wire_pack_end(const struct wire *wire, void *bytes, size_t len) {
    CHECK(protobuf_c_message_pack(&wire->envelope->base, bytes) == len);
}

void wire_pack(struct wire *wire, const void **data, size_t *len, const struct wire_msg *msg) {
    *len = wire_pack_begin(wire, msg);
    void *bytes = arena_alloc(&wire->packing, *len);
    CHECK(bytes);
    wire_pack_end(wire, bytes, *len);
    *data = bytes;
}

// ---- unpack ----

static void *allocate(void *arena, size_t size) {
    return arena_alloc(arena, size);
}

// The arena is reset as a whole for the next message.
static void ignore_free(void *arena, void *piece) {
    (void)arena;
    (void)piece;
}

static int unpack(struct wire *wire, struct wire_msg *msg, const void *data, size_t len, char *err,
                  size_t err_len) {
    if (len > NET_MESSAGE_MAX) {
        return error_set(err, err_len, -WIRE_REFUSED_FORMAT, "%zu bytes; at most %u", len,
                         NET_MESSAGE_MAX);
    }
    uint32_t schema = 0;
    int rc = wire_scan_schema(&schema, data, len, err, err_len);
    if (rc != 0) {
        return rc;
    }
    if (schema != WIRE_SCHEMA) {
        return error_set(err, err_len, -WIRE_REFUSED_SCHEMA,
                         "the message has schema %u, this side speaks %d; %s", schema, WIRE_SCHEMA,
                         "run the same version of spur on both sides");
    }
    rc = wire_scan(data, len, err, err_len);
    if (rc != 0) {
        return rc;
    }

    struct arena *a = &wire->unpacking;
    arena_reset(a, len + WIRE_STRUCTS_BYTES_ROWS, len + STRUCTS_BYTES_MAX);
    ProtobufCAllocator allocator = {.alloc = allocate, .free = ignore_free, .allocator_data = a};
    Spur__Envelope *envelope = spur__envelope__unpack(&allocator, len, data);
    if (!envelope) {
        return error_set(err, err_len, -WIRE_REFUSED_FORMAT,
                         "%zu bytes do not parse, or need too much memory", len);
    }
    msg->run_id = envelope->run_id;
    rc = wire_unpack_body(a, msg, envelope, err, err_len);
    if (rc == 0) {
        rc = wire_check_form(msg, err, err_len);
    }
    return rc == 0 ? wire_check_values(msg, err, err_len) : rc;
}

int wire_unpack(struct wire *wire, struct wire_msg *msg, const void *data, size_t len, char *err,
                size_t err_len) {
    memset(msg, 0, sizeof(*msg));
    int rc = unpack(wire, msg, data, len, err, err_len);
    if (rc != 0 && rc != -WIRE_REFUSED_VALUE) {
        memset(msg, 0, sizeof(*msg)); // no part of it may be used
    } else if (msg->type == WIRE_TRANSITIONS) {
        msg->transitions.rows.wire = wire;
    } else if (msg->type == WIRE_EXPERIENCE) {
        msg->experience.rows.wire = wire;
    }
    return rc;
}
