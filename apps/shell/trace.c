/* SPDX-License-Identifier: MIT */
/*
 * Each record is a line: when, which thread, and what. A submission and what becomes of it have the same
 * number, that of the entry in its ring. The names come from descriptors, like everything the shell says of
 * interfaces; what no descriptor is held of is shown as a number.
 */
#include "apps/shell/trace.h"

#include "abi/ring.h"
#include "abi/trace.h"
#include "apps/shell/describe.h"
#include "apps/shell/loop.h"
#include "apps/shell/names.h"
#include "apps/shell/registry.h"
#include "apps/shell/show.h"
#include "apps/shell/term.h"
#include "apps/shell/value.h"
#include "capos/ring.h"
#include "lib/base/string.h"
#include "process.client.h"
#include "status.capnp.h"
#include "trace.client.h"

enum { OWN_PAGES = 2, PROCESS_PAGES = 16, SHOWN_MAX = 512, NAME_ROOM = 80 };

static struct capos_trace_record records[SHOWN_MAX];
static unsigned count;
static uint64_t lost;
static capos_cap_t own;

/* ---- what a record says ---- */

static bool is_held(uint64_t interface)
{
    for (struct held *held = names_next(NULL); held != NULL; held = names_next(held)) {
        if (held->interface == interface) {
            return true;
        }
    }
    return false;
}

/* NULL: no descriptor of it is known, or worth asking for. */
static const struct described *described_of(uint64_t interface)
{
    bool known = registry_known_name(interface) != NULL || is_held(interface);
    return known ? registry_get(interface) : NULL;
}

/* A capability that a message brings has no name here. */
static const char *no_name(struct show_caps *caps, uint64_t index)
{
    (void)caps, (void)index;
    return "a capability";
}

/* "Counter.increment", or numbers. */
static void method_name(uint64_t interface, uint16_t ordinal, char *out, size_t size)
{
    const struct described *described = described_of(interface);
    if (described == NULL) {
        fmt_format(out, size, "0x%llx.%u", (unsigned long long)interface, ordinal);
        return;
    }
    struct capnp_text name = Descriptor_get_name(described->descriptor);
    DescribedMethod_list_r methods = Descriptor_get_methods(described->descriptor);
    for (uint32_t i = 0; i < DescribedMethod_list_len(methods); i++) {
        DescribedMethod_r method = DescribedMethod_list_at(methods, i);
        if (DescribedMethod_get_ordinal(method) == ordinal) {
            struct capnp_text word = DescribedMethod_get_name(method);
            fmt_format(out, size, "%.*s.%.*s", (int)name.len, name.ptr, (int)word.len, word.ptr);
            return;
        }
    }
    fmt_format(out, size, "%.*s.%u", (int)name.len, name.ptr, ordinal);
}

static void say_caps(unsigned caps)
{
    if (caps != 0) {
        term_printf(", %u %s", caps, caps == 1 ? "capability" : "capabilities");
    }
}

/* What was recorded of the message that this entry sends; how many bytes. Its records follow it. */
static unsigned message_of(const struct capos_trace_record *rec, uint64_t *words)
{
    unsigned bytes = 0;
    for (const struct capos_trace_record *at = rec + 1; at < &records[count]; at++) {
        if (at->thread != rec->thread || at->kind == CAPOS_TRACE_RUN) {
            continue;
        }
        if (at->kind != CAPOS_TRACE_MESSAGE || at->position != rec->position ||
            at->method != bytes || at->op > CAPOS_TRACE_PIECE_BYTES ||
            bytes + at->op > CAPOS_TRACE_MESSAGE_BYTES) {
            break;
        }
        memcpy(&words[bytes / 8], &at->cap, at->op);
        bytes += at->op;
    }
    return bytes;
}

/* By the descriptor of the method, when the whole message is there. */
static bool say_fields(const struct capos_trace_record *rec, const uint64_t *words, unsigned bytes)
{
    struct show_caps no_caps = {no_name, registry_known_name};
    const struct described *described = described_of(rec->interface);
    DescribedMethod_r method;
    struct capnp_struct params;
    if (rec->op != CAPOS_OP_CALL || described == NULL || bytes != (uint32_t)rec->value ||
        !dyn_method_numbered(described->descriptor, rec->method, &method) ||
        dyn_read(words, bytes, &params) != CAPNP_OK) {
        return false;
    }
    struct dyn_struct fields = dyn_params(described->descriptor, method);
    if (DescribedField_list_len(DescribedStruct_get_fields(fields.st)) != 0) {
        term_printf(": ");
        show_line(&term_sink, fields, params, &no_caps);
    }
    return true;
}

