// SPDX-License-Identifier: MIT
// MuJoCo, loaded on demand: a table of the functions of mujoco.h that spur calls. The
// only file that includes mujoco.h.
#ifndef SPUR_ACTOR_ENV_MUJOCO_LIBRARY_H
#define SPUR_ACTOR_ENV_MUJOCO_LIBRARY_H

#include <mujoco/mujoco.h>
#include <stddef.h>

#include "common/base/library.h"

// clang-format off
#if mjVERSION_HEADER >= 300
#define MUJOCO_VFS(X)                                                                              \
    X(mj_addBufferVFS)
#else
#define MUJOCO_VFS(X)                                                                              \
    X(mj_findFileVFS)                                                                              \
    X(mj_makeEmptyFileVFS)
#endif

#define MUJOCO_SYMBOLS(X)                                                                          \
    MUJOCO_VFS(X)                                                                                  \
    X(mj_copyData)                                                                                 \
    X(mj_copyModel)                                                                                \
    X(mj_defaultVFS)                                                                               \
    X(mj_deleteData)                                                                               \
    X(mj_deleteModel)                                                                              \
    X(mj_deleteVFS)                                                                                \
    X(mj_forward)                                                                                  \
    X(mj_freeLastXML)                                                                              \
    X(mj_fwdPosition)                                                                              \
    X(mj_id2name)                                                                                  \
    X(mj_loadXML)                                                                                  \
    X(mj_makeData)                                                                                 \
    X(mj_normalizeQuat)                                                                            \
    X(mj_resetData)                                                                                \
    X(mj_rnePostConstraint)                                                                        \
    X(mj_step)                                                                                     \
    X(mj_version)                                                                                  \
    X(mjr_defaultContext)                                                                          \
    X(mjr_freeContext)                                                                             \
    X(mjr_makeContext)                                                                             \
    X(mjr_overlay)                                                                                 \
    X(mjr_readPixels)                                                                              \
    X(mjr_render)                                                                                  \
    X(mjr_setBuffer)                                                                               \
    X(mju_str2Type)                                                                                \
    X(mju_user_error)                                                                              \
    X(mju_user_warning)                                                                            \
    X(mjv_defaultCamera)                                                                           \
    X(mjv_defaultOption)                                                                           \
    X(mjv_defaultScene)                                                                            \
    X(mjv_freeScene)                                                                               \
    X(mjv_initGeom)                                                                                \
    X(mjv_makeScene)                                                                               \
    X(mjv_updateScene)
// clang-format on

struct mujoco_library {
    MUJOCO_SYMBOLS(LIBRARY_POINTER)
};

// All NULL until mujoco_load has returned 0.
extern struct mujoco_library mujoco;

// Loads MuJoCo on the first call; thread-safe. 0, or -1 with a message in err if it is
// not installed or its version differs from that of the headers.
int mujoco_load(char *err, size_t err_len);

#endif
