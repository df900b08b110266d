/* SPDX-License-Identifier: MIT */
#include "apps/shell/lend.h"

#include "apps/shell/describe.h"
#include "apps/shell/loop.h"
#include "apps/shell/nearest.h"
#include "apps/shell/registry.h"
#include "apps/shell/term.h"
#include "apps/shell/value.h"
#include "capabilities.client.h"
#include "capos/ring.h"
#include "grants.client.h"
#include "interfaces.h"
#include "lib/base/bits.h"
#include "lib/base/string.h"
#include "time.client.h"

#define TEXT_ARGS(text) (int)(text).len, (text).ptr
#define NS_A_SECOND UINT64_C(1000000000)

static capos_cap_t manager;

void lend_init(capos_cap_t capabilities)
{
    manager = capabilities;
}

static bool need_manager(void)
{
    if (manager == 0) {
        term_error("this shell was granted no CapabilityManager named 'capabilities'");
    }
    return manager != 0;
}

static void tell_refusal(const struct capos_call *call, bool interrupted)
{
    char text[400];
    if (interrupted) {
        term_printf("interrupted\n");
    } else {
        term_error("%s", capos_explain(call, text, sizeof(text)));
    }
}

/* ---- derive ---- */

/* The bits of a method's name, or of a facet's. */
static bool methods_named(const struct held *held, Descriptor_r descriptor, struct span word,
                          uint64_t *methods)
{
    DescribedMethod_r method;
    if (describe_find_method(descriptor, word, &method) &&
        DescribedMethod_get_ordinal(method) < 64) {
        *methods = BIT64(DescribedMethod_get_ordinal(method));
        return true;
    }
    for (size_t i = 0; i < capos_interface_count; i++) {
        if (capos_interfaces[i].base_id == held->interface &&
            span_is(word, capos_interfaces[i].name)) {
            *methods = capos_interfaces[i].methods;
            return true;
        }
    }
    struct nearest nearest;
    nearest_begin(&nearest, word);
    DescribedMethod_list_r list = Descriptor_get_methods(descriptor);
    for (uint32_t i = 0; i < DescribedMethod_list_len(list); i++) {
        struct capnp_text name = DescribedMethod_get_name(DescribedMethod_list_at(list, i));
        nearest_offer(&nearest, (struct span){name.ptr, name.len});
    }
    if (nearest.best.len > 0) {
        term_error("@%s has no method or facet '%.*s'; the nearest is '%.*s'", held->name,
                   SPAN_ARGS(word), SPAN_ARGS(nearest.best));
    } else {
        term_error("@%s has no method or facet '%.*s'; 'help @%s' lists them", held->name,
                   SPAN_ARGS(word), held->name);
    }
    return false;
}

/* 0 = all that are held. */
static bool methods_wanted(const struct held *held, const struct command *command, uint64_t *out)
{
    const struct described *described =
        command->args != NULL ? registry_get(held->interface) : NULL;
    *out = 0;
    for (const struct node *node = command->args; node != NULL; node = node->next) {
        uint64_t methods;
        if (described == NULL ||
            !methods_named(held, described->descriptor, node->word, &methods)) {
            return false;
        }
        if ((methods & ~held->methods) != 0) {
            term_error("@%s is held without all of '%.*s': less can be given, not more", held->name,
                       SPAN_ARGS(node->word));
            return false;
        }
        *out |= methods;
    }
    return true;
}

/* When it ends: 0 = never. */
static bool deadline_wanted(const struct command *command, uint64_t *out)
{
    uint64_t lasts;
    uint64_t now;
    *out = 0;
    if (command->lasts == NULL) {
        return true;
    }
    if (!value_duration_ns(command->lasts, &lasts) || lasts == 0) {
        term_error("for how long? Expected a time, as 30s or 5min");
        return false;
    }
    const struct held *timer = names_find((struct span){"timer", 5});
    if (timer == NULL || timer->interface != Timer_ID || Timer_now(timer->cap, &now) != ST_OK) {
        term_error("'for' counts by @timer, and you hold no Timer of that name");
        return false;
    }
    if (!add_checked(now, lasts, out)) {
        *out = UINT64_MAX;
    }
    return true;
}

CAPOS_CALL_STATIC(derive_call, CapabilityManager, derive);

/* The copy under its name, with the handle that takes it back. */
static void keep(const struct held *from, const struct command *command)
{
    char origin[ORIGIN_BYTES];
    const char *why;
    capos_cap_t cap = capos_call_cap(&derive_call, 0, 0);
    fmt_format(origin, sizeof(origin), "derived from @%s", from->name);
    struct held *held = names_add(command->as, "", cap, from->interface, origin, &why);
    if (held == NULL) {
        term_error("%s", why);
        return;
    }
    (void)capos_call_take(&derive_call, 0, 0);
    held->grant = capos_call_take(&derive_call, 1, GrantHandle_ID);
    names_refresh();
    term_printf("@%s is what @%s is%s%s; 'revoke @%s' takes it back\n", held->name, from->name,
                command->args != NULL ? ", with fewer methods" : "",
                command->lasts != NULL ? ", for a time" : "", held->name);
}

