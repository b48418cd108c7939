// SPDX-License-Identifier: MIT
// Files of keys. The first byte chooses what the rest is: the list of those admitted, a server's
// own key, a client's, or a token. Of accepted ones every text ends and every name is valid.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/check.h"
#include "common/io/keys.h"
#include "tests/fuzz/fuzz.h"

#define PUBLIC "rq:rM>}U?@Lns47E1%kR.o@n%FcmmsL/@{H8]yf7"
#define SECRET "JTKVSB%%)wK0E.X)V>+}o?pNmC{O&4W4b!Ni{Lh6"

static const char server[] =
    "name = \"lab\"\npublic-key = \"" PUBLIC "\"\nsecret-key = \"" SECRET "\"\n";

static char path[4][96]; // the list, the server's key, a client's, a token

static void write_file(const char *name, const void *data, size_t len) {
    FILE *f = fopen(name, "wb");
    CHECK(f && fwrite(data, 1, len, f) == len);
    CHECK(fclose(f) == 0);
    CHECK(chmod(name, 0600) == 0);
}

static void make_paths(void) {
    static const char *const names[] = {"keys/allowed", "keys/server.key", "arm.key", "token"};
    char folder[96];
    snprintf(folder, sizeof(folder), "%s/keys", fuzz_folder());
    CHECK(mkdir(folder, 0700) == 0);
    for (int i = 0; i < 4; i++) {
        snprintf(path[i], sizeof(path[i]), "%s/%s", fuzz_folder(), names[i]);
    }
}

static void check_usable(const struct keys *k) {
    CHECK(strlen(k->public_key) < KEY_LEN && strlen(k->secret_key) < KEY_LEN);
    CHECK(strlen(k->server_key) < KEY_LEN && strlen(k->token) < KEY_TOKEN_LEN);
    CHECK(k->count >= 0 && k->count <= KEYS_MAX);
    for (int i = 0; i < k->count; i++) {
        const struct key_entry *e = &k->list[i];
        CHECK(strlen(e->public_key) == KEY_LEN - 1 && key_name_is_valid(e->name));
        CHECK(e->roles <= KEY_ALL && strlen(e->ids) < KEY_IDS_LEN);
        key_allows_id(e, "arm/left");
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len) {
    char err[1024] = "", folder[96];
    if (len == 0) {
        return 0;
    }
    if (path[0][0] == '\0') {
        make_paths();
    }
    int which = data[0] % 4;
    write_file(path[0], "", 0);
    write_file(path[1], server, strlen(server));
    write_file(path[which], data + 1, len - 1);
    snprintf(folder, sizeof(folder), "%s/keys", fuzz_folder());
    struct keys k = {0};
    if (keys_load(&k, which < 2 ? folder : path[which], err, sizeof(err)) == 0) {
        fuzz_accept();
        check_usable(&k);
    } else {
        CHECK(err[0] != '\0');
    }
    keys_free(&k);
    return 0;
}

size_t fuzz_sample(int index, uint8_t out[FUZZ_SAMPLE_MAX]) {
    static const char client[] = "name = \"arm\"\npublic-key = \"" PUBLIC
                                 "\"\nsecret-key = \"" SECRET "\"\nserver-key = \"" PUBLIC "\"\n";
    static const char list[] = "# NAME ROLES KEY IDS\narm actor " PUBLIC "\n"
                               "desk learner,operator " SECRET " desk,desk/2\n";
    char token[96];
    const char *texts[] = {list, server, client, token};
    if (index > 3) {
        return 0;
    }
    snprintf(token, sizeof(token), "%s/sample", fuzz_folder());
    CHECK(keys_write_token(token) == 0);
    size_t token_len = fuzz_take_file(out, token);
    memmove(out + 1, out, token_len);
    out[0] = (uint8_t)index;
    if (index == 3) {
        return 1 + token_len;
    }
    memcpy(out + 1, texts[index], strlen(texts[index]));
    return 1 + strlen(texts[index]);
}
