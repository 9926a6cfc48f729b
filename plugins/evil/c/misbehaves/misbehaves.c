/* Fails in the way that its configuration names: spin, error, trap, memory, recurse. */
#include "millstream/millstream.h"

static const ms_parameter PARAMETERS[] = {{"value", "Float64"}};

static ms_text what;

static const char *start(ms_text config) {
    what = config; /* it is the plugin's own from here on */
    return NULL;
}

static bool is(const char *word) { return ms_equal(what, (ms_text){word, strlen(word)}); }

static int deeper(volatile char *above) {
    volatile char frame[4096];
    frame[0] = *above;
    return deeper(frame) + frame[0];
}

static const char *misbehave(const ms_batch *batch, uint8_t *bitmap) {
    (void)batch;
    if (is("error")) return "these rows are not to my taste";
    if (is("spin")) for (volatile int i = 0;; i++);
    if (is("trap")) __builtin_trap();
    if (is("recurse")) bitmap[0] = (uint8_t)deeper((char *)bitmap);
    if (is("memory")) for (;;) *(volatile char *)ms_realloc(NULL, 0, 1, 1 << 20) = 1;
    return NULL;
}

MILLSTREAM_FILTER("misbehaves", PARAMETERS, start, misbehave)
