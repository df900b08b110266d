/* SPDX-License-Identifier: MIT */
/* The flight recorder: what it records, of whom, and of whom never. */
#include "tests/unit/kernel_pair.h"

#include "abi/trace.h"
#include "gen/ledger.capnp.h"
#include "gen/process.capnp.h"
#include "gen/trace.capnp.h"
#include "lib/capnp/capnp.h"

enum { WORDS = 1024, PER_PAGE = 64, READ_MAX = 96, KEPT = 512 };

static struct capos_trace_record records[KEPT];
static unsigned count;
static uint64_t lost;

static struct capos_cqe try_trace(struct user *user, capos_cap_t handle, uint32_t pages)
{
    uint64_t words[8];
    struct capnp_builder builder;
    capnp_builder_init(&builder, words, sizeof(words));
    ProcessHandle_trace_params_b params = ProcessHandle_trace_params_init(&builder);
    ProcessHandle_trace_params_set_pages(params, pages);
    struct capos_sqe sqe =
        sqe_method(user, handle, ProcessHandle_ID, ProcessHandle_trace_ORDINAL, &builder);
    sqe_result(user, &sqe, 256, 1);
    user_submit(user, &sqe);
    user_enter_start(user, 1, CAPOS_FOREVER);
    uint64_t result;
    CHECK(user_entered(user, &result));
    return user_expect(user, sqe.user_data);
}

static capos_cap_t trace_start(struct user *user, struct user *whom, uint32_t pages)
{
    capos_cap_t handle =
        user_give(user, &whom->process->obj, KTYPE_PROCESS_HANDLE, ProcessHandle_FACET);
    struct capos_cqe cqe = try_trace(user, handle, pages);
    CHECK(cqe.result >= 0);
    CHECK_EQ(cqe.cap_count, 1);
    return cqe.first_cap;
}

/* Where a user reads to; user memory is never freed. */
static uint64_t buffer_of(struct user *user)
{
    static struct {
        struct user *user;
        uint64_t address;
    } buffers[4];
    unsigned i = 0;
    while (buffers[i].user != NULL && buffers[i].user != user) {
        i++;
    }
    if (buffers[i].user == NULL) {
        buffers[i].user = user;
        buffers[i].address = user_alloc(user, 8192);
    }
    return buffers[i].address;
}

static uint64_t read_once(struct user *user, capos_cap_t trace, uint64_t from)
{
    uint64_t words[WORDS], at;
    struct capnp_builder builder;
    capnp_builder_init(&builder, words, sizeof(words));
    KernelTrace_read_params_b params = KernelTrace_read_params_init(&builder);
    KernelTrace_read_params_set_sequence(params, from);
    struct capos_sqe sqe =
        sqe_method(user, trace, KernelTrace_ID, KernelTrace_read_ORDINAL, &builder);
    sqe.result = at = buffer_of(user);
    sqe.result_len = 8192;
    struct capos_cqe cqe = user_do(user, &sqe);
    CHECK(cqe.result > 0);
    user_read(user, at, words, (uint64_t)cqe.result);
    KernelTrace_read_results_r results;
    CHECK_EQ(KernelTrace_read_results_read(words, (size_t)cqe.result, &results), CAPNP_OK);
    struct capnp_data data = KernelTrace_read_results_get_records(results);
    CHECK(data.len / sizeof(records[0]) <= READ_MAX && data.len % sizeof(records[0]) == 0);
    CHECK(count + data.len / sizeof(records[0]) <= KEPT);
    memcpy(&records[count], data.ptr, data.len);
    count += data.len / sizeof(records[0]);
    lost += KernelTrace_read_results_get_lost(results);
    return KernelTrace_read_results_get_next(results);
}

/* All there is from this record on; where to go on. */
static uint64_t read_all(struct user *user, capos_cap_t trace, uint64_t from)
{
    count = 0;
    lost = 0;
    uint64_t next = from;
    unsigned before;
    do {
        before = count;
        next = read_once(user, trace, next);
    } while (count != before);
    return next;
}

static unsigned of_kind(enum capos_trace_kind kind)
{
    unsigned n = 0;
    for (unsigned i = 0; i < count; i++) {
        n += records[i].kind == kind;
    }
    return n;
}

