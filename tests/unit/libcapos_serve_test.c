/* SPDX-License-Identifier: MIT */
/* The service loop against a fake kernel that knows RECV, RETURN and RETURN_RECV. */
#include "capos/ring.h"
#include "tests/unit/libcapos_memory.h"
#include "tests/unit/test.h"

#include "capos/serve.h"
#include "capos/start.h"
#include "endpoint.client.h"
#include "libcapos/serve_slots.h"
#include "status.capnp.h"

enum { CALLS = 64, ENDPOINT = 9, INTERFACE = 0x1234 };

struct fake_call {
    uint64_t value;
    uint64_t interface;
    unsigned caps;
    bool delivered;
    bool answered;
    bool gone;      /* its caller does not wait any more */
    bool too_small; /* its caller has room for no answer */
    uint32_t bytes; /* of its message, when not 8 */
    status_t refuse_reply;
    uint16_t exception;
    uint64_t reply;
    char text[64]; /* the same as bytes */
    uint32_t reply_bytes;
    unsigned reply_caps;
};

static struct {
    uint64_t head;
    uint64_t cq_tail;
    struct capos_sqe receives[CALLS];
    uint64_t positions[CALLS];
    unsigned receive_count;
    struct capos_sqe wait; /* for clients */
    uint64_t wait_position;
    bool waits;
    struct fake_call calls[CALLS];
    unsigned call_count;
    unsigned delivered;
    unsigned releases;
    unsigned in_slots; /* calls delivered to payload slots */
    capos_cap_t released[64];
    bool dead;
    uint32_t max_message, max_caps; /* of the endpoint */
    unsigned exceptions;            /* RETURNs of one, whatever became of them */
} kernel;

status_t Endpoint_mint(capos_cap_t cap, uint64_t key, uint64_t interface, uint64_t methods,
                       enum TransferMode transfer_mode, enum SessionScope scope, uint64_t bound_ns,
                       capos_cap_t *object_out)
{
    (void)cap, (void)key, (void)interface, (void)methods, (void)transfer_mode, (void)scope,
        (void)bound_ns, (void)object_out;
    return ST_OK;
}

static void post_flags(const struct capos_sqe *sqe, int32_t result, uint16_t flags)
{
    struct capos_cqe *cqe =
        (struct capos_cqe *)(void *)(memory + header->cq_offset) + kernel.cq_tail % CQ;
    memset(cqe, 0, sizeof(*cqe));
    cqe->user_data = sqe->user_data;
    cqe->result = result;
    cqe->flags = flags;
    header->cq_tail = ++kernel.cq_tail;
}

static void post(const struct capos_sqe *sqe, int32_t result)
{
    post_flags(sqe, result, 0);
}

static void deliver(void)
{
    while (kernel.receive_count > 0 && kernel.delivered < kernel.call_count) {
        struct capos_sqe sqe = kernel.receives[--kernel.receive_count];
        struct fake_call *call = &kernel.calls[kernel.delivered];
        uint32_t length = call->bytes != 0 ? call->bytes : 8;
        uint32_t all = 64 + length + call->caps * 16;
        bool to_slot = (sqe.flags & CAPOS_SQE_INLINE) != 0 && all <= CAPOS_PAYLOAD_SLOT_BYTES;
        uint8_t *slot = memory + header->payload_offset + (sqe.params & ~UINT64_C(255));
        uint8_t *buffer = to_slot ? slot : (uint8_t *)(uintptr_t)sqe.result;
        struct capos_received received = {
            .call_id = 1000 + kernel.delivered,
            .key = call->value,
            .interface = call->interface,
            .params_len = length,
            .method = 3,
            .cap_count = (uint16_t)call->caps,
        };
        memcpy(buffer, &received, sizeof(received));
        memcpy(buffer + 64, &call->value, 8);
        for (unsigned i = 0; i < call->caps; i++) {
            struct capos_cap_record record = {500 + i, 77};
            memcpy(buffer + 64 + length + i * 16, &record, 16);
        }
        kernel.delivered++;
        call->delivered = true;
        kernel.in_slots += to_slot;
        post_flags(&sqe, (int32_t)all, to_slot ? CAPOS_CQE_INLINE : 0);
    }
}

