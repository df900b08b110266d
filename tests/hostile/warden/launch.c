/* SPDX-License-Identifier: MIT */
/* Starting programs without end, with wrong grants, under wrong names; handles misused. */
#include "abi/layout.h"
#include "capos/start.h"
#include "case.h"
#include "notification.capnp.h"
#include "kernel_log.capnp.h"
#include "ledger.capnp.h"
#include "memory.capnp.h"
#include "lib/base/string.h"
#include "time.capnp.h"

enum { PARAM_WORDS = 1600, MAX_TRANSFERS = 62, AREA_BYTES = 8 + MAX_TRANSFERS * 16 };

static uint64_t result[64];

/* A launch being put together: message, then its transfer area. */
static struct {
    uint64_t words[PARAM_WORDS];
    struct capnp_builder builder;
    Launcher_launch_params_b params;
    Grant_list_b grants;
    struct capos_transfer transfers[MAX_TRANSFERS];
    unsigned transfer_count;
} launch;

static void begin(const char *program, const char *name, uint32_t grants)
{
    capnp_builder_init(&launch.builder, launch.words, sizeof(launch.words) - AREA_BYTES);
    launch.params = Launcher_launch_params_init(&launch.builder);
    Launcher_launch_params_set_program(launch.params, program, strlen(program));
    Launcher_launch_params_set_name(launch.params, name, strlen(name));
    launch.grants = Launcher_launch_params_init_grants(launch.params, grants);
    launch.transfer_count = 0;
}

static Grant_b line(uint32_t i, const char *name, uint64_t interface, uint64_t methods)
{
    Grant_b grant = Grant_list_b_at(launch.grants, i);
    Grant_set_name(grant, name, strlen(name));
    Grant_set_origin(grant, "hostile", 7);
    Grant_set_interface(grant, interface);
    Grant_set_methods(grant, methods);
    return grant;
}

static uint16_t give(capos_cap_t cap, unsigned mode)
{
    launch.transfers[launch.transfer_count] =
        (struct capos_transfer){.cap = cap, .mode = (uint16_t)mode};
    return (uint16_t)launch.transfer_count++;
}

static struct capos_sqe finish_sqe(void)
{
    size_t len = 0;
    CHECK_EQ(capnp_finish(&launch.builder, &len), CAPNP_OK);
    struct capos_sqe sqe =
        CALL(held("launcher"), Launcher, launch, launch.words, len, result, sizeof(result));
    if (launch.transfer_count != 0) {
        uint64_t *area = &launch.words[len / 8];
        area[0] = raw.sequence++;
        memcpy(area + 1, launch.transfers, launch.transfer_count * sizeof(launch.transfers[0]));
        sqe.xfer_count = (uint8_t)launch.transfer_count;
    }
    return sqe;
}

static struct capos_cqe finish(void)
{
    return raw_do(finish_sqe());
}

/* The grant that tells a child what to run: role c of case `number` is what launched children do. */
static void case_line(uint32_t i, const char *name)
{
    const struct capos_capset_entry *log = &capos_capset()->entries[0];
    Grant_set_transfer(line(i, name, KernelLog_ID, 0), give(log->cap, CAPOS_XFER_COPY));
}

static int64_t wrong_names(void)
{
    static const char *const names[] = {
        "",           "12345678901234567890123456789012",
        "esc\033[2J", "new\nline",
        "sp ace",     "\xc3\xa9",
        "tab\t",      "back\\slash",
        "del\x7f",    "star*",
        "at@",
    };
    struct usage before;
    usage_now(&before);
    for (unsigned i = 0; i < ARRAY_LEN(names); i++) {
        begin("self", names[i], 0);
        CHECK_EQ(finish().result, ST_BAD_ARGUMENT);
        begin("self", "child", 1);
        Grant_set_self(line(0, names[i], Ledger_ID, 0), SELF_OBJECT_LEDGER);
        CHECK_EQ(finish().result, ST_BAD_ARGUMENT);
    }
    static const char *const programs[] = {"",     "nothing", "sel",  "selfi",
                                           "SELF", "../self", "self/"};
    for (unsigned i = 0; i < ARRAY_LEN(programs); i++) {
        begin(programs[i], "child", 0);
        CHECK_EQ(finish().result, ST_NOT_FOUND);
    }
    CHECK_USAGE(&before);
    return 0;
}

