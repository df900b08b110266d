/* SPDX-License-Identifier: MIT */
/* What interfaces are: the platform's own from the shell itself, all others from the manual when they
 * are first needed. */
#ifndef CAPOS_SHELL_REGISTRY_H
#define CAPOS_SHELL_REGISTRY_H

#include <stdbool.h>
#include <stdint.h>

#include "abi/types.h"
#include "descriptor.capnp.h"

enum {
    REGISTRY_PACKAGE_BYTES = 48,
    REGISTRY_DESCRIPTORS = 96,
    REGISTRY_ARENA_BYTES = 48 * 1024, /* of all that came from the manual; a multiple of 8 */
};

struct described {
    uint64_t interface;
    Descriptor_r descriptor;
    char package[REGISTRY_PACKAGE_BYTES];
};

/* 0: there is no manual; only the platform's own interfaces are known. */
void registry_init(capos_cap_t manual);

/* The descriptor of a base interface. NULL: a message has been shown. */
const struct described *registry_get(uint64_t interface);

/* Tells when the manual has another edition of an interface than the one this shell carries. */
void registry_tell_edition(uint64_t interface);

/* The name of an interface or facet that this shell was built with; NULL for others. */
const char *registry_known_name(uint64_t interface);

/* The interface that a facet narrows, and its methods; of an interface itself, and of what this shell does not
 * know, `interface` and all. */
uint64_t registry_base(uint64_t interface, uint64_t *methods_out);

/* The name of the facet of `interface` with exactly these methods; the interface's own name when
 * these are all of them; NULL when it has none. */
const char *registry_facet_name(uint64_t interface, uint64_t methods);

/* How many methods `methods` allows of those the interface has, as far as this shell knows it. */
bool registry_count_methods(uint64_t interface, uint64_t methods, unsigned *held, unsigned *all);

#endif
