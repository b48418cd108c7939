// SPDX-License-Identifier: MIT
// `spur data`: steps of a stopped run, listed, set aside and put back. It is part of
// spur-modelserver, the only program with LMDB.
#ifndef SPUR_MODELSERVER_DATA_H
#define SPUR_MODELSERVER_DATA_H

// argv[0]: "spur data". Returns an exit code.
int data_main(int argc, char *argv[]);

#endif
