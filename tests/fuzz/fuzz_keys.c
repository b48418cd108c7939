// SPDX-License-Identifier: MIT
// Files of keys. The first byte chooses what the rest is: the list of those admitted, a server's
// own key, a client's, or a token. Of accepted ones every text ends and every name is valid.
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "common/base/check.h"
#include "common/io/keys.h"
#include "tests/fuzz/fuzz.h"

#define PUBLIC "rq:rM>}U?@Lns47E1%kR.o@n%FcmmsL/@{H8]yf7"
#define SECRET "JTKVSB%%)wK0E.X)V>+}o?pNmC{O&4W4b!Ni{Lh6"

static const char server[] =
    "name = \"lab\"\npublic-key = \"" PUBLIC "\"\nsecret-key = \"" SECRET "\"\n";

// The list, the server's key, a client's, a token.
static const char *const files[] = {"keys/allowed", "keys/server.key", "arm.key", "token"};

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
    char err[1024] = "";
    if (len == 0) {
        return 0;
    }
    int which = data[0] % 4;
    CHECK(mkdir(fuzz_path("keys"), 0700) == 0 || errno == EEXIST);
    fuzz_write(files[0], "", 0);
    fuzz_write(files[1], server, strlen(server));
    fuzz_write(files[which], data + 1, len - 1);
    struct keys k = {0};
    if (keys_load(&k, fuzz_path(which < 2 ? "keys" : files[which]), err, sizeof(err)) == 0) {
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
    const char *const texts[] = {list, server, client};
    if (index > 3) {
        return 0;
    }
    size_t len = index < 3 ? strlen(texts[index]) : 0;
    if (index == 3) {
        CHECK(keys_write_token(fuzz_path("sample")) == 0);
        len = fuzz_take(out, "sample");
        memmove(out + 1, out, len);
    } else {
        memcpy(out + 1, texts[index], len);
    }
    out[0] = (uint8_t)index;
    return 1 + len;
}
