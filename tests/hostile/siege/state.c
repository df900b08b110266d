/* SPDX-License-Identifier: MIT */
/* What the services are, what they use, and whether they work. */
#include "counter.client.h"
#include "lib/base/fmt.h"
#include "lib/base/string.h"
#include "manual.client.h"
#include "process.client.h"
#include "siege.h"
#include "system_control.client.h"
#include "terminal.client.h"

enum {
    KEPT = 16,
    NAME_BYTES = 32,
    SETTLE_MS = 60000,
    ANSWER_MS = 60000, /* so long in vain: it hangs */
    CLASSES = LEDGER_CLASS_COUNT,
};

struct figures {
    uint64_t used[CLASSES];
};

/* The first stands for the whole system and has no name. */
static struct kept {
    char name[NAME_BYTES];
    uint64_t process_id;
    struct figures figures;
} kept[KEPT];
static unsigned kept_count;

static bool read_figures(const char *service, struct figures *out)
{
    CAPOS_CALL_STATIC(call, SystemControl, usage);
    SystemControl_usage_results_r results;
    capos_call_begin(&call, held("control"));
    call.deadline_ns = now_ns() + ANSWER_MS * MS;
    SystemControl_usage_params_set_service(SystemControl_usage_begin(&call), service,
                                           strlen(service));
    if (SystemControl_usage_call(&call) != ST_OK ||
        SystemControl_usage_results(&call, &results) != ST_OK ||
        !SystemControl_usage_results_get_found(results)) {
        return false;
    }
    memset(out, 0, sizeof(*out));
    Usage_list_r list = SystemControl_usage_results_get_classes(results);
    for (uint32_t i = 0; i < Usage_list_len(list); i++) {
        unsigned class = (unsigned)Usage_get_ledger_class(Usage_list_at(list, i));
        /* What was logged is counted for a second, whoever logs. */
        if (class < CLASSES && class != LEDGER_CLASS_LOG_BYTES) {
            out->used[class] = Usage_get_used(Usage_list_at(list, i));
        }
    }
    return true;
}

/* The services as init tells them. The besieger itself is not looked at. */
static bool each_service(bool (*visit)(ServiceStatus_r status, char *why), char *why)
{
    CAPOS_CALL_STATIC(call, SystemControl, services);
    SystemControl_services_results_r results;
    capos_call_begin(&call, held("control"));
    call.deadline_ns = now_ns() + ANSWER_MS * MS;
    SystemControl_services_begin(&call);
    if (SystemControl_services_call(&call) != ST_OK ||
        SystemControl_services_results(&call, &results) != ST_OK) {
        (void)fmt_format(why, TEXT_BYTES, "control.services: %s", status_name(call.status));
        return false;
    }
    ServiceStatus_list_r list = SystemControl_services_results_get_services(results);
    for (uint32_t i = 0; i < ServiceStatus_list_len(list); i++) {
        ServiceStatus_r status = ServiceStatus_list_at(list, i);
        bool besieger = capnp_text_is(ServiceStatus_get_name(status), "siege");
        if (!besieger && !visit(status, why)) {
            return false;
        }
    }
    return true;
}

static bool is_ready(ServiceStatus_r status, char *why)
{
    (void)fmt_format(why, TEXT_BYTES, "%s is not ready: %s", ServiceStatus_get_name(status).ptr,
                     ServiceStatus_get_last_end(status).ptr);
    return ServiceStatus_get_state(status) == SERVICE_STATE_READY;
}

bool state_wait_ready(void)
{
    char why[TEXT_BYTES];
    uint64_t until = now_ns() + 20000 * MS;
    while (!each_service(is_ready, why)) {
        if (now_ns() > until) {
            return false;
        }
        sleep_ms(10);
    }
    return true;
}

static bool keep_one(ServiceStatus_r status, char *why)
{
    struct kept *one = &kept[kept_count];
    (void)why;
    if (kept_count == KEPT) {
        return false;
    }
    str_copy(one->name, NAME_BYTES, ServiceStatus_get_name(status).ptr);
    one->process_id = ServiceStatus_get_process_id(status);
    kept_count++;
    return read_figures(one->name, &one->figures);
}

bool state_keep(void)
{
    char why[TEXT_BYTES];
    kept_count = 1;
    return read_figures("", &kept[0].figures) && each_service(keep_one, why);
}

static const char *keep_only;