static void say_message(const struct capos_trace_record *rec)
{
    uint64_t words[CAPOS_TRACE_MESSAGE_BYTES / 8];
    unsigned bytes = message_of(rec, words);
    if (bytes == 0 || say_fields(rec, words, bytes)) {
        return;
    }
    term_printf(":");
    for (unsigned i = 0; i < bytes / 8; i++) {
        term_printf(" %016llx", (unsigned long long)words[i]);
    }
    term_printf(bytes < (uint32_t)rec->value ? " ..." : "");
}

static void say_submit(const struct capos_trace_record *rec)
{
    static const char *const names[CAPOS_OP_COUNT] = {
        "NOP",     "CALL",   "RECV",   "RETURN", "RETURN_RECV", "WAIT",     "SIGNAL",
        "RELEASE", "CANCEL", "FINISH", "PARK",   "UNPARK",      "HANDOVER",
    };
    char name[NAME_ROOM];
    term_printf("#%llu %s", (unsigned long long)rec->position,
                rec->op < CAPOS_OP_COUNT ? names[rec->op] : "?");
    if (rec->op == CAPOS_OP_CALL) {
        method_name(rec->interface, rec->method, name, sizeof(name));
        const struct held *held = names_find_cap(rec->cap);
        term_printf(" %s", name);
        if (held != NULL && own != 0) {
            term_printf(" of @%s", held->name);
        }
    } else if (rec->op == CAPOS_OP_RETURN || rec->op == CAPOS_OP_RETURN_RECV) {
        term_printf(" call %llx%s", (unsigned long long)rec->interface,
                    rec->method != 0 ? ", an exception" : "");
    }
    if ((uint32_t)rec->value != 0) {
        term_printf(", %u bytes", (unsigned)rec->value);
    }
    say_caps(rec->caps);
    say_message(rec);
}

static void say_complete(const struct capos_trace_record *rec)
{
    int32_t result = (int32_t)rec->value;
    const char *name = result < 0 ? status_name(result) : NULL;
    term_printf("#%llu ", (unsigned long long)rec->position);
    if (result < 0) {
        term_printf("%s", name != NULL ? name : "?");
    } else {
        term_printf("done, %d", result);
    }
    say_caps(rec->caps);
    if (rec->cap != 0) {
        term_printf(", bill %llu", (unsigned long long)rec->cap);
    }
}

static void say_receive(const struct capos_trace_record *rec)
{
    char name[NAME_ROOM];
    method_name(rec->interface, rec->method, name, sizeof(name));
    term_printf("received call %llx: %s of object %llu, %u bytes",
                (unsigned long long)rec->position, name, (unsigned long long)rec->cap,
                (unsigned)rec->value);
    say_caps(rec->caps);
}

static void say(const struct capos_trace_record *rec)
{
    switch (rec->kind) {
    case CAPOS_TRACE_SUBMIT:
        say_submit(rec);
        break;
    case CAPOS_TRACE_COMPLETE:
        say_complete(rec);
        break;
    case CAPOS_TRACE_DELIVER:
        term_printf("#%llu was received", (unsigned long long)rec->position);
        break;
    case CAPOS_TRACE_RECEIVE:
        say_receive(rec);
        break;
    case CAPOS_TRACE_RUN:
        term_printf("runs on CPU %u", rec->cpu);
        break;
    case CAPOS_TRACE_STOP:
        term_printf(rec->value != 0 ? "waits" : "makes room");
        break;
    case CAPOS_TRACE_FAULT:
        term_printf("faulted at 0x%llx, address 0x%llx", (unsigned long long)rec->interface,
                    (unsigned long long)rec->cap);
        break;
    case CAPOS_TRACE_START:
        term_printf("was made");
        break;
    case CAPOS_TRACE_END:
        term_printf("ended%s, code %lld", rec->op != 0 ? " with its process" : "",
                    (long long)rec->value);
        break;
    default:
        term_printf("?");
    }
}

/* What an entry sends is told with it. */
static void show_record(const struct capos_trace_record *rec)
{
    if (rec->kind == CAPOS_TRACE_MESSAGE) {
        return;
    }
    uint64_t us = (rec->time_ns - records[0].time_ns) / 1000;
    term_printf("  %4llu.%06llu  %llu/%-5llu ", (unsigned long long)us / 1000000,
                (unsigned long long)us % 1000000, (unsigned long long)rec->process,
                (unsigned long long)rec->thread);
    say(rec);
    term_printf("\n");
}

