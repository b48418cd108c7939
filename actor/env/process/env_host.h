// SPDX-License-Identifier: MIT
// The child's side of the protocol (frame.h) for a plug-in: loads it and answers requests.
#ifndef SPUR_ACTOR_ENV_PROCESS_ENV_HOST_H
#define SPUR_ACTOR_ENV_PROCESS_ENV_HOST_H

// `spur-actor --env-host FILE.so` runs this.
#define ENV_HOST_OPTION "--env-host"

// Answers requests until CLOSE or the end of the request pipe. Returns the exit code.
int env_host(const char *path);

#endif
