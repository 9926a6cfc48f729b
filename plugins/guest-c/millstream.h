/* Write Millstream plugins in C. Include it in one source file, and end that file with MILLSTREAM_FILTER(...),
 * MILLSTREAM_FUNCTION(...), MILLSTREAM_TRANSFORM(...) or, with consumer.h, MILLSTREAM_CONSUMER(...), or, with checkback.h,
 * MILLSTREAM_CHECKBACK(...).
 *
 * `millstream plugin build` puts this file into a project, compiles it with clang for wasm32, and adds the contract. What is
 * here is the whole of the binding: the exports of `millstream:plugin@0.2.0` as the component model's canonical ABI lays them
 * out; batch.h reads the Arrow messages that come in, and message.h writes those that go back.
 *
 * There is no standard output and there are no files: ms_log writes a line for the operator. */
#ifndef MILLSTREAM_H
#define MILLSTREAM_H

#include "batch.h"
#include "message.h"

enum { MS_ERROR, MS_WARNING, MS_INFO, MS_DEBUG };

__attribute__((import_module("millstream:plugin/logging@0.2.0"), import_name("log")))
extern void ms_import_log(int32_t level, const char *line, size_t len);

static inline void ms_log(int level, const char *line) { ms_import_log(level, line, strlen(line)); }

/* ---- The contract, as the canonical ABI of the component model lays it out. ---- */

typedef struct {
    const void *ptr;
    size_t len;
} ms_list;

typedef struct {
    ms_list name, data_type;
} ms_abi_parameter;

/* Of an error, or of one list. */
typedef struct {
    uint8_t is_error;
    ms_list value;
} ms_abi_result;

static inline ms_list ms_list_of(const char *text) { return (ms_list){text, strlen(text)}; }

/* Memory for what the host hands in: the plugin frees it. */
__attribute__((export_name("cabi_realloc")))
void *ms_realloc(void *old, size_t old_len, size_t align, size_t len) {
    (void)old_len;
    if (len == 0) return (void *)align;
    void *memory = realloc(old, len);
    if (memory == NULL) abort();
    return memory;
}

static inline void ms_free(ms_text text) {
    if (text.len != 0) free((void *)text.ptr);
}

/* The text of an error, until the next. */
static inline const char *ms_kept_error(ms_text text) {
    static char error[512];
    size_t len = text.len < sizeof error ? text.len : sizeof error - 1;
    memcpy(error, text.ptr, len);
    error[len] = 0;
    ms_free(text);
    return error;
}

static inline ms_list ms_declare(ms_abi_parameter *into, const ms_parameter *columns, size_t count) {
    for (size_t i = 0; i < count; i++)
        into[i] = (ms_abi_parameter){ms_list_of(columns[i].name), ms_list_of(columns[i].data_type)};
    return (ms_list){into, count};
}

/* An error, or what there is without one. */
static inline ms_abi_result *ms_answered(const char *error, ms_list value) {
    static ms_abi_result answer;
    answer = (ms_abi_result){error != NULL, error == NULL ? value : ms_list_of(error)};
    return &answer;
}

#define MS_NOT_A_BATCH "the message is no batch of the declared columns"
#define MS_COUNT(array) (sizeof(array) / sizeof(*(array)))
#define MS_EXPORT(interface, name) __attribute__((export_name("millstream:plugin/" interface "@0.2.0#" name)))

/* The export `open` of kinds that answer with nothing. */
#define MS_OPEN(interface, open_)                                                                                              \
    MS_EXPORT(interface, "open")                                                                                               \
    ms_abi_result *ms_open(void *schema, size_t schema_len, char *config, size_t config_len) {                                 \
        if (schema_len != 0) free(schema);                                                                                     \
        return ms_answered(open_((ms_text){config, config_len}), (ms_list){NULL, 0});                                          \
    }

/* Exports a filter as this plugin.
 *   name        what it calls itself
 *   parameters  an array of ms_parameter
 *   open        const char *open(ms_text config): an error, or NULL; called once, before the first batch
 *   filter      const char *filter(const ms_batch *batch, uint8_t *bitmap): an error about the rows, or NULL; ms_keep
 *               selects a row
 * Errors are texts that live on. An instance sees any share of the batches: the answer depends on the batch and the
 * configuration alone. */
#define MILLSTREAM_FILTER(name_, parameters_, open_, filter_)                                                                  \
    MS_EXPORT("batch-filter", "describe") void *ms_describe(void) {                                                            \
        static ms_abi_parameter declared[MS_COUNT(parameters_)];                                                               \
        static struct { ms_list name, parameters; uint8_t is_volatile; ms_list capabilities; } description;                    \
        description.name = ms_list_of(name_);                                                                                  \
        description.parameters = ms_declare(declared, parameters_, MS_COUNT(parameters_));                                     \
        return &description;                                                                                                   \
    }                                                                                                                          \
    MS_OPEN("batch-filter", open_)                                                                                             \
    MS_EXPORT("batch-filter", "filter") ms_abi_result *ms_filter(uint8_t *message, size_t len) {                               \
        static ms_batch batch;                                                                                                 \
        static ms_bytes bitmap;                                                                                                \
        const char *error = MS_NOT_A_BATCH;                                                                                    \
        bitmap.len = 0;                                                                                                        \
        if (ms_read_batch((ms_buffer){message, len}, parameters_, MS_COUNT(parameters_), &batch))                              \
            error = filter_(&batch, ms_more(&bitmap, (batch.rows + 7) / 8));                                                   \
        free(message);                                                                                                         \
        return ms_answered(error, (ms_list){bitmap.ptr, bitmap.len});                                                          \
    }

