/* SPDX-License-Identifier: MIT */
/* Values as JSON (RFC 8259). */
#include "apps/shell/kept.h"

#include "lib/capnp/capnp.h"

void kept_json_text(struct fmt_sink *sink, const char *bytes, size_t count)
{
    bool valid = capnp_utf8_valid(bytes, count);
    fmt_to(sink, "\"");
    for (size_t i = 0; i < count; i++) {
        uint8_t c = (uint8_t)bytes[i];
        if (c == '"' || c == '\\') {
            fmt_to(sink, "\\%c", c);
        } else if (c == '\n') {
            fmt_to(sink, "\\n");
        } else if (c < 0x20 || c == 0x7f || (c >= 0x80 && !valid)) {
            fmt_to(sink, "\\u%04x", c);
        } else {
            sink->write(sink, bytes + i, 1);
        }
    }
    fmt_to(sink, "\"");
}

static void children(struct fmt_sink *sink, const struct node *value)
{
    const char *comma = "";
    for (const struct node *child = value->child; child != NULL; child = child->next) {
        fmt_to(sink, "%s", comma);
        if (value->kind == NODE_STRUCT) {
            kept_json_text(sink, child->label.ptr, child->label.len);
            fmt_to(sink, ": ");
        }
        kept_json(sink, child);
        comma = ", ";
    }
}

static void number(struct fmt_sink *sink, const struct node *value)
{
    if (value->digits.len > 0) {
        fmt_to(sink, "\"0x%.*s\"", (int)value->digits.len, value->digits.ptr);
    } else if (value->unit.len > 0) {
        kept_json_text(sink, value->source.ptr, value->source.len);
    } else {
        fmt_to(sink, "%s%llu", value->negative ? "-" : "", (unsigned long long)value->magnitude);
    }
}

/* A fraction is a word here, since the shell does not calculate with it. */
static bool is_bare(struct span word)
{
    return span_is(word, "true") || span_is(word, "false") ||
           (word.len > 0 && (word.ptr[0] == '-' || (word.ptr[0] >= '0' && word.ptr[0] <= '9')));
}

static void word(struct fmt_sink *sink, struct span word)
{
    if (span_is(word, "void")) {
        fmt_to(sink, "null");
    } else if (is_bare(word)) {
        fmt_to(sink, "%.*s", (int)word.len, word.ptr);
    } else {
        kept_json_text(sink, word.ptr, word.len);
    }
}

void kept_json(struct fmt_sink *sink, const struct node *value)
{
    switch (value->kind) {
    case NODE_NUMBER:
        number(sink, value);
        break;
    case NODE_TEXT:
        kept_json_text(sink, value->text.ptr, value->text.len);
        break;
    case NODE_WORD:
        word(sink, value->word);
        break;
    case NODE_CAP:
        fmt_to(sink, "\"@%.*s\"", (int)value->word.len, value->word.ptr);
        break;
    case NODE_LIST:
        fmt_to(sink, "[");
        children(sink, value);
        fmt_to(sink, "]");
        break;
    case NODE_STRUCT:
        fmt_to(sink, "{");
        children(sink, value);
        fmt_to(sink, "}");
        break;
    case NODE_VARIABLE:
        break;
    }
}
