// SPDX-License-Identifier: MIT
// Keys: who a process is to its peers, and whom it admits. The cryptography is ZeroMQ's (CURVE);
// this is the files that it takes its keys from, and the list of those that are admitted.
//
// A path given as --keys is one of three:
//
//   DIR         of servers: DIR/server.key, their own key, and DIR/allowed, the list. A process
//               that connects with the server's own key may do everything.
//   FILE.key    of a client: its name, its own key and the server's public key
//   FILE        a token: the secret of one run, for sockets of the loopback interface
//
// Files of keys have lines `word = "value"`, as ZeroMQ certificates have: pyzmq reads them. They
// must not be readable for others. The list has lines `NAME ROLES PUBLIC-KEY [ID,...]`.
#ifndef SPUR_COMMON_IO_KEYS_H
#define SPUR_COMMON_IO_KEYS_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define KEY_LEN 41 // of a key as text (Z85), with NUL
#define KEY_NAME_LEN 64
#define KEY_IDS_LEN 256
#define KEY_TOKEN_LEN 65
#define KEYS_MAX 4096

#define KEYS_SERVER_FILE "server.key"
#define KEYS_LIST_FILE "allowed"
#define KEYS_TOKEN_FILE "token" // in the run directory

enum key_role {
    KEY_ACTOR = 1,
    KEY_EVALUATOR = 2,
    KEY_LEARNER = 4,
    KEY_OPERATOR = 8, // status
    KEY_ALL = 15,
};

struct key_entry {
    char public_key[KEY_LEN], name[KEY_NAME_LEN];
    unsigned roles;        // bits of enum key_role; 0: revoked
    char ids[KEY_IDS_LEN]; // separated by commas; "": NAME and NAME/...
};

struct keys {
    char path[PATH_MAX]; // as given; "": no keys
    char name[KEY_NAME_LEN];
    char public_key[KEY_LEN], secret_key[KEY_LEN]; // own; "": none
    char server_key[KEY_LEN];                      // of the servers to connect to
    char token[KEY_TOKEN_LEN];                     // "": none
    bool serves;                                   // the path is a directory
    struct key_entry *list;                        // an entry keeps its place, revoked or not
    int count;
};

// Reads what path names. Returns 0, or a negative errno with a sentence in err. -EACCES: others may
// read a secret.
int keys_load(struct keys *k, const char *path, char *err, size_t err_len);
// Reads the list again. *taken: number of entries that may do less than before. On an error the
// list stays as it was.
int keys_reload(struct keys *k, int *taken, char *err, size_t err_len);
void keys_free(struct keys *k);

// Whether the holder of an entry may use the id.
bool key_allows_id(const struct key_entry *entry, const char *id);
// A name is made of letters, digits, '-', '_' and '.', and begins with a letter or digit.
bool key_name_is_valid(const char *name);
// "actor,operator" as bits; 0: not a list of roles.
unsigned key_roles(const char *words);
void key_roles_text(char *out, size_t out_len, unsigned roles);

// Writes a file of mode 0600. server_key NULL: none.
int keys_write_pair(const char *path, const char *name, const char *public_key,
                    const char *secret_key, const char *server_key);
// Writes a new secret token. Returns 0 or a negative errno.
int keys_write_token(const char *path);
// $SPUR_KEYS, $XDG_CONFIG_HOME/spur/keys or ~/.config/spur/keys. False: none of them is set.
bool keys_folder(char out[PATH_MAX]);

#endif
