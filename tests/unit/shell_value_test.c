/* SPDX-License-Identifier: MIT */
#include "tests/unit/test.h"

#include "apps/shell/describe.h"
#include "apps/shell/parse.h"
#include "apps/shell/show.h"
#include "apps/shell/value.h"
#include "counter.capnp.h"
#include "process.capnp.h"
#include "devices.capnp.h"
#include "system_control.capnp.h"
#include "terminal.capnp.h"
#include "time.capnp.h"

/* Descriptors as the generator wrote them; the tests run from the top of the tree. */

static uint8_t descriptor_bytes[1 << 16];
static Descriptor_r descriptor;
static struct command command;
static uint8_t message[4096];
static struct capnp_builder builder;
static struct value_error error;
static char line[PARSE_MAX_LINE];

static bool open_descriptor(const char *package, uint64_t id)
{
    char path[128];
    snprintf(path, sizeof(path), "build/gen/desc/%s/%016llx.desc", package, (unsigned long long)id);
    FILE *file = fopen(path, "rb");
    if (file == NULL) {
        FAIL(path);
        return false;
    }
    size_t count = fread(descriptor_bytes, 1, sizeof(descriptor_bytes), file);
    fclose(file);
    CHECK_EQ(dyn_open(descriptor_bytes, count, &descriptor), CAPNP_OK);
    return true;
}

/* Takes every capability; the index is how many came before. */
struct counting_caps {
    struct value_caps caps;
    uint16_t count;
};

static bool count_cap(struct value_caps *caps, const struct node *node, uint64_t interface,
                      struct value_error *at, uint16_t *index)
{
    struct counting_caps *self = (struct counting_caps *)caps;
    (void)interface;
    (void)at;
    CHECK_EQ(node->kind, NODE_CAP);
    *index = self->count++;
    return true;
}

static struct counting_caps caps;

/* Builds the parameters of the call typed; true when they could be built. */
static bool build(const char *typed, DescribedMethod_r *method)
{
    struct parse_error parse;
    snprintf(line, sizeof(line), "%s", typed);
    if (!parse_line(line, strlen(line), &command, &parse)) {
        FAIL(parse.message);
        return false;
    }
    if (!describe_find_method(descriptor, command.method, method)) {
        FAIL("no such method");
        return false;
    }
    caps = (struct counting_caps){{count_cap}, 0};
    capnp_builder_init(&builder, message, sizeof(message));
    return value_build(dyn_params(descriptor, *method), command.args, &builder, &caps.caps, &error);
}

static size_t finished(void)
{
    size_t bytes = 0;
    CHECK_EQ(capnp_finish(&builder, &bytes), CAPNP_OK);
    return bytes;
}

static void check_refused(const char *typed, const char *wanted)
{
    DescribedMethod_r method;
    CHECK(!build(typed, &method));
    CHECK_STR_EQ(error.message, wanted);
}

struct text_sink {
    struct fmt_sink sink;
    size_t count;
    char text[1 << 16];
};

static struct text_sink out;

static void text_write(struct fmt_sink *sink, const char *bytes, size_t count)
{
    struct text_sink *s = (struct text_sink *)sink;
    if (s->count + count < sizeof(s->text)) {
        memcpy(s->text + s->count, bytes, count);
        s->count += count;
    }
    s->text[s->count] = 0;
}

static const char *cap_name(struct show_caps *unused, uint64_t index)
{
    (void)unused;
    return index == 0 ? "@counter1" : NULL;
}

static const char *interface_name(uint64_t id)
{
    return id == Timer_ID ? "Timer" : NULL;
}

static const char *shown(DescribedMethod_r method, const void *bytes, size_t count)
{
    struct show_caps names = {cap_name, interface_name};
    struct capnp_struct from;
    out = (struct text_sink){.sink = {text_write}};
    CHECK_EQ(dyn_read(bytes, count, &from), CAPNP_OK);
    show_results(&out.sink, dyn_results(descriptor, method), from, &names);
    return out.text;
}

