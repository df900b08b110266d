/* SPDX-License-Identifier: MIT */
/*
 * The mem* and str* functions a freestanding C program needs, under their standard names: the
 * compiler emits calls to the first four whatever the source says. Host builds link the host's C
 * library instead of string.c; the prototypes agree with it.
 */
#ifndef CAPOS_LIB_BASE_STRING_H
#define CAPOS_LIB_BASE_STRING_H

#include <stdbool.h>
#include <stddef.h>

void *memcpy(void *restrict dst, const void *restrict src, size_t n);
void *memmove(void *dst, const void *src, size_t n);
void *memset(void *dst, int c, size_t n);
int memcmp(const void *a, const void *b, size_t n);
void *memchr(const void *s, int c, size_t n);
size_t strlen(const char *s);
size_t strnlen(const char *s, size_t max);
int strcmp(const char *a, const char *b);
int strncmp(const char *a, const char *b, size_t n);
char *strchr(const char *s, int c);
char *strrchr(const char *s, int c);

/* Copies `src` into `dst` of `size` bytes, cut where it does not fit, always NUL-terminated
 * (size > 0). Returns false when it was cut. */
bool str_copy(char *dst, size_t size, const char *src);

/* True when the `len` bytes at `s` (not NUL-terminated) are exactly the string `literal`. */
bool str_equals(const char *s, size_t len, const char *literal);

/* True when `s` begins with `prefix`. */
bool str_starts_with(const char *s, const char *prefix);

#endif
