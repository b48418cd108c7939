// SPDX-License-Identifier: MIT
// Reading, checking and writing of key files.
#include "common/io/keys.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/check.h"
#include "common/base/error.h"
#include "common/base/file.h"

enum { FILE_BYTES_MAX = 1 << 20, TOKEN_BYTES = (KEY_TOKEN_LEN - 1) / 2 };

static const struct {
    const char *word;
    enum key_role role;
} roles[] = {{"actor", KEY_ACTOR},
             {"evaluator", KEY_EVALUATOR},
             {"learner", KEY_LEARNER},
             {"operator", KEY_OPERATOR}};

enum { ROLES = sizeof(roles) / sizeof(roles[0]) };

// ---- words ----

unsigned key_roles(const char *words) {
    unsigned found = 0;
    for (const char *at = words;; at++) {
        size_t len = strcspn(at, ","), i = 0;
        while (i < ROLES && (strlen(roles[i].word) != len || strncmp(roles[i].word, at, len))) {
            i++;
        }
        if (i == ROLES) {
            return 0;
        }
        found |= roles[i].role;
        at += len;
        if (*at == '\0') {
            return found;
        }
    }
}

void key_roles_text(char *out, size_t out_len, unsigned bits) {
    out[0] = '\0';
    for (size_t i = 0; i < ROLES; i++) {
        size_t len = strlen(out);
        if (bits & roles[i].role) {
            snprintf(out + len, out_len - len, "%s%s", len > 0 ? "," : "", roles[i].word);
        }
    }
}

bool key_name_is_valid(const char *name) {
    size_t len = strlen(name);
    for (size_t i = 0; i < len; i++) {
        if (!isalnum((unsigned char)name[i]) && (i == 0 || !strchr("-_.", name[i]))) {
            return false;
        }
    }
    return len > 0 && len < KEY_NAME_LEN;
}

bool key_allows_id(const struct key_entry *e, const char *id) {
    size_t len = strlen(e->name);
    if (e->ids[0] == '\0') {
        return strncmp(id, e->name, len) == 0 && (id[len] == '\0' || id[len] == '/');
    }
    for (const char *at = e->ids; *at != '\0'; at += *at == ',') {
        len = strcspn(at, ",");
        if (strlen(id) == len && strncmp(id, at, len) == 0) {
            return true;
        }
        at += len;
    }
    return false;
}

// The characters of Z85.
static bool is_key(const char *text) {
    static const char others[] = ".-:+=^!/*?&<>()[]{}@%$#";
    size_t len = strlen(text);
    for (size_t i = 0; i < len; i++) {
        if (!isalnum((unsigned char)text[i]) && !strchr(others, text[i])) {
            return false;
        }
    }
    return len == KEY_LEN - 1;
}

// ---- reading ----

// A file that only its owner may read, if it is secret.
static int read_file(char **text, const char *path, bool secret, char *err, size_t err_len) {
    struct stat st;
    size_t len;
    int rc = file_read_all(text, &len, path, FILE_BYTES_MAX);
    if (rc < 0) {
        return error_set(err, err_len, rc, "%s: %s", path, strerror(-rc));
    }
    if (stat(path, &st) == 0 && (st.st_mode & 077) != 0 && secret) {
        free(*text);
        return error_set(err, err_len, -EACCES,
                         "%s contains a secret and may be read by others (mode %04o): chmod 600 %s",
                         path, st.st_mode & 07777u, path);
    }
    return 0;
}

// Takes the value of `word = "value"`. False: absent, or longer than out.
static bool take(char *out, size_t out_len, const char *text, const char *word) {
    for (const char *line = text; line && *line != '\0';) {
        const char *at = line + strspn(line, " \t"), *next = strchr(line, '\n');
        size_t len = strlen(word);
        if (strncmp(at, word, len) == 0 && at[len + strspn(at + len, " \t")] == '=') {
            const char *value = strchr(at, '"');
            size_t value_len = value ? strcspn(value + 1, "\"\n") : out_len;
            if (value_len < out_len) {
                snprintf(out, out_len, "%.*s", (int)value_len, value + 1);
                return true;
            }
            return false;
        }
        line = next ? next + 1 : NULL;
    }
    return false;
}

