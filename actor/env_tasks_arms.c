// SPDX-License-Identifier: MIT
// Arms that reach for a target or push an object.
#include <stddef.h>

#include "actor/env_tasks.h"

const struct env_task env_tasks_arms[] = {
    {.name = NULL},
};
