/* SPDX-License-Identifier: MIT */
/*
 * A program of random operations, good and bad. An actor serves an endpoint, calls objects of other actors, answers some
 * of the calls it receives, starts children, and exits in the middle of things. All it does is drawn from its seed.
 *
 * An operation has a place, with its buffers, until it completes. Checked with each completion: somebody waits for it,
 * and its status is one that the operation can have.
 *
 * A hostile actor does none of that, but writes anything to its ring and enters.
 */
#ifndef CAPOS_TESTS_UNIT_KERNEL_ACTOR_H
#define CAPOS_TESTS_UNIT_KERNEL_ACTOR_H

#include "tests/unit/kernel_fixture.h"

enum {
    PENDING = 64, /* places for operations, each with its buffers */
    PARAMS_BYTES = 256,
    RESULT_BYTES = 1280,
    CAPS = 12,
    CALLS = 24,
    KEPT = 4,
    MAX_CAPS = 4, /* of an endpoint */
};

struct awaited {
    uint64_t user_data; /* 0: free */
    uint64_t position;
    uint64_t slot; /* address of the payload slot it uses; 0 without INLINE */
    uint8_t op;
    bool launches;
};

struct actor {
    struct user *user;
    unsigned seed;
    unsigned steps_left;
    uint64_t count; /* operations made */
    struct awaited pending[PENDING];
    capos_cap_t endpoint;
    capos_cap_t launcher;
    capos_cap_t handles[4];    /* of children */
    capos_cap_t objects[CAPS]; /* served objects */
    capos_cap_t notes[CAPS];   /* notifications, and whatever came */
    uint64_t calls[CALLS];     /* to answer */
    uint64_t kept[KEPT];       /* positions of calls with KEEP */
    unsigned call_count;
    uint64_t submitted, completed;
    bool leaving;
    bool hostile; /* writes anything to its ring */
    bool endless; /* goes on until told to stop */
    _Atomic bool stop;
};

/* Of those that have not decided to leave. */
extern _Atomic unsigned actors_left;

/* Before there are any: what they say to their launchers. */
void actor_learn_launch(void);

/* Less than n, drawn from its seed. */
unsigned actor_pick(struct actor *actor, unsigned n);
/* One turn of the program whose thread this is, an actor's or a child's, up to its next system call. */
void actor_turn(struct thread *thread);
/* A child sleeps a few times, or many times, and exits. */
void actor_child_turn(struct thread *thread);
/* So many words at any place of ring header, SQ and CQ: some plausible, some not. */
void actor_scribble(struct actor *actor, unsigned words, unsigned *seed);

#endif
