/* SPDX-License-Identifier: MIT */
/* The capabilities the shell holds, by name. */
#ifndef CAPOS_SHELL_NAMES_H
#define CAPOS_SHELL_NAMES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "abi/types.h"
#include "apps/shell/parse.h"

enum {
    NAMES_MAX = 192,
    NAME_BYTES = 32,
    ORIGIN_BYTES = 64,
};

struct held {
    bool used;
    bool granted;   /* at start: the kernel knows its origin. Of the others the shell knows more */
    bool permanent; /* the shell itself lives on it: it cannot be dropped or moved */
    char name[NAME_BYTES];
    char origin[ORIGIN_BYTES];
    capos_cap_t cap;
    uint64_t interface;
    uint64_t methods;      /* the facet */
    uint8_t transfer_mode; /* as in schema/annotations.capnp */
    bool live;
    bool seen;         /* in the refresh going on */
    bool revoked;      /* by this shell */
    capos_cap_t grant; /* a GrantHandle that takes it back; 0 = none */
};

/* Takes the capset in. */
void names_init(capos_cap_t capabilities);

/* Names a new capability. `wanted` empty: made from the interface's name and a number. Returns NULL
 * when the table is full or the wanted name is taken (*why says which). */
struct held *names_add(struct span wanted, const char *stem, capos_cap_t cap, uint64_t interface,
                       const char *origin, const char **why);

struct held *names_find(struct span name);
struct held *names_find_cap(capos_cap_t cap);

/* Forgets the name; the capability itself is not released. */
void names_remove(struct held *held);

/* The same for a name, with a message that tells the nearest when there is none. */
struct held *names_need(struct span name);

/* The origin of a process that this shell has started; behind it comes the program. */
#define ORIGIN_STARTED "started here: "

/* Asks the kernel again what each of them is: facet, origin, alive. Needs `capabilities`. */
void names_refresh(void);

/* Number `index` of the table; NULL past its end; unused places are skipped. */
struct held *names_next(struct held *after);

#endif
