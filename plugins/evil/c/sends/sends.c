/* Sends a request to the URL that its configuration is, and answers with an error that tells what came of it. */
#include "millstream/millstream.h"
#include "millstream/checkback.h"

static const ms_parameter PARAMETERS[] = {{"value", "Float64"}};

static const char *const HOSTS[] = {"*"};
MILLSTREAM_HOSTS(HOSTS)

static ms_text url;

static const char *start(ms_text config) {
    url = config; /* it is the plugin's own from here on */
    return NULL;
}

static ms_bytes told;

static void tell(ms_text text) { memcpy(ms_more(&told, text.len), text.ptr, text.len); }

static void tell_word(const char *word) { tell((ms_text){word, strlen(word)}); }

static void tell_number(int number) {
    const char digits[] = {(char)('0' + number / 100 % 10), (char)('0' + number / 10 % 10), (char)('0' + number % 10)};
    tell((ms_text){digits, sizeof digits});
}

static const char *ask(const ms_batch *batch, uint8_t *verdicts) {
    static const ms_header headers[] = {{{"x-first", 7}, {"1", 1}}, {{"x-second", 8}, {"", 0}}};
    const ms_request request = {"PUT", url, headers, MS_COUNT(headers), {"half", 4}, 5000};
    ms_response response;
    (void)batch, (void)verdicts;
    const char *error = ms_send(&request, &response);
    told.len = 0;
    tell_word(error == NULL ? "status " : "failure ");
    tell_number(error == NULL ? response.status : response.failure);
    tell_word(error == NULL ? ", x-mark " : ", ");
    if (error != NULL) tell_word(error);
    else tell(ms_header_of(&response, "x-mark"));
    if (ms_header_of(&response, "x-none").ptr != NULL) tell_word(", x-none");
    tell_word("; ");
    tell(response.body);
    ms_more(&told, 1);
    ms_free_response(&response);
    return (const char *)told.ptr;
}

MILLSTREAM_CHECKBACK("sends", PARAMETERS, start, ask)
