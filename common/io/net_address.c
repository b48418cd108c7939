// SPDX-License-Identifier: MIT
// Address validation: tcp hosts and ports, ipc paths and their socket files.
#include "common/io/net_address.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/base/error.h"

enum { IPC_PATH_MAX = sizeof(((struct sockaddr_un *)0)->sun_path) - 1 };

// Splits tcp://HOST:PORT. *port points into endpoint.
static int split_tcp(char *host, size_t host_len, const char **port, enum net_kind kind,
                     const char *endpoint, char *err, size_t err_len) {
    const char *start = endpoint + strlen("tcp://");
    const char *colon = strrchr(start, ':');
    if (!colon || colon == start || (size_t)(colon - start) >= host_len) {
        return error_set(err, err_len, -EINVAL, "%s is not an address: it must look like %s",
                         endpoint, "tcp://HOST:PORT or ipc://PATH");
    }
    memcpy(host, start, (size_t)(colon - start));
    host[colon - start] = '\0';
    *port = colon + 1;
    if (strcmp(*port, "*") == 0) {
        return kind == NET_ROUTER
                   ? 0
                   : error_set(err, err_len, -EINVAL, "%s: a port number is needed to connect to",
                               endpoint);
    }
    char *end;
    unsigned long number = strtoul(*port, &end, 10);
    if ((*port)[0] < '0' || (*port)[0] > '9' || *end || number == 0 || number > 65535) {
        return error_set(err, err_len, -EINVAL,
                         "%s: \"%s\" is not a port: a number from 1 to 65535%s", endpoint, *port,
                         kind == NET_ROUTER ? " or * for any free one" : "");
    }
    return 0;
}

// Resolves a host name, to IPv4 if it has such an address. Returns 0 and a list for freeaddrinfo,
// or getaddrinfo's error for IPv4.
static int resolve(struct addrinfo **found, const char *host) {
    struct addrinfo hints = {.ai_family = AF_INET, .ai_socktype = SOCK_STREAM};
    int failure = getaddrinfo(host, NULL, &hints, found);
    hints.ai_family = AF_INET6;
    return failure != 0 && getaddrinfo(host, NULL, &hints, found) == 0 ? 0 : failure;
}

// Checks a tcp endpoint and prepares the address for ZeroMQ. To bind, a host name is resolved
// (ZeroMQ binds numeric addresses and interfaces only); to connect it is kept, so that reconnects
// resolve it again.
static int prepare_tcp(struct net_address *out, enum net_kind kind, const char *endpoint, char *err,
                       size_t err_len) {
    char host[NET_ENDPOINT_MAX];
    const char *port = "";
    int rc = split_tcp(host, sizeof(host), &port, kind, endpoint, err, err_len);
    if (rc != 0) {
        return rc;
    }
    snprintf(out->text, sizeof(out->text), "%s", endpoint);
    out->ipv6 = host[0] == '[';
    if (out->ipv6 || (kind == NET_ROUTER && strcmp(host, "*") == 0)) {
        return 0;
    }
    struct addrinfo *found = NULL;
    int failure = resolve(&found, host);
    if (failure != 0 && kind == NET_ROUTER) {
        return 0; // may be an interface ("eth0"); zmq_bind decides
    }
    if (failure != 0) {
        return error_set(err, err_len, failure == EAI_AGAIN ? -EAGAIN : -ENOENT,
                         "%s: the host name \"%s\" cannot be resolved: %s", endpoint, host,
                         gai_strerror(failure));
    }
    out->ipv6 = found->ai_family == AF_INET6;
    if (kind == NET_ROUTER) {
        char address[NI_MAXHOST];
        failure = getnameinfo(found->ai_addr, found->ai_addrlen, address, sizeof(address), NULL, 0,
                              NI_NUMERICHOST);
        if (failure == 0) {
            snprintf(out->text, sizeof(out->text), out->ipv6 ? "tcp://[%s]:%s" : "tcp://%s:%s",
                     address, port);
        }
    }
    freeaddrinfo(found);
    return 0;
}

static bool is_loopback(const struct sockaddr *address) {
    const struct sockaddr_in *v4 = (const void *)address;
    const struct sockaddr_in6 *v6 = (const void *)address;
    return address->sa_family == AF_INET ? ntohl(v4->sin_addr.s_addr) >> 24 == IN_LOOPBACKNET
                                         : IN6_IS_ADDR_LOOPBACK(&v6->sin6_addr);
}

enum net_reach net_address_reach(const char *endpoint) {
    char host[NET_ENDPOINT_MAX], err[256];
    const char *port;
    if (strlen(endpoint) >= NET_ENDPOINT_MAX || strncmp(endpoint, "tcp://", 6) != 0 ||
        split_tcp(host, sizeof(host), &port, NET_ROUTER, endpoint, err, sizeof(err)) != 0) {
        return NET_REACH_USER;
    }
    char *name = host;
    if (host[0] == '[') {
        host[strcspn(host, "]")] = '\0';
        name = host + 1;
    }
    struct addrinfo *found = NULL;
    if (resolve(&found, name) != 0) {
        return NET_REACH_NETWORK; // an interface, or a name that is not known yet
    }
    bool loopback = is_loopback(found->ai_addr);
    freeaddrinfo(found);
    return loopback ? NET_REACH_MACHINE : NET_REACH_NETWORK;
}

