/* SPDX-License-Identifier: MIT */
/* The manifest check: one sound manifest, and every way to break it refused by a message that names
 * the entry. */
#include "tests/unit/test.h"

#include "interfaces.h"
#include "manifest.capnp.h"
#include "services/init/graph.h"

/* A manifest as the tests want it: a server `maker` with one export and a client `user`. */
struct spec {
    uint32_t version;
    const char *maker_name;
    const char *maker_program;
    const char *export_type;
    const char *grant_name;
    const char *grant_type;
    const char *ref_service;
    const char *ref_export;
    const char *maker_needs; /* NULL: none */
    const char *log_type;
    const char *launch_program;
    const char *launch_name; /* of the set granted */
    const char *payload;
    uint32_t max_message_bytes;
    uint32_t ring_entries;
    uint32_t max_restarts;
    uint32_t window_ms;
    uint32_t ready_within_ms;
    uint64_t frames;
    enum SchedulingClass class;
    uint16_t weight; /* 0: no share of the processors is asked for */
    uint32_t budget_us, period_us;
    bool processor; /* granted its share, whether it has one or not */
    uint16_t port_count;
    bool serve;
    bool supervisor;
    bool unknown_source;
};

static const struct spec good = {
    .version = 1,
    .maker_name = "maker",
    .maker_program = "maker",
    .export_type = "Counter",
    .grant_name = "counter",
    .grant_type = "CounterReader",
    .ref_service = "maker",
    .ref_export = "counter",
    .log_type = "LogWriter",
    .launch_program = "hello",
    .launch_name = "tools",
    .payload = "data/library",
    .max_message_bytes = 1024,
    .ring_entries = 64,
    .max_restarts = 3,
    .window_ms = 30000,
    .ready_within_ms = 10000,
    .frames = 100,
    .port_count = 8,
    .serve = true,
    .supervisor = true,
};

static _Alignas(8) uint8_t storage[65536];
static char problems[8000];
static unsigned problem_count;
static struct graph graph;

#define SET(type, b, field, text) type##_set_##field((b), (text), strlen(text))

static ServiceGrant_source_b add_grant(ServiceGrant_list_b list, uint32_t i, const char *name,
                                       const char *type)
{
    ServiceGrant_b grant = ServiceGrant_list_b_at(list, i);
    SET(ServiceGrant, grant, name, name);
    SET(ServiceGrant, grant, interface, type);
    return ServiceGrant_init_source(grant);
}

static void put_export(Service_b maker, const struct spec *spec)
{
    ServiceExport_b export = ServiceExport_list_b_at(Service_init_exports(maker, 1), 0);
    SET(ServiceExport, export, name, "counter");
    SET(ServiceExport, export, interface, spec->export_type);
}

static void put_maker_grants(Service_b maker, const struct spec *spec)
{
    ServiceGrant_list_b grants = Service_init_grants(maker, 5);
    ServiceGrant_source_set_kernel(add_grant(grants, 0, "log", spec->log_type), KERNEL_OBJECT_LOG);
    if (spec->serve) {
        ServiceGrant_source_set_serve(add_grant(grants, 1, "serve", "EndpointServe"));
    } else {
        ServiceGrant_source_set_kernel(add_grant(grants, 1, "serve", "Timer"), KERNEL_OBJECT_TIMER);
    }
    if (spec->supervisor) {
        ServiceGrant_source_set_supervisor(add_grant(grants, 2, "supervisor", "Supervisor"));
    } else {
        ServiceGrant_source_set_self(add_grant(grants, 2, "supervisor", "Ledger"),
                                     SELF_OBJECT_LEDGER);
    }
    IoPortRange_b ports =
        ServiceGrant_source_init_io_ports(add_grant(grants, 3, "ports", "IoPorts"));
    IoPortRange_set_base(ports, 0xfff8);
    IoPortRange_set_count(ports, spec->port_count);
    ServiceGrant_source_set_payload(add_grant(grants, 4, "library", "MemoryReader"), spec->payload,
                                    strlen(spec->payload));
}

