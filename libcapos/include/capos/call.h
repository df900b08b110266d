/* SPDX-License-Identifier: MIT */
/*
 * Typed calls: what generated client and server code stands on.
 *
 * Client, synchronous:                         Client, asynchronous:
 *   CAPOS_CALL(call, Timer, sleep);              submit, do other work, then capos_wait() or a
 *   capos_call_begin(&call, timer);              callback run by capos_step()
 *   ... generated builder fills call.params, sets call.params_bytes ...
 *   status_t st = capos_call(&call);
 *   ... generated reader reads call.result, call.result_bytes ...
 *   capos_call_end(&call);
 *
 * Server: capos_serve() (capos/serve.h) hands each received call to a dispatch function, as a
 * struct capos_request. Generated dispatch reads params, builds into req->reply and returns.
 *
 * Generated for each method M of interface I and used by the macros below:
 *   I_ID, I_M_ORDINAL, I_M_MAX_PARAMS_BYTES, I_M_MAX_RESULTS_BYTES (bare messages, multiples of 8),
 *   I_M_PARAM_CAPS, I_M_RESULT_CAPS (0 when none).
 *
 * Ownership: capabilities received with a result or a request belong to the call or request until
 * taken (capos_call_take, capos_request_take); what is not taken is released at its end.
 */
#ifndef CAPOS_CALL_H
#define CAPOS_CALL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "abi/ring.h"
#include "abi/types.h"

enum {
    CAPOS_CODEC_WORDS = 16, /* room for the generated code's message builder */
};

enum capos_op_state {
    CAPOS_OP_IDLE = 0, /* not submitted, or its result has been handed out */
    CAPOS_OP_PENDING,  /* accepted, waits for room in the submission queue */
    CAPOS_OP_QUEUED,   /* in the submission queue */
    CAPOS_OP_DONE,     /* completed; cqe is valid */
};

/* One operation of the ring. Belongs to the library from submit to completion: it must stay where
 * it is until its state is IDLE or DONE. */
struct capos_op {
    struct capos_sqe sqe;
    struct capos_cqe cqe;
    /* When set, capos_step() calls it once the operation is done; the state is IDLE by then, so it
     * may submit the operation again. When NULL, somebody waits with capos_op_wait or polls. */
    void (*done)(struct capos_op *op);
    void *cookie;                           /* the user's */
    const struct capos_transfer *transfers; /* sqe.xfer_count of them */
    uint64_t position;                      /* once QUEUED: for CANCEL */
    status_t end; /* private: of a MULTISHOT operation, while an event of it has yet to be told */
    /* private to the library */
    struct capos_op *next;
    struct capos_op *prev;
    uint32_t table_index;
    uint32_t before_generation; /* of a chain: the operation before this one, in the table */
    uint16_t before;
    uint8_t state;
    uint8_t retries;
    uint8_t inlined;
    uint8_t flags;
};

/* A call. CAPOS_CALL declares one with its storage; capos_call_init makes one over any storage. */
struct capos_call {
    struct capos_op op;
    capos_cap_t cap;
    uint64_t interface;
    const char *interface_name; /* for messages */
    const char *method_name;
    uint16_t method;
    uint8_t accept;         /* result capabilities taken, at most CAPOS_MAX_TRANSFERS */
    uint8_t transfer_count; /* of transfers[], in use */
    uint8_t transfer_capacity;
    uint16_t cap_count; /* capabilities received with the result */
    /* The parameter message. The storage has capos_params_room() bytes: behind the message the
     * library writes the transfer area. params_bytes is set by the generated code. */
    void *params;
    uint32_t params_capacity; /* for the message alone */
    uint32_t params_bytes;
    /* The result message, then at align8 the capability records; result_capacity counts both. */
    void *result;
    uint32_t result_capacity;
    uint32_t result_bytes; /* the message alone; with an exception, its text */
    struct capos_transfer *transfers;
    uint64_t deadline_ns; /* absolute; 0 = none. Stays between uses of the call */
    /* The outcome. */
    status_t status;
    enum capos_exception exception; /* when status is ST_EXCEPTION */
    uint32_t needed;                /* RESULT_TOO_SMALL: bytes; QUOTA: ledger class */
    uint64_t taken;                 /* bit i: record i has an owner elsewhere */
    uint64_t bill;                  /* cycles that were spent for it: docs/concepts/diagnosis.md */
    void *cookie;                   /* the user's */
    uint64_t codec[CAPOS_CODEC_WORDS]; /* the generated code's: its builder lives here */
    /* Pipelining: see CAPOS_PROMISE. `keep`: others may be called on its results before they come;
     * `quiet`: nobody waits for this call itself. */
    bool keep;
    bool quiet;
    /* The step that failed, when that was an earlier one of the pipeline; else NULL. */
    const char *failed_interface;
    const char *failed_method;
    /* private to the library */
    struct capos_call *on; /* in flight: the call whose result this one calls */
    uint16_t promise;      /* its place among the promises of its thread, + 1 */
    uint16_t dependents;   /* calls on it that have not ended */
    uint8_t pipe_index;
    bool kept; /* the kernel keeps its answer */
};

