/* SPDX-License-Identifier: MIT */
/* The states of services: starting in order, what an end means, ending in order. */
#include "abi/syscall.h"
#include "capos/fault.h"
#include "capos/print.h"
#include "capos/start.h"
#include "endpoint.client.h"
#include "init.h"
#include "lib/base/bits.h"
#include "lib/base/fmt.h"
#include "lib/base/string.h"
#include "power.client.h"
#include "process.client.h"
#include "supervisor.client.h"

enum {
    NS_PER_MS = 1000000,
    FIRST_DELAY_MS =
        50, /* the first restart in a window is at once, then this, doubled each time */
    MAX_DELAY_MS = 2000,
};

static void service_exited(struct capos_op *op);
static void service_ended(struct service *s, bool clean);
static void service_over(struct service *s, bool clean);
static void service_terminate(struct service *s);

static bool service_lives(const struct service *s)
{
    return s->now.process != 0 || s->other.process != 0;
}

/* So long from now, or a part of it; 0 without a watchdog. */
static uint64_t watchdog_deadline(const struct service *s, uint32_t part)
{
    uint64_t ns = (uint64_t)Service_get_watchdog_ms(s->r) * NS_PER_MS;
    return ns != 0 ? init_now_ns() + ns / part : 0;
}

void service_set_state(struct service *s, enum ServiceState state)
{
    s->state = state;
    s->since_ns = init_now_ns();
    s->deadline_ns = 0;
    if (state == SERVICE_STATE_READY) {
        s->deadline_ns = watchdog_deadline(s, 1);
    }
}

/* Half of the time passes before a service that waits is answered; it has the whole time to come back. */
void service_is_alive(struct service *s)
{
    if (s->state == SERVICE_STATE_READY) {
        s->deadline_ns = watchdog_deadline(s, 2);
    }
}

static void check_life(struct service *s)
{
    struct capos_request *req = s->now.check_request;
    if (req != NULL) {
        s->now.check_request = NULL;
        (void)Supervisor_await_check_results_init(capos_results_builder(req));
        Supervisor_await_check_reply(req);
        s->deadline_ns = watchdog_deadline(s, 1);
        return;
    }
    capos_log_error("%s: no sign of life within %u ms: terminated", s->name,
                    Service_get_watchdog_ms(s->r));
    s->hung = true;
    service_terminate(s);
}

/* Starting */

/* A service that will not come is waited for no longer: what needs it starts without it, and its
 * calls end disconnected. (When it was critical the system has halted already.) */
static bool needs_are_met(const struct service *s)
{
    uint64_t needs = init.graph.services[s->index].needs;
    for (uint32_t i = 0; i < init.service_count; i++) {
        const struct service *other = &init.services[i];
        bool over = other->state == SERVICE_STATE_FAILED || other->state == SERVICE_STATE_STOPPED;
        if ((needs & BIT64(i)) && !other->has_been_ready && !over) {
            return false;
        }
    }
    return true;
}

static void read_process_id(struct service *s)
{
    CAPOS_CALL_STATIC(call, ProcessHandle, info);
    ProcessHandle_info_results_r info;
    capos_call_begin(&call, s->now.process);
    ProcessHandle_info_begin(&call);
    s->now.process_id = 0;
    if (ProcessHandle_info_call(&call) == ST_OK &&
        ProcessHandle_info_results(&call, &info) == ST_OK) {
        s->now.process_id = ProcessHandle_info_results_get_process_id(info);
    }
}

/* Refusals that no second try can change. */
static bool is_hopeless(status_t status)
{
    return status == ST_BAD_HASH || status == ST_BAD_IMAGE || status == ST_NOT_FOUND ||
           status == ST_NOT_SEALED || status == ST_NOT_TRANSFERABLE;
}

status_t service_start_instance(struct service *s)
{
    status_t status = service_spawn(s);
    if (status != ST_OK) {
        service_leave_session(&s->now);
        return status;
    }
    struct capos_op *op = &s->exit_ops[s->now.exit_slot];
    capos_op_init_wait(op, s->now.process, CAPOS_EVENT_EXIT, 0);
    op->done = service_exited;
    op->cookie = s;
    capos_op_submit(op);
    read_process_id(s);
    return ST_OK;
}

