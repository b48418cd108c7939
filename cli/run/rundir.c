// SPDX-License-Identifier: MIT
// Creates, locks and resumes run directories.
#include "cli/run/rundir.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "cli/run/from.h"
#include "common/base/check.h"
#include "common/base/checksum.h"
#include "common/base/file.h"
#include "common/base/log.h"
#include "common/config/keys.h"
#include "common/config/resume.h"

enum { CONFIG_FILE_MAX = 1 << 20 };

#define RECORD_TITLE "# The record of config.yaml that the processes of this run read.\n"
#define RECORD_SUM_END " is the checksum of all that follows.\n"

bool rundir_join(char out[PATH_MAX], const char *dir, const char *name) {
    if (file_join(out, PATH_MAX, dir, name) < 0) {
        cli_fail(EXIT_CODE_IO, NULL, "%s/%s: the path is too long", dir, name);
        return false;
    }
    return true;
}

// ---- existing runs ----

// Takes over what may change from wanted. Prints an error for the first other difference and
// returns an exit code; returns 0 if there is none.
static int change(struct rundir *r, struct config *wanted) {
    // A resumed run keeps its interpreter, whatever the shell's PATH.
    memcpy(wanted->task.env_python, r->config.task.env_python, sizeof(wanted->task.env_python));
    const struct config_key *key;
    if (config_change(&r->config, wanted, &key) == 0) {
        return 0;
    }
    char name[96], has[2048], wants[2048];
    config_key_name(key, name, sizeof(name));
    config_key_format(&r->config, key, has, sizeof(has));
    config_key_format(wanted, key, wants, sizeof(wants));
    return cli_fail(EXIT_CODE_CONFIG,
                    "a resumed run may change " CONFIG_CHANGEABLE_TEXT
                    "; choose another --run-dir for a new run",
                    "%s contains a run with %s %s, not %s", r->path, name, has, wants);
}

// Applies the command line to the run's configuration. A task's name affects run.task only; a file
// and overrides, every key that they contain.
static int check_against(struct rundir *r, const struct config_source *source) {
    struct config wanted = r->config;
    char err[1024];
    if (source->name && cli_is_file(source->name)) {
        int rc = cli_load(&wanted, source->name, NULL);
        if (rc != 0) {
            return rc;
        }
        // What the file leaves open was chosen when the run began.
        if (wanted.run.explore_steps == 0) {
            wanted.run.explore_steps = r->config.run.explore_steps;
        }
        if (wanted.task.termination == TASK_TERMINATION_AUTO) {
            wanted.task.termination = r->config.task.termination;
        }
    }
    int rc = cli_override(&wanted, source);
    if (rc != 0) {
        return rc;
    }
    // The run keeps what it has taken over.
    from_absolute(&wanted);
    if (strcmp(wanted.from.run, r->config.from.run) == 0) {
        wanted.from = r->config.from;
    }
    // With --env, the task only determines the other settings.
    if (source->name && !cli_is_file(source->name) && !source->env) {
        cli_name_task(&wanted, source->name);
    }
    rc = change(r, &wanted);
    if (rc != 0) {
        return rc;
    }
    if (config_check(&r->config, err, sizeof(err)) < 0) {
        return cli_fail(EXIT_CODE_CONFIG, NULL, "%s", err);
    }
    return 0;
}

// Whether the record is as the run wrote it; its second line has the checksum of what follows.
static int check_record(const struct rundir *r) {
    char *text;
    size_t len;
    unsigned sum = 0;
    int rc = file_read_all(&text, &len, r->record_path, CONFIG_FILE_MAX), skip = 0;
    if (rc < 0) {
        return cli_fail(EXIT_CODE_IO, NULL, "%s: cannot be read: %s", r->record_path,
                        strerror(-rc));
    }
    bool whole = sscanf(text, RECORD_TITLE "# crc32 %8x" RECORD_SUM_END "%n", &sum, &skip) == 1 &&
                 skip > 0 && checksum_add(0, text + skip, len - (size_t)skip) == sum;
    free(text);
    return whole ? 0
                 : cli_fail(EXIT_CODE_IO, "remove it if config.yaml beside it is right",
                            "%s is damaged, or was edited: its checksum differs", r->record_path);
}

