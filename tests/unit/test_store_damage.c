// SPDX-License-Identifier: MIT
// Shows that a damaged store is refused, with the place, before its rows are used, and that none is
// refused that is whole: flipped bits of values and of the file, a shortened file, damage of LMDB's
// own tree, and as many actors as there can be.
#include <fcntl.h>
#include <lmdb.h>
#include <string.h>

#include "common/base/file.h"
#include "common/base/rng.h"
#include "modelserver/storage/store_row.h"
#include "tests/unit/store_fixture.h"

static void every_flipped_bit_of_a_value_is_found(void **state) {
    (void)state;
    uint64_t actor[STORE_ACTOR_WORDS] = {1, 2, 3, 4, 5, 6, 1};
    unsigned char row[64] = {0};
    const struct store_row_header header = {1, 2, WIRE_TRUNCATED};
    assert_true(store_actor_is_intact(actor)); // of an earlier build
    store_row_set_header(row, &header);
    assert_true(store_row_is_intact(row, sizeof(row)));
    store_actor_seal(actor);
    store_row_seal(row, sizeof(row));
    assert_true(store_actor_is_intact(actor) && store_row_is_intact(row, sizeof(row)));
    assert_int_equal(store_row_header(row).flags, WIRE_TRUNCATED);
    for (int bit = 0; bit < 64 * STORE_ACTOR_WORDS; bit++) {
        actor[bit / 64] ^= UINT64_C(1) << (bit % 64);
        assert_false(store_actor_is_intact(actor));
        actor[bit / 64] ^= UINT64_C(1) << (bit % 64);
    }
    for (int bit = 0; bit < 8 * 64; bit++) {
        row[bit / 8] ^= (unsigned char)(1 << (bit % 8));
        assert_false(store_row_is_intact(row, sizeof(row)));
        row[bit / 8] ^= (unsigned char)(1 << (bit % 8));
    }
}

static void must_refuse(void) {
    struct store_meta meta = some_meta();
    struct store *s;
    char path[96];
    data_path(path);
    err[0] = '\0';
    assert_int_equal(store_open(&s, dir, &meta, ROWS_MAX, err, sizeof(err)), -1);
    if (!strstr(err, path) || !strstr(err, "is damaged (")) {
        fail_msg("%s", err);
    }
}

static void a_shortened_store_is_refused(void **state) {
    (void)state;
    char path[96], *bytes;
    size_t len;
    data_path(path);
    struct store *s = must_open(ROWS_MAX);
    struct store_batch *b = new_batch();
    fill(b, "a", 1, 5, 1, 0, 1024);
    assert_int_equal(commit_one(s, b), 1);
    store_close(&s);
    assert_int_equal(file_read_all(&bytes, &len, path, 1 << 24), 0);
    for (size_t keep = len - 1; keep > len / 8; keep -= len / 16) {
        assert_int_equal(file_write_atomic(path, bytes, keep), 0);
        must_refuse();
    }
    assert_int_equal(file_write_atomic(path, "no store at all", 15), 0);
    must_refuse();
    free(bytes);
    free(b);
}

// Whether the store opens with all its rows.
static bool is_whole(void) {
    struct store_meta meta = some_meta();
    struct store *s;
    if (store_open(&s, dir, &meta, ROWS_MAX, err, sizeof(err)) != 0) {
        return false;
    }
    for (uint64_t i = 0; i < store_rows(s); i++) {
        check_row(s, i, 1, i);
    }
    bool whole = store_rows(s) == 1024;
    store_close(&s);
    return whole;
}

// Damage anywhere is found or does no harm: it does not end the process, and no row changes.
static void flipped_bits_change_no_row(void **state) {
    (void)state;
    enum { ROUNDS = 300 };
    char path[96], *bytes;
    size_t len;
    data_path(path);
    struct store *s = must_open(ROWS_MAX);
    struct store_batch *b = new_batch();
    fill(b, "a", 1, 5, 1, 0, 1024);
    assert_int_equal(commit_one(s, b), 1);
    store_close(&s);
    assert_int_equal(file_read_all(&bytes, &len, path, 1 << 24), 0);
    struct rng rng = rng_make(1, RNG_TEST, 0);
    char *hurt = xmalloc(len);
    int refused = 0;
    for (int round = 0; round < ROUNDS; round++) {
        size_t at = rng_below(&rng, (uint32_t)len), run = round % 3 == 0 ? 64 : 1;
        memcpy(hurt, bytes, len);
        for (size_t i = at; i < at + run && i < len; i++) {
            hurt[i] ^= (char)(1 << rng_below(&rng, 8));
        }
        int fd = open(path, O_WRONLY);
        assert_int_equal(pwrite(fd, hurt, len, 0), len);
        assert_int_equal(ftruncate(fd, (off_t)len), 0);
        close(fd);
        refused += !is_whole();
    }
    free(hurt);
    print_message("          %d of %d damaged stores are refused\n", refused, ROUNDS);
    assert_true(refused > ROUNDS / 2);
    free(bytes);
    free(b);
}

