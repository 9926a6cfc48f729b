/* What consumers and checkback handlers ask the operator for. */
#ifndef MILLSTREAM_CAPABILITIES_H
#define MILLSTREAM_CAPABILITIES_H

#include "http.h"
#include "tables.h"

/* As the contract lays a capability out: the widest is that of a table, with its name, key and columns. */
typedef struct {
    uint8_t kind;
    ms_list of[3];
} ms_abi_capability;

enum { MS_CAPABILITY_STATE = 2, MS_CAPABILITY_TABLE = 3, MS_CAPABILITY_HTTP = 4 };

static inline ms_list ms_declare_anew(const ms_parameter *columns, size_t count) {
    return ms_declare(ms_realloc(NULL, 0, 4, count * sizeof(ms_abi_parameter)), columns, count);
}

/* What the plugin asks for: state, if it is a consumer, its tables, and the hosts that it sends requests to. */
static inline ms_list ms_asked(bool state) {
    static ms_bytes asked;
    asked.len = 0;
    ms_abi_capability capability = {MS_CAPABILITY_STATE, {{NULL, 0}, {NULL, 0}, {NULL, 0}}};
    if (state) memcpy(ms_more(&asked, sizeof capability), &capability, sizeof capability);
    for (size_t i = 0; i < ms_lookup_count; i++) {
        const ms_lookup *lookup = &ms_lookups[i];
        capability.kind = MS_CAPABILITY_TABLE;
        capability.of[0] = ms_list_of(lookup->name);
        capability.of[1] = ms_declare_anew(lookup->key, lookup->key_count);
        capability.of[2] = ms_declare_anew(lookup->columns, lookup->count);
        memcpy(ms_more(&asked, sizeof capability), &capability, sizeof capability);
    }
    capability.kind = MS_CAPABILITY_HTTP;
    for (size_t i = 0; i < ms_host_count; i++) {
        capability.of[0] = ms_list_of(ms_hosts[i]);
        memcpy(ms_more(&asked, sizeof capability), &capability, sizeof capability);
    }
    return (ms_list){asked.ptr, asked.len / sizeof capability};
}

#endif
