/* SPDX-License-Identifier: MIT */
/* What is told of processes from outside: counters of rings, endpoints and ledgers, who is below whom, and how
 * much the log says of their ends. */
#include "tests/unit/kernel_pair.h"

#include "core/log.h"
#include "gen/endpoint.capnp.h"
#include "gen/ledger.capnp.h"
#include "gen/process.capnp.h"
#include "lib/capnp/capnp.h"
#include "object/watch.h"

enum { WORDS = 512 };

static capos_cap_t handle_of(struct user *holder, struct process *process)
{
    return user_give(holder, &process->obj, KTYPE_PROCESS_HANDLE, ProcessHandle_FACET);
}

/* A user on a ledger carved from this process's, or on that ledger itself. */
static struct user *user_below(struct user *parent, bool shared, const char *name)
{
    uint64_t limits[LEDGER_CLASSES];
    machine_limits(limits, 100, 200);
    fixture_ledger = parent->process->ledger;
    fixture_ledger_shared = shared;
    struct user *user = user_new_limits(name, limits, USER_RING);
    fixture_ledger = NULL;
    fixture_ledger_shared = false;
    return user;
}

/* A user that has room for `factor` times as much as one below it. */
static struct user *user_large(const char *name, uint64_t factor)
{
    uint64_t limits[LEDGER_CLASSES];
    machine_limits(limits, 100, 200);
    for (unsigned c = 0; c < LEDGER_CLASSES; c++) {
        limits[c] *= factor;
    }
    return user_new_limits(name, limits, USER_RING);
}

/* One call of `below`; the next cursor. */
static uint64_t below(struct user *user, capos_cap_t handle, uint64_t after, uint64_t ids[16],
                      uint32_t *count)
{
    uint64_t words[WORDS], at;
    struct capnp_builder builder;
    capnp_builder_init(&builder, words, sizeof(words));
    ProcessHandle_below_params_b params = ProcessHandle_below_params_init(&builder);
    ProcessHandle_below_params_set_after(params, after);
    struct capos_cqe cqe = user_call(user, handle, ProcessHandle_ID, ProcessHandle_below_ORDINAL,
                                     &builder, NULL, 0, &at);
    CHECK(cqe.result > 0);
    user_read(user, at, words, (uint64_t)cqe.result);
    ProcessHandle_below_results_r results;
    CHECK_EQ(ProcessHandle_below_results_read(words, (size_t)cqe.result, &results), CAPNP_OK);
    ProcessSummary_list_r list = ProcessHandle_below_results_get_processes(results);
    *count = ProcessSummary_list_len(list);
    for (uint32_t i = 0; i < *count; i++) {
        ids[i] = ProcessSummary_get_process_id(ProcessSummary_list_at(list, i));
    }
    return ProcessHandle_below_results_get_next(results);
}

static bool is_among(const uint64_t *ids, uint32_t count, const struct process *process)
{
    for (uint32_t i = 0; i < count; i++) {
        if (ids[i] == process->obj.id) {
            return true;
        }
    }
    return false;
}

TEST(watch_below,
     "a process is told of itself and of those on ledgers carved from its own, of nobody else")
{
    uint64_t ids[16];
    uint32_t count;
    fixture_start(1);
    struct user *root = user_large("root", 16);
    struct user *other = user_large("other", 4);
    fixture_ledger = root->process->ledger;
    struct user *middle = user_large("child", 4);
    struct process *child = middle->process;
    struct process *grandchild = user_below(middle, false, "grandchild")->process;
    struct process *foreign = user_below(other, false, "foreign")->process;
    capos_cap_t handle = handle_of(root, root->process);
    CHECK_EQ(below(root, handle, 0, ids, &count), 0);
    CHECK_EQ(count, 3);
    CHECK(is_among(ids, count, root->process) && is_among(ids, count, child) &&
          is_among(ids, count, grandchild) && !is_among(ids, count, foreign));
    CHECK_EQ(below(root, handle_of(root, child), 0, ids, &count), 0);
    CHECK_EQ(count, 2);
    CHECK(is_among(ids, count, child) && is_among(ids, count, grandchild));
    CHECK_EQ(below(root, handle_of(root, other->process), 0, ids, &count), 0);
    CHECK_EQ(count, 2);
    CHECK(is_among(ids, count, other->process) && is_among(ids, count, foreign));
    fixture_end();
}

