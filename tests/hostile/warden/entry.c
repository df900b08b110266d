/* SPDX-License-Identifier: MIT */
/* SQEs with opcodes, flags and fields that mean nothing; system calls that mean nothing. */
#include "capos/start.h"
#include "case.h"
#include "lib/base/string.h"
#include "time.capnp.h"

static int64_t unknown_opcodes(void)
{
    for (unsigned op = CAPOS_OP_COUNT; op < 256; op++) {
        struct capos_sqe sqe = raw_sqe((uint8_t)op, 0);
        struct capos_cqe cqe = raw_do(sqe);
        CHECK_EQ(cqe.result, ST_UNSUPPORTED);
        CHECK_EQ(cqe.flags, 0);
        CHECK_EQ(cqe.cap_count, 0);
        memset((uint8_t *)&sqe + 1, 0xff, sizeof(sqe) - 1);
        sqe.flags &= (uint16_t)~CAPOS_SQE_LINK; /* flags.c */
        CHECK_EQ(raw_do(sqe).result, ST_UNSUPPORTED);
    }
    CHECK_WORKS();
    return 0;
}

static int64_t unknown_flags(void)
{
    for (unsigned op = 0; op < CAPOS_OP_COUNT; op++) {
        bool inlines = op >= CAPOS_OP_CALL && op <= CAPOS_OP_RETURN_RECV;
        for (unsigned bit = 0; bit < 16; bit++) {
            unsigned flag = 1u << bit;
            if ((flag == CAPOS_SQE_INLINE && inlines) || flag == CAPOS_SQE_QUIET ||
                flag == CAPOS_SQE_LINK || (flag == CAPOS_SQE_MULTISHOT && op == CAPOS_OP_WAIT) ||
                ((flag == CAPOS_SQE_KEEP || flag == CAPOS_SQE_PIPELINE) && op == CAPOS_OP_CALL)) {
                continue; /* flags.c */
            }
            struct capos_sqe sqe = raw_sqe((uint8_t)op, held("timer"));
            sqe.flags = (uint16_t)(1u << bit);
            CHECK_EQ(raw_do(sqe).result, ST_UNSUPPORTED);
        }
        struct capos_sqe sqe = raw_sqe((uint8_t)op, held("timer"));
        sqe.pipe_index = 1;
        CHECK_EQ(raw_do(sqe).result, ST_UNSUPPORTED);
    }
    CHECK_WORKS();
    return 0;
}

/* A byte of each field, in the order of struct capos_sqe. */
enum field {
    F_METHOD = 4,
    F_XFERS = 6,
    F_ACCEPT = 7,
    F_CAP = 8,
    F_PARAMS = 24,
    F_RESULT = 32,
    F_PARAMS_LEN = 40,
    F_RESULT_LEN = 44,
    F_INTERFACE = 48,
    F_DEADLINE = 56,
};

static const struct {
    uint8_t op;
    uint8_t reserved[10]; /* first bytes of the fields that must be 0 */
} rules[] = {
    {CAPOS_OP_NOP,
     {F_METHOD, F_XFERS, F_ACCEPT, F_CAP, F_PARAMS, F_RESULT, F_PARAMS_LEN, F_RESULT_LEN,
      F_INTERFACE, F_DEADLINE}},
    {CAPOS_OP_RECV, {F_METHOD, F_XFERS, F_PARAMS_LEN, F_INTERFACE}},
    {CAPOS_OP_RETURN, {F_ACCEPT, F_CAP, F_RESULT, F_RESULT_LEN, F_DEADLINE}},
    {CAPOS_OP_WAIT, {F_XFERS, F_ACCEPT, F_RESULT, F_PARAMS_LEN, F_RESULT_LEN, F_INTERFACE}},
    {CAPOS_OP_SIGNAL,
     {F_METHOD, F_XFERS, F_ACCEPT, F_RESULT, F_PARAMS_LEN, F_RESULT_LEN, F_INTERFACE, F_DEADLINE}},
    {CAPOS_OP_RELEASE,
     {F_METHOD, F_XFERS, F_ACCEPT, F_PARAMS, F_RESULT, F_PARAMS_LEN, F_RESULT_LEN, F_INTERFACE,
      F_DEADLINE}},
    {CAPOS_OP_CANCEL,
     {F_METHOD, F_XFERS, F_ACCEPT, F_PARAMS, F_RESULT, F_PARAMS_LEN, F_RESULT_LEN, F_INTERFACE,
      F_DEADLINE}},
    {CAPOS_OP_FINISH,
     {F_METHOD, F_XFERS, F_ACCEPT, F_PARAMS, F_RESULT, F_PARAMS_LEN, F_RESULT_LEN, F_INTERFACE,
      F_DEADLINE}},
};

