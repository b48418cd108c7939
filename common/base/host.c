// SPDX-License-Identifier: MIT
// Limits from /proc and /sys. /proc/self/cgroup names the groups of the process: in version 2 one
// line "0::/path", in version 1 one line per controller, "4:cpu,cpuacct:/path". An ancestor may set
// a smaller limit, so each group from there to the mount point is read. In a container the path is
// often the host's and does not exist; then the mount point alone counts, which is the container's
// own group.
#include "common/base/host.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

enum { PATH_LEN_MAX = 4096, CPUS_MAX = 16384, ECHO_MS = 300 };

int host_die_with(pid_t parent, int signal_number) {
    if (prctl(PR_SET_PDEATHSIG, signal_number) != 0) {
        return -errno;
    }
    // The parent may have ended before the call above; then the process has another one.
    return getppid() == parent ? 0 : -ESRCH;
}

void host_reset_signals(void) {
    for (int number = 1; number < NSIG; number++) {
        if (number != SIGKILL && number != SIGSTOP) {
            signal(number, SIG_DFL);
        }
    }
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

bool host_stop_again(uint64_t *first_ms, uint64_t now_ms) {
    if (*first_ms == 0) {
        *first_ms = now_ms ? now_ms : 1;
        return false;
    }
    return now_ms - *first_ms >= ECHO_MS;
}

// ---- cgroups ----

enum version { CGROUP_V1, CGROUP_V2 };

// Whether a comma-separated list of controllers contains name.
static bool contains(const char *controllers, const char *name) {
    size_t len = strlen(name);
    for (const char *p = controllers; p; p = strchr(p, ',') ? strchr(p, ',') + 1 : NULL) {
        if (strncmp(p, name, len) == 0 && (p[len] == ',' || p[len] == '\0')) {
            return true;
        }
    }
    return false;
}

// The path of this process's group for a controller, relative to the mount point of the
// hierarchy. False if there is none.
static bool find_group(char *path, size_t path_len, enum version version, const char *controller,
                       const char *root) {
    char name[PATH_LEN_MAX];
    snprintf(name, sizeof(name), "%s/proc/self/cgroup", root);
    FILE *file = fopen(name, "re");
    if (!file) {
        return false;
    }
    bool found = false;
    char line[PATH_LEN_MAX];
    while (!found && fgets(line, sizeof(line), file)) {
        line[strcspn(line, "\n")] = '\0';
        char *controllers = strchr(line, ':');
        char *group = controllers ? strchr(controllers + 1, ':') : NULL;
        if (!group) {
            continue;
        }
        controllers++;
        *group++ = '\0';
        found = version == CGROUP_V2 ? controllers[0] == '\0' : contains(controllers, controller);
        if (found) {
            snprintf(path, path_len, "%s", strcmp(group, "/") == 0 ? "" : group);
        }
    }
    fclose(file);
    return found;
}

// Reads up to two numbers of a control file; -1 for "max" or an unreadable one.
static void read_numbers(double out[2], const char *dir, const char *file) {
    out[0] = out[1] = -1;
    char path[2 * PATH_LEN_MAX];
    char text[128] = "";
    snprintf(path, sizeof(path), "%s/%s", dir, file);
    FILE *f = fopen(path, "re");
    if (!f) {
        return;
    }
    if (fgets(text, sizeof(text), f)) {
        char *rest = text;
        for (int i = 0; i < 2; i++) {
            char *end;
            double value = strtod(rest, &end);
            if (end != rest) {
                out[i] = value;
                rest = end;
            } else {
                rest += strcspn(rest, " ");
            }
        }
    }
    fclose(f);
}

// The limit in the directory of one group; 0: none.
static double group_cores(const char *dir, enum version version) {
    double quota[2], period[2];
    if (version == CGROUP_V2) {
        read_numbers(quota, dir, "cpu.max"); // "QUOTA PERIOD" or "max PERIOD"
        period[0] = quota[1];
    } else {
        read_numbers(quota, dir, "cpu.cfs_quota_us");
        read_numbers(period, dir, "cpu.cfs_period_us");
    }
    return quota[0] > 0 && period[0] > 0 ? quota[0] / period[0] : 0;
}

static double group_memory(const char *dir, enum version version) {
    double bytes[2];
    read_numbers(bytes, dir, version == CGROUP_V2 ? "memory.max" : "memory.limit_in_bytes");
    // In version 1 "no limit" is a number just below 2^63.
    return bytes[0] > 0 && bytes[0] < 4e18 ? bytes[0] : 0;
}

// The smallest limit from the group up to the mount point.
static double smallest_limit(const char *mount, char *group, enum version version,
                             double (*limit)(const char *dir, enum version version)) {
    double smallest = 0;
    for (;;) {
        char dir[2 * PATH_LEN_MAX];
        snprintf(dir, sizeof(dir), "%s%s", mount, group);
        double here = limit(dir, version);
        if (here > 0 && (smallest == 0 || here < smallest)) {
            smallest = here;
        }
        char *slash = strrchr(group, '/');
        if (!slash) {
            return smallest;
        }
        *slash = '\0';
    }
}

static double cgroup_limit(const char *root, const char *controller,
                           double (*limit)(const char *dir, enum version version)) {
    double smallest = 0;
    for (enum version version = CGROUP_V1; version <= CGROUP_V2; version++) {
        char group[PATH_LEN_MAX], mount[PATH_LEN_MAX];
        if (!find_group(group, sizeof(group), version, controller, root)) {
            continue;
        }
        snprintf(mount, sizeof(mount), "%s/sys/fs/cgroup%s%s", root,
                 version == CGROUP_V1 ? "/" : "", version == CGROUP_V1 ? controller : "");
        double here = smallest_limit(mount, group, version, limit);
        if (here > 0 && (smallest == 0 || here < smallest)) {
            smallest = here;
        }
    }
    return smallest;
}

double host_cgroup_cores(const char *root) {
    return cgroup_limit(root, "cpu", group_cores);
}

uint64_t host_cgroup_memory(const char *root) {
    return (uint64_t)cgroup_limit(root, "memory", group_memory);
}

// ---- this machine ----

int host_affinity(void) {
    int cores = 1;
    cpu_set_t *set = CPU_ALLOC(CPUS_MAX);
    if (set) {
        size_t size = CPU_ALLOC_SIZE(CPUS_MAX);
        CPU_ZERO_S(size, set);
        if (sched_getaffinity(0, size, set) == 0) {
            cores = CPU_COUNT_S(size, set);
        }
        CPU_FREE(set);
    }
    return cores > 1 ? cores : 1;
}

bool host_bind(pid_t pid, int core) {
    char path[64];
    snprintf(path, sizeof(path), "/proc/%d/task", (int)(pid ? pid : getpid()));
    DIR *threads = opendir(path);
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(core, &set);
    bool fine = threads != NULL && core < CPU_SETSIZE;
    for (struct dirent *t; fine && (t = readdir(threads));) {
        if (t->d_name[0] != '.') {
            int rc = sched_setaffinity((pid_t)strtol(t->d_name, NULL, 10), sizeof(set), &set);
            fine = rc == 0 || errno == ESRCH; // ended meanwhile
        }
    }
    if (threads) {
        closedir(threads);
    }
    return fine;
}

int host_cores_within(const char *root) {
    int cores = host_affinity();
    double quota = host_cgroup_cores(root);
    if (quota > 0 && quota < cores) {
        cores = (int)quota;
    }
    return cores > 1 ? cores : 1;
}

int host_cores(void) {
    return host_cores_within("");
}

uint64_t host_memory_limit(void) {
    uint64_t physical = (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE);
    uint64_t group = host_cgroup_memory("");
    return group > 0 && group < physical ? group : physical;
}

uint64_t host_rss(void) {
    FILE *file = fopen("/proc/self/statm", "re");
    if (!file) {
        return 0;
    }
    unsigned long long all = 0, resident = 0;
    int n = fscanf(file, "%llu %llu", &all, &resident);
    fclose(file);
    return n == 2 ? resident * (uint64_t)sysconf(_SC_PAGESIZE) : 0;
}

bool host_is_stopped(int pid) {
    char path[64], text[512] = "";
    snprintf(path, sizeof(path), "/proc/%d/stat", pid);
    FILE *file = fopen(path, "re");
    size_t n = file ? fread(text, 1, sizeof(text) - 1, file) : 0;
    if (file) {
        fclose(file);
    }
    text[n] = '\0';
    // The name before the state is in parentheses, and may contain some.
    const char *state = strrchr(text, ')');
    return state && state[1] == ' ' && (state[2] == 'T' || state[2] == 't');
}