static status_t take_return(const struct capos_sqe *sqe)
{
    struct fake_call *call = &kernel.calls[sqe->interface - 1000];
    const uint8_t *params = sqe->flags & CAPOS_SQE_INLINE
                                ? memory + header->payload_offset + sqe->params
                                : (const uint8_t *)(uintptr_t)sqe->params;
    CHECK(call->delivered);
    kernel.exceptions += sqe->method != 0;
    if (call->answered || call->gone) {
        return ST_GONE;
    }
    if (call->too_small && sqe->method == 0) {
        call->gone = true;
        return ST_RESULT_TOO_SMALL;
    }
    if (call->refuse_reply != ST_OK && sqe->method == 0) {
        return call->refuse_reply;
    }
    call->answered = true;
    call->exception = sqe->method;
    call->reply_caps = sqe->xfer_count;
    call->reply_bytes = sqe->params_len;
    CHECK(sqe->params_len <= sizeof(call->text));
    memcpy(call->text, params, sqe->params_len);
    memcpy(&call->reply, call->text, 8);
    return ST_OK;
}

static status_t cancel(uint64_t position)
{
    if (kernel.waits && kernel.wait_position == position) {
        kernel.waits = false;
        post(&kernel.wait, ST_CANCELLED);
        return ST_OK;
    }
    for (unsigned i = 0; i < kernel.receive_count; i++) {
        if (kernel.positions[i] == position) {
            post(&kernel.receives[i], ST_CANCELLED);
            kernel.receives[i] = kernel.receives[--kernel.receive_count];
            kernel.positions[i] = kernel.positions[kernel.receive_count];
            return ST_OK;
        }
    }
    return ST_NOT_FOUND;
}

static void take(const struct capos_sqe *sqe)
{
    status_t status = ST_OK;
    switch (sqe->op) {
    case CAPOS_OP_WAIT:
        kernel.wait = *sqe;
        kernel.wait_position = kernel.head - 1;
        kernel.waits = true;
        return;
    case CAPOS_OP_CANCEL:
        post(sqe, cancel(sqe->cap));
        return;
    case CAPOS_OP_RECV:
        break;
    case CAPOS_OP_RETURN:
        post(sqe, take_return(sqe));
        return;
    case CAPOS_OP_RETURN_RECV:
        status = take_return(sqe);
        break;
    case CAPOS_OP_RELEASE:
        kernel.released[kernel.releases++] = sqe->cap;
        post(sqe, 0);
        return;
    default:
        post(sqe, ST_UNSUPPORTED);
        return;
    }
    CHECK_EQ(sqe->cap, ENDPOINT);
    if (kernel.dead) {
        post(sqe, ST_DISCONNECTED);
    } else if (status != ST_OK && status != ST_GONE) {
        post(sqe, status);
    } else if (sqe->result_len < 64 + kernel.max_message + 16 * kernel.max_caps ||
               sqe->accept_count < kernel.max_caps) {
        post(sqe, ST_RESULT_TOO_SMALL);
    } else {
        kernel.positions[kernel.receive_count] = kernel.head - 1;
        kernel.receives[kernel.receive_count++] = *sqe;
    }
}

void capos_relax(void)
{
}

int64_t capos_sys_enter(uint64_t min_complete, uint64_t deadline_ns)
{
    while (kernel.head < header->sq_tail) {
        struct capos_sqe sqe =
            ((struct capos_sqe *)(void *)(memory + header->sq_offset))[kernel.head % SQ];
        header->sq_head = ++kernel.head;
        take(&sqe);
    }
    deliver();
    if (header->cq_head == kernel.cq_tail && min_complete > 0) {
        CHECK(deadline_ns != CAPOS_FOREVER);
        return (int64_t)CAPOS_ENTER_TIMED_OUT;
    }
    return (int64_t)(kernel.cq_tail - header->cq_head);
}

NORETURN void capos_sys_exit(int64_t code)
{
    printf("# the library ended the process with code %lld\n", (long long)code);
    exit(2);
}

/* The service: answers with twice the value; odd things for chosen values. */
enum { DEFER = 100, FAIL_IT, MOVE_CAP, TAKE_CAP, COPY_CAP, MOVE_MANY, OWN_WORDS, LONG_TEXT };
enum { LARGE = 777, LARGE_BYTES = 512 };

static struct capos_request *kept[8];
static unsigned kept_count;
static capos_cap_t taken;
static status_t ended_why;

static void put_reply(struct capos_request *req, uint64_t value)
{
    memcpy(req->reply, &value, 8);
    req->reply_bytes = 8;
}

