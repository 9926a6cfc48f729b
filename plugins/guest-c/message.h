/* What goes out: Arrow's messages of columns, and of their schema. A column is filled row by row with ms_push_... */
#ifndef MILLSTREAM_MESSAGE_H
#define MILLSTREAM_MESSAGE_H

#include "batch.h"

/* Bytes that grow. Their memory is used again. */
typedef struct {
    uint8_t *ptr;
    size_t len, room;
} ms_bytes;

/* So many zeros more, and where they lie until the next of them. */
static inline uint8_t *ms_more(ms_bytes *bytes, size_t len) {
    if (len > bytes->room - bytes->len) {
        size_t room = (bytes->len + len) * 2;
        uint8_t *ptr = realloc(bytes->ptr, room);
        if (ptr == NULL) abort();
        *bytes = (ms_bytes){ptr, bytes->len, room};
    }
    uint8_t *at = bytes->ptr + bytes->len;
    memset(at, 0, len);
    bytes->len += len;
    return at;
}

static inline void ms_write(ms_bytes *bytes, uint64_t value, size_t width) { memcpy(ms_more(bytes, width), &value, width); }

/* So that what comes `behind` bytes from here lies at a multiple of `to`. */
static inline void ms_align(ms_bytes *bytes, size_t to, size_t behind) {
    ms_more(bytes, (to - (bytes->len + behind) % to) % to);
}

/* ---- Columns. ---- */

/* A column that goes back. The plugin's own begin empty; ms_begin empties one. */
typedef struct {
    const char *data_type;
    size_t rows, nulls;
    ms_bytes validity, values, data;
} ms_builder;

static inline void ms_begin(ms_builder *column, const char *data_type) {
    column->data_type = data_type;
    column->rows = column->nulls = column->validity.len = column->values.len = column->data.len = 0;
    if (ms_has_offsets(data_type)) ms_write(&column->values, 0, 4);
}

static inline bool ms_is(const ms_builder *column, const char *prefix) {
    return strncmp(column->data_type, prefix, strlen(prefix)) == 0;
}

/* A row with a value of `width` bytes, or without one. */
static inline void ms_push(ms_builder *column, bool valid, const void *value, size_t width) {
    if (column->rows % 8 == 0) ms_more(&column->validity, 1);
    if (valid) ms_keep(column->validity.ptr, column->rows);
    else column->nulls++;
    if (ms_is(column, "Boolean")) {
        if (column->rows % 8 == 0) ms_more(&column->values, 1);
        if (valid && *(const uint8_t *)value != 0) ms_keep(column->values.ptr, column->rows);
    } else if (valid) {
        memcpy(ms_more(&column->values, width), value, width);
    } else {
        ms_more(&column->values, width);
    }
    column->rows++;
}

/* The text or the bytes of a row of Utf8 or Binary. */
static inline void ms_push_text(ms_builder *column, ms_text text) {
    if (!ms_has_offsets(column->data_type)) abort();
    memcpy(ms_more(&column->data, text.len), text.ptr, text.len);
    int32_t end = (int32_t)column->data.len;
    ms_push(column, true, &end, sizeof end);
}

static inline void ms_push_null(ms_builder *column) {
    int32_t end = (int32_t)column->data.len;
    if (!ms_has_offsets(column->data_type)) {
        ms_push(column, false, NULL, ms_size(column->data_type, 1));
        return;
    }
    ms_push(column, false, NULL, 0);
    ms_write(&column->values, (uint32_t)end, 4);
}

/* Of integers, dates, timestamps and, as 0 and 1, Boolean. */
static inline void ms_push_int(ms_builder *column, int64_t value) {
    if (ms_has_offsets(column->data_type) || ms_is(column, "Float")) abort();
    ms_push(column, true, &value, ms_size(column->data_type, 1));
}

/* Of Float32 and Float64. */
static inline void ms_push_float(ms_builder *column, double value) {
    float narrow = (float)value;
    if (ms_is(column, "Float32")) ms_push(column, true, &narrow, sizeof narrow);
    else if (ms_is(column, "Float64")) ms_push(column, true, &value, sizeof value);
    else abort();
}

/* ---- Messages: FlatBuffers that are written from front to back, so that what an offset points to comes after it. ---- */

/* The body of a message and every buffer in it begin at multiples of this, so that the host need not copy them again. */
#define MS_ALIGNMENT 64

/* A field of a table; one of width 0 is not there. */
typedef struct {
    size_t width;
    int64_t value;
} ms_slot;

static inline void ms_link(ms_bytes *message, size_t at, size_t target) {
    uint32_t distance = (uint32_t)(target - at);
    memcpy(message->ptr + at, &distance, sizeof distance);
}

/* A table that the offset at `at` points to; `places` gets where its fields lie. */
static inline void ms_table(ms_bytes *message, size_t at, const ms_slot *slots, size_t count, size_t *places) {
    size_t length = 4 + 2 * count, end = 4;
    ms_align(message, 8, length);
    for (size_t i = 0; i < count; i++) {
        if (slots[i].width != 0) end = (end + slots[i].width - 1) / slots[i].width * slots[i].width;
        places[i] = slots[i].width == 0 ? 0 : end;
        end += slots[i].width;
    }
    ms_write(message, length, 2);
    ms_write(message, end, 2);
    for (size_t i = 0; i < count; i++) ms_write(message, places[i], 2);
    size_t table = message->len;
    ms_link(message, at, table);
    ms_write(message, length, 4);
    ms_more(message, end - 4);
    for (size_t i = 0; i < count; i++) {
        memcpy(message->ptr + table + places[i], &slots[i].value, slots[i].width);
        places[i] += table;
    }
}