// Applies what a person has changed in config.yaml since the run recorded it.
static int take_edits(struct rundir *r) {
    struct config edited = r->config;
    struct task task;
    struct config_source record = {.name = r->record_path};
    const struct config_key *key;
    char name[96], has[2048], is[2048];
    int rc = check_record(r);
    rc = rc ? rc : cli_resolve(&r->config, &task, &record);
    r->stored = r->config;
    if (rc != 0 || config_change(&r->config, &edited, &key) == 0) {
        return rc;
    }
    config_key_name(key, name, sizeof(name));
    config_key_format(&r->config, key, has, sizeof(has));
    config_key_format(&edited, key, is, sizeof(is));
    return cli_fail(
        EXIT_CODE_CONFIG, "set it back; a resumed run may change " CONFIG_CHANGEABLE_TEXT,
        "%s was edited: %s is %s, and the run was begun with %s", r->config_path, name, is, has);
}

static int load_existing(struct rundir *r, const struct config_source *source) {
    struct config_source own = {.name = r->config_path};
    int rc = cli_resolve(&r->config, &r->task, &own);
    if (rc != 0) {
        return rc;
    }
    r->resumed = true;
    r->stored = r->config;
    rc = file_exists(r->record_path) ? take_edits(r) : 0; // earlier builds wrote none
    return rc ? rc : check_against(r, source);
}

// ---- path ----

// Resolves a symbolic link (runs/latest), whose target may change while the run is active.
static int set_path(struct rundir *r, const char *path) {
    char real[PATH_MAX];
    struct stat st;
    bool link = lstat(path, &st) == 0 && S_ISLNK(st.st_mode) && realpath(path, real);
    int n = snprintf(r->path, sizeof(r->path), "%s", link ? real : path);
    if (n < 0 || (size_t)n >= sizeof(r->path)) {
        return cli_fail(EXIT_CODE_IO, NULL, "%s: the path is too long", path);
    }
    return 0;
}

static bool join_paths(struct rundir *r) {
    return rundir_join(r->config_path, r->path, "config.yaml") &&
           rundir_join(r->record_path, r->path, "checkpoint/config.yaml");
}

// Resolves a new run's configuration, and what it takes over from another run.
static int resolve_new(struct rundir *r, const struct config_source *source) {
    struct config_source from = *source;
    char path[PATH_MAX];
    if (source->from && !source->name && !source->env) {
        if (!rundir_join(path, source->from, "config.yaml")) {
            return EXIT_CODE_IO;
        }
        if (!file_exists(path)) {
            return cli_fail(EXIT_CODE_USAGE, "name the directory of a run",
                            "--from: %s contains no run", source->from);
        }
        from.name = path; // the other run's own
    }
    int rc = cli_resolve(&r->config, &r->task, &from);
    if (rc != 0 || r->config.from.run[0] == '\0') {
        return rc;
    }
    return from_resolve(&r->config, &r->task, r->from, sizeof(r->from));
}

int rundir_find(struct rundir *r, const struct config_source *source, const char *path) {
    *r = (struct rundir){.lock_fd = -1, .log_fd = -1};
    if (path) {
        int rc = set_path(r, path);
        if (rc != 0) {
            return rc;
        }
        if (!join_paths(r)) {
            return EXIT_CODE_IO;
        }
        if (file_exists(r->config_path)) {
            return load_existing(r, source);
        }
        if (!source->name && !source->env && !source->from) {
            return cli_fail(EXIT_CODE_USAGE, "name a task to start a new run there",
                            "%s contains no run to resume", r->path);
        }
    }
    int rc = resolve_new(r, source);
    if (rc != 0 || path) {
        return rc;
    }
    // Other methods than MBPO are part of the name.
    bool other = r->config.method != METHOD_mbpo;
    snprintf(r->path, sizeof(r->path), "runs/%s%s%s-seed%llu", r->config.run.task, other ? "-" : "",
             other ? method_info(r->config.method)->name : "",
             (unsigned long long)r->config.run.seed);
    if (!join_paths(r)) {
        return EXIT_CODE_IO;
    }
    return file_exists(r->config_path) ? load_existing(r, source) : 0;
}

