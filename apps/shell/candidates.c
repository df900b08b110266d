/* SPDX-License-Identifier: MIT */
#include "apps/shell/candidates.h"

#include "lib/base/bits.h"
#include "lib/base/string.h"

enum { DEPTH_MAX = 16 };

void candidates_begin(struct candidates *all, struct span typed)
{
    all->typed = typed;
    all->count = 0;
    all->more = false;
    all->common = 0;
}

static bool is_there(const struct candidates *all, const char *name, size_t len)
{
    for (unsigned i = 0; i < all->count; i++) {
        if (str_equals(name, len, all->names[i])) {
            return true;
        }
    }
    return false;
}

void candidates_offer(struct candidates *all, const char *name, size_t len)
{
    if (len < all->typed.len || len >= CANDIDATE_BYTES ||
        (all->typed.len > 0 && memcmp(name, all->typed.ptr, all->typed.len) != 0) ||
        is_there(all, name, len)) {
        return;
    }
    if (all->count == CANDIDATES_MAX) {
        all->more = true;
        return;
    }
    char *place = all->names[all->count++];
    memcpy(place, name, len);
    place[len] = 0;
    size_t common = all->count == 1 ? len : min_u64(all->common, len);
    while (common > 0 && memcmp(place, all->names[0], common) != 0) {
        common--;
    }
    all->common = common;
}

/* ---- places ---- */

static bool is_name_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '-';
}

/* What is open at the end of a text. */
struct open {
    bool quoted;
    bool comment;
    unsigned depth;
    size_t starts[DEPTH_MAX]; /* of brackets that are open, the outer first */
    size_t statement;         /* where the last statement begins */
};

static void pass(struct open *open, const char *line, size_t at)
{
    char c = line[at];
    if (open->quoted) {
        open->quoted = c != '"';
    } else if (c == '"') {
        open->quoted = true;
    } else if (c == '#') {
        open->comment = true;
    } else if (c == '(' || c == '[' || c == '{') {
        if (open->depth < DEPTH_MAX) {
            open->starts[open->depth] = at;
        }
        open->depth++;
        open->statement = c == '{' ? at + 1 : open->statement;
    } else if (c == ')' || c == ']' || c == '}') {
        open->depth -= open->depth > 0 ? 1 : 0;
    } else if (c == ';' && (open->depth == 0 || open->depth > DEPTH_MAX ||
                            line[open->starts[open->depth - 1]] == '{')) {
        open->statement = at + 1;
    }
}

static struct open look(const char *line, size_t cursor)
{
    struct open open = {0};
    for (size_t at = 0; at < cursor && !open.comment; at++) {
        if (open.quoted && line[at] == '\\') {
            at++;
            continue;
        }
        pass(&open, line, at);
    }
    return open;
}

/* Back over "$name.a[0]" or "@name.method(...).method" to its first sign; `end` when it is neither. */
static size_t chain_start(const char *line, size_t end)
{
    unsigned depth = 0;
    size_t at = end;
    while (at > 0) {
        char c = line[at - 1];
        if (c == '"') {
            for (at--; at > 0 && line[at - 1] != '"'; at--) {
            }
            at -= at > 0 ? 1 : 0;
            continue;
        }
        if (c == ')' || c == ']') {
            depth++;
        } else if (c == '(' || c == '[') {
            if (depth == 0) {
                return end;
            }
            depth--;
        } else if (depth == 0 && (c == '@' || c == '$')) {
            return at - 1;
        } else if (depth == 0 && !is_name_char(c) && c != '.') {
            return end;
        }
        at--;
    }
    return end;
}

/* In a list: a parameter's name or its value. False: the list is no call's. */
static bool place_in_list(const char *line, size_t list, struct place *place)
{
    size_t start = chain_start(line, list);
    size_t at = place->at;
    while (at > list + 1 && line[at - 1] == ' ') {
        at--;
    }
    char c = line[at - 1];
    if (start == list || (c != '(' && c != ',' && c != '=' && c != ':')) {
        return false;
    }
    place->before = (struct span){line + start, list - start};
    place->list = (struct span){line + list + 1, place->at - list - 1};
    place->kind = PLACE_PARAMETER;
    if (c == '=' || c == ':') {
        size_t end = at - 1;
        while (end > list + 1 && line[end - 1] == ' ') {
            end--;
        }
        size_t name = end;
        while (name > list + 1 && is_name_char(line[name - 1])) {
            name--;
        }
        place->parameter = (struct span){line + name, end - name};
        place->kind = PLACE_VALUE;
    }
    return true;
}

struct place candidates_place(const char *line, size_t cursor)
{
    struct open open = look(line, cursor);
    struct span nothing = {"", 0};
    struct place place = {PLACE_NOWHERE, cursor, nothing, nothing, nothing};
    if (open.quoted || open.comment || open.depth > DEPTH_MAX) {
        return place;
    }
    while (place.at > 0 && is_name_char(line[place.at - 1])) {
        place.at--;
    }
    char before = place.at > 0 ? line[place.at - 1] : 0;
    if (before == '@' || before == '$') {
        place.kind = before == '@' ? PLACE_CAP : PLACE_VARIABLE;
        return place;
    }
    if (before == '.') {
        size_t start = chain_start(line, place.at - 1);
        place.before = (struct span){line + start, place.at - 1 - start};
        place.kind = place.before.len > 0 ? PLACE_MEMBER : PLACE_NOWHERE;
        return place;
    }
    size_t list = open.depth > 0 ? open.starts[open.depth - 1] : 0;
    if (open.depth > 0 && line[list] == '(' && place_in_list(line, list, &place)) {
        return place;
    }
    place.kind = PLACE_WORD;
    size_t start = min_u64(open.statement, place.at);
    place.before = (struct span){line + start, place.at - start};
    return place;
}

bool candidates_next_part(struct span *chain, struct chain_part *part)
{
    size_t at = 0;
    while (at < chain->len && (chain->ptr[at] == '.' || chain->ptr[at] == '@')) {
        at++;
    }
    size_t start = at;
    while (at < chain->len && is_name_char(chain->ptr[at])) {
        at++;
    }
    *part = (struct chain_part){.name = {chain->ptr + start, at - start}};
    unsigned depth = 0;
    if (at < chain->len && chain->ptr[at] == '(') {
        part->called = true;
        bool quoted = false;
        do {
            char c = chain->ptr[at];
            quoted = quoted != (c == '"');
            depth += c == '(' && !quoted ? 1 : 0;
            depth -= c == ')' && !quoted ? 1 : 0;
            at++;
        } while (at < chain->len && depth > 0);
    }
    *chain = (struct span){chain->ptr + at, chain->len - at};
    return part->name.len > 0;
}
