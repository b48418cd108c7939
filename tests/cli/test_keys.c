// SPDX-License-Identifier: MIT
// Tests keys: the commands of `spur keys` and the files that they leave, with their modes; what is
// refused when such files are read; a list that is read again; and which of token and keys a run
// has at its address.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/run/endpoints.h"
#include "common/base/check.h"
#include "common/base/file.h"
#include "common/io/keys.h"

static char dir[64], folder[PATH_MAX], err[1024];

static int set_up(void **state) {
    (void)state;
    snprintf(dir, sizeof(dir), "/tmp/spur-test-keys-XXXXXX");
    if (!mkdtemp(dir)) {
        return -1;
    }
    snprintf(folder, sizeof(folder), "%s/keys", dir);
    setenv("SPUR_KEYS", folder, 1);
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    char command[128];
    snprintf(command, sizeof(command), "rm -r %s", dir);
    unsetenv("SPUR_KEYS");
    return system(command);
}

static const char *in_folder(const char *name) {
    static char path[PATH_MAX];
    assert_int_equal(file_join(path, sizeof(path), folder, name), 0);
    return path;
}

// Runs `spur keys` with up to six words.
static int keys(const char *words) {
    static char text[256];
    char *argv[8] = {0}, program[] = "spur keys";
    int argc = 1;
    argv[0] = program;
    snprintf(text, sizeof(text), "%s", words);
    for (char *save = NULL, *word = strtok_r(text, " ", &save); word && argc < 7;
         word = strtok_r(NULL, " ", &save)) {
        argv[argc++] = word;
    }
    optind = 0;
    return cmd_keys(argc, argv);
}

static unsigned mode_of(const char *path) {
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    return st.st_mode & 0777;
}

static void keys_are_made_listed_and_revoked(void **state) {
    (void)state;
    struct keys server, client;
    assert_int_equal(keys("add robot-1"), 0); // makes the server's key too
    assert_int_equal(keys("add desk --role operator,evaluator --id a,b"), 0);
    assert_int_equal(mode_of(folder), 0700);
    assert_int_equal(mode_of(in_folder("server.key")), 0600);
    assert_int_equal(mode_of(in_folder("robot-1.key")), 0600);
    assert_int_equal(keys("list"), 0);

    assert_int_equal(keys_load(&server, folder, err, sizeof(err)), 0);
    assert_int_equal(keys_load(&client, in_folder("robot-1.key"), err, sizeof(err)), 0);
    assert_int_equal(server.count, 2);
    assert_true(server.serves && !client.serves);
    assert_string_equal(client.name, "robot-1");
    assert_string_equal(client.server_key, server.public_key);
    assert_string_equal(server.list[0].public_key, client.public_key);
    assert_int_equal(server.list[0].roles, KEY_ACTOR);
    assert_int_equal(server.list[1].roles, KEY_OPERATOR | KEY_EVALUATOR);
    assert_string_equal(server.list[1].ids, "a,b");
    keys_free(&client);

    // The server's key stays, and a name is given once.
    assert_int_equal(keys("make"), 0);
    assert_int_equal(keys("add robot-1"), EXIT_CODE_USAGE);
    int taken = 0;
    assert_int_equal(keys("add robot-2"), 0);
    assert_int_equal(keys_reload(&server, &taken, err, sizeof(err)), 0);
    assert_int_equal(taken, 0);
    assert_int_equal(server.count, 3);
    assert_int_equal(keys("revoke robot-1"), 0);
    assert_false(file_exists(in_folder("robot-1.key")));
    assert_int_equal(keys("revoke robot-1"), EXIT_CODE_USAGE);
    assert_int_equal(keys_reload(&server, &taken, err, sizeof(err)), 0);
    assert_int_equal(taken, 1);
    // Entries keep their places: connections have their numbers.
    assert_int_equal(server.count, 3);
    assert_int_equal(server.list[0].roles, 0);
    assert_string_equal(server.list[2].name, "robot-2");
    keys_free(&server);
}

static void wrong_words_are_refused(void **state) {
    (void)state;
    const char *const wrong[] = {"",
                                 "add",
                                 "make more",
                                 "add a b",
                                 "add ../x",
                                 "add server",
                                 "add .x",
                                 "add x --role king",
                                 "add x --role actor,",
                                 "add x --colour red",
                                 "burn x"};
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        assert_int_equal(keys(wrong[i]), EXIT_CODE_USAGE);
    }
    assert_int_equal(keys("list"), EXIT_CODE_DENIED);
    assert_false(file_exists(folder));
}

static void expect_refused(const char *path, int code, const char *says) {
    struct keys k;
    int rc = keys_load(&k, path, err, sizeof(err));
    if (rc != code || !strstr(err, says)) {
        fail_msg("%s gives %d \"%s\", not %d \"...%s...\"", path, rc, err, code, says);
    }
    keys_free(&k);
}

