/* SPDX-License-Identifier: MIT */
#include "apps/shell/complete.h"

#include "apps/shell/candidates.h"
#include "apps/shell/describe.h"
#include "apps/shell/loop.h"
#include "apps/shell/names.h"
#include "apps/shell/registry.h"
#include "apps/shell/script_texts.h"
#include "apps/shell/statement.h"
#include "apps/shell/term.h"
#include "apps/shell/variables.h"
#include "lib/base/bits.h"
#include "lib/base/string.h"
#include "lib/capnp/dynamic.h"
#include "manual.client.h"
#include "process.client.h"

enum { SHOWN_COLUMNS = 78 };

static capos_cap_t launcher;
static capos_cap_t pages;
static struct candidates all;

CAPOS_CALL_STATIC(programs_call, Launcher, programs);
CAPOS_CALL_STATIC(topics_call, Manual, topics);

void complete_init(capos_cap_t launcher_cap, capos_cap_t pages_cap)
{
    launcher = launcher_cap;
    pages = pages_cap;
}

static void offer(const char *name)
{
    candidates_offer(&all, name, strlen(name));
}

static void offer_list(const char *const *names)
{
    for (; *names != NULL; names++) {
        offer(*names);
    }
}

/* ---- what there is ---- */

static void offer_caps(void)
{
    for (struct held *held = names_next(NULL); held != NULL; held = names_next(held)) {
        offer(held->name);
    }
}

static void offer_variables(void)
{
    struct span name;
    const struct node *value;
    for (unsigned i = 0; variables_at(i, &name, &value); i++) {
        candidates_offer(&all, name.ptr, name.len);
    }
}

static void offer_programs(void)
{
    bool interrupted;
    Launcher_programs_results_r results;
    if (launcher == 0) {
        return;
    }
    capos_call_begin(&programs_call, launcher);
    Launcher_programs_begin(&programs_call);
    capos_params_finish(&programs_call);
    if (loop_call(&programs_call, &interrupted) == ST_OK &&
        Launcher_programs_results(&programs_call, &results) == ST_OK) {
        struct capnp_list names = Launcher_programs_results_get_names(results);
        for (uint32_t i = 0; i < capnp_list_len(names); i++) {
            struct capnp_text name = capnp_text_list_at(names, i);
            candidates_offer(&all, name.ptr, name.len);
        }
    }
    capos_call_end(&programs_call);
}

static void offer_pages(void)
{
    bool interrupted;
    Manual_topics_results_r results;
    if (pages == 0) {
        return;
    }
    capos_call_begin(&topics_call, pages);
    Manual_topics_begin(&topics_call);
    capos_params_finish(&topics_call);
    if (loop_call(&topics_call, &interrupted) == ST_OK &&
        Manual_topics_results(&topics_call, &results) == ST_OK) {
        Topic_list_r list = Manual_topics_results_get_topics(results);
        for (uint32_t i = 0; i < Topic_list_len(list); i++) {
            struct capnp_text name = Topic_get_name(Topic_list_at(list, i));
            candidates_offer(&all, name.ptr, name.len);
        }
    }
    capos_call_end(&topics_call);
}

/* ---- interfaces ---- */

struct target {
    Descriptor_r descriptor;
    uint64_t methods;
};

static bool target_of(uint64_t interface, uint64_t methods, struct target *target)
{
    const struct described *described = registry_get(interface);
    if (described == NULL) {
        return false;
    }
    *target = (struct target){described->descriptor, methods};
    return true;
}

/* What a call of this method answers with: the capability in the field `via`, or its only one. */
static bool follow(const struct target *from, struct span method, struct span via,
                   struct target *target)
{
    DescribedMethod_r described;
    uint64_t interface = 0;
    unsigned found = 0;
    if (!describe_find_method(from->descriptor, method, &described)) {
        return false;
    }
    DescribedField_list_r fields =
        DescribedStruct_get_fields(dyn_results(from->descriptor, described).st);
    for (uint32_t i = 0; i < DescribedField_list_len(fields); i++) {
        DescribedField_r field = DescribedField_list_at(fields, i);
        struct capnp_text name = DescribedField_get_name(field);
        if (DescribedField_get_capability(field).len > 0 &&
            (via.len == 0 || span_equals(via, (struct span){name.ptr, name.len}))) {
            interface = DescribedField_get_capability_id(field);
            found++;
        }
    }
    uint64_t methods = UINT64_MAX;
    return found == 1 && interface != 0 &&
           target_of(registry_base(interface, &methods), methods, target);
}

/* The held capability that a chain begins with. */
static const struct held *first_of(struct span *chain)
{
    struct chain_part part;
    bool is_variable = chain->len > 0 && chain->ptr[0] == '$';
    struct span name;
    if (is_variable) {
        struct variables_error error;
        const struct node *value = variables_look_up((struct span){chain->ptr + 1, chain->len - 1},
                                                     (struct span){"", 0}, &error);
        *chain = (struct span){"", 0};
        name = value != NULL && value->kind == NODE_CAP ? value->word : (struct span){"", 0};
    } else if (candidates_next_part(chain, &part)) {
        name = part.name;
    } else {
        return NULL;
    }
    return names_find(name);
}

