/* SPDX-License-Identifier: MIT */
/* Messages that are none: for kernel methods, whose reader is the generated codec. */
#include "capos/start.h"
#include "case.h"
#include "kernel_log.capnp.h"
#include "lib/base/string.h"

enum { BAD_WORDS = 8 };

struct bad_message {
    const char *what;
    uint32_t words;
    uint64_t message[BAD_WORDS];
};

/* For KernelLog.append: a struct of one pointer, to text. */
static const struct bad_message bad_texts[] = {
    {"a far root", 1, {FAR_PTR(0, 0)}},
    {"a double-far root", 2, {FAR_PTR(0, 0) | 4, FAR_PTR(1, 0)}},
    {"a root that is a capability", 1, {CAP_PTR(0)}},
    {"a root that is a list", 2, {LIST_PTR(0, BYTES, 8), 0}},
    {"a root behind the end", 1, {STRUCT_PTR(0, 0, 1)}},
    {"a root far behind the end", 2, {STRUCT_PTR(0x1fffffff, 0, 1), 0}},
    {"a root before the start", 2, {STRUCT_PTR(-2, 0, 1), 0}},
    {"a root of the largest size", 2, {STRUCT_PTR(0, 0xffff, 0xffff), 0}},
    {"text behind the end", 2, {STRUCT_PTR(0, 0, 1), LIST_PTR(0, BYTES, 8)}},
    {"text far behind the end", 3, {STRUCT_PTR(0, 0, 1), LIST_PTR(0x1ffffff0, BYTES, 8), 0}},
    {"text before the start", 3, {STRUCT_PTR(0, 0, 1), LIST_PTR(-4, BYTES, 8), 0}},
    {"the longest text", 3, {STRUCT_PTR(0, 0, 1), LIST_PTR(0, BYTES, 0x1fffffff), 0}},
    {"the longest list of bits", 3, {STRUCT_PTR(0, 0, 1), LIST_PTR(0, 1, 0x1fffffff), 0}},
    {"the longest list of words", 3, {STRUCT_PTR(0, 0, 1), LIST_PTR(0, 5, 0x1fffffff), 0}},
    {"the longest list of nothing", 3, {STRUCT_PTR(0, 0, 1), LIST_PTR(0, 0, 0x1fffffff), 0}},
    {"text without an end", 3, {STRUCT_PTR(0, 0, 1), LIST_PTR(0, BYTES, 8), 0x6161616161616161}},
    {"text of no bytes", 3, {STRUCT_PTR(0, 0, 1), LIST_PTR(0, BYTES, 0), 0}},
    {"text that is not UTF-8", 3, {STRUCT_PTR(0, 0, 1), LIST_PTR(0, BYTES, 8), 0x00fffefdfcfbfaf9}},
    {"text of an overlong form", 3, {STRUCT_PTR(0, 0, 1), LIST_PTR(0, BYTES, 3), 0x80c0}},
    {"text of a surrogate", 3, {STRUCT_PTR(0, 0, 1), LIST_PTR(0, BYTES, 4), 0x80a0ed}},
    {"text as pointers", 3, {STRUCT_PTR(0, 0, 1), LIST_PTR(0, 6, 1), 0}},
    {"text as a struct", 3, {STRUCT_PTR(0, 0, 1), STRUCT_PTR(0, 1, 0), 0}},
    {"text by a far pointer", 3, {STRUCT_PTR(0, 0, 1), FAR_PTR(0, 0), 0}},
    {"text by a far pointer elsewhere", 3, {STRUCT_PTR(0, 0, 1), FAR_PTR(0, 0xffffffff), 0}},
    {"text that is a capability", 3, {STRUCT_PTR(0, 0, 1), CAP_PTR(1), 0}},
    {"text as structs of nothing",
     3,
     {STRUCT_PTR(0, 0, 1), LIST_PTR(0, COMPOSITE, 0), STRUCT_PTR(0x1fffffff, 0, 0)}},
    {"text as the most structs",
     3,
     {STRUCT_PTR(0, 0, 1), LIST_PTR(0, COMPOSITE, 0), STRUCT_PTR(0x1fffffff, 0xffff, 0xffff)}},
};

