/* SPDX-License-Identifier: MIT */
/* Checks of exports and grants: does each source exist, and is it what the line says it is? */
#include "abi/capset.h"
#include "abi/ring.h"
#include "graph_internal.h"
#include "lib/base/bits.h"
#include "lib/base/string.h"

/* What a source offers. */
struct offer {
    const struct capos_interface_info *interface; /* NULL: a problem has been reported */
    uint64_t methods;
};

/* Where we are, for messages: services.<service>.grants.<grant>. */
struct line {
    struct graph_check *check;
    uint32_t index;
    const char *service;
    const char *grant;
    ServiceGrant_r r;
    ServiceGrant_source_r source;
    struct graph_grant *out;
};

/* Exports */

static void check_export(struct graph_check *check, uint32_t index, uint32_t number)
{
    Service_r service = graph_service_at(check, index);
    const char *service_name = Service_get_name(service).ptr;
    ServiceExport_r export = ServiceExport_list_at(Service_get_exports(service), number);
    const char *name = ServiceExport_get_name(export).ptr;
    const char *type = ServiceExport_get_interface(export).ptr;
    if (!graph_name_ok(ServiceExport_get_name(export))) {
        graph_problem(check, "services.%s.exports: the name \"%s\" is not 1 to 31 of [a-z0-9_-]",
                      service_name, name);
    }
    const struct capos_interface_info *info = graph_interface(check->input, type);
    if (info == NULL || info->kernel) {
        graph_problem(check, "services.%s.exports.%s: %s \"%s\"; %s", service_name, name,
                      info == NULL ? "there is no interface" : "only the kernel can serve", type,
                      info == NULL ? graph_hint_interface(check, type, "name one of schema/")
                                   : "export one that a service can implement");
        return;
    }
    unsigned mode = (unsigned)ServiceExport_get_transfer_mode(export);
    if (mode != TRANSFER_MODE_COPY) {
        graph_problem(check,
                      "services.%s.exports.%s: transferMode must be copy, or the export could not "
                      "be granted again after a restart",
                      service_name, name);
    }
    check->graph->services[index].export_interface[number] = info->base_id;
    check->graph->services[index].export_methods[number] = info->methods;
    check->graph->services[index].export_scope[number] = info->scope;
}

void graph_check_exports(struct graph_check *check, uint32_t index)
{
    Service_r service = graph_service_at(check, index);
    ServiceExport_list_r exports = Service_get_exports(service);
    uint32_t count = ServiceExport_list_len(exports);
    if (count > GRAPH_EXPORTS_MAX) {
        graph_problem(check, "services.%s.exports: %u exports; %u are possible",
                      Service_get_name(service).ptr, count, (unsigned)GRAPH_EXPORTS_MAX);
        count = GRAPH_EXPORTS_MAX;
    }
    check->graph->services[index].export_count = count;
    for (uint32_t i = 0; i < count; i++) {
        check_export(check, index, i);
        const char *name = ServiceExport_get_name(ServiceExport_list_at(exports, i)).ptr;
        for (uint32_t k = 0; k < i; k++) {
            if (strcmp(name, ServiceExport_get_name(ServiceExport_list_at(exports, k)).ptr) == 0) {
                graph_problem(
                    check, "services.%s.exports.%s: there are two exports of this name; rename one",
                    Service_get_name(service).ptr, name);
            }
        }
    }
}

/* Sources */

/* An offer of the interface or facet of this name; the tables linked in must know it. */
static struct offer offer_of(struct line *line, const char *type)
{
    const struct capos_interface_info *info = graph_interface(line->check->input, type);
    if (info == NULL) {
        graph_problem(line->check, "services.%s.grants.%s: this init does not know interface %s",
                      line->service, line->grant, type);
        return (struct offer){NULL, 0};
    }
    return (struct offer){info, info->methods};
}

