// SPDX-License-Identifier: MIT
// The state machine of a client's connection: time-outs, retries and refusals.
#include "proto/session.h"

#include <stdio.h>

#include "common/base/check.h"
#include "common/base/log.h"

#define PAUSE_FIRST_MS 250 // after a refusal that is not fatal, doubled each time
#define PAUSE_DOUBLINGS_MAX 5
#define REOPEN_DOUBLINGS_MAX 2
// Of a Welcome, as of the configuration (network.heartbeat_ms, network.lost_after_ms).
#define HEARTBEAT_MS_MIN 10
#define HEARTBEAT_MS_MAX 60000
#define LOST_MS_MIN 100
#define LOST_MS_MAX 600000

void session_init(struct session *s, const char *program, const char *endpoint, bool request_only,
                  uint64_t now_ms) {
    *s = (struct session){
        .program = program,
        .endpoint = endpoint,
        .request_only = request_only,
        .state = request_only ? SESSION_UP : SESSION_OPENING,
        .heartbeat_ms = SESSION_HEARTBEAT_MS,
        .lost_after_ms = SESSION_LOST_AFTER_MS,
        .heard_ms = now_ms,
        .sent_ms = now_ms,
        .hello_ms = now_ms,
    };
}

static uint64_t doubled(uint64_t ms, uint32_t times, uint32_t times_max) {
    return ms << (times < times_max ? times : times_max);
}

// Back to OPENING, with the Hello due now.
static void begin_opening(struct session *s, uint64_t now_ms) {
    s->state = SESSION_OPENING;
    s->hello_sent = false;
    s->hello_ms = now_ms;
    s->tries = 0;
}

uint64_t session_silence_ms(const struct session *s, uint64_t now_ms) {
    return now_ms > s->heard_ms ? now_ms - s->heard_ms : 0;
}

void session_busy(struct session *s, uint64_t now_ms) {
    if (s->state == SESSION_UP && s->heard_ms < now_ms) {
        s->heard_ms = now_ms;
    }
}

void session_waiting(const struct session *s, uint64_t now_ms, char *out, size_t out_len) {
    out[0] = '\0';
    if (s->state == SESSION_UP) {
        return;
    }
    uint64_t silent_s = session_silence_ms(s, now_ms) / 1000;
    if (s->text[0]) {
        snprintf(out, out_len, "refused by %s: %s", s->endpoint, s->text);
    } else {
        snprintf(out, out_len, "waiting for %s: no answer for %llu s; check that %s runs there",
                 s->endpoint, (unsigned long long)silent_s, s->program);
    }
}

static unsigned warn(struct session *s, uint64_t now_ms) {
    if (!log_due(&s->warned_ms, now_ms, SESSION_WARN_MS)) {
        return 0;
    }
    session_waiting(s, now_ms, s->line, sizeof(s->line));
    return SESSION_WARN;
}

static unsigned tick_opening(struct session *s, uint64_t now_ms) {
    unsigned duties = 0;
    if (s->text[0] || session_silence_ms(s, now_ms) >= s->lost_after_ms) {
        duties |= warn(s, now_ms);
    }
    if (now_ms - s->hello_ms >= doubled(s->lost_after_ms, s->tries, REOPEN_DOUBLINGS_MAX)) {
        duties |= SESSION_REOPEN;
        s->text[0] = '\0';
        s->hello_sent = false;
        s->hello_ms = now_ms;
        s->tries++;
    }
    if (!s->hello_sent && now_ms >= s->pause_until_ms) {
        duties |= SESSION_HELLO;
    }
    return duties;
}

unsigned session_on_tick(struct session *s, uint64_t now_ms) {
    if (s->state == SESSION_OPENING) {
        return tick_opening(s, now_ms);
    }
    if (s->state == SESSION_FATAL || s->request_only) {
        return 0;
    }
    if (session_silence_ms(s, now_ms) >= s->lost_after_ms) {
        s->lost++;
        s->text[0] = '\0';
        begin_opening(s, now_ms);
        return warn(s, now_ms) | SESSION_REOPEN | SESSION_HELLO;
    }
    return now_ms - s->sent_ms >= s->heartbeat_ms ? SESSION_HEARTBEAT : 0;
}

