/* SPDX-License-Identifier: MIT */
/* How init ends services, on a clock that the test moves: everything it calls is noted here. */
#include "tests/unit/test.h"

#include <setjmp.h>
#include <stdarg.h>

#include "capos/print.h"
#include "capos/serve.h"
#include "capos/start.h"
#include "endpoint.client.h"
#include "power.client.h"
#include "process.client.h"
#include "services/init/init.h"
#include "status.capnp.h"
#include "supervisor.client.h"

enum { SERVICES = 2, GRACE_MS = 300, NS_PER_MS = 1000000, PROCESS = 40 };

struct init init;

static uint64_t now_ns = 5 * NS_PER_MS;
static unsigned terminated[SERVICES];
static struct capos_request stops[SERVICES]; /* awaitStop, one of each service */
static uint8_t replies[SERVICES][64];
static unsigned answered[SERVICES];
static bool powered_off;
static jmp_buf exit_to;

/* ---- what init calls ---- */

uint64_t init_now_ns(void)
{
    return now_ns;
}

void init_halt(enum init_halt_code code, const char *format, ...)
{
    (void)format;
    printf("# init halts with %d\n", (int)code);
    abort();
}

status_t ProcessHandle_terminate(capos_cap_t cap)
{
    terminated[cap - PROCESS]++;
    return ST_OK;
}

status_t Endpoint_vacant(capos_cap_t cap, uint64_t until_ns)
{
    (void)cap, (void)until_ns;
    return ST_OK;
}

status_t Power_off(capos_cap_t cap, uint8_t code)
{
    (void)cap;
    CHECK_EQ(code, HALT_OK);
    powered_off = true;
    return ST_OK;
}

status_t Power_reset(capos_cap_t cap)
{
    (void)cap;
    FAIL("nobody asked to start anew");
    return ST_OK;
}

void capos_exit(int64_t code)
{
    (void)code;
    longjmp(exit_to, 1);
}

void capos_reply(struct capos_request *req)
{
    answered[req - stops]++;
}

enum capos_outcome capos_fail(struct capos_request *req, enum capos_exception exception,
                              const char *format, ...)
{
    (void)format;
    req->exception = exception;
    return CAPOS_REPLY;
}

void capos_call_begin(struct capos_call *call, capos_cap_t cap)
{
    (void)call, (void)cap;
}

status_t capos_call(struct capos_call *call)
{
    (void)call;
    return ST_BAD_STATE; /* no record of how it ended: the exit code says it */
}

void capos_op_init_wait(struct capos_op *op, capos_cap_t cap, uint16_t events, uint64_t bits)
{
    (void)op, (void)cap, (void)events, (void)bits;
}

void capos_op_submit(struct capos_op *op)
{
    (void)op;
}

void capos_release(capos_cap_t cap)
{
    (void)cap;
}

void capos_log(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    printf("# log: ");
    vprintf(format, args);
    printf("\n");
    va_end(args);
}

void serve_restarted(struct service *s, enum SystemControl_RestartOutcome outcome)
{
    (void)s, (void)outcome;
}

void service_leave_session(struct instance *instance)
{
    (void)instance;
}

/* No service is upgraded here. */
void upgrade_advance(struct service *s)
{
    (void)s;
}

void upgrade_is_over(struct service *s, bool well)
{
    (void)s, (void)well;
    FAIL("there was no upgrade");
}

void upgrade_give_up(struct service *s)
{
    CHECK_EQ(s->other.process, 0);
}

void upgrade_other_ended(struct service *s)
{
    (void)s;
    FAIL("there is one instance alone");
}

bool upgrade_serving_ended(struct service *s)
{
    (void)s;
    return false;
}

/* Each start is one process, whose end the test tells. */
status_t service_spawn(struct service *s)
{
    s->now.process = PROCESS + s->index;
    s->now.number = ++s->instances;
    return ST_OK;
}

/* ---- the test's own hand ---- */

static _Alignas(8) uint8_t manifest[512];

static uint32_t watchdog_ms; /* of those that are started */

/* Two services that are ready; the second needs the first. */
static void start(void)
{
    struct capnp_builder builder;
    Service_r r;
    size_t bytes;
    capnp_builder_init(&builder, manifest, sizeof(manifest));
    Service_b service = Service_init(&builder);
    Service_set_stop_within_ms(service, GRACE_MS);
    Service_set_watchdog_ms(service, watchdog_ms);
    REQUIRE_EQ(capnp_finish(&builder, &bytes), CAPNP_OK);
    REQUIRE_EQ(Service_read(manifest, bytes, &r), CAPNP_OK);
    init.service_count = SERVICES;
    for (uint32_t i = 0; i < SERVICES; i++) {
        init.services[i] =
            (struct service){.index = i, .r = r, .name = i == 0 ? "first" : "second"};
        init.graph.order[i] = (uint16_t)i;
        stops[i] =
            (struct capos_request){.reply = replies[i], .reply_capacity = sizeof(replies[i])};
    }
    init.graph.services[1].needs = 1;
    services_start_waiting();
    REQUIRE_EQ(init.services[1].state, SERVICE_STATE_READY);
}

