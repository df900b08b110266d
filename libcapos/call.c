/* SPDX-License-Identifier: MIT */
/* Calls: from a struct capos_call to an operation and back. */
#include "capos/call.h"

#include "capos/ring.h"
#include "internal.h"
#include "lib/base/bits.h"
#include "lib/base/string.h"
#include "op_list.h"
#include "status.capnp.h"

void capos_call_begin(struct capos_call *call, capos_cap_t cap)
{
    if (call->promise != 0) {
        capos_call_end(call);
    }
    call->cap = cap;
    call->params_bytes = 0;
    call->result_bytes = 0;
    call->transfer_count = 0;
    call->cap_count = 0;
    call->taken = 0;
    call->status = ST_OK;
    call->exception = CAPOS_EXC_NONE;
    call->needed = 0;
    call->failed_interface = NULL;
    call->failed_method = NULL;
    if (call->keep) {
        call->status = capos_promise_open(call);
    }
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
        .flags =
            (uint16_t)((call->keep ? CAPOS_SQE_KEEP : 0) | (call->quiet ? CAPOS_SQE_QUIET : 0)),
    };
    call->op.transfers = call->transfers;
    call->op.flags = OP_FLAG_CALL;
}

/* The answer of `on` will come, has come, or is there to say how it failed. */
static status_t follow(struct capos_call *call, struct capos_call *on, unsigned index)
{
    call->op.sqe.cap = 0;
    call->op.sqe.flags |= CAPOS_SQE_PIPELINE;
    call->op.sqe.pipe_index = (uint8_t)index;
    call->on = on;
    on->dependents++;
    bool in_flight = on->op.state == CAPOS_OP_PENDING || on->op.state == CAPOS_OP_QUEUED;
    if (in_flight || (on->kept && on->status == ST_OK)) {
        return ST_OK;
    }
    return on->status != ST_OK ? on->status : ST_NOT_FOUND; /* it was never submitted */
}

static status_t set_target(struct capos_call *call)
{
    call->on = NULL;
    if (!capos_is_promise(call->cap)) {
        return ST_OK;
    }
    unsigned index;
    status_t why;
    struct capos_call *on = capos_promise_find(call->cap, &index, &why);
    return on != NULL ? follow(call, on, index) : why;
}

static status_t prepare(struct capos_call *call)
{
    if (call->status != ST_OK) {
        return call->status;
    }
    if (call->params_bytes > call->params_capacity || call->params_bytes % 8 != 0) {
        return ST_BAD_MESSAGE;
    }
    return set_target(call);
}

/* The chain that is being made. Its calls are in no other list until its end. */
static _Thread_local struct {
    struct op_list calls;
    uint32_t count;
    bool open;
    bool broken;
} chain;

void capos_chain_begin(void)
{
    chain.open = true;
    chain.broken = false;
    chain.count = 0;
}

void capos_unsent(struct capos_call *call)
{
    if (chain.open) {
        fill_sqe(call);
        capos_op_refuse(&call->op, call->status);
        chain.broken = true;
    }
}

static void add_to_chain(struct capos_call *call, status_t status)
{
    if (status == ST_OK && chain.count++ == CAPOS_MAX_LINK) {
        status = ST_BAD_ARGUMENT;
    }
    if (status != ST_OK || chain.broken) {
        chain.broken = true;
        capos_op_refuse(&call->op, status != ST_OK ? status : ST_CANCELLED);
    } else {
        call->op.state = CAPOS_OP_DONE; /* nobody waits for it yet */
        op_list_insert(&chain.calls, NULL, &call->op);
    }
}

void capos_chain_end(void)
{
    chain.open = false;
    while (chain.calls.first != NULL) {
        struct capos_op *op = chain.calls.first;
        op_list_take(&chain.calls, op);
        if (chain.broken) {
            capos_op_refuse(op, ST_CANCELLED);
            continue;
        }
        op->sqe.flags |= chain.calls.first != NULL ? CAPOS_SQE_LINK : 0;
        capos_op_submit(op);
    }
}

void capos_submit(struct capos_call *call)
{
    fill_sqe(call);
    status_t status = prepare(call);
    if (chain.open) {
        add_to_chain(call, status);
    } else if (status != ST_OK) {
        capos_op_refuse(&call->op, status);
    } else {
        capos_op_submit(&call->op);
    }
}

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
    call->bill = cqe->bill;
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
    struct capos_call *on = call->on;
    if (on != NULL) {
        call->on = NULL;
        on->dependents--;
        if (call->status != ST_OK && call->status == on->status) {
            capos_promise_blame(call, on);
        }
    }
}

static bool is_in_flight(const struct capos_call *call)
{
    return call->op.state == CAPOS_OP_PENDING || call->op.state == CAPOS_OP_QUEUED;
}

status_t capos_wait(struct capos_call *call, uint64_t deadline_ns)
{
    if (call->quiet && is_in_flight(call)) {
        return ST_TIMED_OUT; /* nothing would tell its end */
    }
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

/* Entered only for what is on its way: the rest leaves when there is room. True: nothing is missing. */
static bool wait_for_some(struct capos_call *const calls[], unsigned count)
{
    uint32_t queued = 0;
    bool missing = false;
    capos_reap();
    capos_flush();
    for (unsigned i = 0; i < count; i++) {
        bool awaited = !calls[i]->quiet && is_in_flight(calls[i]);
        missing = missing || awaited;
        queued += awaited && calls[i]->op.state == CAPOS_OP_QUEUED;
    }
    if (missing) {
        capos_await_more(queued != 0 ? queued : 1);
    }
    return !missing;
}

status_t capos_wait_all(struct capos_call *const calls[], unsigned count)
{
    status_t status = ST_OK;
    while (!wait_for_some(calls, count)) {
    }
    for (unsigned i = 0; i < count; i++) {
        status_t one = calls[i]->quiet ? ST_OK : capos_wait(calls[i], 0);
        status = status == ST_OK ? one : status;
    }
    return status;
}

bool capos_poll(struct capos_call *call)
{
    if (is_in_flight(call)) {
        capos_reap();
    }
    return !is_in_flight(call);
}

void capos_op_cancel(struct capos_op *op)
{
    if (capos_op_withdraw(op)) {
        capos_op_refuse(op, ST_CANCELLED);
    } else if (op->state == CAPOS_OP_QUEUED) {
        struct capos_op cancel;
        capos_op_init(&cancel, CAPOS_OP_CANCEL, op->position);
        int32_t result = capos_op_run(&cancel);
        if (result == ST_NOT_FOUND && op->state == CAPOS_OP_QUEUED &&
            (op->sqe.flags & CAPOS_SQE_QUIET) != 0) {
            capos_ring_settle(op);
        }
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
    if (call->promise != 0) {
        capos_promise_close(call);
    }
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
    size_t length = 0;
    if (size == 0) {
        return "";
    }
    if (call->status == ST_EXCEPTION && call->result != NULL) {
        length = strnlen(call->result, min_u64(call->result_bytes, size - 1));
        memcpy(buf, call->result, length);
    }
    buf[length] = '\0';
    return buf;
}
