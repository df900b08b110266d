/* SPDX-License-Identifier: MIT */
/*
 * What an interface is, in words a person can read, from its descriptor. Pure: text goes to a sink.
 *
 * Only the methods of the facet held are shown: the others cannot be called, and what cannot be done
 * need not be read.
 */
#ifndef CAPOS_SHELL_DESCRIBE_H
#define CAPOS_SHELL_DESCRIBE_H

#include <stdbool.h>
#include <stdint.h>

#include "apps/shell/parse.h"
#include "descriptor.capnp.h"
#include "lib/base/fmt.h"

enum { TYPE_TEXT_BYTES = 96 };

/* The whole interface: its text, then one paragraph for each method held. `cap` is the name it is
 * held under, `package` where the texts come from. */
void describe_interface(struct fmt_sink *sink, Descriptor_r descriptor, uint64_t methods,
                        const char *cap, const char *package);

/* One method, with parameters, results, limits and refusals. */
void describe_method(struct fmt_sink *sink, Descriptor_r descriptor, DescribedMethod_r method,
                     const char *cap, const char *package);

/* The method of that name; false when there is none. */
bool describe_find_method(Descriptor_r descriptor, struct span name, DescribedMethod_r *out);

/* The name of the facet with exactly these methods; false when none is (then it is the whole
 * interface, or a facet without a name). */
bool describe_facet_name(Descriptor_r descriptor, uint64_t methods, struct capnp_text *out);

/* How many ordinals are in a set. */
unsigned describe_count(uint64_t methods);

/* Ordinals of all methods. */
uint64_t describe_all_methods(Descriptor_r descriptor);

/* A nested type is spelled Outer_Inner in a descriptor: the inner name. */
struct capnp_text describe_short_name(struct capnp_text name);

/* "List(UInt64)", "Outcome (line, end, interrupted)": the type of a field. Returns buf. */
const char *describe_type(Descriptor_r descriptor, DescribedField_r field, char *buf, size_t size);

/* "(by :Int64 = 1) -> (value :Int64)" */
void describe_signature(struct fmt_sink *sink, Descriptor_r descriptor, DescribedMethod_r method);

#endif
