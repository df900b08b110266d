/* SPDX-License-Identifier: MIT */
/* What the files that show answers share: show.c (values), show_table.c (lists of structs). */
#ifndef CAPOS_SHELL_SHOW_PARTS_H
#define CAPOS_SHELL_SHOW_PARTS_H

#include "apps/shell/show.h"

enum { LINE_COLUMNS_MAX = 110 }; /* what is wider is shown in lines of its own */

struct show {
    struct fmt_sink *sink;
    struct show_caps *caps;
    bool one_line; /* whatever its width */
};

/* Counts the columns of what is written to it. */
struct counting_sink {
    struct fmt_sink sink;
    size_t columns;
};
void show_count_columns(struct fmt_sink *sink, const char *bytes, size_t count);

void show_value(struct show *show, const struct dyn_value *value, Descriptor_r descriptor,
                const DescribedField_r *field, unsigned depth);

/* A list of structs as a table. False, and nothing is written: its fields are not plain, or it would be too wide. */
bool show_table(struct show *show, const struct dyn_value *value, Descriptor_r descriptor);

#endif