TEST(watch_shared_ledger, "of those that share a ledger none sees the other, nor what is below it")
{
    uint64_t ids[16];
    uint32_t count;
    fixture_start(1);
    struct user *root = user_large("root", 32);
    struct process *one = user_below(root, true, "one")->process;
    (void)user_below(root, true, "two");
    (void)user_below(root, false, "child");
    CHECK_EQ(below(root, handle_of(root, one), 0, ids, &count), 0);
    CHECK_EQ(count, 1);
    CHECK(is_among(ids, count, one));
    CHECK_EQ(below(root, handle_of(root, root->process), 0, ids, &count), 0);
    CHECK_EQ(count, 4); /* it gave them its ledger itself */
    fixture_end();
}

TEST(watch_below_in_parts, "many are told in parts, each once, and a cursor made up does no harm")
{
    enum { MANY = 20 };
    uint64_t ids[16], next = 0;
    uint32_t count, found = 0, calls = 0;
    struct process *children[MANY];
    fixture_start(1);
    struct user *root = user_large("root", 32);
    bool seen[MANY] = {false};
    for (unsigned i = 0; i < MANY; i++) {
        children[i] = user_below(root, false, "child")->process;
    }
    capos_cap_t handle = handle_of(root, root->process);
    do {
        next = below(root, handle, next, ids, &count);
        found += count;
        for (unsigned i = 0; i < MANY; i++) {
            CHECK(!(seen[i] && is_among(ids, count, children[i])));
            seen[i] = seen[i] || is_among(ids, count, children[i]);
        }
    } while (next != 0 && ++calls < 10);
    CHECK_EQ(found, MANY + 1);
    CHECK_EQ(calls, 1);
    CHECK_EQ(below(root, handle, UINT64_MAX, ids, &count), 0);
    CHECK_EQ(count, 0);
    fixture_end();
}

static Counters_r counters_of(struct user *holder, capos_cap_t handle, uint64_t words[WORDS])
{
    uint64_t at;
    struct capos_cqe cqe =
        user_call_plain(holder, handle, ProcessHandle_ID, ProcessHandle_info_ORDINAL, &at);
    CHECK(cqe.result > 0);
    user_read(holder, at, words, (uint64_t)cqe.result);
    ProcessHandle_info_results_r results;
    CHECK_EQ(ProcessHandle_info_results_read(words, (size_t)cqe.result, &results), CAPNP_OK);
    return ProcessHandle_info_results_get_counters(results);
}

TEST(watch_counters, "a handle tells what its process did: operations, calls, refusals, waits, "
                     "cycles, and still after a thread "
                     "has ended")
{
    uint64_t words[WORDS];
    struct pair p = pair_start(1);
    capos_cap_t handle = handle_of(p.server, p.client->process);
    Counters_r before = counters_of(p.server, handle, words);
    uint64_t operations = Counters_get_operations(before);
    CHECK_EQ(Counters_get_calls(before), 0);
    CHECK_EQ(Counters_get_threads(before), 1);
    struct capos_sqe sqe = call(p.client, p.object, 1, NULL, 0);
    user_start(p.client, &sqe);
    struct capos_received header = receive(p.server, p.endpoint, NULL);
    CHECK_EQ(answer(p.server, header.call_id, NULL, 0), ST_OK);
    CHECK_EQ(client_gets(p.client, sqe.user_data).result, 0);
    sqe.method = 63;
    CHECK_EQ(user_do(p.client, &sqe).result, ST_NO_METHOD);
    Counters_r after = counters_of(p.server, handle, words);
    CHECK_EQ(Counters_get_operations(after), operations + 2);
    CHECK_EQ(Counters_get_calls(after), 1);
    CHECK_EQ(Counters_get_refusals(after), 1);
    capos_cap_t spawner = user_spawner(p.client);
    capos_cap_t thread;
    struct user *second = user_thread(p.client, spawner, &thread);
    sqe = user_sqe(second, CAPOS_OP_NOP);
    user_do(second, &sqe);
    CHECK_EQ(Counters_get_threads(counters_of(p.server, handle, words)), 2);
    operations = Counters_get_operations(counters_of(p.server, handle, words));
    user_thread_exit(second, 0);
    fixture_settle();
    after = counters_of(p.server, handle, words);
    CHECK_EQ(Counters_get_threads(after), 1);
    CHECK(Counters_get_operations(after) >= operations);
    fixture_end();
}

