/* SPDX-License-Identifier: MIT */
/*
 * The shell's event loop: waiting for one thing while everything else goes on (programs' stdio,
 * their ends) and while Ctrl-C can end the waiting.
 */
#ifndef CAPOS_SHELL_LOOP_H
#define CAPOS_SHELL_LOOP_H

#include <stdbool.h>

#include "abi/types.h"
#include "capos/call.h"
#include "capos/ring.h"
#include "terminal.client.h"

enum loop_outcome {
    LOOP_DONE,
    LOOP_INTERRUPTED, /* Ctrl-C came first; the note of it is taken */
};

/* Starts listening for Ctrl-C. */
void loop_init(capos_cap_t terminal);

/* Turns until done() says so or Ctrl-C is pressed. */
enum loop_outcome loop_until(bool (*done)(void *context), void *context);

/* Ctrl-C was pressed while a line was read for a program. */
void loop_interrupt(void);

/* Submits a call whose parameters are finished and waits for its outcome; Ctrl-C cancels it:
 * call->status is then what the cancelled call ended with and *interrupted is true. */
status_t loop_call(struct capos_call *call, bool *interrupted);

/* The same for an operation: its result. */
int32_t loop_op(struct capos_op *op, bool *interrupted);

/* Waits so long, by the capability named 'timer', or until Ctrl-C. False: there is none, which is told. */
bool loop_sleep(uint64_t ns, bool *interrupted);

/* What to do between two turns while the person types (tell of programs that have ended). */
void loop_set_idle(void (*idle)(void));

/* Whether Ctrl-C was pressed while nothing was waited for; the note of it is taken. */
bool loop_was_interrupted(void);

/* How often something that was waited for ended by Ctrl-C. */
unsigned loop_interrupt_count(void);

struct loop_line {
    const char *prompt;
    bool hidden;    /* what is typed is not shown */
    bool continues; /* what was typed before: a Ctrl-C since the line before ends this one, too */
    /* Tab was pressed: may change the line and the place of the cursor in it. NULL: Tab is no key. */
    void (*complete)(const char *prompt, char *line, size_t size, size_t *len, size_t *cursor);
};

/* A line from the person. Programs go on meanwhile. */
status_t loop_read_line(const struct loop_line *wanted, enum TerminalSession_LineOutcome *outcome,
                        char *line, size_t size, size_t *len);

#endif
