/* SPDX-License-Identifier: MIT */
/* Building and reading by description only, against the generated codec of the same types. */
#include "tests/unit/test.h"

#include "descriptors.h"
#include "lib/capnp/dynamic.h"
#include "process.capnp.h"
#include "tests/unit/codec_wire.h"

static Descriptor_r described(uint64_t id)
{
    Descriptor_r d = {{NULL, 0, 0}};
    for (size_t i = 0; i < capos_descriptor_count; i++) {
        const struct capos_descriptor *c = &capos_descriptors[i];
        if (c->id == id) {
            CHECK_EQ(dyn_open(c->message, c->bytes, &d), CAPNP_OK);
        }
    }
    return d;
}

static bool method(Descriptor_r d, const char *name, DescribedMethod_r *out)
{
    return dyn_method_named(d, name, strlen(name), out);
}

static bool field(struct dyn_struct s, const char *name, DescribedField_r *out)
{
    return dyn_field_named(s, name, strlen(name), out);
}

TEST(dynamic_open_all, "every platform descriptor opens and says what it is")
{
    CHECK(capos_descriptor_count > 10);
    for (size_t i = 0; i < capos_descriptor_count; i++) {
        Descriptor_r d;
        REQUIRE_EQ(dyn_open(capos_descriptors[i].message, capos_descriptors[i].bytes, &d),
                   CAPNP_OK);
        CHECK_EQ(Descriptor_get_id(d), capos_descriptors[i].id);
        CHECK(Descriptor_get_name(d).len > 0 && Descriptor_get_doc(d).len > 0);
        DescribedMethod_list_r methods = Descriptor_get_methods(d);
        for (uint32_t m = 0; m < DescribedMethod_list_len(methods); m++) {
            CHECK_EQ(DescribedMethod_get_ordinal(DescribedMethod_list_at(methods, m)), m);
        }
    }
}

TEST(dynamic_lookup, "methods, facets and limits are found by name and number")
{
    Descriptor_r d = described(Launcher_ID);
    DescribedMethod_r m;
    REQUIRE(method(d, "launch", &m));
    CHECK_EQ(DescribedMethod_get_ordinal(m), Launcher_launch_ORDINAL);
    CHECK_EQ(DescribedMethod_get_max_params_bytes(m), Launcher_launch_MAX_PARAMS_BYTES);
    CHECK(!method(d, "launc", &m) && !method(d, "launchx", &m));
    CHECK(dyn_method_numbered(d, 1, &m));
    CHECK(capnp_text_is(DescribedMethod_get_name(m), "programs"));
    CHECK(!dyn_method_numbered(d, 64, &m));
}

/* Builds spawn's parameters by description alone. */
static size_t build_spawn(Descriptor_r d, struct capnp_builder *b)
{
    DescribedMethod_r m;
    DescribedField_r f;
    struct capnp_list_b grants;
    size_t len = 0;
    CHECK(method(d, "spawn", &m));
    struct dyn_struct params = dyn_params(d, m);
    struct capnp_struct_b root = dyn_init(b, params);
    CHECK(field(params, "name", &f));
    CHECK_EQ(dyn_set_text(params, f, root, "hello", 5), CAPNP_OK);
    CHECK(field(params, "stackBytes", &f));
    CHECK_EQ(dyn_set_bits(params, f, root, 65536), CAPNP_OK);
    CHECK(field(params, "grants", &f));
    CHECK_EQ(dyn_init_list(params, f, root, 2, &grants), CAPNP_OK);
    DescribedType_r element = DescribedType_get_element(DescribedField_get_type(f));
    struct dyn_struct grant = dyn_struct_of(d, element);
    struct capnp_struct_b second = capnp_list_struct_b_at(grants, 1);
    CHECK(field(grant, "self", &f));
    uint16_t value = 0;
    CHECK(dyn_enumerant_named(dyn_enum_of(d, DescribedField_get_type(f)), "virtualMemory", 13,
                              &value));
    CHECK_EQ(dyn_set_bits(grant, f, second, value), CAPNP_OK);
    CHECK(field(grant, "methods", &f));
    CHECK_EQ(dyn_set_bits(grant, f, second, UINT64_MAX), CAPNP_OK);
    CHECK_EQ(capnp_finish(b, &len), CAPNP_OK);
    return len;
}

