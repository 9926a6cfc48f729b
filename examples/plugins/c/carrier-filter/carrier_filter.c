/* Keeps departures of one carrier that are more than an hour late. The carrier is the configuration. */
#include "millstream/millstream.h"

static const ms_parameter PARAMETERS[] = {{"carrier", "Utf8"}, {"dep_delay", "Float32"}};

static ms_text wanted;

static const char *start(ms_text config) {
    if (config.len == 0) return "the configuration must name a carrier, such as 'UA'";
    wanted = config; /* it is the plugin's own from here on */
    return NULL;
}

static const char *keep_late(const ms_batch *batch, uint8_t *bitmap) {
    const ms_column *carrier = &batch->columns[0], *delay = &batch->columns[1];
    const float *minutes = delay->values;
    for (size_t row = 0; row < batch->rows; row++) {
        if (minutes[row] > 60 && ms_is_valid(delay, row) && ms_equal(ms_utf8(carrier, row), wanted)) ms_keep(bitmap, row);
    }
    return NULL;
}

MILLSTREAM_FILTER("carrier-filter", PARAMETERS, start, keep_late)
