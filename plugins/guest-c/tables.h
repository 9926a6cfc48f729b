/* Rows of tables by key, for consumers and checkback handlers: consumer.h and checkback.h include it. A plugin that looks rows
 * up has "tables" among the capabilities of its plugin.toml, and says once which tables, before its last line:
 *
 *     static const ms_parameter KEY[] = {{"number", "Utf8"}}, COLUMNS[] = {{"state", "Utf8"}};
 *     static const ms_lookup LOOKUPS[] = {MS_LOOKUP("orders", KEY, COLUMNS)};
 *     MILLSTREAM_LOOKUPS(LOOKUPS) */
#ifndef MILLSTREAM_TABLES_H
#define MILLSTREAM_TABLES_H

#include "millstream.h"

/* A table that rows are looked up in: what the plugin calls it, the columns that values are given for, and those that are
 * wanted. The operator says which table it is. */
typedef struct {
    const char *name;
    const ms_parameter *key;
    size_t key_count;
    const ms_parameter *columns;
    size_t count;
} ms_lookup;

#define MS_LOOKUP(name, key, columns) {name, key, MS_COUNT(key), columns, MS_COUNT(columns)}

static const ms_lookup *ms_lookups;
static size_t ms_lookup_count;

#define MILLSTREAM_LOOKUPS(lookups_)                                                                                           \
    static const ms_lookup *ms_lookups = lookups_;                                                                             \
    static size_t ms_lookup_count = MS_COUNT(lookups_);

/* The rows that were found. */
typedef struct {
    ms_batch batch;   /* the columns that are wanted, with a row for each key that was found */
    bool unavailable; /* beside an error: the table can't be read now; later it may be */
    ms_list rows;     /* for each row of `batch` the row of the keys that it answers, rising */
    void *message;
} ms_found;

/* Begins the columns of the keys, of which there are as many as the table's key has. */
static inline void ms_begin_keys(ms_builder *keys, const ms_lookup *lookup) {
    for (size_t i = 0; i < lookup->key_count; i++) ms_begin(&keys[i], lookup->key[i].data_type);
}

/* Where the row of a key lies in found->batch, by the key's row; false if the table has none. */
static inline bool ms_row_of(const ms_found *found, size_t key, size_t *row) {
    const uint32_t *keys = found->rows.ptr;
    size_t low = 0, high = found->rows.len;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (keys[middle] < key) low = middle + 1;
        else high = middle;
    }
    *row = low;
    return low < found->rows.len && keys[low] == key;
}

static inline void ms_free_found(ms_found *found) {
    if (found->message != NULL) free(found->message);
    if (found->rows.len != 0) free((void *)found->rows.ptr);
    found->message = NULL;
    found->rows.len = found->batch.rows = 0;
}

/* ---- The contract. ---- */

__attribute__((import_module("millstream:plugin/tables@0.2.0"), import_name("lookup")))
extern void ms_import_lookup(const char *table, size_t table_len, const uint8_t *keys, size_t keys_len, void *answer);

enum { MS_LOOKUP_DENIED, MS_LOOKUP_INVALID, MS_LOOKUP_UNAVAILABLE };

typedef struct {
    uint8_t is_error;
    union {
        struct { ms_list batch, rows; } found;
        struct { uint8_t kind; ms_text text; } error;
    } of;
} ms_abi_found;

/* Finds the newest row of each key: `keys` has the columns of the table's key, at most 65,536 rows. A key that holds a null, and
 * one that the table does not have, finds none. Gives an error or NULL; what is found is to be freed with ms_free_found. */
static inline const char *ms_find(const ms_lookup *lookup, const ms_builder *keys, ms_found *found) {
    static ms_bytes message;
    ms_abi_found answer = {0};
    *found = (ms_found){0};
    for (size_t i = 1; i < lookup->key_count; i++)
        if (keys[i].rows != keys[0].rows) return "the columns of the keys have different numbers of rows";
    ms_record_batch(&message, keys, lookup->key_count, keys[0].rows);
    ms_import_lookup(lookup->name, strlen(lookup->name), message.ptr, message.len, &answer);
    if (answer.is_error) {
        found->unavailable = answer.of.error.kind == MS_LOOKUP_UNAVAILABLE;
        return ms_kept_error(answer.of.error.text);
    }
    found->rows = answer.of.found.rows;
    found->message = (void *)answer.of.found.batch.ptr;
    ms_buffer batch = {found->message, answer.of.found.batch.len};
    if (ms_read_batch(batch, lookup->columns, lookup->count, &found->batch)) return NULL;
    ms_free_found(found);
    return MS_NOT_A_BATCH;
}

#endif