TEST(watch_endpoint, "an endpoint's owner is told of calls and bytes, who serves it is not asked")
{
    uint64_t words[WORDS], at;
    struct pair p = pair_start(1);
    const uint64_t message[2] = {1, 2};
    struct capos_sqe first = call(p.client, p.object, 1, message, 16);
    struct capos_sqe second = call(p.client, p.object, 1, message, 8);
    user_start(p.client, &first);
    user_start(p.client, &second);
    struct capos_received header = receive(p.server, p.endpoint, NULL);
    struct capos_cqe cqe =
        user_call_plain(p.server, p.endpoint, Endpoint_ID, Endpoint_counters_ORDINAL, &at);
    CHECK(cqe.result > 0);
    user_read(p.server, at, words, (uint64_t)cqe.result);
    Endpoint_counters_results_r results;
    CHECK_EQ(Endpoint_counters_results_read(words, (size_t)cqe.result, &results), CAPNP_OK);
    CHECK_EQ(Endpoint_counters_results_get_delivered(results), 1);
    CHECK_EQ(Endpoint_counters_results_get_delivered_bytes(results), 16);
    CHECK_EQ(Endpoint_counters_results_get_rings(results), 1);
    CHECK_EQ(Endpoint_counters_results_get_receives(results), 0);
    CHECK_EQ(Endpoint_counters_results_get_in_flight(results), 1);
    capos_cap_t serve = user_pass(p.server, p.endpoint, p.client, EndpointServe_FACET);
    CHECK_EQ(user_call_plain(p.client, serve, Endpoint_ID, Endpoint_counters_ORDINAL, &at).result,
             ST_NO_METHOD);
    CHECK_EQ(answer(p.server, header.call_id, NULL, 0), ST_OK);
    fixture_end();
}

TEST(watch_refused_charges, "a ledger counts by class how often it had not enough")
{
    fixture_start(1);
    struct user *user = user_new("user");
    struct ledger *ledger = user->process->ledger;
    uint64_t limit = atomic_load_relaxed(&ledger->limit[LEDGER_CLASS_GRANTS]);
    CHECK_EQ(ledger_charge(ledger, LEDGER_CLASS_GRANTS, limit + 1), ST_QUOTA);
    CHECK_EQ(ledger_charge(ledger, LEDGER_CLASS_GRANTS, limit + 1), ST_QUOTA);
    CHECK_EQ(atomic_load_relaxed(&ledger->refused[LEDGER_CLASS_GRANTS]), 2);
    CHECK_EQ(atomic_load_relaxed(&ledger->refused[LEDGER_CLASS_SLOTS]), 0);
    fixture_end();
}

static unsigned lines_with(const char *text, const char *word)
{
    unsigned n = 0;
    for (const char *at = text; (at = strstr(at, word)) != NULL; at++) {
        n++;
    }
    return n;
}

TEST(watch_log_of_ends,
     "the log tells 16 ends of a session's processes in a second, then how many it left out")
{
    enum { LIVES = 40, TOLD = 16 };
    static char text[65536];
    uint64_t next, lost;
    fixture_start(1);
    for (unsigned i = 0; i < LIVES; i++) {
        user_exit(user_new("short"), 7);
    }
    text[log_read(0, text, sizeof(text) - 1, &next, &lost)] = '\0';
    CHECK_EQ(lines_with(text, "exited, code 7"), TOLD);
    CHECK_EQ(lines_with(text, "were not logged"), 0);
    fixture_advance(UINT64_C(1000000000));
    user_exit(user_new("late"), 8);
    text[log_read(0, text, sizeof(text) - 1, &next, &lost)] = '\0';
    CHECK_EQ(lines_with(text, "exited, code 8"), 1);
    CHECK_EQ(lines_with(text, ": 24 ends of processes before this were not logged"), 1);
    fixture_end();
}
