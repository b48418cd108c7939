// SPDX-License-Identifier: MIT
// The evaluator: answers EvalRequest with the returns of whole episodes.
//
// A core like the actor: no socket, no clock, no thread. The request contains the policy, so
// that the evaluation uses exactly the policy of that step. One evaluation runs at a time; a
// newer request replaces the waiting one. The last report is kept and sent again when its
// request is repeated, because the server repeats a request whose report was lost.
#ifndef SPUR_ACTOR_EVALUATOR_H
#define SPUR_ACTOR_EVALUATOR_H

#include <stdbool.h>
#include <stdint.h>

#include "actor/client.h"
#include "proto/wire.h"

#define EVALUATOR_STEPS_PER_CALL 4 // of all lanes together

struct evaluator;

// Borrows who and port.
struct evaluator *evaluator_create(const struct client_identity *who, const struct port *port,
                                   uint64_t now_ms);
void evaluator_destroy(struct evaluator **e);

void evaluator_on_message(struct evaluator *e, uint64_t now_ms, const struct wire_msg *msg);
void evaluator_on_garbage(struct evaluator *e); // counts a message that wire_unpack refused
void evaluator_on_tick(struct evaluator *e, uint64_t now_ms);

bool evaluator_may_step(const struct evaluator *e);
void evaluator_step(struct evaluator *e, uint64_t now_ms);

void evaluator_leave(struct evaluator *e, uint64_t now_ms, const char *why);
const struct client *evaluator_server(const struct evaluator *e); // for client_exit_code
bool evaluator_finished(const struct evaluator *e, int *exit_code, const char **why);

// *status borrows line.
void evaluator_status(const struct evaluator *e, uint64_t now_ms, struct wire_status *status,
                      struct wire_actor_status *line);

#endif
