/* SPDX-License-Identifier: MIT */
/*
 * Giving capabilities up. A release is queued here, becomes one of a few operations that nobody
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
    capos_cap_t queue[RELEASE_QUEUE];
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
            capos_op_init(op, CAPOS_OP_RELEASE, release.queue[release.count]);
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

void capos_release(capos_cap_t cap)
{
    if (cap == 0) {
        return;
    }
    if (release.count == RELEASE_QUEUE) {
        capos_push();
        capos_release_queued();
    }
    while (release.count == RELEASE_QUEUE) {
        capos_await_any();
        capos_release_queued();
    }
    release.queue[release.count++] = cap;
    capos_release_queued();
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
