/* SPDX-License-Identifier: MIT */
/*
 * The ring: layout of the shared memory between one thread and the kernel.
 *
 * One mapping holds the header, the SQ, the CQ and the payload slots. Geometry is written by the
 * kernel at creation and never read back by it: the kernel keeps private copies of geometry and of
 * its own two indices. Indices are 64-bit counters that never wrap in practice; an entry's place is
 * its index modulo the number of entries, which is a power of two.
 *
 * Each header field that changes sits on the cache line of its one writer. Everything here is
 * little-endian and 8-aligned. All lengths are bytes and multiples of 8. Absolute times are
 * monotonic nanoseconds. docs/reference/ring.md tells the rules in prose.
 */
#ifndef CAPOS_ABI_RING_H
#define CAPOS_ABI_RING_H

#include <assert.h>
#include <stdint.h>

#include "abi/types.h"

enum {
    CAPOS_RING_VERSION = 1,
    CAPOS_RING_MIN_ENTRIES = 16,
    CAPOS_RING_MAX_ENTRIES = 4096,
    CAPOS_RING_LINE = 64,
    CAPOS_PAYLOAD_SLOT_BYTES = 256,
    CAPOS_MAX_MESSAGE_BYTES = 16384, /* params or results of one call */
    CAPOS_MAX_TRANSFERS = 62,  /* transfer descriptors of one SQE; endpoints take at most 16 */
    CAPOS_MAX_LINK = 16,       /* SQEs in one LINK chain */
    CAPOS_MAX_PIPE_CAPS = 3,   /* capabilities of one answer that pipe_index can name */
    CAPOS_MAX_DEPENDENTS = 16, /* SQEs that wait for one answer */
    CAPOS_MAX_ANSWERS = 64,    /* answers kept by a ring, and SQEs that wait for them */
};

#define CAPOS_RING_MAGIC UINT32_C(0x474e4952) /* "RING" */

struct capos_ring_header {
    /* written once by the kernel at creation; for the client */
    uint32_t magic;
    uint32_t version;
    uint32_t sq_entries;
    uint32_t cq_entries;     /* twice sq_entries */
    uint32_t sq_offset;      /* bytes from the header to SQE 0 */
    uint32_t cq_offset;      /* to CQE 0 */
    uint32_t payload_offset; /* to payload slot 0 */
    uint32_t payload_slots;  /* as many as CQ entries */
    uint64_t total_bytes;
    uint8_t reserved0[24];
    /* written by the kernel */
    uint64_t sq_head; /* SQEs consumed; the SQE at index i has position i */
    uint8_t reserved1[56];
    /* written by the client */
    uint64_t sq_tail; /* SQEs submitted */
    uint8_t reserved2[56];
    /* written by the kernel */
    uint64_t cq_tail; /* CQEs posted */
    uint8_t reserved3[56];
    /* written by the client */
    uint64_t cq_head; /* CQEs reaped */
    uint8_t reserved4[56];
    /* written by the kernel */
    uint64_t flags;         /* CAPOS_RING_* */
    uint64_t next_sequence; /* transfer number the ring expects next (a hint; BAD_SEQUENCE tells) */
    uint8_t reserved5[48];
    uint8_t reserved6[128];
};

/* capos_ring_header.flags */
#define CAPOS_RING_STALLED UINT64_C(1) /* the last drain left SQEs for want of CQ room */
#define CAPOS_RING_POLLED UINT64_C(2)  /* a processor takes SQEs as they come: no need to enter */

static_assert(sizeof(struct capos_ring_header) == 512, "ring header");
static_assert(offsetof(struct capos_ring_header, sq_head) == 64, "sq_head line");
static_assert(offsetof(struct capos_ring_header, sq_tail) == 128, "sq_tail line");
static_assert(offsetof(struct capos_ring_header, cq_tail) == 192, "cq_tail line");
static_assert(offsetof(struct capos_ring_header, cq_head) == 256, "cq_head line");
static_assert(offsetof(struct capos_ring_header, flags) == 320, "flags line");