static int64_t malformed_text(void)
{
    capos_cap_t log = capos_capset()->entries[0].cap;
    struct usage before;
    usage_now(&before);
    for (unsigned i = 0; i < ARRAY_LEN(bad_texts); i++) {
        const struct bad_message *bad = &bad_texts[i];
        struct capos_cqe cqe =
            raw_do(CALL(log, KernelLog, append, bad->message, bad->words * 8, raw_none, 16));
        if (cqe.result != ST_BAD_MESSAGE) {
            check_failed(__FILE__, __LINE__, bad->what, cqe.result, ST_BAD_MESSAGE);
        }
    }
    CHECK_USAGE(&before);
    CHECK_EQ(raw_status(CALL(log, KernelLog, append, NULL, 0, raw_none, 16)), 0);
    return 0;
}

/* For Launcher.launch: three pointers; the third to a list of grants (3 data words, 2 pointers). */
static const struct bad_message bad_grants[] = {
    {"grants that are a struct", 5, {STRUCT_PTR(0, 0, 3), 0, 0, STRUCT_PTR(0, 1, 0), 0}},
    {"a tag that is a list",
     6,
     {STRUCT_PTR(0, 0, 3), 0, 0, LIST_PTR(0, COMPOSITE, 1), LIST_PTR(1, 0, 1), 0}},
    {"more grants than words",
     6,
     {STRUCT_PTR(0, 0, 3), 0, 0, LIST_PTR(0, COMPOSITE, 1), STRUCT_PTR(2, 1, 0), 0}},
    {"grants that wrap",
     6,
     {STRUCT_PTR(0, 0, 3), 0, 0, LIST_PTR(0, COMPOSITE, 1), STRUCT_PTR(0x1fffffff, 0xffff, 0xffff),
      0}},
    {"grants that wrap to nothing",
     6,
     {STRUCT_PTR(0, 0, 3), 0, 0, LIST_PTR(0, COMPOSITE, 1), STRUCT_PTR(0x10000000, 0x10, 0), 0}},
    {"a flood of empty grants",
     5,
     {STRUCT_PTR(0, 0, 3), 0, 0, LIST_PTR(0, COMPOSITE, 0), STRUCT_PTR(0x1fffffff, 0, 0)}},
    {"a negative number of grants",
     5,
     {STRUCT_PTR(0, 0, 3), 0, 0, LIST_PTR(0, COMPOSITE, 0), STRUCT_PTR(-1, 1, 0)}},
    {"a grant whose name is the message",
     6,
     {STRUCT_PTR(0, 0, 3), 0, 0, LIST_PTR(0, COMPOSITE, 1), STRUCT_PTR(1, 0, 1),
      STRUCT_PTR(-6, 0, 3)}},
    {"a grant whose name is itself",
     6,
     {STRUCT_PTR(0, 0, 3), 0, 0, LIST_PTR(0, COMPOSITE, 1), STRUCT_PTR(1, 0, 1),
      LIST_PTR(-1, 6, 1)}},
    {"a grant whose name is its list",
     6,
     {STRUCT_PTR(0, 0, 3), 0, 0, LIST_PTR(0, COMPOSITE, 1), STRUCT_PTR(1, 0, 1),
      LIST_PTR(-2, COMPOSITE, 1)}},
};

static int64_t malformed_list(void)
{
    uint64_t result[8];
    for (unsigned i = 0; i < ARRAY_LEN(bad_grants); i++) {
        const struct bad_message *bad = &bad_grants[i];
        struct capos_cqe cqe = raw_do(CALL(held("launcher"), Launcher, launch, bad->message,
                                           bad->words * 8, result, sizeof(result)));
        if (cqe.result != ST_BAD_MESSAGE) {
            check_failed(__FILE__, __LINE__, bad->what, cqe.result, ST_BAD_MESSAGE);
        }
    }
    return 0;
}

