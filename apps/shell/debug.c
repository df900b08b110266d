/* SPDX-License-Identifier: MIT */
/*
 * The program runs only while `go` or `step` waits here, so there is nothing to be told of in between: the call
 * of `next` begins and ends with the command. A thread that faulted stands still until the next `go`.
 */
#include "apps/shell/debug.h"

#include "apps/shell/children.h"
#include "apps/shell/loop.h"
#include "apps/shell/term.h"
#include "capos/fault.h"
#include "debugger.client.h"
#include "lib/base/bits.h"

enum { THREADS_MAX = 64, FRAMES_MAX = 16, DUMP_LINE = 16, DUMP_BYTES = 64, DUMP_MAX = 4096 };

struct thread_list {
    uint32_t count;
    struct {
        uint64_t id;
        enum ThreadState state;
    } at[THREADS_MAX];
};

/* Of the last that was looked at. */
static uint64_t image_base;

CAPOS_CALL_STATIC(next_call, ProcessDebugger, next);
CAPOS_CALL_STATIC(state_call, ProcessDebugger, state);
CAPOS_CALL_STATIC(read_call, ProcessDebugger, read);

static capos_cap_t need_debugger(const struct held *process)
{
    capos_cap_t debugger = children_debugger(process);
    if (debugger == 0) {
        term_error("@%s was not started by 'debug': a debugger is had at the start or never",
                   process->name);
    }
    return debugger;
}

static bool get_threads(capos_cap_t debugger, struct thread_list *out)
{
    char text[256];
    CAPOS_CALL_STATIC(call, ProcessDebugger, threads);
    ProcessDebugger_threads_results_r results;
    capos_call_begin(&call, debugger);
    ProcessDebugger_threads_begin(&call);
    bool good = ProcessDebugger_threads_call(&call) == ST_OK &&
                ProcessDebugger_threads_results(&call, &results) == ST_OK;
    out->count = 0;
    if (good) {
        ThreadView_list_r list = ProcessDebugger_threads_results_get_threads(results);
        for (uint32_t i = 0; i < ThreadView_list_len(list) && i < THREADS_MAX; i++) {
            ThreadView_r view = ThreadView_list_at(list, i);
            out->at[i].id = ThreadView_get_thread(view);
            out->at[i].state = ThreadView_get_state(view);
            out->count = i + 1;
        }
    } else {
        term_error("%s", capos_explain(&call, text, sizeof(text)));
    }
    capos_call_end(&call);
    return good;
}

/* Bytes of the program's memory; valid until the next. False: not all of them are there. */
static bool read_memory(capos_cap_t debugger, uint64_t address, uint32_t size,
                        struct capnp_data *out)
{
    ProcessDebugger_read_results_r results;
    capos_call_begin(&read_call, debugger);
    ProcessDebugger_read_params_b params = ProcessDebugger_read_begin(&read_call);
    ProcessDebugger_read_params_set_address(params, address);
    ProcessDebugger_read_params_set_size_bytes(params, size);
    bool good = ProcessDebugger_read_call(&read_call) == ST_OK &&
                ProcessDebugger_read_results(&read_call, &results) == ST_OK;
    if (good) {
        *out = ProcessDebugger_read_results_get_data(results);
        good = out->len == size;
    }
    capos_call_end(&read_call);
    return good;
}

static uint64_t word_at(const struct capnp_data *data, unsigned index)
{
    uint64_t word = 0;
    for (unsigned i = 0; i < 8; i++) {
        word |= (uint64_t)data->ptr[index * 8 + i] << (8 * i);
    }
    return word;
}

/* From frame to frame: each begins with the address of the one before and where that goes on. */
static void show_way(capos_cap_t debugger, uint64_t instruction, uint64_t frame)
{
    term_printf("  way  image + 0x%llx", (unsigned long long)(instruction - image_base));
    for (unsigned i = 0; i < FRAMES_MAX && frame != 0 && frame % 8 == 0; i++) {
        struct capnp_data data;
        if (!read_memory(debugger, frame, 16, &data) || word_at(&data, 1) == 0) {
            break;
        }
        term_printf(", + 0x%llx", (unsigned long long)(word_at(&data, 1) - image_base));
        uint64_t above = word_at(&data, 0);
        frame = above > frame ? above : 0;
    }
    term_printf("\n");
}

static void show_fault(uint64_t thread, FaultRecord_r fault)
{
    char text[CAPOS_FAULT_BYTES];
    enum FaultRecord_Kind kind = FaultRecord_get_kind(fault);
    if (kind != FAULT_RECORD_KIND_NONE && kind != FAULT_RECORD_KIND_DEBUG_TRAP) {
        capos_fault_text(fault, text, sizeof(text));
        term_printf("thread %llu stopped: %s\n", (unsigned long long)thread, text);
    } else {
        uint64_t at = FaultRecord_get_instruction(fault);
        term_printf("thread %llu stopped: instruction 0x%llx (image + 0x%llx)\n",
                    (unsigned long long)thread, (unsigned long long)at,
                    (unsigned long long)(at - FaultRecord_get_image_base(fault)));
    }
}

