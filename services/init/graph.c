/* SPDX-License-Identifier: MIT */
/* Checks of names, numbers and order; grants are in graph_grants.c. */
#include "graph_internal.h"

#include <stdarg.h>

#include "abi/capset.h"
#include "abi/ring.h"
#include "lib/base/bits.h"
#include "lib/base/fmt.h"
#include "lib/base/string.h"
#include "nearest.h"

/* Names in a manifest may hold anything, and be of any length, until they have been checked; a
 * message may not. So what is not of the format itself is cut, which leaves the fix to be read. */
struct problem {
    struct fmt_sink sink;
    const char *format;
    size_t format_bytes;
    size_t used;
    char text[GRAPH_TEXT_BYTES];
};

/* Controls of one byte and of two (U+0080 to U+009F) could steer a screen, other characters reorder
 * it; no name that is in order holds any. */
static void put_text(struct problem *problem, const char *bytes, size_t count)
{
    for (size_t i = 0; i < count && problem->used + 1 < sizeof(problem->text); i++) {
        char c = bytes[i];
        problem->text[problem->used++] = c >= ' ' && c <= '~' ? c : '?';
    }
}

static void put_piece(struct fmt_sink *sink, const char *bytes, size_t count)
{
    struct problem *problem = (struct problem *)sink;
    bool ours = (uintptr_t)bytes - (uintptr_t)problem->format < problem->format_bytes;
    if (ours || count <= GRAPH_ARGUMENT_BYTES) {
        put_text(problem, bytes, count);
    } else {
        put_text(problem, bytes, GRAPH_ARGUMENT_BYTES - 3);
        put_text(problem, "...", 3);
    }
}

void graph_problem(struct graph_check *check, const char *format, ...)
{
    check->problems++;
    if (check->problems > GRAPH_PROBLEMS_MAX) {
        return;
    }
    struct problem problem = {{put_piece}, format, strlen(format), 0, {0}};
    va_list args;
    va_start(args, format);
    fmt_vto(&problem.sink, format, args);
    va_end(args);
    check->input->report(check->input->context, problem.text);
}

const struct capos_interface_info *graph_interface(const struct graph_input *input,
                                                   const char *name)
{
    for (size_t i = 0; i < input->interface_count; i++) {
        if (strcmp(input->interfaces[i].name, name) == 0) {
            return &input->interfaces[i];
        }
    }
    return NULL;
}

Service_r graph_service_at(const struct graph_check *check, uint32_t index)
{
    return Service_list_at(Manifest_get_services(check->input->manifest), index);
}

int graph_find_service(const struct graph_check *check, struct capnp_text name)
{
    for (uint32_t i = 0; i < check->graph->service_count; i++) {
        if (strcmp(Service_get_name(graph_service_at(check, i)).ptr, name.ptr) == 0) {
            return (int)i;
        }
    }
    return -1;
}

/* Names */

static bool name_char_ok(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
}

bool graph_name_ok(struct capnp_text name)
{
    if (name.len == 0 || name.len >= CAPOS_CAP_NAME_BYTES) {
        return false;
    }
    for (uint32_t i = 0; i < name.len; i++) {
        if (!name_char_ok(name.ptr[i])) {
            return false;
        }
    }
    return true;
}

static bool text_same(struct capnp_text a, struct capnp_text b)
{
    return a.len == b.len && memcmp(a.ptr, b.ptr, a.len) == 0;
}

static void check_service_names(struct graph_check *check)
{
    for (uint32_t i = 0; i < check->graph->service_count; i++) {
        struct capnp_text name = Service_get_name(graph_service_at(check, i));
        if (!graph_name_ok(name)) {
            graph_problem(check, "services[%u]: the name \"%s\" is not 1 to 31 of [a-z0-9_-]", i,
                          name.ptr);
        }
        for (uint32_t k = 0; k < i; k++) {
            if (text_same(name, Service_get_name(graph_service_at(check, k)))) {
                graph_problem(check, "services.%s: there are two services of this name; rename one",
                              name.ptr);
            }
        }
    }
}

/* Hints */

static const char *hint_text(struct graph_check *check, const struct nearest *search,
                             const char *otherwise)
{
    if (search->best == NULL) {
        return otherwise;
    }
    fmt_format(check->hint, sizeof(check->hint), "did you mean \"%s\"?", search->best);
    return check->hint;
}

const char *graph_hint_service(struct graph_check *check, const char *name, const char *otherwise)
{
    struct nearest search = nearest_to(name);
    for (uint32_t i = 0; i < check->graph->service_count; i++) {
        nearest_try(&search, Service_get_name(graph_service_at(check, i)).ptr);
    }
    return hint_text(check, &search, otherwise);
}

const char *graph_hint_interface(struct graph_check *check, const char *name, const char *otherwise)
{
    struct nearest search = nearest_to(name);
    for (size_t i = 0; i < check->input->interface_count; i++) {
        nearest_try(&search, check->input->interfaces[i].name);
    }
    return hint_text(check, &search, otherwise);
}

/* Numbers */