static unsigned field_bytes(unsigned at)
{
    return at == F_METHOD ? 2 : at < F_CAP ? 1 : at == F_PARAMS_LEN || at == F_RESULT_LEN ? 4 : 8;
}

/* Every single bit of every field that the operation does not use; the capability would be good. */
static int64_t reserved_fields(void)
{
    capos_cap_t note;
    struct usage before;
    CHECK_EQ(new_notification(held("ledger"), &note), ST_OK);
    usage_now(&before);
    for (unsigned i = 0; i < ARRAY_LEN(rules); i++) {
        for (unsigned j = 0; j < 10 && rules[i].reserved[j] != 0; j++) {
            unsigned at = rules[i].reserved[j];
            for (unsigned bit = 0; bit < field_bytes(at) * 8; bit++) {
                struct capos_sqe sqe = raw_sqe(rules[i].op, at == F_CAP ? 0 : note);
                if (rules[i].op == CAPOS_OP_NOP || rules[i].op == CAPOS_OP_RETURN) {
                    sqe.cap = 0;
                }
                ((uint8_t *)&sqe)[at + bit / 8] |= (uint8_t)(1u << bit % 8);
                CHECK_EQ(raw_do(sqe).result, ST_UNSUPPORTED);
            }
        }
    }
    CHECK_USAGE(&before);
    CHECK_EQ(release(note), ST_OK);
    return 0;
}

/* user_data is nobody's business but ours, and comes back as it went. */
static int64_t user_data_kept(void)
{
    for (unsigned i = 0; i < 64; i++) {
        struct capos_sqe sqe = raw_sqe(CAPOS_OP_NOP, 0);
        struct capos_cqe cqe;
        sqe.user_data = chance();
        (void)raw_push(&sqe);
        CHECK(raw_enter(1, CAPOS_FOREVER) >= 1);
        CHECK(raw_reap(&cqe));
        CHECK(cqe.user_data == sqe.user_data && cqe.result == ST_OK);
        CHECK(!raw_reap(&cqe));
    }
    return 0;
}

static uint64_t any_address(void)
{
    static uint64_t scratch[512];
    switch (chance() % 8) {
    case 0:
        return chance();
    case 1:
        return UINT64_C(0xffff800000000000) + chance() % (UINT64_C(1) << 40);
    case 2:
        return 0xffffffff80000000 + chance() % (1u << 24);
    case 3:
        return chance() % 8192;
    case 4:
        return chance() % 100 * 64; /* a payload slot */
    default:
        return (uintptr_t)scratch + chance() % 2048;
    }
}

static void randomise(struct capos_sqe *sqe)
{
    const struct capos_capset *page = capos_capset();
    uint64_t *words = (uint64_t *)(void *)sqe;
    const struct capos_capset_entry *entry = &page->entries[chance() % page->count];
    for (unsigned i = 0; i < 8; i++) {
        words[i] = chance() % 4 == 0 ? chance() : 0;
    }
    sqe->op = (uint8_t)(chance() % 15);
    sqe->flags = (uint16_t)(chance() % 8 == 0 ? chance() : chance() % 2 ? CAPOS_SQE_INLINE : 0);
    if (chance() % 4 == 0) {
        sqe->flags |= chance() & CAPOS_SQE_FLAGS_ALL;
    }
    sqe->pipe_index = chance() % 16 == 0;
    sqe->method = (uint16_t)(chance() % 8);
    sqe->xfer_count = (uint8_t)(chance() % 4 == 0 ? chance() % 4 : 0);
    sqe->accept_count = (uint8_t)(chance() % 4);
    sqe->cap = chance() % 8 == 0 ? chance() : entry->cap;
    sqe->interface = chance() % 8 == 0 ? chance() : entry->interface;
    sqe->params = any_address();
    sqe->result = any_address();
    sqe->params_len = (uint32_t)(chance() % 8 == 0 ? chance() : chance() % 64 * 8);
    sqe->result_len = (uint32_t)(chance() % 8 == 0 ? chance() : chance() % 64 * 8);
    sqe->deadline_ns = chance() % 2 ? 1 : 0;
    if (sqe->op == CAPOS_OP_RELEASE && chance() % 16 != 0) {
        sqe->op = CAPOS_OP_NOP;
    }
}

enum { RANDOM_COUNT = 6000 };

/* Of the SQE numbered i: how many completions came, and its position. */
static uint8_t seen[RANDOM_COUNT + 1];
static uint64_t position[RANDOM_COUNT];
static bool quiet[RANDOM_COUNT];

