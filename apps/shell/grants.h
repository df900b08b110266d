/* SPDX-License-Identifier: MIT */
/* From grant lines as they are typed to grants as the launcher takes them. */
#ifndef CAPOS_SHELL_GRANTS_H
#define CAPOS_SHELL_GRANTS_H

#include <stdbool.h>

#include "apps/shell/names.h"
#include "apps/shell/parse.h"

struct resolved_grant {
    struct grant_line *line;
    struct held *held;
    uint64_t methods;
    bool move;
};

/* Checks every line against what is held: the name, the facet, the mode. False: a message has been
 * shown and nothing has been done. `out` has room for PARSE_MAX_GRANTS. */
bool grants_resolve(struct command *command, struct resolved_grant *out);

#endif
