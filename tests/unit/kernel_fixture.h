/* SPDX-License-Identifier: MIT */
/*
 * The portable kernel on a host machine, with processes whose user code is the test.
 *
 * A user is a process with one thread, its ring, and some memory. user_* functions do what its
 * program would do: write SQEs, enter, read completions. Nothing moves by itself: user_enter and
 * fixture_settle step the CPUs until they have nothing to do.
 *
 * fixture_end compares the kernel's books (kernel_audit.h), ends all users and checks that frames, ledger and grants are what they were before the
 * first one.
 */
#ifndef CAPOS_TESTS_UNIT_KERNEL_FIXTURE_H
#define CAPOS_TESTS_UNIT_KERNEL_FIXTURE_H

#include "abi/ring.h"
#include "abi/syscall.h"
#include "core/main.h"
#include "lib/capnp/capnp.h"
#include "gen/kernel/types.h"
#include "object/process.h"
#include "object/thread.h"
#include "ring/ring.h"
#include "tests/unit/kernel_machine.h"

enum { USERS_MAX = 64, USER_HEAP_BYTES = 96 * 1024, USER_RING = 16 };
#define USER_HEAP UINT64_C(0x10000000)

struct user {
    struct process *process;
    struct thread *thread;
    uint64_t heap_next, heap_end;
    uint64_t sq_tail;
    uint64_t cq_head;
    uint64_t user_data; /* of the last SQE made */
    capos_cap_t ledger; /* its own Ledger */
    bool gone;
    bool shares; /* another thread of an earlier user's process */
};

/* Boots the kernel without init. */
void fixture_start(unsigned cpus);
void fixture_start_seed(unsigned cpus, uint64_t seed);
/* The clock runs by itself: for host_cpus_start. */
void fixture_start_real(unsigned cpus);
/* Ends the users and checks for leaks. */
void fixture_end(void);
/* True when nothing is left of any process. */
bool fixture_is_clean(void);
const struct kernel_roots *fixture_roots(void);

/* Runs all CPUs until nothing is left to do, moving the clock where a thread waits for a CPU. */
void fixture_settle(void);
/* Moves the clock, then settles. */
void fixture_advance(uint64_t ns);
/* After fixture_start_real: all CPUs step by themselves, calling `turn` for the user code of their threads, until
 * done() says so, which the caller asks again and again as a looker-on. The threads' users are the test's to settle. */
void fixture_run(host_user_fn turn, bool (*done)(void));
/* Nothing but its handles is left of the process; to be asked while CPUs run. */
bool fixture_reaped(struct process *process);

/* ---- users ---- */

/* Whose the users are that are made from now on; NULL, as at the start: init's. */
extern struct session *fixture_session;
/* What their ledgers are carved from, NULL: the root; or, when shared, their ledger. */
extern struct ledger *fixture_ledger;
extern bool fixture_ledger_shared;

/* process_create, process_furnish and ring_fill in one: a process whose thread is NEW; a refusal abandons it. */
status_t fixture_process(struct ledger *parent, struct ledger *ledger, struct session *session,
                         const uint64_t limits[LEDGER_CLASSES], const char *name,
                         uint32_t ring_entries, struct process **out);

/* A process of default limits, ready to run. */
struct user *user_new(const char *name);
struct user *user_new_limits(const char *name, const uint64_t limits[LEDGER_CLASSES],
                             uint32_t ring_entries);
/* Generous limits for a user, to be changed by the test. */
void user_limits(uint64_t limits[LEDGER_CLASSES]);
/* The same with a status: the refusals of fixture_process. *out is set with ST_OK. */
status_t user_try_new(const char *name, const uint64_t limits[LEDGER_CLASSES],
                      uint32_t ring_entries, struct user **out);

/* A process that the kernel spawned becomes a user; its stack is the heap. Takes a ref of it. */
struct user *user_adopt(struct process *process);
/* The smallest program image; nobody will run its code. */
const void *fixture_image(size_t *size_out);
/* A sealed program image whose code nobody will run, as a capability of the user's. */
capos_cap_t user_image(struct user *user);
/* A memory object of these bytes. */
capos_cap_t user_memory(struct user *user, const void *bytes, size_t size, bool sealed);

