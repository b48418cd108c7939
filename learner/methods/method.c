// SPDX-License-Identifier: MIT
// Finds the table of functions of a method, and checks that its state is finite.
#include "learner/methods/method.h"

#include "common/base/check.h"
#include "common/base/stats.h"

const struct method *method_find(enum method_id id) {
    static const struct method *const methods[] = {
#define X(name, needs, sections, defaults) &method_##name,
        METHODS(X)
#undef X
    };
    CHECK((size_t)id < sizeof(methods) / sizeof(methods[0]));
    return methods[id];
}

bool method_finite(const struct method *method, const void *self) {
    struct method_block blocks[METHOD_BLOCKS_MAX];
    int count = method->blocks(self, blocks);
    for (int b = 0; b < count; b++) {
        if (!stats_all_finite(blocks[b].data, blocks[b].n)) {
            return false;
        }
    }
    return true;
}
