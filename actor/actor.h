// SPDX-License-Identifier: MIT
// The actor: steps its environments with the newest policy and sends the transitions to
// the model server.
//
// A core: no socket, no clock, no thread. The main program (or a simulator) calls it with
// messages and ticks and when it may step; the core sends through callbacks. Its rules are
// in docs/protocol.md, "Actor and model server":
//
// - It steps only while the model server's credit, the policy's version and the space for
//   unacknowledged rows permit it. Its status states which of them is missing.
// - It fetches a policy only while it has credit. When credit comes after a pause, it first
//   fetches the newest.
// - It keeps each message until it is acknowledged (actor/spool.h). It resends after a new
//   Welcome, after an Ack that shows a gap, and after a time without an Ack.
// - Its rows may be kept in a file (spool_file.h). A new process then continues as the start that
//   left them: it presents that start's run and incarnation, and the server says what it has
//   stored.
// - Random streams are indexed by the actor's own counts of steps and episodes, so a
//   restarted actor continues them and repeats no random number.
// - A bad step (reported by the simulator, or with a non-finite number) is dropped and
//   counted, and a new episode begins. The actor leaves an environment with too many.
#ifndef SPUR_ACTOR_ACTOR_H
#define SPUR_ACTOR_ACTOR_H

#include <stdbool.h>
#include <stdint.h>

#include "actor/client.h"
#include "actor/spool_home.h"
#include "proto/wire.h"

// Steps in one call of actor_step: few, so that the loop answers within a millisecond or two.
#define ACTOR_STEPS_PER_CALL 8
#define ACTOR_FLUSH_MS 20         // longest wait of an incomplete message for more rows
#define ACTOR_LEAVE_MS 2000       // for the last acknowledgements when leaving
#define ACTOR_POLICY_GAP_MS 20    // between requests for a policy that is newer but not required
#define ACTOR_POLICY_RETRY_MS 100 // after an answer without a policy
#define ACTOR_POLICY_WAIT_MS 100  // longest wait for one that is newer but not required
// The actor leaves when more than one step in 10 is bad over a long time, or 20 in a row.
#define ACTOR_BAD_WEIGHT 10
#define ACTOR_BAD_MAX 200

struct actor;

// Borrows who and port. Environments are created at the first Welcome.
struct actor *actor_create(const struct client_identity *who, const struct port *port,
                           uint64_t now_ms);
void actor_destroy(struct actor **a);

// Right after actor_create: where rows are kept. Those that an earlier start left are sent first.
void actor_use_spool(struct actor *a, const struct spool_home *home);

void actor_on_message(struct actor *a, enum port_socket from, uint64_t now_ms,
                      const struct wire_msg *msg);
void actor_on_garbage(struct actor *a); // counts a message that wire_unpack refused
void actor_on_tick(struct actor *a, uint64_t now_ms);

// Whether actor_step would step now. The loop's idle phase is enabled while this is true.
bool actor_may_step(const struct actor *a);
void actor_step(struct actor *a, uint64_t now_ms);

// Sends the remaining rows, waits at most ACTOR_LEAVE_MS for acknowledgements, sends
// Goodbye. A second call has no effect.
void actor_leave(struct actor *a, uint64_t now_ms, const char *why);
// The connection, of which client_exit_code speaks.
const struct client *actor_server(const struct actor *a);
// Whether the actor is finished, with the exit code and the reason.
bool actor_finished(const struct actor *a, int *exit_code, const char **why);

// *status borrows line.
void actor_status(const struct actor *a, uint64_t now_ms, struct wire_status *status,
                  struct wire_actor_status *line);

#endif
