// SPDX-License-Identifier: MIT
// Room in the map of an LMDB environment.
//
// LMDB writes to new pages and uses old ones again, except those that a reader may still see. A
// process that died in a read transaction keeps them until it is found; one that lives keeps them
// as long as it likes, and the file grows meanwhile.
#ifndef SPUR_MODELSERVER_STORAGE_STORE_ROOM_H
#define SPUR_MODELSERVER_STORAGE_STORE_ROOM_H

struct MDB_env;

// Returns how many readers had died.
int store_room_clear_readers(struct MDB_env *env);
// After MDB_MAP_FULL, with no transaction open: clears dead readers, or else doubles the map. 0,
// or an LMDB code.
int store_room_make(struct MDB_env *env);

#endif
