/* SPDX-License-Identifier: MIT */
/*
 * From a manifest entry to a process with exactly its grants.
 *
 * Each grant line becomes a capability of ours: one that stays (copied) or one made for this
 * instance (moved). The spawn moves all or nothing, so after a refusal those made are released.
 */
#include "abi/capset.h"
#include "capos/print.h"
#include "devices.client.h"
#include "endpoint.client.h"
#include "init.h"
#include "ledger.client.h"
#include "lib/base/bits.h"
#include "lib/base/fmt.h"
#include "lib/base/string.h"
#include "memory.client.h"
#include "process.client.h"
#include "scheduling.client.h"
#include "session.client.h"

struct give {
    capos_cap_t cap;
    bool made; /* for this instance: moved, or released when the spawn is refused */
};

/* Endpoint and exports */

static status_t mint_exports(struct service *s)
{
    const struct graph_service *g = &init.graph.services[s->index];
    for (uint32_t i = 0; i < g->export_count; i++) {
        uint64_t bound_ms =
            ServiceExport_get_bound_ms(ServiceExport_list_at(Service_get_exports(s->r), i));
        status_t status = Endpoint_mint(
            s->endpoint, i + 1, g->export_interface[i], g->export_methods[i], TRANSFER_MODE_COPY,
            (enum SessionScope)g->export_scope[i], bound_ms * 1000000, &s->exports[i]);
        if (status != ST_OK) {
            return status;
        }
    }
    return ST_OK;
}

status_t service_make_endpoint(struct service *s)
{
    if (init.graph.services[s->index].export_count == 0) {
        return ST_OK;
    }
    status_t status = Ledger_new_endpoint(init.ledger, Service_get_max_message_bytes(s->r),
                                          Service_get_max_caps(s->r), &s->endpoint);
    return status == ST_OK ? mint_exports(s) : status;
}

/* Sources */

static status_t make_motd(void)
{
    struct capnp_text text = Manifest_get_motd(init.manifest);
    uint32_t length = text.len < 8192 ? text.len : 8192;
    capos_cap_t memory = 0;
    status_t status =
        Ledger_new_memory_object(init.ledger, align_up((uint64_t)length + 1, 4096), &memory);
    if (status == ST_OK && length != 0) {
        status = MemoryObject_write(memory, 0, text.ptr, length);
    }
    if (status == ST_OK) {
        status = MemoryObject_seal(memory);
    }
    if (status != ST_OK) {
        capos_release(memory);
        return status;
    }
    init.motd = memory;
    return ST_OK;
}

/* Opens the images of a launch set; one that cannot be had is left out (0) and said so: its holder
 * can start the others. Returns how many there are. */
static uint32_t open_programs(struct capnp_list names, capos_cap_t *images)
{
    uint32_t good = 0;
    for (uint32_t i = 0; i < capnp_list_len(names); i++) {
        char payload[64];
        fmt_format(payload, sizeof(payload), "bin/%s", capnp_text_list_at(names, i).ptr);
        status_t status = payload_open(payload, &images[i], NULL);
        if (status == ST_OK) {
            good++;
        } else {
            images[i] = 0;
            capos_log_error("payload %s: %s: %s; it cannot be launched", payload,
                            status_name(status), status_text(status));
        }
    }
    return good;
}

static void put_programs(struct capos_call *call, Program_list_b list, struct capnp_list names,
                         const capos_cap_t *images)
{
    uint32_t at = 0;
    for (uint32_t i = 0; i < capnp_list_len(names); i++) {
        if (images[i] != 0) {
            struct capnp_text name = capnp_text_list_at(names, i);
            Program_b program = Program_list_b_at(list, at++);
            Program_set_name(program, name.ptr, name.len);
            Program_set_image(program, capos_call_copy(call, images[i]));
        }
    }
}

