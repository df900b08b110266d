/* SPDX-License-Identifier: MIT */
/*
 * Threads and their thread-local storage.
 *
 * A thread starts with its stack pointer at its thread pointer (docs/decisions/0063). There a word points
 * to itself, as the machine's convention has it; below it lies the program's thread-local storage, a
 * copy of what the image's PT_TLS segment holds; below that the stack. Who makes a thread lays all this
 * out in memory that it takes from `memory`, behind a hole of one page:
 *
 *     hole | stack ... | thread-local storage | self | struct block | to the page's end
 *
 * The last act of a thread is to say in its block that it has left the memory, and `exit`, without a
 * stack between the two. So whoever sees that may unmap the memory: that is how a detached thread's is
 * given back.
 */
#include "capos/thread.h"

#include "abi/layout.h"
#include "capos/ring.h"
#include "capos/start.h"
#include "internal.h"
#include "lib/base/bits.h"
#include "lib/base/string.h"
#include "memory.client.h"
#include "status.capnp.h"
#include "thread.client.h"

enum {
    DEFAULT_STACK_BYTES = 65536,
    MIN_STACK_BYTES = 4096,
    MAX_STACK_BYTES = 64 << 20,
};

/* At its thread pointer + 64: what a thread finds when it starts. */
struct block {
    uint64_t tls_bytes; /* for the entry: first */
    capos_thread_fn run;
    void *argument;
    _Atomic uint32_t left; /* 1: it touches this memory no more */
    struct block *next;    /* of detached ones; the list's mutex */
    uint64_t memory, memory_bytes;
};

enum { BLOCK_OFFSET = 64, TOP_BYTES = BLOCK_OFFSET + 64 }; /* multiples of 64 */
static_assert(sizeof(struct block) <= TOP_BYTES - BLOCK_OFFSET, "room for the block");

extern void capos_thread_entry(uint64_t thread_pointer, uint64_t ring);
NORETURN void capos_thread_main(uint64_t thread_pointer, struct capos_ring_header *ring);
NORETURN void capos_thread_leave(int64_t code, _Atomic uint32_t *left);

static struct {
    struct capos_mutex mutex;
    struct block *first;
} detached;

static struct block *block_at(uint64_t thread_pointer)
{
    return (struct block *)(uintptr_t)(thread_pointer + BLOCK_OFFSET);
}

/* ---- starting ---- */

NO_STACK_PROTECTOR NORETURN void capos_thread_main(uint64_t thread_pointer,
                                                   struct capos_ring_header *ring)
{
    struct block *block = block_at(thread_pointer);
    if (!capos_ring_open(ring, ring->total_bytes)) {
        capos_sys_exit(CAPOS_EXIT_BAD_RING);
    }
    capos_thread_exit(block->run(block->argument));
}

NORETURN void capos_thread_exit(int64_t code)
{
    static _Atomic uint32_t nobodys;
    uint64_t thread_pointer = capos_thread_pointer();
    capos_release_all();
    const struct capos_capset *page = capos_capset();
    bool first = thread_pointer - page->stack_base < page->stack_bytes;
    capos_thread_leave(code, first ? &nobodys : &block_at(thread_pointer)->left);
}

/* ---- memory ---- */

static void give_memory_back(uint64_t memory, uint64_t memory_bytes)
{
    capos_cap_t space = capos_capset_try("memory", VirtualMemory_ID);
    (void)VirtualMemory_unmap(space, memory, memory_bytes);
}

/* Memory of detached threads that have left it. */
static void give_left_back(void)
{
    capos_mutex_lock(&detached.mutex);
    for (struct block **at = &detached.first; *at != NULL;) {
        struct block *block = *at;
        if (atomic_load_explicit(&block->left, memory_order_acquire) != 0) {
            *at = block->next;
            give_memory_back(block->memory, block->memory_bytes);
        } else {
            at = &block->next;
        }
    }
    capos_mutex_unlock(&detached.mutex);
}

/* A hole of a page and committed memory behind it. */
static status_t take_memory(struct capos_thread *thread, uint64_t bytes)
{
    capos_cap_t space = capos_capset_try("memory", VirtualMemory_ID);
    if (space == 0) {
        return ST_NOT_FOUND;
    }
    thread->memory_bytes = CAPOS_PAGE_BYTES + align_up(bytes, CAPOS_PAGE_BYTES);
    status_t status = VirtualMemory_reserve(space, 0, thread->memory_bytes, &thread->memory);
    if (status != ST_OK) {
        return status;
    }
    status = VirtualMemory_commit(space, thread->memory + CAPOS_PAGE_BYTES,
                                  thread->memory_bytes - CAPOS_PAGE_BYTES, PROTECTION_READ_WRITE);
    if (status != ST_OK) {
        give_memory_back(thread->memory, thread->memory_bytes);
    }
    return status;
}

status_t capos_thread_create(struct capos_thread *thread, capos_thread_fn run, void *argument,
                             uint64_t stack_bytes, uint32_t ring_entries)
{
    capos_cap_t spawner = capos_capset_try("threads", ThreadSpawner_ID);
    uint64_t stack = stack_bytes != 0 ? stack_bytes : DEFAULT_STACK_BYTES;
    if (spawner == 0) {
        return ST_NOT_FOUND;
    }
    if (stack < MIN_STACK_BYTES || stack > MAX_STACK_BYTES) {
        return ST_BAD_ARGUMENT;
    }
    give_left_back();
    status_t status = take_memory(thread, stack + capos_tls_bytes() + TOP_BYTES);
    if (status != ST_OK) {
        return status;
    }
    uint64_t top = thread->memory + thread->memory_bytes - TOP_BYTES;
    struct block *block = block_at(top);
    *block = (struct block){
        .tls_bytes = capos_tls_bytes(),
        .run = run,
        .argument = argument,
        .memory = thread->memory,
        .memory_bytes = thread->memory_bytes,
    };
    status = ThreadSpawner_spawn(spawner, (uintptr_t)capos_thread_entry, top, top, ring_entries,
                                 &thread->handle);
    if (status != ST_OK) {
        give_memory_back(thread->memory, thread->memory_bytes);
    }
    return status;
}

/* ---- ending ---- */

status_t capos_thread_join(struct capos_thread *thread, int64_t *code_out)
{
    struct capos_op op;
    capos_op_init_wait(&op, thread->handle, CAPOS_EVENT_EXIT, 0);
    int32_t result = capos_op_run(&op);
    if (result < 0) {
        return result;
    }
    if (code_out != NULL) {
        *code_out = (int64_t)op.cqe.signal;
    }
    capos_release(thread->handle);
    give_memory_back(thread->memory, thread->memory_bytes);
    give_left_back();
    return ST_OK;
}

void capos_thread_detach(struct capos_thread *thread)
{
    struct block *block = block_at(thread->memory + thread->memory_bytes - TOP_BYTES);
    capos_release(thread->handle);
    capos_mutex_lock(&detached.mutex);
    block->next = detached.first;
    detached.first = block;
    capos_mutex_unlock(&detached.mutex);
}
