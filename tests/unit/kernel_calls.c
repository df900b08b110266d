/* SPDX-License-Identifier: MIT */
/* What the programs of a test's users do: their rings, the operations they submit, the objects they make by calls. */
#include "tests/unit/kernel_fixture.h"

#define TEST_NO_MAIN
#include "tests/unit/test.h"

#include "gen/endpoint.capnp.h"
#include "gen/ledger.capnp.h"
#include "gen/session.capnp.h"
#include "gen/time.capnp.h"

enum { USER_RESULT_BYTES = 2048 };

/* ---- the ring ---- */

struct capos_ring_header *user_ring(struct user *user)
{
    return user_ptr(user, user->thread->ring->user_address);
}

static void *ring_place(struct user *user, uint64_t offset)
{
    return user_ptr(user, user->thread->ring->user_address + offset);
}

struct capos_sqe user_sqe(struct user *user, uint8_t op)
{
    return (struct capos_sqe){.op = op, .user_data = ++user->user_data};
}

uint64_t user_submit(struct user *user, const struct capos_sqe *sqe)
{
    struct capos_ring_header *ring = user_ring(user);
    uint64_t position = user->sq_tail++;
    uint64_t slot = position % ring->sq_entries;
    memcpy(ring_place(user, ring->sq_offset + slot * sizeof(*sqe)), sqe, sizeof(*sqe));
    __atomic_store_n(&ring->sq_tail, user->sq_tail, __ATOMIC_RELEASE);
    return position;
}

void user_enter_start(struct user *user, uint64_t min_complete, uint64_t deadline_ns)
{
    host_syscall(user->thread, CAPOS_SYS_ENTER, min_complete, deadline_ns);
    fixture_settle();
}

bool user_entered(struct user *user, uint64_t *result_out)
{
    const struct arch_thread *arch = &user->thread->arch;
    uint8_t state = atomic_load_relaxed(&user->thread->state);
    if (arch->wants_syscall || (state != THREAD_RUNNING && state != THREAD_READY)) {
        return false;
    }
    *result_out = arch->r[HOST_AX];
    return true;
}

uint64_t user_enter(struct user *user, uint64_t min_complete, uint64_t deadline_ns)
{
    uint64_t result = UINT64_MAX;
    user_enter_start(user, min_complete, deadline_ns);
    if (!user_entered(user, &result)) {
        FAIL("cap_enter did not return");
    }
    return result;
}

bool user_reap(struct user *user, struct capos_cqe *out)
{
    struct capos_ring_header *ring = user_ring(user);
    if (user->cq_head == __atomic_load_n(&ring->cq_tail, __ATOMIC_ACQUIRE)) {
        return false;
    }
    uint64_t slot = user->cq_head % ring->cq_entries;
    memcpy(out, ring_place(user, ring->cq_offset + slot * sizeof(*out)), sizeof(*out));
    __atomic_store_n(&ring->cq_head, ++user->cq_head, __ATOMIC_RELEASE);
    return true;
}

uint64_t completions(struct user *user)
{
    return user_ring(user)->cq_tail - user_ring(user)->cq_head;
}

uint64_t user_start(struct user *user, const struct capos_sqe *sqe)
{
    uint64_t position = user_submit(user, sqe);
    user_enter(user, 0, 0);
    return position;
}

struct capos_cqe user_expect(struct user *user, uint64_t user_data)
{
    struct capos_cqe cqe = {.result = INT32_MIN};
    if (!user_reap(user, &cqe)) {
        FAIL("a completion is missing");
    } else {
        CHECK_EQ(cqe.user_data, user_data);
    }
    return cqe;
}

struct capos_cqe user_do(struct user *user, const struct capos_sqe *sqe)
{
    user_submit(user, sqe);
    user_enter(user, 1, CAPOS_FOREVER);
    return user_expect(user, sqe->user_data);
}

void user_cancel(struct user *user, uint64_t position, uint64_t user_data)
{
    struct capos_sqe cancel = sqe_cap(user, CAPOS_OP_CANCEL, position);
    user_submit(user, &cancel);
    user_enter(user, 2, CAPOS_FOREVER);
    CHECK_EQ(user_expect(user, user_data).result, ST_CANCELLED);
    CHECK_EQ(user_expect(user, cancel.user_data).result, ST_OK);
}

