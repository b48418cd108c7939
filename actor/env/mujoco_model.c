// SPDX-License-Identifier: MIT
// MuJoCo's error handler, the compilation of models, and the table of shared ones.
#include "actor/env/mujoco_model.h"

#ifdef __GLIBC__
#include <malloc.h>
#endif
#include <pthread.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "actor/env/mujoco_internal.h"
#include "actor/env/mujoco_names.h"
#include "common/base/check.h"
#include "common/base/log.h"

// ---- errors and warnings ----

// Target of the long jump and text of the error; set while MuJoCo runs in this thread.
static _Thread_local jmp_buf *error_target;
static _Thread_local char error_text[1024];

static void on_error(const char *text) {
    CHECK(error_target != NULL);
    snprintf(error_text, sizeof error_text, "%s", text);
    longjmp(*error_target, 1);
}

// Relevant warnings are counted in mjData and read from there.
static void on_warning(const char *text) {
    log_debug("MuJoCo: %s", text);
}

static void install_handlers(void) {
    *mujoco.mju_user_error = on_error;
    *mujoco.mju_user_warning = on_warning;
}

bool mujoco_guarded(void (*fn)(void *arg), void *arg) {
    jmp_buf target;
    if (setjmp(target) != 0) {
        error_target = NULL;
        return false;
    }
    error_target = &target;
    fn(arg);
    error_target = NULL;
    return true;
}

const char *mujoco_error(void) {
    return error_text;
}

// ---- compilation ----

struct compilation {
    const char *path;              // of the user's file; NULL: embedded
    const struct embed_file *file; // embedded in the program
    mjModel *model;
    char err[1024];
};

static void compile_embedded(struct compilation *c) {
    const char *name = c->file->name;
    // A virtual file system, because the compiler reads files. 2 MB: too large for the stack.
    mjVFS *vfs = xmalloc(sizeof *vfs);
    mujoco.mj_defaultVFS(vfs);
#if mjVERSION_HEADER >= 300
    int status = mujoco.mj_addBufferVFS(vfs, name, c->file->data, (int)c->file->len);
#else
    int status = mujoco.mj_makeEmptyFileVFS(vfs, name, (int)c->file->len);
    if (status == 0) {
        memcpy(vfs->filedata[mujoco.mj_findFileVFS(vfs, name)], c->file->data, c->file->len);
    }
#endif
    CHECK(status == 0);
    c->model = mujoco.mj_loadXML(name, vfs, c->err, sizeof c->err);
    mujoco.mj_deleteVFS(vfs);
    free(vfs);
}

// MuJoCo keeps the parsed file, and the allocator the compiler's memory: for meshes, three times
// the size of the compiled model.
static void free_compiler(void) {
    mujoco.mj_freeLastXML();
#ifdef __GLIBC__
    malloc_trim(0);
#endif
}

static void compile(void *arg) {
    struct compilation *c = arg;
    if (c->path != NULL) {
        c->model = mujoco.mj_loadXML(c->path, NULL, c->err, sizeof c->err);
    } else {
        compile_embedded(c);
    }
}

// MuJoCo's text has several lines: the reason, then the element and its line. Joins them.
static void join_lines(char *out, size_t out_len, const char *text) {
    size_t n = 0;
    out[0] = '\0';
    while (*(text += strspn(text, "\n")) != '\0' && n < out_len) {
        size_t line = strcspn(text, "\n");
        n += (size_t)snprintf(out + n, out_len - n, "%s%.*s", n > 0 ? "; " : "", (int)line, text);
        text += line;
    }
}

static void explain(char *err, size_t err_len, const char *name, const char *reason) {
    char newer[160];
    int n = snprintf(err, err_len, "%s: the model does not compile (MuJoCo %s): %s", name,
                     SPUR_MUJOCO_VERSION, reason);
    if (mjVERSION_HEADER < 300 && mujoco_names_newer(newer, sizeof newer, reason) &&
        (size_t)n < err_len) {
        snprintf(err + n, err_len - (size_t)n,
                 ". %s needs MuJoCo 3: `make build MUJOCO=VERSION` builds spur with it "
                 "(docs/environments/built-in.md)",
                 newer);
    }
}