static void copy_limits(ServiceLimit_list_r from, Limit_list_b to)
{
    for (uint32_t i = 0; i < ServiceLimit_list_len(from); i++) {
        ServiceLimit_r limit = ServiceLimit_list_at(from, i);
        Limit_set_ledger_class(Limit_list_b_at(to, i), ServiceLimit_get_class(limit));
        Limit_set_amount(Limit_list_b_at(to, i), ServiceLimit_get_amount(limit));
    }
}

static status_t make_launcher(uint16_t launch_set, capos_cap_t *launcher)
{
    CAPOS_CALL_STATIC(call, ProcessSpawner, new_launcher);
    capos_cap_t images[GRAPH_PROGRAMS_MAX] = {0};
    LaunchSet_r set = LaunchSet_list_at(Manifest_get_launch_sets(init.manifest), launch_set);
    struct capnp_list programs = LaunchSet_get_programs(set);
    ServiceLimit_list_r limits = LaunchSet_get_limits(set);
    capos_call_begin(&call, init.spawner);
    ProcessSpawner_new_launcher_params_b params = ProcessSpawner_new_launcher_begin(&call);
    ProcessSpawner_new_launcher_params_set_max_children(params, LaunchSet_get_max_children(set));
    ProcessSpawner_new_launcher_params_set_watch(params, LaunchSet_get_watch(set));
    copy_limits(limits, ProcessSpawner_new_launcher_params_init_limits(
                            params, ServiceLimit_list_len(limits)));
    uint32_t good = open_programs(programs, images);
    put_programs(&call, ProcessSpawner_new_launcher_params_init_programs(params, good), programs,
                 images);
    status_t status = ProcessSpawner_new_launcher_call(&call);
    if (status == ST_OK) {
        *launcher = capos_call_take(&call, 0, Launcher_ID);
    }
    capos_call_end(&call);
    for (uint32_t i = 0; i < capnp_list_len(programs); i++) {
        capos_release(images[i]);
    }
    return status;
}

static status_t give_kernel(ServiceGrant_source_r source, struct give *give)
{
    switch (ServiceGrant_source_get_kernel(source)) {
    case KERNEL_OBJECT_LOG:
        give->cap = init.log;
        return ST_OK;
    case KERNEL_OBJECT_TIMER:
        give->cap = init.timer;
        return ST_OK;
    case KERNEL_OBJECT_ENTROPY:
        give->cap = init.entropy;
        return ST_OK;
    case KERNEL_OBJECT_SESSIONS:
        give->cap = init.sessions;
        return ST_OK;
    case KERNEL_OBJECT_SCHEDULING:
        give->cap = init.scheduling;
        return ST_OK;
    default:
        return ST_BAD_ARGUMENT;
    }
}

static status_t give_motd(struct give *give)
{
    status_t status = init.motd == 0 ? make_motd() : ST_OK;
    give->cap = init.motd;
    return status;
}

static status_t give_made(struct service *s, ServiceGrant_source_r source,
                          const struct graph_grant *grant, capos_cap_t *cap)
{
    IoPortRange_r ports;
    switch (ServiceGrant_source_which(source)) {
    case SERVICE_GRANT_SOURCE_WHICH_IO_PORTS:
        ports = ServiceGrant_source_get_io_ports(source);
        return IoPortsRoot_open(init.ioports, IoPortRange_get_base(ports),
                                IoPortRange_get_count(ports), cap);
    case SERVICE_GRANT_SOURCE_WHICH_INTERRUPT:
        return InterruptRoot_open(init.interrupts, ServiceGrant_source_get_interrupt(source), cap);
    case SERVICE_GRANT_SOURCE_WHICH_SERVE:
        return Endpoint_lend(s->endpoint, cap);
    case SERVICE_GRANT_SOURCE_WHICH_SUPERVISOR:
        return serve_mint_supervisor(s, cap);
    case SERVICE_GRANT_SOURCE_WHICH_CONTROL:
        return serve_mint_control(cap);
    case SERVICE_GRANT_SOURCE_WHICH_LAUNCHER:
        return make_launcher(grant->launch_set, cap);
    case SERVICE_GRANT_SOURCE_WHICH_PAYLOAD:
        return payload_open(ServiceGrant_source_get_payload(source).ptr, cap, NULL);
    default:
        return ST_BAD_ARGUMENT;
    }
}