/* The nth of a kind; a failed test when there is none. */
static const struct capos_trace_record *find(enum capos_trace_kind kind, unsigned n)
{
    static const struct capos_trace_record none;
    for (unsigned i = 0; i < count; i++) {
        if (records[i].kind == kind && n-- == 0) {
            return &records[i];
        }
    }
    FAIL("no record of this kind");
    return &none;
}

static void only_of(const struct user *user)
{
    for (unsigned i = 0; i < count; i++) {
        CHECK_EQ(records[i].process, user->process->obj.id);
    }
}

/* A call and its answer. */
static void round_trip(struct pair *p, uint16_t method)
{
    const uint64_t message[2] = {1, 2};
    struct capos_sqe sqe = call(p->client, p->object, method, message, 16);
    user_start(p->client, &sqe);
    struct capos_received header = receive(p->server, p->endpoint, NULL);
    CHECK_EQ(answer(p->server, header.call_id, NULL, 0), ST_OK);
    CHECK_EQ(client_gets(p->client, sqe.user_data).result, 0);
}

/* What a trace of `whom` holds of a call of the pair's. */
static void trace_round_trip(struct pair *p, struct user *whom, uint16_t method)
{
    struct user *watcher = user_new("watcher");
    capos_cap_t trace = trace_start(watcher, whom, 4);
    round_trip(p, method);
    read_all(watcher, trace, 0);
    only_of(whom);
}

TEST(trace_of_client,
     "a caller's trace tells its entry, the delivery and the completion, and nothing of the server")
{
    struct pair p = pair_start(2);
    trace_round_trip(&p, p.client, 5);
    const struct capos_trace_record *submit = find(CAPOS_TRACE_SUBMIT, 0);
    CHECK_EQ(submit->op, CAPOS_OP_CALL);
    CHECK_EQ(submit->method, 5);
    CHECK_EQ(submit->cap, p.object);
    CHECK_EQ(submit->interface, FIXTURE_INTERFACE);
    CHECK_EQ((uint32_t)submit->value, 16);
    CHECK_EQ(submit->thread, p.client->thread->obj.id);
    CHECK_EQ(find(CAPOS_TRACE_DELIVER, 0)->position, submit->position);
    CHECK_EQ(find(CAPOS_TRACE_COMPLETE, 0)->position, submit->position);
    CHECK_EQ(find(CAPOS_TRACE_COMPLETE, 0)->value, 0);
    CHECK_EQ(of_kind(CAPOS_TRACE_RECEIVE), 0);
    CHECK_EQ(lost, 0);
    fixture_end();
}

TEST(trace_of_server, "a server's trace tells the call that came, by key and id, and its answer; "
                      "nothing of the caller")
{
    struct pair p = pair_start(2);
    trace_round_trip(&p, p.server, 3);
    const struct capos_trace_record *came = find(CAPOS_TRACE_RECEIVE, 0);
    CHECK_EQ(came->cap, 7);
    CHECK_EQ(came->method, 3);
    CHECK_EQ(came->interface, FIXTURE_INTERFACE);
    CHECK_EQ(find(CAPOS_TRACE_SUBMIT, 0)->op, CAPOS_OP_RECV);
    CHECK_EQ(find(CAPOS_TRACE_SUBMIT, 1)->op, CAPOS_OP_RETURN);
    CHECK_EQ(find(CAPOS_TRACE_SUBMIT, 1)->interface, came->position);
    CHECK_EQ(of_kind(CAPOS_TRACE_DELIVER), 0);
    fixture_end();
}

/* A user below another. */
static struct user *below(struct user *parent, const char *name)
{
    uint64_t limits[LEDGER_CLASSES];
    machine_limits(limits, 100, 200);
    fixture_ledger = parent->process->ledger;
    struct user *user = user_new_limits(name, limits, USER_RING);
    fixture_ledger = NULL;
    return user;
}

static struct user *large(const char *name)
{
    uint64_t limits[LEDGER_CLASSES];
    machine_limits(limits, 100, 200);
    for (unsigned c = 0; c < LEDGER_CLASSES; c++) {
        limits[c] *= 8;
    }
    return user_new_limits(name, limits, USER_RING);
}

static void refused_call(struct user *user)
{
    struct capos_sqe sqe = sqe_call(user, user->ledger, Ledger_ID, 63, 0, 0);
    CHECK_EQ(user_do(user, &sqe).result, ST_NO_METHOD);
}

