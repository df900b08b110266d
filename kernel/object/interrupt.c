/* SPDX-License-Identifier: MIT */
/*
 * Theory: the port masks a level line when it fires, and `acknowledge` unmasks it, so a stuck device
 * costs one interrupt per acknowledgement; an edge line stays open, for an edge that comes while it is
 * masked would be lost. `pending` remembers an event that nobody waited for. States of a line: free,
 * claimed (an object in `lines`).
 *
 * Invariants: I1 lines[n] is non-NULL exactly while an object claims line n. I2 the object in lines[n]
 * is alive as long as the registry lock is held. I3 a line is routed, unrouted, masked and unmasked
 * for its holder under the registry lock, so a former holder never touches the next one's line.
 * Locks: the registry lock for `lines`, obj.lock for `pending`; the registry lock is never held while
 * obj.lock is taken, so firing takes a ref in between.
 */
#include "object/interrupt.h"

#include "abi/ring.h"
#include "arch/arch.h"
#include "gen/kernel/devices.kernel.h"
#include "gen/kernel/types.h"
#include "gen/status.capnp.h"
#include "mem/slab.h"
#include "object/invoke.h"
#include "object/process.h"
#include "object/root.h"
#include "ring/wait.h"

enum { ISA_LINES = 16 };

/* [I] immutable  [o] obj.lock */
struct interrupt {
    struct kobj obj;
    unsigned line; /* [I] global system interrupt */
    bool pending;  /* [o] */
};

static struct {
    struct spinlock lock;
    struct interrupt *lines[ARCH_IRQ_MAX]; /* under lock */
} claims = {.lock = SPINLOCK_INIT(LOCK_REGISTRY)};

status_t interrupt_root_create(struct kobj **out)
{
    return root_object_create(KTYPE_INTERRUPT_ROOT, out);
}

static struct interrupt *interrupt_of(struct kobj *obj)
{
    return CONTAINER_OF(obj, struct interrupt, obj);
}

static uint32_t interrupt_poll(struct kobj *obj, uint32_t mask, uint64_t bits, uint64_t *signal_out)
{
    struct interrupt *interrupt = interrupt_of(obj);
    if ((mask & CAPOS_EVENT_SIGNALLED) == 0 || (bits & 1) == 0 || !interrupt->pending) {
        return 0;
    }
    interrupt->pending = false;
    *signal_out = 1;
    return CAPOS_EVENT_SIGNALLED;
}

/* The last capability is gone: the line is free for the next driver at once. */
static void interrupt_no_slots(struct kobj *obj)
{
    struct interrupt *interrupt = interrupt_of(obj);
    lock_acquire(&claims.lock);
    if (claims.lines[interrupt->line] == interrupt) {
        claims.lines[interrupt->line] = NULL;
        arch_irq_mask(interrupt->line);
        arch_irq_unroute(interrupt->line);
    }
    lock_release(&claims.lock);
    kobj_kill(obj);
}

static void interrupt_destroy(struct kobj *obj)
{
    struct ledger *ledger = obj->ledger;
    slab_free(interrupt_of(obj));
    ledger_refund(ledger, LEDGER_CLASS_INTERRUPTS, 1);
}

static const struct kobj_ops interrupt_ops = {
    .name = "interrupt",
    .no_slots = interrupt_no_slots,
    .destroy = interrupt_destroy,
    .poll = interrupt_poll,
};

static bool claim(struct interrupt *interrupt)
{
    lock_acquire(&claims.lock);
    bool free = claims.lines[interrupt->line] == NULL &&
                arch_irq_route(interrupt->line, 0, false, false, false);
    if (free) {
        claims.lines[interrupt->line] = interrupt;
    }
    lock_release(&claims.lock);
    return free;
}

static status_t interrupt_open(struct ledger *ledger, unsigned line, struct interrupt **out)
{
    if (ledger_charge(ledger, LEDGER_CLASS_INTERRUPTS, 1) != ST_OK) {
        return ST_QUOTA;
    }
    struct interrupt *interrupt = slab_alloc(ledger, sizeof(*interrupt));
    if (interrupt == NULL) {
        ledger_refund(ledger, LEDGER_CLASS_INTERRUPTS, 1);
        return ST_QUOTA;
    }
    interrupt->line = line;
    kobj_init(&interrupt->obj, KTYPE_INTERRUPT, &interrupt_ops, ledger);
    if (!claim(interrupt)) {
        kobj_unref(&interrupt->obj);
        return ST_BUSY;
    }
    arch_irq_unmask(line);
    *out = interrupt;
    return ST_OK;
}

status_t InterruptRoot_kernel_open(struct invocation *inv, InterruptRoot_open_params_r params,
                                   InterruptRoot_open_results_b results)
{
    uint32_t asked = InterruptRoot_open_params_get_line(params);
    unsigned line = asked < ISA_LINES ? arch_irq_of_isa(asked) : asked;
    if (line >= arch_irq_lines() || line >= ARCH_IRQ_MAX) {
        return ST_BAD_ARGUMENT;
    }
    status_t status = invoke_reserve_caps(inv, 1);
    if (status != ST_OK) {
        return status;
    }
    struct interrupt *interrupt;
    status = interrupt_open(inv->process->ledger, line, &interrupt);
    if (status != ST_OK) {
        return status;
    }
    uint16_t index = invoke_add_cap(inv, &interrupt->obj, KTYPE_INTERRUPT,
                                    kernel_interfaces[KTYPE_INTERRUPT].facet_all);
    InterruptRoot_open_results_set_interrupt(results, index);
    return ST_OK;
}

status_t Interrupt_kernel_acknowledge(struct invocation *inv, Interrupt_acknowledge_params_r params,
                                      Interrupt_acknowledge_results_b results)
{
    (void)params;
    (void)results;
    struct interrupt *interrupt = interrupt_of(inv->target.object);
    status_t status = ST_DISCONNECTED;
    lock_acquire(&claims.lock);
    if (claims.lines[interrupt->line] == interrupt) {
        arch_irq_unmask(interrupt->line);
        status = ST_OK;
    }
    lock_release(&claims.lock);
    return status;
}

void interrupt_fire(unsigned line)
{
    struct interrupt *interrupt = NULL;
    lock_acquire(&claims.lock);
    if (line < ARCH_IRQ_MAX && claims.lines[line] != NULL) {
        interrupt = claims.lines[line];
        kobj_ref(&interrupt->obj);
    }
    lock_release(&claims.lock);
    if (interrupt == NULL) {
        arch_irq_mask(line);
        return;
    }
    lock_acquire(&interrupt->obj.lock);
    interrupt->pending = true;
    lock_release(&interrupt->obj.lock);
    kobj_notify(&interrupt->obj);
    kobj_unref(&interrupt->obj);
}
