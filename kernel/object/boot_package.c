/* SPDX-License-Identifier: MIT */
/*
 * Opening a payload that nobody has opened yet hashes it: a job of the caller's, charged to it, that
 * holds the caller's ring until it is done. Two callers that open the same payload at once both hash;
 * the first to finish decides, and the other finds it decided. Cancelling frees the caller at once; the
 * job notices at its end.
 */
#include "object/boot_package.h"

#include "core/archive.h"
#include "core/job.h"
#include "gen/boot.capnp.h"
#include "gen/kernel/boot.kernel.h"
#include "gen/kernel/types.h"
#include "gen/memory.capnp.h"
#include "gen/status.capnp.h"
#include "lib/base/string.h"
#include "mem/slab.h"
#include "object/invoke.h"
#include "object/memory_object.h"
#include "object/process.h"
#include "object/root.h"
#include "ring/ring.h"

#define COMMAND_LINE_NAME "cmdline"

enum { LIST_MAX = 64 };

/* [I] immutable  [j] the job */
struct open_job {
    struct job job;
    struct ring *ring;          /* [I] held by its refs */
    struct record *rec;         /* [I] */
    uint32_t generation;        /* [I] */
    struct archive_check check; /* [j] */
};

status_t boot_package_create(struct kobj **out)
{
    return root_object_create(KTYPE_BOOT_PACKAGE, out);
}

status_t BootPackage_kernel_list(struct invocation *inv, BootPackage_list_params_r params,
                                 BootPackage_list_results_b results)
{
    (void)inv;
    uint32_t start = BootPackage_list_params_get_start(params);
    uint32_t total = archive_count();
    uint32_t count = start >= total ? 0 : total - start;
    if (count > LIST_MAX) {
        count = LIST_MAX;
    }
    struct capnp_list_b names = BootPackage_list_results_init_names(results, count);
    for (uint32_t i = 0; i < count; i++) {
        const char *name = archive_name(start + i);
        capnp_text_list_set(names, i, name, strlen(name));
    }
    BootPackage_list_results_set_total(results, total);
    BootPackage_list_results_set_anchored(results, archive_is_anchored());
    return ST_OK;
}

/* Answers at once; takes over the ref of `memory`. */
static status_t answer(struct invocation *inv, struct memory_object *memory,
                       BootPackage_open_results_b results)
{
    status_t status = invoke_reserve_caps(inv, 1);
    if (status != ST_OK) {
        kobj_unref(&memory->obj);
        return status;
    }
    BootPackage_open_results_set_size_bytes(results, memory->size_bytes);
    BootPackage_open_results_set_memory(
        results, invoke_add_cap(inv, &memory->obj, KTYPE_MEMORY_OBJECT, MemoryImage_FACET));
    return ST_OK;
}

/* The record is ours: its results, with the payload. Takes over the ref of `memory`. */
static void complete_open(struct record *rec, struct memory_object *memory)
{
    const struct kernel_interface *interface = &kernel_interfaces[KTYPE_MEMORY_OBJECT];
    uint64_t words[8];
    size_t len = 0;
    struct capnp_builder builder;
    capnp_builder_init(&builder, words, sizeof(words));
    BootPackage_open_results_b results = BootPackage_open_results_init(&builder);
    BootPackage_open_results_set_memory(results, 0);
    BootPackage_open_results_set_size_bytes(results, memory->size_bytes);
    (void)capnp_finish(&builder, &len);
    grant_ref(rec->route);
    struct capability cap = {
        .object = &memory->obj,
        .route = rec->route,
        .facet = MemoryImage_FACET,
        .interface = interface->id,
        .ktype = KTYPE_MEMORY_OBJECT,
        .mode = interface->mode,
        .scope = interface->scope,
    };
    record_complete_message(rec, words, (uint32_t)len, &cap, 1);
}

static bool open_slice(struct job *job)
{
    struct open_job *open = CONTAINER_OF(job, struct open_job, job);
    if (!archive_check_slice(&open->check)) {
        return false;
    }
    struct memory_object *memory;
    status_t status = archive_check_finish(&open->check, &memory);
    bool ours = record_claim(open->rec, open->generation);
    if (ours && status == ST_OK) {
        complete_open(open->rec, memory);
    } else if (ours) {
        record_complete(open->rec, status);
    } else if (status == ST_OK) {
        kobj_unref(&memory->obj);
    }
    struct ring *ring = open->ring;
    slab_free(open);
    ring_put(ring);
    return true;
}

static status_t start_check(struct invocation *inv, uint32_t index)
{
    struct open_job *open = slab_alloc(inv->process->ledger, sizeof(*open));
    if (open == NULL) {
        return ST_QUOTA;
    }
    struct record *rec = inv->record;
    open->ring = rec->ring;
    open->rec = rec;
    open->generation = atomic_load_relaxed(&rec->generation);
    job_init(&open->job, open_slice);
    archive_check_start(&open->check, index);
    lock_acquire(&inv->process->obj.lock);
    bool queued = record_queue_locked(rec, NULL);
    lock_release(&inv->process->obj.lock);
    if (!queued) {
        slab_free(open);
        return rec->doom;
    }
    atomic_add_relaxed(&rec->ring->refs, 1);
    record_arm(rec, inv->deadline_ns);
    job_submit(&open->job);
    return ST_PENDING;
}

status_t BootPackage_kernel_open(struct invocation *inv, BootPackage_open_params_r params,
                                 BootPackage_open_results_b results)
{
    struct capnp_text name = BootPackage_open_params_get_name(params);
    struct memory_object *memory = NULL;
    if (capnp_text_is(name, COMMAND_LINE_NAME)) {
        memory = archive_command_line();
        return memory == NULL ? ST_NOT_FOUND : answer(inv, memory, results);
    }
    uint32_t index;
    status_t status = archive_find(name.ptr, name.len, &index);
    if (status != ST_OK) {
        return status;
    }
    memory = archive_opened(index);
    return memory != NULL ? answer(inv, memory, results) : start_check(inv, index);
}
