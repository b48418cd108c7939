// SPDX-License-Identifier: MIT
// Loads libmujoco once, checks its version, and fills the table of functions.
#include "actor/env/mujoco_library.h"

#include <pthread.h>
#include <stdio.h>

#include "common/base/log.h"

struct mujoco_library mujoco;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

// The structs differ between versions, so the library must have the headers' version.
// 222 is 2.2.2, 3005000 is 3.5.0.
static void format_version(char *out, size_t out_len, int version) {
    int minor = version < 1000 ? version / 10 % 10 : version / 1000 % 1000;
    int major = version < 1000 ? version / 100 : version / 1000000;
    snprintf(out, out_len, "%d.%d.%d", major, minor,
             version < 1000 ? version % 10 : version % 1000);
}

static int load(char *err, size_t err_len) {
    static const struct library_symbol symbols[] = {
#define ROW(symbol) LIBRARY_ROW(mujoco_library, symbol)
        MUJOCO_SYMBOLS(ROW)
#undef ROW
    };
    struct mujoco_library found;
    static const char wanted[] = SPUR_MUJOCO_VERSION;
    char version[32], why[512];
    const char *const files[] = {"libmujoco.so." SPUR_MUJOCO_VERSION, "libmujoco.so", NULL};
    if (library_load(&found, symbols, sizeof(symbols) / sizeof(symbols[0]), files, why,
                     sizeof(why)) != 0) {
        snprintf(err, err_len,
                 "this environment needs MuJoCo %s, which cannot be loaded (%s): install it "
                 "(Debian: libmujoco-dev has 2.2.2), or add its folder to LD_LIBRARY_PATH",
                 wanted, why);
        return -1;
    }
    if (found.mj_version() != mjVERSION_HEADER) {
        format_version(version, sizeof(version), found.mj_version());
        snprintf(err, err_len,
                 "this environment needs MuJoCo %s, but the one found is %s: install that version, "
                 "or build spur with this one",
                 wanted, version);
        return -1;
    }
    mujoco = found;
    return 0;
}

int mujoco_load(char *err, size_t err_len) {
    pthread_mutex_lock(&lock);
    int rc = mujoco.mj_version ? 0 : load(err, err_len);
    pthread_mutex_unlock(&lock);
    return rc;
}