// ---- creation ----

static void print_date(char out[32]) {
    time_t now = time(NULL);
    struct tm utc;
    strftime(out, 32, "%Y-%m-%d %H:%M:%S", gmtime_r(&now, &utc));
}

// Writes config.yaml under a head of comment lines.
static int write_config(const struct rundir *r, const char *head) {
    char *text;
    size_t len;
    FILE *out = open_memstream(&text, &len);
    CHECK_RESOURCES(out);
    fprintf(out, "%s\n", head);
    config_print(&r->config, out, true);
    CHECK_RESOURCES(fclose(out) == 0);
    int rc = file_write_atomic(r->config_path, text, len);
    free(text);
    if (rc < 0) {
        return cli_fail(EXIT_CODE_IO, NULL, "%s: cannot be written: %s", r->config_path,
                        strerror(-rc));
    }
    return 0;
}

static int write_record(const struct rundir *r, const struct config *c) {
    char *body, *text, dir[PATH_MAX];
    size_t body_len, len;
    FILE *out = open_memstream(&body, &body_len);
    CHECK_RESOURCES(out);
    config_print(c, out, true);
    CHECK_RESOURCES(fclose(out) == 0);
    out = open_memstream(&text, &len);
    CHECK_RESOURCES(out);
    fprintf(out, RECORD_TITLE "# crc32 %08x" RECORD_SUM_END "%s",
            (unsigned)checksum_add(0, body, body_len), body);
    CHECK_RESOURCES(fclose(out) == 0);
    int rc = file_join(dir, sizeof(dir), r->path, "checkpoint");
    rc = rc ? rc : file_make_dir(dir);
    rc = rc ? rc : file_write_atomic(r->record_path, text, len);
    free(body);
    free(text);
    return rc == 0 ? 0
                   : cli_fail(EXIT_CODE_IO, NULL, "%s: cannot be written: %s", r->record_path,
                              strerror(-rc));
}

static int write_new_config(const struct rundir *r) {
    char head[1024], date[32];
    print_date(date);
    snprintf(
        head, sizeof(head),
        "# The configuration of this run: spur %s for MuJoCo %s, task %s (%s), seed %llu,\n"
        "# started %s UTC.\n"
        "# `spur run --run-dir DIR --set KEY=VALUE` changes a key that may change, and so does\n"
        "# a value edited here before a resume; the others are fixed for the life of the run.\n",
        SPUR_VERSION, SPUR_MUJOCO_VERSION, r->task.name, r->task.title,
        (unsigned long long)r->config.run.seed, date);
    if (r->from[0] != '\0') {
        size_t n = strlen(head);
        snprintf(head + n, sizeof(head) - n, "# It starts %s.\n", r->from);
    }
    return write_config(r, head);
}

// Length of the comment lines at the top of text.
static size_t head_length(const char *text) {
    const char *p = text;
    while (*p == '#') {
        p += strcspn(p, "\n");
        p += *p == '\n';
    }
    return (size_t)(p - text);
}

