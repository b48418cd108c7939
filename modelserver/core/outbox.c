// SPDX-License-Identifier: MIT
// Pending messages of peers, refusals, and sending.
#include "modelserver/core/outbox.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

#include "common/base/log.h"

// Refusal codes up to FORMAT and their counters are in one order.
_Static_assert(MS_refused_format - MS_refused_schema == WIRE_REFUSED_FORMAT - WIRE_REFUSED_SCHEMA,
               "a counter for each refusal");

void outbox_init(struct outbox *o, const struct port *port, uint64_t run_id,
                 struct counters *counters) {
    *o = (struct outbox){.port = *port, .run_id = run_id, .counters = counters};
}

void outbox_queue(struct outbox *o, struct peer *p, unsigned pending) {
    p->pending |= pending;
    if (!p->queued && p->pending) {
        p->queued = true;
        o->queued[o->queued_count++] = p;
    }
}

void outbox_compact(struct outbox *o) {
    int kept = 0;
    for (int i = 0; i < o->queued_count; i++) {
        struct peer *p = o->queued[i];
        p->queued = p->pending != 0;
        if (p->queued) {
            o->queued[kept++] = p;
        }
    }
    o->queued_count = kept;
}

int outbox_send(struct outbox *o, struct peer *p, uint64_t now_ms, struct wire_msg *msg) {
    msg->run_id = o->run_id;
    int rc = o->port.send(o->port.arg, PORT_OWN, &p->route, msg);
    if (rc == 0) {
        p->sent_ms = now_ms;
    } else {
        counters_add(o->counters, rc == -EAGAIN ? MS_sends_delayed : MS_sends_failed, 1);
    }
    return rc;
}

void outbox_reply(struct outbox *o, const struct net_peer *to, struct wire_msg *msg) {
    msg->run_id = o->run_id;
    if (o->port.send(o->port.arg, PORT_OWN, to, msg) != 0) {
        counters_add(o->counters, MS_sends_failed, 1);
    }
}

static enum ms_counter counter_of(enum wire_refusal code) {
    return code == WIRE_REFUSED_KEY ? MS_refused_key
                                    : MS_refused_schema + (code - WIRE_REFUSED_SCHEMA);
}

void outbox_refuse(struct outbox *o, const struct net_peer *to, enum wire_refusal code, bool fatal,
                   const char *fmt, ...) {
    struct wire_msg msg = {.type = WIRE_REFUSE, .refuse = {.code = code, .fatal = fatal}};
    va_list args;
    va_start(args, fmt);
    vsnprintf(msg.refuse.text, sizeof(msg.refuse.text), fmt, args);
    va_end(args);
    counters_add(o->counters, counter_of(code), 1);
    log_peer(LOG_WARN, "refused a message (%s)", msg.refuse.text);
    outbox_reply(o, to, &msg);
}
