/* SPDX-License-Identifier: MIT */
/*
 * What init serves: Supervisor, one object for each instance of a service, and SystemControl.
 *
 * They have an endpoint each: every living service may have an awaitStop waiting, so Supervisor has
 * many small requests; SystemControl has a few large ones, of which restart may keep some.
 */
#include "capos/print.h"
#include "capos/serve.h"
#include "capos/start.h"
#include "endpoint.client.h"
#include "init.h"
#include "ledger.client.h"
#include "lib/base/string.h"
#include "process.client.h"
#include "supervisor.client.h"
#include "system_control.client.h"

enum {
    SUPERVISOR_REQUESTS =
        3 * GRAPH_SERVICES_MAX + 4, /* awaitStop, awaitHandover, awaitCheck of each */
    SUPERVISOR_MESSAGE = 64,
    CONTROL_REQUESTS = 4,
    CONTROL_REPLY = SystemControl_services_MAX_RESULTS_BYTES,
    RESTARTS_KEPT = CONTROL_REQUESTS - 2, /* the others still take shutdown and services */
    CONTROL_KEY = 1,
};

/* Supervisor. Key: instance in the upper, index + 1 in the lower half. */

static struct instance *instance_of(struct service *s, const struct capos_request *req)
{
    uint64_t number = req->key >> 32;
    if (s->now.process != 0 && s->now.number == number) {
        return &s->now;
    }
    return s->other.process != 0 && s->other.number == number ? &s->other : NULL;
}

static bool supervisor_find(struct capos_request *req)
{
    uint32_t index = (uint32_t)req->key - 1;
    if (index >= init.service_count) {
        return false;
    }
    struct service *s = &init.services[index];
    req->object = s;
    return instance_of(s, req) != NULL;
}

static enum capos_outcome supervisor_ready(struct capos_request *req,
                                           Supervisor_ready_params_r params,
                                           Supervisor_ready_results_b results)
{
    struct service *s = req->object;
    (void)params;
    (void)results;
    if (instance_of(s, req) == &s->now) {
        service_is_ready(s);
    } else if (s->upgrade == UPGRADE_STARTING) {
        capos_log("%s: the new instance serves without taking over", s->name);
        upgrade_give_up(s);
    }
    return CAPOS_REPLY;
}

/* Keeps the request where another may be. The newest waits: of one that was cancelled init hears nothing
 * until it answers it. */
static enum capos_outcome keep(struct capos_request **place, struct capos_request *req)
{
    if (*place != NULL) {
        struct capos_request *older = *place;
        capos_fail(older, CAPOS_EXC_OVERLOADED, "a later one took its place");
        capos_reply(older);
    }
    *place = req;
    return CAPOS_DEFERRED;
}

static enum capos_outcome supervisor_await_stop(struct capos_request *req,
                                                Supervisor_await_stop_params_r params,
                                                Supervisor_await_stop_results_b results)
{
    struct service *s = req->object;
    struct instance *instance = instance_of(s, req);
    (void)params;
    if (s->state == SERVICE_STATE_STOPPING && instance == &s->now) {
        Supervisor_await_stop_results_set_deadline_ns(results, s->deadline_ns);
        return CAPOS_REPLY;
    }
    return keep(&instance->stop_request, req);
}

static enum capos_outcome supervisor_await_handover(struct capos_request *req,
                                                    Supervisor_await_handover_params_r params,
                                                    Supervisor_await_handover_results_b results)
{
    (void)params;
    (void)results;
    return keep(&instance_of(req->object, req)->handover_request, req);
}

static enum capos_outcome supervisor_hand_over(struct capos_request *req,
                                               Supervisor_hand_over_params_r params,
                                               Supervisor_hand_over_results_b results)
{
    struct service *s = req->object;
    (void)results;
    if (instance_of(s, req) != &s->now) {
        return capos_fail(req, CAPOS_EXC_FAILED, "it does not serve");
    }
    return upgrade_hand_over(s, req, Supervisor_hand_over_params_get_bytes(params));
}

static enum capos_outcome supervisor_take_over(struct capos_request *req,
                                               Supervisor_take_over_params_r params,
                                               Supervisor_take_over_results_b results)
{
    struct service *s = req->object;
    (void)params;
    (void)results;
    return upgrade_take_over(s, req, instance_of(s, req) == &s->other);
}

