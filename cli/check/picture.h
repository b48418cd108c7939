// SPDX-License-Identifier: MIT
// A picture of a start state.
#ifndef SPUR_CLI_CHECK_PICTURE_H
#define SPUR_CLI_CHECK_PICTURE_H

#include <stddef.h>
#include <stdint.h>

#include "actor/env/env.h"

// Resets env and writes a PNG file; name is shown in it. 0, or -1 with the reason in err.
int picture_write(const char *path, struct env *env, const char *name, uint64_t seed, char *err,
                  size_t err_len);

#endif
