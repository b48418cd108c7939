// SPDX-License-Identifier: MIT
// A blocking call during which a second thread calls the function of an env_wait, so that the
// process sends heartbeats and answers a signal to stop.
//
// For code that cannot be interrupted and may depend on the thread that runs it: MuJoCo's compiler
// and the create function of a plug-in. The call runs in the calling thread.
#ifndef SPUR_ACTOR_ENV_KEEPALIVE_H
#define SPUR_ACTOR_ENV_KEEPALIVE_H

#include "actor/env/env.h"

// Calls wait->fn, since many short calls are a long one, then fn(arg). Every ENV_WAIT_MS until that
// returns, wait->fn runs in another thread, never after the return; if it returns false,
// wait->abandon ends the process. wait may be NULL: none. False: the first wait->fn has returned
// false, and fn was not called.
bool keepalive_call(const struct env_wait *wait, void (*fn)(void *arg), void *arg);

#endif
