/* Decides on orders whose producer is gone before it has said whether they stand. A half message's `keys` is the number of an
 * order, and the table of orders has its state: one that is paid stands, one that is cancelled does not. What the table says
 * nothing of is asked about again, 15 times or as often as the configuration says, and then dropped. */
#include "millstream/millstream.h"
#include "millstream/checkback.h"

/* The columns of the half messages that the plugin reads. `_checks` is how often a message was asked about before. */
static const ms_parameter PARAMETERS[] = {{"keys", "Utf8"}, {"_checks", "Int32"}};

/* A table that rows are looked up in. CREATE PLUGIN … WITH (table.orders = '…') says which one that is. */
static const ms_parameter KEY[] = {{"number", "Utf8"}};
static const ms_parameter COLUMNS[] = {{"state", "Utf8"}};
static const ms_lookup LOOKUPS[] = {MS_LOOKUP("orders", KEY, COLUMNS)};
MILLSTREAM_LOOKUPS(LOOKUPS)

static long checks = 15;

/* Called once in each instance, with the text of WITH (config = '…'). */
static const char *start(ms_text config) {
    char text[16] = {0}, *end = text;
    if (config.len == 0) return NULL;
    if (config.len >= sizeof text) return "the configuration is too long for a number of checks";
    memcpy(text, config.ptr, config.len);
    checks = strtol(text, &end, 10);
    return *end == 0 ? NULL : "the configuration is not a number of checks";
}

static bool is(ms_text state, const char *name) { return ms_equal(state, (ms_text){name, strlen(name)}); }

/* Gives each row a verdict. After an error, such as that the table can't be read now, all are unknown. */
static const char *check(const ms_batch *batch, uint8_t *verdicts) {
    const ms_column *keys = &batch->columns[0], *asked = &batch->columns[1];
    const int32_t *before = asked->values;
    static ms_builder numbers[MS_COUNT(KEY)];
    static ms_found found;
    ms_begin_keys(numbers, &LOOKUPS[0]);
    for (size_t row = 0; row < batch->rows; row++) {
        if (ms_is_valid(keys, row)) ms_push_text(&numbers[0], ms_utf8(keys, row));
        else ms_push_null(&numbers[0]);
    }
    const char *error = ms_find(&LOOKUPS[0], numbers, &found);
    if (error != NULL) return error;
    for (size_t row = 0; row < batch->rows; row++) {
        size_t order;
        ms_text state = ms_row_of(&found, row, &order) ? ms_utf8(&found.batch.columns[0], order) : (ms_text){"", 0};
        if (is(state, "paid")) verdicts[row] = MS_COMMIT;
        else if (is(state, "cancelled") || (ms_is_valid(asked, row) && before[row] >= checks)) verdicts[row] = MS_ROLLBACK;
    }
    ms_free_found(&found);
    return NULL;
}

MILLSTREAM_CHECKBACK("PLUGIN_NAME", PARAMETERS, start, check)
