/* SPDX-License-Identifier: MIT */
/*
 * Start and end of a program, and what it was given.
 *
 * A program defines capos_main; its result is the exit code of the process. There are no global
 * constructors. The C library functions that exist are those of lib/base.
 */
#ifndef CAPOS_START_H
#define CAPOS_START_H

#include <stdint.h>

#include "abi/capset.h"
#include "abi/types.h"
#include "lib/base/compiler.h"

/* Exit codes that the library itself ends a process with. A program's own are 0 to 99. */
enum capos_exit_code {
    CAPOS_EXIT_BAD_START = 101, /* the start page is not what this library understands */
    CAPOS_EXIT_BAD_RING = 102,  /* the kernel refused the ring: its words were overwritten */
    CAPOS_EXIT_STACK = 103,     /* a stack guard value was overwritten */
    CAPOS_EXIT_NO_GRANT = 104,  /* a capability the program cannot do without is missing */
    CAPOS_EXIT_HEAP = 105,      /* the heap's own words were overwritten, or freed twice */
};

int capos_main(void);

/* Ends the process. Output that waits is written first. */
NORETURN void capos_exit(int64_t code);

/* The two system calls; everything else of this library is built on them. See abi/syscall.h. */
int64_t capos_sys_enter(uint64_t min_complete, uint64_t deadline_ns);
NORETURN void capos_sys_exit(int64_t code);
NORETURN void capos_sys_exit_thread(int64_t code);

/* The start page: read-only, there for the life of the process. */
const struct capos_capset *capos_capset(void);

/* The entry of that name; NULL when there is none. */
const struct capos_capset_entry *capos_capset_find(const char *name);

/* The capability granted under a name, if it is of this interface (its base interface id).
 * ST_NOT_FOUND: no grant of that name. ST_WRONG_INTERFACE: it is something else. */
status_t capos_capset_get(const char *name, uint64_t interface, capos_cap_t *cap);

/* The same; 0 when it cannot be had. */
capos_cap_t capos_capset_try(const char *name, uint64_t interface);

/* The same for what a program cannot do without: says on `log` or `stdio` which grant is missing,
 * and exits with CAPOS_EXIT_NO_GRANT. `interface_name` is for that message. */
capos_cap_t capos_capset_need(const char *name, uint64_t interface, const char *interface_name);

#define CAPOS_NEED(name, Iface) capos_capset_need(name, Iface##_ID, #Iface)

#endif
