// SPDX-License-Identifier: MIT
// A client's side of one connection to a server: is it up, whom do we wait
// for, and what is to be done about it.
//
// State only: no socket, no clock. The owner passes every message in and asks
// on every tick what is due; it sends, reopens and logs itself. Used by actors,
// evaluators and the learner towards the model server, and by actors towards
// the learner's policies.
//
//            Welcome                      silence for lost_after_ms,
//   OPENING ─────────▶ UP ──────────────▶ Refuse(UNKNOWN or RUN)      ─▶ OPENING
//      │ Refuse, not fatal: says Hello again after a growing pause
//      └ Refuse, fatal: FATAL, for good; `text` says why
//
// While OPENING the Hello is due until it could be sent. If it then stays
// unanswered, the socket is closed and opened again, after 1, 2, 4, 4, ... times
// lost_after_ms.
//
// A session that only asks (session_init with asks_only) has no Hello and no
// Heartbeat: it is UP until session_ask, then OPENING until any answer of the
// run comes; "Hello" is then the question.
#ifndef SPUR_PROTO_SESSION_H
#define SPUR_PROTO_SESSION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/wire.h"

// Until Welcome brings the run's own.
#define SESSION_HEARTBEAT_MS 500
#define SESSION_LOST_AFTER_MS 3000
// A line about a silent peer is said so often.
#define SESSION_SAY_MS 3000

enum session_state { SESSION_OPENING, SESSION_UP, SESSION_FATAL };

// What is due, as bits. The order to do them in: say, reopen, then send.
enum session_duty {
    SESSION_SAY = 1,       // log `line` as a warning
    SESSION_REOPEN = 2,    // close the socket, open a new one
    SESSION_HELLO = 4,     // send Hello (or ask again)
    SESSION_HEARTBEAT = 8, // send a Heartbeat (or Progress): nothing else was sent for a while
};

enum session_verdict {
    SESSION_FOR_OWNER, // the owner handles the message
    SESSION_WELCOMED,  // a Welcome: the owner reads it and resends what is not acknowledged
    SESSION_HANDLED,   // nothing is left to do
    SESSION_STOP,      // a fatal refusal: leave with `text` and EXIT_CODE_PROTOCOL
};

struct session {
    const char *program, *endpoint; // borrowed: who should be there, and where
    bool asks_only;
    enum session_state state;
    uint64_t run_id; // 0 until known
    uint32_t heartbeat_ms, lost_after_ms;
    uint64_t heard_ms; // last message, or the start, or the question
    uint64_t sent_ms;  // last message sent
    uint64_t said_ms;  // last line about waiting
    uint64_t hello_ms; // the Hello on its way was sent then
    bool hello_sent;
    uint64_t pause_until_ms;    // no Hello before
    uint32_t tries;             // Hellos unanswered or refused, in a row
    char text[WIRE_STRING_MAX]; // of the last refusal
    char line[768];             // for SESSION_SAY
    // Counters for status.
    uint64_t lost, refused, foreign; // connections lost, Refuse received, messages dropped here
};

// Borrows program ("spur-modelserver") and endpoint.
void session_init(struct session *s, const char *program, const char *endpoint, bool asks_only,
                  uint64_t now_ms);
// Bits of enum session_duty. To be called every 100 ms or so, and whenever
// something was asked; duties stay due until session_sent.
unsigned session_on_tick(struct session *s, uint64_t now_ms);
// For every message of the peer that wire_unpack passed.
enum session_verdict session_on_message(struct session *s, uint64_t now_ms,
                                        const struct wire_msg *msg);
// After a message could be sent. hello: it was the Hello (or the question).
void session_sent(struct session *s, uint64_t now_ms, bool hello);
// Says Hello again although the peer is there: something that it sent is missing.
// What is still on its way until the new Welcome is dropped as foreign.
void session_restart(struct session *s, uint64_t now_ms);
// asks_only: a question is due. Nothing happens while one is under way.
void session_ask(struct session *s, uint64_t now_ms);
// Why nothing goes on, for status; "" when up.
void session_waiting(const struct session *s, uint64_t now_ms, char *out, size_t out_len);

#endif
