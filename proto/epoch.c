// SPDX-License-Identifier: MIT
// The text of a policy's version.
#include "proto/epoch.h"

#include <inttypes.h>
#include <stdio.h>

const char *epoch_text(char out[EPOCH_TEXT_MAX], uint64_t version) {
    if (epoch_of(version) > 1) {
        snprintf(out, EPOCH_TEXT_MAX, "%" PRIu64 " of epoch %" PRIu64, epoch_number(version),
                 epoch_of(version));
    } else {
        snprintf(out, EPOCH_TEXT_MAX, "%" PRIu64, epoch_number(version));
    }
    return out;
}