static mjModel *compile_file(const char *path, const struct embed_file *embedded, char *err,
                             size_t err_len) {
    struct compilation c = {.path = path, .file = embedded};
    const char *name = path != NULL ? path : embedded->name;
    if (!mujoco_guarded(compile, &c)) {
        snprintf(err, err_len, "%s: MuJoCo %s failed on the model: %s", name, SPUR_MUJOCO_VERSION,
                 error_text);
        return NULL;
    }
    free_compiler();
    char text[1200];
    join_lines(text, sizeof text, c.err);
    if (c.model == NULL) {
        explain(err, err_len, name, text);
    } else if (text[0] != '\0' && path != NULL) {
        log_warn("%s: MuJoCo %s: %s", name, SPUR_MUJOCO_VERSION, text);
    }
    return c.model;
}

// ---- the shared models ----

struct shared {
    char *name; // path, or name of the embedded file
    bool embedded;
    struct stat file; // of the path when the model was compiled
    mjModel *model;
    int users;
    struct shared *next;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; // of the two below
static struct shared *models;
static int compiled;

static bool same_file(const struct stat *a, const struct stat *b) {
    return a->st_dev == b->st_dev && a->st_ino == b->st_ino && a->st_size == b->st_size &&
           a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

static struct shared *find(const char *name, bool embedded, const struct stat *file) {
    struct shared *s = models;
    while (s != NULL &&
           !(s->embedded == embedded && strcmp(s->name, name) == 0 && same_file(&s->file, file))) {
        s = s->next;
    }
    return s;
}

// Deletes models without users, except one.
static void delete_unused(const struct shared *keep) {
    for (struct shared **at = &models; *at != NULL;) {
        struct shared *s = *at;
        if (s->users > 0 || s == keep) {
            at = &s->next;
            continue;
        }
        *at = s->next;
        mujoco.mj_deleteModel(s->model);
        free(s->name);
        free(s);
    }
}

static struct shared *add(const char *path, const struct embed_file *embedded,
                          const struct stat *file, char *err, size_t err_len) {
    delete_unused(NULL); // first: two large models need not fit into memory
    mjModel *model = compile_file(path, embedded, err, err_len);
    if (model == NULL) {
        return NULL;
    }
    struct shared *s = xmalloc(sizeof *s);
    *s = (struct shared){.name = xstrdup(path != NULL ? path : embedded->name),
                         .embedded = path == NULL,
                         .file = *file,
                         .model = model,
                         .next = models};
    models = s;
    compiled++;
    return s;
}

const mjModel *mujoco_model_acquire(const char *path, const struct embed_file *embedded, char *err,
                                    size_t err_len) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    CHECK(path != NULL || embedded != NULL);
    if (mujoco_load(err, err_len) < 0) {
        return NULL;
    }
    pthread_once(&once, install_handlers);
    struct stat file = {0};
    if (path != NULL) {
        stat(path, &file); // a failure is reported by the compilation
    }
    pthread_mutex_lock(&lock);
    struct shared *s = find(path != NULL ? path : embedded->name, path == NULL, &file);
    s = s != NULL ? s : add(path, embedded, &file, err, err_len);
    const mjModel *model = NULL;
    if (s != NULL) {
        s->users++;
        model = s->model;
    }
    pthread_mutex_unlock(&lock);
    return model;
}

void mujoco_model_release(const mjModel *model) {
    pthread_mutex_lock(&lock);
    struct shared *s = models;
    while (s != NULL && s->model != model) {
        s = s->next;
    }
    CHECK(s != NULL && s->users > 0);
    s->users--;
    delete_unused(s);
    pthread_mutex_unlock(&lock);
}

void mujoco_models_trim(void) {
    pthread_mutex_lock(&lock);
    delete_unused(NULL);
    pthread_mutex_unlock(&lock);
}

int mujoco_models_compiled(void) {
    pthread_mutex_lock(&lock);
    int n = compiled;
    pthread_mutex_unlock(&lock);
    return n;
}
