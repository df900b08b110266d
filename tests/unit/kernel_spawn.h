/* SPDX-License-Identifier: MIT */
/*
 * A process that spawns others, and all that a spawn can ask for. The parent has the raw ProcessSpawner and one image;
 * a test fills in a request and looks at the child, a user of the fixture's.
 */
#ifndef CAPOS_TESTS_UNIT_KERNEL_SPAWN_H
#define CAPOS_TESTS_UNIT_KERNEL_SPAWN_H

#include "gen/process.capnp.h"
#include "tests/unit/kernel_fixture.h"
#include "tests/unit/test.h"

enum { LIMITS_MAX = 16, SPAWN_WORDS = 512 };

/* One line of a spawn. */
struct line {
    const char *name;
    uint64_t interface;
    uint64_t methods;
    int self;       /* -1: a transfer */
    uint16_t index; /* of the transfer */
};

struct request {
    const char *name;
    const struct line *lines;
    uint32_t line_count;
    struct {
        enum LedgerClass class;
        uint64_t amount;
    } limits[LIMITS_MAX];
    uint32_t limit_count;
    uint32_t ring_entries;
    uint64_t stack_bytes;
    enum Watch watch;
    uint16_t image;
    uint16_t ledger, session;       /* index of the transfer, + 1; 0: none */
    struct capos_transfer xfers[4]; /* the image first */
    uint8_t xfer_count;
};

extern struct user *parent;
extern capos_cap_t spawner; /* the parent's */
extern capos_cap_t image;

/* Boots the machine, and makes the parent and what it has. */
void spawner_start(unsigned cpus);

/* A child of limits that suffice, without grants. */
struct request request_new(void);
/* The lines of the request into a message. */
void fill_lines(Grant_list_b list, const struct request *request);
/* The call, to its end. */
struct capos_cqe try_spawn(const struct request *request);
/* The second capability of its answer: the debugger. */
capos_cap_t second_cap(const struct capos_cqe *cqe);
/* A child of the request; its handle in *handle_out. */
struct user *spawn_child(const struct request *request, capos_cap_t *handle_out);
/* The process behind a handle of the parent's. */
struct process *process_behind(capos_cap_t handle);
/* The parent waits for its end. */
struct capos_cqe wait_exit(capos_cap_t handle);
/* What the child finds on its start page. */
const struct capos_capset *capset_of(struct user *user);

/* A session of the parent's making; the parent's capability of it with this facet. */
capos_cap_t new_session(uint64_t facet, struct session **out);

#endif