/* Exports a function as this plugin.
 *   returns     the Arrow type of the answer, such as "Float64"
 *   call        const char *call(const ms_batch *batch, ms_builder *result): an error about the rows, or NULL; ms_push_...
 *               gives the result a value for each row
 * The rest is as with a filter. */
#define MILLSTREAM_FUNCTION(name_, parameters_, returns_, open_, call_)                                                        \
    MS_EXPORT("scalar-function", "describe") void *ms_describe(void) {                                                         \
        static ms_abi_parameter declared[MS_COUNT(parameters_)];                                                               \
        static struct { ms_list name, parameters, returns; uint8_t is_volatile; ms_list capabilities; } description;           \
        description.name = ms_list_of(name_);                                                                                  \
        description.parameters = ms_declare(declared, parameters_, MS_COUNT(parameters_));                                     \
        description.returns = ms_list_of(returns_);                                                                            \
        return &description;                                                                                                   \
    }                                                                                                                          \
    MS_OPEN("scalar-function", open_)                                                                                          \
    MS_EXPORT("scalar-function", "call") ms_abi_result *ms_call(uint8_t *message, size_t len) {                                \
        static ms_batch batch;                                                                                                 \
        static ms_builder result;                                                                                              \
        static ms_bytes answer;                                                                                                \
        const char *error = MS_NOT_A_BATCH;                                                                                    \
        ms_begin(&result, returns_);                                                                                           \
        if (ms_read_batch((ms_buffer){message, len}, parameters_, MS_COUNT(parameters_), &batch))                              \
            error = call_(&batch, &result);                                                                                    \
        free(message);                                                                                                         \
        ms_record_batch(&answer, &result, 1, result.rows);                                                                     \
        return ms_answered(error, (ms_list){answer.ptr, answer.len});                                                          \
    }

/* Rows that come out. */
typedef struct {
    ms_builder columns[MS_MAX_COLUMNS];
    ms_bytes from; /* a uint32_t for each */
} ms_rows;

/* Says which row of the batch the next row that comes out comes from; never a smaller one than before. */
static inline void ms_from(ms_rows *rows, size_t row) { ms_write(&rows->from, row, 4); }

static inline void ms_begin_rows(ms_rows *rows, const ms_parameter *columns, size_t count) {
    rows->from.len = 0;
    for (size_t i = 0; i < count; i++) ms_begin(&rows->columns[i], columns[i].data_type);
}

/* Exports a transform as this plugin.
 *   columns     an array of ms_parameter, 64 at most: the columns that come out
 *   transform   const char *transform(const ms_batch *batch, ms_rows *rows): an error about the rows, or NULL; for each row
 *               that comes out there is an ms_from and a push to each of rows->columns
 * What comes of a row depends on that row and the configuration alone. The rest is as with a filter. */
#define MILLSTREAM_TRANSFORM(name_, parameters_, columns_, open_, transform_)                                                  \
    _Static_assert(MS_COUNT(columns_) <= MS_MAX_COLUMNS, "too many columns");                                                  \
    MS_EXPORT("batch-transform", "describe") void *ms_describe(void) {                                                         \
        static ms_abi_parameter declared[MS_COUNT(parameters_)];                                                               \
        static struct { ms_list name, parameters, capabilities; } description;                                                 \
        description.name = ms_list_of(name_);                                                                                  \
        description.parameters = ms_declare(declared, parameters_, MS_COUNT(parameters_));                                     \
        return &description;                                                                                                   \
    }                                                                                                                          \
    MS_EXPORT("batch-transform", "open")                                                                                       \
    ms_abi_result *ms_open(void *schema, size_t schema_len, char *config, size_t config_len) {                                 \
        static ms_bytes given;                                                                                                 \
        if (schema_len != 0) free(schema);                                                                                     \
        ms_schema(&given, columns_, MS_COUNT(columns_));                                                                       \
        return ms_answered(open_((ms_text){config, config_len}), (ms_list){given.ptr, given.len});                             \
    }                                                                                                                          \
    MS_EXPORT("batch-transform", "transform") void *ms_transform(uint8_t *message, size_t len) {                               \
        static ms_batch batch;                                                                                                 \
        static ms_rows rows;                                                                                                   \
        static ms_bytes given;                                                                                                 \
        static struct { uint8_t is_error; ms_list batch, rows; } answer;                                                       \
        const char *error = MS_NOT_A_BATCH;                                                                                    \
        ms_begin_rows(&rows, columns_, MS_COUNT(columns_));                                                                    \
        if (ms_read_batch((ms_buffer){message, len}, parameters_, MS_COUNT(parameters_), &batch))                              \
            error = transform_(&batch, &rows);                                                                                 \
        free(message);                                                                                                         \
        ms_record_batch(&given, rows.columns, MS_COUNT(columns_), rows.from.len / 4);                                          \
        answer.is_error = error != NULL;                                                                                       \
        answer.batch = error == NULL ? (ms_list){given.ptr, given.len} : ms_list_of(error);                                    \
        answer.rows = (ms_list){rows.from.ptr, rows.from.len / 4};                                                             \
        return &answer;                                                                                                        \
    }

#endif
