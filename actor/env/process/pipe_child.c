// SPDX-License-Identifier: MIT
// Starts the child, exchanges frames with it and copies its output to the log.
//
// wait_ready polls the reply pipe and the output pipe, so that a child with much output is not
// blocked while it computes a reply. This process also keeps the read end of the request pipe
// open, so that a write after the child's death raises no SIGPIPE. The death is detected by the
// end of the reply pipe, or by waitid if a grandchild keeps that pipe open.
#include "actor/env/process/pipe_child.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/check.h"
#include "common/base/child.h"
#include "common/base/clock.h"
#include "common/base/error.h"
#include "common/base/log.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__,
               "frames are little-endian like the machine");

enum {
    SCRIPT_FD = 5,
    SCRIPT_MAX = 60000, // fits into a pipe
    LINE_MAX_BYTES = 1000,
    LINES_A_SECOND = 200,
    REAP_MS = 200, // for the last output after the end of a child
};

struct pipe_child {
    char name[ENV_NAME_MAX];
    pid_t pid;
    int requests[2]; // [0]: the child's end, see above
    int replies, output;
    uint8_t *data; // the last frame, header included
    size_t data_max;
    struct {
        char line[LINE_MAX_BYTES];
        size_t len;
        uint64_t second, lines, dropped; // since the second began
        bool ended;
    } out;
};

int pipe_child_pid(const struct pipe_child *child) {
    return (int)child->pid;
}

void pipe_child_rename(struct pipe_child *child, const char *name) {
    snprintf(child->name, sizeof(child->name), "%s", name);
}

// ---- output ----

void pipe_child_log(const struct pipe_child *child, const char *line, size_t len) {
    char text[LINE_MAX_BYTES + 1];
    size_t n = 0;
    for (size_t i = 0; i < len && n < LINE_MAX_BYTES; i++) {
        unsigned char c = (unsigned char)line[i];
        text[n++] = (c < ' ' && c != '\t') || c == 0x7f ? '?' : (char)c;
    }
    text[n] = '\0';
    log_info("%s[%d]: %s", child->name, (int)child->pid, text);
}

static void end_line(struct pipe_child *c) {
    uint64_t second = clock_ms() / 1000;
    if (second != c->out.second) {
        if (c->out.dropped > 0) {
            log_warn("%s[%d]: %llu more lines within a second were dropped", c->name, (int)c->pid,
                     (unsigned long long)c->out.dropped);
        }
        c->out.second = second;
        c->out.lines = c->out.dropped = 0;
    }
    if (c->out.len == 0) {
        return; // nothing to read in it
    }
    if (c->out.lines++ < LINES_A_SECOND) {
        pipe_child_log(c, c->out.line, c->out.len);
    } else {
        c->out.dropped++;
    }
    c->out.len = 0;
}

// Reads the available output and logs its lines.
static void read_output(struct pipe_child *c) {
    char text[4096];
    ssize_t n = read(c->output, text, sizeof(text));
    if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR)) {
        c->out.ended = true;
    }
    for (ssize_t i = 0; i < n; i++) {
        if (text[i] == '\n' || c->out.len == sizeof(c->out.line)) {
            end_line(c);
        }
        if (text[i] != '\n') {
            c->out.line[c->out.len++] = text[i];
        }
    }
}

// ---- waiting ----

enum ready { READY, READY_TIME_OUT, READY_ENDED, READY_GIVEN_UP };

static bool has_exited(const struct pipe_child *c) {
    siginfo_t info = {0};
    return waitid(P_PID, (id_t)c->pid, &info, WEXITED | WNOHANG | WNOWAIT) != 0 || info.si_pid != 0;
}

struct call_time {
    uint64_t since_ms, deadline_ms;
};

// Waits until the reply pipe can be read. The other conditions are checked at intervals, also if
// the child prints all the time.
static enum ready wait_ready(struct pipe_child *c, const struct call_time *t,
                             const struct env_wait *wait) {
    uint64_t now_ms = clock_ms(), check_ms = now_ms + ENV_WAIT_MS;
    for (;;) {
        struct pollfd fds[2] = {{.fd = c->replies, .events = POLLIN},
                                {.fd = c->out.ended ? -1 : c->output, .events = POLLIN}};
        uint64_t until_ms = check_ms < t->deadline_ms ? check_ms : t->deadline_ms;
        int n = poll(fds, 2, until_ms > now_ms ? (int)(until_ms - now_ms) : 0);
        if (n > 0 && fds[1].revents != 0) {
            read_output(c);
        }
        if (n > 0 && fds[0].revents != 0) {
            return READY;
        }
        now_ms = clock_ms();
        if (now_ms < until_ms) {
            continue;
        }
        check_ms = now_ms + ENV_WAIT_MS;
        if (has_exited(c)) {
            return READY_ENDED;
        }
        if (wait != NULL && !wait->fn(wait->arg, now_ms, t->since_ms)) {
            return READY_GIVEN_UP;
        }
        if (now_ms >= t->deadline_ms) {
            return READY_TIME_OUT;
        }
    }
}

