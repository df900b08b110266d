/* SPDX-License-Identifier: MIT */
/*
 * CALL: find the capability, check interface and facet, then either hand the call to the endpoint
 * behind a served object or run a method of a kernel object here and now.
 *
 * For a kernel method everything the caller can get wrong about buffers is refused before the
 * handler runs: parameters are copied and validated, the result buffer is long enough for the fixed
 * results and the capabilities and can be written. A result of variable length that turns out not
 * to fit is refused afterwards; the methods that have one change nothing.
 */
#include "core/panic.h"
#include "core/step.h"
#include "gen/kernel/types.h"
#include "gen/status.capnp.h"
#include "lib/base/bits.h"
#include "object/process.h"
#include "ring/buffer.h"
#include "ring/defer.h"
#include "ring/op.h"
#include "sched/cpu.h"

/* One call to a kernel object while it is carried out. */
struct kernel_call {
    struct invocation inv;
    const struct kernel_method *method;
    uint32_t slots_bytes; /* of the result: for the records of its capabilities */
    uint64_t caps_taken;
    struct capability caps[INVOKE_MAX_PARAM_CAPS];
};

static ALWAYS_INLINE status_t check_call(struct op *op, uint64_t interface, uint64_t facet)
{
    const struct capos_sqe *sqe = op->sqe;
    if (UNLIKELY(interface != sqe->interface)) {
        return ST_WRONG_INTERFACE;
    }
    if (UNLIKELY(sqe->method >= 64 || (facet >> sqe->method & 1) == 0)) {
        return ST_NO_METHOD;
    }
    if (UNLIKELY((sqe->params_len | sqe->result_len) % 8 != 0)) {
        return ST_BAD_MESSAGE;
    }
    if ((sqe->flags & CAPOS_SQE_INLINE) != 0) {
        return op_resolve_inline(op, sqe->params_len, true);
    }
    return ST_OK;
}

static status_t find_method(const struct op *op, const struct capability *cap,
                            const struct kernel_method **out)
{
    const struct kernel_interface *interface = &kernel_interfaces[cap->ktype];
    if (op->sqe->method >= interface->method_count) {
        return ST_NO_METHOD;
    }
    const struct kernel_method *method = &interface->methods[op->sqe->method];
    if (method->opcode_only) {
        return ST_NO_METHOD;
    }
    *out = method;
    return op->sqe->params_len <= method->params_max_bytes ? ST_OK : ST_TOO_LARGE;
}

/* Capabilities of the result that get slots: with KEEP no more than the caller has room for. */
static uint32_t result_slots(const struct op *op, const struct kernel_method *method)
{
    bool fewer = UNLIKELY((op->sqe->flags & CAPOS_SQE_KEEP) != 0) &&
                 op->sqe->accept_count < method->result_caps;
    return fewer ? op->sqe->accept_count : method->result_caps;
}

/* The fixed part of the results, without the records. */
static uint32_t result_bytes_fixed(const struct kernel_method *method)
{
    return (1 + (uint32_t)method->results_data_words + method->results_pointers) * 8;
}

static void drop_param_caps(struct kernel_call *call)
{
    for (; UNLIKELY(call->caps_taken != 0); call->caps_taken &= call->caps_taken - 1) {
        capability_put(&call->caps[bit_lowest(call->caps_taken)]);
    }
}

/* Everything but the target, which the look-up filled in. */
static ALWAYS_INLINE void start_invocation(struct op *op, struct kernel_call *call)
{
    struct invocation *inv = &call->inv;
    inv->process = op->process;
    inv->thread = op->ring->thread;
    inv->op = op;
    inv->record = NULL;
    inv->caps = call->caps;
    inv->caps_taken = &call->caps_taken;
    call->caps_taken = 0;
    inv->cap_count = 0;
    inv->move_mask = 0;
    inv->keep_xfers = NULL;
    inv->xfers_taken = false;
    inv->result_cap_count = 0;
    inv->reserved_caps = 0;
    inv->deadline_ns = op->sqe->deadline_ns;
}

/* Installs what the handler made, in the order it made it. */
static void install_results(struct op *op, struct invocation *inv)
{
    for (uint32_t i = 0; i < inv->result_cap_count; i++) {
        table_install(&op->process->table, inv->result_ids[i], &inv->result_caps[i],
                      CAP_HOP_RESULT);
    }
    if (inv->reserved_caps > inv->result_cap_count) {
        table_unreserve(&op->process->table, inv->reserved_caps - inv->result_cap_count,
                        inv->result_ids + inv->result_cap_count);
    }
}

static void abandon_results(struct op *op, struct invocation *inv)
{
    KASSERT(inv->result_cap_count == 0);
    if (inv->reserved_caps != 0) {
        table_unreserve(&op->process->table, inv->reserved_caps, inv->result_ids);
    }
}

