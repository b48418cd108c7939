// SPDX-License-Identifier: MIT
// A client's side of one connection to a server: its state, the reason for waiting, and the
// actions that are due.
//
// State only: no socket, no clock. The owner passes in every message and calls
// session_on_tick for the due actions; it sends, reopens and logs itself. Used by actors,
// evaluators and the learner for the model server, and by actors for the learner's policies.
//
//            Welcome                      silence for lost_after_ms,
//   OPENING ─────────▶ UP ──────────────▶ Refuse(UNKNOWN or RUN)      ─▶ OPENING
//      │ Refuse, not fatal: Hello again after a growing pause
//      └ Refuse, fatal: FATAL, a final state; `text` contains the reason
//
// In OPENING the Hello is due until it is sent. If there is no answer, the socket is closed
// and reopened after 1, 2, 4, 4, ... times lost_after_ms.
//
// A session for requests (request_only) has no Hello and no Heartbeat. It is UP until
// session_request, then OPENING until any answer of the run arrives. SESSION_HELLO then means
// the request.
#ifndef SPUR_PROTO_SESSION_H
#define SPUR_PROTO_SESSION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/wire.h"

// Defaults until the Welcome.
#define SESSION_HEARTBEAT_MS 500
#define SESSION_LOST_AFTER_MS 3000
// Interval of warnings about a silent peer.
#define SESSION_WARN_MS 3000

enum session_state { SESSION_OPENING, SESSION_UP, SESSION_FATAL };

// Due actions, as bits. Perform them in this order.
enum session_duty {
    SESSION_WARN = 1,      // log `line` as a warning
    SESSION_REOPEN = 2,    // close the socket, open a new one
    SESSION_HELLO = 4,     // send Hello (or the request)
    SESSION_HEARTBEAT = 8, // send a Heartbeat (or Progress): heartbeat_ms without another message
};

enum session_verdict {
    SESSION_FOR_OWNER, // the owner handles the message
    SESSION_WELCOMED,  // a Welcome: the owner reads it and resends unacknowledged messages
    SESSION_HANDLED,   // no further action
    SESSION_STOP,      // a fatal refusal: exit with `text`
};

struct session {
    const char *program, *endpoint; // borrowed: the expected server and its address
    bool request_only;
    enum session_state state;
    uint64_t run_id;      // 0 until known
    uint64_t incarnation; // of this start, from the first Welcome; 0 until then
    uint32_t heartbeat_ms, lost_after_ms;
    uint64_t heard_ms;  // time of the last message received, of the start, or of the request
    uint64_t sent_ms;   // time of the last message sent
    uint64_t warned_ms; // time of the last warning
    uint64_t hello_ms;  // time of the outstanding Hello
    bool hello_sent;
    uint64_t pause_until_ms;    // no Hello before this time
    uint32_t tries;             // consecutive Hellos without answer or refused
    char text[WIRE_STRING_MAX]; // of the last refusal
    bool outdated;              // FATAL, but another start of the process would be welcome
    bool stopped;               // Shutdown of a run that is not done
    char line[768];             // for SESSION_WARN
    // Counters for status.
    uint64_t lost, refused, foreign; // connections lost, Refuse received, messages dropped here
};

// Borrows program ("spur-modelserver") and endpoint.
void session_init(struct session *s, const char *program, const char *endpoint, bool request_only,
                  uint64_t now_ms);
// Bits of enum session_duty. Call about every 100 ms, and after session_request. A duty
// remains due until session_sent.
unsigned session_on_tick(struct session *s, uint64_t now_ms);
// The owner reads no messages at the moment, so that this time does not count as the peer's
// silence. now_ms may be ahead of the next tick's.
void session_busy(struct session *s, uint64_t now_ms);
// Time since the last message of the peer.
uint64_t session_silence_ms(const struct session *s, uint64_t now_ms);
// Call for every message of the peer that wire_unpack accepted.
enum session_verdict session_on_message(struct session *s, uint64_t now_ms,
                                        const struct wire_msg *msg);
// Call after sending a message. hello: it was the Hello (or the request).
void session_sent(struct session *s, uint64_t now_ms, bool hello);
// Sends Hello again on a working connection, because a message of the peer was lost. Messages
// before the new Welcome are dropped as foreign.
void session_restart(struct session *s, uint64_t now_ms);
// The connection is replaced by one to another address: what is outstanding is sent again.
void session_resend(struct session *s, uint64_t now_ms);
// request_only: a request is due. No effect while one is outstanding.
void session_request(struct session *s, uint64_t now_ms);
// The reason for waiting, for the status; "" when up.
void session_waiting(const struct session *s, uint64_t now_ms, char *out, size_t out_len);

#endif
