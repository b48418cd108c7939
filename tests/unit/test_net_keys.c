// SPDX-License-Identifier: MIT
// Tests who may connect: the token of a run, keys that the server lists, and nobody else; the entry
// that a message's key has; a revoked key after the connections were ended; and the words that a
// client gets.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "tests/unit/net_bytes.h"

enum { PATIENCE_MS = 10000 };

#define TOKEN "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

// A context each, as processes have.
struct end {
    struct keys keys;
    struct net *net;
    struct net_socket *socket;
};

static void open_end(struct end *e, enum net_kind kind, const char *endpoint) {
    char err[256];
    e->net = net_create();
    net_secure(e->net, &e->keys);
    assert_int_equal(net_open(&e->socket, e->net, kind, endpoint, err, sizeof(err)), 0);
}

static void close_end(struct end *e) {
    net_close(&e->socket);
    net_destroy(&e->net);
}

// Whether a message of the client reaches the server, and its key.
static bool reaches(struct end *server, struct end *client, uint16_t *key) {
    uint64_t until = clock_ms() + PATIENCE_MS;
    bool sent = false;
    while (clock_ms() < until && !net_refusal(client->socket, false)) {
        struct net_peer from;
        struct net_frame frame;
        sent = sent || send_bytes(client->socket, NULL, "hello", 5) == 0;
        net_readable(server->socket);
        if (net_recv(server->socket, &from, &frame) == 0) {
            net_frame_close(&frame);
            *key = from.key;
            return true;
        }
        usleep(1000);
    }
    return false;
}

static void expect(struct end *server, const struct keys *keys, int key, const char *refusal) {
    struct end client = {.keys = *keys};
    uint16_t got = NET_PEER_NO_KEY;
    open_end(&client, NET_DEALER, net_endpoint(server->socket));
    bool reached = reaches(server, &client, &got);
    const char *why = net_refusal(client.socket, true);
    if (reached != (key >= 0) || (reached && got != key) ||
        (refusal && (!why || !strstr(why, refusal)))) {
        fail_msg("key %d, refusal \"%s\", not %d, \"...%s...\"", reached ? got : -1, why ? why : "",
                 key, refusal ? refusal : "");
    }
    close_end(&client);
}

static void only_the_token_is_admitted(void **state) {
    (void)state;
    struct end server = {.keys = {.token = TOKEN}};
    struct keys client = {.token = TOKEN};
    open_end(&server, NET_ROUTER, "tcp://127.0.0.1:*");
    expect(&server, &client, 0, NULL);
    client.token[KEY_TOKEN_LEN - 2] = 'x';
    expect(&server, &client, -1, "another run's");
    client.token[KEY_TOKEN_LEN - 2] = '\0';
    expect(&server, &client, -1, "another run's");
    expect(&server, &(struct keys){0}, -1, "asks for a key or the token");
    close_end(&server);
}

static void make_client(struct keys *client, const struct end *server) {
    *client = (struct keys){0};
    net_make_keys(client->public_key, client->secret_key);
    memcpy(client->server_key, server->keys.public_key, sizeof(client->server_key));
}

static void only_keys_of_the_list_are_admitted(void **state) {
    (void)state;
    static struct end server;
    struct key_entry list[2] = {{.name = "first", .roles = KEY_ACTOR},
                                {.name = "second", .roles = KEY_ACTOR}};
    struct keys first, second, other;
    server.keys = (struct keys){.serves = true, .list = list, .count = 2};
    net_make_keys(server.keys.public_key, server.keys.secret_key);
    memcpy(server.keys.server_key, server.keys.public_key, KEY_LEN);
    make_client(&first, &server);
    make_client(&second, &server);
    make_client(&other, &server);
    memcpy(list[0].public_key, first.public_key, KEY_LEN);
    memcpy(list[1].public_key, second.public_key, KEY_LEN);
    open_end(&server, NET_ROUTER, "tcp://127.0.0.1:*");
    expect(&server, &first, 1, NULL);
    expect(&server, &second, 2, NULL);
    expect(&server, &server.keys, 0, NULL); // its own
    expect(&server, &other, -1, "does not admit the key");
    expect(&server, &(struct keys){0}, -1, "asks for a key");
    expect(&server, &(struct keys){.token = TOKEN}, -1, "another proof");

    // Revoked: refused once the connections were ended, though it was connected.
    struct end joined = {.keys = first};
    char endpoint[NET_ENDPOINT_MAX], err[256];
    uint16_t key;
    snprintf(endpoint, sizeof(endpoint), "%s", net_endpoint(server.socket));
    open_end(&joined, NET_DEALER, endpoint);
    assert_true(reaches(&server, &joined, &key));
    list[0].roles = 0;
    net_admit(server.net);
    net_cut(&server.socket);
    assert_int_equal(net_open(&server.socket, server.net, NET_ROUTER, endpoint, err, sizeof(err)),
                     0);
    assert_false(reaches(&server, &joined, &key));
    assert_non_null(strstr(net_refusal(joined.socket, false), "revoked"));
    close_end(&joined);
    expect(&server, &second, 2, NULL);
    close_end(&server);
}

static void a_connection_of_another_key_is_another_peer(void **state) {
    (void)state;
    const struct net_peer a = {.len = 2, .id = {1, 2}, .key = 1};
    struct net_peer b = a;
    assert_true(net_peer_equal(&a, &b));
    b.key = 2;
    assert_false(net_peer_equal(&a, &b));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_the_token_is_admitted),
        cmocka_unit_test(only_keys_of_the_list_are_admitted),
        cmocka_unit_test(a_connection_of_another_key_is_another_peer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