void lend_derive(const struct command *command)
{
    char origin[ORIGIN_BYTES];
    uint64_t methods;
    uint64_t deadline_ns;
    bool interrupted = false;
    struct held *held = names_need(command->cap);
    if (held == NULL || !need_manager()) {
        return;
    }
    if (names_find(command->as) != NULL) {
        term_error("the name %.*s is taken; 'drop @%.*s' frees it", SPAN_ARGS(command->as),
                   SPAN_ARGS(command->as));
        return;
    }
    if (!methods_wanted(held, command, &methods) || !deadline_wanted(command, &deadline_ns)) {
        return;
    }
    capos_call_begin(&derive_call, manager);
    Derivation_b params = CapabilityManager_derive_begin(&derive_call);
    size_t len = fmt_format(origin, sizeof(origin), "the shell: derive @%s as %.*s", held->name,
                            SPAN_ARGS(command->as));
    Derivation_set_capability(params, capos_call_copy(&derive_call, held->cap));
    Derivation_set_methods(params, methods);
    Derivation_set_deadline_ns(params, deadline_ns);
    Derivation_set_origin(params, origin, min_u64(len, sizeof(origin) - 1));
    capos_params_finish(&derive_call);
    if (loop_call(&derive_call, &interrupted) == ST_OK) {
        keep(held, command);
    } else {
        tell_refusal(&derive_call, interrupted);
    }
    capos_call_end(&derive_call);
}

/* ---- revoke ---- */

void lend_revoke(struct held *held)
{
    bool interrupted = false;
    capos_cap_t grant = held->interface == GrantHandle_ID ? held->cap : held->grant;
    CAPOS_CALL_STATIC(call, GrantHandle, revoke);
    if (grant == 0) {
        term_error("@%s was not derived here: 'derive @%s as NAME' makes what you can take back",
                   held->name, held->name);
        return;
    }
    capos_call_begin(&call, grant);
    GrantHandle_revoke_begin(&call);
    capos_params_finish(&call);
    if (loop_call(&call, &interrupted) == ST_OK) {
        held->revoked = held->grant != 0;
        names_refresh();
        term_printf("@%s is revoked, with every copy and all that was obtained through it\n",
                    held->name);
    } else {
        tell_refusal(&call, interrupted);
    }
    capos_call_end(&call);
}

void lend_forget(struct held *held)
{
    if (held->grant != 0) {
        (void)capos_release_now(held->grant);
        held->grant = 0;
    }
}

void lend_tell_dead(const struct held *held)
{
    if (held->revoked) {
        term_printf("@%s was revoked: nobody who was given it, or anything through it, can use it "
                    "any more\n'drop @%s' forgets it; a new one can be derived from what it was "
                    "derived from\n",
                    held->name, held->name);
    } else {
        term_printf("@%s is dead: %s; 'drop @%s' forgets it\n", held->name, held->origin,
                    held->name);
    }
}

/* ---- why ---- */

/* What has ended hangs on no grant any more: the kernel's word for that is all there is to tell. */
static void tell_line(GrantLine_r line)
{
    struct capnp_text origin = GrantLine_get_origin(line);
    if (!GrantLine_get_live(line) && GrantLine_get_depth(line) == 0) {
        term_printf("  by no grant: %.*s\n", TEXT_ARGS(origin));
        return;
    }
    term_printf("  by the grant '%.*s', depth %u, %llu s after the start%s\n", TEXT_ARGS(origin),
                GrantLine_get_depth(line),
                (unsigned long long)(GrantLine_get_time_ns(line) / NS_A_SECOND),
                GrantLine_get_live(line) ? "" : ", revoked");
}

void lend_why(const struct held *held)
{
    bool interrupted = false;
    CAPOS_CALL_STATIC(call, CapabilityManager, explain);
    if (!need_manager()) {
        return;
    }
    capos_call_begin(&call, manager);
    CapabilityManager_explain_params_set_id(CapabilityManager_explain_begin(&call), held->cap);
    Way_r way;
    capos_params_finish(&call);
    if (loop_call(&call, &interrupted) != ST_OK) {
        tell_refusal(&call, interrupted);
    } else if (CapabilityManager_explain_results(&call, &way) == ST_OK) {
        GrantLine_list_r chain = Way_get_chain(way);
        term_printf("@%s: %s\n", held->name, held->origin);
        for (uint32_t i = 0; i < GrantLine_list_len(chain); i++) {
            tell_line(GrantLine_list_at(chain, i));
        }
        if (Way_get_redacted(way)) {
            term_printf("  beyond: redacted; who holds an AuthorityInspector sees more\n");
        }
    }
    capos_call_end(&call);
}