// ---- calls ----

static const char *type_name(uint32_t type) {
    static const char *const requests[] = {"", "MAKE", "RESET", "STEP", "RENDER", "CLOSE"};
    static const char *const replies[] = {"MADE", "OBSERVATION", "PICTURE", "ERROR"};
    if (type < FRAME_MADE) {
        return type <= FRAME_CLOSE ? requests[type] : "";
    }
    return type <= FRAME_ERROR ? replies[type - FRAME_MADE] : "";
}

static int describe_end(const struct pipe_child *c, enum frame_type type, char *err,
                        size_t err_len) {
    siginfo_t info = {0};
    uint64_t until_ms = clock_ms() + REAP_MS;
    // The pipe ends slightly before the process.
    while (waitid(P_PID, (id_t)c->pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0 &&
           info.si_pid == 0 && clock_ms() < until_ms) {
        poll(NULL, 0, 1);
    }
    if (info.si_pid == 0) {
        snprintf(err, err_len, "the process closed its end of the reply pipe before it answered %s",
                 type_name(type));
    } else if (info.si_code == CLD_EXITED) {
        snprintf(err, err_len, "the process ended with code %d before it answered %s",
                 info.si_status, type_name(type));
    } else {
        snprintf(err, err_len, "the process was killed by signal %d (%s) before it answered %s",
                 info.si_status, strsignal(info.si_status), type_name(type));
        return info.si_status == SIGKILL ? -EINTR : -1;
    }
    return -1;
}

// Reads until c->data contains at least `want` bytes; *have counts them.
static int read_frame(struct pipe_child *c, size_t *have, size_t want, enum frame_type type,
                      const struct call_time *t, const struct env_wait *wait, char *err,
                      size_t err_len) {
    while (*have < want) {
        switch (wait_ready(c, t, wait)) {
        case READY_TIME_OUT:
            return error_set(err, err_len, -1, "no answer to %s in time (task.env_timeout_s)",
                             type_name(type));
        case READY_GIVEN_UP:
            return error_set(err, err_len, -ECANCELED,
                             "stopped while it waited for the answer to %s", type_name(type));
        case READY_ENDED:
            return describe_end(c, type, err, err_len);
        case READY:
            break;
        }
        ssize_t n = read(c->replies, c->data + *have, c->data_max - *have);
        if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR)) {
            return describe_end(c, type, err, err_len);
        }
        *have += n > 0 ? (size_t)n : 0;
    }
    return 0;
}

static int send_frame(struct pipe_child *c, enum frame_type type, const void *payload, size_t len) {
    uint8_t frame[FRAME_HEADER + FRAME_REQUEST_MAX];
    uint32_t header[2] = {(uint32_t)type, (uint32_t)len};
    CHECK(len <= FRAME_REQUEST_MAX);
    memcpy(frame, header, sizeof(header));
    if (len > 0) {
        memcpy(frame + FRAME_HEADER, payload, len);
    }
    // Shorter than PIPE_BUF: written completely or not at all.
    ssize_t n;
    do {
        n = write(c->requests[1], frame, FRAME_HEADER + len);
    } while (n < 0 && errno == EINTR);
    return n < 0 ? -errno : 0;
}

static void make_room(struct pipe_child *c, size_t bytes) {
    if (c->data_max < bytes) {
        uint8_t *larger = xmalloc(bytes);
        if (c->data != NULL) {
            memcpy(larger, c->data, c->data_max);
        }
        free(c->data);
        c->data = larger;
        c->data_max = bytes;
    }
}

int pipe_child_call(struct pipe_child *c, struct pipe_child_reply *reply, enum frame_type type,
                    const void *payload, size_t len, double timeout_s, const struct env_wait *wait,
                    char *err, size_t err_len) {
    struct call_time t = {.since_ms = clock_ms()};
    t.deadline_ms = t.since_ms + (uint64_t)(timeout_s * 1000);
    // Unrequested bytes would be read as the reply, and all later replies would be one call late.
    ssize_t early = read(c->replies, c->data, c->data_max);
    if (early > 0) {
        return error_set(err, err_len, -1, "the process sent %zd bytes more than its answers",
                         early);
    }
    if (send_frame(c, type, payload, len) != 0) {
        return error_set(err, err_len, -1, "the process does not read its requests");
    }
    size_t have = 0;
    int rc = read_frame(c, &have, FRAME_HEADER, type, &t, wait, err, err_len);
    if (rc < 0) {
        return rc;
    }
    uint32_t header[2];
    memcpy(header, c->data, sizeof(header));
    size_t max = type == FRAME_RENDER && header[0] == FRAME_PICTURE
                     ? 8 + (size_t)FRAME_SIDE_MAX * FRAME_SIDE_MAX * 3
                     : FRAME_REPLY_MAX;
    if (header[0] < FRAME_MADE || header[0] > FRAME_ERROR || header[1] > max) {
        return error_set(
            err, err_len, -1,
            "the answer to %s is not a frame of the protocol: type %u, %u bytes (does something "
            "else write to descriptor %d?)",
            type_name(type), header[0], header[1], FRAME_REPLY_FD);
    }
    size_t total = FRAME_HEADER + (size_t)header[1];
    make_room(c, total + 1);
    rc = read_frame(c, &have, total, type, &t, wait, err, err_len);
    if (rc < 0) {
        return rc;
    }
    if (have > total) {
        return error_set(err, err_len, -1, "the process sent %zu bytes more than its answers",
                         have - total);
    }
    c->data[total] = '\0'; // terminates a text
    *reply = (struct pipe_child_reply){
        .type = header[0], .len = header[1], .data = c->data + FRAME_HEADER};
    return 0;
}

