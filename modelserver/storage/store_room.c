// SPDX-License-Identifier: MIT
// Search for dead readers, and growth of the map.
#include "modelserver/storage/store_room.h"

#include <lmdb.h>
#include <string.h>

#include "common/base/log.h"

int store_room_clear_readers(struct MDB_env *env) {
    int dead = 0;
    if (mdb_reader_check(env, &dead) == 0 && dead > 0) {
        log_warn("the store had %d reader%s that died in a transaction", dead, dead > 1 ? "s" : "");
    }
    return dead;
}

static int log_reader(const char *line, void *arg) {
    (void)arg;
    log_warn("%.*s", (int)strcspn(line, "\n"), line);
    return 0;
}

int store_room_make(struct MDB_env *env) {
    MDB_envinfo info = {0};
    int rc = store_room_clear_readers(env) > 0 ? 0 : mdb_env_info(env, &info);
    if (rc || info.me_mapsize == 0) {
        return rc;
    }
    log_warn("the map of the store is full: it grows to %zu MiB. Its readers:",
             info.me_mapsize >> 19);
    mdb_reader_list(env, log_reader, NULL);
    return mdb_env_set_mapsize(env, 2 * info.me_mapsize);
}