static status_t prepare(struct service *s, ServiceGrant_source_r source,
                        const struct graph_grant *grant, struct give *give)
{
    *give = (struct give){0};
    switch (ServiceGrant_source_which(source)) {
    case SERVICE_GRANT_SOURCE_WHICH_KERNEL:
        return give_kernel(source, give);
    case SERVICE_GRANT_SOURCE_WHICH_EXPORT:
        give->cap = init.services[grant->service].exports[grant->export];
        return ST_OK;
    case SERVICE_GRANT_SOURCE_WHICH_MOTD:
        return give_motd(give);
    case SERVICE_GRANT_SOURCE_WHICH_PROCESSOR:
        give->cap = s->context;
        return ST_OK;
    case SERVICE_GRANT_SOURCE_WHICH_SELF:
        return ST_OK;
    default:
        give->made = true;
        return give_made(s, source, grant, &give->cap);
    }
}

/* The spawn */

static void set_grant(struct capos_call *call, struct service *s, Grant_b out, ServiceGrant_r line,
                      const struct graph_grant *grant, const struct give *give)
{
    char origin[64];
    struct capnp_text name = ServiceGrant_get_name(line);
    size_t length = fmt_format(origin, sizeof(origin), "manifest %s.%s", s->name, name.ptr);
    Grant_set_name(out, name.ptr, name.len);
    Grant_set_origin(out, origin, length < sizeof(origin) ? length : sizeof(origin) - 1);
    Grant_set_interface(out, grant->interface);
    Grant_set_methods(out, grant->methods);
    if (give->cap == 0) {
        Grant_set_self(out, ServiceGrant_source_get_self(ServiceGrant_get_source(line)));
    } else {
        Grant_set_transfer(out, give->made ? capos_call_move(call, give->cap)
                                           : capos_call_copy(call, give->cap));
    }
}

/* Prepares all grants of the service; how many were prepared is in *count, also on a refusal. */
static status_t prepare_all(struct service *s, struct give *gives, uint32_t *count)
{
    const struct graph_service *g = &init.graph.services[s->index];
    for (*count = 0; *count < g->grant_count; (*count)++) {
        ServiceGrant_r line = ServiceGrant_list_at(Service_get_grants(s->r), *count);
        status_t status = prepare(s, ServiceGrant_get_source(line),
                                  &init.graph.grants[g->first_grant + *count], &gives[*count]);
        if (status != ST_OK) {
            capos_log_error("%s: grant %s cannot be made: %s: %s", s->name,
                            ServiceGrant_get_name(line).ptr, status_name(status),
                            status_text(status));
            return status;
        }
    }
    return ST_OK;
}

static void fill_spawn(struct capos_call *call, struct service *s, const struct give *gives)
{
    const struct graph_service *g = &init.graph.services[s->index];
    ServiceLimit_list_r limits = Service_get_limits(s->r);
    ProcessSpawner_spawn_params_b params = ProcessSpawner_spawn_begin(call);
    struct capnp_text name = Service_get_name(s->r);
    ProcessSpawner_spawn_params_set_name(params, name.ptr, name.len);
    ProcessSpawner_spawn_params_set_image(params, capos_call_copy(call, s->image));
    ProcessSpawner_spawn_params_set_session(params, capos_call_copy(call, s->now.session));
    if (s->context != 0) {
        ProcessSpawner_spawn_params_set_context(params, capos_call_copy(call, s->context));
    }
    ProcessSpawner_spawn_params_set_ring_entries(params, Service_get_ring_entries(s->r));
    ProcessSpawner_spawn_params_set_stack_bytes(params, Service_get_stack_bytes(s->r));
    copy_limits(limits,
                ProcessSpawner_spawn_params_init_limits(params, ServiceLimit_list_len(limits)));
    Grant_list_b grants = ProcessSpawner_spawn_params_init_grants(params, g->grant_count);
    for (uint32_t i = 0; i < g->grant_count; i++) {
        set_grant(call, s, Grant_list_b_at(grants, i),
                  ServiceGrant_list_at(Service_get_grants(s->r), i),
                  &init.graph.grants[g->first_grant + i], &gives[i]);
    }
}

