/* Fails in the way that its configuration names: error, verdict, columns, lacking, keys, table, trap. */
#include "millstream/millstream.h"
#include "millstream/checkback.h"

static const ms_parameter PARAMETERS[] = {{"value", "Float64"}};

static const ms_parameter KEY[] = {{"carrier", "Utf8"}, {"flight", "Int32"}};
static const ms_parameter COLUMNS[] = {{"dep_delay", "Float32"}};
static const ms_lookup LOOKUPS[] = {MS_LOOKUP("flights", KEY, COLUMNS)};
MILLSTREAM_LOOKUPS(LOOKUPS)

/* What was not declared. */
static const ms_lookup HIDDEN = MS_LOOKUP("passengers", KEY, COLUMNS);
static const ms_lookup SWAPPED = {"flights", COLUMNS, 1, COLUMNS, 1};

static ms_text what;

static const char *start(ms_text config) {
    what = config; /* it is the plugin's own from here on */
    return NULL;
}

static bool is(const char *word) { return ms_equal(what, (ms_text){word, strlen(word)}); }

/* Looks `rows` keys up, the last of which lacks a column if it is to. */
static const char *look_up(const ms_lookup *lookup, size_t rows, bool lacks) {
    static ms_builder keys[MS_COUNT(KEY)];
    static ms_found found;
    ms_begin_keys(keys, lookup);
    for (size_t row = 0; row < rows; row++) {
        for (size_t i = 0; i < lookup->key_count - (lacks && row + 1 == rows ? 1 : 0); i++) ms_push_null(&keys[i]);
    }
    const char *error = ms_find(lookup, keys, &found);
    if (error == NULL) ms_free_found(&found);
    return error;
}

static const char *misjudge(const ms_batch *batch, uint8_t *verdicts) {
    if (is("error")) return "these rows are not to my taste";
    if (is("verdict")) memset(verdicts, 9, batch->rows);
    if (is("columns")) return look_up(&SWAPPED, 1, false);
    if (is("lacking")) return look_up(&LOOKUPS[0], 2, true);
    if (is("keys")) return look_up(&LOOKUPS[0], 70000, false);
    if (is("table")) return look_up(&HIDDEN, 1, false);
    if (is("trap")) __builtin_trap();
    return NULL;
}

MILLSTREAM_CHECKBACK("misjudges", PARAMETERS, start, misjudge)
