// SPDX-License-Identifier: MIT
// Endpoints (tcp://HOST:PORT, ipc://PATH), checked before ZeroMQ gets them.
//
// ZeroMQ accepts almost anything: it retries a misspelt host for ever, truncates
// or refuses long paths silently, and deletes any file at an ipc path that it
// binds, even the socket of a running process. Here each of these is a refusal
// with a sentence that names the address.
#ifndef SPUR_COMMON_IO_NET_ADDRESS_H
#define SPUR_COMMON_IO_NET_ADDRESS_H

#include <stddef.h>

#define NET_ENDPOINT_MAX 256

enum net_kind {
    NET_ROUTER, // binds, serves many
    NET_DEALER, // connects to one
};

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