static struct offer offer_kernel(struct line *line)
{
    switch (ServiceGrant_source_get_kernel(line->source)) {
    case KERNEL_OBJECT_LOG:
        return offer_of(line, "KernelLog");
    case KERNEL_OBJECT_TIMER:
        return offer_of(line, "Timer");
    case KERNEL_OBJECT_ENTROPY:
        return offer_of(line, "Entropy");
    case KERNEL_OBJECT_SCHEDULING:
        return offer_of(line, "SchedulingPolicy");
    case KERNEL_OBJECT_SESSIONS:
        return offer_of(line, "SessionFactory");
    default:
        graph_problem(line->check, "services.%s.grants.%s: unknown kernel object", line->service,
                      line->grant);
        return (struct offer){NULL, 0};
    }
}

static struct offer offer_self(struct line *line)
{
    switch (ServiceGrant_source_get_self(line->source)) {
    case SELF_OBJECT_LEDGER:
        return offer_of(line, "Ledger");
    case SELF_OBJECT_VIRTUAL_MEMORY:
        return offer_of(line, "VirtualMemory");
    case SELF_OBJECT_CAPABILITY_MANAGER:
        return offer_of(line, "CapabilityManager");
    case SELF_OBJECT_PROCESS_HANDLE:
        return offer_of(line, "ProcessHandle");
    case SELF_OBJECT_THREAD_SPAWNER:
        return offer_of(line, "ThreadSpawner");
    case SELF_OBJECT_THREAD_CONTROL:
        return offer_of(line, "ThreadControl");
    case SELF_OBJECT_SESSION:
        return offer_of(line, "SessionInfo");
    default:
        graph_problem(line->check, "services.%s.grants.%s: unknown own object", line->service,
                      line->grant);
        return (struct offer){NULL, 0};
    }
}

static struct offer offer_ports(struct line *line)
{
    IoPortRange_r range = ServiceGrant_source_get_io_ports(line->source);
    uint32_t base = IoPortRange_get_base(range);
    uint32_t count = IoPortRange_get_count(range);
    if (count == 0 || base + count > 65536) {
        graph_problem(line->check, "services.%s.grants.%s: I/O ports 0x%x and %u more do not exist",
                      line->service, line->grant, base, count);
    }
    return offer_of(line, "IoPorts");
}

static int find_export(struct line *line, uint32_t service, const char *name)
{
    ServiceExport_list_r exports = Service_get_exports(graph_service_at(line->check, service));
    for (uint32_t i = 0; i < line->check->graph->services[service].export_count; i++) {
        if (strcmp(ServiceExport_get_name(ServiceExport_list_at(exports, i)).ptr, name) == 0) {
            return (int)i;
        }
    }
    return -1;
}

static const struct capos_interface_info *interface_by_id(struct line *line, uint64_t id)
{
    const struct graph_input *input = line->check->input;
    for (size_t i = 0; i < input->interface_count; i++) {
        if (input->interfaces[i].id == id) {
            return &input->interfaces[i];
        }
    }
    return NULL;
}

static struct offer offer_export(struct line *line)
{
    ExportRef_r ref = ServiceGrant_source_get_export(line->source);
    const char *service_name = ExportRef_get_service(ref).ptr;
    const char *export_name = ExportRef_get_export(ref).ptr;
    int service = graph_find_service(line->check, ExportRef_get_service(ref));
    if (service < 0) {
        graph_problem(line->check, "services.%s.grants.%s: there is no service \"%s\"; %s",
                      line->service, line->grant, service_name,
                      graph_hint_service(line->check, service_name, "add it or correct the name"));
        return (struct offer){NULL, 0};
    }
    int export = find_export(line, (uint32_t)service, export_name);
    if (export < 0) {
        graph_problem(line->check,
                      "services.%s.grants.%s: service %s has no export \"%s\"; add it there or "
                      "correct the name",
                      line->service, line->grant, service_name, export_name);
        return (struct offer){NULL, 0};
    }
    const struct graph_service *owner = &line->check->graph->services[service];
    line->out->service = (uint16_t)service;
    line->out->export = (uint16_t) export;
    line->check->graph->services[line->index].needs |= BIT64((unsigned)service);
    return (struct offer){interface_by_id(line, owner->export_interface[export]),
                          owner->export_methods[export]};
}