/* Bytes of storage for parameters and results with this many capabilities beside them. */
#define CAPOS_PARAMS_ROOM(bytes, caps) ((((bytes) + 7u) & ~7u) + 8u + 16u * (caps))
#define CAPOS_RESULTS_ROOM(bytes, caps) ((((bytes) + 7u) & ~7u) + 16u * (caps) + 8u)

/* A result buffer has at least this room, so that an exception's text is not cut to a small result. */
#define CAPOS_TEXT_ROOM 160u
#define CAPOS_RESULTS_STORAGE(bytes, caps) \
    (CAPOS_RESULTS_ROOM(bytes, caps) < CAPOS_TEXT_ROOM ? CAPOS_TEXT_ROOM \
                                                       : CAPOS_RESULTS_ROOM(bytes, caps))

/* Declares `call`, ready for capos_call_begin, with all storage on the stack (or static, when
 * preceded by a storage class: then write CAPOS_CALL_STATIC). */
#define CAPOS_CALL(call, Iface, meth) CAPOS_CALL_IN_(, call, Iface, meth)
#define CAPOS_CALL_STATIC(call, Iface, meth) CAPOS_CALL_IN_(static, call, Iface, meth)

/* Declares a call whose result capabilities are to be called before they have come, and need no slots
 * of their own: capos_promise(), or the generated I_M_promise_FIELD, names one of them, and that name
 * goes wherever the calls below take a capability to call. Nobody waits for the promise itself; its
 * failure is the failure of what was called on it. capos_call_end() ends it, and not before the last
 * call on it was submitted. Of one thread, and at most 64 at a time (BUSY). With `.quiet = false`
 * afterwards it is a call like any other, too: it is waited for and its results are read; with
 * `.accept` as many of its capabilities get slots. */
#define CAPOS_PROMISE(call, Iface, meth) \
    CAPOS_CALL_IN_(, call, Iface, meth); \
    call.keep = true; \
    call.quiet = true; \
    call.accept = 0

