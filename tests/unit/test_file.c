// SPDX-License-Identifier: MIT
// Shows that files are replaced atomically, that a failed write keeps the old file and
// leaves no temporary, that reading is bounded, and that a lock names its holder.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/file.h"

static char dir[] = "/tmp/spur-test-file-XXXXXX";
static char path[256];

static int make_dir(void **state) {
    (void)state;
    if (!mkdtemp(dir)) {
        return -1;
    }
    return file_join(path, sizeof(path), dir, "a/b/data");
}

static int remove_dir(void **state) {
    (void)state;
    char command[300];
    snprintf(command, sizeof(command), "rm -r '%s'", dir);
    return system(command);
}

static int entries_in(const char *folder) {
    int n = 0;
    DIR *d = opendir(folder);
    assert_non_null(d);
    while (readdir(d)) {
        n++;
    }
    closedir(d);
    return n - 2;
}

static void replaced_whole(void **state) {
    (void)state;
    char folder[256];
    file_join(folder, sizeof(folder), dir, "a/b");
    assert_int_equal(file_make_dirs(folder), 0);
    assert_int_equal(file_make_dirs(folder), 0); // repeating is harmless
    assert_int_equal(file_write_atomic(path, "old", 3), 0);
    assert_int_equal(file_write_atomic(path, "newer", 5), 0);
    char *data;
    size_t len;
    assert_int_equal(file_read_all(&data, &len, path, 100), 0);
    assert_int_equal(len, 5);
    assert_string_equal(data, "newer");
    free(data);
    assert_int_equal(entries_in(folder), 1); // no temporary left
}

static void the_file_before_is_kept(void **state) {
    (void)state;
    char beside[256], *data;
    size_t len;
    assert_int_equal(file_beside(beside, sizeof(beside), "a.b/c", "old"), 0);
    assert_string_equal(beside, "a.b/c.old");
    assert_int_equal(file_beside(beside, sizeof(beside), "a/b.c.x", "old"), 0);
    assert_string_equal(beside, "a/b.c.old.x");
    assert_int_equal(file_beside(beside, sizeof(beside), path, "old"), 0);
    unlink(path);
    for (int i = 0; i < 3; i++) {
        char text[] = {(char)('a' + i), '\0'};
        assert_int_equal(file_keep(path, beside), 0); // the first time there is none
        assert_int_equal(file_write_atomic(path, text, 1), 0);
    }
    assert_int_equal(file_read_all(&data, &len, beside, 100), 0);
    assert_string_equal(data, "b");
    free(data);
    assert_int_equal(unlink(beside), 0);
    assert_int_equal(file_write_atomic(path, "newer", 5), 0);
}

// Those that a writer has open stay.
static void temporaries_of_killed_processes_are_removed(void **state) {
    (void)state;
    char folder[256], name[300];
    file_join(folder, sizeof(folder), dir, "a/b");
    const char *const names[] = {"x.tmp.1", "x.tmp.999999", "y.tmp.12",
                                 "x.tmp.",  "x.tmp.1a",     "tmp.1"};
    for (int i = 0; i < 6; i++) {
        file_join(name, sizeof(name), folder, names[i]);
        int fd = open(name, O_WRONLY | O_CREAT, 0600);
        assert_true(fd >= 0);
        if (i == 2) {
            assert_int_equal(flock(fd, LOCK_EX), 0);
            assert_int_equal(file_sweep(folder), 2);
            assert_int_equal(file_sweep(folder), 0);
        }
        close(fd);
    }
    assert_int_equal(file_sweep(folder), 1);
    assert_int_equal(entries_in(folder), 4); // and data
    assert_int_equal(file_sweep("/nonexistent"), 0);
}

static void refusals(void **state) {
    (void)state;
    char *data;
    size_t len;
    assert_int_equal(file_read_all(&data, &len, path, 4), -EFBIG);
    assert_null(data);
    assert_int_equal(file_read_all(&data, &len, "/nonexistent/x", 4), -ENOENT);
    assert_int_equal(file_read_all(&data, &len, dir, 4), -EISDIR);
    assert_int_equal(file_write_atomic("/nonexistent/x", "", 0), -ENOENT);
    assert_int_equal(file_make_dirs(path), -ENOTDIR);
    char small[4];
    assert_int_equal(file_join(small, sizeof(small), "ab", "cd"), -ENAMETOOLONG);
    assert_int_equal(file_dir_writable(dir), 0);
    assert_true(file_dir_writable("/proc") < 0);
}

static void a_lock_names_its_holder(void **state) {
    (void)state;
    char lock[256];
    file_join(lock, sizeof(lock), dir, "lock");
    int pid = -1;
    int fd = file_lock(lock, &pid);
    assert_true(fd >= 0);
    pid_t child = fork();
    if (child == 0) {
        int rc = file_lock(lock, &pid);
        _exit(rc == -EWOULDBLOCK && pid == getppid() ? 0 : 1);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    close(fd);
    fd = file_lock(lock, &pid);
    assert_true(fd >= 0);
    close(fd);
}

// A lock that is taken from a process that does not answer.
static void test_a_lock_is_replaced(void **state) {
    (void)state;
    char lock[] = "/tmp/spur-lock-XXXXXX";
    int pid, made = mkstemp(lock);
    assert_true(made >= 0);
    close(made);
    int first = file_lock(lock, &pid);
    assert_true(first >= 0);
    assert_int_equal(file_lock(lock, &pid), -EWOULDBLOCK);
    int second = file_lock_replace(lock);
    assert_true(second >= 0);
    assert_int_equal(file_lock(lock, &pid), -EWOULDBLOCK);
    assert_int_equal(pid, getpid());
    close(first); // what it held is no longer there
    assert_int_equal(file_lock(lock, &pid), -EWOULDBLOCK);
    close(second);
    int third = file_lock(lock, &pid);
    assert_true(third >= 0);
    close(third);
    unlink(lock);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_lock_is_replaced),
        cmocka_unit_test(replaced_whole),
        cmocka_unit_test(the_file_before_is_kept),
        cmocka_unit_test(refusals),
        cmocka_unit_test(temporaries_of_killed_processes_are_removed),
        cmocka_unit_test(a_lock_names_its_holder),
    };
    return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