static void note_completions(void)
{
    struct capos_cqe cqe;
    while (raw_reap(&cqe)) {
        CHECK(cqe.user_data <= RANDOM_COUNT);
        CHECK(cqe.result > -64 && cqe.result <= 16384);
        if ((cqe.flags & CAPOS_CQE_MORE) != 0) {
            continue;
        }
        seen[cqe.user_data] = (uint8_t)(cqe.user_data < RANDOM_COUNT ? seen[cqe.user_data] + 1 : 1);
    }
}

/* Ends everything numbered below `count` that has no completion yet. */
static void cancel_all(unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        if (seen[i] == 0) {
            struct capos_sqe sqe = raw_sqe(CAPOS_OP_CANCEL, position[i]);
            sqe.user_data = RANDOM_COUNT;
            (void)raw_push(&sqe);
            CHECK(raw_enter(0, 0) >= 0);
            note_completions();
            seen[i] = seen[i] == 0 && quiet[i] ? 1 : seen[i]; /* it had succeeded */
        }
    }
}

/* Entries of chance, among held capabilities and half-sensible values. When the ring stalls because
 * all records wait for something, the tail is moved back and they are cancelled. */
static int64_t random_entries(void)
{
    for (unsigned i = 0; i < RANDOM_COUNT; i++) {
        struct capos_sqe sqe;
        randomise(&sqe);
        sqe.user_data = i;
        position[i] = raw_push(&sqe);
        quiet[i] = (sqe.flags & CAPOS_SQE_QUIET) != 0;
        int64_t got = raw_enter(0, 0);
        CHECK(got >= 0);
        note_completions();
        if ((got & (int64_t)CAPOS_ENTER_STALLED) != 0 && raw.header->sq_head == position[i]) {
            raw.header->sq_tail = --raw.sq_tail;
            cancel_all(i);
            i--;
        }
    }
    cancel_all(RANDOM_COUNT);
    for (unsigned i = 0; i < RANDOM_COUNT; i++) {
        CHECK_EQ(seen[i], 1);
    }
    return 0;
}

/* ---- system calls ---- */

static int64_t syscall_raw(uint64_t number, uint64_t a, uint64_t b)
{
    int64_t result;
    __asm__ volatile("syscall"
                     : "=a"(result), "+D"(a), "+S"(b)
                     : "a"(number)
                     : "rcx", "rdx", "r8", "r9", "r10", "r11", "memory");
    return result;
}

static int64_t wrong_numbers(void)
{
    static const uint64_t numbers[] = {
        0,
        1,
        2,
        60,
        231,
        CAPOS_SYS_ENTER - 1,
        CAPOS_SYS_EXIT + 1,
        0xffffffff,
        UINT64_MAX,
        UINT64_C(1) << 63,
        CAPOS_SYS_EXIT | UINT64_C(1) << 32,
        CAPOS_SYS_ENTER | UINT64_C(1) << 63,
    };
    for (unsigned i = 0; i < ARRAY_LEN(numbers); i++) {
        CHECK_EQ(syscall_raw(numbers[i], UINT64_MAX, UINT64_MAX), ST_UNSUPPORTED);
    }
    for (unsigned i = 0; i < 1000; i++) {
        uint64_t number = chance();
        if (number != CAPOS_SYS_ENTER && number != CAPOS_SYS_EXIT) {
            CHECK_EQ(syscall_raw(number, chance(), chance()), ST_UNSUPPORTED);
        }
    }
    CHECK_WORKS();
    return 0;
}

/* Arguments of cap_enter that ask for too much come back by their deadline. */
static int64_t enter_arguments(void)
{
    static const uint64_t minimums[] = {
        1,
        64,
        65,
        4096,
        0x7fffffff,
        0x80000000,
        0xffffffff,
        UINT64_C(1) << 32,
        UINT64_C(0x100000001),
        UINT64_C(1) << 63,
        UINT64_MAX,
    };
    for (unsigned i = 0; i < ARRAY_LEN(minimums); i++) {
        CHECK_EQ(raw_enter(minimums[i], 0), 0);
        CHECK_EQ(raw_enter(minimums[i], 1), (int64_t)CAPOS_ENTER_TIMED_OUT);
        uint64_t soon_ns = now_ns() + 1000000;
        CHECK_EQ(raw_enter(minimums[i], soon_ns), (int64_t)CAPOS_ENTER_TIMED_OUT);
        CHECK(now_ns() >= soon_ns);
    }
    return 0;
}

