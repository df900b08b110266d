/* SPDX-License-Identifier: MIT */
#include "apps/shell/usage.h"

#include "apps/shell/names.h"
#include "apps/shell/registry.h"
#include "apps/shell/term.h"
#include "capos/call.h"
#include "ledger.client.h"
#include "process.client.h"

enum { PAGE_KIB = 4, MS_NS = 1000000 };

static unsigned percent(uint64_t used, uint64_t limit)
{
    return limit == 0 ? 0 : (unsigned)((double)used * 100.0 / (double)limit);
}

static void show_row(Usage_r usage)
{
    enum LedgerClass class = Usage_get_ledger_class(usage);
    unsigned long long used = Usage_get_used(usage);
    unsigned long long limit = Usage_get_limit(usage);
    const char *name = LedgerClass_name(class);
    term_printf("  %-14s %12llu %12llu %3u %%", name != NULL ? name : "?", used, limit,
                percent(used, limit));
    if (class == LEDGER_CLASS_FRAMES || class == LEDGER_CLASS_KERNEL_PAGES) {
        term_printf("  %llu of %llu KiB", used * PAGE_KIB, limit * PAGE_KIB);
    }
    if (class == LEDGER_CLASS_CPU_NS) {
        term_printf("  %llu of %llu ms of each second", used / MS_NS, limit / MS_NS);
    }
    term_printf("\n");
}

/* Classes of which there is nothing are left out, for all that is asked of them is refused; but that no processor
 * time is promised says nothing of what one gets. */
static void show_table(Usage_list_r list)
{
    term_styled(TERMINAL_SESSION_STYLE_HEADING, "  %-14s %12s %12s\n", "CLASS", "USED", "LIMIT");
    for (uint32_t i = 0; i < Usage_list_len(list); i++) {
        Usage_r usage = Usage_list_at(list, i);
        if (Usage_get_limit(usage) != 0 || Usage_get_used(usage) != 0 ||
            Usage_get_ledger_class(usage) == LEDGER_CLASS_CPU_NS) {
            show_row(usage);
        }
    }
}

static void show_ledger(const struct held *held)
{
    char text[256];
    CAPOS_CALL(call, Ledger, usage);
    Ledger_usage_results_r results;
    capos_call_begin(&call, held->cap);
    Ledger_usage_begin(&call);
    if (Ledger_usage_call(&call) == ST_OK && Ledger_usage_results(&call, &results) == ST_OK) {
        struct capnp_text name = Ledger_usage_results_get_name(results);
        struct capnp_text lender = Ledger_usage_results_get_lender(results);
        term_printf("ledger '%.*s', carved from '%.*s', whose holder can lend it more\n",
                    (int)name.len, name.ptr, (int)lender.len, lender.ptr);
        show_table(Ledger_usage_results_get_classes(results));
    } else {
        term_error("%s", capos_explain(&call, text, sizeof(text)));
    }
    capos_call_end(&call);
}

static void show_process(const struct held *held)
{
    char text[256];
    CAPOS_CALL(call, ProcessHandle, info);
    ProcessHandle_info_results_r info;
    capos_call_begin(&call, held->cap);
    ProcessHandle_info_begin(&call);
    if (ProcessHandle_info_call(&call) == ST_OK &&
        ProcessHandle_info_results(&call, &info) == ST_OK) {
        struct capnp_text name = ProcessHandle_info_results_get_name(info);
        term_printf("ledger of process '%.*s'\n", (int)name.len, name.ptr);
        show_table(ProcessHandle_info_results_get_ledger(info));
    } else {
        term_error("%s", capos_explain(&call, text, sizeof(text)));
    }
    capos_call_end(&call);
}

void usage_show(struct span name)
{
    static const struct span own = {"ledger", 6};
    struct held *held = names_need(name.len != 0 ? name : own);
    if (held == NULL) {
        return;
    }
    if (held->interface == Ledger_ID) {
        show_ledger(held);
    } else if (held->interface == ProcessHandle_ID) {
        show_process(held);
    } else {
        const char *interface = registry_known_name(held->interface);
        term_error("@%s is of interface %s; a Ledger or a ProcessHandle tells what is used",
                   held->name, interface != NULL ? interface : "(unknown)");
    }
}
