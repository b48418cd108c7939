// SPDX-License-Identifier: MIT
// The actor: steps its environments with the newest policy and streams what it
// sees to the model server.
//
// A core: no socket, no clock, no thread. The main (or a simulator) passes in
// messages, ticks and permission to step; the core sends through callbacks.
// docs/protocol.md, "Actor and model server", says what must hold:
//
// - It steps only while the model server's credit, the policy's version and the
//   room for unacknowledged rows allow it, and says in status which is missing.
// - Messages are kept until they are acknowledged (actor/spool.h) and sent
//   again after a new Welcome, an Ack that shows a gap, or a silent while.
// - Random streams are indexed by the actor's own step and episode numbers, so
//   that a restarted actor goes on in its streams and never repeats a draw.
// - A step that the simulator itself calls bad is dropped and counted, and a new
//   episode begins; a non-finite number never leaves the process. An environment
//   with too many of them is broken, and the actor leaves.
#ifndef SPUR_ACTOR_ACTOR_H
#define SPUR_ACTOR_ACTOR_H

#include <stdbool.h>
#include <stdint.h>

#include "actor/client.h"
#include "proto/wire.h"

// Steps taken by one actor_step: few, so that the loop answers within a
// millisecond or two.
#define ACTOR_STEPS_PER_CALL 8
#define ACTOR_FLUSH_MS 20         // a message waits so long for more rows
#define ACTOR_LEAVE_MS 2000       // for the last acknowledgements when leaving
#define ACTOR_POLICY_GAP_MS 20    // between questions for a policy that is newer but not required
#define ACTOR_POLICY_RETRY_MS 100 // after an answer without a policy
// Left when more than one step in 50 is bad for long, or 20 in a row are.
#define ACTOR_BAD_WEIGHT 50
#define ACTOR_BAD_MAX 1000

struct actor;

// Borrows who and port. Takes nothing from the world until the first Welcome.
struct actor *actor_create(const struct client_identity *who, const struct port *port,
                           uint64_t now_ms);
void actor_destroy(struct actor **a);

void actor_on_message(struct actor *a, enum port_socket from, uint64_t now_ms,
                      const struct wire_msg *msg);
void actor_on_garbage(struct actor *a); // a message that wire_unpack refused
void actor_on_tick(struct actor *a, uint64_t now_ms);

// Whether actor_step would step now: the loop's idle phase is on while it is.
bool actor_may_step(const struct actor *a);
void actor_step(struct actor *a, uint64_t now_ms);

// Sends what there is, waits for acknowledgements for at most ACTOR_LEAVE_MS,
// says Goodbye. A second call changes nothing.
void actor_leave(struct actor *a, uint64_t now_ms, const char *why);
// Whether it is over, with the code to exit with and why.
bool actor_finished(const struct actor *a, int *exit_code, const char **why);

// line is borrowed by *status.
void actor_status(const struct actor *a, uint64_t now_ms, struct wire_status *status,
                  struct wire_actor_status *line);

#endif