static uint64_t sample[512];

/* A launch of a program that does not exist, with four grants; its length. */
static size_t build_sample(void)
{
    struct capnp_builder builder;
    size_t len = 0;
    capnp_builder_init(&builder, sample, sizeof(sample));
    Launcher_launch_params_b params = Launcher_launch_params_init(&builder);
    Launcher_launch_params_set_program(params, "nothing", 7);
    Launcher_launch_params_set_name(params, "nobody", 6);
    Grant_list_b grants = Launcher_launch_params_init_grants(params, 4);
    for (uint32_t i = 0; i < 4; i++) {
        Grant_b grant = Grant_list_b_at(grants, i);
        char name[2] = {(char)('a' + i), 0};
        Grant_set_name(grant, name, 1);
        Grant_set_origin(grant, "chance", 6);
        Grant_set_self(grant, SELF_OBJECT_LEDGER);
    }
    CHECK_EQ(capnp_finish(&builder, &len), CAPNP_OK);
    return len;
}

static bool is_refusal(int32_t status)
{
    return status == ST_BAD_MESSAGE || status == ST_NOT_FOUND || status == ST_BAD_ARGUMENT;
}

/* Bits of chance in a good message: never a start, never anything left behind. */
static int64_t mutated(void)
{
    static uint64_t copy[512];
    uint64_t result[8];
    size_t len = build_sample();
    struct usage before;
    usage_now(&before);
    for (unsigned round = 0; round < 4000; round++) {
        memcpy(copy, sample, len);
        for (unsigned i = 0; i <= chance() % 4; i++) {
            copy[chance() % (len / 8)] ^= UINT64_C(1) << chance() % 64;
        }
        size_t sent = chance() % 4 == 0 ? chance() % (len / 8) * 8 : len;
        struct capos_cqe cqe =
            raw_do(CALL(held("launcher"), Launcher, launch, copy, sent, result, sizeof(result)));
        if (!is_refusal(cqe.result)) {
            check_failed(__FILE__, __LINE__, "a mutated launch", cqe.result, ST_BAD_MESSAGE);
        }
    }
    CHECK_USAGE(&before);
    return 0;
}

/* Pure noise, of every length. */
static int64_t noise(void)
{
    static uint64_t words[2048];
    uint64_t result[8];
    for (unsigned round = 0; round < 1000; round++) {
        size_t count = chance() % (round % 10 == 0 ? 2048 : 24);
        for (size_t i = 0; i < count; i++) {
            words[i] = chance() & (chance() % 2 ? UINT64_MAX : UINT64_C(0xff000000ff));
        }
        struct capos_cqe cqe = raw_do(
            CALL(held("launcher"), Launcher, launch, words, count * 8, result, sizeof(result)));
        if (!is_refusal(cqe.result)) {
            check_failed(__FILE__, __LINE__, "noise", cqe.result, ST_BAD_MESSAGE);
        }
    }
    return 0;
}

/* ---- the log ---- */

static status_t append(const char *text, size_t len)
{
    static uint64_t buffer[300];
    struct capnp_builder builder;
    size_t bytes = 0;
    capnp_builder_init(&builder, buffer, sizeof(buffer));
    KernelLog_append_params_set_text(KernelLog_append_params_init(&builder), text, len);
    CHECK_EQ(capnp_finish(&builder, &bytes), CAPNP_OK);
    return raw_status(
        CALL(capos_capset()->entries[0].cap, KernelLog, append, buffer, bytes, raw_none, 16));
}

static int64_t long_records(void)
{
    static char text[2200];
    memset(text, 'x', sizeof(text));
    CHECK_EQ(append(text, 1025), ST_BAD_ARGUMENT);
    CHECK_EQ(append(text, 1064), ST_BAD_ARGUMENT);
    CHECK_EQ(append(text, 2000), ST_TOO_LARGE);
    CHECK_EQ(append(text, 1024), 0);
    return 0;
}