TEST(dynamic_build, "what is built by description reads the same with generated code")
{
    uint8_t room[1024];
    struct capnp_builder b;
    capnp_builder_init(&b, room, sizeof(room));
    size_t len = build_spawn(described(ProcessSpawner_ID), &b);
    ProcessSpawner_spawn_params_r r;
    REQUIRE_EQ(ProcessSpawner_spawn_params_read(room, len, &r), CAPNP_OK);
    CHECK(capnp_text_is(ProcessSpawner_spawn_params_get_name(r), "hello"));
    CHECK_EQ(ProcessSpawner_spawn_params_get_stack_bytes(r), 65536);
    Grant_r g = Grant_list_at(ProcessSpawner_spawn_params_get_grants(r), 1);
    CHECK_EQ(Grant_which(g), GRANT_WHICH_SELF);
    CHECK_EQ(Grant_get_self(g), SELF_OBJECT_VIRTUAL_MEMORY);
    CHECK_EQ(Grant_get_methods(g), UINT64_MAX);
}

TEST(dynamic_read, "what generated code builds reads the same by description")
{
    uint8_t room[1024];
    struct capnp_builder b;
    size_t len;
    capnp_builder_init(&b, room, sizeof(room));
    ProcessHandle_info_results_b info = ProcessHandle_info_results_init(&b);
    ProcessHandle_info_results_set_name(info, "svc", 3);
    ProcessHandle_info_results_set_exit_code(info, -3);
    ProcessHandle_info_results_set_state(info, PROCESS_STATE_FAULTED);
    FaultRecord_set_address(ProcessHandle_info_results_init_fault(info), 0xdead);
    REQUIRE_EQ(capnp_finish(&b, &len), CAPNP_OK);

    Descriptor_r d = described(ProcessHandle_ID);
    DescribedMethod_r m;
    DescribedField_r f;
    struct dyn_value v;
    struct capnp_struct from;
    REQUIRE(method(d, "info", &m));
    struct dyn_struct results = dyn_results(d, m);
    REQUIRE_EQ(dyn_read(room, len, &from), CAPNP_OK);
    REQUIRE(field(results, "exitCode", &f));
    REQUIRE_EQ(dyn_get(results, f, from, &v), CAPNP_OK);
    CHECK_EQ((int64_t)v.bits, -3);
    REQUIRE(field(results, "name", &f));
    REQUIRE_EQ(dyn_get(results, f, from, &v), CAPNP_OK);
    CHECK(capnp_text_is(v.text, "svc"));
    REQUIRE(field(results, "state", &f));
    REQUIRE_EQ(dyn_get(results, f, from, &v), CAPNP_OK);
    CHECK_EQ(v.bits, PROCESS_STATE_FAULTED);
    REQUIRE(field(results, "fault", &f));
    REQUIRE_EQ(dyn_get(results, f, from, &v), CAPNP_OK);
    struct dyn_struct fault = dyn_struct_of(d, v.type);
    struct capnp_struct inner = v.value;
    REQUIRE(field(fault, "address", &f));
    CHECK(DescribedField_get_hex(f));
    REQUIRE_EQ(dyn_get(fault, f, inner, &v), CAPNP_OK);
    CHECK_EQ(v.bits, 0xdead);
    REQUIRE(field(results, "ledger", &f));
    REQUIRE_EQ(dyn_get(results, f, from, &v), CAPNP_OK);
    CHECK_EQ(v.kind, DESCRIBED_KIND_LIST);
    CHECK_EQ(capnp_list_len(v.list), 0);
}