static int read_pair(struct keys *k, const char *path, char *err, size_t err_len) {
    char *text;
    int rc = read_file(&text, path, true, err, err_len);
    if (rc < 0) {
        return rc;
    }
    bool token =
        take(k->token, sizeof(k->token), text, "token") && strlen(k->token) == KEY_TOKEN_LEN - 1;
    bool pair =
        take(k->name, sizeof(k->name), text, "name") && key_name_is_valid(k->name) &&
        take(k->public_key, sizeof(k->public_key), text, "public-key") && is_key(k->public_key) &&
        take(k->secret_key, sizeof(k->secret_key), text, "secret-key") && is_key(k->secret_key);
    bool server =
        take(k->server_key, sizeof(k->server_key), text, "server-key") && is_key(k->server_key);
    free(text);
    if (!token && (!pair || (!server && !k->serves))) {
        return error_set(err, err_len, -EINVAL,
                         "%s is neither a key, as `spur keys` makes them, nor a token", path);
    }
    return 0;
}

// One line of the list. False: not in form.
static bool read_entry(struct key_entry *e, const char *line) {
    char words[64], rest[2];
    *e = (struct key_entry){0};
    int n = sscanf(line, "%63s %63s %40s %255s %1s", e->name, words, e->public_key, e->ids, rest);
    e->roles = n >= 3 ? key_roles(words) : 0;
    return (n == 3 || n == 4) && e->roles != 0 && key_name_is_valid(e->name) &&
           is_key(e->public_key);
}

static struct key_entry *find(struct key_entry *list, int count, const char *public_key) {
    for (int i = 0; i < count; i++) {
        if (strcmp(list[i].public_key, public_key) == 0) {
            return &list[i];
        }
    }
    return NULL;
}

// Reads the list into a new array. Returns its length, or a negative errno.
static int read_list(struct key_entry **out, const char *dir, char *err, size_t err_len) {
    char path[PATH_MAX], *text;
    int rc = file_join(path, sizeof(path), dir, KEYS_LIST_FILE), count = 0, number = 0;
    if (rc < 0) {
        return error_set(err, err_len, rc, "%s: the path is too long", dir);
    }
    rc = read_file(&text, path, false, err, err_len);
    if (rc < 0) {
        return rc;
    }
    struct key_entry *list = xcalloc(KEYS_MAX, sizeof(*list));
    for (char *save = NULL, *line = strtok_r(text, "\n", &save); line && rc == 0;
         line = strtok_r(NULL, "\n", &save)) {
        number++;
        if (line[0] == '#' || line[strspn(line, " \t\r")] == '\0') {
            continue;
        }
        if (count == KEYS_MAX || !read_entry(&list[count], line) ||
            find(list, count, list[count].public_key)) {
            rc = error_set(err, err_len, -EINVAL,
                           "%s: entry %d is not NAME ROLES PUBLIC-KEY [ID,...], or is there twice "
                           "(at most %d entries)",
                           path, number, KEYS_MAX);
        }
        count++;
    }
    free(text);
    if (rc < 0) {
        free(list);
        return rc;
    }
    *out = list;
    return count;
}

int keys_load(struct keys *k, const char *path, char *err, size_t err_len) {
    struct stat st;
    *k = (struct keys){0};
    if (stat(path, &st) != 0) {
        return error_set(err, err_len, -errno, "%s: %s", path, strerror(errno));
    }
    k->serves = S_ISDIR(st.st_mode);
    snprintf(k->path, sizeof(k->path), "%s", path);
    if (!k->serves) {
        return read_pair(k, path, err, err_len);
    }
    char own[PATH_MAX];
    int rc = file_join(own, sizeof(own), path, KEYS_SERVER_FILE);
    rc = rc < 0 ? error_set(err, err_len, rc, "%s: the path is too long", path)
                : read_pair(k, own, err, err_len);
    if (rc < 0) {
        return rc;
    }
    memcpy(k->server_key, k->public_key, sizeof(k->server_key));
    rc = read_list(&k->list, path, err, err_len);
    k->count = rc < 0 ? 0 : rc;
    return rc < 0 ? rc : 0;
}

