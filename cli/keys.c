// SPDX-License-Identifier: MIT
// `spur keys`: makes, lists and revokes the keys of a run across machines.
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/text.h"
#include "common/base/check.h"
#include "common/base/file.h"
#include "common/io/keys.h"
#include "common/io/net.h"

static const char help[] =
    "usage: spur keys make [--dir DIR]\n"
    "       spur keys add NAME [--role ROLE,...] [--id ID,...] [--dir DIR]\n"
    "       spur keys list [--dir DIR]\n"
    "       spur keys revoke NAME [--dir DIR]\n"
    "\n"
    "Keys let processes on other machines join a run, and nobody else (docs/security.md). A run "
    "on\n"
    "one machine needs none.\n"
    "\n"
    "  make          makes the server's key and an empty list\n"
    "  add           makes a client's key, DIR/NAME.key, and adds it to the list, DIR/allowed\n"
    "  list          prints the list\n"
    "  revoke        takes a key off the list\n"
    "  --role ROLE   actor (the default), evaluator, learner or operator (spur status)\n"
    "  --id ID       the ids that it may use in a run; default: NAME, and ids that begin with\n"
    "                NAME/\n"
    "  --dir DIR     default: $SPUR_KEYS, $XDG_CONFIG_HOME/spur/keys or ~/.config/spur/keys\n";

static const struct option options[] = {
    {"role", required_argument, NULL, 'r'},
    {"id", required_argument, NULL, 'i'},
    {"dir", required_argument, NULL, 'd'},
    {"help", no_argument, NULL, 'h'},
    {0},
};

struct request {
    char dir[PATH_MAX], list[PATH_MAX], server[PATH_MAX], own[PATH_MAX]; // own: NAME.key
    const char *name, *ids;
    unsigned roles;
};

static const char list_head[] =
    "# The keys that a run admits, one a line: NAME ROLES PUBLIC-KEY [ID,...]\n"
    "# A model server and a learner that run read it again after SIGHUP.\n";

static int cannot(const char *path, int rc) {
    return cli_fail(EXIT_CODE_IO, NULL, "%s: %s", path, strerror(-rc));
}

// ---- make ----

static int make(const struct request *r) {
    char public_key[KEY_LEN], secret_key[KEY_LEN];
    int rc = file_make_dirs(r->dir);
    rc = rc == 0 && chmod(r->dir, 0700) != 0 ? -errno : rc;
    if (rc == 0 && !file_exists(r->server)) {
        net_make_keys(public_key, secret_key);
        rc = keys_write_pair(r->server, "server", public_key, secret_key, NULL);
        printf("made %s\n", r->server);
    }
    if (rc == 0 && !file_exists(r->list)) {
        rc = file_write_atomic(r->list, list_head, strlen(list_head));
    }
    return rc < 0 ? cannot(r->dir, rc) : 0;
}

static int load(struct keys *k, const struct request *r) {
    char err[1024];
    if (keys_load(k, r->dir, err, sizeof(err)) < 0) {
        return cli_fail(EXIT_CODE_DENIED, "`spur keys make` makes the server's key", "%s", err);
    }
    return 0;
}

static const struct key_entry *find(const struct keys *k, const char *name) {
    for (int i = 0; i < k->count; i++) {
        if (strcmp(k->list[i].name, name) == 0) {
            return &k->list[i];
        }
    }
    return NULL;
}

// ---- list ----

static void print_entry(FILE *out, const struct key_entry *e) {
    char roles[64];
    key_roles_text(roles, sizeof(roles), e->roles);
    fprintf(out, "%s %s %s%s%s\n", e->name, roles, e->public_key, e->ids[0] ? " " : "", e->ids);
}

static int list(const struct request *r) {
    struct keys k;
    int rc = load(&k, r);
    if (rc != 0) {
        return rc;
    }
    printf("server key %s in %s\n", k.public_key, r->dir);
    for (int i = 0; i < k.count; i++) {
        print_entry(stdout, &k.list[i]);
    }
    keys_free(&k);
    return 0;
}

// Writes the list with the entry added, or without one of that name.
static int write_list(const struct request *r, const struct keys *k, const struct key_entry *added,
                      const char *removed) {
    char *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);
    CHECK_RESOURCES(out);
    fputs(list_head, out);
    for (int i = 0; i < k->count; i++) {
        if (!removed || strcmp(k->list[i].name, removed) != 0) {
            print_entry(out, &k->list[i]);
        }
    }
    if (added) {
        print_entry(out, added);
    }
    CHECK_RESOURCES(fclose(out) == 0);
    int rc = file_write_atomic(r->list, text, len);
    free(text);
    return rc < 0 ? cannot(r->list, rc) : 0;
}

static void print_reload(void) {
    printf("a run that is active reads the list after:\n"
           "  kill -HUP $(pgrep 'spur-(modelserve|learner)')\n");
}

// ---- add, revoke ----