static int64_t wrong_grants(void)
{
    capos_cap_t note, timer = held("timer");
    struct usage before;
    CHECK_EQ(new_notification(held("ledger"), &note), ST_OK);
    usage_now(&before);
    begin("self", "child", 1); /* not the interface it is */
    Grant_set_transfer(line(0, "timer", KernelLog_ID, 0), give(timer, 0));
    CHECK_EQ(finish().result, ST_WRONG_INTERFACE);
    begin("self", "child", 1); /* more than is held */
    Grant_set_transfer(line(0, "timer", Timer_ID, UINT64_MAX), give(timer, 0));
    CHECK_EQ(finish().result, ST_NO_METHOD);
    begin("self", "child", 1); /* an index beyond what is carried */
    Grant_set_transfer(line(0, "timer", Timer_ID, 0), 1);
    (void)give(timer, 0);
    CHECK_EQ(finish().result, ST_BAD_ARGUMENT);
    begin("self", "child", 2); /* one name for two */
    Grant_set_self(line(0, "ledger", Ledger_ID, 0), SELF_OBJECT_LEDGER);
    Grant_set_self(line(1, "ledger", Ledger_ID, 0), SELF_OBJECT_LEDGER);
    CHECK_EQ(finish().result, ST_EXISTS);
    begin("self", "child", 2); /* one moved capability for two lines */
    uint16_t index = give(note, CAPOS_XFER_MOVE);
    Grant_set_transfer(line(0, "a", 0, 0), index);
    Grant_set_transfer(line(1, "b", 0, 0), index);
    CHECK(finish().result < 0);
    CHECK_EQ(signal_bits(note, 1), ST_OK);
    begin("self", "child", 0); /* moved, and granted to nobody */
    (void)give(note, CAPOS_XFER_MOVE);
    CHECK_EQ(finish().result, ST_BAD_ARGUMENT);
    CHECK_EQ(signal_bits(note, 1), ST_OK);
    begin("self", "child", 1); /* not to be handed on */
    Grant_set_transfer(line(0, "ledger", Ledger_ID, 0), give(held("ledger"), 0));
    CHECK_EQ(finish().result, ST_NOT_TRANSFERABLE);
    begin("self", "child", 1); /* no such own object */
    Grant_set_self(line(0, "x", Ledger_ID, 0), (enum SelfObject)99);
    CHECK_EQ(finish().result, ST_BAD_ARGUMENT);
    begin("self", "child", 63); /* more than a start page holds */
    CHECK_EQ(finish().result, ST_BAD_ARGUMENT);
    CHECK_USAGE(&before);
    return 0;
}

/* ---- storms ---- */

static status_t wait_exit(capos_cap_t process)
{
    struct capos_sqe wait = raw_sqe(CAPOS_OP_WAIT, process);
    wait.method = CAPOS_EVENT_EXIT;
    return raw_do(wait).result;
}

static capos_cap_t start_child(const char *grant_name)
{
    begin("self", "child", grant_name != NULL ? 1 : 0);
    if (grant_name != NULL) {
        case_line(0, grant_name);
    }
    struct capos_cqe cqe = finish();
    return cqe.result >= 0 ? cqe.first_cap : 0;
}

/* Children without a case end at once with CHILD_CODE. */
static int64_t launch_storm(void)
{
    struct usage before;
    usage_now(&before);
    for (unsigned round = 0; round < 40; round++) {
        capos_cap_t child = start_child("child");
        CHECK(child != 0);
        CHECK_EQ(wait_exit(child), CAPOS_EVENT_EXIT);
        CHECK_EQ(release(child), ST_OK);
    }
    CHECK_USAGE(&before);
    return 0;
}