static status_t call_spawn(struct service *s, const struct give *gives)
{
    CAPOS_CALL_STATIC(call, ProcessSpawner, spawn);
    capos_call_begin(&call, init.spawner);
    fill_spawn(&call, s, gives);
    status_t status = ProcessSpawner_spawn_call(&call);
    if (status == ST_OK) {
        s->now.process = capos_call_take(&call, 0, ProcessHandle_ID);
    } else {
        char text[200];
        call.status = status;
        capos_log_error("%s: %s", s->name, capos_explain(&call, text, sizeof(text)));
    }
    capos_call_end(&call);
    return status;
}

static status_t open_image(struct service *s)
{
    char payload[64];
    if (s->image != 0) {
        return ST_OK;
    }
    fmt_format(payload, sizeof(payload), "bin/%s", Service_get_program(s->r).ptr);
    status_t status = payload_open(payload, &s->image, NULL);
    if (status != ST_OK) {
        capos_log_error("%s: payload %s: %s: %s", s->name, payload, status_name(status),
                        status_text(status));
    }
    return status;
}

/* Every instance works in a session of its own; services see one subject, and the instance as epoch. */
static status_t make_session(struct service *s)
{
    service_leave_session(&s->now);
    status_t status =
        SessionFactory_create(init.sessions, s->name, s->now.number, 0, true, &s->now.session);
    if (status != ST_OK) {
        capos_log_error("%s: no session can be made: %s: %s", s->name, status_name(status),
                        status_text(status));
    }
    return status;
}

/* Its share of the processors, which all its instances have one after the other; on init's ledger. */
static status_t make_context(struct service *s)
{
    CAPOS_CALL_STATIC(call, SchedulingPolicy, new_context);
    ProcessorShare_r share = Service_get_processor(s->r);
    if (s->context != 0 || !Service_has_processor(s->r)) {
        return ST_OK;
    }
    capos_call_begin(&call, init.scheduling);
    SchedulingPolicy_new_context_params_b params = SchedulingPolicy_new_context_begin(&call);
    SchedulingPolicy_new_context_params_set_class(params, ProcessorShare_get_class(share));
    SchedulingPolicy_new_context_params_set_weight(params, ProcessorShare_get_weight(share));
    SchedulingPolicy_new_context_params_set_budget_ns(
        params, (uint64_t)ProcessorShare_get_budget_us(share) * 1000);
    SchedulingPolicy_new_context_params_set_period_ns(
        params, (uint64_t)ProcessorShare_get_period_us(share) * 1000);
    status_t status = SchedulingPolicy_new_context_call(&call);
    if (status == ST_OK) {
        s->context = capos_call_take(&call, 0, SchedulingContext_ID);
    } else {
        capos_log_error("%s: no share of the processors can be made: %s: %s", s->name,
                        status_name(status), status_text(status));
    }
    capos_call_end(&call);
    return status;
}

/* What it started in its session and left behind ends with it. */
void service_leave_session(struct instance *instance)
{
    if (instance->session != 0) {
        (void)Session_close(instance->session); /* it may have closed itself */
        capos_release(instance->session);
        instance->session = 0;
    }
}

status_t service_spawn(struct service *s)
{
    static struct give gives[CAPOS_CAPSET_MAX];
    uint32_t count = 0;
    s->now.number = ++s->instances;
    status_t status = open_image(s);
    if (status == ST_OK) {
        status = make_session(s);
    }
    if (status == ST_OK) {
        status = make_context(s);
    }
    if (status == ST_OK) {
        status = prepare_all(s, gives, &count);
    }
    if (status == ST_OK) {
        status = call_spawn(s, gives);
    }
    if (status != ST_OK) {
        for (uint32_t i = 0; i < count; i++) {
            capos_release(gives[i].made ? gives[i].cap : 0);
        }
    }
    return status;
}
