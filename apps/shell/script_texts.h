/* SPDX-License-Identifier: MIT */
/* The texts of scripts: those with a name, and those that a capability holds. */
#ifndef CAPOS_SHELL_SCRIPT_TEXTS_H
#define CAPOS_SHELL_SCRIPT_TEXTS_H

#include <stdbool.h>
#include <stddef.h>

#include "apps/shell/names.h"
#include "apps/shell/parse.h"

struct script_text {
    char name[NAME_BYTES];
    struct span parameters; /* as they were written */
    struct span block;
    char *bytes;    /* of both */
    unsigned users; /* runs of it going on: its text stays */
    bool forgotten; /* another has its name now: it goes with its last user */
};

/* Keeps a copy under that name, in the place of an older one. False: why. */
bool script_texts_keep(struct span name, struct span parameters, struct span block, char *why,
                       size_t why_size);

/* Lists them when the name is empty, else shows that one. False: there is none, which has been told. */
bool script_texts_show(struct span name);

/* Tells the name of each. */
void script_texts_each(void (*tell)(const char *name));

/* The script of that name, for use; NULL: there is none, which has been told. */
struct script_text *script_texts_use(struct span name);

/* The text that a capability holds (MemoryReader); NULL: it has been told why not. */
struct script_text *script_texts_read(struct held *held);

void script_texts_release(struct script_text *text);

#endif
