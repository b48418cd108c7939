// SPDX-License-Identifier: MIT
// A four-legged robot, paid for how fast its torso gets along.
#include <stddef.h>

#include "actor/env_tasks.h"

const struct env_task env_tasks_ant[] = {
    {.name = NULL},
};
