/* SPDX-License-Identifier: MIT */
#include "apps/shell/steps.h"

#include "annotations.capnp.h"
#include "apps/shell/children.h"
#include "apps/shell/describe.h"
#include "apps/shell/nearest.h"
#include "apps/shell/term.h"
#include "lib/base/bits.h"
#include "lib/base/compiler.h"
#include "lib/base/string.h"
#include "status.capnp.h"

#define TEXT_ARGS(text) (int)(text).len, (text).ptr

/* Messages of one line: the largest parameters and result twice, which is more than enough for many small ones. */
enum { ARENA_BYTES = 2 * (2 * CAPOS_MAX_MESSAGE_BYTES + 8192) };

static struct step steps[PARSE_MAX_STEPS];
static _Alignas(16) uint8_t arena[ARENA_BYTES];
static size_t arena_used;
static bool in_a_row; /* a refusal says of which call it is */

static void *arena_take(size_t bytes)
{
    bytes = align_up(bytes, 16);
    if (bytes > sizeof(arena) - arena_used) {
        return NULL;
    }
    arena_used += bytes;
    return arena + arena_used - bytes;
}

/* ---- the method ---- */

static void say_no_method(const struct step_target *target, Descriptor_r descriptor,
                          struct span wanted)
{
    struct nearest nearest;
    DescribedMethod_list_r list = Descriptor_get_methods(descriptor);
    nearest_begin(&nearest, wanted);
    for (uint32_t i = 0; i < DescribedMethod_list_len(list); i++) {
        struct capnp_text name = DescribedMethod_get_name(DescribedMethod_list_at(list, i));
        if (target->methods >> (i & 63) & 1) {
            nearest_offer(&nearest, (struct span){name.ptr, name.len});
        }
    }
    struct capnp_text interface = Descriptor_get_name(descriptor);
    if (nearest.best.len > 0) {
        term_error("%.*s has no method '%.*s'; the nearest is '%.*s'", TEXT_ARGS(interface),
                   SPAN_ARGS(wanted), SPAN_ARGS(nearest.best));
    } else if (target->held != NULL) {
        term_error("%.*s has no method '%.*s'; 'help %s' lists them", TEXT_ARGS(interface),
                   SPAN_ARGS(wanted), target->what);
    } else {
        term_error("%s has no method '%.*s'; name it first, as x = @..., then 'help @x' lists them",
                   target->what, SPAN_ARGS(wanted));
    }
}

/* The method, if it exists, is in the facet, and can be called. */
static bool find_method(const struct step_target *target, Descriptor_r descriptor, struct span name,
                        DescribedMethod_r *method)
{
    if (!describe_find_method(descriptor, name, method)) {
        say_no_method(target, descriptor, name);
        return false;
    }
    struct capnp_text opcode = DescribedMethod_get_opcode(*method);
    if (opcode.len > 0) {
        bool held = target->held != NULL;
        term_error("%.*s stands for the ring operation %.*s and cannot be called%s%s%s%.*s%s",
                   SPAN_ARGS(name), TEXT_ARGS(opcode), held ? "; 'help " : "",
                   held ? target->what : "", held ? "." : "", held ? (int)name.len : 0, name.ptr,
                   held ? "' says more" : "");
        return false;
    }
    uint16_t ordinal = DescribedMethod_get_ordinal(*method);
    if (ordinal > 63 || (target->methods >> ordinal & 1) == 0) {
        const char *facet = registry_facet_name(target->interface, target->methods);
        term_error("%s is held without '%.*s'%s%s; whoever granted it could grant more",
                   target->what, SPAN_ARGS(name), facet != NULL ? ", as " : "",
                   facet != NULL ? facet : "");
        return false;
    }
    return true;
}

