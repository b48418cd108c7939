// SPDX-License-Identifier: MIT
// The fake network: connections as ZeroMQ's DEALER and ROUTER have them.
//
// Messages of one connection and direction stay in order. A connection that breaks takes what is
// on the way with it; the client's socket connects again by itself, under another routing id. A
// socket that was replaced still delivers what it had sent (ZMQ_LINGER), beside the new one.
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/check.h"
#include "tests/sim/sim.h"

#define RETRY_US_MAX 400000 // between two attempts to connect

static struct net_peer route_of(int link) {
    struct net_peer peer = {.len = 5};
    uint32_t n = (uint32_t)link + 1;
    memcpy(peer.id + 1, &n, sizeof(n));
    return peer;
}

static int link_of(const struct sim *s, const struct net_peer *to) {
    uint32_t n = 0;
    memcpy(&n, to->id + 1, sizeof(n));
    return to->len == 5 && n >= 1 && n <= (uint32_t)s->links ? (int)n - 1 : -1;
}

static void try_to_connect(struct sim *s, int link, uint64_t in_us) {
    sim_schedule(s, in_us, SIM_CONNECT, NULL)->link = link;
}

static int open_link(struct sim_process *p, int socket, const char *endpoint) {
    struct sim *s = p->sim;
    CHECK(s->links < SIM_LINKS_MAX);
    struct sim_link *l = &s->link[s->links];
    *l = (struct sim_link){.socket = socket, .client = p};
    snprintf(l->endpoint, sizeof(l->endpoint), "%s", endpoint);
    try_to_connect(s, s->links, sim_between(s, 1, 5000));
    return s->links++;
}

void network_reopen(void *arg, enum port_socket socket, const char *endpoint) {
    struct sim_process *p = arg;
    if (p->link[socket] >= 0) {
        p->sim->link[p->link[socket]].closed = true;
    }
    p->link[socket] = endpoint ? open_link(p, (int)socket, endpoint) : -1;
}

static bool is_cut(const struct sim *s, const struct sim_process *p) {
    return p->cut_until > s->now_us;
}

void network_connect(struct sim *s, const struct sim_event *e) {
    struct sim_link *l = &s->link[e->link];
    if (l->closed || !l->client->alive) {
        return;
    }
    for (uint32_t i = s->processes; i-- > 0;) { // the newest that bound the address
        struct sim_process *p = s->process[i];
        if (p->alive && p->endpoint[0] && strcmp(p->endpoint, l->endpoint) == 0 && !is_cut(s, p) &&
            !is_cut(s, l->client)) {
            l->server = p;
            sim_trace(s, "connect %s#%u -> %s#%u", l->client->id, l->client->number, p->id,
                      p->number);
            return;
        }
    }
    try_to_connect(s, e->link, sim_between(s, 100000, RETRY_US_MAX));
}

// The server's side ends, and the client's socket connects again.
static void break_link(struct sim *s, int link) {
    struct sim_link *l = &s->link[link];
    bool again = !l->closed && l->client->alive && l->client->link[l->socket] == link;
    l->closed = true;
    l->server = NULL;
    if (again) {
        l->client->link[l->socket] = open_link(l->client, l->socket, l->endpoint);
    }
}

void network_cut(struct sim *s, int link) {
    sim_trace(s, "cut %s#%u %s", s->link[link].client->id, s->link[link].client->number,
              s->link[link].endpoint);
    break_link(s, link);
}

void network_silence(struct sim *s, int link) {
    sim_trace(s, "silence %s#%u %s", s->link[link].client->id, s->link[link].client->number,
              s->link[link].endpoint);
    s->link[link].silent = true;
}

void network_forget(struct sim_process *p, bool silently) {
    struct sim *s = p->sim;
    int n = s->links;
    for (int i = 0; i < n; i++) {
        if (s->link[i].server == p && silently && !s->link[i].closed) {
            network_silence(s, i); // its machine is gone: nothing tells the client
        } else if (s->link[i].server == p) {
            break_link(s, i);
        } else if (s->link[i].client == p) {
            s->link[i].closed = true;
        }
    }
}

// ---- messages ----

static void put_on_the_way(struct sim *s, int link, bool to_client, const void *bytes, size_t len) {
    struct sim_link *l = &s->link[link];
    uint64_t at = s->now_us + s->faults.delay_us + sim_between(s, 0, s->faults.jitter_us);
    at = at > l->last_us[to_client] ? at : l->last_us[to_client];
    l->last_us[to_client] = at;
    l->queued[to_client]++;
    struct sim_event *e = sim_schedule(s, at - s->now_us, SIM_MESSAGE, NULL);
    e->link = link;
    e->to_client = to_client;
    e->len = len;
    e->bytes = malloc(len ? len : 1);
    CHECK(e->bytes);
    memcpy(e->bytes, bytes, len);
}

static void send_bytes(struct sim *s, int link, bool to_client, const void *bytes, size_t len) {
    int copies = sim_chance(s, s->faults.drop) ? 0 : sim_chance(s, s->faults.duplicate) ? 2 : 1;
    for (int i = 0; i < copies; i++) {
        put_on_the_way(s, link, to_client, bytes, len);
    }
}