static struct offer offer_launcher(struct line *line)
{
    const char *name = ServiceGrant_source_get_launcher(line->source).ptr;
    LaunchSet_list_r sets = Manifest_get_launch_sets(line->check->input->manifest);
    for (uint32_t i = 0; i < LaunchSet_list_len(sets); i++) {
        if (strcmp(LaunchSet_get_name(LaunchSet_list_at(sets, i)).ptr, name) == 0) {
            line->out->launch_set = (uint16_t)i;
            return offer_of(line, "Launcher");
        }
    }
    graph_problem(
        line->check,
        "services.%s.grants.%s: there is no launch set \"%s\"; add it or correct the name",
        line->service, line->grant, name);
    return (struct offer){NULL, 0};
}

static struct offer offer_payload(struct line *line)
{
    const struct graph_input *input = line->check->input;
    const char *name = ServiceGrant_source_get_payload(line->source).ptr;
    if (!input->payload_exists(input->context, name)) {
        graph_problem(line->check,
                      "services.%s.grants.%s: the boot archive has no payload \"%s\"; build it in "
                      "or correct the name",
                      line->service, line->grant, name);
    }
    return offer_of(line, "MemoryReader");
}

static struct offer offer_processor(struct line *line)
{
    if (!Service_has_processor(graph_service_at(line->check, line->index))) {
        graph_problem(line->check,
                      "services.%s.grants.%s: the service has no `processor`; say what it gets",
                      line->service, line->grant);
    }
    return offer_of(line, "SchedulingContext");
}

static struct offer offer(struct line *line)
{
    switch (ServiceGrant_source_which(line->source)) {
    case SERVICE_GRANT_SOURCE_WHICH_KERNEL:
        return offer_kernel(line);
    case SERVICE_GRANT_SOURCE_WHICH_IO_PORTS:
        return offer_ports(line);
    case SERVICE_GRANT_SOURCE_WHICH_INTERRUPT:
        return offer_of(line, "Interrupt");
    case SERVICE_GRANT_SOURCE_WHICH_SELF:
        return offer_self(line);
    case SERVICE_GRANT_SOURCE_WHICH_EXPORT:
        return offer_export(line);
    case SERVICE_GRANT_SOURCE_WHICH_SERVE:
        return offer_of(line, "EndpointServe");
    case SERVICE_GRANT_SOURCE_WHICH_SUPERVISOR:
        return offer_of(line, "Supervisor");
    case SERVICE_GRANT_SOURCE_WHICH_CONTROL:
        return offer_of(line, "SystemControl");
    case SERVICE_GRANT_SOURCE_WHICH_LAUNCHER:
        return offer_launcher(line);
    case SERVICE_GRANT_SOURCE_WHICH_PAYLOAD:
        return offer_payload(line);
    case SERVICE_GRANT_SOURCE_WHICH_MOTD:
        return offer_of(line, "MemoryReader");
    case SERVICE_GRANT_SOURCE_WHICH_PROCESSOR:
        return offer_processor(line);
    default:
        graph_problem(line->check, "services.%s.grants.%s: this init does not know its source",
                      line->service, line->grant);
        return (struct offer){NULL, 0};
    }
}

/* Grants */

static void check_interface(struct line *line, struct offer offered)
{
    const char *type = ServiceGrant_get_interface(line->r).ptr;
    const struct capos_interface_info *info = graph_interface(line->check->input, type);
    if (info == NULL) {
        graph_problem(line->check, "services.%s.grants.%s: there is no interface \"%s\"; %s",
                      line->service, line->grant, type,
                      graph_hint_interface(line->check, type,
                                           "name one of schema/ (a facet is a type of its own)"));
        return;
    }
    if (offered.interface == NULL) {
        return;
    }
    if (info->base_id != offered.interface->base_id) {
        graph_problem(line->check,
                      "services.%s.grants.%s: its source is of interface %s, not %s; say %s or a "
                      "facet of it",
                      line->service, line->grant, offered.interface->name, type,
                      offered.interface->name);
        return;
    }
    if ((info->methods & ~offered.methods) != 0) {
        graph_problem(line->check,
                      "services.%s.grants.%s: %s has methods that its source (%s) does not offer; "
                      "name a narrower facet",
                      line->service, line->grant, type, offered.interface->name);
    }
    line->out->interface = info->base_id;
    line->out->methods = info->methods;
}