static bool write_records(struct op *op, const struct invocation *inv, uint32_t offset)
{
    struct capos_cap_record records[INVOKE_MAX_RESULT_CAPS];
    for (uint32_t i = 0; i < inv->result_cap_count; i++) {
        records[i].cap = inv->result_ids[i];
        records[i].interface = inv->result_caps[i].interface;
    }
    return op_write_result(op, offset, records,
                           inv->result_cap_count * (uint32_t)sizeof(records[0]));
}

/* Capabilities that go to the call's answer alone. */
static void drop_kept(struct op *op, struct invocation *inv)
{
    uint32_t kept_only =
        answer_offer(op->ring, op->sqe, op->position, inv->result_caps, inv->result_cap_count);
    for (; kept_only != 0; kept_only--) {
        capability_put(&inv->result_caps[--inv->result_cap_count]);
    }
}

/* The handler has committed: write results, install capabilities, complete. */
static void complete_success(struct op *op, struct kernel_call *call, struct capnp_builder *results)
{
    struct invocation *inv = &call->inv;
    size_t len;
    if (capnp_finish(results, &len) != CAPNP_OK) {
        len = 0;
    }
    bool told = op_write_result(op, 0, results->base, (uint32_t)len);
    if (inv->reserved_caps == 0) {
        op_post(op, told ? (int32_t)len : ST_BAD_ADDRESS, 0, 0, 0);
        return;
    }
    drop_kept(op, inv);
    told = told && write_records(op, inv, (uint32_t)len);
    install_results(op, inv);
    if (UNLIKELY(!told)) {
        /* Another thread took the buffer away after the probe: the results are lost, and with them
         * the capabilities, so that nothing stays that nobody knows of. */
        for (uint32_t i = 0; i < inv->result_cap_count; i++) {
            (void)table_release(&op->process->table, inv->result_ids[i]);
        }
        op_complete(op, ST_BAD_ADDRESS);
        return;
    }
    bool caps = inv->result_cap_count != 0;
    op_post(op, (int32_t)len, caps ? CAPOS_CQE_CAPS : 0, (uint16_t)inv->result_cap_count,
            caps ? inv->result_ids[0] : 0);
}

static void complete_refusal(struct op *op, struct invocation *inv, status_t status)
{
    abandon_results(op, inv);
    op_complete(op, status);
}

/* What the results need beyond the room the caller gave: found out after the handler ran. */
static bool results_overflowed(const struct capnp_builder *results)
{
    return results->status == CAPNP_NO_ROOM;
}

static status_t run_handler(struct op *op, struct kernel_call *call, struct capnp_builder *results)
{
    struct cpu *cpu = cpu_this();
    const struct kernel_method *method = call->method;
    uint32_t room = op->sqe->result_len - call->slots_bytes;
    capnp_builder_init(results, cpu->results,
                       room < method->results_max_bytes ? room : method->results_max_bytes);
    STEP(what((uintptr_t)method->invoke));
    struct capnp_struct params;
    if (capnp_read_flat(cpu->params, op->sqe->params_len, method->params, &params) != CAPNP_OK) {
        return ST_BAD_MESSAGE;
    }
    return method->invoke(
        &call->inv, params,
        capnp_init_root(results, method->results_data_words, method->results_pointers));
}

static status_t prepare_call(struct op *op, const struct op_transfers *xfers,
                             struct kernel_call *call, uint32_t needed)
{
    if (xfers->count > call->method->param_caps) {
        return ST_BAD_TRANSFER;
    }
    call->inv.cap_count = xfers->count;
    call->inv.move_mask = xfers->move_mask;
    call->inv.xfers = xfers;
    if (!op_read_params(op, cpu_this()->params, op->sqe->params_len)) {
        return ST_BAD_ADDRESS;
    }
    return op_probe_result(op, needed) ? ST_OK : ST_BAD_ADDRESS;
}

static void finish_call(struct op *op, const struct op_transfers *xfers, struct kernel_call *call,
                        status_t status, struct capnp_builder *results)
{
    if (status == ST_OK && results_overflowed(results)) {
        KASSERT(call->inv.result_cap_count == 0);
        status = ST_RESULT_TOO_SMALL;
    }
    if (xfers->count != 0 && !call->inv.xfers_taken) {
        op_end_transfers(op, xfers, false);
    }
    if (call->inv.record != NULL) { /* answered later, or ended before it could wait */
        abandon_results(op, &call->inv);
        if (status != ST_PENDING) {
            record_complete(call->inv.record, status);
        }
    } else if (status == ST_RESULT_TOO_SMALL) {
        abandon_results(op, &call->inv);
        op_complete_needed(op, status, call->method->results_max_bytes);
    } else if (status == ST_OK) {
        complete_success(op, call, results);
    } else {
        complete_refusal(op, &call->inv, status);
    }
}