/* ---- common operations ---- */

struct capos_sqe sqe_call(struct user *user, capos_cap_t cap, uint64_t interface, uint16_t method,
                          uint64_t params, uint32_t params_len)
{
    struct capos_sqe sqe = user_sqe(user, CAPOS_OP_CALL);
    sqe.cap = cap;
    sqe.interface = interface;
    sqe.method = method;
    sqe.params = params;
    sqe.params_len = params_len;
    return sqe;
}

void sqe_result(struct user *user, struct capos_sqe *sqe, uint32_t bytes, uint8_t accept)
{
    sqe->result = user_alloc(user, bytes);
    sqe->result_len = bytes;
    sqe->accept_count = accept;
}

uint64_t user_message(struct user *user, const void *bytes, uint32_t len)
{
    uint64_t address = user_alloc(user, len + 8 + 16 * CAPOS_MAX_TRANSFERS);
    user_write(user, address, bytes, len);
    return address;
}

struct capos_sqe sqe_method(struct user *user, capos_cap_t cap, uint64_t interface, uint16_t method,
                            struct capnp_builder *builder)
{
    size_t len = 0;
    CHECK_EQ(capnp_finish(builder, &len), CAPNP_OK);
    return sqe_call(user, cap, interface, method, user_message(user, builder->base, (uint32_t)len),
                    (uint32_t)len);
}

void sqe_transfers(struct user *user, struct capos_sqe *sqe, uint64_t number,
                   const struct capos_transfer *xfers, uint8_t count)
{
    uint64_t at = sqe->params + ((sqe->params_len + 7) & ~UINT64_C(7));
    user_write(user, at, &number, sizeof(number));
    user_write(user, at + 8, xfers, count * sizeof(*xfers));
    sqe->xfer_count = count;
}

struct capos_cqe user_call(struct user *user, capos_cap_t cap, uint64_t interface, uint16_t method,
                           struct capnp_builder *builder, const struct capos_transfer *xfers,
                           uint8_t count, uint64_t *result_out)
{
    uint64_t heap = user->heap_next; /* what this call needs is free again afterwards */
    struct capos_sqe sqe = sqe_method(user, cap, interface, method, builder);
    if (count != 0) {
        sqe_transfers(user, &sqe, user_ring(user)->next_sequence, xfers, count);
    }
    sqe_result(user, &sqe, USER_RESULT_BYTES, 2);
    struct capos_cqe cqe = user_do(user, &sqe);
    if (result_out != NULL) {
        *result_out = sqe.result;
    }
    user->heap_next = heap;
    return cqe;
}

struct capos_cqe user_call_plain(struct user *user, capos_cap_t cap, uint64_t interface,
                                 uint16_t method, uint64_t *result_out)
{
    uint64_t words[2];
    struct capnp_builder builder;
    capnp_builder_init(&builder, words, sizeof(words));
    (void)capnp_init_root(&builder, 0, 0);
    return user_call(user, cap, interface, method, &builder, NULL, 0, result_out);
}

capos_cap_t user_endpoint(struct user *user, uint32_t max_message, uint16_t max_caps)
{
    uint64_t words[16];
    struct capnp_builder builder;
    capnp_builder_init(&builder, words, sizeof(words));
    Ledger_new_endpoint_params_b params = Ledger_new_endpoint_params_init(&builder);
    Ledger_new_endpoint_params_set_max_message_bytes(params, max_message);
    Ledger_new_endpoint_params_set_max_caps(params, max_caps);
    struct capos_cqe cqe = user_call(user, user->ledger, Ledger_ID, Ledger_new_endpoint_ORDINAL,
                                     &builder, NULL, 0, NULL);
    CHECK(cqe.result >= 0);
    CHECK_EQ(cqe.cap_count, 1);
    return cqe.first_cap;
}

void user_destroy(struct user *user, capos_cap_t endpoint)
{
    struct capos_cqe cqe =
        user_call_plain(user, endpoint, Endpoint_ID, Endpoint_destroy_ORDINAL, NULL);
    CHECK(cqe.result >= 0);
    fixture_settle();
}

