/* SPDX-License-Identifier: MIT */
/*
 * Calling a method of a kernel object.
 *
 * ring/call.c resolves the capability, copies the parameters into the CPU's scratch buffer, validates them
 * by the method's type, and calls the handler
 *     status_t <Interface>_kernel_<method>(struct invocation *, params reader, results builder).
 * A handler reads, checks, reserves (memory, result slots), then commits. After it returns ST_OK the
 * results and result capabilities are written to the caller. Before a handler runs, the caller's
 * result buffer is known to hold the method's fixed results and its result capabilities.
 *
 * A handler that cannot finish now (Timer.sleep, BootPackage.open) returns what invoke_wait or
 * pending_start says (object/pending.h).
 */
#ifndef CAPOS_KERNEL_OBJECT_INVOKE_H
#define CAPOS_KERNEL_OBJECT_INVOKE_H

#include <stdint.h>

#include "abi/ring.h"
#include "abi/types.h"
#include "cap/table.h"
#include "lib/capnp/capnp.h"

struct process;
struct thread;
struct record;
struct op;
struct op_transfers;

enum { ST_PENDING = 1, INVOKE_MAX_RESULT_CAPS = 2, INVOKE_MAX_PARAM_CAPS = 62 };

struct invocation {
    struct process *process; /* the caller */
    struct thread *thread;
    struct capability target; /* what was called: object, facet, route */
    const struct op *op;      /* the SQE */
    struct record *record;    /* NULL, or of a call that is answered later: object/pending.h */
    uint32_t generation;      /* of record */
    /* transfers of the SQE, looked up by invoke_param_cap: caps[i] holds refs while the handler runs once bit i of
     * *caps_taken is set; a handler that keeps one takes its own. Only spawning handlers accept moves. */
    uint32_t cap_count;
    struct capability *caps;
    uint64_t *caps_taken;
    uint64_t move_mask; /* bit i: the sender asked to move caps[i] */
    /* A handler that answers later may keep the transfers captured till then: it sets keep_xfers to a copy of
     * xfers that lives as long as the record, which ends them (taken back, unless record_end_transfers was called). */
    const struct op_transfers *xfers, *keep_xfers;
    bool xfers_taken;     /* the record has them */
    uint64_t deadline_ns; /* of the SQE; 0 = none */
    /* results */
    uint32_t result_cap_count;
    struct capability result_caps[INVOKE_MAX_RESULT_CAPS]; /* refs owned by the invocation */
    capos_cap_t result_ids[INVOKE_MAX_RESULT_CAPS];
    uint32_t reserved_caps;
};

/* The index-th transfer, which must be of `ktype` (0: any); *out is borrowed. ST_BAD_ARGUMENT, ST_DISCONNECTED,
 * ST_WRONG_INTERFACE. */
status_t invoke_param_cap(const struct invocation *inv, uint16_t index, uint8_t ktype,
                          const struct capability **out);

/* Reserves n result slots in the caller's table (released by the dispatcher when the handler
 * fails). ST_QUOTA. At most once a call. */
status_t invoke_reserve_caps(struct invocation *inv, uint32_t n);

/* Commits a result capability into the next reserved slot and returns its index for the results.
 * Takes over the creator's ref of `object`; the route is the called capability's (a ref is taken).
 * Mode and scope are the interface's own. Cannot fail. */
uint16_t invoke_add_cap(struct invocation *inv, struct kobj *object, uint8_t ktype, uint64_t facet);

/* The same for a capability as it is; takes over both refs. */
uint16_t invoke_add_capability(struct invocation *inv, const struct capability *cap);

/* One kernel method, generated. */
struct kernel_method {
    const char *name;
    status_t (*invoke)(struct invocation *inv, struct capnp_struct params,
                       struct capnp_struct_b results); /* the handler, with the types of its own */
    const struct capnp_struct_type *params;
    uint32_t params_max_bytes;   /* longer messages are refused */
    uint32_t results_max_bytes;  /* scratch the builder gets at most */
    uint16_t results_data_words; /* of the fixed part, for which there must be room */
    uint16_t results_pointers;
    uint8_t result_caps;
    uint8_t param_caps;
    bool opcode_only; /* CALL is refused */
};

struct kernel_interface {
    uint64_t id;
    const char *name;
    uint8_t mode;  /* enum TransferMode */
    uint8_t scope; /* enum SessionScope */
    uint8_t method_count;
    uint64_t facet_all;
    const struct kernel_method *methods;
};

/* Generated: indexed by KTYPE_*; [0] is empty. */
extern const struct kernel_interface kernel_interfaces[];
extern const uint32_t kernel_interface_count;

/* Methods that ring/quick.h answers at once, generated from $quick: [ktype][method]. The handler writes
 * the whole result message, at most INVOKE_QUICK_BYTES, and returns its bytes; the caller's table lock is
 * held, and no lock may be taken. */
enum { INVOKE_QUICK_BYTES = 32 };
typedef uint32_t (*quick_fn)(struct kobj *object, uint64_t message[]);
extern const quick_fn kernel_quick[][64];

#endif
