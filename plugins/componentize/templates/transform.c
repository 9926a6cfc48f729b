/* What happened at which airport: each flight gives its departure at the one and its arrival at the other. One that was
 * cancelled, which has no departure delay, gives nothing. */
#include "millstream/millstream.h"

/* The columns that the plugin reads. Nothing else is sent to it. */
static const ms_parameter PARAMETERS[] = {{"origin", "Utf8"}, {"dest", "Utf8"}, {"dep_delay", "Float32"}};

/* The columns that come out. */
static const ms_parameter COLUMNS[] = {{"airport", "Utf8"}, {"event", "Utf8"}};

/* Called once in each instance, with the text of WITH (config = '…'). */
static const char *start(ms_text config) {
    (void)config;
    return NULL;
}

static void push(ms_rows *rows, size_t row, const ms_column *airport, ms_text event) {
    ms_from(rows, row); /* the row that it comes from */
    if (ms_is_valid(airport, row)) ms_push_text(&rows->columns[0], ms_utf8(airport, row));
    else ms_push_null(&rows->columns[0]);
    ms_push_text(&rows->columns[1], event);
}

/* Called with up to 65,536 rows at a time. */
static const char *events(const ms_batch *batch, ms_rows *rows) {
    for (size_t row = 0; row < batch->rows; row++) {
        if (!ms_is_valid(&batch->columns[2], row)) continue;
        push(rows, row, &batch->columns[0], (ms_text){"departure", 9});
        push(rows, row, &batch->columns[1], (ms_text){"arrival", 7});
    }
    return NULL;
}

MILLSTREAM_TRANSFORM("PLUGIN_NAME", PARAMETERS, COLUMNS, start, events)
