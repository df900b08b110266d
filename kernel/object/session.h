/* SPDX-License-Identifier: MIT */
/* A session: whose work a process does. Every process has exactly one, set when it is made. In this
 * release the kernel makes one, which holds all processes; references to it are in every process and
 * its scope in every slot. */
#ifndef CAPOS_KERNEL_OBJECT_SESSION_H
#define CAPOS_KERNEL_OBJECT_SESSION_H

#include <stdint.h>

/* All fields [I]. */
struct session {
    uint64_t id;
    uint64_t epoch;
    uint64_t key[2]; /* secret: mixed into the references that services see */
};

/* The one made at boot. */
struct session *session_boot(void);
/* Draws its key. Once, when entropy is there. */
void session_init(void);

#endif