static bool keep_if_named(ServiceStatus_r status, char *why)
{
    (void)why;
    for (unsigned i = 1; i < kept_count; i++) {
        if (strcmp(kept[i].name, keep_only) == 0 &&
            capnp_text_is(ServiceStatus_get_name(status), keep_only)) {
            kept[i].process_id = ServiceStatus_get_process_id(status);
            return read_figures(keep_only, &kept[i].figures);
        }
    }
    return true;
}

bool state_keep_service(const char *name)
{
    char why[TEXT_BYTES];
    keep_only = name;
    return state_wait_ready() && each_service(keep_if_named, why);
}

/* ---- the same? ---- */

static bool is_the_same_process(ServiceStatus_r status, char *why)
{
    for (unsigned i = 1; i < kept_count; i++) {
        if (capnp_text_is(ServiceStatus_get_name(status), kept[i].name) &&
            (ServiceStatus_get_process_id(status) != kept[i].process_id ||
             ServiceStatus_get_state(status) != SERVICE_STATE_READY)) {
            (void)fmt_format(why, TEXT_BYTES, "%s is another process, or not ready: %s",
                             kept[i].name, ServiceStatus_get_last_end(status).ptr);
            return false;
        }
    }
    return true;
}

/* The kernel's own pages are counted whole: init's objects may come to lie on one or two more. Their
 * number is counted exactly in classes of their own. */
static bool is_same(const struct kept *one, unsigned class, uint64_t now)
{
    uint64_t spare = one == kept && class == LEDGER_CLASS_KERNEL_PAGES ? 2 : 0;
    return now >= one->figures.used[class] - spare && now <= one->figures.used[class] + spare;
}

/* The first class that differs. */
static bool figures_same(const struct kept *one, char *why)
{
    struct figures now;
    if (!read_figures(one->name, &now)) {
        (void)fmt_format(why, TEXT_BYTES, "control.usage of %s does not answer", one->name);
        return false;
    }
    for (unsigned i = 0; i < CLASSES; i++) {
        if (!is_same(one, i, now.used[i])) {
            (void)fmt_format(why, TEXT_BYTES, "left behind: %s of %s were %llu, are %llu",
                             LedgerClass_name((enum LedgerClass)i),
                             one->name[0] != '\0' ? one->name : "the system",
                             (unsigned long long)one->figures.used[i],
                             (unsigned long long)now.used[i]);
            return false;
        }
    }
    return true;
}

static bool all_figures_same(char *why)
{
    for (unsigned i = 0; i < kept_count; i++) {
        if (!figures_same(&kept[i], why)) {
            return false;
        }
    }
    return true;
}

static bool works(struct shot *shot, const char *name, uint16_t method, const void *message,
                  uint32_t bytes, char *why)
{
    for (const struct target *target = targets; target->name != NULL; target++) {
        if (strcmp(target->name, name) == 0) {
            aim(shot, held(name), target->interface, method);
        }
    }
    load(shot, message, bytes);
    shot->op.sqe.deadline_ns = now_ns() + ANSWER_MS * MS;
    status_t status = fire(shot);
    (void)fmt_format(why, TEXT_BYTES, "%s does not work: %s", name, status_name(status));
    return status == ST_OK;
}

/* One call to each, which changes nothing. */
bool state_works(char *why)
{
    static const uint64_t blank[] = {(uint64_t)1 << 48, 1 | (uint64_t)2 << 32 | (uint64_t)1 << 35,
                                     ' '}; /* write: one blank */
    static struct shot shot;
    return works(&shot, "registry", SchemaRegistry_list_ORDINAL, NULL, 0, why) &&
           works(&shot, "pages", Manual_topics_ORDINAL, NULL, 0, why) &&
           works(&shot, "counter", Counter_read_ORDINAL, NULL, 0, why) &&
           works(&shot, "terminal", TerminalSession_size_ORDINAL, NULL, 0, why) &&
           works(&shot, "terminal", TerminalSession_write_ORDINAL, blank, sizeof(blank), why);
}

/* What ended gives back what it had a little later: waits, for a while. */
bool state_same(char *why)
{
    if (!state_works(why) || !each_service(is_the_same_process, why)) {
        return false;
    }
    uint64_t until = now_ns() + SETTLE_MS * MS;
    while (!all_figures_same(why)) {
        if (now_ns() > until) {
            return false;
        }
        sleep_ms(5);
    }
    return true;
}
