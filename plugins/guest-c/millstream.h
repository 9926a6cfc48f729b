/* Write Millstream filters in C. Include it in one source file, and end that file with MILLSTREAM_FILTER(...).
 *
 * `millstream plugin build` puts this file into a project, compiles it with clang for wasm32, and adds the contract. What is
 * here is the whole of the binding: the exports of `millstream:plugin/batch-filter@0.2.0` as the component model's canonical
 * ABI lays them out, and a reader of the Arrow messages that come in. Nothing of a message is copied.
 *
 * There is no standard output and there are no files: ms_log writes a line for the operator. */
#ifndef MILLSTREAM_H
#define MILLSTREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* A text that need not end with a zero. */
typedef struct {
    const char *ptr;
    size_t len;
} ms_text;

/* A column that the plugin reads: its name, and an Arrow type such as "Float32", "Utf8" or "Timestamp(ms, \"UTC\")". */
typedef struct {
    const char *name;
    const char *data_type;
} ms_parameter;

/* A column of a batch. Use ms_is_valid and ms_utf8, or values directly: an array of float, int64_t, ... of the declared type
 * with a value for each row, null or not. For Utf8 and Binary it is the array of int32_t offsets, one more than rows, into
 * data; for Boolean it is one bit a row, lowest first. */
typedef struct {
    const uint8_t *validity; /* one bit a row, lowest first; a null pointer where no row is null */
    const void *values;
    const uint8_t *data;
    size_t data_len;
} ms_column;

#define MS_MAX_COLUMNS 64

/* Columns in the order of the parameters. */
typedef struct {
    size_t rows;
    ms_column columns[MS_MAX_COLUMNS];
} ms_batch;

static inline bool ms_bit(const uint8_t *bits, size_t row) { return bits[row / 8] >> (row % 8) & 1; }

static inline bool ms_is_valid(const ms_column *column, size_t row) {
    return column->validity == NULL || ms_bit(column->validity, row);
}

/* The text or the bytes of a row; of length 0 where it is null. */
static inline ms_text ms_utf8(const ms_column *column, size_t row) {
    const int32_t *offsets = column->values;
    int32_t from = offsets[row], to = offsets[row + 1];
    if (!ms_is_valid(column, row) || from < 0 || to < from || (size_t)to > column->data_len) return (ms_text){"", 0};
    return (ms_text){(const char *)column->data + from, (size_t)(to - from)};
}

static inline bool ms_equal(ms_text a, ms_text b) { return a.len == b.len && memcmp(a.ptr, b.ptr, a.len) == 0; }

/* Selects a row of the answer, which begins with no row selected. */
static inline void ms_keep(uint8_t *bitmap, size_t row) { bitmap[row / 8] |= (uint8_t)(1u << (row % 8)); }

enum { MS_ERROR, MS_WARNING, MS_INFO, MS_DEBUG };

__attribute__((import_module("millstream:plugin/logging@0.2.0"), import_name("log")))
extern void ms_import_log(int32_t level, const char *line, size_t len);

static inline void ms_log(int level, const char *line) { ms_import_log(level, line, strlen(line)); }

/* ---- Arrow's metadata: as much of FlatBuffers as it needs. A position of 0 stands for what is not there. ---- */

typedef struct {
    const uint8_t *bytes;
    size_t len;
} ms_buffer;

static inline uint64_t ms_read(ms_buffer b, size_t at, size_t width) {
    uint64_t value = 0;
    if (at <= b.len && width <= b.len - at) memcpy(&value, b.bytes + at, width);
    return value;
}

/* The position of a table's field. */
static inline size_t ms_field(ms_buffer b, size_t table, size_t slot) {
    size_t vtable = table - (size_t)(int32_t)ms_read(b, table, 4);
    if (4 + 2 * slot + 2 > ms_read(b, vtable, 2)) return 0;
    size_t distance = ms_read(b, vtable + 4 + 2 * slot, 2);
    return distance == 0 ? 0 : table + distance;
}

/* What the offset at a position points to. */
static inline size_t ms_follow(ms_buffer b, size_t at) { return at == 0 ? 0 : at + ms_read(b, at, 4); }

static inline bool ms_has_offsets(const char *type) { return strcmp(type, "Utf8") == 0 || strcmp(type, "Binary") == 0; }

/* The bytes that `rows` values of a type take. */
static inline size_t ms_size(const char *type, size_t rows) {
    static const struct { const char *prefix; size_t width; } widths[] = {
        {"Int8", 1}, {"UInt8", 1}, {"Int16", 2}, {"UInt16", 2}, {"Int32", 4}, {"UInt32", 4}, {"Int64", 8}, {"UInt64", 8},
        {"Float32", 4}, {"Float64", 8}, {"Date32", 4}, {"Timestamp", 8}, {"Decimal128", 16},
    };
    if (ms_has_offsets(type)) return 4 * (rows + 1);
    for (size_t i = 0; i < sizeof widths / sizeof *widths; i++)
        if (strncmp(type, widths[i].prefix, strlen(widths[i].prefix)) == 0) return widths[i].width * rows;
    return (rows + 7) / 8;
}