static void service_start(struct service *s)
{
    service_set_state(s, SERVICE_STATE_STARTING);
    s->hung = false;
    status_t status = service_start_instance(s);
    if (status != ST_OK) {
        fmt_format(s->last_end, sizeof(s->last_end), "could not be started: %s%s",
                   status_name(status),
                   status == ST_QUOTA ? ", there is too little memory for it" : "");
        capos_log_error("%s: %s", s->name, s->last_end);
        if (is_hopeless(status)) {
            service_over(s, false);
        } else {
            service_ended(s, false);
        }
        return;
    }
    capos_log("%s: started as process %llu", s->name, (unsigned long long)s->now.process_id);
    if (Service_get_readiness(s->r) == SERVICE_READINESS_STARTED) {
        service_is_ready(s);
    } else {
        s->deadline_ns = s->since_ns + (uint64_t)Service_get_ready_within_ms(s->r) * NS_PER_MS;
    }
}

static void note_all_started(void)
{
    uint32_t ready = 0;
    for (uint32_t i = 0; i < init.service_count; i++) {
        const struct service *s = &init.services[i];
        if (!s->has_been_ready && s->state != SERVICE_STATE_FAILED) {
            return;
        }
        ready += s->has_been_ready;
    }
    init.all_started = true;
    if (ready == init.service_count) {
        capos_log("%u of %u services are ready", ready, init.service_count);
    } else {
        capos_log_warning("degraded: %u of %u services are ready", ready, init.service_count);
    }
}

void services_start_waiting(void)
{
    for (uint32_t i = 0; i < init.service_count && init.goal == GOAL_RUN; i++) {
        struct service *s = &init.services[init.graph.order[i]];
        if (s->state == SERVICE_STATE_WAITING && needs_are_met(s)) {
            service_start(s);
        }
    }
    if (!init.all_started) {
        note_all_started();
    }
}

void service_is_ready(struct service *s)
{
    if (s->state != SERVICE_STATE_STARTING) {
        return;
    }
    uint64_t took_ns = init_now_ns() - s->since_ns;
    service_set_state(s, SERVICE_STATE_READY);
    s->has_been_ready = true;
    serve_restarted(s, SYSTEM_CONTROL_RESTART_OUTCOME_DONE);
    upgrade_advance(s);
    if (Service_get_readiness(s->r) == SERVICE_READINESS_READY) {
        capos_log("%s: ready after %llu ms", s->name, (unsigned long long)(took_ns / NS_PER_MS));
    }
}

/* What became of an instance */

/* In the record of the service; the registers go to the log. */
static void describe_fault(struct service *s, FaultRecord_r fault)
{
    char text[CAPOS_FAULT_BYTES];
    capos_fault_text(fault, text, sizeof(text));
    fmt_format(s->last_end, sizeof(s->last_end), "fault: %s", text);
    struct capnp_list list = FaultRecord_get_registers(fault);
    for (uint32_t line = 0; capos_registers_line(list, line, text, sizeof(text)) != 0; line++) {
        capos_log("%s: %s", s->name, text);
    }
}

/* Reads the exit and fault record; true when it was an exit with code 0. */
static bool describe_end(struct service *s)
{
    CAPOS_CALL_STATIC(call, ProcessHandle, info);
    ProcessHandle_info_results_r info;
    capos_call_begin(&call, s->now.process);
    ProcessHandle_info_begin(&call);
    if (ProcessHandle_info_call(&call) != ST_OK ||
        ProcessHandle_info_results(&call, &info) != ST_OK) {
        s->last_exit_code = (int64_t)s->exit_ops[s->now.exit_slot].cqe.signal;
        fmt_format(s->last_end, sizeof(s->last_end), "code %lld, no record of how",
                   (long long)s->last_exit_code);
        return s->last_exit_code == 0;
    }
    s->last_exit_code = ProcessHandle_info_results_get_exit_code(info);
    switch (ProcessHandle_info_results_get_state(info)) {
    case PROCESS_STATE_FAULTED:
        describe_fault(s, ProcessHandle_info_results_get_fault(info));
        return false;
    case PROCESS_STATE_TERMINATED:
        str_copy(s->last_end, sizeof(s->last_end),
                 s->hung ? "terminated: it gave no sign of life" : "terminated");
        return false;
    default:
        fmt_format(s->last_end, sizeof(s->last_end), "exit code %lld",
                   (long long)s->last_exit_code);
        return s->last_exit_code == 0;
    }
}

static void drop_request(struct capos_request **place)
{
    if (*place != NULL) {
        struct capos_request *req = *place;
        *place = NULL;
        capos_fail(req, CAPOS_EXC_DISCONNECTED, "this instance has ended");
        capos_reply(req);
    }
}

void service_forget_instance(struct service *s, struct instance *instance)
{
    (void)s;
    drop_request(&instance->stop_request);
    drop_request(&instance->handover_request);
    drop_request(&instance->take_over_request);
    drop_request(&instance->check_request);
    capos_release(instance->process);
    service_leave_session(instance);
    *instance = (struct instance){.exit_slot = instance->exit_slot};
}

