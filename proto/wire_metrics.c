// SPDX-License-Identifier: MIT
// Conversion of named figures (metrics.h) to and from protobuf-c's structs.
#include <stdio.h>

#include "common/base/check.h"
#include "common/base/error.h"
#include "proto/wire_parts.h"
#include "spur.pb-c.h"

struct Spur__Metric **wire_pack_metrics(struct arena *a, const struct metrics *m) {
    Spur__Metric **list = arena_alloc(a, (m->count + 1) * sizeof(*list));
    CHECK(list);
    for (uint32_t i = 0; i < m->count; i++) {
        list[i] = arena_alloc(a, sizeof(*list[i]));
        CHECK(list[i]);
        spur__metric__init(list[i]);
        list[i]->name = (char *)m->list[i].name;
        list[i]->value = m->list[i].value;
    }
    return list;
}

int wire_unpack_metrics(struct metrics *m, size_t n, struct Spur__Metric *const *list,
                        const char *field, char *err, size_t err_len) {
    *m = (struct metrics){0};
    if (n > METRICS_MAX) {
        return error_set(err, err_len, -WIRE_REFUSED_FORMAT, "%s: %zu figures; %d at most", field,
                         n, METRICS_MAX);
    }
    for (size_t i = 0; i < n; i++) {
        if (!metrics_name_ok(list[i]->name)) {
            return error_set(err, err_len, -WIRE_REFUSED_FORMAT,
                             "%s: the name of figure %zu must have lower-case letters, digits "
                             "and '_', a letter first, and at most %d of them",
                             field, i, METRIC_NAME_MAX - 1);
        }
        if (metrics_find(m, list[i]->name)) {
            return error_set(err, err_len, -WIRE_REFUSED_FORMAT, "%s: %s appears twice", field,
                             list[i]->name);
        }
        metrics_set(m, list[i]->name, list[i]->value);
    }
    return 0;
}
