/* SPDX-License-Identifier: MIT */
/*
 * Results as a person reads them: a line for each field, tables of structs a line each, texts of
 * several lines as a block. Pure: text goes to a sink.
 */
#ifndef CAPOS_SHELL_SHOW_H
#define CAPOS_SHELL_SHOW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/base/fmt.h"
#include "lib/capnp/dynamic.h"

enum {
    SHOW_DEPTH_MAX = 16,
    SHOW_DATA_BYTES = 64, /* of data are shown in a line */
};

/* What the shell knows beyond the message. */
struct show_caps {
    /* "@name" of a capability received with the result; NULL when there is no such capability. */
    const char *(*name)(struct show_caps *caps, uint64_t index);
    /* The name of an interface; NULL when it is not known. */
    const char *(*interface)(uint64_t id);
};

/* Shows the fields of a validated message (dyn_read). A method without results shows "done". */
void show_results(struct fmt_sink *sink, struct dyn_struct results, struct capnp_struct from,
                  struct show_caps *caps);

/* The fields of a message in a line: "name: value, name: value". */
void show_line(struct fmt_sink *sink, struct dyn_struct s, struct capnp_struct from,
               struct show_caps *caps);

/* A text in quotation marks, with what does not belong in a line escaped. */
void show_quoted(struct fmt_sink *sink, const char *bytes, size_t count);

#endif