static enum capos_outcome service(struct capos_request *req, const void *ops)
{
    uint64_t value;
    CHECK_PTR_EQ(ops, &kernel);
    CHECK_EQ(req->method, 3);
    CHECK_EQ(req->params_bytes, req->key == LARGE ? LARGE_BYTES : 8);
    memcpy(&value, req->params, 8);
    CHECK_EQ(value, req->key);
    switch (value) {
    case DEFER:
        kept[kept_count++] = req;
        return CAPOS_DEFERRED;
    case FAIL_IT:
        return capos_fail(req, CAPOS_EXC_FAILED, "number %u", 7u);
    case MOVE_CAP:
        CHECK_EQ(capos_request_move(req, 4321), 0);
        break;
    case COPY_CAP:
        CHECK_EQ(capos_request_copy(req, 4322), 0);
        break;
    case MOVE_MANY: /* one more than there is room for, and results built all the same */
        CHECK_EQ(capos_request_move(req, 4330), 0);
        CHECK_EQ(capos_request_move(req, 4331), 1);
        CHECK_EQ(capos_request_move(req, 4332), UINT16_MAX);
        memset(req->reply, 'x', req->reply_capacity);
        break;
    case OWN_WORDS:
        CHECK_EQ(capos_request_copy(req, 0), UINT16_MAX);
        return capos_fail(req, CAPOS_EXC_OVERLOADED, "no more");
    case LONG_TEXT:
        memset(req->reply, 'x', req->reply_capacity);
        return capos_fail(req, CAPOS_EXC_FAILED, "%033d", 0);
    case TAKE_CAP:
        CHECK_EQ(capos_request_take(req, 1, 78), 0);
        taken = capos_request_take(req, 1, 77);
        CHECK_EQ(capos_request_take(req, 1, 77), 0);
        CHECK_EQ(capos_request_take(req, 9, 77), 0);
        break;
    default:
        break;
    }
    put_reply(req, value * 2);
    return CAPOS_REPLY;
}

static void service_ended(struct capos_server *server, status_t why)
{
    (void)server;
    ended_why = why;
}

static const struct capos_interface interfaces[] = {{INTERFACE, service, &kernel}};
CAPOS_SERVER_STORAGE(storage, 3, LARGE_BYTES, 64, 2);
static struct capos_server server;

static void setup(void)
{
    memset(&kernel, 0, sizeof(kernel));
    memset(&server, 0, sizeof(server));
    make_ring();
    kernel.max_message = 64;
    kernel.max_caps = 2;
    kept_count = 0;
    ended_why = ST_OK;
    REQUIRE(capos_ring_open(memory, RING_BYTES));
    server.interfaces = interfaces;
    server.interface_count = 1;
    server.request_count = 3;
    server.params_max_bytes = LARGE_BYTES;
    server.reply_max_bytes = 64;
    server.caps_max = 2;
    server.ended = service_ended;
    REQUIRE_EQ(capos_server_start(&server, ENDPOINT, storage, sizeof(storage)), ST_OK);
}

static struct fake_call *call_with(uint64_t value)
{
    struct fake_call *call = &kernel.calls[kernel.call_count++];
    call->value = value;
    call->interface = INTERFACE;
    return call;
}

static void run(void)
{
    for (unsigned i = 0; i < 50 && capos_step(1); i++) {
    }
    capos_push();
}

TEST(serve_storage, "storage too small for the requests is refused")
{
    setup();
    CHECK_EQ(capos_server_start(&server, ENDPOINT, storage, sizeof(storage) / 2), ST_BAD_ARGUMENT);
    CHECK_EQ(capos_server_start(&server, 0, storage, sizeof(storage)), ST_BAD_ARGUMENT);
}

TEST(serve_many,
     "every call is answered once with its own answer, and all receives are armed again")
{
    setup();
    for (unsigned i = 0; i < 20; i++) {
        call_with(i);
    }
    run();
    for (unsigned i = 0; i < 20; i++) {
        CHECK(kernel.calls[i].answered);
        CHECK_EQ(kernel.calls[i].exception, 0);
        CHECK_EQ(kernel.calls[i].reply, i * 2);
    }
    CHECK_EQ(kernel.receive_count, 3);
    CHECK_EQ(server.served, 20);
}

TEST(serve_inline, "small calls come by payload slots, large ones by buffers, in any order")
{
    setup();
    for (unsigned i = 0; i < 12; i++) {
        struct fake_call *call = call_with(i % 3 == 1 ? LARGE : i);
        call->bytes = i % 3 == 1 ? LARGE_BYTES : 0;
    }
    run();
    for (unsigned i = 0; i < 12; i++) {
        CHECK_EQ(kernel.calls[i].reply, i % 3 == 1 ? 2 * LARGE : i * 2);
    }
    CHECK_EQ(kernel.in_slots, 8);
}

