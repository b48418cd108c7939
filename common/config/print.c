// SPDX-License-Identifier: MIT
// A configuration as YAML for people and for config_parse, and the page of
// documentation that the table writes about itself.
#include <string.h>

#include "common/config/config.h"
#include "common/config/keys.h"

enum { COMMENT_COLUMN = 34, VALUE_LEN = 2048 };

// What a key's numbers count; a NAME has its choices in the same place.
static const char *unit_of(const struct config_key *key) {
    return key->kind == CONFIG_NAME ? "" : key->unit;
}

// "k at ... (steps, between 1 and 5)" into out.
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
    "<!-- Written by `spur config --doc` from the table in common/config_keys.h. -->\n"
    "# Configuration\n"
    "\n"
    "A run is described by one YAML file. `configs/` has one a task, with the paper's values;\n"
    "`spur run hopper` uses the copy inside the program, `spur run my.yaml` a file of yours.\n"
    "\n"
    "* What counts: the defaults below, then the file, then `--set section.key=value`, the last\n"
    "  one first. `spur config TASK|FILE [--set ...]` prints the result and the memory it needs.\n"
    "* Numbers may be written `1e5`, also where whole numbers are asked for. Lists are `[1, 2]`.\n"
    "* An unknown key, a wrong type, a value out of range or a key given twice is refused with\n"
    "  file, line, what was expected and the nearest valid key; nothing is guessed.\n"
    "* The resolved file is kept in the run directory as `config.yaml`, and a run that is taken\n"
    "  up again uses that one.\n"
    "\n"
    "The defaults are the MBPO paper's for Hopper where the paper says anything.\n";

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