static void print_copy(const struct request *r) {
    char path[2 * PATH_MAX];
    const char *quoted = text_shell(path, sizeof(path), r->own);
    printf("made %s: a secret, for one machine. Copy it there, then remove it here:\n"
           "  scp %s HOST: && rm %s\n",
           r->own, quoted, quoted);
    if (r->roles & KEY_ACTOR) {
        printf("on HOST:\n"
               "  spur-actor --keys %s.key --modelserver tcp://THIS_HOST:PORT\n",
               r->name);
    } else if (r->roles & KEY_OPERATOR) {
        printf("on HOST:\n  spur status --keys %s.key tcp://THIS_HOST:PORT\n", r->name);
    }
    print_reload();
}

static int add(const struct request *r) {
    struct keys k;
    struct key_entry e = {.roles = r->roles};
    char secret_key[KEY_LEN];
    int rc = make(r);
    rc = rc ? rc : load(&k, r);
    if (rc != 0) {
        return rc;
    }
    if (find(&k, r->name) || k.count == KEYS_MAX) {
        keys_free(&k);
        return cli_fail(EXIT_CODE_USAGE, "spur keys revoke NAME takes one off the list",
                        "%s is in %s already, or the list is full", r->name, r->list);
    }
    snprintf(e.name, sizeof(e.name), "%s", r->name);
    snprintf(e.ids, sizeof(e.ids), "%s", r->ids ? r->ids : "");
    net_make_keys(e.public_key, secret_key);
    rc = keys_write_pair(r->own, r->name, e.public_key, secret_key, k.public_key);
    rc = rc < 0 ? cannot(r->own, rc) : write_list(r, &k, &e, NULL);
    keys_free(&k);
    if (rc == 0) {
        print_copy(r);
    }
    return rc;
}

static int revoke_key(const struct request *r) {
    struct keys k;
    int rc = load(&k, r);
    if (rc != 0) {
        return rc;
    }
    rc = find(&k, r->name) ? write_list(r, &k, NULL, r->name)
                           : cli_fail(EXIT_CODE_USAGE, "`spur keys list` prints the list",
                                      "%s is not in %s", r->name, r->list);
    keys_free(&k);
    if (rc == 0) {
        unlink(r->own);
        printf("%s is off the list\n", r->name);
        print_reload();
    }
    return rc;
}

// ---- the command line ----

static bool ids_are_valid(const char *ids) {
    return strlen(ids) < KEY_IDS_LEN && ids[0] != '\0' && !strpbrk(ids, " \t\n");
}

static int parse(struct request *r, int argc, char **argv) {
    const char *dir = NULL;
    r->roles = KEY_ACTOR;
    for (int option; (option = cli_next_option(argc, argv, options)) != -1;) {
        switch (option) {
        case 'r':
            r->roles = key_roles(optarg);
            if (r->roles == 0) {
                return cli_usage_error(argv,
                                       "--role %.60s: roles are actor, evaluator, learner "
                                       "and operator",
                                       optarg);
            }
            break;
        case 'i':
            r->ids = optarg;
            if (!ids_are_valid(optarg)) {
                return cli_usage_error(argv,
                                       "--id %.60s: ids without blanks, separated by commas, "
                                       "of %d bytes at most",
                                       optarg, KEY_IDS_LEN - 1);
            }
            break;
        case 'd':
            dir = optarg;
            break;
        default:
            return EXIT_CODE_USAGE;
        }
    }
    if (dir ? snprintf(r->dir, PATH_MAX, "%s", dir) >= PATH_MAX : !keys_folder(r->dir)) {
        return cli_usage_error(argv, "name a folder with --dir: HOME is not set, or too long");
    }
    return 0;
}

int cmd_keys(int argc, char **argv) {
    static const struct {
        const char *word;
        int (*run)(const struct request *r);
        bool named;
    } actions[] = {{"make", make, false},
                   {"add", add, true},
                   {"list", list, false},
                   {"revoke", revoke_key, true}};
    struct request r = {0};
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
            fputs(help, stdout);
            return EXIT_CODE_OK;
        }
    }
    int rc = parse(&r, argc, argv);
    if (rc != 0) {
        return rc;
    }
    for (size_t i = 0; i < sizeof(actions) / sizeof(actions[0]) && optind < argc; i++) {
        if (strcmp(argv[optind], actions[i].word) != 0) {
            continue;
        }
        if (argc - optind != 1 + actions[i].named) {
            return cli_usage_error(argv, "%s: expected %s", actions[i].word,
                                   actions[i].named ? "one name" : "nothing after it");
        }
        r.name = actions[i].named ? argv[optind + 1] : "server";
        if (!key_name_is_valid(r.name) || (actions[i].named && strcmp(r.name, "server") == 0)) {
            return cli_usage_error(argv,
                                   "\"%.60s\" is not a name: letters, digits, '-', '_' and "
                                   "'.', and not \"server\"",
                                   r.name);
        }
        char file[KEY_NAME_LEN + 8];
        snprintf(file, sizeof(file), "%s.key", r.name);
        if (file_join(r.list, PATH_MAX, r.dir, KEYS_LIST_FILE) < 0 ||
            file_join(r.server, PATH_MAX, r.dir, KEYS_SERVER_FILE) < 0 ||
            file_join(r.own, PATH_MAX, r.dir, file) < 0) {
            return cli_usage_error(argv, "%s: the path is too long", r.dir);
        }
        return actions[i].run(&r);
    }
    return cli_usage_error(argv, "expected make, add, list or revoke");
}