TEST(serve_deferred, "kept requests are answered later and out of order; others go on meanwhile")
{
    setup();
    call_with(DEFER);
    call_with(DEFER);
    call_with(5);
    run();
    CHECK_EQ(kept_count, 2);
    CHECK(!kernel.calls[0].answered);
    CHECK_EQ(kernel.calls[2].reply, 10);
    CHECK_EQ(kernel.receive_count, 1);
    put_reply(kept[1], 22);
    capos_reply(kept[1]);
    put_reply(kept[0], 11);
    capos_reply(kept[0]);
    run();
    CHECK_EQ(kernel.calls[1].reply + kernel.calls[0].reply, 33);
    CHECK_EQ(kernel.receive_count, 3);
}

TEST(serve_exception, "a failing handler answers with its exception and its text")
{
    setup();
    call_with(FAIL_IT);
    run();
    CHECK_EQ(kernel.calls[0].exception, CAPOS_EXC_FAILED);
    CHECK_MEM_EQ(&kernel.calls[0].reply, "number 7", 8);
}

TEST(serve_strange_interface, "a call of an interface that is not served is answered UNIMPLEMENTED")
{
    setup();
    call_with(1)->interface = 1;
    run();
    CHECK_EQ(kernel.calls[0].exception, CAPOS_EXC_UNIMPLEMENTED);
}

TEST(serve_capabilities, "received capabilities that nobody takes are released; taken ones are not")
{
    setup();
    call_with(TAKE_CAP)->caps = 2;
    run();
    CHECK_EQ(taken, 501);
    CHECK_EQ(kernel.releases, 1);
    CHECK_EQ(kernel.released[0], 500);
}

TEST(serve_moved_away, "a moved capability that reached its caller is not released")
{
    setup();
    call_with(MOVE_CAP);
    run();
    CHECK_EQ(kernel.calls[0].reply_caps, 1);
    CHECK_EQ(kernel.releases, 0);
    CHECK_EQ(kernel.receive_count, 3);
}

TEST(serve_gone, "when the caller is gone a capability meant for it is released, a copied one kept")
{
    setup();
    call_with(MOVE_CAP)->gone = true;
    call_with(COPY_CAP)->gone = true;
    run();
    CHECK_EQ(kernel.releases, 1);
    CHECK_EQ(kernel.released[0], 4321);
    CHECK_EQ(kernel.receive_count, 3);
}

TEST(serve_refused_reply, "a refused reply becomes an exception, and the receive is armed again")
{
    setup();
    call_with(4)->refuse_reply = ST_NOT_TRANSFERABLE;
    call_with(MOVE_CAP)->refuse_reply = ST_NOT_TRANSFERABLE;
    run();
    CHECK_EQ(kernel.calls[0].exception, CAPOS_EXC_FAILED);
    CHECK_EQ(kernel.calls[1].exception, CAPOS_EXC_FAILED);
    CHECK_EQ(kernel.releases, 1);
    CHECK_EQ(kernel.receive_count, 3);
}

TEST(serve_reply_too_long,
     "a reply that its caller has no room for says no more, gives nothing away, and the receive is "
     "armed again, however often it happens")
{
    setup();
    for (unsigned i = 0; i < 30; i++) {
        call_with(i % 3 == 0 ? MOVE_CAP : 4)->too_small = true;
    }
    call_with(5);
    run();
    for (unsigned i = 0; i < 30; i++) {
        CHECK(kernel.calls[i].delivered);
        CHECK(!kernel.calls[i].answered);
    }
    CHECK_EQ(kernel.exceptions, 0);
    CHECK_EQ(kernel.releases, 10);
    CHECK_EQ(kernel.calls[30].reply, 10);
    CHECK_EQ(kernel.receive_count, 3);
    CHECK(!server.dead);
}

TEST(serve_endpoint_larger,
     "a server whose requests are too small for its endpoint ends RESULT_TOO_SMALL at once")
{
    setup();
    kernel.max_message = 2 * LARGE_BYTES;
    run();
    CHECK_EQ(ended_why, ST_RESULT_TOO_SMALL);
    CHECK(server.dead);
    setup();
    kernel.max_caps = 3;
    run();
    CHECK_EQ(ended_why, ST_RESULT_TOO_SMALL);
}

