// SPDX-License-Identifier: MIT
// The folder in which a learner makes the files of a checkpoint.
//
// It belongs to one start of a learner. Each file reaches its place by a rename from it. The next
// start removes it first, and from then on such a rename fails: a learner that was frozen or cut
// off, and replaced meanwhile, changes no file of the run any more, at whatever instruction it
// goes on. No clock and no lock is needed for that, and it holds on file systems that machines
// share. A lock of the directory lets two starts of the same instant take turns.
#ifndef SPUR_LEARNER_STAGING_H
#define SPUR_LEARNER_STAGING_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>

// Makes a new folder in dir, and removes those of other starts. The file `kept` is taken over from
// them, if one has it. path: the new folder. 0, or -1 with a sentence in err.
int staging_create(char path[PATH_MAX], const char *dir, const char *kept, char *err,
                   size_t err_len);
// Whether another start has removed it, and has a folder of its own.
bool staging_is_lost(const char *path);
// Removes it, unless it has files, which the next start looks at. "": nothing.
void staging_remove(const char *path);

#endif
