// SPDX-License-Identifier: MIT
// Limits that a shell or batch system sets on a process: closed standard streams, address space,
// threads, descriptors, size of files.
//
// Libraries abort or loop when they run into one. A process therefore adapts to the limits at its
// start, and tries what it needs from them before a library does.
#ifndef SPUR_COMMON_BASE_RLIMITS_H
#define SPUR_COMMON_BASE_RLIMITS_H

#include <stddef.h>
#include <stdint.h>

// To be called first in main. Opens closed standard streams on /dev/null, so that no file or socket
// gets their numbers. A file over the limit of size is an error of write, not a signal. Under a
// limit of address space, malloc reserves one arena instead of 64 MiB per thread, and stacks of
// threads are small. A library's abort leaves an explaining line in the log. The limit of
// descriptors is raised as far as the system allows, to RLIMITS_DESCRIPTORS at most.
void rlimits_start(void);

#define RLIMITS_DESCRIPTORS 65536

// Descriptors that this process may have (ulimit -n).
int rlimits_descriptors(void);

// Bytes of address space (ulimit -v); UINT64_MAX: no limit.
uint64_t rlimits_address_space(void);

// Whether this process can have so many more threads at a time, descriptors and bytes of address
// space. Returns 0, or a negative errno with a sentence in err. Other processes of the user count
// in the limit of threads, so the answer may be outdated at once.
int rlimits_check(int threads, int descriptors, size_t bytes, char *err, size_t err_len);

#endif
