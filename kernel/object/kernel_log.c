/* SPDX-License-Identifier: MIT */
/*
 * Appending is metered: LEDGER_CLASS_LOG_BYTES is what a process may write in each second. The window
 * is two counters in the process; two of its threads that open a window at once may both start it,
 * which errs by one record.
 */
#include "object/kernel_log.h"

#include "arch/arch.h"
#include "core/log.h"
#include "gen/kernel/kernel_log.kernel.h"
#include "gen/kernel/types.h"
#include "gen/status.capnp.h"
#include "lib/base/string.h"
#include "object/invoke.h"
#include "object/process.h"
#include "object/root.h"
#include "sched/cpu.h"

#define LOG_WINDOW_NS UINT64_C(1000000000)

enum { LOG_READ_MAX_BYTES = 8000, LOG_LINE_COST = 32 };
static_assert((int)LOG_READ_MAX_BYTES <= (int)CPU_WORK_BYTES, "a read fits the work buffer");

status_t kernel_log_create(struct kobj **out)
{
    return root_object_create(KTYPE_KERNEL_LOG, out);
}

/* What a text costs: its bytes, but for each line at least what the kernel adds to it, so that nobody
 * drives out the others' records with empty lines. */
static uint64_t cost_of(struct capnp_text text)
{
    uint64_t lines = 1;
    const char *end = text.ptr + text.len;
    for (const char *at = text.ptr; (at = memchr(at, '\n', (size_t)(end - at))) != NULL; at++) {
        lines++;
    }
    return text.len > lines * LOG_LINE_COST ? text.len : lines * LOG_LINE_COST;
}

static bool within_window(struct ledger *ledger, uint64_t cost)
{
    uint64_t now_ns = arch_time_ns();
    uint64_t start_ns = atomic_load_relaxed(&ledger->log_window_ns);
    if (now_ns - start_ns >= LOG_WINDOW_NS) {
        atomic_store_relaxed(&ledger->log_window_ns, now_ns);
        atomic_store_relaxed(&ledger->log_window_bytes, 0);
    }
    uint64_t limit = atomic_load_relaxed(&ledger->limit[LEDGER_CLASS_LOG_BYTES]);
    if (atomic_load_relaxed(&ledger->log_window_bytes) + cost > limit) {
        return false;
    }
    atomic_add_relaxed(&ledger->log_window_bytes, cost);
    return true;
}

status_t KernelLog_kernel_append(struct invocation *inv, KernelLog_append_params_r params,
                                 KernelLog_append_results_b results)
{
    (void)results;
    struct capnp_text text = KernelLog_append_params_get_text(params);
    if (text.len > LOG_RECORD_MAX_BYTES) {
        return ST_BAD_ARGUMENT;
    }
    if (!within_window(inv->process->ledger, cost_of(text))) {
        return ledger_refuse(LEDGER_CLASS_LOG_BYTES);
    }
    log_append_user(inv->process->name, text.ptr, text.len);
    return ST_OK;
}

status_t KernelLog_kernel_read(struct invocation *inv, KernelLog_read_params_r params,
                               KernelLog_read_results_b results)
{
    (void)inv;
    uint32_t max_bytes = KernelLog_read_params_get_max_bytes(params);
    if (max_bytes == 0 || max_bytes > LOG_READ_MAX_BYTES) {
        return ST_BAD_ARGUMENT;
    }
    char *text = (char *)cpu_this()->work;
    uint64_t next;
    uint64_t lost;
    size_t len =
        log_read(KernelLog_read_params_get_sequence(params), text, max_bytes, &next, &lost);
    KernelLog_read_results_set_text(results, text, len);
    KernelLog_read_results_set_next(results, next);
    KernelLog_read_results_set_lost(results, lost);
    return ST_OK;
}
