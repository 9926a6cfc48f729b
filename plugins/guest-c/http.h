/* Requests over HTTP, for consumers and checkback handlers: consumer.h and checkback.h include it. A plugin that sends requests has
 * "http" among the capabilities of its plugin.toml, and says once to which hosts, before its last line:
 *
 *     static const char *const HOSTS[] = {"hooks.example.com"};
 *     MILLSTREAM_HOSTS(HOSTS)
 *
 * A request is not part of what a call commits: a call that is made again, after a crash too, sends it again. Give the receiver a
 * key by which it knows a repeat; topic, partition and offset of a row stay the same. */
#ifndef MILLSTREAM_HTTP_H
#define MILLSTREAM_HTTP_H

#include "millstream.h"

static const char *const *ms_hosts;
static size_t ms_host_count;

#define MILLSTREAM_HOSTS(hosts_)                                                                                               \
    static const char *const *ms_hosts = hosts_;                                                                               \
    static size_t ms_host_count = MS_COUNT(hosts_);

typedef struct {
    ms_text name, value;
} ms_header;

/* At most 64 headers and a body of 1 MiB. Redirections are not followed. */
typedef struct {
    const char *method;
    ms_text url;
    const ms_header *headers;
    size_t header_count;
    ms_text body;
    uint32_t timeout_ms; /* 0: as long as the call may take */
} ms_request;

/* Why nothing came back. What is unreachable or timed out may be there later. */
enum { MS_DENIED, MS_INVALID, MS_UNREACHABLE, MS_TIMED_OUT, MS_TOO_LARGE };

/* What came back, of any status; names of headers are in lower case. */
typedef struct {
    uint16_t status;
    ms_header *headers;
    size_t header_count;
    ms_text body;
    int failure; /* beside an error: which it is */
} ms_response;

__attribute__((import_module("millstream:plugin/http@0.2.0"), import_name("send")))
extern void ms_import_send(const char *method, size_t method_len, const char *url, size_t url_len, const ms_header *headers,
                           size_t header_count, const char *body, size_t body_len, uint32_t timeout_ms, void *answer);

typedef struct {
    uint8_t is_error;
    union {
        struct { uint16_t status; ms_list headers; ms_text body; } response;
        struct { uint8_t kind; ms_text text; } error;
    } of;
} ms_abi_response;

/* Sends a request and waits for the whole answer. Gives an error or NULL; what came back is to be freed with ms_free_response. */
static inline const char *ms_send(const ms_request *request, ms_response *response) {
    ms_abi_response answer = {0};
    *response = (ms_response){0};
    ms_import_send(request->method, strlen(request->method), request->url.ptr, request->url.len, request->headers,
                   request->header_count, request->body.ptr, request->body.len, request->timeout_ms, &answer);
    if (answer.is_error) {
        response->failure = answer.of.error.kind;
        if (response->failure == MS_TIMED_OUT) return "no answer in time";
        if (response->failure == MS_TOO_LARGE) return "the request or its answer is too large";
        return ms_kept_error(answer.of.error.text);
    }
    response->status = answer.of.response.status;
    response->headers = (ms_header *)answer.of.response.headers.ptr;
    response->header_count = answer.of.response.headers.len;
    response->body = answer.of.response.body;
    return NULL;
}

/* The first header of a name, in lower case; a null pointer where there is none. */
static inline ms_text ms_header_of(const ms_response *response, const char *name) {
    for (size_t i = 0; i < response->header_count; i++)
        if (ms_equal(response->headers[i].name, (ms_text){name, strlen(name)})) return response->headers[i].value;
    return (ms_text){NULL, 0};
}

static inline void ms_free_response(ms_response *response) {
    for (size_t i = 0; i < response->header_count; i++) {
        ms_free(response->headers[i].name);
        ms_free(response->headers[i].value);
    }
    if (response->header_count != 0) free(response->headers);
    ms_free(response->body);
    *response = (ms_response){0};
}

#endif
