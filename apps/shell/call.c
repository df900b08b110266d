/* SPDX-License-Identifier: MIT */
#include "apps/shell/call.h"

#include "apps/shell/lend.h"
#include "apps/shell/loop.h"
#include "apps/shell/names.h"
#include "apps/shell/show.h"
#include "apps/shell/steps.h"
#include "apps/shell/term.h"
#include "apps/shell/trace.h"
#include "apps/shell/variables.h"
#include "capos/ring.h"
#include "lib/base/bits.h"
#include "lib/base/string.h"
#include "status.capnp.h"

enum { LAST_BYTES = 64 * 1024 };

/* ---- results ---- */

struct result_caps {
    struct show_caps caps;
    struct capos_call *call;
    const char *origin;
    struct span wanted; /* name for the first */
    char names[CAPOS_MAX_TRANSFERS][NAME_BYTES + 1];
};

static const char *result_name(struct show_caps *caps, uint64_t index)
{
    struct result_caps *self = (struct result_caps *)caps;
    if (index >= self->call->cap_count || index >= CAPOS_MAX_TRANSFERS ||
        self->names[index][0] == 0) {
        return NULL;
    }
    return self->names[index];
}

/* Every capability received gets a name, whether a field tells of it or not. */
static void name_results(struct result_caps *self)
{
    for (uint16_t i = 0; i < self->call->cap_count && i < CAPOS_MAX_TRANSFERS; i++) {
        const struct capos_cap_record *records =
            (const struct capos_cap_record *)(const void *)((const uint8_t *)self->call->result +
                                                            align_up(self->call->result_bytes, 8));
        uint64_t interface = records[i].interface;
        const char *stem = registry_known_name(interface);
        const char *why;
        capos_cap_t cap = capos_call_cap(self->call, i, 0);
        struct held *held =
            names_add(i == 0 ? self->wanted : (struct span){0}, stem != NULL ? stem : "capability",
                      cap, interface, self->origin, &why);
        if (held == NULL) {
            term_error("a capability received was given back: %s", why);
            continue;
        }
        capos_call_take(self->call, i, 0);
        fmt_format(self->names[i], sizeof(self->names[i]), "@%s", held->name);
    }
    if (self->call->cap_count > 0) {
        names_refresh();
    }
}

/* "@counter.child.increment" */
static void origin_of(const struct command *command, char *origin)
{
    size_t at = fmt_format(origin, ORIGIN_BYTES, "@%.*s.%.*s", SPAN_ARGS(command->cap),
                           SPAN_ARGS(command->method));
    for (unsigned i = 0; i < command->step_count && at < ORIGIN_BYTES; i++) {
        at += fmt_format(origin + at, ORIGIN_BYTES - at, ".%.*s",
                         SPAN_ARGS(command->steps[i].method));
    }
}

/* What becomes of an answer: it is shown, or it is a value for an expression. Shown ones are kept as $last, too,
 * as long as they are not too large. */
struct answer {
    struct kept_arena *arena; /* NULL: it is shown */
    struct node *value;
};

static _Alignas(8) uint8_t last_bytes[LAST_BYTES];

static void keep_last(const struct step *step, struct capnp_struct results, struct show_caps *caps)
{
    struct variables_error error;
    struct kept_arena arena = {.bytes = last_bytes, .size = sizeof(last_bytes)};
    struct span name = {"last", 4};
    struct node *value =
        kept_answer(&arena, dyn_results(step->described->descriptor, step->method), results, caps);
    if (value == NULL || !variables_set(name, value, &error)) {
        variables_unset(name);
    }
}

static void show_answer(const struct command *command, struct step *step,
                        struct capnp_struct results, struct show_caps *caps)
{
    struct dyn_struct described = dyn_results(step->described->descriptor, step->method);
    keep_last(step, results, caps);
    if (!command->json) {
        show_results(&term_sink, described, results, caps);
        return;
    }
    const struct node *value = variables_get((struct span){"last", 4});
    if (value != NULL) {
        kept_json(&term_sink, value);
        term_printf("\n");
    } else {
        term_error("this answer is too large to be shown as JSON");
    }
}