/* The interface at the end of "@name.method(...).field". */
static bool resolve(struct span chain, struct target *target)
{
    const struct held *held = first_of(&chain);
    if (held == NULL || !target_of(held->interface, held->methods, target)) {
        return false;
    }
    struct chain_part part;
    struct span called = {"", 0};
    struct span via = {"", 0};
    bool good = true;
    while (good && candidates_next_part(&chain, &part)) {
        if (!part.called) {
            via = part.name;
            continue;
        }
        if (called.len > 0) {
            struct target from = *target;
            good = follow(&from, called, via, target);
            via = (struct span){"", 0};
        }
        called = part.name;
    }
    if (good && called.len > 0) {
        struct target from = *target;
        good = follow(&from, called, via, target);
    }
    return good;
}

static void offer_methods(const struct target *target)
{
    DescribedMethod_list_r list = Descriptor_get_methods(target->descriptor);
    for (uint32_t i = 0; i < DescribedMethod_list_len(list); i++) {
        DescribedMethod_r method = DescribedMethod_list_at(list, i);
        struct capnp_text name = DescribedMethod_get_name(method);
        uint16_t ordinal = DescribedMethod_get_ordinal(method);
        if (ordinal < 64 && (target->methods >> ordinal & 1) != 0 &&
            DescribedMethod_get_opcode(method).len == 0) {
            candidates_offer(&all, name.ptr, name.len);
        }
    }
}

/* "$x.a" has fields; what can be called has methods. */
static void offer_members(struct span before)
{
    struct target target;
    if (before.ptr[0] == '$') {
        struct variables_error error;
        size_t name = 1;
        while (name < before.len && before.ptr[name] != '.' && before.ptr[name] != '[') {
            name++;
        }
        const struct node *value =
            variables_look_up((struct span){before.ptr + 1, name - 1},
                              (struct span){before.ptr + name, before.len - name}, &error);
        for (const struct node *child = value != NULL && value->kind == NODE_STRUCT ? value->child
                                                                                    : NULL;
             child != NULL; child = child->next) {
            candidates_offer(&all, child->label.ptr, child->label.len);
        }
    }
    if (resolve(before, &target)) {
        offer_methods(&target);
    }
}

/* The method whose list the cursor is in. */
static bool method_of(struct span before, struct target *target, DescribedMethod_r *method)
{
    size_t dot = before.len;
    while (dot > 0 && before.ptr[dot - 1] != '.') {
        dot--;
    }
    struct span name = {before.ptr + dot, before.len - dot};
    return dot > 0 && resolve((struct span){before.ptr, dot - 1}, target) &&
           describe_find_method(target->descriptor, name, method);
}

static bool is_given(struct span list, struct capnp_text name)
{
    for (size_t at = 0; at + name.len < list.len; at++) {
        if (memcmp(list.ptr + at, name.ptr, name.len) == 0 &&
            (list.ptr[at + name.len] == '=' || list.ptr[at + name.len] == ':')) {
            return true;
        }
    }
    return false;
}

static void offer_parameters(const struct place *place)
{
    struct target target;
    DescribedMethod_r method;
    if (!method_of(place->before, &target, &method)) {
        return;
    }
    DescribedField_list_r fields =
        DescribedStruct_get_fields(dyn_params(target.descriptor, method).st);
    for (uint32_t i = 0; i < DescribedField_list_len(fields); i++) {
        struct capnp_text name = DescribedField_get_name(DescribedField_list_at(fields, i));
        if (!is_given(place->list, name)) {
            candidates_offer(&all, name.ptr, name.len);
        }
    }
}

/* Enumerants and truth; of other types there is nothing to choose from. */
static void offer_values(const struct place *place)
{
    struct target target;
    DescribedMethod_r method;
    DescribedField_r field;
    if (!method_of(place->before, &target, &method) ||
        !dyn_field_named(dyn_params(target.descriptor, method), place->parameter.ptr,
                         place->parameter.len, &field) ||
        DescribedField_get_is_group(field)) {
        return;
    }
    DescribedType_r type = DescribedField_get_type(field);
    if (DescribedType_get_kind(type) == DESCRIBED_KIND_BOOL) {
        offer("true");
        offer("false");
    } else if (DescribedType_get_kind(type) == DESCRIBED_KIND_ENUM) {
        DescribedEnumerant_list_r list =
            DescribedEnum_get_enumerants(dyn_enum_of(target.descriptor, type));
        for (uint32_t i = 0; i < DescribedEnumerant_list_len(list); i++) {
            struct capnp_text name =
                DescribedEnumerant_get_name(DescribedEnumerant_list_at(list, i));
            candidates_offer(&all, name.ptr, name.len);
        }
    }
}

/* ---- words ---- */

static struct span take_word(struct span *text)
{
    size_t at = 0;
    while (at < text->len && text->ptr[at] == ' ') {
        at++;
    }
    size_t start = at;
    while (at < text->len && text->ptr[at] != ' ') {
        at++;
    }
    struct span word = {text->ptr + start, at - start};
    *text = (struct span){text->ptr + at, text->len - at};
    return word;
}

