// SPDX-License-Identifier: MIT
// The begin of a child process that reads a store which may be damaged: it ends with its parent,
// leaves no core, prints nothing and takes ten minutes at most, because a damaged tree may have no
// end.
#ifndef SPUR_MODELSERVER_STORAGE_STORE_CHILD_H
#define SPUR_MODELSERVER_STORAGE_STORE_CHILD_H

#include <sys/types.h>

void store_child_begin(pid_t parent);

#endif
