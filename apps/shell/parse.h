/* SPDX-License-Identifier: MIT */
/*
 * What a person types, taken apart: one line into one command. Pure: no calls, no allocation; all
 * memory is in struct command. Values are kept as they were written; what they mean is decided
 * against the interface they are for (value.h).
 *
 *   line     = [name "="] command
 *   command  = "json" (call | "$" name path | "caps") | "$" name path | "caps" [word] | "help" [word | target] | "ps" | "usage" ["@" name] | "top" ["once"] | "history" | "clear" | "exit"
 *            | ["time" | "trace"] call | target | "trace" ["raw"] "@" name ["for" number unit]
 *            | ("run" | "spawn" | "debug") program ["as" name] ["with" "{" [grant {"," grant}] "}"]
 *            | ("wait" | "signal" | "kill" | "drop" | "revoke" | "why" | "go" | "step" | "dump") "@" name {value}
 *            | "debug" "@" name | "services" [name]
 *            | "logs" [name] {"level" word | "since" number unit | "last" number}
 *            | "derive" "@" name "as" name {name} ["for" number unit]
 *   call     = "call" target {field} | ["call"] target list {step}
 *   target   = "@" name ["." method] | "$" name path "." method     of a call: a variable that holds a capability
 *   path     = {"." field-name | "[" (number | "$" name) "]"}
 *   list     = "(" [field {"," field}] ")"
 *   step     = ["." field-name] "." method list      on the capability that the call before gives
 *   field    = [name ("=" | ":")] value
 *   grant    = ["copy" | "move"] name ":" "@" name ["as" interface]
 *   value    = number [unit] | "$" name path | "true" | "false" | name | text | "@" name | "move" "@" name
 *            | "[" [value {"," value}] "]" | "{" [field {"," field}] "}"
 *
 * Bounds: PARSE_MAX_NODES values, PARSE_MAX_DEPTH of nesting, PARSE_TEXT_BYTES of text in a line.
 */
#ifndef CAPOS_SHELL_PARSE_H
#define CAPOS_SHELL_PARSE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    PARSE_MAX_LINE = 4096,
    PARSE_MAX_NODES = 256,
    PARSE_MAX_DEPTH = 12,
    PARSE_TEXT_BYTES = 4096,
    PARSE_MAX_GRANTS = 15, /* with stdio as many as one call transfers */
    PARSE_MAX_STEPS = 8,   /* calls in a row */
    PARSE_MESSAGE_BYTES = 256,
};

/* A part of the line. */
struct span {
    const char *ptr;
    size_t len;
};

enum node_kind {
    NODE_NUMBER,   /* negative, magnitude; digits: its hexadecimal digits when written with 0x */
    NODE_WORD,     /* word: a name, true, false, an enumerant */
    NODE_TEXT,     /* text: its bytes, escapes resolved */
    NODE_CAP,      /* word: the name behind the @; move */
    NODE_LIST,     /* children */
    NODE_STRUCT,   /* children with labels */
    NODE_VARIABLE, /* word: its name; text: the path behind it. Gone once variables are looked up */
};

struct node {
    enum node_kind kind;
    bool negative;
    bool move;
    uint64_t magnitude;
    struct span digits;
    struct span unit; /* what stood right behind a number: ms, s, k ... */
    struct span word;
    struct span text;
    struct span source; /* where it stands in the line */
    struct span label;  /* of a field; empty when none was given */
    struct node *child;
    struct node *next;
};

struct grant_line {
    struct span name;
    struct span cap;
    struct span interface; /* empty: as it is held */
    bool move;
    bool mode_given;
};

/* A call on the capability that the call before it gives. */
struct call_step {
    struct span via; /* the field that names the capability; empty when not given */
    struct span method;
    struct node *args;
};

enum verb {
    VERB_NONE, /* an empty line or a comment */
    VERB_CAPS,
    VERB_HELP,
    VERB_CALL,
    VERB_SHOW,  /* a target alone: like help */
    VERB_VALUE, /* a variable alone: args */
    VERB_RUN,
    VERB_SPAWN,
    VERB_WAIT,
    VERB_SIGNAL,
    VERB_KILL,
    VERB_DROP,
    VERB_DERIVE,
    VERB_REVOKE,
    VERB_WHY,
    VERB_DEBUG,
    VERB_GO,
    VERB_STEP,
    VERB_DUMP,
    VERB_PS,
    VERB_USAGE,
    VERB_TOP,
    VERB_TRACE,
    VERB_SERVICES,
    VERB_LOGS,
    VERB_HISTORY,
    VERB_CLEAR,
    VERB_EXIT,
};

struct command {
    enum verb verb;
    struct span assign; /* NAME = ... ; empty when not given */
    struct span word;   /* caps, help */
    struct span cap;    /* target */
    struct span method;
    struct span program;
    struct span as;
    struct node *target; /* of a call: the variable that holds the capability; NULL: cap names it */
    struct node *args;   /* fields of a call; the value of wait or signal; methods to derive */
    struct node *lasts;  /* derive: for how long; NULL when not given */
    unsigned step_count; /* of a call: those behind the first */
    struct call_step steps[PARSE_MAX_STEPS - 1];
    bool recordable; /* run, spawn, debug: what it says may be recorded */
    bool with_given;
    bool json;   /* a call, a variable, caps: the answer as JSON */
    bool timed;  /* a call: tell what it took */
    bool traced; /* a call: show what the recorder has of it */
    unsigned grant_count;
    struct grant_line grants[PARSE_MAX_GRANTS];
    /* Memory of the above. */
    unsigned node_count;
    struct node nodes[PARSE_MAX_NODES];
    size_t text_bytes;
    char text[PARSE_TEXT_BYTES];
};

struct parse_error {
    size_t at; /* offset in the line */
    char message[PARSE_MESSAGE_BYTES];
};

/* Takes `len` bytes (UTF-8, no controls) apart. False: *error says where and what was expected. The
 * spans point into `line`, which must stay. */
bool parse_line(const char *line, size_t len, struct command *command, struct parse_error *error);

/* All command words, in the order help shows them; ends with NULL. */
extern const char *const parse_verbs[];

bool span_is(struct span span, const char *text);
bool span_equals(struct span a, struct span b);

/* Printf arguments for "%.*s". */
/* In a message a long one is cut, so that what follows it is read. Names are shorter. */
#define SPAN_SHOWN_BYTES 64
#define SPAN_ARGS(span) \
    (int)((span).len < SPAN_SHOWN_BYTES ? (span).len : SPAN_SHOWN_BYTES), \
        (span).ptr != NULL ? (span).ptr : ""

#endif
