/* What comes in: batches of columns, read from Arrow's messages. Nothing of a message is copied. */
#ifndef MILLSTREAM_BATCH_H
#define MILLSTREAM_BATCH_H

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

#endif
