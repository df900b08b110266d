/* SPDX-License-Identifier: MIT */
#include "apps/shell/services.h"

#include "apps/shell/loop.h"
#include "apps/shell/names.h"
#include "apps/shell/nearest.h"
#include "apps/shell/term.h"
#include "capos/call.h"
#include "lib/base/string.h"
#include "system_control.client.h"
#include "time.client.h"

enum { NS_PER_MS = 1000000, RECORDS = 8 };

#define TEXT_ARGS(text) (int)(text).len, (text).ptr

CAPOS_CALL_STATIC(services_call, SystemControl, services);

static const struct held *find_control(void)
{
    for (struct held *held = names_next(NULL); held != NULL; held = names_next(held)) {
        if (held->interface == SystemControl_ID && (held->methods & SystemStatus_FACET) != 0) {
            return held;
        }
    }
    return NULL;
}

/* The list, which stays until services_call is used again. False: why not has been told, unless quiet. */
static bool ask(bool quiet, ServiceStatus_list_r *list)
{
    char text[256];
    bool interrupted = false;
    const struct held *control = find_control();
    SystemControl_services_results_r results;
    if (control == NULL) {
        if (!quiet) {
            term_error("nothing here can ask init: a SystemStatus is needed, which the manifest "
                       "grants");
        }
        return false;
    }
    capos_call_begin(&services_call, control->cap);
    SystemControl_services_begin(&services_call);
    capos_params_finish(&services_call);
    if (loop_call(&services_call, &interrupted) == ST_OK &&
        SystemControl_services_results(&services_call, &results) == ST_OK) {
        *list = SystemControl_services_results_get_services(results);
        return true;
    }
    if (!interrupted && !quiet) {
        term_error("%s", capos_explain(&services_call, text, sizeof(text)));
    }
    capos_call_end(&services_call);
    return false;
}

static const char *state_name(ServiceStatus_r service)
{
    const char *name = ServiceState_name(ServiceStatus_get_state(service));
    return name != NULL ? name : "?";
}

static uint64_t now_ns(void)
{
    uint64_t now = 0;
    struct held *timer = names_find((struct span){"timer", 5});
    if (timer != NULL && timer->interface == Timer_ID) {
        (void)Timer_now(timer->cap, &now);
    }
    return now;
}

/* "12.3 s", or nothing without a clock. */
static void since_text(uint64_t now, ServiceStatus_r service, char *buf, size_t size)
{
    uint64_t since = ServiceStatus_get_since_ns(service);
    uint64_t ms = now > since ? (now - since) / NS_PER_MS : 0;
    buf[0] = 0;
    if (now != 0) {
        fmt_format(buf, size, "%llu.%llu s", (unsigned long long)(ms / 1000),
                   (unsigned long long)(ms % 1000 / 100));
    }
}

static void show_row(uint64_t now, ServiceStatus_r service)
{
    char since[24];
    struct capnp_text name = ServiceStatus_get_name(service);
    struct capnp_text end = ServiceStatus_get_last_end(service);
    bool failed = ServiceStatus_get_state(service) == SERVICE_STATE_FAILED;
    since_text(now, service, since, sizeof(since));
    term_styled(failed ? TERMINAL_SESSION_STYLE_ERROR : TERMINAL_SESSION_STYLE_PLAIN,
                "  %-16.*s %-11s %10s %8u %8llu  %.*s\n", TEXT_ARGS(name), state_name(service),
                since, ServiceStatus_get_restarts(service),
                (unsigned long long)ServiceStatus_get_process_id(service), TEXT_ARGS(end));
}

static void show_table(ServiceStatus_list_r list)
{
    uint64_t now = now_ns();
    term_styled(TERMINAL_SESSION_STYLE_HEADING, "  %-16s %-11s %10s %8s %8s  %s\n", "SERVICE",
                "STATE", "SINCE", "RESTARTS", "PROCESS", "LAST END");
    for (uint32_t i = 0; i < ServiceStatus_list_len(list); i++) {
        show_row(now, ServiceStatus_list_at(list, i));
    }
}

static void show_one(ServiceStatus_r service, struct span name)
{
    char since[24];
    struct capnp_text program = ServiceStatus_get_program(service);
    struct capnp_text end = ServiceStatus_get_last_end(service);
    since_text(now_ns(), service, since, sizeof(since));
    term_printf("service %.*s, program %.*s: %s%s%s, process %llu, %u restarts\n", SPAN_ARGS(name),
                TEXT_ARGS(program), state_name(service), since[0] != 0 ? " since " : "", since,
                (unsigned long long)ServiceStatus_get_process_id(service),
                ServiceStatus_get_restarts(service));
    if (end.len > 0) {
        term_printf("the instance before this ended: %.*s (code %lld)\n", TEXT_ARGS(end),
                    (long long)ServiceStatus_get_last_exit_code(service));
    }
}

/* False: there is none, which is told with the nearest. */
static bool find(ServiceStatus_list_r list, struct span name, ServiceStatus_r *out)
{
    struct nearest nearest;
    nearest_begin(&nearest, name);
    for (uint32_t i = 0; i < ServiceStatus_list_len(list); i++) {
        *out = ServiceStatus_list_at(list, i);
        struct capnp_text text = ServiceStatus_get_name(*out);
        if (span_equals(name, (struct span){text.ptr, text.len})) {
            return true;
        }
        nearest_offer(&nearest, (struct span){text.ptr, text.len});
    }
    if (nearest.best.len > 0) {
        term_error("no service '%.*s'; the nearest is '%.*s'", SPAN_ARGS(name),
                   SPAN_ARGS(nearest.best));
    } else {
        term_error("no service '%.*s'; 'services' lists them", SPAN_ARGS(name));
    }
    return false;
}

void services_show(struct span name)
{
    ServiceStatus_list_r list;
    ServiceStatus_r one;
    if (!ask(false, &list)) {
        return;
    }
    if (name.len == 0) {
        show_table(list);
    } else if (find(list, name, &one)) {
        show_one(one, name);
        (void)logs_of_service(name, RECORDS);
    }
    capos_call_end(&services_call);
}

void services_tell_degraded(void)
{
    ServiceStatus_list_r list;
    unsigned failed = 0;
    if (!ask(true, &list)) {
        return;
    }
    for (uint32_t i = 0; i < ServiceStatus_list_len(list); i++) {
        ServiceStatus_r service = ServiceStatus_list_at(list, i);
        struct capnp_text name = ServiceStatus_get_name(service);
        if (ServiceStatus_get_state(service) == SERVICE_STATE_FAILED) {
            term_styled(TERMINAL_SESSION_STYLE_ERROR, "%s%.*s", failed++ == 0 ? "degraded: " : ", ",
                        TEXT_ARGS(name));
        }
    }
    if (failed > 0) {
        term_styled(TERMINAL_SESSION_STYLE_ERROR, " %s failed; 'services' tells more\n",
                    failed == 1 ? "has" : "have");
    }
    capos_call_end(&services_call);
}