static void wrong_files_are_refused(void **state) {
    (void)state;
    assert_int_equal(keys("add robot"), 0);
    assert_int_equal(chmod(in_folder("robot.key"), 0640), 0);
    expect_refused(in_folder("robot.key"), -EACCES, "may be read by others (mode 0640): chmod 600");
    assert_int_equal(chmod(in_folder("server.key"), 0604), 0);
    expect_refused(folder, -EACCES, "server.key contains a secret");
    assert_int_equal(chmod(in_folder("server.key"), 0600), 0);
    expect_refused(in_folder("nothing"), -ENOENT, "nothing");
    expect_refused(in_folder("server.key"), -EINVAL, "neither a key"); // a client's names a server
    const char *const lists[] = {"robot",
                                 "robot actor",
                                 "robot king K",
                                 "robot actor short",
                                 "robot actor KEY x y",
                                 ".robot actor KEY",
                                 "a actor KEY\nb actor KEY"};
    struct keys k;
    for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++) {
        static const char key[] = "rq:rM>}U?@Lns47E1%kR.o@n%FcmmsL/@{H8]yf7";
        char text[256] = "";
        for (const char *at = lists[i]; *at != '\0';) {
            bool is_key = strncmp(at, "KEY", 3) == 0;
            snprintf(text + strlen(text), sizeof(text) - strlen(text), "%.*s", is_key ? 40 : 1,
                     is_key ? key : at);
            at += is_key ? 3 : 1;
        }
        assert_int_equal(file_write_atomic(in_folder("allowed"), text, strlen(text)), 0);
        expect_refused(folder, -EINVAL, "allowed: entry");
    }
    // A list that cannot be read leaves the one before.
    assert_int_equal(file_write_atomic(in_folder("allowed"), "", 0), 0);
    assert_int_equal(keys("add other"), 0);
    assert_int_equal(keys_load(&k, folder, err, sizeof(err)), 0);
    unlink(in_folder("allowed"));
    int taken;
    assert_int_equal(keys_reload(&k, &taken, err, sizeof(err)), -ENOENT);
    assert_int_equal(k.count, 1);
    assert_int_equal(k.list[0].roles, KEY_ACTOR);
    keys_free(&k);
}

static void ids_belong_to_names(void **state) {
    (void)state;
    struct key_entry e = {.name = "robot"};
    assert_true(key_allows_id(&e, "robot") && key_allows_id(&e, "robot/7"));
    assert_false(key_allows_id(&e, "robot-2") || key_allows_id(&e, "robo") ||
                 key_allows_id(&e, "") || key_allows_id(&e, "actor-0"));
    snprintf(e.ids, sizeof(e.ids), "arm,leg");
    assert_true(key_allows_id(&e, "arm") && key_allows_id(&e, "leg"));
    assert_false(key_allows_id(&e, "robot") || key_allows_id(&e, "arm,leg") ||
                 key_allows_id(&e, "ar") || key_allows_id(&e, ""));
}

// ---- of a run ----

static void read_line(char *out, size_t out_len, const char *path) {
    FILE *f = fopen(path, "r");
    assert_non_null(f);
    assert_non_null(fgets(out, (int)out_len, f));
    fclose(f);
}

// A run at a loopback address has a token, one that other machines can reach has keys.
static void a_run_has_a_token_or_keys(void **state) {
    (void)state;
    struct endpoints e;
    char back[NET_ENDPOINT_MAX], path[PATH_MAX], first[128], second[128];
    assert_int_equal(endpoints_listen(&e, "tcp://127.0.0.1:7100", NULL, dir), 0);
    assert_string_equal(e.learner, "tcp://127.0.0.1:7101");
    assert_int_equal(mode_of(e.keys), 0600);
    assert_int_equal(endpoints_write(&e, dir), 0);
    assert_int_equal(endpoints_read(back, path, dir, err, sizeof(err)), 0);
    assert_string_equal(path, e.keys);
    read_line(first, sizeof(first), e.keys);
    assert_int_equal(endpoints_listen(&e, "tcp://127.0.0.1:7100", NULL, dir), 0);
    read_line(second, sizeof(second), e.keys);
    assert_string_not_equal(first, second); // another one each start
    endpoints_unwrite(dir);
    assert_false(file_exists(path));

    assert_int_equal(endpoints_listen(&e, "tcp://*:7100", NULL, dir), EXIT_CODE_DENIED);
    assert_int_equal(keys("make"), 0);
    assert_int_equal(endpoints_listen(&e, "tcp://*:7100", NULL, dir), 0);
    assert_string_equal(e.keys, folder);
    assert_string_equal(e.learner_bind, "tcp://*:7101");
    assert_string_equal(e.learner, "tcp://127.0.0.1:7101");
    assert_int_equal(endpoints_listen(&e, "tcp://127.0.0.1:7100", folder, dir), 0);
    assert_int_equal(endpoints_listen(&e, "tcp://*:7100", in_folder("server.key"), dir),
                     EXIT_CODE_DENIED);
    assert_int_equal(chmod(in_folder("server.key"), 0644), 0);
    assert_int_equal(endpoints_listen(&e, "tcp://*:7100", NULL, dir), EXIT_CODE_DENIED);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(keys_are_made_listed_and_revoked, set_up, tear_down),
        cmocka_unit_test_setup_teardown(wrong_words_are_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(wrong_files_are_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(ids_belong_to_names, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_run_has_a_token_or_keys, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