static void put_maker(Service_b maker, const struct spec *spec)
{
    SET(Service, maker, name, spec->maker_name);
    SET(Service, maker, program, spec->maker_program);
    put_export(maker, spec);
    put_maker_grants(maker, spec);
    Service_set_readiness(maker, SERVICE_READINESS_READY);
    Service_set_max_message_bytes(maker, spec->max_message_bytes);
    Service_set_ring_entries(maker, spec->ring_entries);
    Service_set_max_restarts(maker, spec->max_restarts);
    Service_set_window_ms(maker, spec->window_ms);
    Service_set_ready_within_ms(maker, spec->ready_within_ms);
    ServiceLimit_b limit = ServiceLimit_list_b_at(Service_init_limits(maker, 1), 0);
    ServiceLimit_set_class(limit, LEDGER_CLASS_FRAMES);
    ServiceLimit_set_amount(limit, spec->frames);
    if (spec->maker_needs != NULL) {
        capnp_text_list_set(Service_init_needs(maker, 1), 0, spec->maker_needs,
                            strlen(spec->maker_needs));
    }
}

static void put_user(Service_b user, const struct spec *spec)
{
    SET(Service, user, name, "user");
    SET(Service, user, program, "shell");
    ServiceGrant_list_b grants = Service_init_grants(user, spec->processor ? 3 : 2);
    ExportRef_b ref =
        ServiceGrant_source_init_export(add_grant(grants, 0, spec->grant_name, spec->grant_type));
    SET(ExportRef, ref, service, spec->ref_service);
    SET(ExportRef, ref, export, spec->ref_export);
    if (spec->weight != 0) {
        ProcessorShare_b share = Service_init_processor(user);
        ProcessorShare_set_class(share, spec->class);
        ProcessorShare_set_weight(share, spec->weight);
        ProcessorShare_set_budget_us(share, spec->budget_us);
        ProcessorShare_set_period_us(share, spec->period_us);
    }
    if (spec->processor) {
        ServiceGrant_source_set_processor(add_grant(grants, 2, "processor", "SchedulingInfo"));
    }
    ServiceGrant_source_set_launcher(add_grant(grants, 1, "launcher", "Launcher"),
                                     spec->launch_name, strlen(spec->launch_name));
}

static void build(const struct spec *spec, Manifest_r *manifest)
{
    struct capnp_builder builder;
    size_t length = 0;
    capnp_builder_init(&builder, storage, sizeof(storage));
    Manifest_b m = Manifest_init(&builder);
    Manifest_set_schema_version(m, spec->version);
    Service_list_b services = Manifest_init_services(m, 2);
    put_user(Service_list_b_at(services, 0), spec);
    put_maker(Service_list_b_at(services, 1), spec);
    LaunchSet_b set = LaunchSet_list_b_at(Manifest_init_launch_sets(m, 1), 0);
    SET(LaunchSet, set, name, "tools");
    capnp_text_list_set(LaunchSet_init_programs(set, 1), 0, spec->launch_program,
                        strlen(spec->launch_program));
    CHECK_EQ(capnp_finish(&builder, &length), CAPNP_OK);
    CHECK_EQ(Manifest_read(storage, length, manifest), CAPNP_OK);
}

static bool exists(void *context, const char *name)
{
    static const char *const names[] = {"bin/maker", "bin/shell", "bin/hello", "data/library"};
    (void)context;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (strcmp(names[i], name) == 0) {
            return true;
        }
    }
    return false;
}

static void report(void *context, const char *problem)
{
    (void)context;
    problem_count++;
    size_t used = strlen(problems);
    snprintf(problems + used, sizeof(problems) - used, "%s\n", problem);
}

static bool check(const struct spec *spec)
{
    struct graph_input input = {
        .interfaces = capos_interfaces,
        .interface_count = capos_interface_count,
        .payload_exists = exists,
        .report = report,
    };
    for (unsigned i = 0; i < GRAPH_CLASSES; i++) {
        input.available[i] = 1000;
    }
    problems[0] = '\0';
    problem_count = 0;
    build(spec, &input.manifest);
    return graph_check(&input, &graph);
}

/* One problem, and its message holds both the entry and the reason. */
static void refused(const struct spec *spec, const char *entry, const char *reason)
{
    CHECK(!check(spec));
    if (strstr(problems, entry) == NULL || strstr(problems, reason) == NULL) {
        printf("# wanted \"%s\" and \"%s\" in:\n# %s", entry, reason, problems);
        FAIL("the message");
    }
    CHECK_EQ(problem_count, 1);
}

