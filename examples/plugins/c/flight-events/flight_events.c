/* What happened at which airport: a flight gives its departure at the one and its arrival at the other; one that was
 * cancelled gives nothing. */
#include "millstream/millstream.h"

#define TIME "Timestamp(ms, \"UTC\")"

enum { TS, CARRIER, FLIGHT, ORIGIN, DEST, DEP_DELAY, AIR_TIME };

static const ms_parameter PARAMETERS[] = {
    {"ts", TIME},     {"carrier", "Utf8"},      {"flight", "Int32"},     {"origin", "Utf8"},
    {"dest", "Utf8"}, {"dep_delay", "Float32"}, {"air_time", "Float32"},
};

static const ms_parameter COLUMNS[] = {
    {"at", TIME}, {"airport", "Utf8"}, {"event", "Utf8"}, {"carrier", "Utf8"}, {"flight", "Int32"},
};

static const char *start(ms_text config) {
    (void)config;
    return NULL;
}

static void push_text(ms_builder *into, const ms_column *column, size_t row) {
    if (ms_is_valid(column, row)) ms_push_text(into, ms_utf8(column, row));
    else ms_push_null(into);
}

static void push(ms_rows *rows, const ms_batch *batch, size_t row, int64_t at, int airport, ms_text event) {
    const ms_column *flight = &batch->columns[FLIGHT];
    ms_from(rows, row);
    ms_push_int(&rows->columns[0], at);
    push_text(&rows->columns[1], &batch->columns[airport], row);
    ms_push_text(&rows->columns[2], event);
    push_text(&rows->columns[3], &batch->columns[CARRIER], row);
    if (ms_is_valid(flight, row)) ms_push_int(&rows->columns[4], ((const int32_t *)flight->values)[row]);
    else ms_push_null(&rows->columns[4]);
}

static const char *events(const ms_batch *batch, ms_rows *rows) {
    const ms_column *ts = &batch->columns[TS], *delay = &batch->columns[DEP_DELAY], *in_the_air = &batch->columns[AIR_TIME];
    for (size_t row = 0; row < batch->rows; row++) {
        if (!ms_is_valid(ts, row) || !ms_is_valid(delay, row)) continue;
        int64_t departed = ((const int64_t *)ts->values)[row] + (int64_t)((double)((const float *)delay->values)[row] * 60000);
        push(rows, batch, row, departed, ORIGIN, (ms_text){"departure", 9});
        if (!ms_is_valid(in_the_air, row)) continue;
        int64_t arrived = departed + (int64_t)((double)((const float *)in_the_air->values)[row] * 60000);
        push(rows, batch, row, arrived, DEST, (ms_text){"arrival", 7});
    }
    return NULL;
}

MILLSTREAM_TRANSFORM("flight-events", PARAMETERS, COLUMNS, start, events)
