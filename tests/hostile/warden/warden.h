/* SPDX-License-Identifier: MIT */
/* What the warden's files share: its roots, and starting and ending children. */
#ifndef CAPOS_TESTS_HOSTILE_WARDEN_H
#define CAPOS_TESTS_HOSTILE_WARDEN_H

#include <stdbool.h>
#include <stdint.h>

#include "capos/ring.h"
#include "case.h"

struct warden {
    capos_cap_t boot, spawner, ledger, timer, entropy, log, power, sessions, scheduling;
    capos_cap_t child_session; /* of the children started now; 0: the warden's own */
    capos_cap_t image;         /* this program */
    capos_cap_t endpoint;      /* of the neighbour */
    capos_cap_t echo;
    unsigned passed, failed;
};
extern struct warden warden;

/* One thing a child may be given: a capability of ours, copied, or one of its own objects. */
struct grant_source {
    uint32_t hold;
    const char *name;
    capos_cap_t cap; /* 0: its own, `self` */
    enum SelfObject self;
    uint64_t interface;
    uint64_t methods; /* 0: all we hold */
};

/* A process of a case. */
struct child {
    bool started, ended;
    capos_cap_t process;
    struct capos_op wait;
    enum ProcessState state;
    int64_t code;
    unsigned fault_kind;
    uint64_t fault_address, fault_ip;
};

/* Starts this program with the log under `name` and the sources its holds ask for. */
status_t start_child(struct child *child, const char *name, uint32_t holds,
                     const struct grant_source *sources, unsigned source_count,
                     const struct limit limits[CASE_LIMITS]);
/* Starts an image that may be anything, with nothing. */
status_t start_image(struct child *child, capos_cap_t image);
/* Notes the end when it has come. */
void look_after(struct child *child);
/* Ends it if need be, waits, reads its record, lets go of it. */
void end_child(struct child *child);
status_t new_launcher(capos_cap_t *out);

enum { WARDEN_DETAIL_BYTES = 300 };

uint64_t warden_now_ns(void);
bool warden_read_usage(struct usage *out);
/* The neighbour answers, the services work, everything is back; else why not. */
bool warden_aftermath(const struct usage *before, char *detail);
/* Runs the case of this number, looks at what is left, reports. */
void try_case(const struct hostile_case *c, unsigned number);
void report(const char *name, bool good, const char *detail);

#endif
