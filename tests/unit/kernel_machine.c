/* SPDX-License-Identifier: MIT */
#include "tests/unit/kernel_machine.h"

#include "tests/unit/aspace_ops.h"

#include <stdlib.h>

#include "mem/frames.h"

/* The linker sends every call of frame_alloc from another file here (--wrap). */
struct paddr __real_frame_alloc(void);
struct paddr __real_frame_alloc_zeroed(void);
struct paddr __wrap_frame_alloc(void);
struct paddr __wrap_frame_alloc_zeroed(void);

static _Atomic unsigned calls_left; /* before the first refusal; 0 = never refuse */
static _Atomic bool failed;

static bool refuse(void)
{
    unsigned left = atomic_load_relaxed(&calls_left);
    if (left == 0) {
        return false;
    }
    if (left > 1) {
        atomic_store_relaxed(&calls_left, left - 1);
        return false;
    }
    atomic_store_relaxed(&failed, true);
    return true;
}

struct paddr __wrap_frame_alloc(void)
{
    return refuse() ? PADDR_NONE : __real_frame_alloc();
}

struct paddr __wrap_frame_alloc_zeroed(void)
{
    return refuse() ? PADDR_NONE : __real_frame_alloc_zeroed();
}

void frames_fail_at(unsigned n)
{
    atomic_store_relaxed(&failed, false);
    atomic_store_relaxed(&calls_left, n);
}

bool frames_failed(void)
{
    return atomic_load_relaxed(&failed);
}

void machine_limits(uint64_t limits[LEDGER_CLASSES], uint64_t n, uint64_t pages)
{
    for (unsigned c = 0; c < LEDGER_CLASSES; c++) {
        limits[c] = n;
    }
    limits[LEDGER_CLASS_FRAMES] = pages;
    limits[LEDGER_CLASS_KERNEL_PAGES] = pages;
}

struct ledger *machine_start(unsigned cpus)
{
    static struct host_config config = {.ram_bytes = MACHINE_RAM_BYTES, .seed = 1};
    uint64_t limits[LEDGER_CLASSES];
    config.cpus = cpus;
    frames_init(host_machine_init(&config));
    machine_limits(limits, 1 << 20, MACHINE_RAM_BYTES / 4096 / 2);
    return ledger_create_root(limits);
}

void grant_kill(struct grant *grant)
{
    grant_ref(grant);
    for (struct grant *at = grant; at != NULL; at = grant_next(grant, at)) {
        grant_end(at);
    }
}

struct ledger_state ledger_state(struct ledger *ledger)
{
    struct ledger_state state;
    for (unsigned c = 0; c < LEDGER_CLASSES; c++) {
        state.used[c] = atomic_load_relaxed(&ledger->used[c]);
        state.limit[c] = atomic_load_relaxed(&ledger->limit[c]);
    }
    state.refs = atomic_load_relaxed(&ledger->obj.refs);
    state.slab_pages = ledger->slabs.pages;
    return state;
}

static struct plain_object *plain_of(struct kobj *obj)
{
    return CONTAINER_OF(obj, struct plain_object, obj);
}

static void plain_no_slots(struct kobj *obj)
{
    if (plain_of(obj)->emptied != NULL) {
        __atomic_fetch_add(plain_of(obj)->emptied, 1, __ATOMIC_RELAXED);
    }
}

static void plain_destroy(struct kobj *obj)
{
    unsigned *destroyed = plain_of(obj)->destroyed;
    slab_free(plain_of(obj));
    if (destroyed != NULL) {
        __atomic_fetch_add(destroyed, 1, __ATOMIC_RELAXED);
    }
}

static const struct kobj_ops plain_ops = {
    .name = "plain",
    .no_slots = plain_no_slots,
    .destroy = plain_destroy,
};

struct plain_object *plain_object_new(struct ledger *ledger, uint8_t ktype)
{
    struct plain_object *object = slab_alloc(ledger, sizeof(*object));
    if (object == NULL) {
        abort();
    }
    kobj_init(&object->obj, ktype, &plain_ops, ledger);
    return object;
}

static bool op_go_on(struct job *job)
{
    struct aspace_op *op = CONTAINER_OF(job, struct aspace_op, pending.job);
    if (!aspace_op_slice(op, ASPACE_SLICE)) {
        return false;
    }
    (void)aspace_op_end(op);
    return true;
}

status_t op_run(status_t begun, struct aspace_op **out)
{
    enum { SLICES = 300 }; /* of work that waits for nobody */
    if (begun != ST_PENDING) {
        return begun;
    }
    struct aspace_op *op = *out;
    for (int i = 0; i < SLICES; i++) {
        if (aspace_op_slice(op, ASPACE_SLICE)) {
            return aspace_op_end(op);
        }
    }
    job_init(&op->pending.job, op_go_on);
    job_submit(&op->pending.job);
    return ST_OK;
}
