/* Checkback handlers in C: include it after millstream.h, and end the source file with MILLSTREAM_CHECKBACK(...). */
#ifndef MILLSTREAM_CHECKBACK_H
#define MILLSTREAM_CHECKBACK_H

#include "capabilities.h"
#include "millstream.h"

/* What becomes of a half message: it becomes visible, it is dropped, or it is asked about again later. */
enum { MS_COMMIT, MS_ROLLBACK, MS_UNKNOWN };

/* Exports a checkback handler as this plugin.
 *   check       const char *check(const ms_batch *batch, uint8_t *verdicts): an error, after which all rows are unknown, or NULL;
 *               each row has a verdict, which begins as MS_UNKNOWN
 * The rest is as with a filter, but that the answer may depend on tables and on what hosts say: see tables.h and http.h. */
#define MILLSTREAM_CHECKBACK(name_, parameters_, open_, check_)                                                                \
    MS_EXPORT("checkback", "describe") void *ms_describe(void) {                                                               \
        static ms_abi_parameter declared[MS_COUNT(parameters_)];                                                               \
        static struct { ms_list name, parameters, capabilities; } description;                                                 \
        description.name = ms_list_of(name_);                                                                                  \
        description.parameters = ms_declare(declared, parameters_, MS_COUNT(parameters_));                                     \
        description.capabilities = ms_asked(false);                                                                            \
        return &description;                                                                                                   \
    }                                                                                                                          \
    MS_OPEN("checkback", open_)                                                                                                \
    MS_EXPORT("checkback", "check") ms_abi_result *ms_check(uint8_t *message, size_t len) {                                    \
        static ms_batch batch;                                                                                                 \
        static ms_bytes verdicts;                                                                                              \
        const char *error = MS_NOT_A_BATCH;                                                                                    \
        verdicts.len = 0;                                                                                                      \
        if (ms_read_batch((ms_buffer){message, len}, parameters_, MS_COUNT(parameters_), &batch)) {                            \
            memset(ms_more(&verdicts, batch.rows), MS_UNKNOWN, batch.rows);                                                    \
            error = check_(&batch, verdicts.ptr);                                                                              \
        }                                                                                                                      \
        free(message);                                                                                                         \
        return ms_answered(error, (ms_list){verdicts.ptr, verdicts.len});                                                      \
    }

#endif
