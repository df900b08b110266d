/* SPDX-License-Identifier: MIT */
/* VirtualMemory: the methods. The object is the process; mem/aspace.h does the work. */
#include "cap/grant.h"
#include "gen/kernel/memory.kernel.h"
#include "gen/kernel/types.h"
#include "lib/base/bits.h"
#include "mem/aspace.h"
#include "object/memory_object.h"
#include "object/pending.h"
#include "object/process.h"
#include "ring/wait.h"

static struct aspace *target_of(const struct invocation *inv)
{
    return process_aspace(inv->target.object);
}

/* A refusal by the space of a process that ends, which only a loader can meet, says so. */
static status_t refusal(const struct invocation *inv, status_t status)
{
    return status < ST_OK && process_is_exiting(process_of(inv->target.object)) ? ST_DISCONNECTED
                                                                                : status;
}

status_t VirtualMemory_kernel_reserve(struct invocation *inv, VirtualMemory_reserve_params_r params,
                                      VirtualMemory_reserve_results_b results)
{
    uint64_t address;
    status_t status =
        aspace_reserve(target_of(inv), VirtualMemory_reserve_params_get_address(params),
                       VirtualMemory_reserve_params_get_size_bytes(params), &address);
    if (status == ST_OK) {
        VirtualMemory_reserve_results_set_address(results, address);
    }
    return refusal(inv, status);
}

/* Those who are parked on a word that is gone look again. */
static void tell_parked(struct aspace *as)
{
    struct process *process = CONTAINER_OF(as, struct process, aspace);
    lock_acquire(&process->obj.lock);
    if (LIKELY(tree_empty(&process->parked))) {
        lock_release(&process->obj.lock);
    } else {
        kobj_notify_unlock(&process->obj);
    }
}

/* The answer to a map says where; that to the others is empty. */
static bool go_on(struct job *job)
{
    struct aspace_op *op = CONTAINER_OF(job, struct aspace_op, pending.job);
    uint64_t words[4];
    size_t len = 0;
    struct capnp_builder builder;
    if (!aspace_op_slice(op, ASPACE_SLICE)) {
        return false;
    }
    tell_parked(op->as);
    capnp_builder_init(&builder, words, sizeof(words));
    if (op->fresh) {
        VirtualMemory_map_results_set_address(VirtualMemory_map_results_init(&builder), op->start);
    } else {
        (void)VirtualMemory_unmap_results_init(&builder);
    }
    (void)capnp_finish(&builder, &len);
    pending_answer(&op->pending, op->status, words, len, NULL, 0, 0);
    (void)aspace_op_end(op);
    return true;
}

/* What is not done yet is answered later. */
static status_t finish(struct invocation *inv, status_t status, struct aspace_op **op)
{
    status = refusal(inv, status);
    return status == ST_PENDING ? pending_start(&(*op)->pending, inv, go_on) : status;
}

/* The same for what takes pages away. */
static status_t finish_removal(struct invocation *inv, status_t status, struct aspace_op **op)
{
    if (status == ST_OK) {
        tell_parked(target_of(inv));
    }
    return finish(inv, status, op);
}

status_t VirtualMemory_kernel_commit(struct invocation *inv, VirtualMemory_commit_params_r params,
                                     VirtualMemory_commit_results_b results)
{
    struct aspace_op *op;
    (void)results;
    return finish(inv,
                  aspace_commit(target_of(inv), VirtualMemory_commit_params_get_address(params),
                                VirtualMemory_commit_params_get_size_bytes(params),
                                VirtualMemory_commit_params_get_protection(params), &op),
                  &op);
}

status_t VirtualMemory_kernel_decommit(struct invocation *inv,
                                       VirtualMemory_decommit_params_r params,
                                       VirtualMemory_decommit_results_b results)
{
    struct aspace_op *op;
    (void)results;
    return finish_removal(
        inv,
        aspace_decommit(target_of(inv), VirtualMemory_decommit_params_get_address(params),
                        VirtualMemory_decommit_params_get_size_bytes(params), &op),
        &op);
}

