/* SPDX-License-Identifier: MIT */
/*
 * One record of the kernel log, taken apart: "[    1.250000] init: warning: counter: ended: exit code 1". Pure.
 *
 * The kernel writes time and, of a program's record, who wrote it; nothing in a record can look like another. A
 * level is what its writer says: capos_log_warning and capos_log_error begin the text with it.
 */
#ifndef CAPOS_SHELL_LOG_RECORD_H
#define CAPOS_SHELL_LOG_RECORD_H

#include "apps/shell/parse.h"

enum log_level { LOG_INFO, LOG_WARNING, LOG_ERROR };

struct log_record {
    uint64_t time_us;
    enum log_level level;
    struct span text; /* behind the time */
};

/* False: it is none (a line that was cut). */
bool log_record_read(struct span line, struct log_record *out);

/* Was it written by this service, or does it tell of it: "counter: ...", "init: counter: ...",
 * "process counter (12) ..."? */
bool log_record_is_about(const struct log_record *record, struct span name);

/* info, warning, error. False: no such level. */
bool log_level_named(struct span word, enum log_level *out);

#endif
