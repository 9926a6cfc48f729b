/* Keeps departures that are late: by more than an hour, or by as many minutes as the configuration says. */
#include "millstream/millstream.h"

/* The columns that the plugin reads. Nothing else is sent to it. */
static const ms_parameter PARAMETERS[] = {{"dep_delay", "Float32"}};

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

/* Called with up to 65,536 rows at a time. */
static const char *keep_late(const ms_batch *batch, uint8_t *bitmap) {
    const ms_column *delay = &batch->columns[0];
    const float *values = delay->values;
    for (size_t row = 0; row < batch->rows; row++)
        if (values[row] > minutes && ms_is_valid(delay, row)) ms_keep(bitmap, row);
    return NULL;
}

MILLSTREAM_FILTER("PLUGIN_NAME", PARAMETERS, start, keep_late)