/* The user's own ThreadSpawner. */
capos_cap_t user_spawner(struct user *user);
/* Another thread, made by a call of `spawner`, of ring_entries: the completion, whose first_cap is the
 * handle. *out is a user of the same process and heap, with its own ring, running. */
struct capos_cqe user_try_thread(struct user *user, capos_cap_t spawner, uint64_t entry,
                                 uint64_t stack, uint32_t ring_entries, struct user **out);
struct user *user_thread(struct user *user, capos_cap_t spawner, capos_cap_t *handle_out);
/* The exit system call of one thread, done with. */
void user_thread_exit(struct user *user, int64_t code);

/* The exit system call, and waiting until the process has been reaped. */
void user_exit(struct user *user, int64_t code);
/* As seen from outside. */
void user_terminate(struct user *user);
/* The process is on its way out by other means: waits until it has been reaped. */
void user_ended(struct user *user);

/* Memory of the user: an address that is 8-aligned, zeroed; the bytes behind it. Never freed. */
uint64_t user_alloc(struct user *user, uint64_t bytes);
/* A pointer to user memory; NULL when not mapped. Valid to the end of the page. */
void *user_ptr(struct user *user, uint64_t address);
void user_write(struct user *user, uint64_t address, const void *from, uint64_t bytes);
void user_read(struct user *user, uint64_t address, void *to, uint64_t bytes);

/* Puts a capability into the user's table as the kernel would: under a grant of its own below the
 * root. Takes a ref of object. */
capos_cap_t user_give(struct user *user, struct kobj *object, uint8_t ktype, uint64_t facet);
/* A root object of this kind, and the user's own process as one, with all methods. */
capos_cap_t user_give_root(struct user *user, uint8_t ktype);
capos_cap_t user_give_self(struct user *user, uint8_t ktype);
/* Copies a capability of one user to another the same way, with a facet. */
capos_cap_t user_pass(struct user *from, capos_cap_t cap, struct user *to, uint64_t facet);
/* The same under a grant below its own route, as spawning does. */
capos_cap_t user_pass_below(struct user *from, capos_cap_t cap, struct user *to, uint64_t facet);
/* What a capability of the user's is: ST_OK and borrowed pointers, or a status. */
status_t user_look(struct user *user, capos_cap_t cap, struct capability *out);
/* Its object, borrowed, and its route, with a ref. NULL and a failed test when it is no more. */
struct kobj *user_object(struct user *user, capos_cap_t cap);
struct grant *user_route(struct user *user, capos_cap_t cap);
/* What must be as it was, once the machine has come to rest: all that the user's ledger is charged for and who refers to
 * it, the machine's free frames, the process's threads. */
struct held {
    struct ledger_state ledger;
    uint64_t frames;
    size_t threads;
};
struct held held_now(struct user *user);
#define CHECK_HELD(user, before) \
    do { \
        struct held after_ = held_now(user); \
        CHECK_MEM_EQ(&(before), &after_, sizeof(after_)); \
    } while (0)
/* The slots that the user's ledger has charged, those that are promised among them. */
uint64_t slots_used(struct user *user);

/* ---- the ring (kernel_calls.c) ---- */

struct capos_ring_header *user_ring(struct user *user);
/* An SQE with the opcode and a fresh user_data. */
struct capos_sqe user_sqe(struct user *user, uint8_t op);
/* Writes it at the tail and moves the tail. Returns its position. */
uint64_t user_submit(struct user *user, const struct capos_sqe *sqe);
/* cap_enter, to its end: the result. The test fails when it blocks. */
uint64_t user_enter(struct user *user, uint64_t min_complete, uint64_t deadline_ns);
/* cap_enter that may block: settles; user_entered tells whether it has returned. */
void user_enter_start(struct user *user, uint64_t min_complete, uint64_t deadline_ns);
bool user_entered(struct user *user, uint64_t *result_out);
/* The next completion; false: there is none. */
bool user_reap(struct user *user, struct capos_cqe *out);
/* How many completions are there to be reaped. */
uint64_t completions(struct user *user);
/* Submits, enters without waiting; its position. Reap later. */
uint64_t user_start(struct user *user, const struct capos_sqe *sqe);
/* The completion with this user_data, which must be the next one. */
struct capos_cqe user_expect(struct user *user, uint64_t user_data);
/* Submit, enter, reap: the only completion. */
struct capos_cqe user_do(struct user *user, const struct capos_sqe *sqe);
/* Cancels the operation at `position`: it ends CANCELLED with its user_data, and the CANCEL behind it is OK. */
void user_cancel(struct user *user, uint64_t position, uint64_t user_data);

