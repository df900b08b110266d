/* SPDX-License-Identifier: MIT */
/*
 * A hostile case: what one, two or three processes try, what they hold, and how each must end.
 *
 * The warden starts a process per role, out of its own image; the name of the first grant, "case.N.R",
 * tells it what to run. Roles a and b run at the same time; c, if any, starts when a has ended, with
 * what a was given (the successor of a service). Whatever happens, afterwards the neighbour must
 * answer, the machine's services must work, and the warden's ledger must show what it showed before.
 */
#ifndef CAPOS_TESTS_HOSTILE_CASE_H
#define CAPOS_TESTS_HOSTILE_CASE_H

#include <stdbool.h>
#include <stdint.h>

#include "process.capnp.h"
#include "raw.h"

/* The interface of every object served here; nobody parses its messages. */
#define HOSTILE_INTERFACE UINT64_C(0xcafe5afe0badf00d)

enum { ROLES = 3, CASE_LIMITS = 4, CASE_MESSAGE_BYTES = 4096, CASE_MAX_CAPS = 4 };

/* What a role is given besides its log, under these names. */
enum hold {
    HOLD_TIMER = 1 << 0,     /* timer */
    HOLD_LEDGER = 1 << 1,    /* ledger: its own */
    HOLD_MEMORY = 1 << 2,    /* memory: its own address space */
    HOLD_CAPS = 1 << 3,      /* capabilities: its own table */
    HOLD_SELF = 1 << 4,      /* self: its own process */
    HOLD_ENTROPY = 1 << 5,   /* entropy */
    HOLD_ECHO = 1 << 6,      /* echo: the neighbour, which answers every message with itself */
    HOLD_SERVE = 1 << 7,     /* serve: the case's endpoint */
    HOLD_OBJECT = 1 << 8,    /* object: served at the case's endpoint, key KEY */
    HOLD_NOTE = 1 << 9,      /* note: a notification that all roles and the warden share */
    HOLD_LAUNCHER = 1 << 10, /* launcher: starts this program again, at most LAUNCH_MAX at once */
    HOLD_NOTHING = 1 << 11,  /* not even a log: the start page is empty */
    HOLD_LOG_READ = 1 << 13, /* logread */
    HOLD_THREADS = 1 << 14,  /* threads and control: a spawner of threads, and the one it is */
    HOLD_SESSION =
        1 << 15, /* session: a new one, that it works in; the others are in the warden's */
    HOLD_SCHEDULING = 1 << 16, /* scheduling: it makes contexts, on its own ledger */
    HOLD_USUAL = HOLD_TIMER | HOLD_LEDGER | HOLD_MEMORY | HOLD_CAPS,
};

enum { KEY = 0x5eed, LAUNCH_MAX = 4 };

/* Bits of the note. The rest is the roles' own. */
#define NOTE_END_A (UINT64_C(1) << 62) /* the warden ends role a */
#define NOTE_END_B (UINT64_C(1) << 61)
#define NOTE_DESTROY (UINT64_C(1) << 60) /* the warden destroys the endpoint */
#define NOTE_CLOSE (UINT64_C(1) << 59)   /* the warden closes the roles' sessions */
#define NOTE_WARDEN (NOTE_END_A | NOTE_END_B | NOTE_DESTROY | NOTE_CLOSE)

enum end_kind { END_EXIT, END_FAULT, END_TERMINATED };

struct ending {
    enum end_kind kind;
    int64_t code;     /* END_EXIT */
    uint32_t faults;  /* END_FAULT: bit per FaultRecord_Kind that is right; 31: or exit 99 */
    uint64_t address; /* END_FAULT by page: the address told, unless 0 */
};

struct role {
    /* Tries; what it returns is the exit code. NULL: no such role. */
    int64_t (*run)(void);
    uint32_t holds;
    struct ending ending;
};

struct limit {
    uint8_t ledger_class;
    bool set;
    uint64_t amount;
};

struct hostile_case {
    const char *name;
    const char *sentence; /* what holds when it passes */
    struct role roles[ROLES];
    struct limit limits[CASE_LIMITS]; /* of each role; else the system's defaults */
};

/* A case of one role that holds the usual, and more, and ends with exit code 0. */
#define CASE_WITH(name_, function, sentence_, held_) \
    { \
        .name = name_, .sentence = sentence_, .roles = { \
            {.run = function, .holds = HOLD_USUAL | (held_)} \
        } \
    }
#define CASE(name_, function, sentence_) CASE_WITH(name_, function, sentence_, 0)

/* Families of cases; each ends with a case without a name. */
extern const struct hostile_case forged_cases[], entry_cases[], queue_cases[], pointer_cases[],
    message_cases[], transfer_cases[], call_cases[], memory_cases[], exhaust_cases[], fault_cases[],
    death_cases[], launch_cases[], ledger_cases[], thread_cases[], park_cases[], session_cases[],
    runtime_cases[], grant_cases[], flag_cases[], watch_cases[], debug_cases[], scheduling_cases[],
    lease_cases[];

/* Case number n over all families; NULL past the last. */
const struct hostile_case *case_at(unsigned n);

/* What a process does that holds a case grant; never returns. */
NORETURN void case_run(const char *grant_name);
/* The neighbour: answers every call with what it said. */
NORETURN void echo_run(void);

#endif
