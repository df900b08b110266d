/* SPDX-License-Identifier: MIT */
/*
 * The dynamic codec on bytes of strangers: a platform descriptor with bytes changed, and a message of
 * arbitrary bytes read by it, every value looked at as a shell would print it. Nothing may leave
 * either buffer (address sanitizer) or run long (budgets).
 *
 * Input: descriptor number, count of changes, then 3 bytes a change (place, place, value), then the
 * message.
 */
#include <stdlib.h>
#include <string.h>

#include "descriptors.h"
#include "lib/capnp/dynamic.h"

enum { MAX_DEPTH = 8, MAX_VISITS = 20000 };

static unsigned visits;
static uint64_t seen; /* so that reads are not optimised away */

static void visit_struct(struct dyn_struct s, struct capnp_struct from, unsigned depth);

static void visit_value(Descriptor_r d, const struct dyn_value *v, unsigned depth)
{
    if (++visits > MAX_VISITS || depth > MAX_DEPTH) {
        return;
    }
    seen += v->bits;
    for (uint32_t i = 0; i < v->text.len; i++) {
        seen += (uint8_t)v->text.ptr[i];
    }
    for (uint32_t i = 0; i < v->data.len; i++) {
        seen += v->data.ptr[i];
    }
    if (v->kind == DESCRIBED_KIND_STRUCT) {
        visit_struct(dyn_struct_of(d, v->type), v->value, depth + 1);
    }
    if (v->kind == DESCRIBED_KIND_ENUM) {
        DescribedEnumerant_list_r names = DescribedEnum_get_enumerants(dyn_enum_of(d, v->type));
        seen +=
            DescribedEnumerant_get_name(DescribedEnumerant_list_at(names, (uint32_t)v->bits)).len;
    }
    for (uint32_t i = 0; v->kind == DESCRIBED_KIND_LIST && i < v->list.count && i < 64; i++) {
        struct dyn_value element;
        if (dyn_element(v, i, &element) == CAPNP_OK) {
            visit_value(d, &element, depth + 1);
        }
    }
}

static void visit_struct(struct dyn_struct s, struct capnp_struct from, unsigned depth)
{
    DescribedField_list_r fields = DescribedStruct_get_fields(s.st);
    if (depth > MAX_DEPTH) {
        return;
    }
    for (uint32_t i = 0; i < DescribedField_list_len(fields) && ++visits < MAX_VISITS; i++) {
        DescribedField_r f = DescribedField_list_at(fields, i);
        struct dyn_value v;
        if (DescribedField_get_is_group(f)) {
            if (dyn_active(s, f, from)) {
                visit_struct(dyn_group_of(s.descriptor, f), from, depth + 1);
            }
        } else if (dyn_get(s, f, from, &v) == CAPNP_OK) {
            visit_value(s.descriptor, &v, depth);
        }
    }
}

static void *exact_copy(const void *bytes, size_t len)
{
    void *copy = malloc(len + 1); /* malloc(0) */
    if (copy == NULL) {
        abort();
    }
    memcpy(copy, bytes, len);
    return copy;
}

static void visit_all(Descriptor_r d, const uint8_t *message, size_t len)
{
    struct capnp_struct from;
    uint8_t *exact = exact_copy(message, len & ~(size_t)7);
    if (dyn_read(exact, len & ~(size_t)7, &from) == CAPNP_OK) {
        DescribedMethod_list_r methods = Descriptor_get_methods(d);
        for (uint32_t i = 0; i < DescribedMethod_list_len(methods) && i < 64; i++) {
            visits = 0;
            visit_struct(dyn_params(d, DescribedMethod_list_at(methods, i)), from, 0);
            visit_struct(dyn_results(d, DescribedMethod_list_at(methods, i)), from, 0);
        }
    }
    free(exact);
}

/* Sets every field of every method's parameters to something. */
static void build_all(Descriptor_r d)
{
    static uint8_t room[16384];
    DescribedMethod_list_r methods = Descriptor_get_methods(d);
    for (uint32_t i = 0; i < DescribedMethod_list_len(methods) && i < 64; i++) {
        struct dyn_struct params = dyn_params(d, DescribedMethod_list_at(methods, i));
        DescribedField_list_r fields = DescribedStruct_get_fields(params.st);
        struct capnp_builder b;
        struct capnp_list_b list;
        struct capnp_struct_b inner;
        size_t len;
        capnp_builder_init(&b, room, sizeof(room));
        struct capnp_struct_b root = dyn_init(&b, params);
        for (uint32_t k = 0; k < DescribedField_list_len(fields) && k < 256; k++) {
            DescribedField_r f = DescribedField_list_at(fields, k);
            (void)dyn_set_bits(params, f, root, 1);
            (void)dyn_set_text(params, f, root, "text", 4);
            (void)dyn_set_data(params, f, root, "data", 4);
            (void)dyn_init_list(params, f, root, 3, &list);
            (void)dyn_init_struct(params, f, root, &inner);
        }
        if (capnp_finish(&b, &len) == CAPNP_OK) {
            visit_all(d, room, len);
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2) {
        return 0;
    }
    const struct capos_descriptor *c = &capos_descriptors[data[0] % capos_descriptor_count];
    size_t changes = data[1] % 8;
    data += 2;
    size -= 2;
    uint8_t *copy = exact_copy(c->message, c->bytes);
    for (size_t i = 0; i < changes && size >= 3; i++) {
        copy[((size_t)data[0] << 8 | data[1]) % c->bytes] = data[2];
        data += 3;
        size -= 3;
    }
    Descriptor_r d;
    if (dyn_open(copy, c->bytes, &d) == CAPNP_OK) {
        visit_all(d, data, size);
        build_all(d);
    }
    free(copy);
    return (int)(seen & 0);
}
