/* A checkback handler: orders of seats, decided on by the table of flights. The `keys` of a half message name a flight, such as
 * `UA 1545`. The order stands if the flight has left, and is dropped if it was cancelled, or if the keys name no flight. Of a
 * flight that is not in the table nothing is known yet: after so many checks the order is dropped.
 *
 * The configuration is that number of checks; 15 if it is empty. */
#include <ctype.h>
#include <errno.h>

#include "millstream/millstream.h"
#include "millstream/checkback.h"

static const ms_parameter PARAMETERS[] = {{"keys", "Utf8"}, {"_checks", "Int32"}};

static const ms_parameter KEY[] = {{"carrier", "Utf8"}, {"flight", "Int32"}};
static const ms_parameter COLUMNS[] = {{"dep_delay", "Float32"}};
static const ms_lookup LOOKUPS[] = {MS_LOOKUP("flights", KEY, COLUMNS)};
MILLSTREAM_LOOKUPS(LOOKUPS)

static int32_t checks = 15;

/* A number and nothing else. */
static bool number_of(ms_text text, int32_t *number) {
    char digits[16] = {0}, *end = digits;
    if (text.len == 0 || text.len >= sizeof digits) return false;
    memcpy(digits, text.ptr, text.len);
    errno = 0;
    long value = strtol(digits, &end, 10);
    *number = (int32_t)value;
    return errno == 0 && end == digits + text.len && !isspace((unsigned char)digits[0]);
}

static const char *start(ms_text config) {
    if (config.len == 0 || number_of(config, &checks)) return NULL;
    return "the configuration is not a number of checks";
}

/* Carrier and number. */
static bool flight_of(ms_text keys, ms_text *carrier, int32_t *number) {
    const char *space = keys.len == 0 ? NULL : memchr(keys.ptr, ' ', keys.len);
    if (space == NULL) return false;
    *carrier = (ms_text){keys.ptr, (size_t)(space - keys.ptr)};
    return number_of((ms_text){space + 1, keys.len - carrier->len - 1}, number);
}

static const char *check(const ms_batch *batch, uint8_t *verdicts) {
    const ms_column *keys = &batch->columns[0], *asked = &batch->columns[1];
    const int32_t *before = asked->values;
    static ms_builder flights[MS_COUNT(KEY)];
    static ms_found found;
    ms_begin_keys(flights, &LOOKUPS[0]);
    for (size_t row = 0; row < batch->rows; row++) {
        ms_text carrier;
        int32_t number;
        if (flight_of(ms_utf8(keys, row), &carrier, &number)) {
            ms_push_text(&flights[0], carrier);
            ms_push_int(&flights[1], number);
        } else {
            verdicts[row] = MS_ROLLBACK;
            ms_push_null(&flights[0]);
            ms_push_null(&flights[1]);
        }
    }
    const char *error = ms_find(&LOOKUPS[0], flights, &found);
    if (found.unavailable) {
        /* However often these were asked about: nothing was seen this time. */
        ms_log(MS_WARNING, error);
        memset(verdicts, MS_UNKNOWN, batch->rows);
        return NULL;
    }
    if (error != NULL) return error;
    for (size_t row = 0; row < batch->rows; row++) {
        size_t flight;
        if (ms_row_of(&found, row, &flight)) {
            verdicts[row] = ms_is_valid(&found.batch.columns[0], flight) ? MS_COMMIT : MS_ROLLBACK;
        } else if ((ms_is_valid(asked, row) ? before[row] : 0) >= checks) {
            verdicts[row] = MS_ROLLBACK;
        }
    }
    ms_free_found(&found);
    return NULL;
}

MILLSTREAM_CHECKBACK("seat-orders", PARAMETERS, start, check)
