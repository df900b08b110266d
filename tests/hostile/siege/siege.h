/* SPDX-License-Identifier: MIT */
/*
 * The siege: hostile programs against what the services of the real system serve.
 *
 * The besieger is one more service of the default system (tests/hostile/manifest.capnp), so everything
 * it attacks was started by init and is used by others meanwhile. It starts this same program again
 * for every case, told by the name of the first grant ("case-N") which. Afterwards every service must
 * work, be the same process as before, and use exactly what it used before: capability slots, memory,
 * served objects and all else that its ledger counts, and so the system as a whole.
 *
 * Calls are made with libcapos' plain operations: every field of an SQE and every byte of a message is
 * the caller's. What a hostile program can do to the ring itself is the warden's business.
 */
#ifndef CAPOS_TESTS_HOSTILE_SIEGE_H
#define CAPOS_TESTS_HOSTILE_SIEGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "capos/call.h"
#include "capos/ring.h"
#include "lib/base/bits.h"
#include "lib/base/compiler.h"
#include "status.capnp.h"
#include "tests/hostile/common.h"

#define MS UINT64_C(1000000)

enum {
    TEXT_BYTES = 300,
    MESSAGE_ROOM = CAPOS_MAX_MESSAGE_BYTES + 64,
    CALLS = 96, /* in flight at once: fewer than the ring holds */
};

/* One served interface, as an attacker sees it. */
struct target {
    const char *name;    /* of the grant, and in the names of cases */
    const char *service; /* that serves it; NULL: init itself */
    uint64_t interface;
    uint32_t max_bytes; /* of its endpoint */
    uint16_t max_caps;
    uint64_t methods; /* that the attacker is given */
    uint64_t blocks;  /* of these, those that may wait */
    uint64_t texts;   /* of these, those whose parameters are one text or data */
};

/* What is tried against every target. */
struct attack {
    const char *name;
    const char *sentence; /* what holds when it passes */
    void (*run)(const struct target *target, capos_cap_t cap);
    unsigned processes; /* at once */
    bool killed;        /* it never ends by itself: it is ended from outside */
    bool restarted;     /* meanwhile the service is started anew */
};

extern const struct target targets[];
extern const struct attack attacks[];

/* What is tried once, against something of its own. */
struct assault {
    const char *name;
    const char *sentence;
    void (*run)(void);
    bool here;          /* run by the besieger itself: it needs what cannot be given on */
    unsigned processes; /* else so many at once */
    bool killed;        /* they never end by themselves */
};
extern const struct assault assaults[];

/* A broken check is told on the log, and ends a process of a case. */

/* ---- shots (shot.c) ---- */

/* A call of which every word is ours. Its storage is its own; ready for capos_op_submit. */
struct shot {
    struct capos_op op;
    struct capos_transfer transfers[CAPOS_MAX_TRANSFERS];
};

/* Aims: everything but the target's three words is zero. */
void aim(struct shot *shot, capos_cap_t cap, uint64_t interface, uint16_t method);
/* `bytes` of a message that stays where it is, with room behind it if there are transfers. */
void load(struct shot *shot, const void *message, uint32_t bytes);
/* Results of at most so many bytes go nowhere anybody looks. */
void catch (struct shot *shot, uint32_t bytes);
/* One more capability goes along. */
void attach(struct shot *shot, capos_cap_t cap, unsigned mode);
/* Submits, waits, releases what came back; the status. */
status_t fire(struct shot *shot);
/* The exception of the last shot that was fired. */
unsigned last_exception(void);
/* Gives back what a completed shot brought. */
void pick_up(struct shot *shot);

extern uint64_t message_room[MESSAGE_ROOM / 8];
extern struct shot volley[CALLS];

/* ---- the besieger's (main.c, state.c) ---- */

capos_cap_t held(const char *name);
uint64_t now_ns(void);
void sleep_ms(unsigned ms);

/* What the services are and use. state_read: false when they do not say. */
bool state_wait_ready(void);
bool state_keep(void);
/* True when all answer; else why not, in *why (TEXT_BYTES). */
bool state_works(char *why);
/* True when all answer and are as they were kept. */
bool state_same(char *why);
/* A service was started anew: it is another process by right, and its figures are kept anew. */
bool state_keep_service(const char *name);

/* A service that answers what it should not; ends when it is told to. */
int liar_run(void);

/* Ends with the process (never returns): what the shell starts to attack its stdio. */
NORETURN void stdio_run(const char *mode);

#endif
