/* SPDX-License-Identifier: MIT */
/*
 * Formatted output (lib/base/fmt.h says which formats). It goes to the grant `stdio` (ByteStream)
 * when the program has one, else to `log` (KernelLog), else nowhere. Lines are written when they
 * are complete, the rest at capos_print_flush and at exit. A refusal ends output for good: a
 * program is not stopped by nobody listening.
 */
#ifndef CAPOS_PRINT_H
#define CAPOS_PRINT_H

#include <stdarg.h>
#include <stddef.h>

#include "lib/base/compiler.h"

void capos_printf(const char *format, ...) PRINTF_LIKE(1, 2);
void capos_vprintf(const char *format, va_list args);
void capos_write(const char *bytes, size_t count);
void capos_print_flush(void);

/* A message about what went wrong: ByteStream.writeError, or the log. At most 1000 bytes, not
 * buffered; output so far is written first. */
void capos_error(const char *format, ...) PRINTF_LIKE(1, 2);

/* One record to `log`, whatever `stdio` is; at most 1000 bytes; a newline at the end is dropped. */
void capos_log(const char *format, ...) PRINTF_LIKE(1, 2);

/* The same with a level that who reads the log can ask for: something is not as it should be; something is lost. */
#define capos_log_warning(...) capos_log("warning: " __VA_ARGS__)
#define capos_log_error(...) capos_log("error: " __VA_ARGS__)

#endif