TEST(graph_good, "a sound manifest passes; the server comes before its client; facets are resolved")
{
    CHECK(check(&good));
    CHECK_STR_EQ(problems, "");
    CHECK_EQ(graph.service_count, 2);
    CHECK_EQ(graph.order[0], 1);
    CHECK_EQ(graph.order[1], 0);
    const struct graph_grant *grant = &graph.grants[graph.services[0].first_grant];
    const struct capos_interface_info *reader = NULL;
    struct graph_input input = {.interfaces = capos_interfaces,
                                .interface_count = capos_interface_count};
    reader = graph_interface(&input, "CounterReader");
    REQUIRE(reader != NULL);
    CHECK_EQ(grant->interface, reader->base_id);
    CHECK_EQ(grant->methods, reader->methods);
    CHECK_EQ(grant->service, 1);
}

#define REFUSED(id, sentence, field, value, entry, reason) \
    TEST(id, sentence) \
    { \
        struct spec spec = good; \
        spec.field = value; \
        refused(&spec, entry, reason); \
    }

REFUSED(graph_version, "another schema version is refused", version, 2, "schemaVersion",
        "version 1")
REFUSED(graph_program, "a program that is not in the archive is refused", maker_program, "absent",
        "services.maker.program", "bin/absent")
REFUSED(graph_long_program, "a program name that fits no payload name is refused", maker_program,
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
        "services.maker.program", "no payload")
REFUSED(graph_no_service, "an import from a service that does not exist is refused", ref_service,
        "nobody", "services.user.grants.counter", "no service \"nobody\"")
REFUSED(graph_no_export, "an import of an export that does not exist is refused", ref_export,
        "other", "services.user.grants.counter", "no export \"other\"")
REFUSED(graph_wrong_type, "an import under another interface is refused", grant_type, "Timer",
        "services.user.grants.counter", "Counter")
REFUSED(graph_unknown_type, "an interface nobody knows is refused", grant_type, "Nonsense",
        "services.user.grants.counter", "no interface \"Nonsense\"")
REFUSED(graph_unknown_export_type, "an export of an unknown interface is refused", export_type,
        "Nonsense", "services.maker.exports.counter", "no interface")
REFUSED(graph_kernel_export, "an export of a kernel interface is refused", export_type, "Timer",
        "services.maker.exports.counter", "only the kernel")
REFUSED(graph_wider_log, "a grant may not be wider than its base allows by name", log_type, "Timer",
        "services.maker.grants.log", "KernelLog")
REFUSED(graph_bad_message, "a message size that is no multiple of 8 is refused", max_message_bytes,
        1001, "services.maker.maxMessageBytes", "1001")
REFUSED(graph_bad_ring, "a ring size that is no power of two is refused", ring_entries, 65,
        "services.maker.ringEntries", "power of two")
REFUSED(graph_restarts, "more restarts than can be counted are refused", max_restarts, 17,
        "services.maker.maxRestarts", "17")
REFUSED(graph_window, "a window of nothing is refused: it would count no restart", window_ms, 0,
        "services.maker.windowMs", "at least 1")
REFUSED(graph_ready_within, "no time at all to become ready is refused", ready_within_ms, 0,
        "services.maker.readyWithinMs", "at least 1")
REFUSED(graph_limits, "limits above what init has are refused", frames, 2000, "services",
        "sum to 2000")
REFUSED(graph_ports, "ports beyond the last are refused", port_count, 9,
        "services.maker.grants.ports", "do not exist")
REFUSED(graph_no_serve, "exports without the serve grant are refused", serve, false,
        "services.maker", "serve")
REFUSED(graph_no_supervisor, "readiness by call without a supervisor grant is refused", supervisor,
        false, "services.maker", "supervisor")
REFUSED(graph_no_launch_set, "a launcher for an unknown set is refused", launch_name, "absent",
        "services.user.grants.launcher", "no launch set")
REFUSED(graph_launch_program, "a launch set with a program that does not exist is refused",
        launch_program, "absent", "launchSets.tools.programs", "bin/absent")
REFUSED(graph_no_payload, "a payload that is not in the archive is refused", payload, "data/absent",
        "services.maker.grants.library", "data/absent")
REFUSED(graph_cycle, "services that need each other in a circle are refused", maker_needs, "user",
        "user, maker", "circle")
REFUSED(graph_self_need, "a service that needs itself is refused", maker_needs, "maker", "maker",
        "circle")
REFUSED(graph_unknown_need, "a need of an unknown service is refused", maker_needs, "nobody",
        "services.maker.needs", "nobody")
REFUSED(graph_grant_name, "a grant name with a control character is refused", grant_name, "a\nb",
        "services.user.grants", "not 1 to 31")