TEST(value_numbers, "numbers reach the message, with sign, unit and default")
{
    DescribedMethod_r method;
    Counter_increment_params_r params;
    REQUIRE(open_descriptor("counter", Counter_ID));
    REQUIRE(build("@c.increment(by=-5)", &method));
    REQUIRE_EQ(Counter_increment_params_read(message, finished(), &params), CAPNP_OK);
    CHECK_EQ(Counter_increment_params_get_by(params), -5);
    REQUIRE(build("@c.increment(0x10)", &method));
    REQUIRE_EQ(Counter_increment_params_read(message, finished(), &params), CAPNP_OK);
    CHECK_EQ(Counter_increment_params_get_by(params), 16);
    REQUIRE(build("@c.increment()", &method));
    REQUIRE_EQ(Counter_increment_params_read(message, finished(), &params), CAPNP_OK);
    CHECK_EQ(Counter_increment_params_get_by(params), 1);
    REQUIRE(build("@c.increment(-9223372036854775808)", &method));
    Timer_sleep_params_r sleep;
    REQUIRE(open_descriptor("capos", Timer_ID));
    REQUIRE(build("@t.sleep(untilNs=5s)", &method));
    REQUIRE_EQ(Timer_sleep_params_read(message, finished(), &sleep), CAPNP_OK);
    CHECK_EQ(Timer_sleep_params_get_until_ns(sleep), UINT64_C(5000000000));
}

TEST(value_refusals, "a value that does not fit its field is refused with what was expected")
{
    REQUIRE(open_descriptor("counter", Counter_ID));
    check_refused("@c.increment(by=\"x\")", "by: expected a number (Int64), found \"x\"");
    check_refused(
        "@c.increment(by=9223372036854775808)",
        "by: 9223372036854775808 is outside -9223372036854775808 to 9223372036854775807 (Int64)");
    check_refused(
        "@c.increment(by=0x10000000000000000)",
        "by: 0x10000000000000000 is outside -9223372036854775808 to 9223372036854775807 (Int64)");
    check_refused("@c.increment(by=5s)", "by: a number without unit is expected, found 5s");
    check_refused("@c.increment(bye=5)", "no field 'bye' here; the nearest is 'by'");
    check_refused("@c.increment(quantity=5)", "no field 'quantity' here; there are: by");
    check_refused("@c.read(quantity=5)", "no field 'quantity' here; there are none");
    check_refused("@c.increment(1, 2)", "this method takes only 1 parameter");
    check_refused("@c.read(1)", "this method takes no parameters");
    check_refused("call @c.increment by 1", "by: its value goes behind a '=', as by=...");
    check_refused("@c.increment(by=1, by=2)", "by is there twice");
    check_refused("@c.increment(by=1, 2)", "a value without a name cannot follow one with a name");
    check_refused("@c.increment(@c)", "by: expected a number (Int64), found @c");
    check_refused("@c.child(name=plain)", "name: expected text in quotation marks, found plain");
    check_refused("@c.child(\"\\xff\")", "name: text must be valid UTF-8");
    REQUIRE(open_descriptor("capos", IoPorts_ID));
    check_refused("@p.read(offset=70000)", "offset: 70000 is outside 0 to 65535 (UInt16)");
    check_refused("@p.read(offset=-1)", "offset: -1 is outside 0 to 65535 (UInt16)");
    check_refused("@p.read(0, 256)", "widthBytes: 256 is outside 0 to 255 (UInt8)");
    check_refused("@p.writeRun(data=0x123)",
                  "data: expected two hexadecimal digits for each byte, found 0x123");
    check_refused("@p.writeRun(data=12)",
                  "data: expected bytes, as 0x0011ff or in quotation marks, found 12");
    REQUIRE(open_descriptor("capos", TerminalSession_ID));
    check_refused(
        "@t.writeStyled(style=bold)",
        "style: expected one of plain, heading, error, quiet, program, programError, found bold");
    check_refused("@t.readLine(echo=1)", "echo: expected true or false, found 1");
}