/* True when `needle` begins a line of the text, behind its time stamp. */
static bool begins_line(const char *text, size_t len, const char *needle)
{
    size_t n = strlen(needle);
    for (size_t i = 0; i < len; i++) {
        if (i != 0 && text[i - 1] != '\n') {
            continue;
        }
        size_t at = i;
        while (at < len && text[at] != ']' && text[at] != '\n') {
            at++;
        }
        if (at + 2 + n <= len && text[at] == ']' && memcmp(text + at + 2, needle, n) == 0) {
            return true;
        }
    }
    return false;
}

/* Escape sequences, line ends and forged lines: what is read back has none of it. */
static int64_t escape_injection(void)
{
    static const char evil[] =
        "\033[2J\033]0;owned\a\rhidden\b\b\x7f\n[   0.000001] kernel: forged\n"
        "\xc2\x9b"
        "31mred\n@forged by a hostile program\t.\v\f\x01";
    static uint64_t result[1100];
    uint64_t sequence = 0;
    CHECK_EQ(append(evil, sizeof(evil) - 1), 0);
    CHECK_EQ(append(evil, sizeof(evil)), 0); /* with its NUL */
    for (unsigned round = 0; round < 100; round++) {
        struct capos_cqe cqe = raw_do(
            CALL(held("logread"), KernelLog, read, MESSAGE(sequence, 4000), 24, result, 4200));
        KernelLog_read_results_r results;
        CHECK(cqe.result >= 0);
        CHECK_EQ(KernelLog_read_results_read(result, (size_t)cqe.result, &results), CAPNP_OK);
        struct capnp_text text = KernelLog_read_results_get_text(results);
        for (uint32_t i = 0; i < text.len; i++) {
            char c = text.ptr[i];
            CHECK((c >= ' ' && c <= '~') || c == '\n' || c == '\t');
        }
        CHECK(!begins_line(text.ptr, text.len, "@forged"));
        CHECK(!begins_line(text.ptr, text.len, "kernel: forged"));
        if (text.len == 0) {
            return 0;
        }
        sequence = KernelLog_read_results_get_next(results);
    }
    return 0;
}

static int64_t wild_log_reads(void)
{
    static uint64_t result[1100];
    capos_cap_t log = held("logread");
    static const uint64_t sequences[] = {0, UINT64_MAX, UINT64_C(1) << 63, 1000000};
    for (unsigned i = 0; i < ARRAY_LEN(sequences); i++) {
        CHECK(raw_do(CALL(log, KernelLog, read, MESSAGE(sequences[i], 512), 24, result, 1024))
                  .result > 0);
        CHECK_EQ(
            raw_do(CALL(log, KernelLog, read, MESSAGE(sequences[i], 0), 24, result, 1024)).result,
            ST_BAD_ARGUMENT);
        CHECK_EQ(
            raw_do(CALL(log, KernelLog, read, MESSAGE(sequences[i], UINT32_MAX), 24, result, 1024))
                .result,
            ST_BAD_ARGUMENT);
    }
    return 0;
}

const struct hostile_case message_cases[] = {
    CASE_WITH("msg.text", malformed_text, "no malformed text is read", 0),
    CASE_WITH("msg.list", malformed_list, "no malformed, cyclic or flooding list is read",
              HOLD_LAUNCHER),
    CASE_WITH("msg.mutated", mutated, "a message with wrong bits starts nothing", HOLD_LAUNCHER),
    CASE_WITH("msg.noise", noise, "noise is refused", HOLD_LAUNCHER),
    CASE_WITH("log.long", long_records, "no record is longer than the log takes", 0),
    CASE_WITH("log.escape", escape_injection,
              "no byte of a program's text controls a terminal or forges a line", HOLD_LOG_READ),
    CASE_WITH("log.read", wild_log_reads, "no place in the log is out of reach or beyond it",
              HOLD_LOG_READ),
    {.name = NULL},
};