TEST(dynamic_refusals, "values and fields that do not fit are refused and change nothing")
{
    uint8_t room[256];
    struct capnp_builder b;
    DescribedMethod_r m;
    DescribedField_r f;
    struct capnp_list_b list;
    Descriptor_r d = described(ProcessSpawner_ID);
    REQUIRE(method(d, "spawn", &m));
    struct dyn_struct params = dyn_params(d, m);
    capnp_builder_init(&b, room, sizeof(room));
    struct capnp_struct_b root = dyn_init(&b, params);
    uint8_t before[256];
    memcpy(before, room, sizeof(room));
    REQUIRE(field(params, "ringEntries", &f));
    CHECK_EQ(dyn_set_bits(params, f, root, UINT64_C(1) << 32), CAPNP_BAD_USE);
    CHECK_EQ(dyn_set_text(params, f, root, "x", 1), CAPNP_BAD_USE);
    CHECK_EQ(dyn_init_list(params, f, root, 1, &list), CAPNP_BAD_USE);
    REQUIRE(field(params, "name", &f));
    CHECK_EQ(dyn_set_bits(params, f, root, 1), CAPNP_BAD_USE);
    CHECK_EQ(dyn_set_text(params, f, root, "\xff", 1), CAPNP_BAD_USE);
    CHECK_EQ(b.status, CAPNP_OK);
    CHECK_MEM_EQ(room, before, (size_t)b.used_words * 8);
}

TEST(dynamic_fits, "a value fits its kind or is refused, signed and unsigned")
{
    CHECK(dyn_fits(DESCRIBED_KIND_INT8, (uint64_t)-128) && !dyn_fits(DESCRIBED_KIND_INT8, 128));
    CHECK(dyn_fits(DESCRIBED_KIND_UINT8, 255) && !dyn_fits(DESCRIBED_KIND_UINT8, 256));
    CHECK(!dyn_fits(DESCRIBED_KIND_UINT16, (uint64_t)-1));
    CHECK(dyn_fits(DESCRIBED_KIND_BOOL, 1) && !dyn_fits(DESCRIBED_KIND_BOOL, 2));
    CHECK(dyn_fits(DESCRIBED_KIND_INT64, (uint64_t)INT64_MIN));
    CHECK(!dyn_fits(DESCRIBED_KIND_TEXT, 0) && !dyn_fits(DESCRIBED_KIND_STRUCT, 0));
}

TEST(dynamic_wrong_kinds, "a result of the wrong shape is told by the getter, not followed")
{
    Descriptor_r d = described(ProcessHandle_ID);
    DescribedMethod_r m;
    DescribedField_r f;
    struct dyn_value v;
    struct capnp_struct from;
    REQUIRE(method(d, "info", &m));
    struct dyn_struct results = dyn_results(d, m);
    uint64_t words[] = {wire_struct(0, 0, 2), wire_struct(1, 1, 0), wire_list(0, WIRE_BYTE, 4),
                        0x64636261};
    REQUIRE_EQ(dyn_read(words, sizeof(words), &from), CAPNP_OK);
    REQUIRE(field(results, "name", &f));
    CHECK_EQ(dyn_get(results, f, from, &v), CAPNP_BAD_KIND);
    CHECK_EQ(v.text.len, 0);
    words[1] = wire_list(1, WIRE_BYTE, 4);
    CHECK_EQ(dyn_get(results, f, from, &v), CAPNP_BAD_TEXT);
    REQUIRE(field(results, "fault", &f));
    CHECK_EQ(dyn_get(results, f, from, &v), CAPNP_BAD_KIND);
}

TEST(dynamic_bad_descriptor, "a descriptor cut short, flipped or inconsistent opens or is refused, "
                             "and is never followed out of bounds")
{
    for (size_t i = 0; i < capos_descriptor_count; i++) {
        const struct capos_descriptor *c = &capos_descriptors[i];
        for (uint32_t bit = 0; bit < c->bytes * 8; bit += 7) {
            uint8_t *copy = wire_copy(c->message, c->bytes);
            copy[bit / 8] ^= (uint8_t)(1u << bit % 8);
            Descriptor_r d;
            if (dyn_open(copy, c->bytes, &d) == CAPNP_OK) {
                DescribedMethod_r m;
                (void)method(d, "nothing", &m);
            } else {
                CHECK_EQ(d.s.data_bytes, 0);
            }
            free(copy);
        }
    }
}