TEST(value_nested, "lists, structs, unions, enumerants and capabilities reach the message")
{
    DescribedMethod_r method;
    Launcher_launch_params_r params;
    REQUIRE(open_descriptor("capos", Launcher_ID));
    REQUIRE(build(
        "@l.launch(program=\"hello\", name=\"h\", grants=[{name: \"timer\", interface: 0x876b, "
        "methods: 3, transfer: @timer}, {name: \"mem\", self: virtualMemory}])",
        &method));
    CHECK_EQ(caps.count, 1);
    REQUIRE_EQ(Launcher_launch_params_read(message, finished(), &params), CAPNP_OK);
    Grant_list_r grants = Launcher_launch_params_get_grants(params);
    REQUIRE_EQ(Grant_list_len(grants), 2);
    CHECK(capnp_text_is(Grant_get_name(Grant_list_at(grants, 0)), "timer"));
    CHECK_EQ(Grant_which(Grant_list_at(grants, 0)), GRANT_WHICH_TRANSFER);
    CHECK_EQ(Grant_get_methods(Grant_list_at(grants, 0)), 3);
    CHECK_EQ(Grant_which(Grant_list_at(grants, 1)), GRANT_WHICH_SELF);
    CHECK_EQ(Grant_get_self(Grant_list_at(grants, 1)), SELF_OBJECT_VIRTUAL_MEMORY);
    check_refused("@l.launch(grants=[{transfer: @a, self: ledger}])",
                  "only one of transfer and self can be given");
    check_refused("@l.launch(grants=[{transfer: 5}])",
                  "transfer: expected a capability, as @name, found 5");
    check_refused("@l.launch(grants={a: 1})",
                  "grants: expected a list, as [value, value], found {a: 1}");
    check_refused("@l.launch(grants=[1])", "grants: expected a Grant, as {field: value}, found 1");
}

TEST(value_room, "parameters larger than the room are refused")
{
    DescribedMethod_r method;
    static char typed[PARSE_MAX_LINE];
    REQUIRE(open_descriptor("counter", Counter_ID));
    snprintf(typed, sizeof(typed), "@c.child(name=\"%0*d\")", 3000, 1);
    struct parse_error parse;
    REQUIRE(parse_line(typed, strlen(typed), &command, &parse));
    REQUIRE(describe_find_method(descriptor, command.method, &method));
    capnp_builder_init(&builder, message, 64);
    CHECK(!value_build(dyn_params(descriptor, method), command.args, &builder, &caps.caps, &error));
    CHECK_STR_EQ(error.message, "name: with this the parameters are larger than the method takes");
}

TEST(show_values, "results are shown by name, with units, enumerants and capability names")
{
    DescribedMethod_r method;
    uint8_t reply[512];
    size_t bytes;
    REQUIRE(open_descriptor("counter", Counter_ID));
    REQUIRE(describe_find_method(descriptor, (struct span){"child", 5}, &method));
    capnp_builder_init(&builder, reply, sizeof(reply));
    Counter_child_results_b child = Counter_child_results_init(&builder);
    Counter_child_results_set_value(child, -7);
    REQUIRE_EQ(capnp_finish(&builder, &bytes), CAPNP_OK);
    CHECK_STR_EQ(shown(method, reply, bytes), "counter = @counter1\nvalue = -7\n");
    REQUIRE(describe_find_method(descriptor, (struct span){"reset", 5}, &method));
    CHECK_STR_EQ(shown(method, NULL, 0), "done\n");
    REQUIRE(open_descriptor("capos", Timer_ID));
    REQUIRE(describe_find_method(descriptor, (struct span){"now", 3}, &method));
    capnp_builder_init(&builder, reply, sizeof(reply));
    Timer_now_results_set_now_ns(Timer_now_results_init(&builder), 1234567890);
    REQUIRE_EQ(capnp_finish(&builder, &bytes), CAPNP_OK);
    CHECK_STR_EQ(shown(method, reply, bytes), "nowNs = 1234567890 ns (1.234 s)\n");
    REQUIRE(open_descriptor("capos", TerminalSession_ID));
    REQUIRE(describe_find_method(descriptor, (struct span){"readLine", 8}, &method));
    capnp_builder_init(&builder, reply, sizeof(reply));
    TerminalSession_read_line_results_b read = TerminalSession_read_line_results_init(&builder);
    TerminalSession_read_line_results_set_outcome(read, TERMINAL_SESSION_LINE_OUTCOME_END);
    TerminalSession_read_line_results_set_line(read, "a\"b\x01", 4);
    REQUIRE_EQ(capnp_finish(&builder, &bytes), CAPNP_OK);
    CHECK_STR_EQ(shown(method, reply, bytes),
                 "outcome = end\nline = \"a\\\"b\\x01\"\ncursorBytes = 0\n");
}