// Changes a word of the file. Returns what it was.
static uint64_t poke(size_t at, uint64_t word) {
    char path[96];
    uint64_t before;
    data_path(path);
    int fd = open(path, O_RDWR);
    assert_int_equal(pread(fd, &before, sizeof(before), (off_t)at), sizeof(before));
    assert_int_equal(pwrite(fd, &word, sizeof(word), (off_t)at), sizeof(word));
    close(fd);
    return before;
}

// A list of free pages: their number, then the pages. LMDB has it in the database 0.
static void damage_free_list(void) {
    unsigned char list[256];
    char path[96], *data;
    size_t len;
    MDB_env *env;
    MDB_txn *txn;
    MDB_cursor *cursor;
    MDB_val key, value;
    assert_int_equal(mdb_env_create(&env), 0);
    assert_int_equal(mdb_env_open(env, dir, MDB_RDONLY | MDB_NOLOCK, 0), 0);
    assert_int_equal(mdb_txn_begin(env, NULL, MDB_RDONLY, &txn), 0);
    assert_int_equal(mdb_cursor_open(txn, 0, &cursor), 0);
    assert_int_equal(mdb_cursor_get(cursor, &key, &value, MDB_FIRST), 0);
    assert_true(value.mv_size >= 16 && value.mv_size <= sizeof(list));
    size_t list_len = value.mv_size;
    memcpy(list, value.mv_data, list_len);
    mdb_cursor_close(cursor);
    mdb_txn_abort(txn);
    mdb_env_close(env);
    data_path(path);
    assert_int_equal(file_read_all(&data, &len, path, 1 << 24), 0);
    const char *at = data; // older copies of its page are there too
    while ((at = memmem(at, len - (size_t)(at - data), list, list_len))) {
        poke((size_t)(at - data), UINT64_C(1) << 40);
        at++;
    }
    free(data);
}

// Damage of what LMDB itself needs: the number of the last page, and the pages that are free.
static void damage_of_the_tree_is_named(void **state) {
    (void)state;
    enum { META_LAST_PAGE = 136, PAGE = 4096 };
    struct store *s = must_open(ROWS_MAX);
    struct store_batch *b = new_batch();
    for (uint64_t i = 0; i < 3; i++) {
        fill(b, "actor", 0, 1, i + 1, i * 8, 8);
        assert_int_equal(commit_one(s, b), 1);
    }
    store_close(&s);
    free(b);
    struct store_meta meta = some_meta();
    const uint64_t last = poke(META_LAST_PAGE, UINT64_C(1) << 40);
    const uint64_t other = poke(PAGE + META_LAST_PAGE, UINT64_C(1) << 40);
    assert_int_equal(store_open(&s, dir, &meta, ROWS_MAX, err, sizeof(err)), -1);
    assert_non_null(strstr(err, "is damaged"));
    poke(META_LAST_PAGE, last);
    poke(PAGE + META_LAST_PAGE, other);
    s = must_open(ROWS_MAX);
    store_close(&s);
    damage_free_list();
    assert_int_equal(store_open(&s, dir, &meta, ROWS_MAX, err, sizeof(err)), -1);
    assert_non_null(strstr(err, "a list of free pages"));
}

static uint64_t word(const char *data, size_t at) {
    uint64_t w;
    memcpy(&w, data + at, sizeof(w));
    return w;
}

