/* SPDX-License-Identifier: MIT */
/*
 * Giving capabilities, and kept answers, up. A release is queued here, becomes one of a few operations that nobody
 * waits for, and goes with whatever enters the kernel next. When the queue is full the kernel is
 * entered; what is then still there waits behind operations that use the capabilities (ring.c,
 * invariant 3) and can go only when one of the operations in flight has completed.
 */
#include "capos/ring.h"
#include "internal.h"
#include "lib/base/string.h"

enum {
    RELEASE_OPS = 16,
    RELEASE_QUEUE = 64,
};

static _Thread_local struct {
    struct capos_op ops[RELEASE_OPS];
    struct giving {
        uint64_t what; /* a capability, or the position of an answer's call */
        uint8_t opcode;
    } queue[RELEASE_QUEUE];
    uint32_t count;
} release;

void capos_release_reset(void)
{
    memset(&release, 0, sizeof(release));
}

void capos_release_queued(void)
{
    for (uint32_t i = 0; i < RELEASE_OPS && release.count > 0; i++) {
        struct capos_op *op = &release.ops[i];
        if (op->state == CAPOS_OP_IDLE) {
            release.count--;
            capos_op_init(op, release.queue[release.count].opcode,
                          release.queue[release.count].what);
            op->flags = OP_FLAG_FORGET;
            capos_op_submit(op);
        }
    }
}

void capos_release_all(void)
{
    do {
        capos_push();
    } while (release.count != 0);
}

static void give_up(uint64_t what, uint8_t opcode)
{
    if (release.count == RELEASE_QUEUE) {
        capos_push();
        capos_release_queued();
    }
    while (release.count == RELEASE_QUEUE) {
        capos_await_any();
        capos_release_queued();
    }
    release.queue[release.count++] = (struct giving){.what = what, .opcode = opcode};
    capos_release_queued();
}

void capos_release(capos_cap_t cap)
{
    if (cap != 0) {
        give_up(cap, CAPOS_OP_RELEASE);
    }
}

void capos_finish_answer(uint64_t position)
{
    give_up(position, CAPOS_OP_FINISH);
}

status_t capos_release_now(capos_cap_t cap)
{
    struct capos_op op;
    capos_op_init(&op, CAPOS_OP_RELEASE, cap);
    int32_t result = capos_op_run(&op);
    return result < 0 ? result : 0;
}

status_t capos_signal(capos_cap_t notification, uint64_t bits)
{
    struct capos_op op;
    capos_op_init(&op, CAPOS_OP_SIGNAL, notification);
    op.sqe.params = bits;
    int32_t result = capos_op_run(&op);
    return result < 0 ? result : 0;
}