static void hold_vacant(struct service *s, uint32_t ms)
{
    if (s->endpoint == 0) {
        return;
    }
    status_t status = Endpoint_vacant(s->endpoint, init_now_ns() + (uint64_t)ms * NS_PER_MS);
    if (status != ST_OK) {
        capos_log_warning("%s: its endpoint cannot be held vacant: %s", s->name,
                          status_name(status));
    }
}

static void service_exited(struct capos_op *op)
{
    struct service *s = op->cookie;
    if (op != &s->exit_ops[s->now.exit_slot]) {
        upgrade_other_ended(s);
        return;
    }
    bool clean = describe_end(s);
    if (clean || init.goal != GOAL_RUN || s->restart_asked) {
        capos_log("%s: ended: %s", s->name, s->last_end);
    } else {
        capos_log_warning("%s: ended: %s", s->name, s->last_end);
    }
    struct instance *ended = upgrade_serving_ended(s) ? &s->other : &s->now;
    service_forget_instance(s, ended);
    if (ended == &s->now) {
        service_ended(s, clean);
    } else {
        hold_vacant(s, Service_get_vacancy_ms(s->r));
    }
}

/* Restarting */

/* Restarts that the window still counts. */
static uint32_t recent_restarts(struct service *s)
{
    uint64_t window_ns = (uint64_t)Service_get_window_ms(s->r) * NS_PER_MS;
    uint64_t now = init_now_ns();
    uint32_t kept = 0;
    for (uint32_t i = 0; i < s->ends_count; i++) {
        if (now - s->ends_ns[i] < window_ns) {
            s->ends_ns[kept++] = s->ends_ns[i];
        }
    }
    s->ends_count = kept;
    return kept;
}

static bool wants_restart(const struct service *s, bool clean)
{
    switch (Service_get_restart(s->r)) {
    case SERVICE_RESTART_ALWAYS:
        return true;
    case SERVICE_RESTART_ON_FAILURE:
        return !clean;
    default:
        return false;
    }
}

/* Who waits for a service that will not come. */
static void note_dependents(const struct service *failed)
{
    for (uint32_t i = 0; i < init.service_count; i++) {
        const struct service *s = &init.services[i];
        if (s->state == SERVICE_STATE_WAITING && !failed->has_been_ready &&
            (init.graph.services[i].needs & BIT64(failed->index)) != 0) {
            capos_log_warning("%s: starts without %s, which has failed", s->name, failed->name);
        }
    }
}

/* Ended for good. */
static void service_over(struct service *s, bool clean)
{
    hold_vacant(s, 0);
    service_set_state(s, clean ? SERVICE_STATE_STOPPED : SERVICE_STATE_FAILED);
    serve_restarted(s, SYSTEM_CONTROL_RESTART_OUTCOME_FAILED);
    enum Service_OnExit action = Service_get_on_exit(s->r);
    if (!clean) {
        note_dependents(s);
    }
    if (!clean && Service_get_critical(s->r)) {
        init_halt(HALT_CRITICAL,
                  "the critical service %s is lost (%s); the system cannot go on without it",
                  s->name, s->last_end);
    }
    if (action != SERVICE_ON_EXIT_NONE && init.goal == GOAL_RUN) {
        capos_log("%s has ended for good: the system goes down", s->name);
        init.goal = action == SERVICE_ON_EXIT_REBOOT ? GOAL_REBOOT : GOAL_OFF;
    }
}

static void schedule_restart(struct service *s, uint32_t recent)
{
    uint64_t delay_ms = recent == 0 ? 0 : (uint64_t)FIRST_DELAY_MS << (recent - 1);
    s->ends_ns[s->ends_count++] = init_now_ns();
    s->restarts++;
    hold_vacant(s, Service_get_vacancy_ms(s->r));
    service_set_state(s, SERVICE_STATE_BACKING_OFF);
    s->deadline_ns = s->since_ns + min_u64(delay_ms, MAX_DELAY_MS) * NS_PER_MS;
    if (s->deadline_ns == 0) {
        s->deadline_ns = 1;
    }
    capos_log("%s: starting it again (%u of %u in %u s)", s->name, recent + 1,
              Service_get_max_restarts(s->r), Service_get_window_ms(s->r) / 1000);
}