// Page `number` in LMDB's format: a branch whose two entries are the next page.
static void make_branch(unsigned char page[4096], uint64_t number) {
    enum { HEADER = 16, NODE = 8, BRANCH = 1, END = 4096 };
    const uint64_t next = number + 1;
    const uint16_t flags = BRANCH, lower = HEADER + 4, upper = END - 2 * NODE;
    memset(page, 0, END);
    memcpy(page, &number, sizeof(number));
    memcpy(page + 10, &flags, sizeof(flags));
    memcpy(page + 12, &lower, sizeof(lower));
    memcpy(page + 14, &upper, sizeof(upper));
    for (uint16_t i = 0; i < 2; i++) {
        const uint16_t at = (uint16_t)(END - (i + 1) * NODE);
        memcpy(page + HEADER + 2 * i, &at, sizeof(at));
        memcpy(page + at, &next, 6); // of its key there is nothing
    }
}

// 28 branches, one below another, each with two entries for the next: every page is in the file,
// and there are 2^28 ways to the last.
static void a_tree_without_an_end_is_refused(void **state) {
    (void)state;
    enum { PAGE = 4096, ROOT = 128, LAST_PAGE = 136, TXN = 144, BRANCHES = 28, ROOT_OF_TABLE = 40 };
    unsigned char page[PAGE];
    char path[96], *data;
    size_t len;
    struct store *s = must_open(ROWS_MAX);
    struct store_batch *b = new_batch();
    fill(b, "actor", 0, 1, 1, 0, 8);
    assert_int_equal(commit_one(s, b), 1);
    store_close(&s);
    free(b);
    data_path(path);
    assert_int_equal(file_read_all(&data, &len, path, 1 << 24), 0);
    size_t meta = word(data, TXN) > word(data, PAGE + TXN) ? 0 : PAGE;
    const char *tables = data + word(data, meta + ROOT) * PAGE;
    const char *actors = memmem(tables, PAGE, "actors", 6);
    assert_non_null(actors);
    uint64_t first = word(data, meta + LAST_PAGE) + 1;
    uint64_t leaf = poke((size_t)(actors - data) + 6 + ROOT_OF_TABLE, first);
    poke(LAST_PAGE, first + BRANCHES);
    poke(PAGE + LAST_PAGE, first + BRANCHES);
    int fd = open(path, O_RDWR);
    for (uint64_t i = 0; i < BRANCHES; i++) {
        make_branch(page, first + i);
        assert_int_equal(pwrite(fd, page, PAGE, (off_t)((first + i) * PAGE)), PAGE);
    }
    memcpy(page, data + leaf * PAGE, PAGE); // the table itself
    first += BRANCHES;
    memcpy(page, &first, sizeof(first));
    assert_int_equal(pwrite(fd, page, PAGE, (off_t)(first * PAGE)), PAGE);
    close(fd);
    free(data);
    must_refuse();
    assert_non_null(strstr(err, "which has no end"));
}

// As many actors as a store can have, with the longest ids: the examination before each use has
// room for copies of all their pages.
static void a_store_full_of_actors_is_opened(void **state) {
    (void)state;
    enum { GROUP = 256 };
    static struct store_batch *group[GROUP];
    struct store *s = must_open(ROWS_MAX);
    for (int i = 0; i < GROUP; i++) {
        group[i] = new_batch();
    }
    for (uint64_t first = 0; first < STORE_ACTORS_MAX; first += GROUP) {
        for (uint64_t i = 0; i < GROUP; i++) {
            char id[STORE_ID_MAX];
            snprintf(id, sizeof(id), "%0*d", STORE_ID_MAX - 1,
                     (int)((first + i) * 2654435761u >> 1));
            fill(group[i], id, first + i, 1, 1, 0, 1);
        }
        assert_int_equal(store_commit(s, group, GROUP, err, sizeof(err)), GROUP);
    }
    store_close(&s);
    s = must_open(ROWS_MAX);
    assert_int_equal(store_actor_count(s), STORE_ACTORS_MAX);
    assert_int_equal(store_rows(s), STORE_ACTORS_MAX);
    store_close(&s);
    for (int i = 0; i < GROUP; i++) {
        free(group[i]);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(damage_of_the_tree_is_named, make_dir, remove_dir),
        cmocka_unit_test_setup_teardown(a_tree_without_an_end_is_refused, make_dir, remove_dir),
        cmocka_unit_test_setup_teardown(a_store_full_of_actors_is_opened, make_dir, remove_dir),
        cmocka_unit_test(every_flipped_bit_of_a_value_is_found),
        cmocka_unit_test_setup_teardown(a_shortened_store_is_refused, make_dir, remove_dir),
        cmocka_unit_test_setup_teardown(flipped_bits_change_no_row, make_dir, remove_dir),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