/* ---- capabilities in parameters ---- */

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
    uint64_t methods;
    if (interface != 0 && held->interface != registry_base(interface, &methods)) {
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
    struct step *self = CONTAINER_OF(caps, struct step, caps);
    struct held *held = names_find(node->word);
    if (held == NULL) {
        char name[NAME_BYTES];
        fmt_format(name, sizeof(name), "%.*s", SPAN_ARGS(node->word));
        return caps_refuse(error, node, "you hold nothing named @%s%s", name,
                           "; 'caps' lists what you hold");
    }
    if (!check_capability(node, held, interface, error)) {
        return false;
    }
    *index = node->move ? capos_call_move(&self->call, held->cap)
                        : capos_call_copy(&self->call, held->cap);
    if (*index == UINT16_MAX) {
        return caps_refuse(error, node, "@%s is one capability more than this method takes%s",
                           held->name, "");
    }
    if (node->move) {
        self->moved[self->moved_count++] = held;
    }
    return true;
}

/* ---- one step ---- */

/* The field of the answer that names the capability wanted: the only one, or the one called `via`.
 * *index_out: which capability of the answer it is. */
static bool find_field(const struct step *step, struct span via, DescribedField_r *out,
                       unsigned *index_out)
{
    struct dyn_struct results = dyn_results(step->described->descriptor, step->method);
    DescribedField_list_r fields = DescribedStruct_get_fields(results.st);
    unsigned found = 0, index = 0;
    for (uint32_t i = 0; i < DescribedField_list_len(fields); i++) {
        DescribedField_r field = DescribedField_list_at(fields, i);
        struct capnp_text name = DescribedField_get_name(field);
        if (DescribedField_get_capability(field).len == 0) {
            continue;
        }
        if (via.len == 0 || span_equals(via, (struct span){name.ptr, name.len})) {
            *out = field;
            *index_out = index;
            found++;
        }
        index++;
    }
    if (index == 0) {
        term_error("%s.%s answers with no capability that something could be called on",
                   step->interface_name, step->method_name);
    } else if (found == 0) {
        term_error("%s.%s answers with no capability in a field '%.*s'; 'help' lists its fields",
                   step->interface_name, step->method_name, SPAN_ARGS(via));
    } else if (found > 1) {
        term_error("%s.%s answers with %u capabilities; name the field of one, as .field.method()",
                   step->interface_name, step->method_name, found);
    }
    return found == 1;
}

/* What the step after this one is called on. */
static bool target_of(struct step *step, struct span via, struct step_target *out)
{
    DescribedField_r field;
    unsigned index = 0;
    if (!find_field(step, via, &field, &index)) {
        return false;
    }
    uint64_t named = DescribedField_get_capability_id(field);
    if (named == 0) {
        term_error("of what interface the capability from %s.%s is shows only when it has come; "
                   "name it first, as "
                   "x = @...",
                   step->interface_name, step->method_name);
        return false;
    }
    if (index >= CAPOS_MAX_PIPE_CAPS) {
        term_error("only the first %d capabilities of an answer can be called before it has come",
                   (int)CAPOS_MAX_PIPE_CAPS);
        return false;
    }
    out->interface = registry_base(named, &out->methods);
    out->cap = capos_promise(&step->call, index);
    out->held = NULL;
    fmt_format(out->what, sizeof(out->what), "the %.*s that %s gives",
               TEXT_ARGS(DescribedField_get_capability(field)), step->method_name);
    return true;
}