status_t VirtualMemory_kernel_protect(struct invocation *inv, VirtualMemory_protect_params_r params,
                                      VirtualMemory_protect_results_b results)
{
    struct aspace_op *op;
    (void)results;
    return finish(inv,
                  aspace_protect(target_of(inv), VirtualMemory_protect_params_get_address(params),
                                 VirtualMemory_protect_params_get_size_bytes(params),
                                 VirtualMemory_protect_params_get_protection(params), &op),
                  &op);
}

/* The methods of a memory object's facet that a mapping of this protection needs. */
static uint64_t rights_needed(enum Protection protection)
{
    uint64_t needed = BIT64(MemoryObject_map_ORDINAL);
    if (protection == PROTECTION_READ_WRITE) {
        needed |= BIT64(MemoryObject_map_write_ORDINAL);
    } else if (protection == PROTECTION_READ_EXECUTE) {
        needed |= BIT64(MemoryObject_map_execute_ORDINAL);
    }
    return needed;
}

/* The memory object that a call carries, with these rights. What is mapped into another process is found by
 * a revocation of the way to it, as a slot is. */
static status_t mapped_object(const struct invocation *inv, uint16_t index, uint64_t needed,
                              const struct capability **out)
{
    status_t status = invoke_param_cap(inv, index, KTYPE_MEMORY_OBJECT, out);
    if (status != ST_OK || ((*out)->facet & needed) != needed) {
        return status != ST_OK ? status : ST_NO_METHOD;
    }
    grant_note_holder((*out)->route, process_of(inv->target.object)->table.holder);
    return grant_is_live((*out)->route) ? ST_OK : ST_DISCONNECTED;
}

status_t VirtualMemory_kernel_map(struct invocation *inv, VirtualMemory_map_params_r params,
                                  VirtualMemory_map_results_b results)
{
    const struct capability *memory;
    enum Protection protection = VirtualMemory_map_params_get_protection(params);
    status_t status = mapped_object(inv, VirtualMemory_map_params_get_memory(params),
                                    rights_needed(protection), &memory);
    if (status != ST_OK) {
        return status;
    }
    struct aspace_op *op;
    uint64_t address = VirtualMemory_map_params_get_address(params);
    status = aspace_map_object(target_of(inv), memory_object_of(memory->object), memory->route,
                               &address, VirtualMemory_map_params_get_offset_bytes(params),
                               VirtualMemory_map_params_get_size_bytes(params), protection, &op);
    if (status == ST_OK) {
        VirtualMemory_map_results_set_address(results, address);
    }
    return finish(inv, status, &op);
}

status_t VirtualMemory_kernel_map_private(struct invocation *inv,
                                          VirtualMemory_map_private_params_r params,
                                          VirtualMemory_map_private_results_b results)
{
    const struct capability *memory;
    status_t status = mapped_object(inv, VirtualMemory_map_private_params_get_memory(params),
                                    rights_needed(PROTECTION_READ), &memory);
    if (status != ST_OK) {
        return status;
    }
    struct aspace_op *op;
    uint64_t address = VirtualMemory_map_private_params_get_address(params);
    status = aspace_map_private(target_of(inv), memory_object_of(memory->object), memory->route,
                                &address, VirtualMemory_map_private_params_get_offset_bytes(params),
                                VirtualMemory_map_private_params_get_size_bytes(params), &op);
    if (status == ST_OK) {
        VirtualMemory_map_private_results_set_address(results, address);
    }
    return finish(inv, status, &op);
}

status_t VirtualMemory_kernel_unmap(struct invocation *inv, VirtualMemory_unmap_params_r params,
                                    VirtualMemory_unmap_results_b results)
{
    struct aspace_op *op;
    (void)results;
    return finish_removal(inv,
                          aspace_unmap(target_of(inv),
                                       VirtualMemory_unmap_params_get_address(params),
                                       VirtualMemory_unmap_params_get_size_bytes(params), &op),
                          &op);
}