/* Lines of the longest names and origins: the first `given` are the note, each by a transfer of its own, the rest
 * the child's ledger. */
static void full_page(capos_cap_t note, uint32_t given, unsigned mode)
{
    begin("self", "child", MAX_TRANSFERS);
    for (uint32_t i = 0; i < MAX_TRANSFERS; i++) {
        char name[] = "a-name-of-the-longest-that-is00";
        name[29] = (char)('a' + i / 10);
        name[30] = (char)('0' + i % 10);
        Grant_b grant = line(i, name, i < given ? Notification_ID : Ledger_ID, 0);
        Grant_set_origin(grant, "an origin that is as long as an origin can be: sixty-three byte",
                         63);
        if (i < given) {
            Grant_set_transfer(grant, give(note, mode));
        } else {
            Grant_set_self(grant, SELF_OBJECT_LEDGER);
        }
    }
}

static int64_t most_grants(void)
{
    capos_cap_t note;
    struct usage before;
    CHECK_EQ(new_notification(held("ledger"), &note), ST_OK);
    usage_now(&before);
    for (unsigned round = 0; round < 3; round++) {
        full_page(note, MAX_TRANSFERS, CAPOS_XFER_COPY);
        struct capos_cqe cqe = finish();
        CHECK_EQ(cqe.result, 16);
        CHECK_EQ(wait_exit(cqe.first_cap), CAPOS_EVENT_EXIT);
        CHECK_EQ(release(cqe.first_cap), ST_OK);
        full_page(note, MAX_TRANSFERS, CAPOS_XFER_COPY);
        Grant_set_interface(Grant_list_b_at(launch.grants, 20 * round + 21), Ledger_ID);
        CHECK_EQ(finish().result, ST_WRONG_INTERFACE);
        full_page(note, MAX_TRANSFERS, CAPOS_XFER_COPY);
        Grant_set_name(Grant_list_b_at(launch.grants, 61), "a-name-of-the-longest-that-isa0", 31);
        CHECK_EQ(finish().result, ST_EXISTS);
    }
    CHECK_USAGE(&before);
    return 0;
}

/* The call ends, by cancel or by its deadline, while the child is built: what was to be moved is there again by
 * the time that is told. The end of this process finds a last one under way. */
static int64_t cut_short(void)
{
    enum { ROUNDS = 60, STEP_NS = 400000 };
    capos_cap_t note;
    struct usage before;
    CHECK_EQ(new_notification(held("ledger"), &note), ST_OK);
    usage_now(&before);
    for (unsigned i = 0; i < ROUNDS; i++) {
        full_page(note, 1, CAPOS_XFER_MOVE);
        struct capos_sqe sqe = finish_sqe();
        uint64_t position = raw.sq_tail;
        if (i % 2 != 0) {
            sqe.deadline_ns = now_ns() + i * STEP_NS / 2;
        }
        uint64_t tag = raw_start(sqe);
        if (i % 2 == 0) {
            uint64_t until_ns = now_ns() + i * STEP_NS / 2;
            while (now_ns() < until_ns) {
            }
            (void)raw_do(raw_sqe(CAPOS_OP_CANCEL, position));
        }
        struct capos_cqe cqe = raw_wait(tag);
        if (cqe.result >= 0) {
            CHECK_EQ(signal_bits(note, 1), ST_BAD_CAP);
            CHECK_EQ(wait_exit(cqe.first_cap), CAPOS_EVENT_EXIT);
            CHECK_EQ(release(cqe.first_cap), ST_OK);
            CHECK_EQ(new_notification(held("ledger"), &note), ST_OK);
        } else {
            CHECK(cqe.result == (i % 2 == 0 ? ST_CANCELLED : ST_TIMED_OUT) ||
                  cqe.result == ST_BUSY);
            CHECK_EQ(signal_bits(note, 1), ST_OK);
            sleep_ms(2); /* its place at the launcher is free a moment later */
        }
    }
    CHECK_USAGE(&before);
    full_page(note, 1, CAPOS_XFER_MOVE);
    (void)raw_start(finish_sqe());
    return 0;
}

