/* SPDX-License-Identifier: MIT */
#include "apps/shell/script_texts.h"

#include "apps/shell/nearest.h"
#include "apps/shell/registry.h"
#include "apps/shell/script.h"
#include "apps/shell/term.h"
#include "capos/heap.h"
#include "capos/ring.h"
#include "lib/base/bits.h"
#include "lib/base/string.h"
#include "memory.client.h"

enum { PIECE_BYTES = 2048 };

static struct script_text *named[SCRIPTS_MAX];

static struct span name_of(const struct script_text *text)
{
    return (struct span){text->name, strlen(text->name)};
}

static struct script_text **find(struct span name)
{
    for (size_t i = 0; i < SCRIPTS_MAX; i++) {
        if (named[i] != NULL && span_equals(name_of(named[i]), name)) {
            return &named[i];
        }
    }
    return NULL;
}

static struct script_text **free_place(void)
{
    for (size_t i = 0; i < SCRIPTS_MAX; i++) {
        if (named[i] == NULL) {
            return &named[i];
        }
    }
    return NULL;
}

/* NULL: no memory. */
static struct script_text *new_text(size_t bytes)
{
    struct script_text *text = capos_alloc_zeroed(1, sizeof(*text));
    char *place = text != NULL ? capos_alloc(bytes + 1) : NULL;
    if (place == NULL) {
        capos_free(text);
        return NULL;
    }
    text->bytes = place;
    return text;
}

static void free_text(struct script_text *text)
{
    capos_free(text->bytes);
    capos_free(text);
}

void script_texts_release(struct script_text *text)
{
    text->users--;
    if (text->users == 0 && text->forgotten) {
        free_text(text);
    }
}

static void forget(struct script_text *text)
{
    text->forgotten = true;
    text->users++;
    script_texts_release(text);
}

bool script_texts_keep(struct span name, struct span parameters, struct span block, char *why,
                       size_t why_size)
{
    struct script_text **place = find(name);
    if (name.len >= NAME_BYTES) {
        fmt_format(why, why_size, "the name of a script has at most %d bytes", NAME_BYTES - 1);
        return false;
    }
    place = place != NULL ? place : free_place();
    if (place == NULL) {
        fmt_format(why, why_size, "there are at most %d scripts; 'script' lists them",
                   (int)SCRIPTS_MAX);
        return false;
    }
    struct script_text *text = new_text(parameters.len + block.len);
    if (text == NULL) {
        fmt_format(why, why_size, "there is no memory left for this script");
        return false;
    }
    fmt_format(text->name, sizeof(text->name), "%.*s", (int)name.len, name.ptr);
    memcpy(text->bytes, parameters.len > 0 ? parameters.ptr : "", parameters.len);
    memcpy(text->bytes + parameters.len, block.ptr, block.len);
    text->parameters = (struct span){text->bytes, parameters.len};
    text->block = (struct span){text->bytes + parameters.len, block.len};
    if (*place != NULL) {
        forget(*place);
    }
    *place = text;
    return true;
}

static void tell_unknown(struct span name)
{
    struct nearest nearest;
    nearest_begin(&nearest, name);
    for (size_t i = 0; i < SCRIPTS_MAX; i++) {
        if (named[i] != NULL) {
            nearest_offer(&nearest, name_of(named[i]));
        }
    }
    if (nearest.best.len > 0) {
        term_error("no script '%.*s'; the nearest is '%.*s'", SPAN_ARGS(name),
                   SPAN_ARGS(nearest.best));
    } else {
        term_error("no script '%.*s'; 'script %.*s { ... }' makes one", SPAN_ARGS(name),
                   SPAN_ARGS(name));
    }
}

bool script_texts_show(struct span name)
{
    bool any = false;
    struct script_text **one = name.len > 0 ? find(name) : NULL;
    if (name.len > 0 && one == NULL) {
        tell_unknown(name);
        return false;
    }
    for (size_t i = 0; i < SCRIPTS_MAX; i++) {
        const struct script_text *text = named[i];
        if (text == NULL || (one != NULL && one != &named[i])) {
            continue;
        }
        any = true;
        term_printf("script %s(%.*s)", text->name, (int)text->parameters.len, text->parameters.ptr);
        if (one != NULL) {
            term_printf(" {%.*s}", (int)text->block.len, text->block.ptr);
        }
        term_printf("\n");
    }
    if (!any) {
        term_printf("there are no scripts; 'script NAME { ... }' makes one\n");
    }
    return true;
}

void script_texts_each(void (*tell)(const char *name))
{
    for (size_t i = 0; i < SCRIPTS_MAX; i++) {
        if (named[i] != NULL) {
            tell(named[i]->name);
        }
    }
}

struct script_text *script_texts_use(struct span name)
{
    struct script_text **place = find(name);
    if (place == NULL) {
        tell_unknown(name);
        return NULL;
    }
    (*place)->users++;
    return *place;
}

/* Reads all there is into the text. False: it has been told why not. */
static bool read_all(const struct held *held, struct script_text *text)
{
    size_t used = 0;
    size_t len = 0;
    do {
        size_t want = min_u64(PIECE_BYTES, SCRIPT_MAX_BYTES + 1 - used);
        status_t status =
            MemoryObject_read(held->cap, used, (uint32_t)want, text->bytes + used, want, &len);
        if (status != ST_OK && !(status == ST_BAD_ARGUMENT && used > 0)) {
            term_error("@%s cannot be read: %s", held->name, status_text(status));
            return false;
        }
        len = status == ST_OK ? len : 0;
        used += len;
    } while (len > 0 && used <= SCRIPT_MAX_BYTES);
    used = strnlen(text->bytes, used); /* pages are filled up with zeros */
    if (used > SCRIPT_MAX_BYTES) {
        term_error("@%s is longer than a script may be (%d KiB)", held->name,
                   (int)SCRIPT_MAX_BYTES / 1024);
        return false;
    }
    text->block = (struct span){text->bytes, used};
    return true;
}

struct script_text *script_texts_read(struct held *held)
{
    uint64_t methods;
    if (held->interface != registry_base(MemoryObject_ID, &methods)) {
        term_error("@%s holds no text: a script comes from memory, as a MemoryReader", held->name);
        return NULL;
    }
    struct script_text *text = new_text(SCRIPT_MAX_BYTES + 1);
    if (text == NULL) {
        term_error("there is no memory left for this script");
        return NULL;
    }
    text->users = 1;
    text->forgotten = true;
    fmt_format(text->name, sizeof(text->name), "%s", held->name);
    if (!read_all(held, text)) {
        script_texts_release(text);
        return NULL;
    }
    return text;
}