REFUSED(graph_long_grant_name, "a grant name of 32 bytes is refused", grant_name,
        "abcdefghijklmnopqrstuvwxyz012345", "services.user.grants", "not 1 to 31")
REFUSED(graph_duplicate_grant, "two grants of one name are refused", grant_name, "launcher",
        "services.user.grants.launcher", "two grants")

TEST(graph_wider_facet, "a grant wider than the export's facet is refused")
{
    struct spec spec = good;
    spec.export_type = "CounterReader";
    spec.grant_type = "Counter";
    refused(&spec, "services.user.grants.counter", "does not offer");
}

TEST(graph_duplicate_service, "two services of one name are refused")
{
    struct spec spec = good;
    spec.maker_name = "user";
    spec.ref_service = "user";
    CHECK(!check(&spec));
    CHECK(strstr(problems, "two services") != NULL);
}

REFUSED(graph_near_service, "a name that is nearly right is told", ref_service, "makre",
        "services.user.grants.counter", "did you mean \"maker\"?")
REFUSED(graph_near_interface, "an interface that is nearly right is told", log_type, "LogWriten",
        "services.maker.grants.log", "did you mean \"LogWriter\"?")

TEST(graph_escapes, "a message shows no control byte of a name")
{
    struct spec spec = good;
    spec.ref_export = "\033[2J\007";
    refused(&spec, "services.user.grants.counter", "\"?[2J?\"");
    spec.ref_export = "\xc2\x9b"
                      "2J\xe2\x80\xae"; /* U+009B, U+202E */
    refused(&spec, "services.user.grants.counter", "\"??2J???\"");
}

static const char *long_name(void)
{
    static char name[3001];
    memset(name, 'n', sizeof(name) - 1);
    return name;
}

TEST(graph_processor, "a share of the processors that the kernel would refuse is refused, and one "
                      "it would not is not")
{
    static const struct {
        enum SchedulingClass class;
        uint16_t weight;
        uint32_t budget_us, period_us;
        const char *reason; /* NULL: it is good */
    } shares[] = {
        {SCHEDULING_CLASS_NORMAL, 1, 0, 0, NULL},
        {SCHEDULING_CLASS_BACKGROUND, 10000, 50, 50000, NULL},
        {SCHEDULING_CLASS_URGENT, 100, 1, 1000, "budgets 50 us"},
        {SCHEDULING_CLASS_INTERACTIVE, 100, 0, 0, "needs a budget"},
        {SCHEDULING_CLASS_NORMAL, 10001, 0, 0, "1 to 10000 are possible"},
        {SCHEDULING_CLASS_NORMAL, 100, 0, 1000, "a budget of 0 us"},
        {SCHEDULING_CLASS_NORMAL, 100, 2000, 1000, "budgets 50 us"},
        {SCHEDULING_CLASS_NORMAL, 100, 500, 999, "periods are 1000"},
        {(enum SchedulingClass)9, 100, 500, 1000, "does not know class 9"},
        {SCHEDULING_CLASS_NORMAL, 100, 1000, 10000, "but init has 1000 to give"},
    };
    struct spec spec = good;
    spec.processor = true;
    refused(&spec, "services.user.grants.processor", "has no `processor`");
    for (size_t i = 0; i < sizeof(shares) / sizeof(shares[0]); i++) {
        spec.class = shares[i].class;
        spec.weight = shares[i].weight;
        spec.budget_us = shares[i].budget_us;
        spec.period_us = shares[i].period_us;
        if (shares[i].reason == NULL && shares[i].budget_us == 0) {
            CHECK(check(&spec));
        } else if (shares[i].reason != NULL) {
            CHECK(!check(&spec));
            CHECK(strstr(problems, shares[i].reason) != NULL);
        }
    }
}

TEST(graph_long_names, "however long a name, the message ends with the fix")
{
    struct spec spec = good;
    spec.ref_service = long_name();
    spec.grant_name = long_name();
    CHECK(!check(&spec));
    CHECK_EQ(problem_count, 2);
    CHECK(strstr(problems, "nnn...\"; add it or correct the name\n") != NULL);
    CHECK(strstr(problems, "nnn...\" is not 1 to 31 of [a-z0-9_-]\n") != NULL);
}

TEST(graph_all_problems, "every problem is reported, not the first alone")
{
    struct spec spec = good;
    spec.version = 9;
    spec.maker_program = "absent";
    spec.ref_service = "nobody";
    CHECK(!check(&spec));
    CHECK_EQ(problem_count, 3);
}
