/* SPDX-License-Identifier: MIT */
/*
 * A bitmap of claims says which ports somebody holds. A claim is made when an IoPorts object is opened
 * and given back when it is destroyed, that is when its last capability and the last operation under
 * way are gone. Ports that the kernel drives itself are never given out. A run moves at most
 * RUN_MAX_BYTES bytes, so a call is bounded whatever the device says.
 */
#include "object/io_ports.h"

#include "arch/arch.h"
#include "core/log.h"
#include "gen/kernel/devices.kernel.h"
#include "gen/kernel/types.h"
#include "gen/status.capnp.h"
#include "mem/slab.h"
#include "object/invoke.h"
#include "object/process.h"
#include "object/root.h"

enum { PORTS = 65536, RUN_MAX_BYTES = 256, COM1_BASE = 0x3f8, COM1_COUNT = 8 };

/* [I] immutable */
struct io_ports {
    struct kobj obj;
    uint16_t base;  /* [I] */
    uint32_t count; /* [I] 1 to 65,536 - base */
};

static struct {
    struct spinlock lock;
    uint64_t bits[PORTS / 64]; /* under lock */
} claims = {.lock = SPINLOCK_INIT(LOCK_REGISTRY)};

status_t io_ports_root_create(struct kobj **out)
{
    return root_object_create(KTYPE_IO_PORTS_ROOT, out);
}

/* The bits of [port, end) in the word that holds `port`. */
static uint64_t word_bits(uint32_t port, uint32_t end)
{
    uint64_t bits = UINT64_MAX << (port % 64);
    return port / 64 == end / 64 ? bits & ~(UINT64_MAX << (end % 64)) : bits;
}

static bool any_claimed_locked(uint32_t base, uint32_t end)
{
    for (uint32_t port = base; port < end; port = (port | 63) + 1) {
        if ((claims.bits[port / 64] & word_bits(port, end)) != 0) {
            return true;
        }
    }
    return false;
}

static void set_claims_locked(uint32_t base, uint32_t end, bool claimed)
{
    for (uint32_t port = base; port < end; port = (port | 63) + 1) {
        uint64_t bits = word_bits(port, end);
        claims.bits[port / 64] =
            claimed ? claims.bits[port / 64] | bits : claims.bits[port / 64] & ~bits;
    }
}

static bool claim(uint32_t base, uint32_t count)
{
    lock_acquire(&claims.lock);
    bool free = !any_claimed_locked(base, base + count);
    if (free) {
        set_claims_locked(base, base + count, true);
    }
    lock_release(&claims.lock);
    return free;
}

static struct io_ports *io_ports_of(struct kobj *obj)
{
    return CONTAINER_OF(obj, struct io_ports, obj);
}

static void io_ports_destroy(struct kobj *obj)
{
    struct io_ports *ports = io_ports_of(obj);
    lock_acquire(&claims.lock);
    set_claims_locked(ports->base, ports->base + ports->count, false);
    lock_release(&claims.lock);
    slab_free(ports);
}

static const struct kobj_ops io_ports_ops = {
    .name = "I/O ports",
    .destroy = io_ports_destroy,
};

static bool covers_com1(uint32_t base, uint32_t count)
{
    return base < COM1_BASE + COM1_COUNT && base + count > COM1_BASE;
}

status_t IoPortsRoot_kernel_open(struct invocation *inv, IoPortsRoot_open_params_r params,
                                 IoPortsRoot_open_results_b results)
{
    uint16_t base = IoPortsRoot_open_params_get_base(params);
    uint32_t count = IoPortsRoot_open_params_get_count(params);
    if (count == 0 || base + count > PORTS) {
        return ST_BAD_ARGUMENT;
    }
    if (arch_port_reserved(base, count)) {
        return ST_BUSY;
    }
    status_t status = invoke_reserve_caps(inv, 1);
    if (status != ST_OK) {
        return status;
    }
    struct io_ports *ports = slab_alloc(inv->process->ledger, sizeof(*ports));
    if (ports == NULL) {
        return ST_QUOTA;
    }
    if (!claim(base, count)) {
        slab_free(ports);
        return ST_BUSY;
    }
    ports->base = base;
    ports->count = count;
    kobj_init(&ports->obj, KTYPE_IO_PORTS, &io_ports_ops, inv->process->ledger);
    if (covers_com1(base, count)) {
        log_release_serial();
    }
    IoPortsRoot_open_results_set_ports(results,
                                       invoke_add_cap(inv, &ports->obj, KTYPE_IO_PORTS,
                                                      kernel_interfaces[KTYPE_IO_PORTS].facet_all));
    return ST_OK;
}

