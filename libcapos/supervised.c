/* SPDX-License-Identifier: MIT */
/* A service's side of Supervisor: saying that it is ready, hearing that it should end. */
#include "capos/call.h"
#include "capos/serve.h"
#include "capos/start.h"
#include "supervisor.client.h"
#include "status.capnp.h"

static void (*stop_hook)(uint64_t deadline_ns);

status_t capos_ready(void)
{
    capos_cap_t supervisor = capos_capset_try("supervisor", Supervisor_ID);
    return supervisor != 0 ? Supervisor_ready(supervisor) : ST_OK;
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