#define CAPOS_CALL_IN_(storage, call, Iface, meth) \
    storage _Alignas(8) uint8_t call##_params_[CAPOS_PARAMS_ROOM( \
        Iface##_##meth##_MAX_PARAMS_BYTES, Iface##_##meth##_PARAM_CAPS)]; \
    storage _Alignas(8) uint8_t call##_result_[CAPOS_RESULTS_STORAGE( \
        Iface##_##meth##_MAX_RESULTS_BYTES, Iface##_##meth##_RESULT_CAPS)]; \
    storage struct capos_transfer call##_transfers_[Iface##_##meth##_PARAM_CAPS + 1]; \
    storage struct capos_call call = { \
        .interface = Iface##_ID, \
        .interface_name = #Iface, \
        .method_name = #meth, \
        .method = Iface##_##meth##_ORDINAL, \
        .accept = Iface##_##meth##_RESULT_CAPS, \
        .transfer_capacity = Iface##_##meth##_PARAM_CAPS, \
        .params = call##_params_, \
        .params_capacity = Iface##_##meth##_MAX_PARAMS_BYTES, \
        .result = call##_result_, \
        .result_capacity = (uint32_t)sizeof(call##_result_), \
        .transfers = call##_transfers_, \
    }

/* Makes a call ready for a new use on this capability; deadline, storage, accept and names stay.
 * The call must not be in flight. */
void capos_call_begin(struct capos_call *call, capos_cap_t cap);

/* Adds a capability to the next submission and returns its index (what the message names), or
 * UINT16_MAX when transfer_capacity is reached: the submission is then refused BAD_TRANSFER.
 * A moved capability is the receiver's if the call's status is ST_OK; else it is still ours,
 * except that a call may have been received before it ended badly: then it is gone as well. */
uint16_t capos_call_copy(struct capos_call *call, capos_cap_t cap);
uint16_t capos_call_move(struct capos_call *call, capos_cap_t cap);

/* Submits and waits for the outcome; returns call->status. While it waits, callbacks of other
 * operations do not run (they are kept for capos_step). */
status_t capos_call(struct capos_call *call);

/* Accepts the call; it goes to the kernel at the next capos_flush, capos_wait or capos_step.
 * Never refuses for want of room: it then waits inside the library. */
void capos_submit(struct capos_call *call);

/* Waits until the call has its outcome or the absolute deadline passes (ST_TIMED_OUT is then
 * returned, the call goes on: cancel it or wait again). Otherwise returns call->status. */
status_t capos_wait(struct capos_call *call, uint64_t deadline_ns);

/* True when the call has its outcome. Reaps; does not enter the kernel. */
bool capos_poll(struct capos_call *call);

/* Waits for all of them, with as few entries into the kernel as there can be. Returns the first status
 * that is not ST_OK, in the order of `calls`. */
status_t capos_wait_all(struct capos_call *const calls[], unsigned count);

/* Calls that are submitted between the two are a chain: each starts when the one before has succeeded, at
 * most CAPOS_MAX_LINK. A failure ends those behind it ST_CANCELLED; when one cannot be sent, none is. A call
 * with `quiet` set, not the last, is known to have succeeded when a later one was started; of its results
 * nothing is told. */
void capos_chain_begin(void);
void capos_chain_end(void);

/* For generated code: the call could not be built, and call->status says why. */
void capos_unsent(struct capos_call *call);

/* A name for capability number `index` (0 to 2, in the order of the result's fields) of a call with
 * `keep`, from capos_call_begin on. Only for calling: it is no capability, and the kernel refuses it. */
capos_cap_t capos_promise(struct capos_call *call, unsigned index);

/* Asks for the end of a submitted call and waits for its outcome, often ST_CANCELLED. */
status_t capos_cancel(struct capos_call *call);

/* Releases the received capabilities that were not taken; a call with `keep` can no longer be called
 * on, and one that is still in flight is cancelled. */
void capos_call_end(struct capos_call *call);

/* Received capability `index`: 0 when there is none. It stays the call's (capos_call_cap) or
 * becomes the caller's (capos_call_take). With interface != 0 it must be of that interface. */
capos_cap_t capos_call_cap(const struct capos_call *call, uint16_t index, uint64_t interface);
capos_cap_t capos_call_take(struct capos_call *call, uint16_t index, uint64_t interface);

/* Text of the exception the call ended with; "" when it has none. `buf` receives a copy. */
const char *capos_call_text(const struct capos_call *call, char *buf, size_t size);

/* "Timer.sleep: TIMED_OUT: <what it means>": interface, method, status, what to do. Of a pipeline it
 * names the step that failed. Returns buf. */
const char *capos_explain(const struct capos_call *call, char *buf, size_t size);

/* The same for a call in one step, which leaves its status only: no exception's text, no figures. */
const char *capos_explain_status(const char *interface, const char *method, status_t status,
                                 char *buf, size_t size);

/* What becomes of a request when its handler or dispatch function returns. */
enum capos_outcome {
    CAPOS_REPLY,    /* the request is answered with what it holds: results or exception */
    CAPOS_DEFERRED, /* somebody keeps the request and will call capos_reply() later */
};

struct capos_server;

/* A received call. Owned by the server loop, or, once deferred, by whoever deferred it. */
struct capos_request {
    struct capos_server *server;
    void *object; /* what the key names: set from the server by its look-up function */
    uint64_t call_id;
    uint64_t key;
    uint64_t interface;
    uint64_t facet;
    uint64_t caller[2];
    uint64_t epoch;
    uint16_t method;
    uint16_t cap_count;
    uint32_t params_bytes;
    const void *params; /* a private copy: nobody else writes to it */
    const struct capos_cap_record *caps;
    uint64_t taken;
    /* The reply. */
    void *reply;
    uint32_t reply_capacity; /* of the message alone */
    uint32_t reply_bytes;    /* set by generated code; with an exception, of its text */
    enum capos_exception exception;
    uint8_t transfer_count;
    uint8_t transfer_capacity;
    bool transfer_refused; /* the reply can only say so, whatever is built after it */
    struct capos_transfer *transfers;
    uint64_t release_after; /* bit i: transfers[i].cap is released once the reply is gone */
    void *cookie;           /* the user's, for deferred requests */
    uint64_t codec[CAPOS_CODEC_WORDS];
};

/* Generated dispatch has this type: it picks the method, reads the parameters, calls the handler
 * from the operations table and says what the handler said. Unknown method: UNIMPLEMENTED; a
 * message that does not parse: INVALID_ARGUMENT. */
typedef enum capos_outcome (*capos_dispatch_fn)(struct capos_request *req, const void *ops);

/* Answers with an exception and a formatted text (cut to the reply's room). Returns CAPOS_REPLY, so
 * that a handler can say: return capos_fail(req, CAPOS_EXC_FAILED, "..."). */
enum capos_outcome capos_fail(struct capos_request *req, enum capos_exception exception,
                              const char *format, ...) __attribute__((format(printf, 3, 4)));

/* Answers a deferred request with what it holds. The request is the server's again. */
void capos_reply(struct capos_request *req);

/* Adds a capability to the reply; returns its index, UINT16_MAX when there is no room or no
 * capability (0): the reply is then FAILED, whatever is still built, unless the handler fails it in
 * its own words. _move gives ours away (released if the reply cannot be delivered); _copy leaves
 * ours with us. */
uint16_t capos_request_copy(struct capos_request *req, capos_cap_t cap);
uint16_t capos_request_move(struct capos_request *req, capos_cap_t cap);

/* Received capability `index`; 0 when there is none or it is not of the interface asked (0 = any).
 * _take makes it the caller's; what is not taken is released after the reply. */
capos_cap_t capos_request_cap(const struct capos_request *req, uint16_t index, uint64_t interface);
capos_cap_t capos_request_take(struct capos_request *req, uint16_t index, uint64_t interface);

#endif