static const char *shown_services(const char *last_end)
{
    static uint8_t reply[1024];
    DescribedMethod_r method;
    size_t bytes;
    CHECK(open_descriptor("capos", SystemControl_ID));
    CHECK(describe_find_method(descriptor, (struct span){"services", 8}, &method));
    capnp_builder_init(&builder, reply, sizeof(reply));
    ServiceStatus_list_b list = SystemControl_services_results_init_services(
        SystemControl_services_results_init(&builder), 2);
    ServiceStatus_set_name(ServiceStatus_list_b_at(list, 0), "counter", 7);
    ServiceStatus_set_restarts(ServiceStatus_list_b_at(list, 0), 12);
    ServiceStatus_set_last_end(ServiceStatus_list_b_at(list, 0), last_end, strlen(last_end));
    ServiceStatus_set_state(ServiceStatus_list_b_at(list, 1), SERVICE_STATE_READY);
    CHECK_EQ(capnp_finish(&builder, &bytes), CAPNP_OK);
    return shown(method, reply, bytes);
}

TEST(show_tables,
     "a list of structs is a table, and one that would be too wide is shown field by field")
{
    CHECK_STR_EQ(
        shown_services("exit \"1\""),
        "services = 2 of them\n"
        "  name     program  state    restarts  processId  lastExitCode  sinceNs  lastEnd\n"
        "  counter           waiting        12          0             0  0 ns     "
        "\"exit \\\"1\\\"\"\n"
        "                    ready           0          0             0  0 ns     \n");
    char wide[160];
    memset(wide, 'x', sizeof(wide));
    wide[sizeof(wide) - 1] = 0;
    const char *text = shown_services(wide);
    CHECK(strstr(text, "services = 2 of them\n  - name: \"counter\"\n    program: \"\"\n") != NULL);
    CHECK(strstr(text, "\n  {name: \"\", program: \"\", state: ready, restarts: 0,") != NULL);
}

TEST(describe_facets, "help shows the methods held and no others")
{
    REQUIRE(open_descriptor("counter", Counter_ID));
    out = (struct text_sink){.sink = {text_write}};
    describe_interface(&out.sink, descriptor,
                       1u << Counter_read_ORDINAL | 1u << Counter_info_ORDINAL, "c", "counter");
    CHECK(strstr(out.text, "held as CounterReader (2 of 6 methods)") != NULL);
    CHECK(strstr(out.text, "read() -> (value :Int64)") != NULL);
    CHECK(strstr(out.text, "increment(") == NULL);
    CHECK(strstr(out.text, "package counter") != NULL);
    DescribedMethod_r method;
    REQUIRE(describe_find_method(descriptor, (struct span){"increment", 9}, &method));
    out = (struct text_sink){.sink = {text_write}};
    describe_method(&out.sink, descriptor, method, "c", "counter");
    CHECK(strstr(out.text, "@c.increment(by :Int64 = 1) -> (value :Int64)") != NULL);
}

TEST(describe_all,
     "every method of every descriptor can be described and shown from an empty answer")
{
    static const uint64_t ids[] = {Timer_ID, Launcher_ID, ProcessHandle_ID, TerminalSession_ID,
                                   IoPorts_ID};
    for (size_t i = 0; i < sizeof(ids) / sizeof(ids[0]); i++) {
        REQUIRE(open_descriptor("capos", ids[i]));
        out = (struct text_sink){.sink = {text_write}};
        describe_interface(&out.sink, descriptor, UINT64_MAX, "x", "capos");
        CHECK(out.count > 50);
        DescribedMethod_list_r list = Descriptor_get_methods(descriptor);
        for (uint32_t m = 0; m < DescribedMethod_list_len(list); m++) {
            out = (struct text_sink){.sink = {text_write}};
            describe_method(&out.sink, descriptor, DescribedMethod_list_at(list, m), "x", "capos");
            CHECK(out.count > 20);
            shown(DescribedMethod_list_at(list, m), NULL, 0);
        }
    }
}
