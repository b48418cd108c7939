// SPDX-License-Identifier: MIT
// Tests the guarantees of sockets: messages in both directions over ipc and tcp; distinct peers;
// -EAGAIN for an absent peer and -EHOSTUNREACH for a vanished one, never a silent loss; size
// limits; reconnection to a restarted server; and unusable addresses, which are refused by name
// without taking them from the process that serves them.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>
#include <zmq.h> // to play an unknown peer

#include "common/base/clock.h"
#include "common/io/net_guard.h"
#include "tests/unit/net_bytes.h"

enum { PATIENCE_MS = 10000 };

static struct net *net;
static char folder[64];
static char err[512];

static int set_up(void **state) {
    (void)state;
    snprintf(folder, sizeof(folder), "/tmp/spur-test-net-XXXXXX");
    if (!mkdtemp(folder)) {
        return -1;
    }
    net = net_create();
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    net_destroy(&net);
    assert_null(net);
    return rmdir(folder); // fails if a socket file remains
}

// ---- helpers ----

static struct net_socket *open_or_fail(enum net_kind kind, const char *endpoint) {
    struct net_socket *s = NULL;
    int rc = net_open(&s, net, kind, endpoint, err, sizeof(err));
    if (rc != 0) {
        fail_msg("%s: %d %s", endpoint, rc, err);
    }
    return s;
}

static void in_folder(char out[NET_ENDPOINT_MAX], const char *name) {
    snprintf(out, NET_ENDPOINT_MAX, "ipc://%s/%s", folder, name);
}

static void assert_refused(int code, const char *says, enum net_kind kind, const char *endpoint) {
    struct net_socket *s = NULL;
    memset(err, 0, sizeof(err));
    int rc = net_open(&s, net, kind, endpoint, err, sizeof(err));
    if (rc != code || !strstr(err, says) || s) {
        fail_msg("%s gives %d \"%s\", not %d \"...%s...\"", endpoint, rc, err, code, says);
    }
}

static void pause_ms(int ms) {
    usleep((useconds_t)ms * 1000);
}

// Sends, retrying until it is accepted.
static void send_soon(struct net_socket *s, const struct net_peer *to, const char *text) {
    uint64_t until = clock_ms() + PATIENCE_MS;
    int rc;
    while ((rc = send_bytes(s, to, text, strlen(text))) == -EAGAIN && clock_ms() < until) {
        pause_ms(5);
    }
    assert_int_equal(rc, 0);
}

static void expect(struct net_socket *s, struct net_peer *from, const char *text) {
    uint64_t until = clock_ms() + PATIENCE_MS;
    struct net_frame frame;
    int rc;
    while ((rc = net_recv(s, from, &frame)) == -EAGAIN && clock_ms() < until) {
        pause_ms(1);
    }
    assert_int_equal(rc, 0);
    assert_int_equal(frame.len, strlen(text));
    assert_memory_equal(frame.data, text, frame.len);
    net_frame_close(&frame);
    assert_null(frame.data);
}

static void wait_connected(struct net_socket *s, bool connected) {
    uint64_t until = clock_ms() + PATIENCE_MS;
    while (net_connected(s) != connected) {
        assert_true(clock_ms() < until);
        pause_ms(2);
    }
}

// ---- messages ----

static void both_ways(const char *endpoint) {
    struct net_socket *server = open_or_fail(NET_ROUTER, endpoint);
    struct net_socket *a = open_or_fail(NET_DEALER, net_endpoint(server));
    struct net_socket *b = open_or_fail(NET_DEALER, net_endpoint(server));
    struct net_peer from_a, from_b, again, none;
    assert_int_equal(net_recv(server, &from_a, &(struct net_frame){0}), -EAGAIN);

    send_soon(a, NULL, "from a");
    expect(server, &from_a, "from a");
    send_soon(b, NULL, "from b");
    expect(server, &from_b, "from b");
    assert_true(net_connected(a) && net_connected(b));
    send_soon(a, NULL, "");
    expect(server, &again, "");
    assert_true(net_peer_equal(&from_a, &again));
    assert_false(net_peer_equal(&from_a, &from_b));

    // Each answer reaches its own peer.
    send_soon(server, &from_b, "to b");
    send_soon(server, &from_a, "to a");
    expect(a, &none, "to a");
    assert_int_equal(none.len, 0);
    expect(b, NULL, "to b");
    assert_int_equal(net_recv(a, NULL, &(struct net_frame){0}), -EAGAIN);

    net_close(&a);
    net_close(&b);
    net_close(&server);
    assert_null(server);
}

