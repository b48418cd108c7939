// SPDX-License-Identifier: MIT
// The table of messages and roles.
#include "daemon/admission.h"

#include <stdio.h>

// The roles whose processes send a message to a model server, a learner or an actor. Messages of
// servers have none.
static unsigned roles_of(enum wire_type type) {
    switch (type) {
    case WIRE_TRANSITIONS:
    case WIRE_EPISODE:
    case WIRE_POLICY_GET:
        return KEY_ACTOR;
    case WIRE_EVAL_REPORT:
        return KEY_EVALUATOR;
    case WIRE_POLICY:
    case WIRE_PROGRESS:
        return KEY_LEARNER;
    case WIRE_STATUS_REQUEST:
        return KEY_OPERATOR;
    case WIRE_HEARTBEAT:
    case WIRE_GOODBYE:
    case WIRE_REFUSE:
        return KEY_ACTOR | KEY_EVALUATOR | KEY_LEARNER;
    default:
        return 0;
    }
}

static unsigned role_of_hello(enum wire_role role) {
    return role == WIRE_ROLE_ACTOR       ? KEY_ACTOR
           : role == WIRE_ROLE_EVALUATOR ? KEY_EVALUATOR
           : role == WIRE_ROLE_LEARNER   ? KEY_LEARNER
                                         : 0;
}

bool admission_allows(const struct key_entry *e, const struct wire_msg *msg, char *why,
                      size_t why_len) {
    if (!e || e->roles == 0) {
        snprintf(why, why_len, "this key is not in the server's list, or was revoked");
        return false;
    }
    bool hello = msg->type == WIRE_HELLO;
    unsigned needed = hello ? role_of_hello(msg->hello.role) : roles_of(msg->type);
    if ((e->roles & needed) == 0) {
        char has[64], wants[64];
        key_roles_text(has, sizeof(has), e->roles);
        key_roles_text(wants, sizeof(wants), needed);
        snprintf(why, why_len, "the key %s may not send %s%s%s: its role is %s", e->name,
                 wire_type_name(msg->type), hello ? " as " : "", hello ? wants : "", has);
        return false;
    }
    if (hello && !key_allows_id(e, msg->hello.id)) {
        snprintf(why, why_len, "the key %s may not use the id %.64s: its ids are %s%s", e->name,
                 msg->hello.id, e->ids[0] ? e->ids : e->name,
                 e->ids[0] ? "" : " and those below it");
        return false;
    }
    return true;
}
