/* SPDX-License-Identifier: MIT */
/* Calls: from a struct capos_call to an operation and back. */
#include "capos/call.h"

#include "capos/ring.h"
#include "internal.h"
#include "lib/base/bits.h"
#include "lib/base/string.h"
#include "status.capnp.h"

void capos_call_begin(struct capos_call *call, capos_cap_t cap)
{
    call->cap = cap;
    call->params_bytes = 0;
    call->result_bytes = 0;
    call->transfer_count = 0;
    call->cap_count = 0;
    call->taken = 0;
    call->status = ST_OK;
    call->exception = CAPOS_EXC_NONE;
    call->needed = 0;
}

static uint16_t add_transfer(struct capos_call *call, capos_cap_t cap, uint16_t mode)
{
    if (call->transfer_count >= call->transfer_capacity) {
        call->status = ST_BAD_TRANSFER;
        return UINT16_MAX;
    }
    call->transfers[call->transfer_count] =
        (struct capos_transfer){.cap = cap, .kind = CAPOS_XFER_CAP, .mode = mode};
    return call->transfer_count++;
}

uint16_t capos_call_copy(struct capos_call *call, capos_cap_t cap)
{
    return add_transfer(call, cap, CAPOS_XFER_COPY);
}

uint16_t capos_call_move(struct capos_call *call, capos_cap_t cap)
{
    return add_transfer(call, cap, CAPOS_XFER_MOVE);
}

static void fill_sqe(struct capos_call *call)
{
    call->op.sqe = (struct capos_sqe){
        .op = CAPOS_OP_CALL,
        .method = call->method,
        .xfer_count = call->transfer_count,
        .accept_count = call->accept,
        .cap = call->cap,
        .params = (uintptr_t)call->params,
        .result = (uintptr_t)call->result,
        .params_len = call->params_bytes,
        .result_len = call->result_capacity & ~7u,
        .interface = call->interface,
        .deadline_ns = call->deadline_ns,
    };
    call->op.transfers = call->transfers;
    call->op.flags = OP_FLAG_CALL;
}

void capos_submit(struct capos_call *call)
{
    fill_sqe(call);
    if (call->status != ST_OK) {
        capos_op_refuse(&call->op, call->status);
    } else if (call->params_bytes > call->params_capacity || call->params_bytes % 8 != 0) {
        capos_op_refuse(&call->op, ST_BAD_MESSAGE);
    } else {
        capos_op_submit(&call->op);
    }
}

/* How much of the result buffer the completion says is filled; never more than there is. */
static void set_result_bytes(struct capos_call *call, const struct capos_cqe *cqe)
{
    uint64_t bytes = 0;
    if (cqe->result >= 0) {
        bytes = (uint64_t)cqe->result;
    } else if (cqe->flags & CAPOS_CQE_EXCEPTION) {
        bytes = cqe->needed;
    }
    call->result_bytes = (uint32_t)min_u64(bytes, call->result_capacity & ~7u);
}

void capos_call_finish(struct capos_call *call)
{
    const struct capos_cqe *cqe = &call->op.cqe;
    call->status = cqe->result < 0 ? cqe->result : ST_OK;
    call->exception = CAPOS_EXC_NONE;
    call->cap_count = 0;
    call->taken = 0;
    set_result_bytes(call, cqe);
    if (cqe->flags & CAPOS_CQE_EXCEPTION) {
        call->exception = (enum capos_exception)cqe->exception;
    } else if (cqe->flags & CAPOS_CQE_NEEDED) {
        call->needed = cqe->needed;
    }
    if (cqe->result >= 0 && (cqe->flags & CAPOS_CQE_CAPS)) {
        uint64_t room = (call->result_capacity & ~7u) - align_up(call->result_bytes, 8);
        call->cap_count = (uint16_t)min_u64(cqe->cap_count, room / sizeof(struct capos_cap_record));
    }
}

status_t capos_wait(struct capos_call *call, uint64_t deadline_ns)
{
    if (!capos_op_wait(&call->op, deadline_ns)) {
        return ST_TIMED_OUT;
    }
    return call->status;
}

status_t capos_call(struct capos_call *call)
{
    call->op.done = NULL;
    capos_submit(call);
    return capos_wait(call, CAPOS_FOREVER);
}

bool capos_poll(struct capos_call *call)
{
    if (call->op.state == CAPOS_OP_PENDING || call->op.state == CAPOS_OP_QUEUED) {
        capos_reap();
    }
    return call->op.state == CAPOS_OP_DONE || call->op.state == CAPOS_OP_IDLE;
}

void capos_op_cancel(struct capos_op *op)
{
    if (capos_op_withdraw(op)) {
        capos_op_refuse(op, ST_CANCELLED);
    } else if (op->state == CAPOS_OP_QUEUED) {
        struct capos_op cancel;
        capos_op_init(&cancel, CAPOS_OP_CANCEL, op->position);
        capos_op_run(&cancel);
    }
    if (op->done == NULL) {
        capos_op_wait(op, CAPOS_FOREVER);
    }
}

status_t capos_cancel(struct capos_call *call)
{
    capos_op_cancel(&call->op);
    return call->status;
}

static const struct capos_cap_record *call_records(const struct capos_call *call)
{
    const uint8_t *result = call->result;
    return (const struct capos_cap_record *)(const void *)(result +
                                                           align_up(call->result_bytes, 8));
}

void capos_call_end(struct capos_call *call)
{
    for (uint16_t i = 0; i < call->cap_count; i++) {
        if ((call->taken & BIT64(i)) == 0) {
            capos_release(call_records(call)[i].cap);
        }
    }
    call->cap_count = 0;
}

capos_cap_t capos_call_cap(const struct capos_call *call, uint16_t index, uint64_t interface)
{
    if (index >= call->cap_count) {
        return 0;
    }
    const struct capos_cap_record *record = &call_records(call)[index];
    return interface == 0 || interface == record->interface ? record->cap : 0;
}

capos_cap_t capos_call_take(struct capos_call *call, uint16_t index, uint64_t interface)
{
    capos_cap_t cap = capos_call_cap(call, index, interface);
    if (cap == 0 || (call->taken & BIT64(index))) {
        return 0;
    }
    call->taken |= BIT64(index);
    return cap;
}

const char *capos_call_text(const struct capos_call *call, char *buf, size_t size)
{
    if (size == 0) {
        return "";
    }
    size_t length = call->status == ST_EXCEPTION ? call->result_bytes : 0;
    length = strnlen(call->result, min_u64(length, size - 1));
    memcpy(buf, call->result, length);
    buf[length] = '\0';
    return buf;
}