/* The registers the kernel promises are zero or kept; nothing of the kernel's shows in the others. */
static int64_t registers_after(void)
{
    uint64_t out[8];
    __asm__ volatile("movq $-1, %%rdx\n\t movq $-1, %%r8\n\t movq $-1, %%r9\n\t movq $-1, %%r10\n\t"
                     "xorl %%edi, %%edi\n\t xorl %%esi, %%esi\n\t"
                     "movl $0x0ca90000, %%eax\n\t syscall\n\t"
                     "movq %%rcx, 0(%0)\n\t movq %%rdx, 8(%0)\n\t movq %%rsi, 16(%0)\n\t"
                     "movq %%rdi, 24(%0)\n\t movq %%r8, 32(%0)\n\t movq %%r9, 40(%0)\n\t"
                     "movq %%r10, 48(%0)\n\t movq %%r11, 56(%0)\n\t"
                     :
                     : "b"(out)
                     : "rax", "rcx", "rdx", "rsi", "rdi", "r8", "r9", "r10", "r11", "memory");
    const struct capos_capset *page = capos_capset();
    CHECK(out[0] >= page->image_base && out[0] < page->image_end); /* RCX: where to go on */
    CHECK(out[7] < 1u << 22);                                      /* R11: our own flags */
    for (unsigned i = 1; i < 7; i++) {
        CHECK_EQ(out[i], 0);
    }
    return 0;
}

static int64_t exit_least(void)
{
    return INT64_MIN;
}

static int64_t exit_most(void)
{
    return INT64_MAX;
}

static int64_t exit_with_work(void)
{
    for (unsigned i = 0; i < raw.sq_entries; i++) {
        (void)raw_send(raw_sqe(CAPOS_OP_NOP, 0));
    }
    return 7;
}

static status_t hand_over(capos_cap_t endpoint, capos_cap_t from, capos_cap_t to)
{
    struct capos_sqe sqe = raw_sqe(CAPOS_OP_HANDOVER, endpoint);
    sqe.params = from;
    sqe.interface = to;
    return raw_status(sqe);
}

/* With what one has: a serve facet, an endpoint of one's own, one process, and words that look like ids. */
static int64_t handovers(void)
{
    capos_cap_t own = 0, self = held("self"), serve = held("serve");
    CHECK_EQ(new_endpoint(held("ledger"), 64, 0, &own), ST_OK);
    struct usage before;
    usage_now(&before);
    CHECK_EQ(hand_over(serve, self, self), ST_NO_METHOD);
    CHECK_EQ(hand_over(held("object"), self, self), ST_WRONG_INTERFACE);
    CHECK_EQ(hand_over(own, own, self), ST_WRONG_INTERFACE);
    CHECK_EQ(hand_over(own, self, serve), ST_WRONG_INTERFACE);
    CHECK_EQ(hand_over(own, self, self), ST_BAD_ARGUMENT);
    for (unsigned i = 0; i < 300; i++) {
        uint64_t strange = i % 3 == 0 ? chance() : self + ((uint64_t)i << (i % 40));
        if (strange != self) {
            CHECK(hand_over(own, strange, self) < 0);
            CHECK(hand_over(own, self, strange) < 0);
        }
        if (strange != own) {
            CHECK(hand_over(strange, self, self) < 0);
        }
    }
    CHECK_USAGE(&before);
    CHECK_EQ(release(own), ST_OK);
    CHECK_WORKS();
    return 0;
}

#define CASE_CODE(name_, function, sentence_, code_) \
    { \
        .name = name_, .sentence = sentence_, .roles = { \
            {.run = function, .holds = HOLD_USUAL, .ending = {.code = code_}} \
        } \
    }

const struct hostile_case entry_cases[] = {
    CASE("sqe.opcode", unknown_opcodes, "an opcode that does not exist yet is refused"),
    CASE("sqe.flags", unknown_flags, "a flag that does not exist yet is refused by every opcode"),
    CASE("sqe.reserved", reserved_fields, "no operation takes a bit in a field it does not use"),
    CASE("sqe.user-data", user_data_kept, "user data comes back as it went"),
    {.name = "sqe.random",
     .sentence = "entries of chance get one completion each and change nothing",
     .roles = {{.run = random_entries,
                .holds = HOLD_USUAL | HOLD_ENTROPY | HOLD_ECHO | HOLD_SERVE | HOLD_OBJECT}}},
    {.name = "sqe.handover",
     .sentence = "nobody hands over what is not theirs, or to what is no process",
     .roles = {{.run = handovers, .holds = HOLD_USUAL | HOLD_SELF | HOLD_SERVE | HOLD_OBJECT}}},
    CASE("sys.number", wrong_numbers, "a system call that does not exist is refused"),
    CASE("sys.enter", enter_arguments, "cap_enter keeps its deadline whatever it is asked for"),
    CASE("sys.registers", registers_after, "no register brings anything out of the kernel"),
    CASE_CODE("sys.exit-least", exit_least, "the least exit code is told", INT64_MIN),
    CASE_CODE("sys.exit-most", exit_most, "the greatest exit code is told", INT64_MAX),
    CASE_CODE("sys.exit-queued", exit_with_work, "work that was never taken dies with its process",
              7),
    {.name = NULL},
};