/* ---- common operations ---- */

/* A CALL with a message already in user memory. */
struct capos_sqe sqe_call(struct user *user, capos_cap_t cap, uint64_t interface, uint16_t method,
                          uint64_t params, uint32_t params_len);
/* Fills in a result buffer made for it. */
void sqe_result(struct user *user, struct capos_sqe *sqe, uint32_t bytes, uint8_t accept);
/* Appends a transfer area to the parameters (which must be at the end of their allocation: see
 * user_message). */
void sqe_transfers(struct user *user, struct capos_sqe *sqe, uint64_t number,
                   const struct capos_transfer *xfers, uint8_t count);
static inline struct capos_transfer copy_of(capos_cap_t cap)
{
    return (struct capos_transfer){.cap = cap, .mode = CAPOS_XFER_COPY};
}
/* A CALL of a kernel method with the message that `builder` holds. */
struct capos_sqe sqe_method(struct user *user, capos_cap_t cap, uint64_t interface, uint16_t method,
                            struct capnp_builder *builder);
/* A message of bytes in user memory with room for transfers behind it. */
uint64_t user_message(struct user *user, const void *bytes, uint32_t len);

/* A call of a kernel method with the message that `builder` holds, and what it carries; the result is
 * at *result_out (user memory, valid until the next call). */
struct capos_cqe user_call(struct user *user, capos_cap_t cap, uint64_t interface, uint16_t method,
                           struct capnp_builder *builder, const struct capos_transfer *xfers,
                           uint8_t count, uint64_t *result_out);
/* The same without parameters and capabilities. */
struct capos_cqe user_call_plain(struct user *user, capos_cap_t cap, uint64_t interface,
                                 uint16_t method, uint64_t *result_out);

/* Kernel objects by the user's own Ledger. 0 and a failed test when refused. */
capos_cap_t user_endpoint(struct user *user, uint32_t max_message, uint16_t max_caps);
/* Endpoint.destroy, and what it ends. */
void user_destroy(struct user *user, capos_cap_t endpoint);
capos_cap_t user_notification(struct user *user);
/* A session of its own making, of the subject "s", with all facets. */
capos_cap_t user_session(struct user *user);
/* A served object of the endpoint: interface FIXTURE_INTERFACE, methods 0..7. */
#define FIXTURE_INTERFACE UINT64_C(0xf1f1000000000001)
capos_cap_t user_mint(struct user *user, capos_cap_t endpoint, uint64_t key);
status_t user_try_mint(struct user *user, capos_cap_t endpoint, uint64_t key, uint64_t interface,
                       uint64_t methods, capos_cap_t *out);

/* A receive that has room for whatever an endpoint of these limits lets through. */
struct capos_sqe sqe_recv(struct user *user, capos_cap_t endpoint, uint32_t max_message,
                          uint8_t max_caps);
struct capos_sqe sqe_return(struct user *user, uint64_t call_id, uint64_t params,
                            uint32_t params_len);
struct capos_sqe sqe_wait(struct user *user, capos_cap_t cap, uint16_t events, uint64_t bits);
struct capos_sqe sqe_cap(struct user *user, uint8_t op, capos_cap_t cap);
struct capos_sqe sqe_sleep(struct user *user, capos_cap_t timer, uint64_t until_ns);

status_t user_release(struct user *user, capos_cap_t cap);

/* Notes a serve capability that is about to be put into the user's table, as spawning does. */
enum { FIXTURE_SERVING_MAX = 32 };
void user_note_serving(struct user *user, const struct capability *cap);

#endif