static void messages_go_both_ways_over_tcp(void **state) {
    (void)state;
    both_ways("tcp://127.0.0.1:*");
}

static void a_host_may_be_a_name(void **state) {
    (void)state;
    struct addrinfo *found = NULL;
    if (getaddrinfo("localhost", NULL, NULL, &found) != 0) {
        print_message("this machine does not know localhost\n");
        skip();
    }
    freeaddrinfo(found);
    both_ways("tcp://localhost:*");
}

static void messages_go_both_ways_over_ipc(void **state) {
    (void)state;
    char endpoint[NET_ENDPOINT_MAX];
    in_folder(endpoint, "both");
    both_ways(endpoint);
}

static void an_absent_peer_means_try_again(void **state) {
    (void)state;
    char endpoint[NET_ENDPOINT_MAX];
    in_folder(endpoint, "absent");
    struct net_socket *client = open_or_fail(NET_DEALER, endpoint);
    for (int i = 0; i < 20; i++) {
        assert_int_equal(send_bytes(client, NULL, "x", 1), -EAGAIN);
        pause_ms(5);
    }
    assert_false(net_connected(client));
    net_close(&client);
}

static void a_vanished_peer_is_reported(void **state) {
    (void)state;
    struct net_socket *server = open_or_fail(NET_ROUTER, "tcp://127.0.0.1:*");
    struct net_socket *client = open_or_fail(NET_DEALER, net_endpoint(server));
    struct net_peer peer;
    send_soon(client, NULL, "hello");
    expect(server, &peer, "hello");
    net_close(&client);
    uint64_t until = clock_ms() + PATIENCE_MS;
    int rc;
    while ((rc = send_bytes(server, &peer, "x", 1)) == 0 && clock_ms() < until) {
        pause_ms(5);
    }
    assert_int_equal(rc, -EHOSTUNREACH);
    struct net_peer stranger = {.len = 5, .id = {0, 9, 9, 9, 9}};
    assert_int_equal(send_bytes(server, &stranger, "x", 1), -EHOSTUNREACH);
    net_close(&server);
}

// Without a reader: -EAGAIN once the queues of both sides are full, and no accepted message is
// lost.
static void a_full_queue_means_try_again(void **state) {
    (void)state;
    struct net_socket *server = open_or_fail(NET_ROUTER, "tcp://127.0.0.1:*");
    struct net_socket *client = open_or_fail(NET_DEALER, net_endpoint(server));
    enum { SIZE = 256 << 10 };
    char *big = calloc(1, SIZE);
    int taken = 0, refused = 0;
    send_soon(client, NULL, "first");
    while (refused < 100 && taken < 4000) {
        memcpy(big, &taken, sizeof(taken));
        int rc = send_bytes(client, NULL, big, SIZE);
        assert_true(rc == 0 || rc == -EAGAIN);
        taken += rc == 0;
        refused = rc == 0 ? 0 : refused + 1;
        if (rc != 0) {
            pause_ms(1);
        }
    }
    assert_int_equal(refused, 100);

    expect(server, NULL, "first");
    uint64_t until = clock_ms() + PATIENCE_MS;
    for (int i = 0; i < taken;) {
        struct net_frame frame;
        if (net_recv(server, NULL, &frame) != 0) {
            assert_true(clock_ms() < until);
            pause_ms(1);
            continue;
        }
        int number;
        memcpy(&number, frame.data, sizeof(number));
        assert_int_equal(number, i++);
        assert_int_equal(frame.len, SIZE);
        net_frame_close(&frame);
    }
    free(big);
    net_close(&client);
    net_close(&server);
}

