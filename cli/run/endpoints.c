// SPDX-License-Identifier: MIT
// Addresses of a run: private ipc directory or TCP, and the file RUN_DIR/endpoints.
#include "cli/run/endpoints.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/run/rundir.h"
#include "common/base/check.h"
#include "common/base/file.h"

// A socket's path must fit into sockaddr_un with its NUL.
#define IPC_PATH_MAX 107

// ---- on this machine ----

static bool try_folder(struct endpoints *e, const char *parent) {
    static const char longest[] = "/modelserver";
    if (!parent || parent[0] != '/') {
        errno = ENOENT;
        return false;
    }
    int n = snprintf(e->folder, sizeof(e->folder), "%s/spur-XXXXXX", parent);
    bool fits = n > 0 && (size_t)n + sizeof(longest) <= IPC_PATH_MAX;
    if (!fits || !mkdtemp(e->folder)) {
        errno = fits ? errno : ENAMETOOLONG;
        e->folder[0] = '\0';
        return false;
    }
    return true;
}

int endpoints_private(struct endpoints *e, const char *run_dir) {
    *e = (struct endpoints){0};
    char own[PATH_MAX];
    if (!try_folder(e, getenv("XDG_RUNTIME_DIR")) && !try_folder(e, getenv("TMPDIR")) &&
        !try_folder(e, "/tmp") && !try_folder(e, realpath(run_dir, own))) {
        return cli_fail(EXIT_CODE_IO, "set TMPDIR to a writable directory with a short path",
                        "cannot create a directory for sockets in $XDG_RUNTIME_DIR, $TMPDIR, /tmp "
                        "or the run directory: %s",
                        strerror(errno));
    }
    // try_folder has checked the length.
    snprintf(e->modelserver, sizeof(e->modelserver), "ipc://%.100s/modelserver", e->folder);
    snprintf(e->learner, sizeof(e->learner), "ipc://%.100s/learner", e->folder);
    memcpy(e->modelserver_bind, e->modelserver, sizeof(e->modelserver));
    memcpy(e->learner_bind, e->learner, sizeof(e->learner));
    memcpy(e->modelserver_join, e->modelserver, sizeof(e->modelserver));
    memcpy(e->learner_join, e->learner, sizeof(e->learner));
    return 0;
}

void endpoints_of(char out[NET_ENDPOINT_MAX], const struct endpoints *e, const char *name) {
    out[0] = '\0';
    if (e->folder[0] != '\0') {
        snprintf(out, NET_ENDPOINT_MAX, "ipc://%.100s/%.32s", e->folder, name);
    }
}