TEST(trace_of_subtree,
     "those below are traced, those too that come later, from start to end; a neighbour never")
{
    fixture_start(1);
    struct user *watcher = user_new("watcher");
    struct user *root = large("root");
    struct user *early = below(root, "early");
    struct user *neighbour = user_new("neighbour");
    capos_cap_t trace = trace_start(watcher, root, 8);
    struct user *late = below(root, "late");
    refused_call(early);
    refused_call(late);
    refused_call(neighbour);
    refused_call(watcher);
    uint64_t late_id = late->process->obj.id, early_id = early->process->obj.id;
    user_exit(late, 12);
    read_all(watcher, trace, 0);
    bool seen_early = false, started = false, ended = false;
    for (unsigned i = 0; i < count; i++) {
        const struct capos_trace_record *rec = &records[i];
        CHECK(rec->process == early_id || rec->process == late_id ||
              rec->process == root->process->obj.id);
        seen_early = seen_early || (rec->process == early_id && rec->kind == CAPOS_TRACE_SUBMIT);
        started = started || (rec->process == late_id && rec->kind == CAPOS_TRACE_START);
        ended = ended || (rec->process == late_id && rec->kind == CAPOS_TRACE_END &&
                          rec->value == 12 && rec->op == 1);
    }
    CHECK(seen_early && started && ended);
    fixture_end();
}

TEST(trace_nested, "who traces himself does not hide from who is above him")
{
    fixture_start(1);
    struct user *watcher = user_new("watcher");
    struct user *root = large("root");
    struct user *child = below(root, "child");
    capos_cap_t own = trace_start(child, child, 1);
    capos_cap_t above = trace_start(watcher, root, 4);
    refused_call(child);
    read_all(watcher, above, 0);
    CHECK(of_kind(CAPOS_TRACE_SUBMIT) >= 1);
    CHECK_EQ(find(CAPOS_TRACE_SUBMIT, 0)->process, child->process->obj.id);
    count = 0;
    (void)read_once(child, own, 0); /* which goes on record as well: there is no end to it */
    CHECK(of_kind(CAPOS_TRACE_SUBMIT) >= 1);
    CHECK_EQ(user_release(child, own), ST_OK);
    uint64_t next = read_all(watcher, above, 0);
    refused_call(child);
    read_all(watcher, above, next);
    CHECK(of_kind(CAPOS_TRACE_SUBMIT) == 1);
    fixture_end();
}

/* What the records of the entry at `position` hold of its message; how many bytes. */
static uint32_t message_of(uint64_t position, uint8_t bytes[CAPOS_TRACE_MESSAGE_BYTES])
{
    uint32_t have = 0;
    for (unsigned i = 0; i < count; i++) {
        const struct capos_trace_record *rec = &records[i];
        if (rec->kind == CAPOS_TRACE_MESSAGE && rec->position == position) {
            CHECK_EQ(rec->method, have);
            CHECK(rec->op <= CAPOS_TRACE_PIECE_BYTES &&
                  have + rec->op <= CAPOS_TRACE_MESSAGE_BYTES);
            memcpy(&bytes[have], &rec->cap, rec->op);
            have += rec->op;
        }
    }
    return have;
}

/* Says so many bytes to its ledger, by a buffer or a payload slot, and reads what is recorded of it. */
static uint32_t recorded(struct user *watcher, capos_cap_t trace, struct user *user,
                         const uint8_t *says, uint32_t len, bool is_inline,
                         uint8_t got[CAPOS_TRACE_MESSAGE_BYTES])
{
    struct capos_sqe sqe = sqe_call(user, user->ledger, Ledger_ID, 0, 0, len);
    struct capos_ring_header *ring = user_ring(user);
    uint64_t slot = user->thread->ring->user_address + ring->payload_offset;
    sqe_result(user, &sqe, 256, 1);
    sqe.flags = is_inline ? CAPOS_SQE_INLINE : 0;
    sqe.params = is_inline ? 0 : user_message(user, says, len);
    sqe.result = is_inline ? CAPOS_PAYLOAD_SLOT_BYTES : sqe.result;
    memcpy(user_ptr(user, slot), says, len);
    uint64_t next = read_all(watcher, trace, 0);
    uint64_t position = user_submit(user, &sqe);
    user_enter_start(user, 1, CAPOS_FOREVER);
    (void)user_expect(user, sqe.user_data);
    (void)read_all(watcher, trace, next);
    return message_of(position, got);
}