/* Reads an encapsulated record-batch message; false where it is not one of these columns. */
static inline bool ms_read_batch(ms_buffer message, const ms_parameter *parameters, size_t count, ms_batch *batch) {
    if (ms_read(message, 0, 4) != 0xffffffff || count > MS_MAX_COLUMNS) return false;
    size_t length = ms_read(message, 4, 4);
    if (length > message.len - 8) return false;
    ms_buffer meta = {message.bytes + 8, length}, body = {meta.bytes + length, message.len - 8 - length};
    size_t table = ms_read(meta, 0, 4), header = ms_follow(meta, ms_field(meta, table, 2));
    if (ms_read(meta, ms_field(meta, table, 1), 1) != 3 || header == 0) return false;
    batch->rows = ms_read(meta, ms_field(meta, header, 0), 8);
    size_t nodes = ms_follow(meta, ms_field(meta, header, 1)), buffers = ms_follow(meta, ms_field(meta, header, 2));
    size_t places = ms_read(meta, buffers, 4), place = 0;
    if (ms_read(meta, nodes, 4) != count) return false;
    for (size_t i = 0; i < count; i++) {
        ms_column *column = &batch->columns[i];
        bool has_offsets = ms_has_offsets(parameters[i].data_type);
        ms_buffer parts[3] = {{0, 0}, {0, 0}, {0, 0}};
        for (size_t part = 0; part < (has_offsets ? 3u : 2u); part++, place++) {
            size_t at = ms_read(meta, buffers + 4 + 16 * place, 8), len = ms_read(meta, buffers + 12 + 16 * place, 8);
            if (place >= places || at > body.len || len > body.len - at) return false;
            parts[part] = (ms_buffer){body.bytes + at, len};
        }
        bool has_nulls = ms_read(meta, nodes + 4 + 16 * i + 8, 8) != 0;
        if (has_nulls && parts[0].len < (batch->rows + 7) / 8) return false;
        if (batch->rows != 0 && parts[1].len < ms_size(parameters[i].data_type, batch->rows)) return false;
        *column = (ms_column){has_nulls ? parts[0].bytes : NULL, parts[1].bytes, parts[2].bytes, parts[2].len};
    }
    return true;
}

/* ---- The contract, as the canonical ABI of the component model lays it out. ---- */

typedef struct {
    const void *ptr;
    size_t len;
} ms_list;

typedef struct {
    ms_list name, data_type;
} ms_abi_parameter;

typedef struct {
    ms_list name, parameters;
    uint8_t volatility; /* 0: immutable, 1: volatile */
    ms_list capabilities;
} ms_abi_description;

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

#define MS_BATCH_FILTER "millstream:plugin/batch-filter@0.2.0#"

/* Exports a filter as this plugin.
 *   name        what it calls itself
 *   parameters  an array of ms_parameter
 *   open        const char *open(ms_text config): an error, or NULL; called once, before the first batch
 *   filter      const char *filter(const ms_batch *batch, uint8_t *bitmap): an error about the rows, or NULL; ms_keep
 *               selects a row
 * Errors are texts that live on. An instance sees any share of the batches: the answer depends on the batch and the
 * configuration alone. */
#define MILLSTREAM_FILTER(name_, parameters_, open_, filter_)                                                                  \
    enum { MS_COUNT = sizeof(parameters_) / sizeof(*(parameters_)) };                                                          \
    __attribute__((export_name(MS_BATCH_FILTER "describe"))) ms_abi_description *ms_describe(void) {                           \
        static ms_abi_parameter declared[MS_COUNT];                                                                            \
        static ms_abi_description description;                                                                                 \
        for (size_t i = 0; i < MS_COUNT; i++)                                                                                  \
            declared[i] = (ms_abi_parameter){ms_list_of((parameters_)[i].name), ms_list_of((parameters_)[i].data_type)};       \
        description = (ms_abi_description){ms_list_of(name_), {declared, MS_COUNT}, 0, {NULL, 0}};                             \
        return &description;                                                                                                   \
    }                                                                                                                          \
    __attribute__((export_name(MS_BATCH_FILTER "open")))                                                                       \
    ms_abi_result *ms_open(void *schema, size_t schema_len, char *config, size_t config_len) {                                 \
        static ms_abi_result answer;                                                                                           \
        const char *error = open_((ms_text){config, config_len});                                                              \
        if (schema_len != 0) free(schema);                                                                                     \
        answer = (ms_abi_result){error != NULL, error == NULL ? (ms_list){NULL, 0} : ms_list_of(error)};                       \
        return &answer;                                                                                                        \
    }                                                                                                                          \
    __attribute__((export_name(MS_BATCH_FILTER "filter"))) ms_abi_result *ms_filter(uint8_t *message, size_t len) {            \
        static ms_abi_result answer;                                                                                           \
        static ms_batch batch;                                                                                                 \
        static uint8_t *bitmap;                                                                                                \
        const char *error = "the message is no batch of the declared columns";                                                 \
        size_t bytes = 0;                                                                                                      \
        if (ms_read_batch((ms_buffer){message, len}, (parameters_), MS_COUNT, &batch)) {                                       \
            bytes = (batch.rows + 7) / 8;                                                                                      \
            bitmap = ms_realloc(bitmap, 0, 1, bytes + 1);                                                                      \
            memset(bitmap, 0, bytes);                                                                                          \
            error = filter_(&batch, bitmap);                                                                                   \
        }                                                                                                                      \
        free(message);                                                                                                         \
        answer = (ms_abi_result){error != NULL, error == NULL ? (ms_list){bitmap, bytes} : ms_list_of(error)};                 \
        return &answer;                                                                                                        \
    }

#endif
