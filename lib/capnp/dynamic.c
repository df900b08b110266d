/* SPDX-License-Identifier: MIT */
/* Opening descriptors and looking things up in them. */
#include "lib/capnp/dynamic_kinds.h"

static bool same(struct capnp_text t, const char *name, size_t len)
{
    return t.len == len && (len == 0 || __builtin_memcmp(t.ptr, name, len) == 0);
}

/* ---- Checking a descriptor ---- */

static bool type_ok(Descriptor_r d, DescribedType_r type)
{
    for (unsigned depth = 0; depth < CAPNP_DEPTH; depth++) {
        switch (DescribedType_get_kind(type)) {
        case DESCRIBED_KIND_STRUCT:
            return DescribedType_get_index(type) <
                   DescribedStruct_list_len(Descriptor_get_structs(d));
        case DESCRIBED_KIND_ENUM:
            return DescribedType_get_index(type) < DescribedEnum_list_len(Descriptor_get_enums(d));
        case DESCRIBED_KIND_LIST:
            if (!DescribedType_has_element(type)) {
                return false;
            }
            type = DescribedType_get_element(type);
            break;
        default:
            return (unsigned)DescribedType_get_kind(type) < DESCRIBED_KIND_COUNT;
        }
    }
    return false;
}

/* Groups come after the struct that holds them, so that no group can hold itself. */
static bool field_ok(Descriptor_r d, uint32_t number, DescribedField_r f)
{
    DescribedType_r type = DescribedField_get_type(f);
    if (DescribedField_get_is_group(f)) {
        uint32_t group = DescribedType_get_index(type);
        return group > number && group < DescribedStruct_list_len(Descriptor_get_structs(d));
    }
    return DescribedField_get_offset(f) <= DYN_OFFSET_MAX && type_ok(d, type);
}

static bool struct_ok(Descriptor_r d, uint32_t number)
{
    DescribedStruct_r s = DescribedStruct_list_at(Descriptor_get_structs(d), number);
    DescribedField_list_r fields = DescribedStruct_get_fields(s);
    for (uint32_t i = 0; i < DescribedField_list_len(fields); i++) {
        if (!field_ok(d, number, DescribedField_list_at(fields, i))) {
            return false;
        }
    }
    return DescribedStruct_get_discriminant_offset(s) <= DYN_OFFSET_MAX;
}

static bool descriptor_ok(Descriptor_r d)
{
    uint32_t structs = DescribedStruct_list_len(Descriptor_get_structs(d));
    DescribedMethod_list_r methods = Descriptor_get_methods(d);
    for (uint32_t i = 0; i < DescribedMethod_list_len(methods); i++) {
        DescribedMethod_r m = DescribedMethod_list_at(methods, i);
        if (DescribedMethod_get_params(m) >= structs || DescribedMethod_get_results(m) >= structs) {
            return false;
        }
    }
    for (uint32_t i = 0; i < structs; i++) {
        if (!struct_ok(d, i)) {
            return false;
        }
    }
    return true;
}

enum capnp_status dyn_open(const void *msg, size_t len_bytes, Descriptor_r *out)
{
    enum capnp_status status = Descriptor_read(msg, len_bytes, out);
    if (status == CAPNP_OK &&
        (Descriptor_get_format_version(*out) != DYN_FORMAT_VERSION || !descriptor_ok(*out))) {
        static const Descriptor_r none;
        *out = none;
        status = CAPNP_BAD_KIND;
    }
    return status;
}

/* ---- Looking up ---- */

bool dyn_method_named(Descriptor_r d, const char *name, size_t len, DescribedMethod_r *out)
{
    DescribedMethod_list_r methods = Descriptor_get_methods(d);
    for (uint32_t i = 0; i < DescribedMethod_list_len(methods); i++) {
        *out = DescribedMethod_list_at(methods, i);
        if (same(DescribedMethod_get_name(*out), name, len)) {
            return true;
        }
    }
    return false;
}

bool dyn_method_numbered(Descriptor_r d, uint16_t ordinal, DescribedMethod_r *out)
{
    DescribedMethod_list_r methods = Descriptor_get_methods(d);
    for (uint32_t i = 0; i < DescribedMethod_list_len(methods); i++) {
        *out = DescribedMethod_list_at(methods, i);
        if (DescribedMethod_get_ordinal(*out) == ordinal) {
            return true;
        }
    }
    return false;
}

bool dyn_field_named(struct dyn_struct s, const char *name, size_t len, DescribedField_r *out)
{
    DescribedField_list_r fields = DescribedStruct_get_fields(s.st);
    for (uint32_t i = 0; i < DescribedField_list_len(fields); i++) {
        *out = DescribedField_list_at(fields, i);
        if (same(DescribedField_get_name(*out), name, len)) {
            return true;
        }
    }
    return false;
}

bool dyn_enumerant_named(DescribedEnum_r e, const char *name, size_t len, uint16_t *out)
{
    DescribedEnumerant_list_r all = DescribedEnum_get_enumerants(e);
    for (uint32_t i = 0; i < DescribedEnumerant_list_len(all) && i <= UINT16_MAX; i++) {
        if (same(DescribedEnumerant_get_name(DescribedEnumerant_list_at(all, i)), name, len)) {
            *out = (uint16_t)i;
            return true;
        }
    }
    return false;
}

static struct dyn_struct struct_numbered(Descriptor_r d, uint16_t number)
{
    struct dyn_struct s = {d, DescribedStruct_list_at(Descriptor_get_structs(d), number)};
    return s;
}

struct dyn_struct dyn_params(Descriptor_r d, DescribedMethod_r method)
{
    return struct_numbered(d, DescribedMethod_get_params(method));
}

struct dyn_struct dyn_results(Descriptor_r d, DescribedMethod_r method)
{
    return struct_numbered(d, DescribedMethod_get_results(method));
}

struct dyn_struct dyn_struct_of(Descriptor_r d, DescribedType_r type)
{
    bool is = DescribedType_get_kind(type) == DESCRIBED_KIND_STRUCT;
    return struct_numbered(d, is ? DescribedType_get_index(type) : UINT16_MAX);
}

DescribedEnum_r dyn_enum_of(Descriptor_r d, DescribedType_r type)
{
    bool is = DescribedType_get_kind(type) == DESCRIBED_KIND_ENUM;
    return DescribedEnum_list_at(Descriptor_get_enums(d),
                                 is ? DescribedType_get_index(type) : UINT32_MAX);
}

struct dyn_struct dyn_group_of(Descriptor_r d, DescribedField_r field)
{
    bool is = DescribedField_get_is_group(field);
    return struct_numbered(d, is ? DescribedType_get_index(DescribedField_get_type(field))
                                 : UINT16_MAX);
}
