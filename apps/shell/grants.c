/* SPDX-License-Identifier: MIT */
#include "apps/shell/grants.h"

#include "apps/shell/nearest.h"
#include "apps/shell/term.h"
#include "annotations.capnp.h"
#include "bytestream.capnp.h"
#include "interfaces.h"
#include "lib/base/string.h"
#include "terminal.client.h"

static const struct capos_interface_info *info_of(uint64_t id)
{
    for (size_t i = 0; i < capos_interface_count; i++) {
        if (capos_interfaces[i].id == id) {
            return &capos_interfaces[i];
        }
    }
    return NULL;
}

static const struct capos_interface_info *info_named(struct span name)
{
    for (size_t i = 0; i < capos_interface_count; i++) {
        if (span_is(name, capos_interfaces[i].name)) {
            return &capos_interfaces[i];
        }
    }
    return NULL;
}

/* "Counter, CounterClient, CounterReader": the interface and its facets. */
static void list_facets(uint64_t base, char *buf, size_t size)
{
    size_t at = 0;
    buf[0] = 0;
    for (size_t i = 0; i < capos_interface_count && at < size; i++) {
        if (capos_interfaces[i].base_id == base) {
            at += fmt_format(buf + at, size - at, "%s%s", at > 0 ? ", " : "",
                             capos_interfaces[i].name);
        }
    }
}

static bool unknown_interface(const struct grant_line *line)
{
    struct nearest nearest;
    nearest_begin(&nearest, line->interface);
    for (size_t i = 0; i < capos_interface_count; i++) {
        const char *name = capos_interfaces[i].name;
        nearest_offer(&nearest, (struct span){name, strlen(name)});
    }
    if (nearest.best.len > 0) {
        term_error("grant %.*s: no interface is named %.*s; the nearest is %.*s",
                   SPAN_ARGS(line->name), SPAN_ARGS(line->interface), SPAN_ARGS(nearest.best));
    } else {
        term_error("grant %.*s: no interface is named %.*s", SPAN_ARGS(line->name),
                   SPAN_ARGS(line->interface));
    }
    return false;
}

static bool resolve_facet(const struct grant_line *line, struct resolved_grant *out)
{
    char names[256];
    const struct capos_interface_info *wanted = info_named(line->interface);
    const struct capos_interface_info *held = info_of(out->held->interface);
    if (wanted == NULL) {
        return unknown_interface(line);
    }
    if (wanted->base_id != out->held->interface) {
        list_facets(out->held->interface, names, sizeof(names));
        term_error("grant %.*s: @%s is of interface %s, not %s; it can be given as %s",
                   SPAN_ARGS(line->name), out->held->name, held != NULL ? held->name : "(unknown)",
                   wanted->name, names[0] != 0 ? names : "it is");
        return false;
    }
    if ((wanted->methods & ~out->held->methods) != 0 && wanted->id != wanted->base_id) {
        term_error("grant %.*s: %s allows methods that @%s, as you hold it, does not; "
                   "'help @%s' lists what you hold",
                   SPAN_ARGS(line->name), wanted->name, out->held->name, out->held->name);
        return false;
    }
    out->methods = wanted->methods & out->held->methods;
    return true;
}

static bool resolve_mode(const struct grant_line *line, struct resolved_grant *out)
{
    const struct held *held = out->held;
    if (held->transfer_mode == TRANSFER_MODE_NONE) {
        term_error("grant %.*s: @%s cannot leave this process (its transfer mode is none)",
                   SPAN_ARGS(line->name), held->name);
        return false;
    }
    if (held->transfer_mode == TRANSFER_MODE_MOVE && !line->move) {
        term_error(
            "grant %.*s: @%s can only be moved: write 'move %.*s: @%s', and you no longer hold it",
            SPAN_ARGS(line->name), held->name, SPAN_ARGS(line->name), held->name);
        return false;
    }
    if (line->move && held->permanent) {
        term_error("grant %.*s: @%s stays with the shell, which lives on it", SPAN_ARGS(line->name),
                   held->name);
        return false;
    }
    return true;
}

static bool resolve(struct grant_line *line, struct resolved_grant *out)
{
    *out = (struct resolved_grant){.line = line, .move = line->move};
    if (line->name.len >= NAME_BYTES) {
        term_error("grant %.*s: a name has at most %d bytes", SPAN_ARGS(line->name),
                   NAME_BYTES - 1);
        return false;
    }
    out->held = names_need(line->cap);
    if (out->held == NULL) {
        return false;
    }
    if (!out->held->live) {
        term_error(
            "grant %.*s: @%s is dead: revoked, or its object has ended; 'drop @%s' forgets it",
            SPAN_ARGS(line->name), out->held->name, out->held->name);
        return false;
    }
    if (out->held->interface == TerminalSession_ID) {
        term_error(
            "grant %.*s: the terminal stays with the shell; a program speaks through its stdio",
            SPAN_ARGS(line->name));
        return false;
    }
    if (span_is(line->name, "stdio") && out->held->interface != ByteStream_ID) {
        term_error("grant stdio: a program's stdio is a ByteStream, and @%s is something else; "
                   "give it under another name",
                   out->held->name);
        return false;
    }
    if (line->interface.len > 0 && !resolve_facet(line, out)) {
        return false;
    }
    return resolve_mode(line, out);
}

bool grants_resolve(struct command *command, struct resolved_grant *out)
{
    names_refresh(); /* which of them live */
    for (unsigned i = 0; i < command->grant_count; i++) {
        for (unsigned j = 0; j < i; j++) {
            if (span_equals(command->grants[i].name, command->grants[j].name)) {
                term_error("grant %.*s is there twice", SPAN_ARGS(command->grants[i].name));
                return false;
            }
        }
        if (!resolve(&command->grants[i], &out[i])) {
            return false;
        }
        for (unsigned j = 0; j < i; j++) {
            if (out[i].held == out[j].held && (out[i].move || out[j].move)) {
                term_error("grant %.*s: @%s is moved away by another grant of this line",
                           SPAN_ARGS(command->grants[i].name), out[i].held->name);
                return false;
            }
        }
    }
    return true;
}