capos_cap_t user_notification(struct user *user)
{
    struct capos_cqe cqe =
        user_call_plain(user, user->ledger, Ledger_ID, Ledger_new_notification_ORDINAL, NULL);
    CHECK(cqe.result >= 0);
    return cqe.first_cap;
}

capos_cap_t user_session(struct user *user)
{
    uint64_t words[32];
    struct capnp_builder builder;
    capos_cap_t factory = user_give_root(user, KTYPE_SESSION_FACTORY);
    capnp_builder_init(&builder, words, sizeof(words));
    SessionFactory_create_params_set_subject(SessionFactory_create_params_init(&builder), "s", 1);
    struct capos_cqe cqe = user_call(user, factory, SessionFactory_ID,
                                     SessionFactory_create_ORDINAL, &builder, NULL, 0, NULL);
    CHECK(cqe.result >= 0);
    CHECK_EQ(user_release(user, factory), ST_OK);
    return cqe.first_cap;
}

status_t user_try_mint(struct user *user, capos_cap_t endpoint, uint64_t key, uint64_t interface,
                       uint64_t methods, capos_cap_t *out)
{
    uint64_t words[16];
    struct capnp_builder builder;
    capnp_builder_init(&builder, words, sizeof(words));
    Endpoint_mint_params_b params = Endpoint_mint_params_init(&builder);
    Endpoint_mint_params_set_key(params, key);
    Endpoint_mint_params_set_interface(params, interface);
    Endpoint_mint_params_set_methods(params, methods);
    struct capos_cqe cqe =
        user_call(user, endpoint, Endpoint_ID, Endpoint_mint_ORDINAL, &builder, NULL, 0, NULL);
    *out = cqe.result >= 0 ? cqe.first_cap : 0;
    return cqe.result >= 0 ? ST_OK : cqe.result;
}

capos_cap_t user_mint(struct user *user, capos_cap_t endpoint, uint64_t key)
{
    capos_cap_t cap;
    CHECK_EQ(user_try_mint(user, endpoint, key, FIXTURE_INTERFACE, 0xff, &cap), ST_OK);
    return cap;
}

struct capos_sqe sqe_recv(struct user *user, capos_cap_t endpoint, uint32_t max_message,
                          uint8_t max_caps)
{
    struct capos_sqe sqe = sqe_cap(user, CAPOS_OP_RECV, endpoint);
    uint32_t bytes = (uint32_t)sizeof(struct capos_received) + max_message +
                     max_caps * (uint32_t)sizeof(struct capos_cap_record);
    sqe_result(user, &sqe, bytes, max_caps);
    return sqe;
}

struct capos_sqe sqe_return(struct user *user, uint64_t call_id, uint64_t params,
                            uint32_t params_len)
{
    struct capos_sqe sqe = user_sqe(user, CAPOS_OP_RETURN);
    sqe.interface = call_id;
    sqe.params = params;
    sqe.params_len = params_len;
    return sqe;
}

struct capos_sqe sqe_wait(struct user *user, capos_cap_t cap, uint16_t events, uint64_t bits)
{
    struct capos_sqe sqe = sqe_cap(user, CAPOS_OP_WAIT, cap);
    sqe.method = events;
    sqe.params = bits;
    return sqe;
}

struct capos_sqe sqe_cap(struct user *user, uint8_t op, capos_cap_t cap)
{
    struct capos_sqe sqe = user_sqe(user, op);
    sqe.cap = cap;
    return sqe;
}

struct capos_sqe sqe_sleep(struct user *user, capos_cap_t timer, uint64_t until_ns)
{
    uint64_t words[8];
    struct capnp_builder builder;
    capnp_builder_init(&builder, words, sizeof(words));
    Timer_sleep_params_set_until_ns(Timer_sleep_params_init(&builder), until_ns);
    struct capos_sqe sqe = sqe_method(user, timer, Timer_ID, Timer_sleep_ORDINAL, &builder);
    sqe_result(user, &sqe, 64, 0);
    return sqe;
}

status_t user_release(struct user *user, capos_cap_t cap)
{
    struct capos_sqe sqe = sqe_cap(user, CAPOS_OP_RELEASE, cap);
    return user_do(user, &sqe).result;
}
