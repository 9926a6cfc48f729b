/* Counts late departures by airport: those that are late by more than an hour, or by as many minutes as the configuration
 * says. Each late departure gives how many there have been so far. State belongs to a partition: the topic's table is to be
 * partitioned by `origin`, so that all flights of an airport come to the same one. */
#include "millstream/millstream.h"
#include "millstream/consumer.h"

/* The columns that the plugin reads. Nothing else is sent to it. */
static const ms_parameter PARAMETERS[] = {{"origin", "Utf8"}, {"dep_delay", "Float32"}};

/* What it writes. CREATE CONSUMER … WITH (output.late = '…') says into which table. */
static const ms_parameter COLUMNS[] = {{"origin", "Utf8"}, {"departures", "Int64"}};
static const ms_output OUTPUTS[] = {MS_OUTPUT("late", COLUMNS)};

static float minutes = 60;

/* Called once in each instance, with the text of WITH (config = '…'). */
static const char *start(ms_text config) {
    char text[32] = {0}, *end = text;
    if (config.len == 0) return NULL;
    if (config.len >= sizeof text) return "the configuration is too long for a number of minutes";
    memcpy(text, config.ptr, config.len);
    minutes = strtof(text, &end);
    return *end == 0 ? NULL : "the configuration is not a number of minutes";
}

/* One more of an airport: how many there are now. */
static const char *one_more(ms_text origin, int64_t *count) {
    ms_text kept;
    const char *error = ms_state_get(origin, &kept);
    if (error != NULL) return error;
    if (kept.ptr != NULL && kept.len != sizeof *count) return "the state is not of this plugin";
    *count = 0;
    if (kept.ptr != NULL) memcpy(count, kept.ptr, sizeof *count);
    ms_free(kept);
    *count += 1;
    return ms_state_put(origin, (ms_text){(const char *)count, sizeof *count});
}

/* Called with rows of one partition, in order. What the answer gives, what is put into state and the offset of the input are
 * committed together, or not at all. */
static const char *count_late(const ms_batch *batch, const ms_position *position, ms_answer *answer) {
    const ms_column *origin = &batch->columns[0], *delay = &batch->columns[1];
    const float *late_by = delay->values;
    ms_builder *late = answer->outputs[0].columns;
    (void)position;
    for (size_t row = 0; row < batch->rows; row++) {
        if (!ms_is_valid(origin, row)) {
            ms_give_up(answer, row, "it has no airport");
            continue;
        }
        if (!ms_is_valid(delay, row) || late_by[row] <= minutes) continue;
        int64_t count;
        const char *error = one_more(ms_utf8(origin, row), &count);
        if (error != NULL) return error;
        ms_push_text(&late[0], ms_utf8(origin, row));
        ms_push_int(&late[1], count);
    }
    return NULL;
}

MILLSTREAM_CONSUMER("PLUGIN_NAME", PARAMETERS, OUTPUTS, start, count_late)