static void check_grant_name(struct line *line, uint32_t number)
{
    ServiceGrant_list_r grants = Service_get_grants(graph_service_at(line->check, line->index));
    if (!graph_name_ok(ServiceGrant_get_name(line->r))) {
        graph_problem(line->check,
                      "services.%s.grants: the name \"%s\" is not 1 to 31 of [a-z0-9_-]",
                      line->service, line->grant);
    }
    for (uint32_t i = 0; i < number; i++) {
        if (strcmp(ServiceGrant_get_name(ServiceGrant_list_at(grants, i)).ptr, line->grant) == 0) {
            graph_problem(line->check,
                          "services.%s.grants.%s: there are two grants of this name; rename one",
                          line->service, line->grant);
        }
    }
}

/* Sources that go together with other fields of the service. */
static void check_companions(struct graph_check *check, uint32_t index, uint32_t sources)
{
    Service_r service = graph_service_at(check, index);
    const char *name = Service_get_name(service).ptr;
    bool serves = (sources & BIT64(SERVICE_GRANT_SOURCE_WHICH_SERVE)) != 0;
    bool exports = check->graph->services[index].export_count != 0;
    if (serves != exports) {
        graph_problem(check, "services.%s: %s", name,
                      serves ? "a grant `serve` but no exports; add one or drop the grant"
                             : "exports, but no grant with source `serve` to serve them with");
    }
    if (Service_get_readiness(service) == SERVICE_READINESS_READY &&
        (sources & BIT64(SERVICE_GRANT_SOURCE_WHICH_SUPERVISOR)) == 0) {
        graph_problem(check,
                      "services.%s: readiness is `ready`, but there is no grant with source "
                      "`supervisor` to say so with",
                      name);
    }
}

static void check_counts(struct graph_check *check, uint32_t index, uint32_t count,
                         uint32_t transfers)
{
    const char *name = Service_get_name(graph_service_at(check, index)).ptr;
    if (count > CAPOS_CAPSET_MAX || transfers > CAPOS_MAX_TRANSFERS) {
        graph_problem(check,
                      "services.%s.grants: %u grants, %u of them given by init; %u and %u are "
                      "possible",
                      name, count, transfers, (unsigned)CAPOS_CAPSET_MAX,
                      (unsigned)CAPOS_MAX_TRANSFERS);
    }
}

void graph_check_grants(struct graph_check *check, uint32_t index)
{
    struct graph *graph = check->graph;
    Service_r service = graph_service_at(check, index);
    ServiceGrant_list_r grants = Service_get_grants(service);
    uint32_t count = ServiceGrant_list_len(grants);
    uint32_t sources = 0;
    uint32_t transfers = 0;
    graph->services[index].first_grant = graph->grant_count;
    if (count > GRAPH_GRANTS_MAX - graph->grant_count) {
        graph_problem(check, "services.%s.grants: the manifest has too many grants in all",
                      Service_get_name(service).ptr);
        return;
    }
    for (uint32_t i = 0; i < count; i++) {
        ServiceGrant_r r = ServiceGrant_list_at(grants, i);
        struct line line = {check,
                            index,
                            Service_get_name(service).ptr,
                            ServiceGrant_get_name(r).ptr,
                            r,
                            ServiceGrant_get_source(r),
                            &graph->grants[graph->grant_count++]};
        unsigned which = (unsigned)ServiceGrant_source_which(line.source);
        sources |= which < 32 ? (uint32_t)BIT64(which) : 0;
        transfers += which != SERVICE_GRANT_SOURCE_WHICH_SELF;
        check_grant_name(&line, i);
        check_interface(&line, offer(&line));
    }
    graph->services[index].grant_count = count;
    check_counts(check, index, count, transfers);
    check_companions(check, index, sources);
}
