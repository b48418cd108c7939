// SPDX-License-Identifier: MIT
// Addresses, looked at before the library gets them, for net.c alone.
//
// ZeroMQ takes almost anything: it retries a misspelt host for ever, truncates
// or refuses long paths without saying so, and deletes whatever stands at an ipc
// path that it binds, a living process's socket included. Here each of these is
// a refusal with a sentence that names the address.
#ifndef SPUR_COMMON_IO_NET_ADDRESS_H
#define SPUR_COMMON_IO_NET_ADDRESS_H

#include "common/io/net.h"

enum { NET_ADDRESS_MAX = NET_ENDPOINT_MAX + 1024 }; // a resolved host may be longer than its name

// Writes the form of endpoint to bind or connect to into out. Removes an ipc
// file that a dead process left. 0, or a negative errno and a sentence in err.
int net_address_prepare(char out[NET_ADDRESS_MAX], enum net_kind kind, const char *endpoint,
                        char *err, size_t err_len);

// Turns the errno of a bind or connect into a sentence; why: the library's own
// words for it. Returns -failure.
int net_address_explain(int failure, const char *why, enum net_kind kind, const char *endpoint,
                        char *err, size_t err_len);

#endif