TEST(
    serve_no_room_for_capability,
    "a capability for which there is no room makes the reply FAILED, in words that nothing garbles")
{
    setup();
    call_with(MOVE_MANY);
    call_with(OWN_WORDS);
    run();
    CHECK_EQ(kernel.calls[0].exception, CAPOS_EXC_FAILED);
    CHECK_STR_EQ(kernel.calls[0].text, "no room for a capability in the reply");
    CHECK_EQ(kernel.calls[0].reply_caps, 0);
    CHECK_EQ(kernel.releases, 3);
    CHECK_EQ(kernel.calls[1].exception, CAPOS_EXC_OVERLOADED);
    CHECK_STR_EQ(kernel.calls[1].text, "no more");
    CHECK_EQ(kernel.receive_count, 3);
}

TEST(serve_text_alone, "behind the text of an exception nothing of the reply buffer goes out")
{
    setup();
    call_with(LONG_TEXT);
    run();
    CHECK_EQ(kernel.calls[0].reply_bytes, 40);
    CHECK_MEM_EQ(kernel.calls[0].text + 33, "\0\0\0\0\0\0\0", 7);
}

TEST(serve_dead_endpoint, "a dead endpoint ends the server, once, with the reason")
{
    setup();
    kernel.dead = true;
    run();
    CHECK_EQ(ended_why, ST_DISCONNECTED);
    CHECK(server.dead);
}

static unsigned pauses;

static void paused(struct capos_server *of)
{
    CHECK_PTR_EQ(of, &server);
    pauses++;
}

TEST(serve_pause,
     "a server that pauses receives nothing, keeps what it keeps, and goes on when told")
{
    setup();
    pauses = 0;
    call_with(DEFER);
    call_with(4);
    run();
    capos_server_pause(&server, paused);
    CHECK_EQ(pauses, 0);
    run();
    CHECK_EQ(pauses, 1);
    CHECK_EQ(kernel.receive_count, 0);
    CHECK(!kernel.waits);
    call_with(6);
    run();
    CHECK(!kernel.calls[2].delivered);
    const struct capos_received *call = capos_server_kept(&server, 0);
    for (unsigned i = 1; i < 3 && call == NULL; i++) {
        call = capos_server_kept(&server, i);
    }
    REQUIRE(call != NULL);
    CHECK_EQ(call->key, DEFER);
    CHECK_EQ(call->call_id, 1000);
    capos_server_resume(&server);
    run();
    CHECK_EQ(kernel.calls[2].reply, 12);
    CHECK(kernel.waits);
    put_reply(kept[0], 9);
    capos_reply(kept[0]);
    run();
    CHECK_EQ(kernel.calls[0].reply, 9);
    CHECK_EQ(kernel.receive_count, 3);
    CHECK_EQ(pauses, 1);
}

TEST(serve_pause_caps, "a kept call that brought capabilities is answered when the server pauses")
{
    setup();
    pauses = 0;
    call_with(DEFER)->caps = 1;
    run();
    capos_server_pause(&server, paused);
    run();
    CHECK_EQ(pauses, 1);
    CHECK_EQ(kernel.calls[0].exception, CAPOS_EXC_DISCONNECTED);
    CHECK(capos_server_kept(&server, 0) == NULL);
    CHECK_EQ(kernel.releases, 1);
}

static uint32_t adopt_two(struct capos_server *of)
{
    struct {
        struct capos_received call;
        uint64_t value;
    } come = {.call = {.interface = INTERFACE, .params_len = 8, .method = 3}};
    for (uint32_t i = 0; i < 2; i++) {
        kernel.calls[i].delivered = true;
        kernel.delivered++;
        come.call.call_id = 1000 + i;
        come.call.key = come.value = kernel.calls[i].value;
        CHECK(capos_server_adopt(of, i, &come.call));
    }
    come.call.params_len = LARGE_BYTES + 4096;
    CHECK(!capos_server_adopt(of, 2, &come.call));
    CHECK(!capos_server_adopt(of, 3, &come.call));
    return 2;
}

TEST(serve_adopt,
     "calls of a predecessor come to their handlers, are answered or kept, and others are received")
{
    setup();
    capos_server_pause(&server, paused);
    run();
    kernel.receive_count = 0;
    call_with(21);
    call_with(DEFER);
    call_with(23);
    server.adopt = adopt_two;
    REQUIRE_EQ(capos_server_start(&server, ENDPOINT, storage, sizeof(storage)), ST_OK);
    run();
    CHECK_EQ(kernel.calls[0].reply, 42);
    CHECK_EQ(kernel.calls[2].reply, 46);
    REQUIRE_EQ(kept_count, 1);
    put_reply(kept[0], 5);
    capos_reply(kept[0]);
    run();
    CHECK_EQ(kernel.calls[1].reply, 5);
    CHECK_EQ(kernel.receive_count, 3);
}
