/* SPDX-License-Identifier: MIT */
/*
 * From values as they are typed to a parameter message, by the descriptor of the method. Pure.
 *
 * What a value may be is decided by the type of its field: numbers have ranges, enumerants have
 * names, data is hexadecimal or quoted, a capability is @name. A refusal says which field, what was
 * expected and what was found.
 */
#ifndef CAPOS_SHELL_VALUE_H
#define CAPOS_SHELL_VALUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "apps/shell/parse.h"
#include "lib/capnp/dynamic.h"

enum { VALUE_MESSAGE_BYTES = 320, VALUE_DEPTH_MAX = 16 };

struct value_error {
    struct span at; /* part of the line; ptr NULL when no part of it is at fault */
    char message[VALUE_MESSAGE_BYTES];
};

/* Takes a capability that the parameters name. */
struct value_caps {
    /* `interface` 0: any. Sets *index to its place beside the message; false: *error is filled. */
    bool (*add)(struct value_caps *caps, const struct node *node, uint64_t interface,
                struct value_error *error, uint16_t *index);
};

/* Builds the message for `params` from the fields typed. Fields not given keep their defaults.
 * False: *error says why, and the builder's contents are of no use. */
bool value_build(struct dyn_struct params, const struct node *args, struct capnp_builder *builder,
                 struct value_caps *caps, struct value_error *error);

/* A number with a unit of time. False: it is none. */
bool value_duration_ns(const struct node *node, uint64_t *ns);

#endif