int rundir_store_changes(const struct rundir *r) {
    char changes[2048], date[32], *text;
    size_t len;
    config_changes_text(changes, sizeof(changes), &r->stored, &r->config);
    if (changes[0] == '\0') {
        return 0;
    }
    int rc = file_read_all(&text, &len, r->config_path, CONFIG_FILE_MAX);
    if (rc < 0) {
        return cli_fail(EXIT_CODE_IO, NULL, "%s: cannot be read: %s", r->config_path,
                        strerror(-rc));
    }
    print_date(date);
    size_t head_len = head_length(text), size = head_len + sizeof(changes) + 96;
    char *head = xmalloc(size);
    snprintf(head, size, "%.*s# Changed %s UTC: %s.\n", (int)head_len, text, date, changes);
    rc = write_config(r, head);
    rc = rc ? rc : write_record(r, &r->config);
    free(head);
    free(text);
    if (rc == 0) {
        printf("changed: %s\n", changes);
        log_init("spur", LOG_INFO, r->log_fd);
        log_info("the configuration is changed: %s", changes);
        log_init("spur", LOG_INFO, -1);
    }
    return rc;
}

// Updates the link runs/latest, the default of `spur status`. Failure, or no directory runs, is
// harmless.
static void link_latest(const struct rundir *r) {
    char runs[PATH_MAX], target[PATH_MAX];
    if (!realpath("runs", runs) || !realpath(r->path, target)) {
        return;
    }
    // Relative within runs, so that runs can be moved.
    size_t len = strlen(runs);
    bool inside = strncmp(target, runs, len) == 0 && target[len] == '/';
    char fresh[64];
    snprintf(fresh, sizeof(fresh), "runs/.latest.%d", (int)getpid());
    if (symlink(inside ? target + len + 1 : target, fresh) == 0 &&
        rename(fresh, "runs/latest") < 0) {
        unlink(fresh);
    }
}

static int lock(struct rundir *r) {
    char path[PATH_MAX];
    if (!rundir_join(path, r->path, "lock")) {
        return EXIT_CODE_IO;
    }
    int pid;
    r->lock_fd = file_lock(path, &pid);
    if (r->lock_fd == -EWOULDBLOCK) {
        return cli_fail(EXIT_CODE_TEMPFAIL,
                        "`spur status` shows it; choose another --run-dir or --seed for a new run",
                        "%s is in use by another spur run (process %d)", r->path, pid);
    }
    if (r->lock_fd < 0) {
        return cli_fail(EXIT_CODE_IO, NULL, "%s: cannot be locked: %s", path,
                        strerror(-r->lock_fd));
    }
    return 0;
}

int rundir_open(struct rundir *r) {
    int rc = file_make_dirs(r->path);
    if (rc == 0) {
        rc = file_dir_writable(r->path);
    }
    if (rc < 0) {
        return cli_fail(EXIT_CODE_IO, "choose another one with --run-dir",
                        "the run directory %s cannot be written to: %s", r->path, strerror(-rc));
    }
    rc = lock(r);
    if (rc != 0) {
        return rc;
    }
    // Another process may have started a run here since rundir_find.
    if (!r->resumed && file_exists(r->config_path)) {
        return cli_fail(EXIT_CODE_TEMPFAIL, NULL, "another run has just started in %s", r->path);
    }
    if (!r->resumed) {
        rc = write_new_config(r);
    }
    if (rc == 0 && !(r->resumed && file_exists(r->record_path))) {
        rc = write_record(r, r->resumed ? &r->stored : &r->config);
    }
    if (rc != 0) {
        return rc;
    }
    char path[PATH_MAX];
    if (!rundir_join(path, r->path, "log")) {
        return EXIT_CODE_IO;
    }
    r->log_fd = open(path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    if (r->log_fd < 0) {
        return cli_fail(EXIT_CODE_IO, NULL, "%s: cannot be opened: %s", path, strerror(errno));
    }
    link_latest(r);
    return 0;
}

void rundir_close(struct rundir *r) {
    if (r->log_fd >= 0) {
        close(r->log_fd);
    }
    if (r->lock_fd >= 0) {
        close(r->lock_fd);
    }
    r->log_fd = r->lock_fd = -1;
}
