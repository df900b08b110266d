/* SPDX-License-Identifier: MIT */
/* Hand-made messages for the codec's tests: pointer words, and reading from memory that ends exactly
 * where the message does, so that a sanitizer sees one byte too far. */
#ifndef CAPOS_TESTS_UNIT_CODEC_WIRE_H
#define CAPOS_TESTS_UNIT_CODEC_WIRE_H

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "codec_types.capnp.h"
#include "lib/capnp/capnp.h"

enum {
    WIRE_VOID,
    WIRE_BIT,
    WIRE_BYTE,
    WIRE_TWO,
    WIRE_FOUR,
    WIRE_EIGHT,
    WIRE_POINTER,
    WIRE_COMPOSITE,
};

static inline uint64_t wire_struct(int32_t offset, uint64_t data_words, uint64_t pointers)
{
    return ((uint64_t)(uint32_t)offset << 2 & 0xfffffffc) | data_words << 32 | pointers << 48;
}

static inline uint64_t wire_list(int32_t offset, uint64_t code, uint64_t count)
{
    return ((uint64_t)(uint32_t)offset << 2 & 0xfffffffc) | 1 | code << 32 | count << 35;
}

static inline uint64_t wire_far(uint64_t offset, uint64_t segment, bool doubled)
{
    return 2 | (uint64_t)doubled << 2 | offset << 3 | segment << 32;
}

static inline uint64_t wire_capability(uint64_t index)
{
    return 3 | index << 32;
}

static inline uint64_t wire_tag(uint64_t count, uint64_t data_words, uint64_t pointers)
{
    return count << 2 | data_words << 32 | pointers << 48;
}

/* A copy that ends where the message ends. Freed by the caller. */
static inline void *wire_copy(const void *message, size_t bytes)
{
    void *copy = malloc(bytes > 0 ? bytes : 1);
    if (copy == NULL) {
        abort();
    }
    if (bytes > 0) {
        memcpy(copy, message, bytes);
    }
    return copy;
}

/* The verdict on a message of these words, read as `type`. */
static inline enum capnp_status wire_verdict(const struct capnp_struct_type *type,
                                             const uint64_t *words, size_t count)
{
    void *copy = wire_copy(words, count * 8);
    struct capnp_struct out;
    enum capnp_status status = capnp_read(copy, count * 8, type, &out);
    if (status != CAPNP_OK && (out.data != NULL || out.data_bytes != 0 || out.ptr_count != 0)) {
        abort(); /* a refusal gives the empty struct */
    }
    free(copy);
    return status;
}

#define VERDICT(type, ...) \
    wire_verdict(&type##_type, (const uint64_t[]){__VA_ARGS__}, \
                 sizeof((const uint64_t[]){__VA_ARGS__}) / 8)

#endif
