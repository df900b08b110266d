/* SPDX-License-Identifier: MIT */
/* init: read the manifest, check it, start, supervise. init.h says how it works. */
#include "init.h"

#include <stdarg.h>

#include "boot.client.h"
#include "capabilities.client.h"
#include "capos/print.h"
#include "capos/start.h"
#include "devices.client.h"
#include "entropy.client.h"
#include "kernel_log.client.h"
#include "ledger.client.h"
#include "lib/base/fmt.h"
#include "lib/base/string.h"
#include "memory.client.h"
#include "power.client.h"
#include "process.client.h"
#include "session.client.h"
#include "time.client.h"

struct init init;

uint64_t init_now_ns(void)
{
    uint64_t now = 0;
    Timer_now(init.timer, &now);
    return now;
}

NORETURN void init_halt(enum init_halt_code code, const char *format, ...)
{
    char text[400];
    va_list args;
    va_start(args, format);
    fmt_vformat(text, sizeof(text), format, args);
    va_end(args);
    capos_log_error("HALT: %s", text);
    console_say("");
    console_say(text);
    console_say("capOS has stopped.");
    Power_off(init.power, (uint8_t)code);
    capos_exit(code);
}

static void take_grants(void)
{
    init.log = CAPOS_NEED("log", KernelLog);
    init.power = CAPOS_NEED("power", Power);
    init.boot = CAPOS_NEED("boot", BootPackage);
    init.spawner = CAPOS_NEED("spawner", ProcessSpawner);
    init.ledger = CAPOS_NEED("ledger", Ledger);
    init.ioports = CAPOS_NEED("ioports", IoPortsRoot);
    init.interrupts = CAPOS_NEED("interrupts", InterruptRoot);
    init.timer = CAPOS_NEED("timer", Timer);
    init.entropy = CAPOS_NEED("entropy", Entropy);
    init.memory = CAPOS_NEED("memory", VirtualMemory);
    init.sessions = CAPOS_NEED("sessions", SessionFactory);
    init.scheduling = CAPOS_NEED("scheduling", SchedulingPolicy);
}

/* The manifest */

/* The value of the word `manifest=` of the kernel's command line, else "manifest". */
static void manifest_name(char *name, size_t size)
{
    static const char key[] = "manifest=";
    uint64_t length = 0;
    str_copy(name, size, "manifest");
    /* Not a payload of the archive: the kernel makes it, and no list names it. */
    const void *bytes;
    if (payload_map("cmdline", &bytes, &length) != ST_OK) {
        return;
    }
    const char *line = bytes;
    for (uint64_t at = 0; line != NULL && at + sizeof(key) - 1 < length; at++) {
        bool begins = at == 0 || line[at - 1] == ' ';
        if (begins && memcmp(line + at, key, sizeof(key) - 1) == 0) {
            const char *value = line + at + sizeof(key) - 1;
            uint64_t end = 0;
            uint64_t left = length - at - (sizeof(key) - 1);
            while (end < left && value[end] != ' ' && value[end] != '\0' && end + 1 < size) {
                name[end] = value[end];
                end++;
            }
            name[end] = '\0';
            return;
        }
    }
}

static void read_manifest(void)
{
    char name[64];
    uint64_t size = 0;
    manifest_name(name, sizeof(name));
    const void *message;
    status_t read = payload_map(name, &message, &size);
    if (read != ST_OK) {
        init_halt(
            HALT_MANIFEST,
            "the manifest, payload \"%s\" of the boot archive, cannot be read: %s: %s; rebuild "
            "the archive, or correct the word manifest= of the kernel's command line",
            name, status_name(read), status_text(read));
    }
    enum capnp_status status = Manifest_read(message, (size_t)size, &init.manifest);
    if (status != CAPNP_OK) {
        init_halt(HALT_MANIFEST, "the manifest \"%s\" is malformed (%s); rebuild the boot archive",
                  name, capnp_status_name(status));
    }
}

static bool exists(void *context, const char *name)
{
    (void)context;
    return payload_exists(name);
}

static void report(void *context, const char *problem)
{
    (void)context;
    capos_log_error("manifest: %s", problem);
    console_say(problem);
}

/* What the ledger of init still has to give. */
static void read_available(uint64_t *available)
{
    CAPOS_CALL_STATIC(call, Ledger, usage);
    Ledger_usage_results_r results;
    for (uint32_t i = 0; i < GRAPH_CLASSES; i++) {
        available[i] = UINT64_MAX;
    }
    capos_call_begin(&call, init.ledger);
    Ledger_usage_begin(&call);
    if (Ledger_usage_call(&call) != ST_OK || Ledger_usage_results(&call, &results) != ST_OK) {
        return;
    }
    Usage_list_r classes = Ledger_usage_results_get_classes(results);
    for (uint32_t i = 0; i < Usage_list_len(classes); i++) {
        Usage_r usage = Usage_list_at(classes, i);
        unsigned class = (unsigned)Usage_get_ledger_class(usage);
        if (class < GRAPH_CLASSES) {
            available[class] = Usage_get_limit(usage) - Usage_get_used(usage);
        }
    }
}

static void check_manifest(void)
{
    struct graph_input input = {
        .manifest = init.manifest,
        .interfaces = capos_interfaces,
        .interface_count = capos_interface_count,
        .payload_exists = exists,
        .report = report,
    };
    read_available(input.available);
    if (!graph_check(&input, &init.graph)) {
        init_halt(HALT_MANIFEST,
                  "the manifest is refused for the reasons above; nothing was started");
    }
}

static void set_up_services(void)
{
    init.service_count = init.graph.service_count;
    for (uint32_t i = 0; i < init.service_count; i++) {
        struct service *s = &init.services[i];
        s->index = i;
        s->r = Service_list_at(Manifest_get_services(init.manifest), i);
        s->name = Service_get_name(s->r).ptr;
        s->state = SERVICE_STATE_WAITING;
        status_t status = service_make_endpoint(s);
        if (status != ST_OK) {
            init_halt(HALT_MANIFEST, "services.%s: its endpoint or exports cannot be made: %s",
                      s->name, status_name(status));
        }
    }
}

/* The loop */

static uint64_t next_deadline(void)
{
    uint64_t earliest = CAPOS_FOREVER;
    for (uint32_t i = 0; i < init.service_count; i++) {
        uint64_t deadline = init.services[i].deadline_ns;
        if (deadline != 0 && deadline < earliest) {
            earliest = deadline;
        }
    }
    return earliest;
}

static void run_deadlines(void)
{
    uint64_t now = init_now_ns();
    for (uint32_t i = 0; i < init.service_count; i++) {
        struct service *s = &init.services[i];
        bool passed = s->deadline_ns != 0 && s->deadline_ns <= now;
        if (passed && (init.goal == GOAL_RUN || s->state == SERVICE_STATE_STOPPING)) {
            service_deadline(s);
        }
    }
}

int capos_main(void)
{
    take_grants();
    read_manifest();
    check_manifest();
    set_up_services();
    serve_start();
    for (;;) {
        if (init.goal == GOAL_RUN) {
            services_start_waiting();
        }
        if (init.goal != GOAL_RUN) { /* perhaps only now: by a service that could not be started */
            capos_push();
            services_shut_down();
        }
        capos_step(next_deadline());
        run_deadlines();
    }
}