static void oversize_is_refused_by_the_sender(void **state) {
    (void)state;
    struct net_socket *server = open_or_fail(NET_ROUTER, "tcp://127.0.0.1:*");
    struct net_socket *client = open_or_fail(NET_DEALER, net_endpoint(server));
    wait_connected(client, true);
    char *big = calloc(1, (size_t)NET_MESSAGE_MAX + 1);
    assert_int_equal(send_bytes(client, NULL, big, (size_t)NET_MESSAGE_MAX + 1), -EMSGSIZE);
    send_soon(client, NULL, "small ones go on");
    expect(server, NULL, "small ones go on");
    assert_int_equal(send_bytes(client, NULL, big, NET_MESSAGE_MAX), 0); // the maximum size
    uint64_t until = clock_ms() + PATIENCE_MS;
    struct net_frame frame;
    while (net_recv(server, NULL, &frame) != 0) {
        assert_true(clock_ms() < until);
        pause_ms(2);
    }
    assert_int_equal(frame.len, NET_MESSAGE_MAX);
    net_frame_close(&frame);
    free(big);
    net_close(&client);
    net_close(&server);
}

// A peer that exceeds our limits: only its connection is closed.
static void oversize_of_an_unknown_peer_closes_its_connection(void **state) {
    (void)state;
    struct net_socket *server = open_or_fail(NET_ROUTER, "tcp://127.0.0.1:*");
    struct net_socket *client = open_or_fail(NET_DEALER, net_endpoint(server));
    void *ctx = zmq_ctx_new(), *stranger = zmq_socket(ctx, ZMQ_DEALER);
    int zero = 0;
    zmq_setsockopt(stranger, ZMQ_LINGER, &zero, sizeof(zero));
    assert_int_equal(zmq_connect(stranger, net_endpoint(server)), 0);
    char *big = calloc(1, (size_t)NET_MESSAGE_MAX + 1);
    assert_true(zmq_send(stranger, big, (size_t)NET_MESSAGE_MAX + 1, 0) > 0);
    free(big);
    pause_ms(100);
    send_soon(client, NULL, "still here");
    expect(server, NULL, "still here");
    for (int i = 0; i < 50; i++) { // and the large one never arrives
        assert_int_equal(net_recv(server, NULL, &(struct net_frame){0}), -EAGAIN);
        pause_ms(10);
    }
    zmq_close(stranger);
    zmq_ctx_term(ctx);
    net_close(&client);
    net_close(&server);
}

// A TCP connection that has made the handshake of ZMTP 3.0 as a DEALER.
static int handshake(const char *endpoint) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    address.sin_port = htons((uint16_t)atoi(strrchr(endpoint, ':') + 1));
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    unsigned char hello[64] = {[0] = 0xff, [9] = 0x7f, [10] = 3};
    memcpy(hello + 12, "NULL", 4);
    static const unsigned char ready[] = "\4\x1c\5READY\13Socket-Type\0\0\0\6DEALER";
    assert_int_equal(write(fd, hello, sizeof(hello)), sizeof(hello));
    assert_int_equal(write(fd, ready, sizeof(ready) - 1), sizeof(ready) - 1);
    return fd;
}

// ZeroMQ keeps the parts of a message until its last one, without a limit.
static void a_message_of_parts_without_end_is_cut(void **state) {
    (void)state;
    enum { PART = 60000, ENOUGH = 2500, PARTS_MAX = 3000 }; // ENOUGH: more than the limit
    struct net_socket *server = open_or_fail(NET_ROUTER, "tcp://127.0.0.1:*");
    struct net_socket *client = open_or_fail(NET_DEALER, net_endpoint(server));
    int fd = handshake(net_endpoint(server));
    static unsigned char part[PART + 9] = {[0] = 3, [7] = PART >> 8, [8] = PART & 255};
    int parts = 0;
    for (; parts < PARTS_MAX; parts++) {
        if (send(fd, part, sizeof(part), MSG_NOSIGNAL) != sizeof(part)) {
            break;
        }
        assert_false(net_readable(server));
        if (parts > ENOUGH) {
            usleep(20000); // ZeroMQ's thread may have to wait for a processor
        }
    }
    assert_true(parts > 10 && parts < PARTS_MAX);
    close(fd);
    send_soon(client, NULL, "still here");
    expect(server, NULL, "still here");
    net_close(&client);
    net_close(&server);
}

