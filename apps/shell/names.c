/* SPDX-License-Identifier: MIT */
#include "apps/shell/names.h"

#include "apps/shell/nearest.h"
#include "apps/shell/term.h"
#include "capabilities.client.h"
#include "capos/start.h"
#include "lib/base/bits.h"
#include "lib/base/string.h"

static struct held table[NAMES_MAX];
static capos_cap_t manager;

struct held *names_next(struct held *after)
{
    struct held *held = after == NULL ? table : after + 1;
    while (held < table + NAMES_MAX && !held->used) {
        held++;
    }
    return held < table + NAMES_MAX ? held : NULL;
}

struct held *names_find(struct span name)
{
    for (struct held *held = names_next(NULL); held != NULL; held = names_next(held)) {
        if (span_is(name, held->name)) {
            return held;
        }
    }
    return NULL;
}

struct held *names_find_cap(capos_cap_t cap)
{
    for (struct held *held = names_next(NULL); held != NULL; held = names_next(held)) {
        if (held->cap == cap) {
            return held;
        }
    }
    return NULL;
}

/* Who types the name of a program means the process, which has another name. */
static struct held *started_from(struct span program)
{
    const size_t skip = sizeof(ORIGIN_STARTED) - 1;
    for (struct held *held = names_next(NULL); held != NULL; held = names_next(held)) {
        if (strncmp(held->origin, ORIGIN_STARTED, skip) == 0 &&
            span_is(program, held->origin + skip)) {
            return held;
        }
    }
    return NULL;
}

struct held *names_need(struct span name)
{
    struct held *held = names_find(name);
    if (held != NULL) {
        return held;
    }
    held = started_from(name);
    if (held != NULL) {
        term_error("you hold nothing named @%.*s; the program %.*s runs as @%s", SPAN_ARGS(name),
                   SPAN_ARGS(name), held->name);
        return NULL;
    }
    struct nearest nearest;
    nearest_begin(&nearest, name);
    for (held = names_next(NULL); held != NULL; held = names_next(held)) {
        nearest_offer(&nearest, (struct span){held->name, strlen(held->name)});
    }
    if (nearest.best.len > 0) {
        term_error("you hold nothing named @%.*s; the nearest is @%.*s", SPAN_ARGS(name),
                   SPAN_ARGS(nearest.best));
    } else {
        term_error("you hold nothing named @%.*s; 'caps' lists what you hold", SPAN_ARGS(name));
    }
    return NULL;
}

static struct held *free_place(void)
{
    for (struct held *held = table; held < table + NAMES_MAX; held++) {
        if (!held->used) {
            return held;
        }
    }
    return NULL;
}

static void copy_span(char *to, size_t size, struct span from)
{
    size_t count = min_u64(from.len, size - 1);
    memcpy(to, from.ptr, count);
    to[count] = 0;
}

/* "ProcessHandle" -> "process", "CounterReader" -> "counterReader" */
static void make_stem(char *to, size_t size, const char *interface_name)
{
    size_t len = strlen(interface_name);
    if (len > 6 && strcmp(interface_name + len - 6, "Handle") == 0) {
        len -= 6;
    }
    copy_span(to, size, (struct span){interface_name, min_u64(len, NAME_BYTES - 8)});
    if (to[0] >= 'A' && to[0] <= 'Z') {
        to[0] = (char)(to[0] + 32);
    }
}

static void make_name(struct held *held, const char *interface_name)
{
    char stem[NAME_BYTES];
    make_stem(stem, sizeof(stem), interface_name);
    for (unsigned number = 1;; number++) {
        char name[NAME_BYTES];
        size_t len = fmt_format(name, sizeof(name), "%s%u", stem, number);
        if (names_find((struct span){name, len}) == NULL) {
            str_copy(held->name, sizeof(held->name), name);
            return;
        }
    }
}

struct held *names_add(struct span wanted, const char *stem, capos_cap_t cap, uint64_t interface,
                       const char *origin, const char **why)
{
    struct held *held = free_place();
    *why = held == NULL               ? "the shell's table of names is full; drop something first"
           : wanted.len >= NAME_BYTES ? "a name has at most 31 bytes"
           : wanted.len > 0 && names_find(wanted) != NULL ? "that name is taken; drop it first"
                                                          : NULL;
    if (*why != NULL) {
        return NULL;
    }
    *held = (struct held){.cap = cap, .interface = interface, .live = true};
    held->methods = UINT64_MAX; /* until names_refresh knows better */
    str_copy(held->origin, sizeof(held->origin), origin);
    if (wanted.len > 0) {
        copy_span(held->name, sizeof(held->name), wanted);
    } else {
        make_name(held, stem);
    }
    held->used = true;
    return held;
}

void names_remove(struct held *held)
{
    held->used = false;
}

static void update(CapabilityInfo_r info)
{
    struct held *held = names_find_cap(CapabilityInfo_get_id(info));
    if (held == NULL) {
        return;
    }
    struct capnp_text origin = CapabilityInfo_get_origin(info);
    held->methods = CapabilityInfo_get_methods(info);
    held->transfer_mode = (uint8_t)CapabilityInfo_get_transfer_mode(info);
    held->live = CapabilityInfo_get_live(info);
    held->seen = true;
    if (origin.len > 0 && (held->granted || !held->live)) {
        copy_span(held->origin, sizeof(held->origin), (struct span){origin.ptr, origin.len});
    }
}

/* One piece of the kernel's list; *next is 0 at the end. */
static bool refresh_piece(uint32_t start, uint32_t *next)
{
    bool good = false;
    CAPOS_CALL_STATIC(call, CapabilityManager, list);
    capos_call_begin(&call, manager);
    CapabilityManager_list_params_set_start(CapabilityManager_list_begin(&call), start);
    CapabilityManager_list_results_r results;
    if (CapabilityManager_list_call(&call) == ST_OK &&
        CapabilityManager_list_results(&call, &results) == ST_OK) {
        CapabilityInfo_list_r list = CapabilityManager_list_results_get_capabilities(results);
        for (uint32_t i = 0; i < CapabilityInfo_list_len(list); i++) {
            update(CapabilityInfo_list_at(list, i));
        }
        *next = CapabilityManager_list_results_get_next(results);
        good = true;
    }
    capos_call_end(&call);
    return good;
}

void names_refresh(void)
{
    uint32_t start = 0;
    uint32_t next = 0;
    for (struct held *held = names_next(NULL); held != NULL; held = names_next(held)) {
        held->seen = false;
    }
    do {
        start = next;
        if (manager == 0 || !refresh_piece(start, &next)) {
            return;
        }
    } while (next > start);
    for (struct held *held = names_next(NULL); held != NULL; held = names_next(held)) {
        held->live = held->live && held->seen;
    }
}

void names_init(capos_cap_t capabilities)
{
    const struct capos_capset *capset = capos_capset();
    for (uint32_t i = 0; i < capset->count; i++) {
        const struct capos_capset_entry *entry = &capset->entries[i];
        const char *why;
        struct span name = {entry->name, strnlen(entry->name, sizeof(entry->name))};
        struct held *held =
            names_add(name, "", entry->cap, entry->interface, "granted at start", &why);
        if (held != NULL) {
            held->granted = true;
            held->methods = entry->facet;
            held->transfer_mode = (uint8_t)entry->transfer_mode;
        }
    }
    manager = capabilities;
    names_refresh();
}