static void show_stopped(capos_cap_t debugger, uint64_t thread)
{
    enum { REGISTER_BP = 6, REGISTER_IP = 16 };
    char text[CAPOS_REGISTER_BYTES];
    ProcessDebugger_state_results_r results;
    capos_call_begin(&state_call, debugger);
    ProcessDebugger_state_params_set_thread(ProcessDebugger_state_begin(&state_call), thread);
    if (ProcessDebugger_state_call(&state_call) == ST_OK &&
        ProcessDebugger_state_results(&state_call, &results) == ST_OK) {
        FaultRecord_r fault = ProcessDebugger_state_results_get_fault(results);
        struct capnp_list list = FaultRecord_get_registers(fault);
        show_fault(thread, fault);
        for (uint32_t i = 0; capos_registers_line(list, i, text, sizeof(text)) != 0; i++) {
            term_printf("  %s\n", text);
        }
        image_base = FaultRecord_get_image_base(fault);
        show_way(debugger, capnp_list_u64_at(list, REGISTER_IP),
                 capnp_list_u64_at(list, REGISTER_BP));
    }
    capos_call_end(&state_call);
}

void debug_show(struct held *process)
{
    struct thread_list threads;
    capos_cap_t debugger = need_debugger(process);
    if (debugger == 0 || !get_threads(debugger, &threads)) {
        return;
    }
    for (uint32_t i = 0; i < threads.count; i++) {
        if (threads.at[i].state == THREAD_STATE_STOPPED) {
            show_stopped(debugger, threads.at[i].id);
        } else {
            term_printf("thread %llu is %s\n", (unsigned long long)threads.at[i].id,
                        ThreadState_name(threads.at[i].state));
        }
    }
}

static status_t resume(capos_cap_t debugger, uint64_t thread, bool step)
{
    return ProcessDebugger_resume(debugger, thread, step);
}

/* All that stand still, or for a step the first of them: how many. */
static unsigned resume_some(capos_cap_t debugger, const struct thread_list *threads, bool step)
{
    unsigned resumed = 0;
    for (uint32_t i = 0; i < threads->count && !(step && resumed != 0); i++) {
        if (threads->at[i].state == THREAD_STATE_STOPPED &&
            resume(debugger, threads->at[i].id, step) == ST_OK) {
            resumed++;
        }
    }
    return resumed;
}

static void stop_all(capos_cap_t debugger)
{
    struct thread_list threads;
    if (get_threads(debugger, &threads)) {
        for (uint32_t i = 0; i < threads.count; i++) {
            (void)ProcessDebugger_stop(debugger, threads.at[i].id);
        }
    }
}

/* Waits for what happens next and tells it. */
static void wait_and_tell(struct held *process, capos_cap_t debugger)
{
    char text[256];
    bool interrupted = false;
    ProcessDebugger_next_results_r event;
    children_hold_stdio(process, false);
    capos_call_begin(&next_call, debugger);
    ProcessDebugger_next_begin(&next_call);
    status_t status = capos_params_finish(&next_call);
    if (status == ST_OK) {
        status = loop_call(&next_call, &interrupted);
    }
    if (status == ST_OK && ProcessDebugger_next_results(&next_call, &event) == ST_OK) {
        show_fault(ProcessDebugger_next_results_get_thread(event),
                   ProcessDebugger_next_results_get_fault(event));
    } else if (status == ST_DISCONNECTED) {
        children_wait(process);
    } else if (interrupted) {
        stop_all(debugger);
        term_printf("@%s is stopped\n", process->name);
    } else {
        term_error("%s", capos_explain(&next_call, text, sizeof(text)));
    }
    capos_call_end(&next_call);
    children_hold_stdio(process, true);
}

void debug_go(struct held *process, bool step)
{
    struct thread_list threads;
    capos_cap_t debugger = need_debugger(process);
    if (debugger == 0 || !get_threads(debugger, &threads)) {
        return;
    }
    if (resume_some(debugger, &threads, step) == 0) {
        term_error("no thread of @%s stands still", process->name);
        return;
    }
    wait_and_tell(process, debugger);
}

static void dump_line(uint64_t address, const uint8_t *bytes, size_t count)
{
    char chars[DUMP_LINE + 1];
    term_printf("  %012llx ", (unsigned long long)address);
    for (size_t i = 0; i < DUMP_LINE; i++) {
        if (i < count) {
            term_printf(" %02x", bytes[i]);
            chars[i] = bytes[i] >= ' ' && bytes[i] < 0x7f ? (char)bytes[i] : '.';
        } else {
            term_printf("   ");
            chars[i] = ' ';
        }
    }
    chars[DUMP_LINE] = 0;
    term_printf("  %s\n", chars);
}

static bool is_plain_number(const struct node *node)
{
    return node != NULL && node->kind == NODE_NUMBER && !node->negative && node->unit.len == 0;
}

void debug_dump(struct held *process, const struct node *arguments)
{
    const struct node *second = arguments != NULL ? arguments->next : NULL;
    if (!is_plain_number(arguments) ||
        (second != NULL && (!is_plain_number(second) || second->next != NULL))) {
        term_error("expected an address and perhaps a number of bytes, as dump @%s 0x400000 64",
                   process->name);
        return;
    }
    capos_cap_t debugger = need_debugger(process);
    if (debugger == 0) {
        return;
    }
    uint64_t address = arguments->magnitude;
    uint64_t size = min_u64(second != NULL ? second->magnitude : DUMP_BYTES, DUMP_MAX);
    for (uint64_t at = 0; at < size; at += DUMP_LINE) {
        struct capnp_data data;
        uint32_t count = (uint32_t)min_u64(DUMP_LINE, size - at);
        if (!read_memory(debugger, address + at, count, &data)) {
            term_error("not all of the %u bytes at 0x%llx are memory", count,
                       (unsigned long long)(address + at));
            return;
        }
        dump_line(address + at, data.ptr, data.len);
    }
}