// The limit of a process: a connection that announces a larger message is closed, and no memory
// is taken for it.
static void a_smaller_limit_holds_for_peers_alone(void **state) {
    (void)state;
    const struct net_limits limits = {.message_max = 1000, .send_max = 2, .receive_max = 2};
    net_limit(net, &limits);
    struct net_socket *server = open_or_fail(NET_ROUTER, "tcp://127.0.0.1:*");
    struct net_socket *client = open_or_fail(NET_DEALER, net_endpoint(server));
    struct net_peer from;
    char text[2001];
    memset(text, 'x', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    send_soon(client, NULL, text + 1001);
    expect(server, &from, text + 1001);
    for (int i = 0; i < 10; i++) { // a short queue is no obstacle to a peer that reads
        send_soon(server, &from, text);
        expect(client, NULL, text);
    }
    send_soon(client, NULL, text);
    wait_connected(client, false);
    assert_false(net_readable(server));
    net_close(&client);
    net_close(&server);
    net_limit(net, &(struct net_limits){NET_MESSAGE_MAX, 256, 256});
}

static void new_connections_without_a_message_are_limited(void **state) {
    (void)state;
    struct net_socket *server = open_or_fail(NET_ROUTER, "tcp://127.0.0.1:*");
    struct net_socket *client = open_or_fail(NET_DEALER, net_endpoint(server));
    send_soon(client, NULL, "before");
    expect(server, NULL, "before");
    int fds[2 * NET_STRANGERS_MAX], cut = 0;
    for (int i = 0; i < 2 * NET_STRANGERS_MAX; i++) {
        fds[i] = handshake(net_endpoint(server));
        net_readable(server);
    }
    pause_ms(200);
    net_readable(server);
    pause_ms(200);
    for (int i = 0; i < 2 * NET_STRANGERS_MAX; i++) {
        char byte[256];
        ssize_t n;
        while ((n = recv(fds[i], byte, sizeof(byte), MSG_DONTWAIT)) > 0) {
        }
        cut += n == 0 || errno != EAGAIN;
        close(fds[i]);
    }
    assert_int_equal(cut, NET_STRANGERS_MAX);
    send_soon(client, NULL, "after"); // of a peer that is known
    expect(server, NULL, "after");
    net_close(&client);
    net_close(&server);
}

// Messages of several parts and chosen routing ids arrive as empty messages, which the wire
// refuses.
static void multipart_messages_arrive_as_empty_ones(void **state) {
    (void)state;
    struct net_socket *server = open_or_fail(NET_ROUTER, "tcp://127.0.0.1:*");
    void *ctx = zmq_ctx_new(), *stranger = zmq_socket(ctx, ZMQ_DEALER);
    int zero = 0;
    char name[255];
    memset(name, 'n', sizeof(name));
    zmq_setsockopt(stranger, ZMQ_LINGER, &zero, sizeof(zero));
    zmq_setsockopt(stranger, ZMQ_ROUTING_ID, name, sizeof(name));
    assert_int_equal(zmq_connect(stranger, net_endpoint(server)), 0);
    assert_int_equal(zmq_send(stranger, "one", 3, ZMQ_SNDMORE), 3);
    assert_int_equal(zmq_send(stranger, "two", 3, ZMQ_SNDMORE), 3);
    assert_int_equal(zmq_send(stranger, "three", 5, 0), 5);
    assert_int_equal(zmq_send(stranger, "whole", 5, 0), 5);
    struct net_peer peer;
    expect(server, &peer, "");
    assert_int_equal(peer.len, NET_PEER_ID_MAX);
    expect(server, &peer, "whole");
    assert_int_equal(send_bytes(server, &peer, "x", 1), -EHOSTUNREACH);
    zmq_close(stranger);
    zmq_ctx_term(ctx);
    net_close(&server);
}

static void restart(const char *endpoint) {
    struct net_socket *server = open_or_fail(NET_ROUTER, endpoint);
    char bound[NET_ENDPOINT_MAX];
    snprintf(bound, sizeof(bound), "%s", net_endpoint(server));
    struct net_socket *client = open_or_fail(NET_DEALER, bound);
    struct net_peer before, after;
    send_soon(client, NULL, "before");
    expect(server, &before, "before");
    for (int round = 0; round < 3; round++) {
        net_close(&server);
        wait_connected(client, false);
        assert_int_equal(send_bytes(client, NULL, "x", 1), -EAGAIN); // kept by the caller, not lost
        server = open_or_fail(NET_ROUTER, bound); // immediately, on the same address
        wait_connected(client, true);
        send_soon(client, NULL, "after");
        expect(server, &after, "after");
        send_soon(server, &after, "answer");
        expect(client, NULL, "answer");
    }
    net_close(&client);
    net_close(&server);
}

static void a_restarted_server_is_found_again(void **state) {
    (void)state;
    char endpoint[NET_ENDPOINT_MAX];
    restart("tcp://127.0.0.1:*");
    in_folder(endpoint, "restart");
    restart(endpoint);
}

// ---- addresses ----

static void an_address_in_use_is_refused(void **state) {
    (void)state;
    char endpoint[NET_ENDPOINT_MAX], expected[NET_ENDPOINT_MAX + 64];
    struct net_socket *server = open_or_fail(NET_ROUTER, "tcp://127.0.0.1:*");
    snprintf(expected, sizeof(expected), "%s is in use by another process", net_endpoint(server));
    assert_refused(-EADDRINUSE, expected, NET_ROUTER, net_endpoint(server));
    net_close(&server);

    // An ipc path in use is not taken over, and continues to work.
    in_folder(endpoint, "used");
    server = open_or_fail(NET_ROUTER, endpoint);
    snprintf(expected, sizeof(expected), "%s is in use by another process", endpoint);
    assert_refused(-EADDRINUSE, expected, NET_ROUTER, endpoint);
    struct net_socket *client = open_or_fail(NET_DEALER, endpoint);
    send_soon(client, NULL, "still served");
    expect(server, NULL, "still served");
    net_close(&client);
    net_close(&server);
}

static void a_dead_process_s_path_is_taken_over(void **state) {
    (void)state;
    char endpoint[NET_ENDPOINT_MAX];
    in_folder(endpoint, "stale");
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof(address.sun_path), "%s/stale", folder);
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(listen(fd, 1), 0);
    assert_refused(-EADDRINUSE, "in use", NET_ROUTER, endpoint);
    close(fd); // the file remains, as after a SIGKILL
    assert_int_equal(access(address.sun_path, F_OK), 0);
    both_ways(endpoint);
    assert_int_equal(access(address.sun_path, F_OK), -1); // and net_close removes it
}