/* Begins a message; gives where the offset to its header lies. */
static inline size_t ms_message(ms_bytes *message, uint8_t kind, size_t body) {
    size_t places[4];
    message->len = 0;
    ms_write(message, 0xffffffff, 4);
    ms_write(message, 0, 8); /* the length of the metadata, and the offset to its table */
    ms_table(message, 8, (const ms_slot[]){{2, 4}, {1, kind}, {4, 0}, {8, (int64_t)body}}, 4, places);
    return places[2];
}

/* Ends the metadata. */
static inline void ms_framed(ms_bytes *message) {
    ms_align(message, MS_ALIGNMENT, 0);
    uint32_t length = (uint32_t)(message->len - 8);
    memcpy(message->ptr + 4, &length, sizeof length);
}

static inline size_t ms_padded(size_t len) { return (len + MS_ALIGNMENT - 1) / MS_ALIGNMENT * MS_ALIGNMENT; }

/* The buffers of a column; how many there are. */
static inline size_t ms_buffers(const ms_builder *column, ms_bytes parts[3]) {
    parts[0] = column->nulls == 0 ? (ms_bytes){NULL, 0, 0} : column->validity;
    parts[1] = column->values;
    parts[2] = column->data;
    return ms_has_offsets(column->data_type) ? 3 : 2;
}

static inline void ms_list_at(ms_bytes *message, size_t at, size_t count) {
    ms_align(message, 8, 4);
    ms_link(message, at, message->len);
    ms_write(message, count, 4);
}

/* The record-batch message of columns of `rows` rows. */
static inline void ms_record_batch(ms_bytes *message, const ms_builder *columns, size_t count, size_t rows) {
    ms_bytes parts[3];
    size_t body = 0, buffers = 0, places[3], at = 0;
    for (size_t i = 0; i < count; i++) {
        size_t found = ms_buffers(&columns[i], parts);
        for (size_t part = 0; part < found; part++) body += ms_padded(parts[part].len);
        buffers += found;
    }
    size_t header = ms_message(message, 3, body);
    ms_table(message, header, (const ms_slot[]){{8, (int64_t)rows}, {4, 0}, {4, 0}}, 3, places);
    ms_list_at(message, places[1], count);
    for (size_t i = 0; i < count; i++) {
        ms_write(message, columns[i].rows, 8);
        ms_write(message, columns[i].nulls, 8);
    }
    ms_list_at(message, places[2], buffers);
    for (size_t i = 0; i < count; i++) {
        size_t found = ms_buffers(&columns[i], parts);
        for (size_t part = 0; part < found; at += ms_padded(parts[part].len), part++) {
            ms_write(message, at, 8);
            ms_write(message, parts[part].len, 8);
        }
    }
    ms_framed(message);
    for (size_t i = 0; i < count; i++) {
        size_t found = ms_buffers(&columns[i], parts);
        for (size_t part = 0; part < found; part++) {
            memcpy(ms_more(message, ms_padded(parts[part].len)), parts[part].ptr, parts[part].len);
        }
    }
}

static inline void ms_text_at(ms_bytes *message, size_t at, const char *text) {
    size_t len = strlen(text);
    ms_align(message, 4, 0);
    ms_link(message, at, message->len);
    ms_write(message, len, 4);
    memcpy(ms_more(message, len + 1), text, len);
}

/* The number of a type's table in Arrow's `Type`; 0 for one that this helper does not write. Its fields go into `slots`. */
static inline uint8_t ms_type(const char *type, ms_slot slots[2], size_t *count) {
    const char *unit = type + strlen("Timestamp(");
    bool is_signed = type[0] != 'U';
    *count = 0;
    if (strncmp(type + !is_signed, "Int", 3) == 0) {
        *count = 2;
        slots[0] = (ms_slot){4, (int64_t)ms_size(type, 1) * 8};
        slots[1] = (ms_slot){1, is_signed};
        return 2;
    }
    if (strcmp(type, "Binary") == 0) return 4;
    if (strcmp(type, "Utf8") == 0) return 5;
    if (strcmp(type, "Boolean") == 0) return 6;
    *count = 1;
    slots[0] = (ms_slot){2, 0};
    if (strcmp(type, "Date32") == 0) return 8;
    slots[0].value = strcmp(type, "Float32") == 0 ? 1 : 2;
    if (strncmp(type, "Float", 5) == 0) return 3;
    if (strncmp(type, "Timestamp(", 10) != 0) return 0;
    slots[0].value = unit[0] == 's' ? 0 : unit[0] == 'm' ? 1 : unit[0] == 'n' ? 3 : 2;
    slots[1] = (ms_slot){4, 0};
    *count = strstr(type, "UTC") == NULL ? 1 : 2;
    return 10;
}

/* The schema message of columns, all of which may hold nulls. */
static inline void ms_schema(ms_bytes *message, const ms_parameter *columns, size_t count) {
    size_t places[4], of_schema[2], header = ms_message(message, 1, 0);
    ms_table(message, header, (const ms_slot[]){{0, 0}, {4, 0}}, 2, of_schema);
    ms_list_at(message, of_schema[1], count);
    size_t list = message->len;
    ms_more(message, 4 * count);
    for (size_t i = 0; i < count; i++) {
        ms_slot slots[2];
        size_t fields, of_type[2];
        uint8_t kind = ms_type(columns[i].data_type, slots, &fields);
        ms_table(message, list + 4 * i, (const ms_slot[]){{4, 0}, {1, 1}, {1, kind}, {4, 0}}, 4, places);
        ms_text_at(message, places[0], columns[i].name);
        ms_table(message, places[3], slots, fields, of_type);
        if (fields == 2 && kind == 10) ms_text_at(message, of_type[1], "UTC");
    }
    ms_framed(message);
}

#endif
