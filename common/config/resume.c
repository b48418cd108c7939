// SPDX-License-Identifier: MIT
// The list of changeable keys, and the difference of two configurations.
#include "common/config/resume.h"

#include <stdio.h>
#include <string.h>

#include "common/base/check.h"

enum { VALUE_LEN = 2048 };

bool config_key_may_change(const struct config_key *key) {
    char name[96];
    config_key_name(key, name, sizeof(name));
    for (const char *p = CONFIG_CHANGEABLE_TEXT; *p; p += strspn(p, ", ")) {
        size_t len = strcspn(p, ",");
        bool section = p[len - 1] == '*';
        size_t compared = section ? len - 1 : len;
        if (strncmp(name, p, compared) == 0 && (section || name[len] == '\0')) {
            return true;
        }
        p += len;
    }
    return false;
}

static bool differs(const struct config *a, const struct config *b, const struct config_key *key,
                    char was[VALUE_LEN], char is[VALUE_LEN]) {
    config_key_format(a, key, was, VALUE_LEN);
    config_key_format(b, key, is, VALUE_LEN);
    return strcmp(was, is) != 0;
}

int config_change(struct config *c, const struct config *wanted, const struct config_key **fixed) {
    struct config changed = *c;
    char was[VALUE_LEN], is[VALUE_LEN], name[96], assignment[VALUE_LEN + 128], err[512];
    for (int i = 0; i < config_key_count; i++) {
        const struct config_key *key = &config_keys[i];
        if (!differs(c, wanted, key, was, is)) {
            continue;
        }
        if (!config_key_may_change(key)) {
            *fixed = key;
            return -1;
        }
        config_key_name(key, name, sizeof(name));
        snprintf(assignment, sizeof(assignment), "%s=%s", name, is);
        int rc = config_set(&changed, assignment, err, sizeof(err));
        CHECK(rc == 0);
    }
    *c = changed;
    return 0;
}

void config_changes_text(char *out, size_t out_len, const struct config *from,
                         const struct config *to) {
    char was[VALUE_LEN], is[VALUE_LEN], name[96];
    size_t n = 0;
    out[0] = '\0';
    for (int i = 0; i < config_key_count && n < out_len; i++) {
        if (differs(from, to, &config_keys[i], was, is)) {
            config_key_name(&config_keys[i], name, sizeof(name));
            n += (size_t)snprintf(out + n, out_len - n, "%s%s %s to %s", n ? ", " : "", name, was,
                                  is);
        }
    }
}