static void service_ended(struct service *s, bool clean)
{
    if (s->upgrade != UPGRADE_NONE) {
        upgrade_is_over(s, false);
    }
    if (init.goal != GOAL_RUN) {
        service_set_state(s, SERVICE_STATE_STOPPED);
        serve_restarted(s, SYSTEM_CONTROL_RESTART_OUTCOME_SHUTTING_DOWN);
        return;
    }
    if (s->restart_asked) {
        s->restart_asked = false;
        s->restarts++;
        hold_vacant(s, Service_get_vacancy_ms(s->r));
        service_set_state(s, SERVICE_STATE_BACKING_OFF);
        s->deadline_ns = 1;
        return;
    }
    uint32_t recent = recent_restarts(s);
    if (!wants_restart(s, clean)) {
        service_over(s, clean);
    } else if (recent >= Service_get_max_restarts(s->r)) {
        capos_log_error("%s: ended %u times within %u s: it is not started again", s->name,
                        recent + 1, Service_get_window_ms(s->r) / 1000);
        service_over(s, false);
    } else {
        schedule_restart(s, recent);
    }
}

bool service_restart_by_operator(struct service *s)
{
    s->ends_count = 0;
    switch (s->state) {
    case SERVICE_STATE_STARTING:
    case SERVICE_STATE_READY:
        s->restart_asked = true;
        service_stop(s);
        return true;
    case SERVICE_STATE_STOPPED:
    case SERVICE_STATE_FAILED:
        s->restarts++;
        service_set_state(s, SERVICE_STATE_BACKING_OFF);
        s->deadline_ns = 1;
        return true;
    default:
        return false;
    }
}

/* Ending */

static void service_terminate(struct service *s)
{
    s->deadline_ns = 0;
    status_t status = ProcessHandle_terminate(s->now.process);
    if (status != ST_OK && status != ST_BAD_STATE) {
        capos_log_warning("%s: terminate: %s", s->name, status_name(status));
    }
}

void service_stop(struct service *s)
{
    if (s->now.process == 0 || s->state == SERVICE_STATE_STOPPING) {
        return;
    }
    upgrade_give_up(s);
    service_set_state(s, SERVICE_STATE_STOPPING);
    if (s->now.stop_request == NULL) {
        service_terminate(s);
        return;
    }
    struct capos_request *req = s->now.stop_request;
    s->now.stop_request = NULL;
    s->deadline_ns = s->since_ns + (uint64_t)Service_get_stop_within_ms(s->r) * NS_PER_MS;
    Supervisor_await_stop_results_b results =
        Supervisor_await_stop_results_init(capos_results_builder(req));
    Supervisor_await_stop_results_set_deadline_ns(results, s->deadline_ns);
    Supervisor_await_stop_reply(req);
}

void service_deadline(struct service *s)
{
    s->deadline_ns = 0;
    switch (s->state) {
    case SERVICE_STATE_STARTING:
        capos_log_warning("%s: not ready within %u ms: terminated", s->name,
                          Service_get_ready_within_ms(s->r));
        service_terminate(s);
        break;
    case SERVICE_STATE_BACKING_OFF:
        service_start(s);
        break;
    case SERVICE_STATE_UPGRADING:
        capos_log_warning("%s: not taken over within %u ms", s->name,
                          Service_get_ready_within_ms(s->r));
        upgrade_give_up(s);
        break;
    case SERVICE_STATE_READY:
        check_life(s);
        break;
    case SERVICE_STATE_STOPPING:
        capos_log_warning("%s: did not end in time: terminated", s->name);
        service_terminate(s);
        break;
    default:
        break;
    }
}

/* Shutting down */

static bool has_living_dependent(const struct service *s)
{
    for (uint32_t i = 0; i < init.service_count; i++) {
        if (service_lives(&init.services[i]) &&
            (init.graph.services[i].needs & BIT64(s->index)) != 0) {
            return true;
        }
    }
    return false;
}

static NORETURN void power_down(void)
{
    capos_log("all services have ended; %s",
              init.goal == GOAL_REBOOT ? "starting anew" : "powering off");
    if (init.goal == GOAL_REBOOT) {
        Power_reset(init.power);
    }
    Power_off(init.power, HALT_OK);
    capos_exit(HALT_OK);
}

void services_shut_down(void)
{
    bool any = false;
    for (uint32_t i = init.service_count; i > 0; i--) {
        struct service *s = &init.services[init.graph.order[i - 1]];
        if (!service_lives(s)) {
            s->deadline_ns = 0;
            continue;
        }
        any = true;
        if (s->state != SERVICE_STATE_STOPPING && !has_living_dependent(s)) {
            service_stop(s);
        }
    }
    if (!any) {
        power_down();
    }
}
