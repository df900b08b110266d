/* SPDX-License-Identifier: MIT */
/* Shared by the two files of the graph check. */
#ifndef CAPOS_INIT_GRAPH_INTERNAL_H
#define CAPOS_INIT_GRAPH_INTERNAL_H

#include "graph.h"
#include "lib/base/compiler.h"

struct graph_check {
    const struct graph_input *input;
    struct graph *graph;
    uint32_t problems;
    char hint[96];
};

void graph_problem(struct graph_check *check, const char *format, ...) PRINTF_LIKE(2, 3);
Service_r graph_service_at(const struct graph_check *check, uint32_t index);
int graph_find_service(const struct graph_check *check, struct capnp_text name);
bool graph_name_ok(struct capnp_text name);

/* What a name that does not exist was probably meant to be, as the end of a message: "did you mean
 * "x"?", or `otherwise`. The text is valid until the next of these calls. */
const char *graph_hint_service(struct graph_check *check, const char *name, const char *otherwise);
const char *graph_hint_interface(struct graph_check *check, const char *name,
                                 const char *otherwise);

/* graph_limits.c: adds up what is asked for, by ledger class. */
void graph_check_limits(struct graph_check *check, const char *place, const char *name,
                        ServiceLimit_list_r limits, uint64_t *sums);
void graph_check_processor(struct graph_check *check, Service_r service, uint64_t *sums);
void graph_check_sums(struct graph_check *check, const uint64_t *sums);

/* graph_grants.c. Exports of all services are checked before any grants. */
void graph_check_exports(struct graph_check *check, uint32_t index);
void graph_check_grants(struct graph_check *check, uint32_t index);

#endif