// ---- start ----

static void close_fds(int fds[], int n) {
    for (int i = 0; i < n; i++) {
        if (fds[i] >= 0) {
            close(fds[i]);
            fds[i] = -1;
        }
    }
}

// A pipe that contains the script.
static int open_script(const char *text) {
    int ends[2];
    size_t len = strlen(text);
    CHECK(len <= SCRIPT_MAX);
    if (pipe2(ends, O_CLOEXEC) != 0) {
        return -1;
    }
    bool fine = write(ends[1], text, len) == (ssize_t)len;
    close(ends[1]);
    if (!fine) {
        close(ends[0]);
    }
    return fine ? ends[0] : -1;
}

struct pipe_child *pipe_child_start(const struct pipe_child_command *command, char *err,
                                    size_t err_len) {
    int requests[2] = {-1, -1}, replies[2] = {-1, -1}, output[2] = {-1, -1};
    int null_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    int script_fd = command->script ? open_script(command->script) : -1;
    struct pipe_child *c = xcalloc(1, sizeof(*c));
    pipe_child_rename(c, command->name);
    int failure = 0;
    if (null_fd < 0 || (command->script && script_fd < 0) || pipe2(requests, O_CLOEXEC) != 0 ||
        pipe2(replies, O_CLOEXEC) != 0 || pipe2(output, O_CLOEXEC) != 0) {
        failure = errno;
    } else {
        const int from[6] = {null_fd, output[1], output[1], requests[0], replies[1], script_fd};
        c->pid = child_start(&(struct child_command){
            .args = command->args,
            .dir = command->dir,
            .fds = from,
            .fd_count = 6,
            .death_signal = SIGKILL, // a hanging child ignores other signals
        });
        failure = c->pid < 0 ? -c->pid : 0;
    }
    close_fds((int[]){null_fd, script_fd, replies[1], output[1]}, 4);
    if (failure != 0) {
        snprintf(err, err_len, "%s cannot be started in %s: %s", command->args[0],
                 command->dir[0] ? command->dir : "the current directory", strerror(failure));
        close_fds((int[]){requests[0], requests[1], replies[0], output[0]}, 4);
        free(c);
        return NULL;
    }
    fcntl(requests[1], F_SETFL, O_NONBLOCK);
    fcntl(replies[0], F_SETFL, O_NONBLOCK);
    fcntl(output[0], F_SETFL, O_NONBLOCK);
    memcpy(c->requests, requests, sizeof(requests));
    c->replies = replies[0];
    c->output = output[0];
    make_room(c, FRAME_HEADER + FRAME_REPLY_MAX + 1);
    return c;
}

// ---- stop ----

// Logs the remaining output, for a short time if a grandchild keeps the pipe open.
static void drain_output(struct pipe_child *c) {
    uint64_t until_ms = clock_ms() + REAP_MS;
    while (!c->out.ended && clock_ms() < until_ms) {
        struct pollfd fd = {.fd = c->output, .events = POLLIN};
        if (poll(&fd, 1, 10) > 0) {
            read_output(c);
        }
    }
    if (c->out.len > 0) {
        end_line(c);
    }
}

void pipe_child_stop(struct pipe_child **child, int grace_ms) {
    struct pipe_child *c = *child;
    if (c == NULL) {
        return;
    }
    if (grace_ms > 0 && send_frame(c, FRAME_CLOSE, NULL, 0) == 0) {
        uint64_t until_ms = clock_ms() + (uint64_t)grace_ms;
        while (!has_exited(c) && clock_ms() < until_ms) {
            struct pollfd fd = {.fd = c->out.ended ? -1 : c->output, .events = POLLIN};
            if (poll(&fd, 1, 5) > 0) {
                read_output(c);
            }
        }
    }
    kill(-c->pid, SIGKILL); // its whole group, before its number can be another's
    kill(c->pid, SIGKILL);  // it may have left the group
    drain_output(c);
    while (waitpid(c->pid, NULL, 0) < 0 && errno == EINTR) {
    }
    close_fds((int[]){c->requests[0], c->requests[1], c->replies, c->output}, 4);
    free(c->data);
    free(c);
    *child = NULL;
}