/* Its process has ended with this exit code. */
static void ends(uint32_t index, uint64_t code)
{
    struct service *s = &init.services[index];
    struct capos_op *op = &s->exit_ops[s->now.exit_slot];
    op->cqe.signal = code;
    op->done(op);
}

static uint64_t told_deadline(uint32_t index)
{
    Supervisor_await_stop_results_r results;
    if (Supervisor_await_stop_results_read(stops[index].reply, stops[index].reply_bytes,
                                           &results) != CAPNP_OK) {
        FAIL("the answer to awaitStop cannot be read");
        return 0;
    }
    return Supervisor_await_stop_results_get_deadline_ns(results);
}

TEST(watchdog, "who awaits its check is answered in half the time, and ended when it is not back "
               "within the whole")
{
    struct service *s = &init.services[0];
    unsigned before = terminated[0];
    watchdog_ms = 400;
    start();
    watchdog_ms = 0;
    CHECK_EQ(s->deadline_ns, now_ns + (uint64_t)400 * NS_PER_MS); /* to ask for the first time */
    s->now.check_request = &stops[0];
    service_is_alive(s);
    CHECK_EQ(s->deadline_ns, now_ns + (uint64_t)200 * NS_PER_MS);
    unsigned told = answered[0];
    now_ns = s->deadline_ns;
    service_deadline(s);
    CHECK_EQ(answered[0], told + 1);
    CHECK_EQ(terminated[0], before);
    CHECK_EQ(s->deadline_ns, now_ns + (uint64_t)400 * NS_PER_MS);
    now_ns = s->deadline_ns;
    service_deadline(s);
    CHECK_EQ(terminated[0], before + 1);
    CHECK(s->hung);
    CHECK_EQ(s->deadline_ns, 0);
    answered[0] = terminated[0] = 0;
}

TEST(watchdog_not_set, "without a watchdog a service may be silent for ever")
{
    start();
    CHECK_EQ(init.services[0].deadline_ns, 0);
    service_is_alive(&init.services[0]);
    CHECK_EQ(init.services[0].deadline_ns, 0);
}

TEST(stop_not_awaited, "who never asked to be told is terminated at once")
{
    start();
    service_stop(&init.services[0]);
    CHECK_EQ(terminated[0], 1);
    CHECK_EQ(init.services[0].state, SERVICE_STATE_STOPPING);
    CHECK_EQ(init.services[0].deadline_ns, 0);
    CHECK_EQ(terminated[1], 0);
}

TEST(stop_grace_over, "who awaits its stop is told until when, and terminated once that has passed")
{
    struct service *s = &init.services[0];
    start();
    s->now.stop_request = &stops[0];
    service_stop(s);
    CHECK_EQ(answered[0], 1);
    CHECK_EQ(told_deadline(0), now_ns + (uint64_t)GRACE_MS * NS_PER_MS);
    CHECK_EQ(s->deadline_ns, told_deadline(0));
    CHECK_EQ(terminated[0], 0);
    service_stop(s); /* a second wish changes nothing */
    CHECK_EQ(terminated[0], 0);
    CHECK_EQ(answered[0], 1);
    now_ns = s->deadline_ns;
    service_deadline(s);
    CHECK_EQ(terminated[0], 1);
    CHECK_EQ(s->deadline_ns, 0);
}

TEST(stop_in_time, "who ends within its grace is not terminated")
{
    struct service *s = &init.services[0];
    start();
    s->now.stop_request = &stops[0];
    init.goal = GOAL_OFF;
    service_stop(s);
    now_ns += (uint64_t)(GRACE_MS - 1) * NS_PER_MS;
    ends(0, 0);
    CHECK_EQ(terminated[0], 0);
    CHECK_EQ(s->state, SERVICE_STATE_STOPPED);
    CHECK_EQ(s->deadline_ns, 0);
    CHECK_EQ(answered[0], 1); /* no second answer to what was answered */
}

TEST(stop_restart, "an operator's restart has the same grace, and then starts anew")
{
    struct service *s = &init.services[0];
    start();
    s->now.stop_request = &stops[0];
    CHECK(service_restart_by_operator(s));
    CHECK_EQ(terminated[0], 0);
    CHECK_EQ(s->deadline_ns, now_ns + (uint64_t)GRACE_MS * NS_PER_MS);
    ends(0, 0);
    CHECK_EQ(s->state, SERVICE_STATE_BACKING_OFF);
    service_deadline(s);
    CHECK_EQ(s->state, SERVICE_STATE_READY);
    CHECK_EQ(s->now.number, 2);
    CHECK_EQ(terminated[0], 0);
}

TEST(stop_order,
     "what a service in its grace needs is stopped after it, and the machine goes off last")
{
    start();
    init.services[1].now.stop_request = &stops[1];
    init.goal = GOAL_OFF;
    services_shut_down();
    services_shut_down();
    CHECK_EQ(answered[1], 1);
    CHECK_EQ(terminated[0], 0);
    CHECK_EQ(init.services[0].state, SERVICE_STATE_READY);
    ends(1, 0);
    services_shut_down();
    CHECK_EQ(terminated[0], 1);
    CHECK(!powered_off);
    ends(0, (uint64_t)-1);
    if (setjmp(exit_to) == 0) {
        services_shut_down();
    }
    CHECK(powered_off);
}
