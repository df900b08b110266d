/* SPDX-License-Identifier: MIT */
/* The neighbour: an honest server, written without the library so that nothing is hidden. It answers
 * every call with what it said. */
#include "case.h"

enum { RECEIVED_WORDS = 8 };

static uint64_t buffer[RECEIVED_WORDS + CASE_MESSAGE_BYTES / 8 + 2 * CASE_MAX_CAPS];

static void drop_capabilities(const struct capos_received *call)
{
    const struct capos_cap_record *records =
        (const struct capos_cap_record *)(const void *)((const uint8_t *)(call + 1) +
                                                        ((call->params_len + 7u) & ~7u));
    for (unsigned i = 0; i < call->cap_count; i++) {
        (void)release(records[i].cap);
    }
}

NORETURN void echo_run(void)
{
    struct capos_received *call = (struct capos_received *)(void *)buffer;
    for (;;) {
        struct capos_sqe recv = raw_sqe(CAPOS_OP_RECV, held("serve"));
        recv.result = (uintptr_t)buffer;
        recv.result_len = sizeof(buffer);
        recv.accept_count = CASE_MAX_CAPS;
        struct capos_cqe cqe = raw_do(recv);
        CHECK(cqe.result >= (int32_t)sizeof(*call));
        drop_capabilities(call);
        struct capos_sqe answer = raw_sqe(CAPOS_OP_RETURN, 0);
        answer.interface = call->call_id;
        answer.params = (uintptr_t)(call + 1);
        answer.params_len = call->params_len;
        int32_t returned = raw_do(answer).result;
        CHECK(returned == ST_OK || returned == ST_GONE || returned == ST_RESULT_TOO_SMALL);
    }
}