TEST(trace_messages, "of what a process says nothing is recorded, unless its spawner has allowed "
                     "it; then its beginning")
{
    uint8_t says[200], got[CAPOS_TRACE_MESSAGE_BYTES];
    fixture_start(1);
    struct user *watcher = user_new("watcher");
    struct user *user = user_new("user");
    capos_cap_t trace = trace_start(watcher, user, 8);
    for (unsigned i = 0; i < sizeof(says); i++) {
        says[i] = (uint8_t)(i + 1);
    }
    CHECK_EQ(recorded(watcher, trace, user, says, 40, false, got), 0);
    CHECK_EQ(recorded(watcher, trace, user, says, 40, true, got), 0);
    CHECK_EQ(of_kind(CAPOS_TRACE_MESSAGE), 0);
    user->process->recordable = true;
    static const uint32_t lengths[][2] = {{8, 8}, {24, 24}, {40, 40}, {96, 96}, {200, 96}};
    for (unsigned i = 0; i < 10; i++) {
        const uint32_t *length = lengths[i / 2];
        CHECK_EQ(recorded(watcher, trace, user, says, length[0], i % 2 == 1, got), length[1]);
        CHECK_MEM_EQ(got, says, length[1]);
    }
    fixture_end();
}

TEST(trace_message_unreadable,
     "a message that cannot be read is not recorded, and refused as it is without a recorder")
{
    fixture_start(1);
    struct user *watcher = user_new("watcher");
    struct user *user = user_new("user");
    user->process->recordable = true;
    capos_cap_t trace = trace_start(watcher, user, 8);
    static const uint64_t bad[] = {8, UINT64_MAX - 7, UINT64_C(0xffff800000000000)};
    for (unsigned i = 0; i < 2 * sizeof(bad) / sizeof(bad[0]); i++) {
        struct capos_sqe sqe = sqe_call(user, user->ledger, Ledger_ID,
                                        Ledger_new_memory_object_ORDINAL, bad[i / 2], 16);
        sqe_result(user, &sqe, 256, 1);
        sqe.flags = i % 2 == 1 ? CAPOS_SQE_INLINE : 0;
        sqe.result = i % 2 == 1 ? 0 : sqe.result;
        sqe.params = i == 1 ? 8 * CAPOS_PAYLOAD_SLOT_BYTES - 8 : sqe.params;
        CHECK_EQ(user_do(user, &sqe).result, ST_BAD_ADDRESS);
    }
    (void)read_all(watcher, trace, 0);
    CHECK_EQ(of_kind(CAPOS_TRACE_MESSAGE), 0);
    CHECK_EQ(of_kind(CAPOS_TRACE_SUBMIT), 6);
    fixture_end();
}

TEST(trace_lost,
     "the last records are kept, and how many were lost is told; a place made up does no harm")
{
    fixture_start(1);
    struct user *watcher = user_new("watcher");
    struct user *user = user_new("user");
    capos_cap_t trace = trace_start(watcher, user, 1);
    for (unsigned i = 0; i < 50; i++) {
        refused_call(user);
    }
    uint64_t next = read_all(watcher, trace, 0);
    CHECK_EQ(count, PER_PAGE);
    CHECK(next >= 100);
    CHECK_EQ(lost, next - PER_PAGE);
    CHECK_EQ(find(CAPOS_TRACE_COMPLETE, of_kind(CAPOS_TRACE_COMPLETE) - 1)->value,
             (uint64_t)(int64_t)ST_NO_METHOD);
    CHECK_EQ(read_all(watcher, trace, next), next);
    CHECK_EQ(count, 0);
    (void)read_all(watcher, trace, UINT64_MAX);
    CHECK_EQ(count, 0);
    fixture_end();
}