static void an_existing_file_is_not_removed(void **state) {
    (void)state;
    char endpoint[NET_ENDPOINT_MAX], path[128];
    in_folder(endpoint, "file");
    snprintf(path, sizeof(path), "%s/file", folder);
    int fd = open(path, O_CREAT | O_WRONLY, 0600);
    assert_true(fd >= 0);
    close(fd);
    assert_refused(-EEXIST, "exists and is not a socket", NET_ROUTER, endpoint);
    assert_int_equal(unlink(path), 0);
}

static void malformed_addresses_are_refused(void **state) {
    (void)state;
    const struct {
        const char *endpoint, *says;
        enum net_kind kind;
        int code;
    } cases[] = {
        {"", "must look like tcp://HOST:PORT", NET_ROUTER, -EINVAL},
        {"127.0.0.1:7000", "must look like tcp://HOST:PORT", NET_ROUTER, -EINVAL},
        {"http://127.0.0.1:7000", "must look like", NET_DEALER, -EINVAL},
        {"tcp://127.0.0.1", "must look like", NET_DEALER, -EINVAL},
        {"tcp://:7000", "must look like", NET_DEALER, -EINVAL},
        {"tcp://127.0.0.1:", "\"\" is not a port", NET_ROUTER, -EINVAL},
        {"tcp://127.0.0.1:0", "\"0\" is not a port", NET_DEALER, -EINVAL},
        {"tcp://127.0.0.1:65536", "\"65536\" is not a port", NET_DEALER, -EINVAL},
        {"tcp://127.0.0.1:70x", "\"70x\" is not a port", NET_DEALER, -EINVAL},
        {"tcp://127.0.0.1:-1", "\"-1\" is not a port", NET_DEALER, -EINVAL},
        {"tcp://127.0.0.1:*", "a port number is needed", NET_DEALER, -EINVAL},
        {"tcp://192.0.2.1:7000", "no such address", NET_ROUTER, -EADDRNOTAVAIL},
        {"tcp://nosuchinterface:7000", "no such address", NET_ROUTER, -ENODEV},
        {"ipc://", "no path", NET_ROUTER, -EINVAL},
        {"ipc:///nonexistent/folder/socket", "directory /nonexistent/folder does not exist",
         NET_ROUTER, -ENOENT},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_refused(cases[i].code, cases[i].says, cases[i].kind, cases[i].endpoint);
    }
}

