// SPDX-License-Identifier: MIT
// The choice of memory or file, and the log's lines about either.
#include "actor/spool_home.h"

#include <string.h>

#include "common/base/error.h"
#include "common/base/log.h"
#include "common/io/net.h"

int spool_home_continue(struct spool **out, const struct spool_home *home, const char *id,
                        char *err, size_t err_len) {
    uint64_t spoilt = 0;
    *out = home->block ? spool_continue(home->block, home->bytes, &spoilt) : NULL;
    if (spoilt > 0) {
        log_error("%s: %llu rows fail their checksum, as after a power cut, and are left out",
                  home->path, (unsigned long long)spoilt);
    }
    if (!*out) {
        return 0;
    }
    const struct spool_owner *owner = spool_owner(*out);
    if (strcmp(owner->id, id) != 0) {
        return error_set(err, err_len, -1,
                         "%.200s holds rows of the actor %.100s that are not sent yet: start it "
                         "with --id %.100s, or use another file",
                         home->path, owner->id, owner->id);
    }
    log_info("%s: %llu rows of an earlier start are not acknowledged yet and will be sent",
             home->path, (unsigned long long)spool_rows(*out));
    return 0;
}

// Messages stay below NET_MESSAGE_MAX, and memory below SPOOL_BYTES_MAX, even if the configuration
// permits more.
struct spool *spool_home_make(const struct spool_home *home, const struct wire_welcome *w,
                              const struct spool_owner *owner, char *err, size_t err_len) {
    uint64_t row = wire_row_bytes(w->obs_dim, w->act_dim);
    uint32_t batch_max = w->batch_rows_max > 0 ? w->batch_rows_max : 1;
    uint32_t fit = (uint32_t)(NET_MESSAGE_MAX / 2 / row);
    batch_max = batch_max < WIRE_ROWS_MAX ? batch_max : WIRE_ROWS_MAX;
    batch_max = batch_max < fit ? batch_max : fit;
    if (home->block) {
        struct spool *s =
            spool_create_in(home->block, home->bytes, batch_max, w->obs_dim, w->act_dim, owner);
        if (!s) {
            error_set(err, err_len, -1, "%.200s is too small for a single row", home->path);
        }
        return s;
    }
    uint32_t rows_max = w->unacked_rows_max > 0 ? w->unacked_rows_max : 1;
    fit = (uint32_t)(SPOOL_BYTES_MAX / row);
    return spool_create(rows_max < fit ? rows_max : fit, batch_max, w->obs_dim, w->act_dim);
}

uint32_t spool_home_make_room(struct spool_home *home, struct spool *s, uint64_t now_ms) {
    if (!spool_full(s)) {
        return 0;
    }
    uint32_t rows = spool_drop_oldest(s);
    if (log_due(&home->dropped_ms, now_ms, SPOOL_HOME_LOG_MS)) {
        log_warn("the model server takes no rows, and the spool is full: %llu of the oldest rows "
                 "dropped so far",
                 (unsigned long long)spool_dropped(s));
    }
    return rows;
}