static bool is_one_of(struct span word, const char *const *words)
{
    for (; *words != NULL; words++) {
        if (span_is(word, *words)) {
            return true;
        }
    }
    return false;
}

/* derive @cap as name METHOD ... */
static void offer_derived(struct span rest)
{
    struct target target;
    struct span cap = take_word(&rest);
    struct span as = take_word(&rest);
    if (cap.len > 1 && span_is(as, "as") && take_word(&rest).len > 0 && resolve(cap, &target)) {
        offer_methods(&target);
        offer("for");
    } else if (cap.len > 0 && as.len == 0) {
        offer("as");
    }
}

static void offer_logs(void)
{
    static const char *const words[] = {"level", "since", "last", "info", "warning", "error", NULL};
    offer_list(words);
}

static void offer_second_word(struct span first, struct span rest)
{
    static const char *const starts[] = {"run", "spawn", "debug", NULL};
    static const char *const in_front[] = {"time", "json", "watch", "trace", NULL};
    bool is_second = take_word(&(struct span){rest.ptr, rest.len}).len == 0;
    if (is_one_of(first, starts)) {
        if (is_second) {
            offer_programs();
        } else {
            offer("as");
            offer("with");
            offer("recordable");
        }
    } else if (span_is(first, "help") && is_second) {
        offer_list(parse_verbs);
        offer_pages();
    } else if (span_is(first, "derive")) {
        offer_derived(rest);
    } else if (span_is(first, "do") && is_second) {
        script_texts_each(offer);
    } else if (is_one_of(first, in_front) && is_second) {
        offer("caps");
        offer("call");
    } else if (span_is(first, "logs")) {
        offer_logs();
    } else if (span_is(first, "top") && is_second) {
        offer("once");
    }
}

static void offer_words(struct span before)
{
    struct span rest = before;
    struct span first = take_word(&rest);
    if (first.len > 0) {
        offer_second_word(first, rest);
        return;
    }
    offer_list(parse_verbs);
    offer_list(statement_words);
}

/* ---- the line ---- */

static void gather(const struct place *place)
{
    switch (place->kind) {
    case PLACE_CAP:
        offer_caps();
        break;
    case PLACE_VARIABLE:
        offer_variables();
        break;
    case PLACE_MEMBER:
        offer_members(place->before);
        break;
    case PLACE_PARAMETER:
        offer_parameters(place);
        break;
    case PLACE_VALUE:
        offer_values(place);
        break;
    case PLACE_WORD:
        offer_words(place->before);
        break;
    case PLACE_NOWHERE:
        break;
    }
}

/* What goes on behind a whole name. */
static const char *behind(const struct place *place)
{
    switch (place->kind) {
    case PLACE_MEMBER:
        return place->before.ptr[0] == '@' ? "(" : "";
    case PLACE_PARAMETER:
        return "=";
    case PLACE_WORD:
        return " ";
    default:
        return "";
    }
}

static void insert(char *line, size_t size, size_t *len, size_t *cursor, const char *bytes,
                   size_t count)
{
    if (count > size - *len) {
        return;
    }
    memmove(line + *cursor + count, line + *cursor, *len - *cursor);
    memcpy(line + *cursor, bytes, count);
    *len += count;
    *cursor += count;
}

static void show_all(const char *prompt, const char *line, size_t len)
{
    size_t width = 0;
    for (unsigned i = 0; i < all.count; i++) {
        width =
            min_u64(CANDIDATE_BYTES, strlen(all.names[i]) > width ? strlen(all.names[i]) : width);
    }
    unsigned columns = (unsigned)(SHOWN_COLUMNS / (width + 2));
    columns = columns > 0 ? columns : 1;
    term_printf("%s%.*s\n", prompt, (int)len, line);
    for (unsigned i = 0; i < all.count; i++) {
        bool last = i % columns == columns - 1 || i == all.count - 1;
        term_styled(TERMINAL_SESSION_STYLE_QUIET, "  %-*s%s", last ? 0 : (int)width, all.names[i],
                    last ? "\n" : "");
    }
    if (all.more) {
        term_styled(TERMINAL_SESSION_STYLE_QUIET, "  ...\n");
    }
}

void complete_line(const char *prompt, char *line, size_t size, size_t *len, size_t *cursor)
{
    struct term_catch caught; /* nothing that is not there is worth a message here */
    struct place place = candidates_place(line, *cursor);
    candidates_begin(&all, (struct span){line + place.at, *cursor - place.at});
    term_catch_begin(&caught);
    gather(&place);
    term_catch_end(&caught);
    if (all.count == 0) {
        return;
    }
    size_t typed = all.typed.len;
    if (all.common > typed) {
        insert(line, size, len, cursor, all.names[0] + typed, all.common - typed);
    } else if (all.count > 1) {
        show_all(prompt, line, *len);
    }
    const char *suffix = behind(&place);
    if (all.count == 1 && (*cursor == *len || line[*cursor] != suffix[0])) {
        insert(line, size, len, cursor, suffix, strlen(suffix));
    }
}