/* Opcodes. Every number is assigned; those marked (later) answer ST_UNSUPPORTED in this release. */
enum capos_opcode {
    CAPOS_OP_NOP = 0,
    CAPOS_OP_CALL = 1,
    CAPOS_OP_RECV = 2,
    CAPOS_OP_RETURN = 3,
    CAPOS_OP_RETURN_RECV = 4,
    CAPOS_OP_WAIT = 5,
    CAPOS_OP_SIGNAL = 6,
    CAPOS_OP_RELEASE = 7,
    CAPOS_OP_CANCEL = 8,
    CAPOS_OP_FINISH = 9,
    CAPOS_OP_PARK = 10,
    CAPOS_OP_UNPARK = 11,
    CAPOS_OP_HANDOVER = 12,
    CAPOS_OP_COUNT = 13,
};

/* SQE flags. Unknown ones are refused. */
enum capos_sqe_flag {
    CAPOS_SQE_LINK = 1 << 0,     /* the next SQE starts when this one has succeeded */
    CAPOS_SQE_PIPELINE = 1 << 1, /* CALL: `cap` is the position of a CALL with KEEP, whose answer's
                                     capability number pipe_index is called */
    CAPOS_SQE_KEEP = 1 << 2,     /* CALL: others may name its answer, until FINISH */
    CAPOS_SQE_QUIET = 1 << 3,    /* no completion on success */
    CAPOS_SQE_INLINE = 1 << 4,   /* params, and a CALL's result, are offsets in the payload area */
    CAPOS_SQE_MULTISHOT =
        1 << 5, /* WAIT only: stays armed after an event, which is told with MORE */
    CAPOS_SQE_FLAGS_ALL = (1 << 6) - 1,
};

struct capos_sqe {
    uint8_t op;
    uint8_t pipe_index;
    uint16_t flags;
    uint16_t method;
    uint8_t xfer_count;
    uint8_t accept_count;
    uint64_t cap;
    uint64_t user_data;
    uint64_t params; /* address, or payload-area offset with INLINE */
    uint64_t result; /* likewise; of a receive always an address */
    uint32_t params_len;
    uint32_t result_len;
    uint64_t interface;
    uint64_t deadline_ns; /* absolute; 0 = none */
};
static_assert(sizeof(struct capos_sqe) == 64, "SQE");
static_assert(offsetof(struct capos_sqe, cap) == 8, "SQE cap");
static_assert(offsetof(struct capos_sqe, params) == 24, "SQE params");
static_assert(offsetof(struct capos_sqe, params_len) == 40, "SQE lengths");
static_assert(offsetof(struct capos_sqe, interface) == 48, "SQE interface");

/* CQE flags: which arm of the union is set. */
enum capos_cqe_flag {
    CAPOS_CQE_CAPS = 1 << 0,      /* first_cap; cap_count capability records lie in the result */
    CAPOS_CQE_SIGNAL = 1 << 1,    /* signal: WAIT's bits, key or exit code */
    CAPOS_CQE_SEQUENCE = 1 << 2,  /* expected_seq: result is ST_BAD_SEQUENCE */
    CAPOS_CQE_EXCEPTION = 1 << 3, /* exception: result is ST_EXCEPTION */
    CAPOS_CQE_NEEDED = 1 << 4,    /* needed: bytes (RESULT_TOO_SMALL) or quota class (QUOTA) */
    CAPOS_CQE_INLINE = 1 << 5, /* RECV with INLINE: it lies in the payload slot, not the buffer */
    CAPOS_CQE_MORE = 1 << 6,   /* MULTISHOT: another completion of this entry will come */
};

struct capos_cqe {
    uint64_t user_data;
    int32_t result; /* >= 0: opcode's value; < 0: ST_* */
    uint16_t flags;
    uint16_t cap_count;
    union {
        uint64_t first_cap;
        uint64_t signal;
        uint64_t expected_seq;
        struct {
            uint16_t exception; /* enum capos_exception */
            uint16_t reserved;
            uint32_t needed;
        };
    };
    uint64_t bill; /* processor cycles spent for it: docs/concepts/diagnosis.md */
};
static_assert(sizeof(struct capos_cqe) == 32, "CQE");

