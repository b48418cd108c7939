// SPDX-License-Identifier: MIT
// What `spur check` prints: tables of at most 100 columns, or one JSON object.
#ifndef SPUR_CLI_CHECK_REPORT_H
#define SPUR_CLI_CHECK_REPORT_H

#include "cli/check/findings.h"

void report_text(const struct measured *m, const struct findings *f);
void report_json(const struct measured *m, const struct findings *f);

#endif
