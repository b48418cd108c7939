// SPDX-License-Identifier: MIT
// Prints a configuration as YAML, and the table of keys as docs/configuration.md.
#include <string.h>

#include "common/config/config.h"
#include "common/config/keys.h"
#include "common/config/resume.h"

enum { COMMENT_COLUMN = 34, VALUE_LEN = 2048 };

// The unit of a key; a NAME stores its values in the same field.
static const char *unit_of(const struct config_key *key) {
    return key->kind == CONFIG_NAME ? "" : key->unit;
}

// out = "meaning (steps, between 1 and 5)".
static void describe(const struct config_key *key, char *out, size_t out_len) {
    char range[96];
    config_key_range(key, range, sizeof(range));
    bool unit = unit_of(key)[0] != '\0', ranged = range[0] != '\0';
    snprintf(out, out_len, "%s%s%s%s%s%s", key->meaning, unit || ranged ? " (" : "", unit_of(key),
             unit && ranged ? ", " : "", range, unit || ranged ? ")" : "");
}

void config_print(const struct config *c, FILE *out, bool comments) {
    const char *section = "";
    for (int i = 0; i < config_key_count; i++) {
        const struct config_key *key = &config_keys[i];
        if (!config_key_used(key, c->method)) {
            continue;
        }
        if (strcmp(section, key->section) != 0) {
            fprintf(out, "\n%s:\n", key->section);
            section = key->section;
        }
        char value[VALUE_LEN], comment[512];
        config_key_format(c, key, value, sizeof(value));
        int column = fprintf(out, "%s%s: %s", section[0] ? "  " : "", key->name, value);
        if (comments) {
            describe(key, comment, sizeof(comment));
            int blanks = column < COMMENT_COLUMN ? COMMENT_COLUMN - column : 1;
            fprintf(out, "%*s# %s", blanks, "", comment);
        }
        fputc('\n', out);
    }
}

static const char doc_head[] =
    "<!-- Written by `spur config --doc` from the table in common/config/keys.h. -->\n"
    "# Configuration\n"
    "\n"
    "A run is configured by one YAML file. `configs/` has a file for each task, with the paper's\n"
    "values. `spur run hopper` uses the copy embedded in the program, `spur run my.yaml` a file "
    "of\n"
    "your own.\n"
    "\n"
    "* `--set section.key=value` overrides the file, and the file overrides the defaults below.\n"
    "  `spur config TASK|FILE [--set ...]` prints the result and the memory that it needs.\n"
    "* Numbers may be written as `1e5`, also for integers. Lists are written as `[1, 2]`.\n"
    "* An unknown key, a wrong type, a value out of range or a repeated key is an error. The "
    "message\n"
    "  has file, line, what was expected and the nearest valid key.\n"
    "* The resolved configuration is saved in the run directory as `config.yaml`. A resumed run "
    "uses\n"
    "  that file. It may change its budget, evaluations, checkpoints, exploration and processes, "
    "as in\n"
    "  `spur run --run-dir DIR --set run.steps=N`: the keys\n"
    "  " CONFIG_CHANGEABLE_BUDGET "\n"
    "  " CONFIG_CHANGEABLE_REST ".\n"
    "\n"
    "Defaults are for a task of which nothing is known: MBPO's with rollouts of one step\n"
    "(k = 1), SAC's rule for the target entropy, and no target return. What belongs to one task\n"
    "is in its file.\n";

void config_document(FILE *out) {
    fputs(doc_head, out);
    const char *section = NULL;
    for (int i = 0; i < config_key_count; i++) {
        const struct config_key *key = &config_keys[i];
        if (!section || strcmp(section, key->section) != 0) {
            section = key->section;
            fprintf(out,
                    "\n## %s\n\n| key | type | default | range | unit | methods | meaning |\n"
                    "|---|---|---|---|---|---|---|\n",
                    section[0] ? section : "No section");
        }
        char name[96], range[96], methods[96];
        config_key_name(key, name, sizeof(name));
        config_key_range(key, range, sizeof(range));
        config_key_methods(methods, sizeof(methods), key);
        fprintf(out, "| `%s` | %s | `%s` | %s | %s | %s | %s |\n", name,
                config_kind_name(key->kind), key->def, range, unit_of(key), methods, key->meaning);
    }
}
