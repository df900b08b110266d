/* SPDX-License-Identifier: MIT */
/*
 * Which methods of the kernel have completed with which status while a test ran. With the variable STATUS_PAIRS, a file's
 * name, each process adds its own at its end, a line each: interface id, method, status. tools/status-pairs compares
 * them with what the schema declares.
 *
 * Every completion but those of calls between processes on the special path leaves by one of five functions, which the
 * linker leads through here (--wrap). Thread-safe; a status seen twice is noted once.
 */
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "gen/kernel/types.h"
#include "ring/op.h"
#include "ring/record.h"

enum { METHODS = 64, STATUSES = 64 };

static _Atomic uint64_t seen[KTYPE_COUNT][METHODS]; /* [a] bit: the number of the status */

void __real_op_post(struct op *op, int32_t result, uint16_t flags, uint16_t cap_count,
                    uint64_t extra);
void __real_op_post_result(struct op *op, int32_t result);
void __real_record_finish(struct record *rec, int32_t result, uint16_t flags, uint16_t cap_count,
                          uint64_t extra);
void __wrap_op_post(struct op *op, int32_t result, uint16_t flags, uint16_t cap_count,
                    uint64_t extra);
void __wrap_op_post_result(struct op *op, int32_t result);
void __wrap_record_finish(struct record *rec, int32_t result, uint16_t flags, uint16_t cap_count,
                          uint64_t extra);

void __real_record_complete(struct record *rec, status_t status);
void __real_record_complete_message(struct record *rec, const void *message, uint32_t len,
                                    const struct capability *caps, uint32_t count);
void __wrap_record_complete(struct record *rec, status_t status);
void __wrap_record_complete_message(struct record *rec, const void *message, uint32_t len,
                                    const struct capability *caps, uint32_t count);

static void note(const struct capos_sqe *sqe, int32_t result)
{
    if (sqe->op != CAPOS_OP_CALL || sqe->method >= METHODS || result <= -STATUSES) {
        return;
    }
    for (unsigned ktype = 1; ktype < KTYPE_COUNT; ktype++) {
        if (kernel_interfaces[ktype].id == sqe->interface) {
            uint64_t bit = UINT64_C(1) << (result < 0 ? -result : 0);
            _Atomic uint64_t *at = &seen[ktype][sqe->method];
            /* Written once only: tests/lines watches who writes what. */
            if ((atomic_load_explicit(at, memory_order_relaxed) & bit) == 0) {
                atomic_fetch_or_explicit(at, bit, memory_order_relaxed);
            }
        }
    }
}

void __wrap_op_post(struct op *op, int32_t result, uint16_t flags, uint16_t cap_count,
                    uint64_t extra)
{
    note(op->sqe, result);
    __real_op_post(op, result, flags, cap_count, extra);
}

void __wrap_op_post_result(struct op *op, int32_t result)
{
    note(op->sqe, result);
    __real_op_post_result(op, result);
}

void __wrap_record_finish(struct record *rec, int32_t result, uint16_t flags, uint16_t cap_count,
                          uint64_t extra)
{
    note(&rec->sqe, result);
    __real_record_finish(rec, result, flags, cap_count, extra);
}

void __wrap_record_complete(struct record *rec, status_t status)
{
    note(&rec->sqe, status);
    __real_record_complete(rec, status);
}

void __wrap_record_complete_message(struct record *rec, const void *message, uint32_t len,
                                    const struct capability *caps, uint32_t count)
{
    note(&rec->sqe, ST_OK);
    __real_record_complete_message(rec, message, len, caps, count);
}

__attribute__((destructor)) static void tell(void)
{
    const char *path = getenv("STATUS_PAIRS");
    int file = path == NULL ? -1 : open(path, O_WRONLY | O_CREAT | O_APPEND, 0644);
    if (file < 0) {
        return;
    }
    for (unsigned ktype = 1; ktype < KTYPE_COUNT; ktype++) {
        for (unsigned method = 0; method < METHODS; method++) {
            uint64_t bits = atomic_load(&seen[ktype][method]);
            for (unsigned status = 0; bits != 0; status++, bits >>= 1) {
                if ((bits & 1) != 0) {
                    dprintf(file, "0x%016llx %u %u\n",
                            (unsigned long long)kernel_interfaces[ktype].id, method, status);
                }
            }
        }
    }
    close(file);
}
