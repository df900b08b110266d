/* SPDX-License-Identifier: MIT */
#include "apps/shell/call.h"

#include "apps/shell/children.h"
#include "apps/shell/describe.h"
#include "apps/shell/lend.h"
#include "apps/shell/loop.h"
#include "apps/shell/names.h"
#include "apps/shell/nearest.h"
#include "apps/shell/registry.h"
#include "apps/shell/show.h"
#include "apps/shell/term.h"
#include "apps/shell/value.h"
#include "annotations.capnp.h"
#include "capos/ring.h"
#include "lib/base/bits.h"
#include "lib/base/string.h"
#include "status.capnp.h"

#define TEXT_ARGS(text) (int)(text).len, (text).ptr

enum { METHOD_NAME_BYTES = 64 };

static _Alignas(8) uint8_t
    params_storage[CAPOS_PARAMS_ROOM(CAPOS_MAX_MESSAGE_BYTES, CAPOS_MAX_TRANSFERS)];
static _Alignas(8) uint8_t
    result_storage[CAPOS_RESULTS_ROOM(CAPOS_MAX_MESSAGE_BYTES, CAPOS_MAX_TRANSFERS)];
static struct capos_transfer transfers[CAPOS_MAX_TRANSFERS + 1];
static char interface_name[METHOD_NAME_BYTES];
static char method_name[METHOD_NAME_BYTES];

/* ---- the method ---- */

static void say_no_method(const struct held *held, Descriptor_r descriptor, struct span wanted)
{
    struct nearest nearest;
    DescribedMethod_list_r list = Descriptor_get_methods(descriptor);
    nearest_begin(&nearest, wanted);
    for (uint32_t i = 0; i < DescribedMethod_list_len(list); i++) {
        struct capnp_text name = DescribedMethod_get_name(DescribedMethod_list_at(list, i));
        if (held->methods >> (i & 63) & 1) {
            nearest_offer(&nearest, (struct span){name.ptr, name.len});
        }
    }
    struct capnp_text interface = Descriptor_get_name(descriptor);
    if (nearest.best.len > 0) {
        term_error("%.*s has no method '%.*s'; the nearest is '%.*s'", TEXT_ARGS(interface),
                   SPAN_ARGS(wanted), SPAN_ARGS(nearest.best));
    } else {
        term_error("%.*s has no method '%.*s'; 'help @%s' lists them", TEXT_ARGS(interface),
                   SPAN_ARGS(wanted), held->name);
    }
}

/* The method, if it exists, is in the facet held, and can be called. */
static bool find_method(const struct held *held, Descriptor_r descriptor, struct span name,
                        DescribedMethod_r *method)
{
    if (!describe_find_method(descriptor, name, method)) {
        say_no_method(held, descriptor, name);
        return false;
    }
    struct capnp_text opcode = DescribedMethod_get_opcode(*method);
    if (opcode.len > 0) {
        term_error("%.*s stands for the ring operation %.*s and cannot be called; 'help @%s.%.*s' "
                   "says more",
                   SPAN_ARGS(name), TEXT_ARGS(opcode), held->name, SPAN_ARGS(name));
        return false;
    }
    uint16_t ordinal = DescribedMethod_get_ordinal(*method);
    if (ordinal > 63 || (held->methods >> ordinal & 1) == 0) {
        const char *facet = registry_facet_name(held->interface, held->methods);
        term_error("@%s is held without '%.*s'%s%s; whoever granted it could grant more",
                   held->name, SPAN_ARGS(name), facet != NULL ? ", as " : "",
                   facet != NULL ? facet : "");
        return false;
    }
    return true;
}

/* ---- capabilities in parameters ---- */

struct call_caps {
    struct value_caps caps;
    struct capos_call *call;
    unsigned moved_count;
    struct held *moved[CAPOS_MAX_TRANSFERS];
};

static bool caps_refuse(struct value_error *error, const struct node *node, const char *format,
                        const char *a, const char *b)
{
    fmt_format(error->message, sizeof(error->message), format, a, b);
    error->at = node->source;
    return false;
}

static bool check_capability(const struct node *node, const struct held *held, uint64_t interface,
                             struct value_error *error)
{
    if (interface != 0 && held->interface != interface) {
        const char *is = registry_known_name(held->interface);
        char text[96];
        const char *wanted = registry_known_name(interface);
        fmt_format(text, sizeof(text), "%s, and a %s is expected",
                   is != NULL ? is : "another interface",
                   wanted != NULL ? wanted : "capability of another interface");
        return caps_refuse(error, node, "@%s is of interface %s", held->name, text);
    }
    if (held->transfer_mode == TRANSFER_MODE_MOVE && !node->move) {
        return caps_refuse(error, node, "@%s can only be moved: write 'move @%s'", held->name,
                           held->name);
    }
    if (node->move && held->permanent) {
        return caps_refuse(error, node, "@%s stays with the shell%s", held->name,
                           ", which lives on it");
    }
    return true;
}

static bool add_capability(struct value_caps *caps, const struct node *node, uint64_t interface,
                           struct value_error *error, uint16_t *index)
{
    struct call_caps *self = (struct call_caps *)caps;
    struct held *held = names_find(node->word);
    if (held == NULL) {
        char name[NAME_BYTES];
        fmt_format(name, sizeof(name), "%.*s", SPAN_ARGS(node->word));
        return caps_refuse(error, node, "you hold nothing named @%s%s", name, "");
    }
    if (!check_capability(node, held, interface, error)) {
        return false;
    }
    *index = node->move ? capos_call_move(self->call, held->cap)
                        : capos_call_copy(self->call, held->cap);
    if (*index == UINT16_MAX) {
        return caps_refuse(error, node, "@%s is one capability more than this method takes%s",
                           held->name, "");
    }
    if (node->move) {
        self->moved[self->moved_count++] = held;
    }
    return true;
}

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