/* As many as the launcher allows, and no more; ended, they make room again. */
static int64_t too_many_children(void)
{
    capos_cap_t children[LAUNCH_MAX];
    for (unsigned round = 0; round < 3; round++) {
        for (unsigned i = 0; i < LAUNCH_MAX; i++) {
            children[i] = start_child("sleeper");
            CHECK(children[i] != 0);
        }
        for (unsigned i = 0; i < 20; i++) {
            begin("self", "child", 0);
            CHECK_EQ(finish().result, ST_BUSY);
        }
        for (unsigned i = 0; i < LAUNCH_MAX; i++) {
            CHECK_EQ(raw_status(CALL(children[i], ProcessHandle, terminate, NULL, 0, result, 64)),
                     0);
            CHECK_EQ(raw_status(CALL(children[i], ProcessHandle, terminate, NULL, 0, result, 64)),
                     ST_BAD_STATE);
            CHECK_EQ(wait_exit(children[i]), CAPOS_EVENT_EXIT);
            CHECK_EQ(release(children[i]), ST_OK);
        }
    }
    return 0;
}

/* What is left of the ended is the launcher's maker's to pay, so who keeps handles gets no more. */
static int64_t kept_handles(void)
{
    capos_cap_t children[LAUNCH_MAX];
    for (unsigned round = 0; round < 3; round++) {
        for (unsigned i = 0; i < LAUNCH_MAX; i++) {
            children[i] = start_child("child");
            CHECK(children[i] != 0);
            CHECK_EQ(wait_exit(children[i]), CAPOS_EVENT_EXIT);
        }
        begin("self", "child", 0);
        CHECK_EQ(finish().result, ST_BUSY);
        for (unsigned i = 0; i < LAUNCH_MAX; i++) {
            CHECK_EQ(release(children[i]), ST_OK);
        }
    }
    return 0;
}

enum { BOMB_GENERATIONS = 5, BOMB_TRIES = 60 };

/* A generation of the bomb: each child holds the launcher too, and does the same. */
static int64_t explode(char generation)
{
    char name[] = {'b', 'o', 'm', 'b', '.', (char)(generation + 1), 0};
    begin("self", "bomb", 2);
    case_line(0, name);
    Grant_set_transfer(line(1, "launcher", Launcher_ID, 0), give(held("launcher"), 0));
    for (unsigned i = 0; i < BOMB_TRIES && generation < '0' + BOMB_GENERATIONS; i++) {
        int32_t got = finish().result;
        CHECK(got >= 0 || got == ST_BUSY || got == ST_QUOTA);
    }
    return 0;
}

static int64_t fork_bomb(void)
{
    return explode('0');
}

/* A child that lives until its own bit of `gate` is signalled. */
static capos_cap_t start_gated(capos_cap_t gate, unsigned bit)
{
    char name[] = {'g', 'a', 't', 'e', 'd', '.', (char)('0' + bit), 0};
    begin("self", "child", 2);
    case_line(0, name);
    Grant_set_transfer(line(1, "gate", Notification_ID, 0), give(gate, CAPOS_XFER_COPY));
    struct capos_cqe cqe = finish();
    return cqe.result >= 0 ? cqe.first_cap : 0;
}

/* Handles let go of while the children live on: the launcher still counts them, and gives their
 * places back when they have ended. */
static int64_t orphans(void)
{
    capos_cap_t gate;
    CHECK_EQ(new_notification(held("ledger"), &gate), ST_OK);
    for (unsigned i = 0; i < LAUNCH_MAX; i++) {
        capos_cap_t child = start_gated(gate, i);
        CHECK(child != 0);
        CHECK_EQ(release(child), ST_OK);
    }
    CHECK_EQ(start_gated(gate, 0), 0);
    struct capos_sqe open = raw_sqe(CAPOS_OP_SIGNAL, gate);
    open.params = (1u << LAUNCH_MAX) - 1;
    CHECK_EQ(raw_do(open).result, ST_OK);
    capos_cap_t child = 0;
    for (unsigned i = 0; i < 100 && child == 0; i++) {
        sleep_ms(50); /* nobody tells of the end of a process whose handles are gone */
        child = start_child("child");
    }
    CHECK(child != 0);
    CHECK_EQ(wait_exit(child), CAPOS_EVENT_EXIT);
    return 0;
}