static void a_host_that_does_not_exist_is_refused(void **state) {
    (void)state;
    struct net_socket *s = NULL;
    int rc = net_open(&s, net, NET_DEALER, "tcp://nosuchhost.invalid:7000", err, sizeof(err));
    assert_true(rc == -ENOENT || rc == -EAGAIN); // -EAGAIN where there is no name server to ask
    assert_non_null(strstr(err, "the host name \"nosuchhost.invalid\" cannot be resolved"));
}

static void long_paths_are_refused(void **state) {
    (void)state;
    char endpoint[2 * NET_ENDPOINT_MAX] = "ipc://";
    size_t head = strlen(endpoint);
    snprintf(endpoint + head, sizeof(endpoint) - head, "%s/", folder);
    head = strlen("ipc://");
    for (size_t len = strlen(endpoint) - head; len < 107; len++) {
        endpoint[head + len] = 'x';
    }
    both_ways(endpoint); // 107 bytes are allowed
    endpoint[head + 107] = 'x';
    assert_refused(-ENAMETOOLONG, "the path has 108 bytes", NET_ROUTER, endpoint);
    assert_refused(-ENAMETOOLONG, "the path has 108 bytes", NET_DEALER, endpoint);
    memset(endpoint + head, 'y', NET_ENDPOINT_MAX);
    assert_refused(-ENAMETOOLONG, "the limit is 255", NET_ROUTER, endpoint);
}

static void a_folder_without_permission_is_refused(void **state) {
    (void)state;
    char endpoint[NET_ENDPOINT_MAX];
    in_folder(endpoint, "denied");
    assert_int_equal(chmod(folder, 0500), 0);
    uid_t user = geteuid();
    if (user == 0) { // root may write to every folder
        assert_int_equal(seteuid(65534), 0);
    }
    assert_refused(-EACCES, "permission denied", NET_ROUTER, endpoint);
    assert_int_equal(seteuid(user), 0);
    assert_int_equal(chmod(folder, 0700), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(messages_go_both_ways_over_tcp),
        cmocka_unit_test(a_host_may_be_a_name),
        cmocka_unit_test(messages_go_both_ways_over_ipc),
        cmocka_unit_test(an_absent_peer_means_try_again),
        cmocka_unit_test(a_vanished_peer_is_reported),
        cmocka_unit_test(a_full_queue_means_try_again),
        cmocka_unit_test(oversize_is_refused_by_the_sender),
        cmocka_unit_test(oversize_of_an_unknown_peer_closes_its_connection),
        cmocka_unit_test(a_message_of_parts_without_end_is_cut),
        cmocka_unit_test(a_smaller_limit_holds_for_peers_alone),
        cmocka_unit_test(new_connections_without_a_message_are_limited),
        cmocka_unit_test(multipart_messages_arrive_as_empty_ones),
        cmocka_unit_test(a_restarted_server_is_found_again),
        cmocka_unit_test(an_address_in_use_is_refused),
        cmocka_unit_test(a_dead_process_s_path_is_taken_over),
        cmocka_unit_test(an_existing_file_is_not_removed),
        cmocka_unit_test(malformed_addresses_are_refused),
        cmocka_unit_test(a_host_that_does_not_exist_is_refused),
        cmocka_unit_test(long_paths_are_refused),
        cmocka_unit_test(a_folder_without_permission_is_refused),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