static enum capos_outcome supervisor_await_check(struct capos_request *req,
                                                 Supervisor_await_check_params_r params,
                                                 Supervisor_await_check_results_b results)
{
    struct service *s = req->object;
    struct instance *instance = instance_of(s, req);
    (void)params;
    (void)results;
    if (Service_get_watchdog_ms(s->r) == 0) {
        return capos_fail(req, CAPOS_EXC_FAILED, "the manifest sets no watchdog for it");
    }
    if (instance == &s->now) {
        service_is_alive(s);
    }
    return keep(&instance->check_request, req);
}

static const struct Supervisor_server supervisor_ops = {
    .ready = supervisor_ready,
    .await_stop = supervisor_await_stop,
    .await_handover = supervisor_await_handover,
    .hand_over = supervisor_hand_over,
    .take_over = supervisor_take_over,
    .await_check = supervisor_await_check,
};

/* SystemControl */

static enum capos_outcome control_shutdown(struct capos_request *req,
                                           SystemControl_shutdown_params_r params,
                                           SystemControl_shutdown_results_b results)
{
    (void)req;
    (void)params;
    (void)results;
    capos_log("shutdown asked for");
    init.goal = GOAL_OFF;
    return CAPOS_REPLY;
}

static enum capos_outcome control_reboot(struct capos_request *req,
                                         SystemControl_reboot_params_r params,
                                         SystemControl_reboot_results_b results)
{
    (void)req;
    (void)params;
    (void)results;
    capos_log("reboot asked for");
    init.goal = GOAL_REBOOT;
    return CAPOS_REPLY;
}

static struct service *find_service(struct capnp_text name)
{
    for (uint32_t i = 0; i < init.service_count; i++) {
        if (capnp_text_is(name, init.services[i].name)) {
            return &init.services[i];
        }
    }
    return NULL;
}

static uint32_t restarts_kept(void)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < init.service_count; i++) {
        kept += init.services[i].restart_request != NULL;
        kept += init.services[i].upgrade_request != NULL;
    }
    return kept;
}

static enum capos_outcome control_upgrade(struct capos_request *req,
                                          SystemControl_upgrade_params_r params,
                                          SystemControl_upgrade_results_b results)
{
    struct service *s = find_service(SystemControl_upgrade_params_get_service(params));
    enum SystemControl_UpgradeOutcome outcome;
    if (init.goal != GOAL_RUN) {
        outcome = SYSTEM_CONTROL_UPGRADE_OUTCOME_SHUTTING_DOWN;
    } else if (s == NULL) {
        outcome = SYSTEM_CONTROL_UPGRADE_OUTCOME_UNKNOWN_SERVICE;
    } else if (restarts_kept() >= RESTARTS_KEPT) {
        return capos_fail(req, CAPOS_EXC_OVERLOADED, "%d restarts are under way; wait for one",
                          (int)RESTARTS_KEPT);
    } else {
        outcome = upgrade_begin(s, SystemControl_upgrade_params_get_program(params));
        if (outcome == SYSTEM_CONTROL_UPGRADE_OUTCOME_DONE) {
            s->upgrade_request = req;
            return CAPOS_DEFERRED;
        }
    }
    SystemControl_upgrade_results_set_outcome(results, outcome);
    return CAPOS_REPLY;
}

static enum capos_outcome control_restart(struct capos_request *req,
                                          SystemControl_restart_params_r params,
                                          SystemControl_restart_results_b results)
{
    struct service *s = find_service(SystemControl_restart_params_get_service(params));
    enum SystemControl_RestartOutcome outcome = SYSTEM_CONTROL_RESTART_OUTCOME_NOT_RUNNING;
    if (init.goal != GOAL_RUN) {
        outcome = SYSTEM_CONTROL_RESTART_OUTCOME_SHUTTING_DOWN;
    } else if (s == NULL) {
        outcome = SYSTEM_CONTROL_RESTART_OUTCOME_UNKNOWN_SERVICE;
    } else if (restarts_kept() >= RESTARTS_KEPT) {
        return capos_fail(req, CAPOS_EXC_OVERLOADED, "%d restarts are under way; wait for one",
                          (int)RESTARTS_KEPT);
    } else if (s->restart_request == NULL && service_restart_by_operator(s)) {
        s->restart_request = req;
        return CAPOS_DEFERRED;
    }
    SystemControl_restart_results_set_outcome(results, outcome);
    return CAPOS_REPLY;
}

