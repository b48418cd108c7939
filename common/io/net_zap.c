// SPDX-License-Identifier: MIT
// The thread behind inproc://zeromq.zap.01.
#include "common/io/net_zap.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zmq.h>

#include "common/base/check.h"
#include "common/base/log.h"

enum { PART_MAX = 256, PUBLIC_KEY_BYTES = 32 };

// The parts of a request that matter; those before are version and request id.
enum part { VERSION, REQUEST, DOMAIN, ADDRESS, ROUTING_ID, MECHANISM, CREDENTIAL, PASSWORD, PARTS };

struct request {
    char parts[PARTS][PART_MAX]; // with NUL
    int lens[PARTS], count;
};

struct net_zap {
    void *socket;
    pthread_t thread;
    pthread_mutex_t lock; // of what follows
    char own[KEY_LEN], token[KEY_TOKEN_LEN];
    struct key_entry *list;
    int count;
};

// All parts of a request. False: the context ends.
static bool receive(void *socket, struct request *r) {
    *r = (struct request){0};
    int more = 1;
    size_t more_len = sizeof(more);
    for (int i = 0; more; i++) {
        char part[PART_MAX];
        int len = zmq_recv(socket, part, sizeof(part), 0);
        if (len < 0 && zmq_errno() == EINTR) {
            i--;
            continue;
        }
        if (len < 0) {
            return false;
        }
        if (i < PARTS && len < PART_MAX) {
            memcpy(r->parts[i], part, (size_t)len);
            r->lens[i] = len;
            r->count = i + 1;
        }
        if (zmq_getsockopt(socket, ZMQ_RCVMORE, &more, &more_len) != 0) {
            return false;
        }
    }
    return true;
}

static void answer(void *socket, const struct request *r, int user) {
    char name[16] = "";
    if (user >= 0) {
        snprintf(name, sizeof(name), "%d", user);
    }
    const char *const parts[] = {"1.0",
                                 r->parts[REQUEST],
                                 user >= 0 ? "200" : "400",
                                 user >= 0 ? "OK" : "not admitted",
                                 name,
                                 ""};
    const int count = sizeof(parts) / sizeof(parts[0]);
    for (int i = 0; i < count; i++) {
        size_t len = i == 1 ? (size_t)r->lens[REQUEST] : strlen(parts[i]);
        zmq_send(socket, parts[i], len, i < count - 1 ? ZMQ_SNDMORE : 0);
    }
}

// The same time for all wrong ones.
static bool equal(const char *a, const char *b, size_t len) {
    unsigned char differs = 0;
    for (size_t i = 0; i < len; i++) {
        differs |= (unsigned char)(a[i] ^ b[i]);
    }
    return differs == 0;
}

// The number of the entry, 0 for everything, -1 for nobody.
static int user_of(struct net_zap *z, const struct request *r) {
    if (strcmp(r->parts[MECHANISM], "PLAIN") == 0) {
        bool known = z->token[0] != '\0' && r->count == PARTS &&
                     r->lens[PASSWORD] == KEY_TOKEN_LEN - 1 &&
                     equal(r->parts[PASSWORD], z->token, KEY_TOKEN_LEN - 1);
        if (!known) {
            log_peer(LOG_WARN, "refused %s: it has not this run's token", r->parts[ADDRESS]);
        }
        return known ? 0 : -1;
    }
    char key[KEY_LEN];
    if (strcmp(r->parts[MECHANISM], "CURVE") != 0 || r->lens[CREDENTIAL] != PUBLIC_KEY_BYTES ||
        !zmq_z85_encode(key, (const uint8_t *)r->parts[CREDENTIAL], PUBLIC_KEY_BYTES)) {
        return -1;
    }
    if (z->own[0] != '\0' && strcmp(key, z->own) == 0) {
        return 0;
    }
    for (int i = 0; i < z->count; i++) {
        if (strcmp(z->list[i].public_key, key) == 0 && z->list[i].roles != 0) {
            return i + 1;
        }
    }
    log_peer(LOG_WARN, "refused %s: its key %s is not in the list", r->parts[ADDRESS], key);
    return -1;
}

static void *serve(void *arg) {
    struct net_zap *z = arg;
    struct request request;
    while (receive(z->socket, &request)) {
        pthread_mutex_lock(&z->lock);
        int user = user_of(z, &request);
        pthread_mutex_unlock(&z->lock);
        answer(z->socket, &request, user);
    }
    zmq_close(z->socket);
    return NULL;
}

void net_zap_admit(struct net_zap *z, const struct keys *k) {
    size_t bytes = (size_t)k->count * sizeof(*k->list);
    struct key_entry *list = xmalloc(bytes + 1);
    memcpy(list, k->count > 0 ? k->list : (const struct key_entry[1]){{{0}}}, bytes);
    pthread_mutex_lock(&z->lock);
    free(z->list);
    z->list = list;
    z->count = k->count;
    pthread_mutex_unlock(&z->lock);
}

struct net_zap *net_zap_start(void *zmq, const struct keys *k) {
    struct net_zap *z = xcalloc(1, sizeof(*z));
    memcpy(z->own, k->public_key, sizeof(z->own));
    memcpy(z->token, k->token, sizeof(z->token));
    CHECK_RESOURCES(pthread_mutex_init(&z->lock, NULL) == 0);
    net_zap_admit(z, k);
    z->socket = zmq_socket(zmq, ZMQ_REP);
    CHECK_RESOURCES(z->socket);
    CHECK_RESOURCES(zmq_bind(z->socket, "inproc://zeromq.zap.01") == 0);
    CHECK_RESOURCES(pthread_create(&z->thread, NULL, serve, z) == 0);
    return z;
}

void net_zap_stop(struct net_zap **zap) {
    if (*zap) {
        pthread_join((*zap)->thread, NULL);
        pthread_mutex_destroy(&(*zap)->lock);
        free((*zap)->list);
        free(*zap);
        *zap = NULL;
    }
}