void endpoints_remove(struct endpoints *e) {
    DIR *folder = e->folder[0] == '\0' ? NULL : opendir(e->folder);
    if (!folder) {
        return;
    }
    for (struct dirent *entry; (entry = readdir(folder)) != NULL;) {
        struct stat st;
        if (fstatat(dirfd(folder), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
            S_ISSOCK(st.st_mode)) {
            unlinkat(dirfd(folder), entry->d_name, 0);
        }
    }
    closedir(folder);
    rmdir(e->folder);
    e->folder[0] = '\0';
}

// ---- for other hosts ----

static bool is_any(const char *host) {
    return strcmp(host, "0.0.0.0") == 0 || strcmp(host, "*") == 0 || strcmp(host, "[::]") == 0;
}

// The keys of the run's processes, as an absolute path.
static int find_keys(struct endpoints *e, const char *keys, const char *run_dir) {
    char path[PATH_MAX] = "";
    bool network = net_address_reach(e->modelserver_bind) == NET_REACH_NETWORK;
    if (keys) {
        snprintf(path, sizeof(path), "%s", keys);
    } else if (network && !keys_folder(path)) {
        return cli_fail(EXIT_CODE_USAGE, NULL,
                        "name a folder of keys with --keys: HOME is not set");
    } else if (!network) {
        if (!rundir_join(path, run_dir, KEYS_TOKEN_FILE)) {
            return EXIT_CODE_IO;
        }
        int rc = keys_write_token(path);
        if (rc < 0) {
            return cli_fail(EXIT_CODE_IO, NULL, "%s: cannot be written: %s", path, strerror(-rc));
        }
    }
    if (!realpath(path, e->keys)) {
        return cli_fail(EXIT_CODE_DENIED, NET_KEYS_HINT,
                        "%s can be reached from other machines, which needs keys; %s: %s",
                        e->modelserver_bind, path, strerror(errno));
    }
    struct keys loaded;
    char err[1024];
    int rc = keys_load(&loaded, e->keys, err, sizeof(err));
    bool serves = rc == 0 && (loaded.serves || (!network && loaded.token[0] != '\0'));
    keys_free(&loaded);
    return rc < 0    ? cli_fail(EXIT_CODE_DENIED, NET_KEYS_HINT, "%s", err)
           : !serves ? cli_fail(EXIT_CODE_DENIED, NET_KEYS_HINT,
                                "--keys %s: a run needs a folder of keys", path)
                     : 0;
}

int endpoints_listen(struct endpoints *e, const char *address, const char *keys,
                     const char *run_dir) {
    *e = (struct endpoints){0};
    static const char scheme[] = "tcp://";
    char host[128];
    const char *colon = strrchr(address, ':');
    const char *start = address + strlen(scheme);
    unsigned port = 0;
    char end;
    bool fits = strncmp(address, scheme, strlen(scheme)) == 0 && colon > start &&
                (size_t)(colon - start) < sizeof(host);
    if (!fits || sscanf(colon + 1, "%5u%c", &port, &end) != 1 || port < 1 || port > 65534) {
        return cli_fail(EXIT_CODE_USAGE, "the learner gets the port after it",
                        "--listen %s: expected tcp://HOST:PORT with a port from 1 to 65534",
                        address);
    }
    snprintf(host, sizeof(host), "%.*s", (int)(colon - start), start);
    const char *near = is_any(host) ? "127.0.0.1" : host;
    snprintf(e->modelserver_bind, sizeof(e->modelserver_bind), "tcp://%s:%u", host, port);
    snprintf(e->learner_bind, sizeof(e->learner_bind), "tcp://%s:%u", host, port + 1);
    snprintf(e->modelserver, sizeof(e->modelserver), "tcp://%s:%u", near, port);
    snprintf(e->learner, sizeof(e->learner), "tcp://%s:%u", near, port + 1);

    char name[128] = "THIS_HOST";
    if (is_any(host)) {
        gethostname(name, sizeof(name) - 1);
    } else {
        memcpy(name, host, sizeof(name));
    }
    snprintf(e->modelserver_join, sizeof(e->modelserver_join), "tcp://%s:%u", name, port);
    snprintf(e->learner_join, sizeof(e->learner_join), "tcp://%s:%u", name, port + 1);
    return find_keys(e, keys, run_dir);
}

// ---- the file ----

int endpoints_write(const struct endpoints *e, const char *run_dir) {
    char path[PATH_MAX], text[2 * NET_ENDPOINT_MAX + PATH_MAX + 64];
    if (!rundir_join(path, run_dir, "endpoints")) {
        return EXIT_CODE_IO;
    }
    int len = snprintf(text, sizeof(text), "modelserver: %s\nlearner: %s\n%s%s%s", e->modelserver,
                       e->learner, e->keys[0] ? "keys: " : "", e->keys, e->keys[0] ? "\n" : "");
    int rc = file_write_atomic(path, text, (size_t)len);
    if (rc < 0) {
        return cli_fail(EXIT_CODE_IO, NULL, "%s: cannot be written: %s", path, strerror(-rc));
    }
    return 0;
}

void endpoints_unwrite(const char *run_dir) {
    static const char *const names[] = {"endpoints", KEYS_TOKEN_FILE};
    for (int i = 0; i < 2; i++) {
        char path[PATH_MAX];
        if (rundir_join(path, run_dir, names[i])) {
            unlink(path);
        }
    }
}

void endpoints_clear(const char *run_dir) {
    char endpoint[NET_ENDPOINT_MAX], keys[PATH_MAX], err[256];
    static const char scheme[] = "ipc://", socket[] = "/modelserver";
    if (endpoints_read(endpoint, keys, run_dir, err, sizeof(err)) == 0 &&
        strncmp(endpoint, scheme, strlen(scheme)) == 0) {
        struct endpoints e = {0};
        snprintf(e.folder, sizeof(e.folder), "%s", endpoint + strlen(scheme));
        char *end = strstr(e.folder, socket), *name = strstr(e.folder, "/spur-");
        if (end && end[strlen(socket)] == '\0' && name && !memchr(name + 1, '/', end - name - 1)) {
            *end = '\0';
            endpoints_remove(&e);
        }
    }
    endpoints_unwrite(run_dir);
}

int endpoints_read(char out[NET_ENDPOINT_MAX], char keys[PATH_MAX], const char *run_dir, char *err,
                   size_t err_len) {
    char path[PATH_MAX], *text;
    size_t len;
    if (file_join(path, sizeof(path), run_dir, "endpoints") < 0) {
        snprintf(err, err_len, "%s: the path is too long", run_dir);
        return -1;
    }
    int rc = file_read_all(&text, &len, path, 4096 + PATH_MAX);
    if (rc < 0) {
        snprintf(err, err_len, "no run is active in %s (%s: %s)", run_dir, path, strerror(-rc));
        return -1;
    }
    rc = sscanf(text, "modelserver: %255s", out) == 1 ? 0 : -1;
    if (rc < 0) {
        snprintf(err, err_len, "%s: expected \"modelserver: ENDPOINT\" in the first line", path);
    }
    const char *at = strstr(text, "\nkeys: ");
    at = at ? at + strlen("\nkeys: ") : "";
    snprintf(keys, PATH_MAX, "%.*s", (int)strcspn(at, "\n"), at);
    free(text);
    return rc;
}