int network_send(void *arg, enum port_socket socket, const struct net_peer *to,
                 const struct wire_msg *msg) {
    struct sim_process *p = arg;
    struct sim *s = p->sim;
    bool to_client = socket == PORT_OWN;
    int link = to_client ? link_of(s, to) : p->link[socket];
    struct sim_link *l = link >= 0 ? &s->link[link] : NULL;
    if (to_client && (!l || l->server != p)) {
        return -EHOSTUNREACH;
    }
    if (!l || !l->server || l->queued[to_client] >= SIM_QUEUE_MAX) {
        return -EAGAIN;
    }
    const void *bytes;
    size_t len;
    wire_pack(s->pack, &bytes, &len, msg);
    check_sent(s, p, to_client ? l->client : l->server, msg);
    send_bytes(s, link, to_client, bytes, len);
    return 0;
}

void network_raw(struct sim_process *p, int socket, const void *bytes, size_t len) {
    int link = p->link[socket];
    struct sim_link *l = link >= 0 ? &p->sim->link[link] : NULL;
    if (l && l->server && l->queued[0] < SIM_QUEUE_MAX) {
        send_bytes(p->sim, link, false, bytes, len);
    }
}

static void to_server(struct sim_process *p, const struct net_peer *from, struct wire_msg *msg,
                      int refused, const char *err) {
    uint64_t now = sim_now_ms(p);
    enum wire_refusal code = (enum wire_refusal) - refused;
    if (p->ms && refused) {
        ms_on_unparsable(p->ms, now, from, code, err, msg);
    } else if (p->ms) {
        ms_on_message(p->ms, now, from, msg);
    } else if (p->learner && refused) {
        learner_on_garbage(p->learner, from, code, err);
    } else if (p->learner) {
        learner_on_peer(p->learner, now, from, msg);
    }
}

static void to_client(struct sim_process *p, int socket, const struct wire_msg *msg, int refused,
                      const char *err) {
    uint64_t now = sim_now_ms(p);
    if (refused) {
        check_fail(p->sim, "a message to %s is refused: %s", p->id, err);
    } else if (p->learner) {
        learner_on_server(p->learner, now, msg);
    } else if (p->actor) {
        actors_enter(p);
        actor_on_message(p->actor, (enum port_socket)socket, now, msg);
    } else if (p->evaluator) {
        actors_enter(p);
        evaluator_on_message(p->evaluator, now, msg);
    }
}

// Gives the event back to the queue until its receiver may have it. A fault that ends early lets
// later messages overtake these, as those of a newer connection do.
static bool postpone(struct sim *s, struct sim_event *e, const struct sim_link *l,
                     const struct sim_process *to) {
    const struct sim_process *other = e->to_client ? l->server : l->client;
    uint64_t until = to->frozen_until > to->cut_until ? to->frozen_until : to->cut_until;
    until = other && other->cut_until > until ? other->cut_until : until;
    if (until <= s->now_us) {
        return false;
    }
    struct sim_event *later = sim_schedule(s, until - s->now_us, SIM_MESSAGE, NULL);
    later->link = e->link;
    later->to_client = e->to_client;
    later->bytes = e->bytes;
    later->len = e->len;
    e->bytes = NULL;
    return true;
}

// The type, and the numbers that decide what happens next.
static void describe(char *out, size_t out_len, const struct wire_msg *m) {
    const char *name = wire_type_name(m->type);
    if (m->type == WIRE_GRANT) {
        snprintf(out, out_len, "%s: %" PRIu64 " updates, experience %" PRIu64, name,
                 m->grant.updates_allowed, m->grant.experience_seq);
    } else if (m->type == WIRE_PROGRESS) {
        snprintf(out, out_len, "%s: %" PRIu64 " updates, experience %" PRIu64 "%s%s", name,
                 m->progress.updates, m->progress.experience_seq,
                 m->progress.waiting[0] ? ", " : "", m->progress.waiting);
    } else if (m->type == WIRE_EXPERIENCE) {
        snprintf(out, out_len, "%s %" PRIu64 ": %u rows", name, m->experience.seq,
                 m->experience.rows.rows);
    } else if (m->type == WIRE_STATES) {
        snprintf(out, out_len, "%s %" PRIu64 ": rollout %" PRIu64, name, m->states.seq,
                 m->states.number);
    } else if (m->type == WIRE_TRANSITIONS) {
        snprintf(out, out_len, "%s %" PRIu64 ": %u rows", name, m->transitions.seq,
                 m->transitions.rows.rows);
    } else if (m->type == WIRE_CREDIT) {
        snprintf(out, out_len, "%s: %" PRIu64 " steps", name, m->credit.steps_allowed);
    } else {
        snprintf(out, out_len, "%s", name);
    }
}

struct sim_process *network_deliver(struct sim *s, struct sim_event *e) {
    struct sim_link *l = &s->link[e->link];
    struct sim_process *to = e->to_client ? l->client : l->server;
    bool current =
        l->server && !l->silent && to->alive && (!e->to_client || to->link[l->socket] == e->link);
    if (current && postpone(s, e, l, to)) {
        return NULL;
    }
    l->queued[e->to_client]--;
    if (!current) {
        return NULL;
    }
    struct wire_msg msg;
    char err[512];
    int refused = wire_unpack(s->unpack, &msg, e->bytes, e->len, err, sizeof(err));
    struct sim_process *from = e->to_client ? l->server : l->client;
    char text[512] = "";
    if (s->trace) {
        describe(text, sizeof(text), &msg);
    }
    sim_trace(s, "%s#%u -> %s#%u %s", from->id, from->number, to->id, to->number,
              refused ? err : text);
    struct net_peer route = s->route = route_of(e->link);
    if (!refused) {
        check_delivered(s, to, from, &msg);
    }
    if (e->to_client) {
        to_client(to, l->socket, &msg, refused, err);
    } else {
        to_server(to, &route, &msg, refused, err);
    }
    return to;
}