static void check_numbers(struct graph_check *check, Service_r service)
{
    const char *name = Service_get_name(service).ptr;
    uint32_t message = Service_get_max_message_bytes(service);
    if (message > CAPOS_MAX_MESSAGE_BYTES || message % 8 != 0 || message == 0) {
        graph_problem(check, "services.%s.maxMessageBytes: %u is not a multiple of 8 up to %u",
                      name, message, (unsigned)CAPOS_MAX_MESSAGE_BYTES);
    }
    if (Service_get_max_caps(service) > GRAPH_ENDPOINT_CAPS) {
        graph_problem(check, "services.%s.maxCaps: %u is more than %u", name,
                      Service_get_max_caps(service), (unsigned)GRAPH_ENDPOINT_CAPS);
    }
    if (Service_get_max_restarts(service) > GRAPH_RESTARTS_MAX) {
        graph_problem(check, "services.%s.maxRestarts: %u is more than %u", name,
                      Service_get_max_restarts(service), (unsigned)GRAPH_RESTARTS_MAX);
    }
    if (Service_get_window_ms(service) == 0) {
        graph_problem(check, "services.%s.windowMs: 0 counts no restart; say at least 1", name);
    }
    if (Service_get_readiness(service) == SERVICE_READINESS_READY &&
        Service_get_ready_within_ms(service) == 0) {
        graph_problem(check, "services.%s.readyWithinMs: 0 gives no time; say at least 1", name);
    }
    uint32_t watchdog_ms = Service_get_watchdog_ms(service);
    if (watchdog_ms != 0 && watchdog_ms < GRAPH_WATCHDOG_MIN_MS) {
        graph_problem(check, "services.%s.watchdogMs: %u is too short; 0, or at least %d", name,
                      watchdog_ms, (int)GRAPH_WATCHDOG_MIN_MS);
    }
    uint32_t ring = Service_get_ring_entries(service);
    if (ring != 0 && (!is_power_of_two(ring) || ring < CAPOS_RING_MIN_ENTRIES ||
                      ring > CAPOS_RING_MAX_ENTRIES)) {
        graph_problem(check, "services.%s.ringEntries: %u is not a power of two from %u to %u",
                      name, ring, (unsigned)CAPOS_RING_MIN_ENTRIES,
                      (unsigned)CAPOS_RING_MAX_ENTRIES);
    }
    uint32_t stack = Service_get_stack_bytes(service);
    if (stack % 4096 != 0) {
        graph_problem(check, "services.%s.stackBytes: %u is not a multiple of 4096", name, stack);
    }
}

static void check_choices(struct graph_check *check, Service_r service)
{
    const char *name = Service_get_name(service).ptr;
    if ((unsigned)Service_get_restart(service) > SERVICE_RESTART_ALWAYS) {
        graph_problem(check, "services.%s.restart: unknown kind; use never, onFailure or always",
                      name);
    }
    if ((unsigned)Service_get_readiness(service) > SERVICE_READINESS_READY) {
        graph_problem(check, "services.%s.readiness: unknown kind; use started or ready", name);
    }
    if ((unsigned)Service_get_on_exit(service) > SERVICE_ON_EXIT_REBOOT) {
        graph_problem(check, "services.%s.onExit: unknown kind; use none, shutdown or reboot",
                      name);
    }
}

static bool program_exists(struct graph_check *check, struct capnp_text program)
{
    char payload[64];
    return fmt_format(payload, sizeof(payload), "bin/%s", program.ptr) < sizeof(payload) &&
           check->input->payload_exists(check->input->context, payload);
}

static void check_program(struct graph_check *check, Service_r service)
{
    struct capnp_text program = Service_get_program(service);
    if (!program_exists(check, program)) {
        graph_problem(check,
                      "services.%s.program: the boot archive has no payload \"bin/%s\"; "
                      "build the program into the archive or correct the name",
                      Service_get_name(service).ptr, program.ptr);
    }
}

/* Launch sets */

static void check_launch_set(struct graph_check *check, LaunchSet_r set)
{
    struct capnp_text name = LaunchSet_get_name(set);
    struct capnp_list programs = LaunchSet_get_programs(set);
    uint32_t count = capnp_list_len(programs);
    if (count == 0 || count > GRAPH_PROGRAMS_MAX || count > CAPOS_MAX_TRANSFERS) {
        graph_problem(check, "launchSets.%s.programs: %u programs; 1 to %u are possible", name.ptr,
                      count, (unsigned)min_u64(GRAPH_PROGRAMS_MAX, CAPOS_MAX_TRANSFERS));
    }
    if (LaunchSet_get_max_children(set) == 0) {
        graph_problem(check, "launchSets.%s.maxChildren: 0 starts nothing; say at least 1",
                      name.ptr);
    }
    for (uint32_t i = 0; i < count; i++) {
        struct capnp_text program = capnp_text_list_at(programs, i);
        if (!program_exists(check, program)) {
            graph_problem(check,
                          "launchSets.%s.programs: the boot archive has no payload \"bin/%s\"; "
                          "build the program in or take it out",
                          name.ptr, program.ptr);
        }
        for (uint32_t k = 0; k < i; k++) {
            if (text_same(program, capnp_text_list_at(programs, k))) {
                graph_problem(check,
                              "launchSets.%s.programs: \"%s\" is named twice; once is enough",
                              name.ptr, program.ptr);
            }
        }
    }
}