static enum session_verdict on_refuse(struct session *s, uint64_t now_ms,
                                      const struct wire_refuse *refuse) {
    s->refused++;
    snprintf(s->text, sizeof(s->text), "%s", refuse->text);
    if (refuse->fatal) {
        s->outdated = refuse->code == WIRE_REFUSED_RUN;
        s->state = SESSION_FATAL;
        return SESSION_STOP;
    }
    switch (refuse->code) {
    case WIRE_REFUSED_UNKNOWN:
    case WIRE_REFUSED_RUN:
        // Several messages may be refused before the Hello arrives: one Hello is enough.
        if (s->state == SESSION_UP && !s->request_only) {
            s->text[0] = '\0';
            begin_opening(s, now_ms);
            return SESSION_HANDLED;
        }
        break;
    case WIRE_REFUSED_VALUE:
    case WIRE_REFUSED_FORMAT:
        return SESSION_FOR_OWNER; // concerns one message; the connection stays up
    default:
        break;
    }
    if (s->state == SESSION_OPENING && s->hello_sent) {
        s->hello_sent = false;
        s->hello_ms = now_ms;
        s->pause_until_ms = now_ms + doubled(PAUSE_FIRST_MS, s->tries, PAUSE_DOUBLINGS_MAX);
        s->tries++;
    }
    return SESSION_HANDLED;
}

static uint32_t within(uint32_t n, uint32_t low, uint32_t high) {
    return n < low ? low : n > high ? high : n;
}

static enum session_verdict on_welcome(struct session *s, const struct wire_msg *msg) {
    if (s->run_id != 0 && s->run_id != msg->run_id) {
        s->state = SESSION_FATAL;
        s->outdated = true;
        snprintf(s->text, sizeof(s->text),
                 "%.120s now serves another run than the one that this process joined; restart it",
                 s->endpoint);
        return SESSION_STOP;
    }
    if (msg->welcome.incarnation == 0) {
        s->state = SESSION_FATAL;
        snprintf(s->text, sizeof(s->text),
                 "%.120s is a model server of an older spur: build all programs from the same "
                 "source",
                 s->endpoint);
        return SESSION_STOP;
    }
    s->run_id = msg->run_id;
    s->incarnation = msg->welcome.incarnation;
    if (msg->welcome.heartbeat_ms > 0 && msg->welcome.lost_after_ms > 0) {
        s->heartbeat_ms = within(msg->welcome.heartbeat_ms, HEARTBEAT_MS_MIN, HEARTBEAT_MS_MAX);
        s->lost_after_ms = within(msg->welcome.lost_after_ms, LOST_MS_MIN, LOST_MS_MAX);
    }
    return SESSION_WELCOMED;
}

enum session_verdict session_on_message(struct session *s, uint64_t now_ms,
                                        const struct wire_msg *msg) {
    if (s->state == SESSION_FATAL) {
        return SESSION_HANDLED;
    }
    if (msg->type == WIRE_REFUSE) {
        s->heard_ms = now_ms;
        return on_refuse(s, now_ms, &msg->refuse);
    }
    if (msg->type == WIRE_SHUTDOWN && (s->run_id == 0 || msg->run_id == s->run_id)) {
        s->stopped = !msg->shutdown.done;
        return SESSION_FOR_OWNER; // a server that is shutting down sends no Welcome
    }
    enum session_verdict verdict = SESSION_FOR_OWNER;
    if (msg->type == WIRE_WELCOME && !s->request_only) {
        verdict = on_welcome(s, msg);
        if (verdict == SESSION_STOP) {
            return verdict;
        }
    } else if (s->run_id == 0 || msg->run_id != s->run_id ||
               (s->state == SESSION_OPENING && !s->request_only)) {
        // Of another run, or sent before the outstanding Hello.
        s->foreign++;
        return SESSION_HANDLED;
    }
    s->heard_ms = now_ms;
    s->state = SESSION_UP;
    s->hello_sent = false;
    s->tries = 0;
    s->pause_until_ms = 0;
    s->text[0] = '\0';
    return verdict;
}

void session_sent(struct session *s, uint64_t now_ms, bool hello) {
    s->sent_ms = now_ms;
    if (hello) {
        s->hello_sent = true;
        s->hello_ms = now_ms;
    }
}

void session_restart(struct session *s, uint64_t now_ms) {
    CHECK(!s->request_only);
    if (s->state == SESSION_UP) {
        begin_opening(s, now_ms);
    }
}

void session_resend(struct session *s, uint64_t now_ms) {
    s->text[0] = '\0';
    s->pause_until_ms = 0;
    s->heard_ms = now_ms;
    if (s->state == SESSION_OPENING) {
        begin_opening(s, now_ms);
    }
}

void session_request(struct session *s, uint64_t now_ms) {
    CHECK(s->request_only);
    if (s->state == SESSION_UP) {
        s->heard_ms = now_ms; // the time-out starts with the request
        begin_opening(s, now_ms);
    }
}
