/* SPDX-License-Identifier: MIT */
/*
 * The flight recorder's records, as KernelTrace.read gives them: 64 bytes each, oldest first. Bytes of messages are in
 * those of kind MESSAGE alone, and there are such only of processes whose spawner has said `recordable`.
 */
#ifndef CAPOS_ABI_TRACE_H
#define CAPOS_ABI_TRACE_H

#include <assert.h>
#include <stdint.h>

enum capos_trace_kind {
    CAPOS_TRACE_NONE = 0,
    CAPOS_TRACE_SUBMIT =
        1, /* an entry is carried out. op, method, caps: what it transfers; position,
                                 cap, interface (RETURN: call id) of the entry; value: params_len, and
                                 flags in the upper half */
    CAPOS_TRACE_COMPLETE =
        2, /* method: flags of the completion; caps that came; position; value: result;
                                 cap: bill; interface: the third word */
    CAPOS_TRACE_DELIVER = 3, /* a call of this thread went to a server: position */
    CAPOS_TRACE_RECEIVE =
        4,                 /* a call came to this thread: method, caps; position: call id; cap: key;
                                 interface; value: params_len */
    CAPOS_TRACE_RUN = 5,   /* the thread runs, on `cpu`, */
    CAPOS_TRACE_STOP = 6,  /* and has stopped; value 1: it waits, 0: others come first */
    CAPOS_TRACE_FAULT = 7, /* cap: address; interface: instruction; value: the machine's code */
    CAPOS_TRACE_START = 8, /* the thread was made */
    CAPOS_TRACE_END = 9,   /* and has ended; value: exit code; op 1: with its process */
    CAPOS_TRACE_MESSAGE =
        10, /* what the entry at `position` sends, as it lay when the entry was taken: op: how many bytes,
                                 method: from which on; they are in cap, interface and value */
    CAPOS_TRACE_KINDS = 11,
};

/* Of a message so many bytes are recorded at most, so many in a record. */
enum { CAPOS_TRACE_MESSAGE_BYTES = 96, CAPOS_TRACE_PIECE_BYTES = 24 };

struct capos_trace_record {
    uint64_t time_ns;
    uint64_t process;
    uint64_t thread;
    uint8_t kind;
    uint8_t op;
    uint16_t method;
    uint16_t cpu;
    uint16_t caps;
    uint64_t position;
    uint64_t cap;
    uint64_t interface;
    uint64_t value;
};
static_assert(sizeof(struct capos_trace_record) == 64, "trace record");

#endif