void keys_free(struct keys *k) {
    free(k->list);
    *k = (struct keys){0};
}

// ---- the list again ----

static bool lost_something(const struct key_entry *before, const struct key_entry *now) {
    return (before->roles & ~now->roles) != 0 || strcmp(before->name, now->name) != 0 ||
           strcmp(before->ids, now->ids) != 0;
}

int keys_reload(struct keys *k, int *taken, char *err, size_t err_len) {
    struct key_entry *fresh = NULL;
    *taken = 0;
    int count = read_list(&fresh, k->path, err, err_len);
    if (count < 0) {
        return count;
    }
    struct key_entry *list = xcalloc((size_t)k->count + (size_t)count, sizeof(*list));
    int n = k->count;
    for (int i = 0; i < n; i++) {
        const struct key_entry *now = find(fresh, count, k->list[i].public_key);
        list[i] = now ? *now : k->list[i];
        list[i].roles = now ? now->roles : 0;
        *taken += lost_something(&k->list[i], &list[i]);
    }
    for (int i = 0; i < count; i++) {
        if (!find(list, k->count, fresh[i].public_key)) {
            list[n++] = fresh[i];
        }
    }
    free(fresh);
    free(k->list);
    k->list = list;
    k->count = n;
    return 0;
}

// ---- writing ----

// A new file of mode 0600, in place of the one at path.
static int write_secret(const char *path, const char *text) {
    char made[PATH_MAX];
    int n = snprintf(made, sizeof(made), "%s.new", path);
    if (n < 0 || (size_t)n >= sizeof(made)) {
        return -ENAMETOOLONG;
    }
    unlink(made);
    int fd = open(made, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0) {
        return -errno;
    }
    ssize_t len = (ssize_t)strlen(text);
    int rc = write(fd, text, (size_t)len) == len && fsync(fd) == 0 ? 0 : -EIO;
    close(fd);
    rc = rc == 0 && rename(made, path) != 0 ? -errno : rc;
    if (rc != 0) {
        unlink(made);
    }
    return rc;
}

int keys_write_pair(const char *path, const char *name, const char *public_key,
                    const char *secret_key, const char *server_key) {
    char text[1024];
    int n = snprintf(text, sizeof(text),
                     "# A secret key of spur, as `spur keys` made it.\n"
                     "metadata\n    name = \"%s\"\n%s%s%s"
                     "curve\n    public-key = \"%s\"\n    secret-key = \"%s\"\n",
                     name, server_key ? "    server-key = \"" : "", server_key ? server_key : "",
                     server_key ? "\"\n" : "", public_key, secret_key);
    CHECK(n > 0 && (size_t)n < sizeof(text));
    return write_secret(path, text);
}

int keys_write_token(const char *path) {
    unsigned char bytes[TOKEN_BYTES];
    char text[KEY_TOKEN_LEN + 16] = "token = \"";
    CHECK(getrandom(bytes, sizeof(bytes), 0) == sizeof(bytes));
    for (size_t i = 0; i < sizeof(bytes); i++) {
        snprintf(text + strlen(text), 3, "%02x", bytes[i]);
    }
    snprintf(text + strlen(text), sizeof(text) - strlen(text), "\"\n");
    return write_secret(path, text);
}

bool keys_folder(char out[PATH_MAX]) {
    const char *own = getenv("SPUR_KEYS"), *config = getenv("XDG_CONFIG_HOME");
    const char *home = getenv("HOME");
    int n = own                          ? snprintf(out, PATH_MAX, "%s", own)
            : config && config[0] == '/' ? snprintf(out, PATH_MAX, "%s/spur/keys", config)
            : home                       ? snprintf(out, PATH_MAX, "%s/.config/spur/keys", home)
                                         : -1;
    return n > 0 && n < PATH_MAX;
}