static void check_launch_sets(struct graph_check *check)
{
    LaunchSet_list_r sets = Manifest_get_launch_sets(check->input->manifest);
    for (uint32_t i = 0; i < LaunchSet_list_len(sets); i++) {
        LaunchSet_r set = LaunchSet_list_at(sets, i);
        struct capnp_text name = LaunchSet_get_name(set);
        uint64_t sums[GRAPH_CLASSES] = {0};
        if (!graph_name_ok(name)) {
            graph_problem(check, "launchSets[%u]: the name \"%s\" is not 1 to 31 of [a-z0-9_-]", i,
                          name.ptr);
        }
        for (uint32_t k = 0; k < i; k++) {
            if (text_same(name, LaunchSet_get_name(LaunchSet_list_at(sets, k)))) {
                graph_problem(check,
                              "launchSets.%s: there are two launch sets of this name; rename one",
                              name.ptr);
            }
        }
        check_launch_set(check, set);
        graph_check_limits(check, "launchSets", name.ptr, LaunchSet_get_limits(set), sums);
    }
}

/* Needs and order */

static void collect_needs(struct graph_check *check, uint32_t index)
{
    Service_r service = graph_service_at(check, index);
    struct capnp_list needs = Service_get_needs(service);
    for (uint32_t i = 0; i < capnp_list_len(needs); i++) {
        struct capnp_text name = capnp_text_list_at(needs, i);
        int found = graph_find_service(check, name);
        if (found < 0) {
            graph_problem(check, "services.%s.needs: there is no service \"%s\"; %s",
                          Service_get_name(service).ptr, name.ptr,
                          graph_hint_service(check, name.ptr, "add it or take the need out"));
        } else {
            check->graph->services[index].needs |= BIT64((unsigned)found);
        }
    }
}

/* Appends `name`s of the services in `set` to text. */
static void name_set(const struct graph_check *check, uint64_t set, char *text, size_t size)
{
    size_t at = 0;
    for (uint32_t i = 0; i < check->graph->service_count && at < size; i++) {
        if (set & BIT64(i)) {
            at += fmt_format(text + at, size - at, "%s%s", at != 0 ? ", " : "",
                             Service_get_name(graph_service_at(check, i)).ptr);
        }
    }
}

/* Takes services whose needs are all placed, in manifest order, until none is left. */
static void find_order(struct graph_check *check)
{
    struct graph *graph = check->graph;
    uint64_t placed = 0;
    uint32_t count = 0;
    for (bool more = true; more;) {
        more = false;
        for (uint32_t i = 0; i < graph->service_count; i++) {
            if ((placed & BIT64(i)) == 0 && (graph->services[i].needs & ~placed) == 0) {
                graph->order[count++] = (uint16_t)i;
                placed |= BIT64(i);
                more = true;
            }
        }
    }
    if (count < graph->service_count) {
        char names[200] = "";
        uint64_t all = BIT64(graph->service_count) - 1;
        name_set(check, all & ~placed, names, sizeof(names));
        graph_problem(
            check,
            "services: %s need each other in a circle (by `needs` or by granted exports), "
            "or need one that does; take one of these out",
            names);
    }
}

static void check_services(struct graph_check *check)
{
    uint64_t sums[GRAPH_CLASSES] = {0};
    check_service_names(check);
    for (uint32_t i = 0; i < check->graph->service_count; i++) {
        Service_r service = graph_service_at(check, i);
        check_numbers(check, service);
        check_choices(check, service);
        check_program(check, service);
        graph_check_limits(check, "services", Service_get_name(service).ptr,
                           Service_get_limits(service), sums);
        graph_check_processor(check, service, sums);
        graph_check_exports(check, i);
    }
    for (uint32_t i = 0; i < check->graph->service_count; i++) {
        collect_needs(check, i);
        graph_check_grants(check, i);
    }
    graph_check_sums(check, sums);
    find_order(check);
}

bool graph_check(const struct graph_input *input, struct graph *graph)
{
    struct graph_check check = {.input = input, .graph = graph};
    memset(graph, 0, sizeof(*graph));
    uint32_t count = Service_list_len(Manifest_get_services(input->manifest));
    if (Manifest_get_schema_version(input->manifest) != 1) {
        graph_problem(&check, "schemaVersion: %u; this system reads version 1",
                      Manifest_get_schema_version(input->manifest));
    }
    if (count == 0 || count > GRAPH_SERVICES_MAX) {
        graph_problem(&check, "services: %u of them; 1 to %u are possible", count,
                      (unsigned)GRAPH_SERVICES_MAX);
        return false;
    }
    graph->service_count = count;
    check_launch_sets(&check);
    check_services(&check);
    return check.problems == 0;
}
