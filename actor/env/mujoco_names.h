// SPDX-License-Identifier: MIT
// Names of MJCF that MuJoCo 3 has and MuJoCo 2.2.2 has not, to explain errors of the compiler.
#ifndef SPUR_ACTOR_ENV_MUJOCO_NAMES_H
#define SPUR_ACTOR_ENV_MUJOCO_NAMES_H

#include <stdbool.h>
#include <stddef.h>

// Whether MuJoCo's error is of an element, attribute or keyword that exists in MuJoCo 3. Then
// writes it to name, as in "<body gravcomp>".
bool mujoco_names_newer(char *name, size_t name_len, const char *error);

#endif