TEST(trace_refusals,
     "how many pages, whose ledger, one at a time, and who pays: a refusal starts nothing")
{
    fixture_start(1);
    struct user *watcher = user_new("watcher");
    struct user *root = large("root");
    capos_cap_t handle =
        user_give(watcher, &root->process->obj, KTYPE_PROCESS_HANDLE, ProcessHandle_FACET);
    struct ledger_state before = ledger_state(watcher->process->ledger);
    CHECK_EQ(try_trace(watcher, handle, 0).result, ST_BAD_ARGUMENT);
    CHECK_EQ(try_trace(watcher, handle, 65).result, ST_BAD_ARGUMENT);
    uint64_t limits[LEDGER_CLASSES];
    machine_limits(limits, 100, 200);
    fixture_ledger = root->process->ledger;
    fixture_ledger_shared = true;
    struct user *shares = user_new_limits("shares", limits, USER_RING);
    fixture_ledger = NULL;
    fixture_ledger_shared = false;
    capos_cap_t other =
        user_give(watcher, &shares->process->obj, KTYPE_PROCESS_HANDLE, ProcessHandle_FACET);
    before = ledger_state(watcher->process->ledger);
    CHECK_EQ(try_trace(watcher, other, 1).result, ST_BAD_STATE);
    struct ledger *payer = watcher->process->ledger;
    uint64_t room = atomic_load_relaxed(&payer->limit[LEDGER_CLASS_KERNEL_PAGES]) -
                    atomic_load_relaxed(&payer->used[LEDGER_CLASS_KERNEL_PAGES]);
    CHECK_EQ(ledger_charge(payer, LEDGER_CLASS_KERNEL_PAGES, room - 10), ST_OK);
    CHECK_EQ(try_trace(watcher, handle, 64).result, ST_QUOTA);
    ledger_refund(payer, LEDGER_CLASS_KERNEL_PAGES, room - 10);
    struct ledger_state now = ledger_state(payer);
    CHECK_MEM_EQ(&before, &now, sizeof(now));
    CHECK(root->process->ledger->trace == NULL);
    struct capos_cqe cqe = try_trace(watcher, handle, 1);
    CHECK(cqe.result >= 0);
    CHECK_EQ(try_trace(watcher, handle, 1).result, ST_BUSY);
    CHECK_EQ(user_release(watcher, cqe.first_cap), ST_OK);
    CHECK(root->process->ledger->trace == NULL);
    cqe = try_trace(watcher, handle, 1);
    CHECK(cqe.result >= 0);
    fixture_end();
}

TEST(trace_off, "without a trace the special way is taken, with one not, and again when it is gone")
{
    fixture_start(1);
    struct user *watcher = user_new("watcher");
    struct user *user = user_new("user");
    CHECK_EQ(atomic_load_relaxed(&user->thread->ring->general), 0);
    uint32_t near = atomic_load_relaxed(&user->thread->ring->payload_near);
    capos_cap_t trace = trace_start(watcher, user, 1);
    CHECK_EQ(atomic_load_relaxed(&user->thread->ring->general), RING_TRACED);
    CHECK_EQ(atomic_load_relaxed(&user->thread->ring->payload_near), 0);
    CHECK_EQ(atomic_load_relaxed(&watcher->thread->ring->general), 0);
    CHECK_EQ(user_release(watcher, trace), ST_OK);
    refused_call(user);
    CHECK_EQ(atomic_load_relaxed(&user->thread->ring->general), 0);
    CHECK_EQ(atomic_load_relaxed(&user->thread->ring->payload_near), near);
    fixture_end();
}

TEST(trace_of_the_dead, "a trace outlives its process, and ends with the last who holds it")
{
    fixture_start(1);
    struct user *watcher = user_new("watcher");
    struct user *user = user_new("user");
    capos_cap_t trace = trace_start(watcher, user, 1);
    user_exit(user, 3);
    read_all(watcher, trace, 0);
    CHECK_EQ(find(CAPOS_TRACE_END, 0)->value, 3);
    CHECK_EQ(user_release(watcher, trace), ST_OK);
    fixture_end();
}

TEST(trace_of_a_fault, "a fault is in the trace: address, instruction and the machine's code")
{
    fixture_start(2);
    struct user *watcher = user_new("watcher");
    struct user *user = user_new("user");
    capos_cap_t trace = trace_start(watcher, user, 1);
    const struct arch_fault fault = {.kind = ARCH_FAULT_PAGE, .code = 0xe0006, .address = {0x77}};
    user->thread->arch.r[HOST_IP] = 0x400123;
    user->gone = true;
    for (unsigned cpu = 0; cpu < 2; cpu++) {
        if (host_current(cpu) == user->thread) {
            host_fault(cpu, &fault);
            break;
        }
    }
    user_ended(user);
    read_all(watcher, trace, 0);
    CHECK_EQ(find(CAPOS_TRACE_FAULT, 0)->cap, 0x77);
    CHECK_EQ(find(CAPOS_TRACE_FAULT, 0)->interface, 0x400123);
    CHECK_EQ(find(CAPOS_TRACE_FAULT, 0)->value, 0xe0006);
    CHECK_EQ(user_release(watcher, trace), ST_OK);
    fixture_end();
}
