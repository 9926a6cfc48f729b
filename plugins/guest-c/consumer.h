/* Consumers in C: include it after millstream.h, and end the source file with MILLSTREAM_CONSUMER(...). */
#ifndef MILLSTREAM_CONSUMER_H
#define MILLSTREAM_CONSUMER_H

#include "capabilities.h"
#include "millstream.h"

#define MS_MAX_OUTPUTS 16

/* A table that a consumer writes to: what it calls the table, and the columns that it gives, 64 at most. */
typedef struct {
    const char *name;
    const ms_parameter *columns;
    size_t count;
} ms_output;

#define MS_OUTPUT(name, columns) {name, columns, MS_COUNT(columns)}

/* Where a batch comes from. */
typedef struct {
    ms_text topic;
    uint32_t partition;
    uint64_t first_offset; /* the partition was read from; the first row may have a higher one */
    uint64_t next_offset;  /* what is committed once the batch is done */
} ms_position;

enum { MS_DONE, MS_RETRY, MS_GIVE_UP };

/* As the contract lays them out. */
typedef struct {
    uint8_t kind;
    ms_list why;
} ms_abi_verdict;

typedef struct {
    uint32_t row;
    ms_abi_verdict verdict;
} ms_abi_row_verdict;

/* What comes of a batch: rows for each output, in columns[] of its place, and verdicts. Rows without one are done. */
typedef struct {
    ms_rows outputs[MS_MAX_OUTPUTS];
    ms_abi_verdict verdict;
    ms_bytes exceptions;
} ms_answer;

/* All rows are to be given again, later; nothing of the call is kept. */
static inline void ms_retry(ms_answer *answer, const char *why) {
    answer->verdict = (ms_abi_verdict){MS_RETRY, ms_list_of(why)};
}

/* One row is given up. Rows are named in their order. */
static inline void ms_give_up(ms_answer *answer, size_t row, const char *why) {
    ms_abi_row_verdict verdict = {(uint32_t)row, {MS_GIVE_UP, ms_list_of(why)}};
    memcpy(ms_more(&answer->exceptions, sizeof verdict), &verdict, sizeof verdict);
}

/* ---- State. Keys belong to the consumer and the partition of the batch at hand; reads see the writes of the same call. All
 * give an error, which is a text that says which limit was met, or NULL. What is found is the plugin's: ms_free it. ---- */

typedef struct {
    ms_text key, value;
} ms_entry;

#define MS_STATE(name) __attribute__((import_module("millstream:plugin/state@0.2.0"), import_name(name)))

MS_STATE("get") extern void ms_import_get(const char *key, size_t key_len, void *answer);
MS_STATE("put") extern void ms_import_put(const char *key, size_t key_len, const char *value, size_t len, void *answer);
MS_STATE("delete") extern void ms_import_delete(const char *key, size_t key_len, void *answer);
MS_STATE("scan") extern void ms_import_scan(const char *prefix, size_t len, int32_t has_after, const char *after,
                                            size_t after_len, uint32_t limit, void *answer);

typedef struct {
    uint8_t is_error;
    union {
        ms_list list;
        struct { uint8_t kind; ms_text text; } of; /* of an option: whether there is one; of an error: which */
    } value;
} ms_abi_state;

static inline const char *ms_state_error(const ms_abi_state *answer) {
    return answer->is_error ? ms_kept_error(answer->value.of.text) : NULL;
}

/* `found` gets the value, or a null pointer where the key is not there. */
static inline const char *ms_state_get(ms_text key, ms_text *found) {
    ms_abi_state answer = {0};
    ms_import_get(key.ptr, key.len, &answer);
    *found = !answer.is_error && answer.value.of.kind == 1 ? answer.value.of.text : (ms_text){NULL, 0};
    return ms_state_error(&answer);
}

/* Keys have 1 to 1,024 bytes, values at most 256 KiB; one call writes at most 65,536 keys and 2 MiB. */
static inline const char *ms_state_put(ms_text key, ms_text value) {
    ms_abi_state answer = {0};
    ms_import_put(key.ptr, key.len, value.ptr, value.len, &answer);
    return ms_state_error(&answer);
}

/* A key that is not there is no error. */
static inline const char *ms_state_delete(ms_text key) {
    ms_abi_state answer = {0};
    ms_import_delete(key.ptr, key.len, &answer);
    return ms_state_error(&answer);
}

/* Entries whose keys begin with `prefix`, in the order of the keys, from the first one behind `after` on (a null pointer: from
 * the first); at most `limit`, and fewer where they are many or large. None is the end. `*entries` is to be freed as well, if
 * there are any. */