static int32_t into(capos_cap_t space, capos_cap_t memory, uint16_t method, uint64_t address,
                    unsigned protection)
{
    struct {
        uint64_t message[5];
        uint64_t number;
        struct capos_transfer transfer;
    } params = {
        {ROOT(4), (uint64_t)protection << 16, address, 0, PAGE}, raw.sequence++, {.cap = memory}};
    struct capos_sqe sqe = raw_call_sqe(space, VirtualMemory_ID, method, &params,
                                        sizeof(params.message), result, sizeof(result));
    sqe.xfer_count = 1;
    return raw_do(sqe).result;
}

static int32_t out_of(capos_cap_t space, uint16_t method, uint64_t address, uint64_t bytes)
{
    return raw_do(raw_call_sqe(space, VirtualMemory_ID, method, MESSAGE(address, bytes), 24, result,
                               sizeof(result)))
        .result;
}

/* A loader scatters pages over a child that runs, takes away what it stands on, and goes on when it has
 * ended: the child falls, and nothing else. */
static int64_t loader(void)
{
    struct usage before;
    capos_cap_t object;
    CHECK_EQ(new_memory(held("ledger"), PAGE, &object), ST_OK);
    usage_now(&before);
    for (unsigned round = 0; round < 12; round++) {
        capos_cap_t child = start_child("sleeper");
        CHECK(child != 0);
        struct capos_sqe get =
            CALL(child, ProcessHandle, address_space, NULL, 0, result, sizeof(result));
        get.accept_count = 1;
        capos_cap_t space = raw_do(get).first_cap;
        CHECK(space != 0);
        CHECK_EQ(into(space, object, VirtualMemory_map_ORDINAL, 0, PROTECTION_READ_EXECUTE),
                 ST_NOT_SEALED);
        CHECK(into(space, object, VirtualMemory_map_ORDINAL, 0, PROTECTION_READ_WRITE) >= 0);
        uint64_t at = result[1];
        CHECK(into(space, object, VirtualMemory_map_private_ORDINAL, 0, 0) >= 0);
        CHECK_EQ(into(space, object, VirtualMemory_map_ORDINAL, at, PROTECTION_READ), ST_EXISTS);
        CHECK_EQ(raw_status(CALL(object, MemoryObject, seal, NULL, 0, result, 64)), ST_BUSY);
        if (round % 3 != 0) { /* all that the program set aside and mapped, piece by piece */
            for (uint64_t end = 0; end < 64 * PAGE; end += PAGE) {
                (void)out_of(space, VirtualMemory_decommit_ORDINAL, at + end, PAGE);
                (void)out_of(space, VirtualMemory_unmap_ORDINAL, at + end, PAGE);
            }
        }
        if (round % 3 == 2) {
            (void)out_of(space, VirtualMemory_unmap_ORDINAL, CAPOS_USER_MIN,
                         CAPOS_MMAP_BASE - CAPOS_USER_MIN);
        }
        (void)raw_do(CALL(child, ProcessHandle, terminate, NULL, 0, result, 64));
        CHECK_EQ(wait_exit(child), CAPOS_EVENT_EXIT);
        CHECK_EQ(into(space, object, VirtualMemory_map_ORDINAL, 0, PROTECTION_READ),
                 ST_DISCONNECTED);
        CHECK_EQ(out_of(space, VirtualMemory_unmap_ORDINAL, at, PAGE), ST_DISCONNECTED);
        CHECK_EQ(raw_do(get).result, ST_BAD_STATE);
        CHECK_EQ(release(space), ST_OK);
        CHECK_EQ(release(child), ST_OK);
    }
    CHECK_EQ(raw_status(CALL(object, MemoryObject, seal, NULL, 0, result, 64)), ST_OK);
    CHECK_USAGE(&before);
    CHECK_WORKS();
    return 0;
}