/* Exceptions a server, or a kernel object, may answer a call with. RETURN's method field. */
enum capos_exception {
    CAPOS_EXC_NONE = 0,
    CAPOS_EXC_FAILED = 1,
    CAPOS_EXC_OVERLOADED = 2,
    CAPOS_EXC_DISCONNECTED = 3,
    CAPOS_EXC_UNIMPLEMENTED = 4,
    CAPOS_EXC_INVALID_ARGUMENT = 5,
    CAPOS_EXC_COUNT = 6,
};

/* Transfer area of an SQE with xfer_count > 0, at params + align8(params_len): the ring's next
 * 64-bit number, then xfer_count descriptors. */
enum capos_transfer_kind {
    CAPOS_XFER_CAP = 0,
    CAPOS_XFER_DONATION = 1,   /* refused: a donation is a capability, decision 0061 */
    CAPOS_XFER_DISCLOSURE = 2, /* refused: so is a disclosure, decision 0062 */
};
enum capos_transfer_mode {
    CAPOS_XFER_COPY = 0,
    CAPOS_XFER_MOVE = 1,
};
struct capos_transfer {
    uint64_t cap;
    uint16_t kind;
    uint16_t mode;
    uint32_t arg; /* must be 0 */
};
static_assert(sizeof(struct capos_transfer) == 16, "transfer");

/* Capability record: behind a received call's message and behind a call's result, at align8. */
struct capos_cap_record {
    uint64_t cap;
    uint64_t interface;
};
static_assert(sizeof(struct capos_cap_record) == 16, "capability record");

/* What RECV writes to its result buffer: this header, the message, then the capability records. */
struct capos_received {
    uint64_t call_id; /* names the call in RETURN; holds a generation; 0 is never a call */
    uint64_t key;     /* of the served object called */
    uint64_t interface;
    uint64_t facet;     /* methods the caller's capability allows */
    uint64_t caller[2]; /* reference of the calling session, this service's own view */
    uint64_t epoch;
    uint32_t params_len;
    uint16_t method;
    uint16_t cap_count;
};
static_assert(sizeof(struct capos_received) == 64, "received call header");

/* HANDOVER: cap is an endpoint, owned; params the handle of the process that has served there, interface that of its
 * successor, both with `terminate`. Result: how many calls in flight were moved; repeat until it is 0. */

/* PARK waits while the 32-bit word at params is what `interface` says; UNPARK ends the waits of at most
 * `interface` parkers of that word, CAPOS_UNPARK_MAX in one entry, and its result is how many. cap 0: params
 * is an address, and its parkers are those of the same process. Else cap is a MemoryObject with `map`
 * (UNPARK: `mapWrite`), params an offset in it, and its parkers are all who name it so. 4-aligned. */
enum {
    CAPOS_PARK_WOKEN = 0,   /* PARK's result: unparked */
    CAPOS_PARK_CHANGED = 1, /* PARK's result: the word was another one; not parked */
    CAPOS_UNPARK_MAX = 16,
};

/* WAIT: event mask in method, result = events that fired. */
enum capos_event {
    CAPOS_EVENT_SIGNALLED = 1 << 0, /* Notification, Interrupt; params = bits wanted */
    CAPOS_EVENT_DEAD = 1 << 1,      /* the object has ended, or its server has */
    CAPOS_EVENT_NO_CLIENTS =
        1 << 2,                    /* endpoint (serve): a key lost its last client; signal = key */
    CAPOS_EVENT_EXIT = 1 << 3,     /* ProcessHandle; signal = exit code */
    CAPOS_EVENT_DEPLETED = 1 << 4, /* SchedulingContext: its budget has been spent */
    CAPOS_EVENT_DEADLINE = 1 << 5, /* Endpoint: a call was not answered in time; signal = key */
    /* endpoint (serve): a session has closed in which one of its objects was held; signal = first word
     * of its caller reference, 0 when there were several: look at all */
    CAPOS_EVENT_SESSION_CLOSED = 1 << 6,
    CAPOS_EVENTS_ALL = (1 << 7) - 1,
};

#endif
