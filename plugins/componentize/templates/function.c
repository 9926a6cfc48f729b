/* How fast a flight was over ground: miles an hour, from its distance in miles and its time in the air in minutes. With the
 * configuration 'km/h', in that. */
#include "millstream/millstream.h"

/* The columns that the plugin reads. Nothing else is sent to it. */
static const ms_parameter PARAMETERS[] = {{"distance", "Float64"}, {"air_time", "Float64"}};

static double factor = 60;

/* Called once in each instance, with the text of WITH (config = '…'). */
static const char *start(ms_text config) {
    if (config.len == 0) return NULL;
    if (!ms_equal(config, (ms_text){"km/h", 4})) return "the configuration is empty or 'km/h'";
    factor = 60 * 1.609344;
    return NULL;
}

/* Called with up to 65,536 rows at a time; the answer has a value for each, or null. */
static const char *speed(const ms_batch *batch, ms_builder *result) {
    const ms_column *distance = &batch->columns[0], *air_time = &batch->columns[1];
    const double *miles = distance->values, *minutes = air_time->values;
    for (size_t row = 0; row < batch->rows; row++) {
        if (ms_is_valid(distance, row) && ms_is_valid(air_time, row) && minutes[row] > 0)
            ms_push_float(result, miles[row] / minutes[row] * factor);
        else
            ms_push_null(result);
    }
    return NULL;
}

MILLSTREAM_FUNCTION("PLUGIN_NAME", PARAMETERS, "Float64", start, speed)
