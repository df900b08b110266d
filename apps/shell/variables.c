/* SPDX-License-Identifier: MIT */
#include "apps/shell/variables.h"

#include <stdarg.h>

#include "apps/shell/nearest.h"
#include "capos/heap.h"
#include "lib/base/bits.h"
#include "lib/base/string.h"

struct variable {
    char name[VARIABLE_NAME_BYTES];
    struct node *value; /* a block of its own; its first bytes are the node */
};

static struct variable variables[VARIABLES_MAX];
static unsigned count;
static size_t total_bytes;

static bool refuse(struct variables_error *error, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static bool refuse(struct variables_error *error, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fmt_vformat(error->message, sizeof(error->message), format, args);
    va_end(args);
    return false;
}

static struct span name_of(const struct variable *variable)
{
    return (struct span){variable->name, strlen(variable->name)};
}

static struct variable *find(struct span name)
{
    for (unsigned i = 0; i < count; i++) {
        if (span_equals(name_of(&variables[i]), name)) {
            return &variables[i];
        }
    }
    return NULL;
}

const struct node *variables_get(struct span name)
{
    const struct variable *variable = find(name);
    return variable != NULL ? variable->value : NULL;
}

bool variables_at(unsigned index, struct span *name, const struct node **value)
{
    if (index >= count) {
        return false;
    }
    *name = name_of(&variables[index]);
    *value = variables[index].value;
    return true;
}

/* ---- setting ---- */

static void free_value(struct node *value)
{
    total_bytes -= kept_bytes(value);
    capos_free(value);
}

static struct node *own_copy(const struct node *value, struct variables_error *error)
{
    size_t bytes = kept_bytes(value);
    if (bytes > VARIABLES_TOTAL_BYTES - total_bytes) {
        refuse(error, "variables hold at most %d KiB together; 'unset $name' frees one",
               VARIABLES_TOTAL_BYTES / 1024);
        return NULL;
    }
    struct kept_arena arena = {.bytes = capos_alloc(bytes), .size = bytes};
    struct node *copy = arena.bytes != NULL ? kept_copy(&arena, value) : NULL;
    if (copy == NULL) {
        capos_free(arena.bytes);
        refuse(error, "there is no memory left for this value");
        return NULL;
    }
    total_bytes += kept_bytes(copy);
    return copy;
}

bool variables_set(struct span name, const struct node *value, struct variables_error *error)
{
    struct variable *variable = find(name);
    if (name.len >= VARIABLE_NAME_BYTES) {
        return refuse(error, "the name of a variable has at most %d bytes",
                      VARIABLE_NAME_BYTES - 1);
    }
    if (variable == NULL && count == VARIABLES_MAX) {
        return refuse(error, "there are at most %d variables; 'unset $name' frees one",
                      VARIABLES_MAX);
    }
    struct node *copy = own_copy(value, error);
    if (copy == NULL) {
        return false;
    }
    if (variable == NULL) {
        variable = &variables[count++];
        fmt_format(variable->name, sizeof(variable->name), "%.*s", (int)name.len, name.ptr);
    } else {
        free_value(variable->value);
    }
    variable->value = copy;
    return true;
}

struct node *variables_hide(struct span name)
{
    struct variable *variable = find(name);
    if (variable == NULL) {
        return NULL;
    }
    struct node *value = variable->value;
    count--;
    memmove(variable, variable + 1, sizeof(*variable) * (size_t)(&variables[count] - variable));
    return value;
}

void variables_unset(struct span name)
{
    struct node *value = variables_hide(name);
    if (value != NULL) {
        free_value(value);
    }
}

void variables_restore(struct span name, struct node *hidden)
{
    variables_unset(name);
    if (hidden != NULL && count < VARIABLES_MAX) {
        fmt_format(variables[count].name, VARIABLE_NAME_BYTES, "%.*s", (int)name.len, name.ptr);
        variables[count++].value = hidden;
    } else if (hidden != NULL) {
        free_value(hidden);
    }
}

/* ---- looking up ---- */

static bool unknown_field(const struct node *value, struct span name, struct variables_error *error)
{
    struct nearest nearest;
    char names[128];
    size_t at = 0;
    if (value->kind != NODE_STRUCT) {
        return refuse(error, "%s has no field '%.*s'", kept_kind_name(value), SPAN_ARGS(name));
    }
    nearest_begin(&nearest, name);
    names[0] = 0;
    for (const struct node *child = value->child; child != NULL; child = child->next) {
        nearest_offer(&nearest, child->label);
        if (at < sizeof(names)) {
            at += fmt_format(names + at, sizeof(names) - at, "%s%.*s", at > 0 ? ", " : "",
                             SPAN_ARGS(child->label));
        }
    }
    if (nearest.best.len > 0) {
        return refuse(error, "no field '%.*s' here; the nearest is '%.*s'", SPAN_ARGS(name),
                      SPAN_ARGS(nearest.best));
    }
    return refuse(error, "no field '%.*s' here; there are: %s", SPAN_ARGS(name), names);
}

static bool unknown_variable(struct span name, struct variables_error *error)
{
    struct nearest nearest;
    nearest_begin(&nearest, name);
    for (unsigned i = 0; i < count; i++) {
        nearest_offer(&nearest, name_of(&variables[i]));
    }
    if (nearest.best.len > 0) {
        return refuse(error, "no variable $%.*s; the nearest is $%.*s", SPAN_ARGS(name),
                      SPAN_ARGS(nearest.best));
    }
    return refuse(error, "no variable $%.*s; '$%.*s = ...' makes one", SPAN_ARGS(name),
                  SPAN_ARGS(name));
}

/* What stands between brackets: a number, or a variable that holds one. */
static bool index_of(struct span text, uint64_t *index, struct variables_error *error)
{
    *index = 0;
    if (text.len > 0 && text.ptr[0] == '$') {
        struct span name = {text.ptr + 1, text.len - 1};
        const struct node *value = variables_get(name);
        if (value == NULL) {
            return unknown_variable(name, error);
        }
        if (value->kind != NODE_NUMBER || value->negative) {
            return refuse(error, "an index is a number from 0, and $%.*s is %.*s", SPAN_ARGS(name),
                          SPAN_ARGS(value->source));
        }
        *index = value->magnitude;
        return true;
    }
    for (size_t i = 0; i < text.len; i++) {
        uint64_t digit = (uint64_t)(text.ptr[i] - '0');
        *index = *index > (UINT64_MAX - digit) / 10 ? UINT64_MAX : *index * 10 + digit;
    }
    return true;
}

static const struct node *element(const struct node *value, struct span text,
                                  struct variables_error *error)
{
    uint64_t index;
    if (value->kind != NODE_LIST) {
        refuse(error, "%s has no elements", kept_kind_name(value));
        return NULL;
    }
    if (!index_of(text, &index, error)) {
        return NULL;
    }
    const struct node *found = kept_element(value, index);
    if (found == NULL) {
        unsigned long long size = kept_count(value);
        refuse(error, "there is no element %llu in a list of %llu; the first is [0]",
               (unsigned long long)index, size);
    }
    return found;
}

const struct node *variables_follow(const struct node *value, struct span path,
                                    struct variables_error *error)
{
    size_t at = 0;
    while (value != NULL && at < path.len) {
        size_t start = at + 1;
        const char *stops = path.ptr[at] == '[' ? "]" : ".[";
        bool is_index = path.ptr[at] == '[';
        for (at = start; at < path.len && strchr(stops, path.ptr[at]) == NULL; at++) {
        }
        struct span part = {path.ptr + start, at - start};
        if (is_index) {
            at++;
            value = element(value, part, error);
            continue;
        }
        const struct node *field = kept_field(value, part);
        if (field == NULL) {
            unknown_field(value, part, error);
        }
        value = field;
    }
    return value;
}

const struct node *variables_look_up(struct span name, struct span path,
                                     struct variables_error *error)
{
    const struct node *value = variables_get(name);
    if (value == NULL) {
        unknown_variable(name, error);
        return NULL;
    }
    return variables_follow(value, path, error);
}

static bool resolve(struct node *node, struct variables_error *error)
{
    const struct node *value = variables_look_up(node->word, node->text, error);
    if (value == NULL) {
        return false;
    }
    struct span label = node->label;
    struct node *next = node->next;
    *node = *value;
    node->label = label;
    node->next = next;
    return true;
}

bool variables_resolve(struct command *command, struct variables_error *error)
{
    bool good = true;
    for (unsigned i = 0; i < command->node_count && good; i++) {
        if (command->nodes[i].kind == NODE_VARIABLE) {
            good = resolve(&command->nodes[i], error);
        }
    }
    if (good && command->target != NULL) {
        if (command->target->kind != NODE_CAP) {
            return refuse(error, "only a capability can be called, and this is %s",
                          kept_kind_name(command->target));
        }
        command->cap = command->target->word;
    }
    return good;
}