/* Sets the call up, with room for its messages. */
static bool prepare(struct step *step, const struct step_target *target, bool last)
{
    Descriptor_r descriptor = step->described->descriptor;
    uint16_t result_caps = DescribedMethod_get_result_caps(step->method);
    uint16_t param_caps =
        (uint16_t)min_u64(DescribedMethod_get_param_caps(step->method), CAPOS_MAX_TRANSFERS);
    uint32_t params = (uint32_t)min_u64(DescribedMethod_get_max_params_bytes(step->method),
                                        CAPOS_MAX_MESSAGE_BYTES);
    uint32_t results = last ? CAPOS_MAX_MESSAGE_BYTES
                            : (uint32_t)min_u64(DescribedMethod_get_max_results_bytes(step->method),
                                                CAPOS_MAX_MESSAGE_BYTES);
    uint32_t room = (uint32_t)CAPOS_RESULTS_STORAGE(results, last ? CAPOS_MAX_TRANSFERS : 0u);
    fmt_format(step->interface_name, STEP_NAME_BYTES, "%.*s",
               TEXT_ARGS(Descriptor_get_name(descriptor)));
    fmt_format(step->method_name, STEP_NAME_BYTES, "%.*s",
               TEXT_ARGS(DescribedMethod_get_name(step->method)));
    step->call = (struct capos_call){
        .interface = target->interface,
        .interface_name = step->interface_name,
        .method_name = step->method_name,
        .method = DescribedMethod_get_ordinal(step->method),
        .accept = (uint8_t)(last ? min_u64(result_caps, CAPOS_MAX_TRANSFERS) : 0),
        .transfer_capacity = (uint8_t)param_caps,
        .params = arena_take(CAPOS_PARAMS_ROOM(params, param_caps)),
        .params_capacity = params,
        .result = arena_take(room),
        .result_capacity = room,
        .transfers = arena_take(sizeof(struct capos_transfer) * (param_caps + 1u)),
        .keep = !last,
        .quiet = !last,
    };
    if (step->call.params == NULL || step->call.result == NULL || step->call.transfers == NULL) {
        term_error("the answers of so many calls have no room; name one on the way, as x = @...");
        return false;
    }
    capos_call_begin(&step->call, target->cap);
    return true;
}

static bool build_params(struct step *step, const struct node *args)
{
    struct value_error error;
    struct capnp_builder builder;
    size_t bytes;
    capnp_builder_init(&builder, step->call.params, step->call.params_capacity);
    step->caps.add = add_capability;
    step->moved_count = 0;
    if (!value_build(dyn_params(step->described->descriptor, step->method), args, &builder,
                     &step->caps, &error)) {
        term_error("%s%s%s", in_a_row ? step->method_name : "", in_a_row ? ": " : "",
                   error.message);
        return false;
    }
    if (capnp_finish(&builder, &bytes) != CAPNP_OK) {
        term_error("the parameters are larger than %s.%s takes", step->interface_name,
                   step->method_name);
        return false;
    }
    step->call.params_bytes = (uint32_t)bytes;
    return true;
}

static bool one_step(struct step *step, const struct step_target *target, struct span method,
                     const struct node *args, bool last)
{
    step->described = registry_get(target->interface);
    return step->described != NULL &&
           find_method(target, step->described->descriptor, method, &step->method) &&
           prepare(step, target, last) && build_params(step, args);
}

/* ---- all ---- */

/* A name is for a capability, and a method says how many its answers hold. */
static bool assign_is_of_use(const struct command *command, const struct step *last)
{
    if (command->assign.len == 0 || DescribedMethod_get_result_caps(last->method) > 0) {
        return true;
    }
    term_error("%s.%s answers without a capability, and a name is for one: leave out '%.*s ='",
               last->interface_name, last->method_name, SPAN_ARGS(command->assign));
    return false;
}

struct step *steps_prepare(struct command *command, const struct held *held, unsigned *count_out)
{
    struct step_target target = {held->cap, held->interface, held->methods, "", held};
    unsigned count = command->step_count + 1;
    fmt_format(target.what, sizeof(target.what), "@%s", held->name);
    arena_used = 0;
    in_a_row = count > 1;
    memset(steps, 0, sizeof(steps));
    bool good = one_step(&steps[0], &target, command->method, command->args, count == 1);
    for (unsigned i = 1; i < count && good; i++) {
        const struct call_step *step = &command->steps[i - 1];
        good = target_of(&steps[i - 1], step->via, &target) &&
               one_step(&steps[i], &target, step->method, step->args, i == count - 1);
    }
    *count_out = count;
    good = good && assign_is_of_use(command, &steps[count - 1]);
    if (!good) {
        steps_end(steps, count);
    }
    return good ? steps : NULL;
}

static void forget_moved(struct step *step)
{
    for (unsigned i = 0; i < step->moved_count; i++) {
        children_forget(step->moved[i]);
        names_remove(step->moved[i]);
    }
}

void steps_end(struct step *first, unsigned count)
{
    for (struct step *step = first + count; step-- != first;) {
        bool sent = step->call.op.sqe.op == CAPOS_OP_CALL;
        capos_call_end(&step->call);
        if (sent && step->call.status == ST_OK) {
            forget_moved(step);
        }
    }
}