void serve_restarted(struct service *s, enum SystemControl_RestartOutcome outcome)
{
    struct capos_request *req = s->restart_request;
    if (req == NULL) {
        return;
    }
    s->restart_request = NULL;
    SystemControl_restart_results_b results =
        SystemControl_restart_results_init(capos_results_builder(req));
    SystemControl_restart_results_set_outcome(results, outcome);
    SystemControl_restart_reply(req);
}

/* How much of a lastEnd goes out, so that all services fit a reply however long their names are. The
 * log has it whole. */
enum {
    STATUS_WORDS = 7 * 8,   /* of one entry, its three pointers among them */
    STATUS_NAME_BYTES = 32, /* and a program's 64: names of payloads are shorter */
    STATUS_PROGRAM_BYTES = 64,
    STATUS_END_BYTES = 96,
};
_Static_assert(64 + GRAPH_SERVICES_MAX * (STATUS_WORDS + STATUS_NAME_BYTES + STATUS_PROGRAM_BYTES +
                                          STATUS_END_BYTES) <=
                   CONTROL_REPLY,
               "the status of every service fits one reply");

static void put_status(ServiceStatus_b out, const struct service *s)
{
    struct capnp_text program = Service_get_program(s->r);
    ServiceStatus_set_name(out, s->name, strlen(s->name));
    ServiceStatus_set_program(out, program.ptr, program.len);
    ServiceStatus_set_state(out, s->state);
    ServiceStatus_set_restarts(out, s->restarts);
    ServiceStatus_set_process_id(out, s->now.process_id);
    ServiceStatus_set_last_exit_code(out, s->last_exit_code);
    ServiceStatus_set_since_ns(out, s->since_ns);
    ServiceStatus_set_last_end(out, s->last_end, strnlen(s->last_end, STATUS_END_BYTES - 1));
}

static enum capos_outcome control_services(struct capos_request *req,
                                           SystemControl_services_params_r params,
                                           SystemControl_services_results_b results)
{
    (void)req;
    (void)params;
    ServiceStatus_list_b list =
        SystemControl_services_results_init_services(results, init.service_count);
    for (uint32_t i = 0; i < init.service_count; i++) {
        put_status(ServiceStatus_list_b_at(list, i), &init.services[init.graph.order[i]]);
    }
    return CAPOS_REPLY;
}

/* What the classes of a ledger say, as the kernel told it. */
static enum capos_outcome put_usage(SystemControl_usage_results_b results, Usage_list_r from)
{
    SystemControl_usage_results_set_found(results, true);
    Usage_list_b to = SystemControl_usage_results_init_classes(results, Usage_list_len(from));
    for (uint32_t i = 0; i < Usage_list_len(from); i++) {
        Usage_r usage = Usage_list_at(from, i);
        Usage_b copy = Usage_list_b_at(to, i);
        Usage_set_ledger_class(copy, Usage_get_ledger_class(usage));
        Usage_set_used(copy, Usage_get_used(usage));
        Usage_set_limit(copy, Usage_get_limit(usage));
    }
    return CAPOS_REPLY;
}

static enum capos_outcome refused(struct capos_request *req, const struct capos_call *call)
{
    char text[160];
    return capos_fail(req, CAPOS_EXC_FAILED, "%s", capos_explain(call, text, sizeof(text)));
}

static enum capos_outcome usage_of_system(struct capos_request *req,
                                          SystemControl_usage_results_b results)
{
    CAPOS_CALL_STATIC(call, Ledger, usage);
    Ledger_usage_results_r usage;
    capos_call_begin(&call, init.ledger);
    Ledger_usage_begin(&call);
    if (Ledger_usage_call(&call) != ST_OK || Ledger_usage_results(&call, &usage) != ST_OK) {
        return refused(req, &call);
    }
    return put_usage(results, Ledger_usage_results_get_classes(usage));
}

