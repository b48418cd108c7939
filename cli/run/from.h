// SPDX-License-Identifier: MIT
// `spur run --from DIR`: what a new run takes over from another one, and whether it fits.
//
// The daemons load it at their first start (section `from` of the configuration). Here the other
// run's configuration is compared, `from.rows: auto` becomes a number, and parts that the other run
// does not have are left out.
#ifndef SPUR_CLI_RUN_FROM_H
#define SPUR_CLI_RUN_FROM_H

#include <stdbool.h>
#include <stddef.h>

#include "common/config/config.h"
#include "common/task/task.h"

// Makes the path of from.run absolute, if there is such a directory.
void from_absolute(struct config *c);

// Completes section from of a new run's configuration, which names another run. text: what is taken
// over, for people. Returns 0, or an exit code after printing the error.
int from_resolve(struct config *c, const struct task *task, char *text, size_t text_len);

// Adds the assignments of `--without policy,critics,model,store` to sets. False: a part is unknown.
bool from_without(const char *parts, const char **sets, int *set_count, int sets_max);

#endif