static void take_success(struct step *step, const struct command *command, struct answer *answer)
{
    char origin[ORIGIN_BYTES];
    struct capos_call *call = &step->call;
    struct result_caps caps = {
        {result_name, registry_known_name}, call, origin, command->assign, {{0}}};
    struct capnp_struct results;
    origin_of(command, origin);
    if (dyn_read(call->result, call->result_bytes, &results) != CAPNP_OK) {
        term_error("%s.%s answered with a malformed message", step->interface_name,
                   step->method_name);
        return;
    }
    name_results(&caps);
    if (answer->arena == NULL) {
        show_answer(command, step, results, &caps.caps);
    } else {
        answer->value =
            kept_answer(answer->arena, dyn_results(step->described->descriptor, step->method),
                        results, &caps.caps);
        if (answer->value == NULL) {
            term_error("the answer of %s.%s is too large to be kept", step->interface_name,
                       step->method_name);
        }
    }
    if (command->assign.len > 0 && call->cap_count == 0) {
        term_error("this answer holds no capability: nothing is named %.*s",
                   SPAN_ARGS(command->assign));
    }
}

static void show_refusal(struct step *step, const struct held *held, bool first)
{
    char text[400];
    const struct capos_call *call = &step->call;
    term_error("%s", capos_explain(call, text, sizeof(text)));
    if (first && (call->status == ST_BAD_ARGUMENT || call->status == ST_TOO_LARGE ||
                  call->status == ST_NOT_FOUND)) {
        term_printf("'help @%s.%s' tells what it takes\n", held->name, step->method_name);
    }
    if (call->status == ST_DISCONNECTED || call->status == ST_BAD_CAP) {
        names_refresh();
        if (!held->live) {
            lend_tell_dead(held);
        }
    }
}

/* What a call took: the system calls it was carried out in, processor cycles from here to there and back, and
 * those of them that were spent for it below. */
struct stopwatch {
    uint64_t entries;
    uint64_t cycles;
};

static struct stopwatch stopwatch_start(void)
{
    return (struct stopwatch){capos_ring_stats()->entries, capos_cycles()};
}

static void show_time(const struct stopwatch *before, const struct stopwatch *after, uint64_t bill)
{
    unsigned long long entries = after->entries - before->entries;
    term_printf("%llu %s, %llu cycles, bill %llu\n", entries, entries == 1 ? "entry" : "entries",
                (unsigned long long)(after->cycles - before->cycles), (unsigned long long)bill);
}

static uint64_t bill_of(const struct step *steps, unsigned count)
{
    uint64_t bill = 0;
    for (unsigned i = 0; i < count; i++) {
        bill += steps[i].call.bill;
    }
    return bill;
}

static bool assign_is_free(const struct command *command)
{
    if (command->assign.len >= NAME_BYTES) {
        term_error("a name has at most %d bytes", NAME_BYTES - 1);
        return false;
    }
    if (command->assign.len > 0 && names_find(command->assign) != NULL) {
        term_error("the name %.*s is taken; 'drop @%.*s' frees it", SPAN_ARGS(command->assign),
                   SPAN_ARGS(command->assign));
        return false;
    }
    return true;
}

static void perform(struct command *command, struct answer *answer)
{
    bool interrupted = false;
    unsigned count;
    struct held *held = names_need(command->cap);
    if (held == NULL || !assign_is_free(command)) {
        return;
    }
    struct step *steps = steps_prepare(command, held, &count);
    if (steps == NULL) {
        return;
    }
    if (command->traced && !trace_begin()) {
        steps_end(steps, count);
        return;
    }
    struct step *last = &steps[count - 1];
    for (struct step *step = steps; step != last; step++) {
        capos_submit(&step->call);
    }
    struct stopwatch before = stopwatch_start();
    status_t status = loop_call(&last->call, &interrupted);
    struct stopwatch after = stopwatch_start();
    if (command->traced) {
        trace_stop();
    }
    if (status == ST_OK) {
        take_success(last, command, answer);
    } else if (interrupted) {
        term_printf("interrupted; whether %s.%s was done is not known\n", last->interface_name,
                    last->method_name);
    } else {
        show_refusal(last, held, count == 1);
    }
    if (command->timed) {
        show_time(&before, &after, bill_of(steps, count));
    }
    if (command->traced) {
        trace_show();
    }
    steps_end(steps, count);
}

void call_method(struct command *command)
{
    struct answer answer = {0};
    perform(command, &answer);
}

struct node *call_for_value(struct command *command, struct kept_arena *arena)
{
    struct answer answer = {.arena = arena};
    perform(command, &answer);
    return answer.value;
}