static enum capos_outcome usage_of_service(struct capos_request *req, const struct service *s,
                                           SystemControl_usage_results_b results)
{
    CAPOS_CALL_STATIC(call, ProcessHandle, info);
    ProcessHandle_info_results_r info;
    capos_call_begin(&call, s->now.process);
    ProcessHandle_info_begin(&call);
    if (ProcessHandle_info_call(&call) != ST_OK ||
        ProcessHandle_info_results(&call, &info) != ST_OK) {
        return refused(req, &call);
    }
    return put_usage(results, ProcessHandle_info_results_get_ledger(info));
}

static enum capos_outcome control_usage(struct capos_request *req,
                                        SystemControl_usage_params_r params,
                                        SystemControl_usage_results_b results)
{
    struct capnp_text name = SystemControl_usage_params_get_service(params);
    if (name.len == 0) {
        return usage_of_system(req, results);
    }
    const struct service *s = find_service(name);
    return s != NULL && s->now.process != 0 ? usage_of_service(req, s, results) : CAPOS_REPLY;
}

static const struct SystemControl_server control_ops = {
    .shutdown = control_shutdown,
    .reboot = control_reboot,
    .restart = control_restart,
    .upgrade = control_upgrade,
    .services = control_services,
    .usage = control_usage,
};

/* Start */

static const struct capos_interface supervisor_interfaces[] = {
    {Supervisor_ID, Supervisor_dispatch, &supervisor_ops},
};
static const struct capos_interface control_interfaces[] = {
    {SystemControl_ID, SystemControl_dispatch, &control_ops},
};

static void lost(struct capos_server *server, status_t why)
{
    (void)server;
    init_halt(HALT_INIT, "init cannot receive calls any more: %s", status_name(why));
}

static struct capos_server supervisor_server = {
    .interfaces = supervisor_interfaces,
    .interface_count = 1,
    .params_max_bytes = SUPERVISOR_MESSAGE,
    .reply_max_bytes = SUPERVISOR_MESSAGE,
    .reply_caps_max = 1,
    .find = supervisor_find,
    .ended = lost,
};
static struct capos_server control_server = {
    .interfaces = control_interfaces,
    .interface_count = 1,
    .request_count = CONTROL_REQUESTS,
    .params_max_bytes = CONTROL_REPLY,
    .reply_max_bytes = CONTROL_REPLY,
    .ended = lost,
};

CAPOS_SERVER_STORAGE(supervisor_storage, SUPERVISOR_REQUESTS, SUPERVISOR_MESSAGE,
                     SUPERVISOR_MESSAGE, 1);
CAPOS_SERVER_STORAGE(control_storage, CONTROL_REQUESTS, CONTROL_REPLY, CONTROL_REPLY, 0);

static void start_one(struct capos_server *server, uint32_t message_bytes, capos_cap_t *endpoint,
                      void *storage, size_t storage_bytes)
{
    status_t status = Ledger_new_endpoint(init.ledger, message_bytes, server->caps_max, endpoint);
    if (status == ST_OK) {
        status = capos_server_start(server, *endpoint, storage, storage_bytes);
    }
    if (status != ST_OK) {
        init_halt(HALT_INIT, "init cannot serve: %s", status_name(status));
    }
}

void serve_start(void)
{
    supervisor_server.request_count = 3 * init.service_count + 4;
    start_one(&supervisor_server, SUPERVISOR_MESSAGE, &init.supervisor_endpoint, supervisor_storage,
              sizeof(supervisor_storage));
    start_one(&control_server, CONTROL_REPLY, &init.control_endpoint, control_storage,
              sizeof(control_storage));
}

status_t serve_mint_supervisor(struct service *s, capos_cap_t *object)
{
    uint64_t key = s->now.number << 32 | (s->index + 1);
    return Endpoint_mint(init.supervisor_endpoint, key, Supervisor_ID, Supervisor_FACET,
                         TRANSFER_MODE_MOVE, Supervisor_SESSION_SCOPE, 0, object);
}

status_t serve_mint_control(capos_cap_t *object)
{
    return Endpoint_mint(init.control_endpoint, CONTROL_KEY, SystemControl_ID, SystemControl_FACET,
                         TRANSFER_MODE_COPY, SystemControl_SESSION_SCOPE, 0, object);
}