/* Many waits for one exit: each is told, and one that comes late too. */
static int64_t many_waiters(void)
{
    uint64_t tags[20];
    capos_cap_t child = start_child("brief");
    CHECK(child != 0);
    for (unsigned i = 0; i < 20; i++) {
        struct capos_sqe wait = raw_sqe(CAPOS_OP_WAIT, child);
        wait.method = CAPOS_EVENT_EXIT;
        tags[i] = raw_start(wait);
    }
    for (unsigned i = 0; i < 20; i++) {
        struct capos_cqe cqe = raw_wait(tags[i]);
        CHECK_EQ(cqe.result, CAPOS_EVENT_EXIT);
        CHECK_EQ(cqe.signal, 42);
    }
    CHECK_EQ(wait_exit(child), CAPOS_EVENT_EXIT);
    CHECK_EQ(raw_status(CALL(child, ProcessHandle, terminate, NULL, 0, result, 64)), ST_BAD_STATE);
    return 0;
}

static int64_t end_oneself(void)
{
    (void)raw_do(CALL(held("self"), ProcessHandle, terminate, NULL, 0, result, 64));
    return 99;
}

#define LAUNCH_CASE(name, function, sentence) CASE_WITH(name, function, sentence, HOLD_LAUNCHER)

const struct hostile_case launch_cases[] = {
    LAUNCH_CASE("launch.name", wrong_names, "no name brings control bytes or strange programs in"),
    LAUNCH_CASE("launch.grant", wrong_grants, "a wrong grant starts nothing and moves nothing"),
    LAUNCH_CASE("launch.storm", launch_storm, "children by the dozen leave nothing behind"),
    LAUNCH_CASE("launch.full", most_grants,
                "a start page of the most grants is made, or refused, whole"),
    LAUNCH_CASE("launch.cut", cut_short,
                "a launch cut short at any time starts nothing and moves nothing"),
    LAUNCH_CASE("launch.most", too_many_children, "a launcher's limit holds, and frees itself"),
    LAUNCH_CASE("launch.bomb", fork_bomb, "a bomb of processes is bounded by its launcher"),
    LAUNCH_CASE("launch.kept", kept_handles, "a handle kept of a child that ended keeps its place"),
    LAUNCH_CASE("launch.orphans", orphans, "children nobody holds still count"),
    LAUNCH_CASE("launch.loader", loader, "a loader can harm its child alone"),
    LAUNCH_CASE("launch.waiters", many_waiters, "everybody who waits for an exit is told"),
    {.name = "process.self-end",
     .sentence = "a process may end itself by its own handle",
     .roles = {{end_oneself, HOLD_USUAL | HOLD_SELF, {.kind = END_TERMINATED}}}},
    {.name = NULL},
};

/* What children of these cases do, by the name of their grant. */
int64_t child_run(const char *name);

int64_t child_run(const char *name)
{
    if (strcmp(name, "sleeper") == 0) {
        (void)raw_enter(UINT32_MAX, CAPOS_FOREVER);
    } else if (strcmp(name, "brief") == 0) {
        for (volatile unsigned i = 0; i < 3000000; i++) {
        }
        return 42;
    } else if (strncmp(name, "gated.", 6) == 0) {
        return wait_bits(held("gate"), 1u << (name[6] - '0')) == CAPOS_EVENT_SIGNALLED ? 0 : 1;
    } else if (strcmp(name, "spinner") == 0) {
        for (;;) {
        }
    } else if (strcmp(name, "crasher") == 0) {
        volatile uintptr_t nowhere = 8;
        *(volatile uint64_t *)nowhere = 1;
        return 1;
    } else if (strncmp(name, "bomb.", 5) == 0) {
        return explode(name[5]);
    }
    return 0;
}
