/* SPDX-License-Identifier: MIT */
/* The only place where compiler extensions are spelled. gcc 12 and clang 14, kernel and host. */
#ifndef CAPOS_BASE_COMPILER_H
#define CAPOS_BASE_COMPILER_H

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LIKELY(x) __builtin_expect(!!(x), 1)
#define UNLIKELY(x) __builtin_expect(!!(x), 0)
#define UNREACHABLE() __builtin_unreachable()

#define ALWAYS_INLINE inline __attribute__((always_inline))
#define NOINLINE __attribute__((noinline))
#define NORETURN __attribute__((noreturn))
#define COLD __attribute__((cold))
#define UNUSED __attribute__((unused))
#define AT_SCOPE_END(function) __attribute__((cleanup(function))) /* of the variable declared */
#define USED __attribute__((used))
#define WEAK __attribute__((weak))
#define PACKED __attribute__((packed))
#define ALIGNED(n) __attribute__((aligned(n)))
#define SECTION(name) __attribute__((section(name)))
#define MUST_CHECK __attribute__((warn_unused_result))
#define PRINTF_LIKE(format_arg, first_arg) __attribute__((format(printf, format_arg, first_arg)))

/* Code that runs before the stack guard has its value. */
#define NO_STACK_PROTECTOR __attribute__((no_stack_protector))

#define CONTAINER_OF(member_ptr, type, member) \
    ((type *)(void *)((char *)(member_ptr)-offsetof(type, member)))

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

/* Keeps the compiler from moving memory accesses across; no instruction. */
#define COMPILER_BARRIER() __asm__ volatile("" ::: "memory")

/* True and *out = the wrapped value when the exact result does not fit *out. */
#define ADD_OVERFLOWS(a, b, out) __builtin_add_overflow((a), (b), (out))
#define SUB_OVERFLOWS(a, b, out) __builtin_sub_overflow((a), (b), (out))
#define MUL_OVERFLOWS(a, b, out) __builtin_mul_overflow((a), (b), (out))

#endif