static inline const char *ms_state_scan(ms_text prefix, ms_text after, uint32_t limit, ms_entry **entries, size_t *count) {
    ms_abi_state answer = {0};
    ms_import_scan(prefix.ptr, prefix.len, after.ptr != NULL, after.ptr, after.len, limit, &answer);
    *entries = answer.is_error ? NULL : (ms_entry *)answer.value.list.ptr;
    *count = answer.is_error ? 0 : answer.value.list.len;
    return ms_state_error(&answer);
}

typedef struct {
    ms_list name, columns;
} ms_abi_output;

typedef struct {
    uint32_t output;
    ms_list batch;
} ms_abi_rows;

/* Exports a consumer as this plugin, which asks for the capability `state`, the tables of MILLSTREAM_LOOKUPS and
 * the hosts of MILLSTREAM_HOSTS.
 *   outputs     an array of ms_output
 *   consume     const char *consume(const ms_batch *batch, const ms_position *position, ms_answer *answer): an error, after
 *               which the batch is tried again, or NULL; a row for an output is a push to each of its columns
 * The rest is as with a filter. What the plugin remembers by itself may be lost between any two calls. */
#define MILLSTREAM_CONSUMER(name_, parameters_, outputs_, open_, consume_)                                                     \
    _Static_assert(MS_COUNT(outputs_) <= MS_MAX_OUTPUTS, "too many outputs");                                                  \
    MS_EXPORT("batch-consumer", "describe") void *ms_describe(void) {                                                          \
        static ms_abi_parameter declared[MS_COUNT(parameters_)], columns[MS_COUNT(outputs_)][MS_MAX_COLUMNS];                  \
        static ms_abi_output outputs[MS_COUNT(outputs_)];                                                                      \
        static struct { ms_list name, parameters, outputs, capabilities; } description;                                        \
        for (size_t i = 0; i < MS_COUNT(outputs_); i++)                                                                        \
            outputs[i] = (ms_abi_output){ms_list_of((outputs_)[i].name),                                                       \
                                         ms_declare(columns[i], (outputs_)[i].columns, (outputs_)[i].count)};                  \
        description.name = ms_list_of(name_);                                                                                  \
        description.parameters = ms_declare(declared, parameters_, MS_COUNT(parameters_));                                     \
        description.outputs = (ms_list){outputs, MS_COUNT(outputs_)};                                                          \
        description.capabilities = ms_asked(true);                                                                             \
        return &description;                                                                                                   \
    }                                                                                                                          \
    MS_OPEN("batch-consumer", open_)                                                                                           \
    MS_EXPORT("batch-consumer", "consume")                                                                                     \
    void *ms_consume(uint8_t *message, size_t len, char *topic, size_t topic_len, uint32_t partition, uint64_t first,          \
                     uint64_t next) {                                                                                          \
        static ms_batch batch;                                                                                                 \
        static ms_answer answer;                                                                                               \
        static ms_bytes messages[MS_COUNT(outputs_)];                                                                          \
        static ms_abi_rows rows[MS_COUNT(outputs_)];                                                                           \
        static struct { uint8_t is_error; ms_list outputs; ms_abi_verdict verdict; ms_list exceptions; } given;                \
        const ms_position position = {{topic, topic_len}, partition, first, next};                                             \
        const char *error = MS_NOT_A_BATCH;                                                                                    \
        size_t count = 0;                                                                                                      \
        for (size_t i = 0; i < MS_COUNT(outputs_); i++)                                                                        \
            ms_begin_rows(&answer.outputs[i], (outputs_)[i].columns, (outputs_)[i].count);                                     \
        answer.verdict = (ms_abi_verdict){MS_DONE, {NULL, 0}};                                                                 \
        answer.exceptions.len = 0;                                                                                             \
        if (ms_read_batch((ms_buffer){message, len}, parameters_, MS_COUNT(parameters_), &batch))                              \
            error = consume_(&batch, &position, &answer);                                                                      \
        free(message);                                                                                                         \
        if (topic_len != 0) free(topic);                                                                                       \
        for (size_t i = 0; i < MS_COUNT(outputs_); i++) {                                                                      \
            size_t has = answer.outputs[i].columns[0].rows;                                                                    \
            if (has == 0) continue;                                                                                            \
            ms_record_batch(&messages[i], answer.outputs[i].columns, (outputs_)[i].count, has);                                \
            rows[count++] = (ms_abi_rows){(uint32_t)i, {messages[i].ptr, messages[i].len}};                                    \
        }                                                                                                                      \
        given.is_error = error != NULL;                                                                                        \
        given.outputs = error == NULL ? (ms_list){rows, count} : ms_list_of(error);                                            \
        given.verdict = answer.verdict;                                                                                        \
        given.exceptions = (ms_list){answer.exceptions.ptr, answer.exceptions.len / sizeof(ms_abi_row_verdict)};               \
        return &given;                                                                                                         \
    }

#endif