static void show_success(struct capos_call *call, Descriptor_r descriptor, DescribedMethod_r method,
                         const struct command *command)
{
    char origin[ORIGIN_BYTES];
    struct result_caps caps = {
        {result_name, registry_known_name}, call, origin, command->assign, {{0}}};
    struct capnp_struct results;
    fmt_format(origin, sizeof(origin), "@%.*s.%.*s", SPAN_ARGS(command->cap),
               SPAN_ARGS(command->method));
    if (dyn_read(call->result, call->result_bytes, &results) != CAPNP_OK) {
        term_error("%s.%s answered with a malformed message", interface_name, method_name);
        return;
    }
    name_results(&caps);
    show_results(&term_sink, dyn_results(descriptor, method), results, &caps.caps);
    if (command->assign.len > 0 && call->cap_count == 0) {
        term_error("this answer holds no capability: nothing is named %.*s",
                   SPAN_ARGS(command->assign));
    }
}

static void show_refusal(struct capos_call *call, const struct held *held)
{
    char text[400];
    term_error("%s", capos_explain(call, text, sizeof(text)));
    if (call->status == ST_BAD_ARGUMENT || call->status == ST_TOO_LARGE) {
        term_printf("'help @%s.%s' tells what it takes\n", held->name, method_name);
    }
    if (call->status == ST_DISCONNECTED || call->status == ST_BAD_CAP) {
        names_refresh();
        if (!held->live) {
            lend_tell_dead(held);
        }
    }
}

/* ---- the call ---- */

static void prepare(struct capos_call *call, const struct held *held, Descriptor_r descriptor,
                    DescribedMethod_r method)
{
    struct capnp_text interface = Descriptor_get_name(descriptor);
    struct capnp_text name = DescribedMethod_get_name(method);
    fmt_format(interface_name, sizeof(interface_name), "%.*s", TEXT_ARGS(interface));
    fmt_format(method_name, sizeof(method_name), "%.*s", TEXT_ARGS(name));
    uint16_t result_caps = DescribedMethod_get_result_caps(method);
    uint16_t param_caps = DescribedMethod_get_param_caps(method);
    *call = (struct capos_call){
        .interface = held->interface,
        .interface_name = interface_name,
        .method_name = method_name,
        .method = DescribedMethod_get_ordinal(method),
        .accept = (uint8_t)min_u64(result_caps, CAPOS_MAX_TRANSFERS),
        .transfer_capacity = (uint8_t)min_u64(param_caps, CAPOS_MAX_TRANSFERS),
        .params = params_storage,
        .params_capacity = (uint32_t)min_u64(DescribedMethod_get_max_params_bytes(method),
                                             CAPOS_MAX_MESSAGE_BYTES),
        .result = result_storage,
        .result_capacity = sizeof(result_storage),
        .transfers = transfers,
    };
    capos_call_begin(call, held->cap);
}

static void show_value_error(const struct value_error *error)
{
    term_error("%s", error->message);
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

/* A name is for a capability, and a method says how many its answers hold. */
static bool assign_is_of_use(const struct command *command, Descriptor_r descriptor,
                             DescribedMethod_r method)
{
    if (command->assign.len == 0 || DescribedMethod_get_result_caps(method) > 0) {
        return true;
    }
    term_error("%.*s.%.*s answers without a capability, and a name is for one: leave out '%.*s ='",
               TEXT_ARGS(Descriptor_get_name(descriptor)), SPAN_ARGS(command->method),
               SPAN_ARGS(command->assign));
    return false;
}

static void forget_moved(struct call_caps *caps)
{
    for (unsigned i = 0; i < caps->moved_count; i++) {
        children_forget(caps->moved[i]);
        names_remove(caps->moved[i]);
    }
}

void call_method(struct command *command)
{
    struct capos_call call;
    struct value_error error;
    struct capnp_builder builder;
    DescribedMethod_r method;
    bool interrupted = false;
    struct held *held = names_need(command->cap);
    const struct described *described = held != NULL ? registry_get(held->interface) : NULL;
    if (described == NULL || !assign_is_free(command) ||
        !find_method(held, described->descriptor, command->method, &method) ||
        !assign_is_of_use(command, described->descriptor, method)) {
        return;
    }
    prepare(&call, held, described->descriptor, method);
    capnp_builder_init(&builder, call.params, call.params_capacity);
    struct call_caps caps = {.caps = {add_capability}, .call = &call};
    size_t bytes;
    if (!value_build(dyn_params(described->descriptor, method), command->args, &builder, &caps.caps,
                     &error)) {
        show_value_error(&error);
        return;
    }
    if (capnp_finish(&builder, &bytes) != CAPNP_OK) {
        term_error("the parameters are larger than the method takes");
        return;
    }
    call.params_bytes = (uint32_t)bytes;
    status_t status = loop_call(&call, &interrupted);
    if (status == ST_OK) {
        forget_moved(&caps);
        show_success(&call, described->descriptor, method, command);
    } else if (interrupted) {
        term_printf("interrupted; whether %s.%s was done is not known\n", interface_name,
                    method_name);
    } else {
        show_refusal(&call, held);
    }
    capos_call_end(&call);
}