status_t IoPorts_kernel_info(struct invocation *inv, IoPorts_info_params_r params,
                             IoPorts_info_results_b results)
{
    (void)params;
    const struct io_ports *ports = io_ports_of(inv->target.object);
    IoPorts_info_results_set_base(results, ports->base);
    IoPorts_info_results_set_count(results, (uint16_t)ports->count);
    return ST_OK;
}

/* The absolute port when [offset, offset + width) lies in the range and the width exists. */
static bool port_at(const struct io_ports *ports, uint32_t offset, uint32_t width, uint16_t *out)
{
    if ((width != 1 && width != 2 && width != 4) || offset + width > ports->count) {
        return false;
    }
    *out = (uint16_t)(ports->base + offset);
    return true;
}

status_t IoPorts_kernel_read(struct invocation *inv, IoPorts_read_params_r params,
                             IoPorts_read_results_b results)
{
    uint8_t width = IoPorts_read_params_get_width_bytes(params);
    uint16_t port;
    uint32_t value;
    if (!port_at(io_ports_of(inv->target.object), IoPorts_read_params_get_offset(params), width,
                 &port) ||
        !arch_port_in(port, width, &value)) {
        return ST_BAD_ARGUMENT;
    }
    IoPorts_read_results_set_value(results, value);
    return ST_OK;
}

status_t IoPorts_kernel_write(struct invocation *inv, IoPorts_write_params_r params,
                              IoPorts_write_results_b results)
{
    (void)results;
    uint8_t width = IoPorts_write_params_get_width_bytes(params);
    uint16_t port;
    if (!port_at(io_ports_of(inv->target.object), IoPorts_write_params_get_offset(params), width,
                 &port) ||
        !arch_port_out(port, width, IoPorts_write_params_get_value(params))) {
        return ST_BAD_ARGUMENT;
    }
    return ST_OK;
}

/* A run: which ports, and the condition under which it goes on. */
struct run {
    uint16_t status_port;
    uint16_t data_port;
    uint8_t mask;
    uint8_t match;
};

static bool may_go_on(const struct run *run)
{
    uint32_t status;
    return run->mask == 0 ||
           (arch_port_in(run->status_port, 1, &status) && (status & run->mask) == run->match);
}

static bool run_at(const struct io_ports *ports, uint32_t status_offset, uint32_t data_offset,
                   struct run *run)
{
    return port_at(ports, status_offset, 1, &run->status_port) &&
           port_at(ports, data_offset, 1, &run->data_port);
}

/* Asked before the device is: what has been read from it cannot be read again. */
static bool fits(const struct capnp_builder *results, uint32_t bytes)
{
    return results->status == CAPNP_OK &&
           (uint64_t)(results->capacity_words - results->used_words) * 8 >= bytes;
}

status_t IoPorts_kernel_read_run(struct invocation *inv, IoPorts_read_run_params_r params,
                                 IoPorts_read_run_results_b results)
{
    uint32_t max_bytes = IoPorts_read_run_params_get_max_bytes(params);
    struct run run = {.mask = IoPorts_read_run_params_get_mask(params),
                      .match = IoPorts_read_run_params_get_match(params)};
    if (max_bytes > RUN_MAX_BYTES ||
        !run_at(io_ports_of(inv->target.object), IoPorts_read_run_params_get_status_offset(params),
                IoPorts_read_run_params_get_data_offset(params), &run)) {
        return ST_BAD_ARGUMENT;
    }
    if (!fits(results.s.b, max_bytes)) {
        return ST_RESULT_TOO_SMALL;
    }
    uint8_t bytes[RUN_MAX_BYTES];
    uint32_t count = 0;
    uint32_t value;
    while (count < max_bytes && may_go_on(&run) && arch_port_in(run.data_port, 1, &value)) {
        bytes[count++] = (uint8_t)value;
    }
    IoPorts_read_run_results_set_data(results, bytes, count);
    return ST_OK;
}

status_t IoPorts_kernel_write_run(struct invocation *inv, IoPorts_write_run_params_r params,
                                  IoPorts_write_run_results_b results)
{
    struct capnp_data data = IoPorts_write_run_params_get_data(params);
    struct run run = {.mask = IoPorts_write_run_params_get_mask(params),
                      .match = IoPorts_write_run_params_get_match(params)};
    if (data.len > RUN_MAX_BYTES ||
        !run_at(io_ports_of(inv->target.object), IoPorts_write_run_params_get_status_offset(params),
                IoPorts_write_run_params_get_data_offset(params), &run)) {
        return ST_BAD_ARGUMENT;
    }
    uint16_t written = 0;
    while (written < data.len && may_go_on(&run) &&
           arch_port_out(run.data_port, 1, data.ptr[written])) {
        written++;
    }
    IoPorts_write_run_results_set_written(results, written);
    return ST_OK;
}
