/* SPDX-License-Identifier: MIT */
/*
 * Reading and building messages whose types are known at run time only, from a descriptor
 * (schema/descriptor.capnp): what a shell needs to call any method of any capability.
 *
 * Nothing here allocates, and nothing trusts the descriptor or the message: dyn_open() and
 * dyn_read() bound every pointer; dyn_get() checks kinds, texts and offsets as it goes. Both must
 * stay in place and unchanged while views of them are used.
 *
 * A dyn_struct pairs a struct's description with the descriptor it came from. Groups are views of
 * the struct that holds them: pass the same capnp_struct(_b).
 */
#ifndef CAPOS_LIB_CAPNP_DYNAMIC_H
#define CAPOS_LIB_CAPNP_DYNAMIC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "descriptor.capnp.h"
#include "lib/capnp/capnp.h"

enum { DYN_FORMAT_VERSION = 1, DYN_NO_DISCRIMINANT = 0xffff };

struct dyn_struct {
    Descriptor_r descriptor;
    DescribedStruct_r st;
};

/* A value of a field or list element; `kind` tells which member holds it. */
struct dyn_value {
    enum DescribedKind kind;
    DescribedType_r type;
    uint64_t bits; /* bool, integers (sign-extended), enum; floats: their bits */
    struct capnp_text text;
    struct capnp_data data;
    struct capnp_list list;    /* elements by dyn_element() */
    struct capnp_struct value; /* a struct, described by dyn_struct_of(type) */
};

/* Validates a descriptor: format, bounds, and that every number in it refers to something.
 * CAPNP_BAD_KIND: an unknown format or an inconsistent description. */
enum capnp_status dyn_open(const void *msg, size_t len_bytes, Descriptor_r *out);

/* Looking things up. False: not there. Names are compared exactly. */
bool dyn_method_named(Descriptor_r d, const char *name, size_t len, DescribedMethod_r *out);
bool dyn_method_numbered(Descriptor_r d, uint16_t ordinal, DescribedMethod_r *out);
bool dyn_field_named(struct dyn_struct s, const char *name, size_t len, DescribedField_r *out);
bool dyn_enumerant_named(DescribedEnum_r e, const char *name, size_t len, uint16_t *out);

struct dyn_struct dyn_params(Descriptor_r d, DescribedMethod_r method);
struct dyn_struct dyn_results(Descriptor_r d, DescribedMethod_r method);
/* The struct or enum a type names; empty for other types. */
struct dyn_struct dyn_struct_of(Descriptor_r d, DescribedType_r type);
DescribedEnum_r dyn_enum_of(Descriptor_r d, DescribedType_r type);
/* The description of a group field. */
struct dyn_struct dyn_group_of(Descriptor_r d, DescribedField_r field);

/* ---- Reading ---- */

/* Bounds-checks a whole message of unknown type. */
enum capnp_status dyn_read(const void *msg, size_t len_bytes, struct capnp_struct *out);

/* Is the field there: not a union member, or the active one? */
bool dyn_active(struct dyn_struct s, DescribedField_r field, struct capnp_struct from);

/* The value of a field that is not a group; an inactive union member gives its default. Statuses:
 * CAPNP_BAD_KIND (a pointer of another kind; a group), CAPNP_BAD_TEXT. */
enum capnp_status dyn_get(struct dyn_struct s, DescribedField_r field, struct capnp_struct from,
                          struct dyn_value *out);

/* Element i of a list value. */
enum capnp_status dyn_element(const struct dyn_value *list, uint32_t i, struct dyn_value *out);

/* ---- Building ----
 *
 * Each setter selects the field if it is a union member. A value or field that does not fit is
 * CAPNP_BAD_USE and changes nothing; the builder's own failures are in its status as ever. */

struct capnp_struct_b dyn_init(struct capnp_builder *b, struct dyn_struct s);

/* Scalars (bool, integers, floats by their bits, enum) and void. Signed values sign-extended. */
enum capnp_status dyn_set_bits(struct dyn_struct s, DescribedField_r field,
                               struct capnp_struct_b to, uint64_t bits);
enum capnp_status dyn_set_text(struct dyn_struct s, DescribedField_r field,
                               struct capnp_struct_b to, const char *ptr, size_t len);
enum capnp_status dyn_set_data(struct dyn_struct s, DescribedField_r field,
                               struct capnp_struct_b to, const void *ptr, size_t len);
enum capnp_status dyn_init_list(struct dyn_struct s, DescribedField_r field,
                                struct capnp_struct_b to, uint32_t count, struct capnp_list_b *out);
enum capnp_status dyn_init_struct(struct dyn_struct s, DescribedField_r field,
                                  struct capnp_struct_b to, struct capnp_struct_b *out);
/* Selects a group (also one of a union); its fields are set through dyn_group_of() and `to`. */
enum capnp_status dyn_select_group(struct dyn_struct s, DescribedField_r field,
                                   struct capnp_struct_b to);

/* Elements of a list under construction; `element` is DescribedType_get_element(list type).
 * Structs: capnp_list_struct_b_at(). */
enum capnp_status dyn_element_set_bits(DescribedType_r element, struct capnp_list_b l, uint32_t i,
                                       uint64_t bits);
enum capnp_status dyn_element_set_text(DescribedType_r element, struct capnp_list_b l, uint32_t i,
                                       const char *ptr, size_t len);
enum capnp_status dyn_element_set_data(DescribedType_r element, struct capnp_list_b l, uint32_t i,
                                       const void *ptr, size_t len);
enum capnp_status dyn_element_init_list(Descriptor_r d, DescribedType_r element,
                                        struct capnp_list_b l, uint32_t i, uint32_t count,
                                        struct capnp_list_b *out);

/* Does this value fit a scalar of this kind? */
bool dyn_fits(enum DescribedKind kind, uint64_t bits);

#endif
