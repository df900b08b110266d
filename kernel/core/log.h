/* SPDX-License-Identifier: MIT */
/*
 * The kernel log: a ring of records in memory that KernelLog reads, copied to the debug port as it
 * is written, and to COM1 until init grants that away and again on panic.
 */
#ifndef CAPOS_KERNEL_CORE_LOG_H
#define CAPOS_KERNEL_CORE_LOG_H

#include <stddef.h>
#include <stdint.h>

#include "lib/base/compiler.h"

enum { LOG_RECORD_MAX_BYTES = 1024, LOG_RING_BYTES = 65536 };

/* One line from the kernel. Any context; takes LOCK_LOG. No user pointers' contents, no secrets. */
void klog(const char *format, ...) PRINTF_LIKE(1, 2);

/* Records for a process, one a line: prefixed with time and `who`; bytes that are neither printable
 * ASCII nor \t are written as \xNN, so no record can forge another or drive a terminal. Lines are cut
 * at LOG_RECORD_MAX_BYTES; after 32 lines the rest is one line. An empty text is an empty line. */
void log_append_user(const char *who, const char *text, size_t len);

/* Copies whole records from sequence `from` on into buf, each ended by a newline, at most `size`
 * bytes: at least LOG_RECORD_MAX_BYTES + 1, or a long record is never passed.
 * Returns the bytes written; *next_out = sequence after the last one copied; *lost_out = records
 * between `from` and the oldest one kept. */
size_t log_read(uint64_t from, char *buf, size_t size, uint64_t *next_out, uint64_t *lost_out);

/* COM1 shows nothing until something ends badly: for a person whose terminal it is. */
void log_quiet(void);

/* The machine is about to stop for a bad reason: shows the last records on COM1, whoever has it. */
void log_tell_end(void);

/* From now on COM1 belongs to user space; only a panic writes to it. */
void log_release_serial(void);

/* Lines lock-free for the panic path. */
void log_panic_write(const char *text, size_t len);

#endif
