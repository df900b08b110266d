/* SPDX-License-Identifier: MIT */
/* A service's side of Supervisor: saying that it is ready and alive, hearing that it should end. */
#include "capos/call.h"
#include "capos/serve.h"
#include "capos/start.h"
#include "supervisor.client.h"
#include "status.capnp.h"

static void (*stop_hook)(uint64_t deadline_ns);

static void await_check(capos_cap_t supervisor);

/* init has looked whether this event loop turns. It refuses once when nobody wants to know. */
static void checked(struct capos_op *op)
{
    struct capos_call *call = (struct capos_call *)(void *)op;
    status_t status = call->status;
    capos_cap_t supervisor = call->cap;
    capos_call_end(call);
    if (status == ST_OK) {
        await_check(supervisor);
    }
}

static void await_check(capos_cap_t supervisor)
{
    CAPOS_CALL_STATIC(call, Supervisor, await_check);
    capos_call_begin(&call, supervisor);
    Supervisor_await_check_begin(&call);
    call.op.done = checked;
    Supervisor_await_check_submit(&call);
}

status_t capos_ready(void)
{
    capos_cap_t supervisor = capos_capset_try("supervisor", Supervisor_ID);
    status_t status = supervisor != 0 ? Supervisor_ready(supervisor) : ST_OK;
    if (supervisor != 0 && status == ST_OK) {
        await_check(supervisor);
    }
    return status;
}

static void stop_asked(struct capos_op *op)
{
    const struct capos_call *call = (const struct capos_call *)(void *)op;
    Supervisor_await_stop_results_r results;
    if (call->status == ST_OK && Supervisor_await_stop_results(call, &results) == ST_OK) {
        stop_hook(Supervisor_await_stop_results_get_deadline_ns(results));
    }
}

void capos_on_stop(void (*stop)(uint64_t deadline_ns))
{
    CAPOS_CALL_STATIC(call, Supervisor, await_stop);
    capos_cap_t supervisor = capos_capset_try("supervisor", Supervisor_ID);
    if (supervisor == 0) {
        return;
    }
    stop_hook = stop;
    capos_call_begin(&call, supervisor);
    Supervisor_await_stop_begin(&call);
    call.op.done = stop_asked;
    Supervisor_await_stop_submit(&call);
}
