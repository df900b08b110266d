/* SPDX-License-Identifier: MIT */
/*
 * Bounded formatter for kernel and user space: the printf subset
 *   %d %i %u %x %X %o %c %s %p %%, flags - 0 + space #, width and precision (also *),
 *   length hh h l ll z t j.
 * No floating point, no %n, no allocation, no locale. An unknown conversion is printed as it stands
 * and takes no argument. A NULL %s prints "(null)".
 */
#ifndef CAPOS_LIB_BASE_FMT_H
#define CAPOS_LIB_BASE_FMT_H

#include <stdarg.h>
#include <stddef.h>

#define FMT_CHECKED(fmt_index, first) __attribute__((format(printf, fmt_index, first)))

/* Receives the output in pieces of at least one byte. The text of a %s is a piece of its own. */
struct fmt_sink {
    void (*write)(struct fmt_sink *sink, const char *bytes, size_t count);
};

/* Formats into a sink. */
void fmt_to(struct fmt_sink *sink, const char *format, ...) FMT_CHECKED(2, 3);
void fmt_vto(struct fmt_sink *sink, const char *format, va_list args) FMT_CHECKED(2, 0);

/* Formats into buf of size bytes, cut where it does not fit, NUL-terminated when size > 0. Returns
 * the length of the whole text without the NUL, as snprintf does: >= size means it was cut. */
size_t fmt_format(char *buf, size_t size, const char *format, ...) FMT_CHECKED(3, 4);
size_t fmt_vformat(char *buf, size_t size, const char *format, va_list args) FMT_CHECKED(3, 0);

#endif
