/* SPDX-License-Identifier: MIT */
/*
 * The whole manifest, checked before anything starts. Pure: no capabilities, no allocation; init,
 * the host's tools/authority and the unit tests use the same code.
 *
 * What holds when graph_check has returned true:
 *   names are unique and well formed; every program, payload, launch set, service and export that is
 *   named exists; every grant's interface is that of its source, its facet within what the source
 *   offers, its transfer possible; needs and imports have no cycle; limits sum to no more than
 *   there is; every number is within its contract.
 */
#ifndef CAPOS_INIT_GRAPH_H
#define CAPOS_INIT_GRAPH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "interfaces.h"
#include "manifest.capnp.h"

enum {
    GRAPH_WATCHDOG_MIN_MS = 100,
    GRAPH_SERVICES_MAX = 32, /* one bit each in a set of services */
    GRAPH_GRANTS_MAX = 1024, /* of all services */
    GRAPH_EXPORTS_MAX = 16,  /* of one service */
    GRAPH_PROGRAMS_MAX = 62, /* of one launch set */
    GRAPH_RESTARTS_MAX = 16, /* within a window */
    GRAPH_ENDPOINT_CAPS = 16,
    PROCESSOR_WEIGHT_MAX = 10000,
    GRAPH_CLASSES = 16,        /* ledger classes counted */
    GRAPH_PROBLEMS_MAX = 20,   /* reported; more are counted only */
    GRAPH_TEXT_BYTES = 600,    /* of a problem's message */
    GRAPH_ARGUMENT_BYTES = 99, /* of each name in it; a name that is in order is shorter */
};

/* One grant line, resolved. */
struct graph_grant {
    uint64_t interface; /* base interface id */
    uint64_t methods;   /* facet */
    uint16_t service;   /* source export: whose, and which */
    uint16_t export;
    uint16_t launch_set;
};

struct graph_service {
    uint64_t needs;       /* set of services that must be ready first: named ones and imports */
    uint32_t first_grant; /* into graph.grants */
    uint32_t grant_count;
    uint32_t export_count;
    uint64_t export_interface[GRAPH_EXPORTS_MAX];
    uint64_t export_methods[GRAPH_EXPORTS_MAX];
    uint8_t export_scope[GRAPH_EXPORTS_MAX]; /* enum SessionScope */
};

struct graph {
    uint32_t service_count;
    uint16_t order[GRAPH_SERVICES_MAX]; /* services, each behind all that it needs */
    struct graph_service services[GRAPH_SERVICES_MAX];
    struct graph_grant grants[GRAPH_GRANTS_MAX];
    uint32_t grant_count;
};

struct graph_input {
    Manifest_r manifest;
    const struct capos_interface_info *interfaces; /* sorted or not */
    size_t interface_count;
    bool (*payload_exists)(void *context, const char *name);
    uint64_t available[GRAPH_CLASSES]; /* by ledger class: what may be carved; UINT64_MAX unknown */
    void (*report)(void *context, const char *problem);
    void *context;
};

/* Checks everything and reports every problem (entry, what is wrong, what to do). True: none. */
bool graph_check(const struct graph_input *input, struct graph *graph);

/* The interface or facet of that name; NULL when there is none. */
const struct capos_interface_info *graph_interface(const struct graph_input *input,
                                                   const char *name);

#endif