// Prepares an ipc path for binding: refuses sockets in use and files that are not sockets, removes
// stale sockets. Not atomic: the lock on the run directory keeps two processes apart.
static int clear_ipc_path(const char *endpoint, const char *path, char *err, size_t err_len) {
    struct stat st;
    if (lstat(path, &st) != 0) {
        return 0; // no such file; any other error recurs in zmq_bind
    }
    if (!S_ISSOCK(st.st_mode)) {
        return error_set(err, err_len, -EEXIST,
                         "%s: %s exists and is not a socket; remove it or %s", endpoint, path,
                         "choose another path");
    }
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) {
        return error_set(err, err_len, -errno, "%s: %s", endpoint, strerror(errno));
    }
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    memcpy(address.sun_path, path, strlen(path) + 1);
    int failure = connect(fd, (const struct sockaddr *)&address, sizeof(address)) == 0 ? 0 : errno;
    close(fd);
    if (failure == ECONNREFUSED) { // no listener: stale
        failure = unlink(path) == 0 || errno == ENOENT ? ENOENT : errno;
    }
    if (failure == ENOENT) {
        return 0;
    }
    if (failure == EACCES || failure == EPERM) {
        return error_set(err, err_len, -EACCES, "%s: %s exists, but permission to use it is denied",
                         endpoint, path);
    }
    return error_set(err, err_len, -EADDRINUSE, "%s is in use by another process", endpoint);
}

static int prepare_ipc(struct net_address *out, enum net_kind kind, const char *endpoint, char *err,
                       size_t err_len) {
    const char *path = endpoint + strlen("ipc://");
    size_t len = strlen(path);
    if (len == 0) {
        return error_set(err, err_len, -EINVAL, "%s: no path", endpoint);
    }
    if (len > IPC_PATH_MAX) {
        return error_set(err, err_len, -ENAMETOOLONG,
                         "%s: the path has %zu bytes; the limit for sockets is %d; %s", endpoint,
                         len, (int)IPC_PATH_MAX, "use a shorter directory");
    }
    snprintf(out->text, sizeof(out->text), "%s", endpoint);
    if (kind == NET_DEALER) {
        return 0;
    }

    char directory[NET_ENDPOINT_MAX];
    snprintf(directory, sizeof(directory), "%s", path);
    char *slash = strrchr(directory, '/');
    if (slash && slash != directory) {
        *slash = '\0';
        struct stat st;
        if (stat(directory, &st) != 0 || !S_ISDIR(st.st_mode)) {
            return error_set(err, err_len, -ENOENT,
                             "%s: directory %s does not exist; create it first", endpoint,
                             directory);
        }
    }
    return clear_ipc_path(endpoint, path, err, err_len);
}

int net_address_explain(int failure, const char *why, enum net_kind kind, const char *endpoint,
                        char *err, size_t err_len) {
    switch (failure) {
    case EADDRINUSE:
        return error_set(err, err_len, -failure, "%s is in use by another process", endpoint);
    case EADDRNOTAVAIL:
    case ENODEV:
        return error_set(err, err_len, -failure, "%s: no such address or interface on this machine",
                         endpoint);
    case EACCES:
    case EPERM:
        return error_set(err, err_len, -EACCES, "%s: permission denied", endpoint);
    case EINVAL:
    case EPROTONOSUPPORT:
        return error_set(err, err_len, -EINVAL, "%s is not an address: it must look like %s",
                         endpoint, "tcp://HOST:PORT or ipc://PATH");
    default:
        return error_set(err, err_len, -failure, "%s: cannot %s: %s", endpoint,
                         kind == NET_ROUTER ? "bind" : "connect", why);
    }
}

int net_address_prepare(struct net_address *out, enum net_kind kind, const char *endpoint,
                        char *err, size_t err_len) {
    out->ipv6 = false;
    if (strlen(endpoint) >= NET_ENDPOINT_MAX) {
        return error_set(err, err_len, -ENAMETOOLONG,
                         "an address of %zu bytes is too long: the limit is %d", strlen(endpoint),
                         NET_ENDPOINT_MAX - 1);
    }
    if (strncmp(endpoint, "tcp://", 6) == 0) {
        return prepare_tcp(out, kind, endpoint, err, err_len);
    }
    if (strncmp(endpoint, "ipc://", 6) == 0) {
        return prepare_ipc(out, kind, endpoint, err, err_len);
    }
    return net_address_explain(EINVAL, "", kind, endpoint, err, err_len);
}
