// SPDX-License-Identifier: MIT
// Examination of a store before it is used.
//
// LMDB trusts its file: a damaged or shortened one ends the process that reads it by SIGBUS or
// SIGSEGV. So a child process reads all of it first, and compares every row with its checksum and
// with the counts of its actor. It takes about 0.1 s for 100,000 rows of Hopper.
#ifndef SPUR_MODELSERVER_STORAGE_STORE_VET_H
#define SPUR_MODELSERVER_STORAGE_STORE_VET_H

#include <stddef.h>

// 0: the store in folder dir is whole, or there is none. -1 with a sentence in err: what is
// damaged, and what to do. No other process may write to it meanwhile.
int store_vet(const char *dir, char *err, size_t err_len);

#endif