static void call_kernel_at(struct op *op, struct kernel_call *call,
                           const struct op_transfers *xfers)
{
    start_invocation(op, call);
    status_t status = find_method(op, &call->inv.target, &call->method);
    if (LIKELY(status == ST_OK)) {
        uint32_t slots = result_slots(op, call->method);
        call->slots_bytes = slots * (uint32_t)sizeof(struct capos_cap_record);
        uint32_t needed = result_bytes_fixed(call->method) + call->slots_bytes;
        if (UNLIKELY(op->sqe->result_len < needed || op->sqe->accept_count < slots)) {
            op_end_transfers(op, xfers, false);
            op_complete_needed(op, ST_RESULT_TOO_SMALL, needed);
            capability_put(&call->inv.target);
            return;
        }
        status = prepare_call(op, xfers, call, needed);
    }
    struct capnp_builder results;
    results.status = CAPNP_OK;
    if (status == ST_OK) {
        status = run_handler(op, call, &results);
    }
    finish_call(op, xfers, call, status, &results);
    drop_param_caps(call);
    kobj_unref_inline(call->inv.target.object);
    grant_unref_inline(call->inv.target.route);
}

/* Of the capability in `slot`, whose table is locked, and let go here; or, when that is NULL, of *cap, whose refs it
 * takes over. Apart from the calls to served objects, for all that it puts on the stack. */
NOINLINE static void call_kernel(struct op *op, const struct cap_slot *slot,
                                 const struct capability *cap, const struct op_transfers *xfers)
{
    struct kernel_call call;
    if (LIKELY(slot != NULL)) {
        table_copy_out(slot, &call.inv.target);
        table_close(&op->process->table);
    } else {
        call.inv.target = *cap;
    }
    call_kernel_at(op, &call, xfers);
}

static const struct op_transfers no_transfers;

void call_kernel_checked(struct op *op, const struct cap_slot *slot)
{
    call_kernel(op, slot, NULL, &no_transfers);
}

static ALWAYS_INLINE void call_slot(struct op *op, const struct op_transfers *xfers)
{
    status_t status;
    struct capability cap;
    uint64_t caller[2];
    const struct cap_slot *slot = table_open(&op->process->table, op->sqe->cap, &status);
    if (LIKELY(slot != NULL)) {
        status = check_call(op, slot->interface, slot->facet);
        if (LIKELY(status == ST_OK)) {
            if (slot->ktype != 0) {
                call_kernel(op, slot, NULL, xfers);
                return;
            }
            table_copy_out(slot, &cap);
            caller[0] = slot->caller[0];
            caller[1] = slot->caller[1];
        }
        table_close(&op->process->table);
    }
    if (UNLIKELY(status != ST_OK)) {
        op_end_transfers(op, xfers, false);
        op_complete(op, status);
    } else {
        endpoint_submit_call(op, &cap, caller, xfers);
    }
}

/* Slots have it at hand. A row of calls is mostly to one server. */
COLD static const uint64_t *caller_for(struct ring *ring, const struct capability *cap)
{
    if (ring->caller_of != cap->object->caller_id) {
        table_caller(&ring->process->table, cap, ring->caller);
        ring->caller_of = cap->object->caller_id;
    }
    return ring->caller;
}

COLD static void call_by_answer(struct op *op, struct capability *cap,
                                const struct op_transfers *xfers)
{
    status_t status = check_call(op, cap->interface, cap->facet);
    if (status != ST_OK) {
        op_end_transfers(op, xfers, false);
        capability_put(cap);
        op_complete(op, status);
    } else if (cap->ktype == 0) {
        endpoint_submit_call(op, cap, caller_for(op->ring, cap), xfers);
    } else {
        call_kernel(op, NULL, cap, xfers);
    }
}

COLD void call_capability(struct op *op, struct capability *cap)
{
    struct op_transfers xfers;
    if (op_capture_transfers(op, INVOKE_MAX_PARAM_CAPS, &xfers)) {
        call_by_answer(op, cap, &xfers);
    } else {
        capability_put(cap);
    }
}

NOINLINE static void call_with_transfers(struct op *op)
{
    struct op_transfers xfers;
    if (op_capture_transfers(op, INVOKE_MAX_PARAM_CAPS, &xfers)) {
        call_slot(op, &xfers);
    }
}

void op_call(struct op *op)
{
    if (UNLIKELY(op->sqe->xfer_count != 0)) {
        call_with_transfers(op);
    } else {
        call_slot(op, &no_transfers);
    }
}
