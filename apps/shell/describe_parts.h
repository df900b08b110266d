/* SPDX-License-Identifier: MIT */
/* What the two halves of the help share: describe.c (interfaces) and describe_method.c. */
#ifndef CAPOS_SHELL_DESCRIBE_PARTS_H
#define CAPOS_SHELL_DESCRIBE_PARTS_H

#include "apps/shell/describe.h"

/* Struct number `index` of the descriptor. */
DescribedStruct_r describe_struct_at(Descriptor_r descriptor, uint16_t index);

/* A text, indented, its lines broken anew to fit the row. */
void describe_put_doc(struct fmt_sink *sink, struct capnp_text doc, unsigned indent);

/* Why an ordinal that stands for a ring operation cannot be called, and what uses it. */
void describe_put_opcode_note(struct fmt_sink *sink, DescribedMethod_r method, unsigned indent);

/* The signature behind `used` columns: on one row if it fits, else with the results on the next. */
void describe_put_signature(struct fmt_sink *sink, Descriptor_r descriptor,
                            DescribedMethod_r method, size_t used);

/* " = 1" when the default is not what a person would take for granted. */
void describe_put_default(struct fmt_sink *sink, Descriptor_r descriptor, DescribedField_r field);

#endif
