// SPDX-License-Identifier: MIT
// Validates raw bytes before any memory is allocated for them.
//
// protobuf-c does not report a NUL in a string (it returns a shorter one), a repeated scalar
// field (it merges, or leaks the first), or the number of sub-messages (two bytes of input
// allocate tens of bytes of heap each). Therefore the bytes are first scanned along the
// descriptors of the schema. The scan reads only tags, lengths and the text of strings, and
// skips the columns of numbers.
//
// Unknown fields are skipped, as protobuf requires.
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "common/base/check.h"
#include "common/base/error.h"
#include "proto/wire_parts.h"
#include "spur.pb-c.h"

enum { PARTS_MAX = WIRE_ACTORS_MAX + WIRE_COUNTERS_MAX + METRICS_MAX + 16, PATH_MAX_LEN = 96 };

enum wire_form { FORM_VARINT = 0, FORM_FIXED64 = 1, FORM_BYTES = 2, FORM_FIXED32 = 5 };

struct reader {
    const uint8_t *at, *end;
};

struct field {
    uint32_t number;
    enum wire_form form;
    uint64_t value;      // FORM_VARINT
    const uint8_t *data; // FORM_BYTES
    size_t len;
};

static bool read_varint(struct reader *r, uint64_t *value) {
    *value = 0;
    for (unsigned shift = 0; shift < 64 && r->at < r->end; shift += 7) {
        uint8_t byte = *r->at++;
        *value |= (uint64_t)(byte & 0x7f) << shift;
        if (!(byte & 0x80)) {
            return true;
        }
    }
    return false;
}

static bool skip(struct reader *r, uint64_t len) {
    if (len > (uint64_t)(r->end - r->at)) {
        return false;
    }
    r->at += len;
    return true;
}

static bool read_field(struct reader *r, struct field *f) {
    uint64_t tag;
    if (!read_varint(r, &tag) || tag > UINT32_MAX || tag >> 3 == 0) {
        return false;
    }
    *f = (struct field){.number = (uint32_t)(tag >> 3), .form = tag & 7};
    uint64_t len;
    switch (f->form) {
    case FORM_VARINT:
        return read_varint(r, &f->value);
    case FORM_FIXED64:
        return skip(r, 8);
    case FORM_FIXED32:
        return skip(r, 4);
    case FORM_BYTES:
        if (!read_varint(r, &len)) {
            return false;
        }
        f->data = r->at;
        f->len = (size_t)len;
        return skip(r, len);
    default: // groups are obsolete in protobuf
        return false;
    }
}

int wire_scan_schema(uint32_t *schema, const void *data, size_t len, char *err, size_t err_len) {
    struct reader r = {.at = data, .end = (const uint8_t *)data + len};
    struct field f;
    while (r.at < r.end && read_field(&r, &f)) {
        if (f.number == 1 && f.form == FORM_VARINT) {
            *schema = f.value > UINT32_MAX ? UINT32_MAX : (uint32_t)f.value;
            return 0;
        }
    }
    return error_set(err, err_len, -WIRE_REFUSED_FORMAT,
                     "%zu bytes are not a message of spur: they contain no schema", len);
}

struct scan {
    unsigned parts; // sub-messages so far
    char *err;
    size_t err_len;
};

static int scan_text(const struct scan *s, const struct field *f, const char *path,
                     const char *name) {
    if (f->len >= WIRE_STRING_MAX) {
        return error_set(s->err, s->err_len, -WIRE_REFUSED_FORMAT,
                         "%s%s: a string of %zu bytes; %d at most", path, name, f->len,
                         WIRE_STRING_MAX - 1);
    }
    if (memchr(f->data, '\0', f->len)) {
        return error_set(s->err, s->err_len, -WIRE_REFUSED_FORMAT, "%s%s: a NUL in a string", path,
                         name);
    }
    return 0;
}

// The depth of recursion is that of the schema, three: no message contains its own kind.
static int scan_message(struct scan *s, const ProtobufCMessageDescriptor *kind, const char *path,
                        const uint8_t *data, size_t len) {
    CHECK(kind->n_fields <= 64);
    uint64_t seen = 0;
    bool body_seen = false;
    struct reader r = {.at = data, .end = data + len};
    while (r.at < r.end) {
        struct field f;
        if (!read_field(&r, &f)) {
            return error_set(s->err, s->err_len, -WIRE_REFUSED_FORMAT,
                             "%s%s at byte %td: truncated or malformed", path, kind->short_name,
                             r.at - data);
        }
        const ProtobufCFieldDescriptor *field =
            protobuf_c_message_descriptor_get_field(kind, f.number);
        if (!field) {
            continue;
        }

        // A scalar field occurs once.
        uint64_t bit = UINT64_C(1) << (field - kind->fields);
        bool is_body = field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF;
        if (field->label != PROTOBUF_C_LABEL_REPEATED && ((seen & bit) || (is_body && body_seen))) {
            return error_set(s->err, s->err_len, -WIRE_REFUSED_FORMAT, "%s%s: %s", path,
                             field->name,
                             is_body ? "a second message in one envelope" : "given twice");
        }
        seen |= bit;
        body_seen |= is_body;

        int rc = 0;
        if (field->type == PROTOBUF_C_TYPE_STRING && f.form == FORM_BYTES) {
            rc = scan_text(s, &f, path, field->name);
        } else if (field->type == PROTOBUF_C_TYPE_MESSAGE && f.form == FORM_BYTES) {
            char below[PATH_MAX_LEN];
            snprintf(below, sizeof(below), "%s%s.", path, field->name);
            rc = ++s->parts > PARTS_MAX
                     ? error_set(s->err, s->err_len, -WIRE_REFUSED_FORMAT,
                                 "%s%s: more than %d parts", path, field->name, PARTS_MAX)
                     : scan_message(s, field->descriptor, below, f.data, f.len);
        }
        if (rc != 0) {
            return rc;
        }
    }
    return 0;
}

int wire_scan(const void *data, size_t len, char *err, size_t err_len) {
    struct scan s = {.err = err, .err_len = err_len};
    return scan_message(&s, &spur__envelope__descriptor, "", data, len);
}
