/* SPDX-License-Identifier: MIT */
/*
 * Opening a payload that nobody has opened yet hashes it: a job of the caller's, charged to it, that
 * holds the caller's ring until it is done. Two callers that open the same payload at once both hash;
 * the first to finish decides, and the other finds it decided.
 */
#include "object/boot_package.h"

#include "core/archive.h"
#include "gen/boot.capnp.h"
#include "gen/kernel/boot.kernel.h"
#include "gen/kernel/types.h"
#include "gen/memory.capnp.h"
#include "gen/status.capnp.h"
#include "lib/base/string.h"
#include "mem/slab.h"
#include "object/memory_object.h"
#include "object/pending.h"
#include "object/process.h"
#include "object/root.h"

#define COMMAND_LINE_NAME "cmdline"

enum { LIST_MAX = 64 };

/* [j] the job, once it is submitted */
struct open_job {
    struct pending pending;     /* [j] */
    struct archive_check check; /* [j] */
    bool hashed;                /* [j] */
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

static bool open_slice(struct job *job)
{
    struct open_job *open = CONTAINER_OF(job, struct open_job, pending.job);
    if (!open->hashed) {
        open->hashed = archive_check_slice(&open->check);
        return false;
    }
    struct memory_object *memory = NULL;
    status_t status = archive_check_finish(&open->check, &memory);
    uint64_t words[8];
    size_t len = 0;
    struct capnp_builder builder;
    capnp_builder_init(&builder, words, sizeof(words));
    BootPackage_open_results_b results = BootPackage_open_results_init(&builder);
    BootPackage_open_results_set_size_bytes(results, status == ST_OK ? memory->size_bytes : 0);
    (void)capnp_finish(&builder, &len);
    pending_answer(&open->pending, status, words, len, status == ST_OK ? &memory->obj : NULL,
                   KTYPE_MEMORY_OBJECT, MemoryImage_FACET);
    slab_free(open);
    return true;
}

static status_t start_check(struct invocation *inv, uint32_t index)
{
    struct open_job *open = slab_alloc(inv->process->ledger, sizeof(*open));
    if (open == NULL) {
        return ST_QUOTA;
    }
    archive_check_start(&open->check, index);
    return pending_start(&open->pending, inv, open_slice);
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