/* For tools/trace-decode. */
static void show_raw(const struct capos_trace_record *rec)
{
    uint64_t words[sizeof(*rec) / 8];
    memcpy(words, rec, sizeof(*rec));
    term_printf("trace:");
    for (unsigned i = 0; i < ARRAY_COUNT(words); i++) {
        term_printf(" %016llx", (unsigned long long)words[i]);
    }
    term_printf("\n");
}

/* ---- recording ---- */

static capos_cap_t start(capos_cap_t process, unsigned pages)
{
    char text[256];
    capos_cap_t trace = 0;
    CAPOS_CALL(call, ProcessHandle, trace);
    capos_call_begin(&call, process);
    ProcessHandle_trace_params_set_pages(ProcessHandle_trace_begin(&call), pages);
    if (ProcessHandle_trace_call(&call) == ST_OK) {
        trace = capos_call_take(&call, 0, KernelTrace_ID);
    } else {
        term_error("%s", capos_explain(&call, text, sizeof(text)));
    }
    capos_call_end(&call);
    return trace;
}

/* One answer; false: nothing more. */
static bool read_some(capos_cap_t trace, uint64_t *next)
{
    CAPOS_CALL_STATIC(call, KernelTrace, read);
    KernelTrace_read_results_r results;
    bool any = false;
    capos_call_begin(&call, trace);
    KernelTrace_read_params_set_sequence(KernelTrace_read_begin(&call), *next);
    if (KernelTrace_read_call(&call) == ST_OK &&
        KernelTrace_read_results(&call, &results) == ST_OK) {
        struct capnp_data data = KernelTrace_read_results_get_records(results);
        unsigned n = (unsigned)(data.len / sizeof(records[0]));
        n = n < SHOWN_MAX - count ? n : SHOWN_MAX - count;
        memcpy(&records[count], data.ptr, n * sizeof(records[0]));
        count += n;
        lost += KernelTrace_read_results_get_lost(results);
        *next = KernelTrace_read_results_get_next(results);
        any = n != 0;
    }
    capos_call_end(&call);
    return any;
}

static void read_records(capos_cap_t trace, bool all)
{
    uint64_t next = 0;
    count = 0;
    lost = 0;
    while (read_some(trace, &next) && all) {
    }
}

static void show_records(unsigned n, void (*show)(const struct capos_trace_record *rec))
{
    if (lost != 0) {
        term_printf("  %llu earlier records were lost\n", (unsigned long long)lost);
    }
    for (unsigned i = 0; i < n; i++) {
        show(&records[i]);
    }
}

void trace_process(const struct command *command)
{
    uint64_t ns = UINT64_MAX;
    bool interrupted; /* as good an end as the other */
    struct held *held = names_need(command->cap);
    if (held == NULL) {
        return;
    }
    if (held->interface != ProcessHandle_ID) {
        term_error("@%s is no process; 'ps' lists the processes started here", held->name);
        return;
    }
    if (command->lasts != NULL && !value_duration_ns(command->lasts, &ns)) {
        term_error("for how long? Expected a time, as 300ms or 5s");
        return;
    }
    capos_cap_t trace = start(held->cap, PROCESS_PAGES);
    if (trace == 0) {
        return;
    }
    if (loop_sleep(ns, &interrupted)) {
        read_records(trace, true);
        show_records(count, span_is(command->word, "raw") ? show_raw : show_record);
    }
    capos_release(trace);
}

bool trace_begin(void)
{
    static const struct span self = {"self", 4};
    struct held *held = names_find(self);
    if (held == NULL || held->interface != ProcessHandle_ID) {
        term_error("you hold no 'self': only other processes can be traced");
        return false;
    }
    own = start(held->cap, OWN_PAGES);
    return own != 0;
}

/* The first record of this shell's reading of its own trace, or `count`. */
static unsigned end_of_command(void)
{
    for (unsigned i = 0; i < count; i++) {
        if (records[i].kind == CAPOS_TRACE_SUBMIT && records[i].interface == KernelTrace_ID) {
            return i;
        }
    }
    return count;
}

void trace_stop(void)
{
    read_records(own, false);
    capos_release(own);
}

void trace_show(void)
{
    show_records(end_of_command(), show_record);
    own = 0;
}
