/* SPDX-License-Identifier: MIT */
#include "object/memory_object.h"

#include "arch/user.h"
#include "cap/ledger.h"
#include "core/panic.h"
#include "gen/kernel/memory.kernel.h"
#include "gen/kernel/types.h"
#include "lib/base/bits.h"
#include "mem/frames.h"
#include "mem/slab.h"

enum { END_SLICE_PAGES = 256 };

struct paddr memory_object_frame(const struct memory_object *object, uint32_t index)
{
    KDEBUG_ASSERT(index < object->npages);
    if (object->borrowed) {
        return paddr(object->base.v + (uint64_t)index * PAGE_BYTES);
    }
    if (object->npages <= MEMORY_OBJECT_DIRECT) {
        return object->direct[index];
    }
    return object->lists[index / MEMORY_OBJECT_LIST_FRAMES][index % MEMORY_OBJECT_LIST_FRAMES];
}

/* ---- the end ---- */

/* Frees the last page of an owned object. */
static void drop_last(struct memory_object *object)
{
    uint32_t index = object->npages - 1;
    frame_free(memory_object_frame(object, index));
    bool in_lists = object->npages > MEMORY_OBJECT_DIRECT;
    if (in_lists && index % MEMORY_OBJECT_LIST_FRAMES == 0) {
        kpage_free(object->obj.ledger, object->lists[index / MEMORY_OBJECT_LIST_FRAMES]);
    }
    /* The first pages of the first list move into the struct as it shrinks to them. */
    if (object->npages == MEMORY_OBJECT_DIRECT + 1) {
        struct paddr *list = object->lists[0];
        for (uint32_t i = 0; i < MEMORY_OBJECT_DIRECT; i++) {
            object->direct[i] = list[i];
        }
        kpage_free(object->obj.ledger, list);
    }
    object->npages--;
}

/* Frees up to `max` pages and at last the object; true when it is gone. */
static bool end_slice(struct memory_object *object, uint32_t max)
{
    struct ledger *ledger = object->obj.ledger;
    uint32_t freed = 0;
    while (!object->borrowed && object->npages > 0 && freed < max) {
        drop_last(object);
        freed++;
    }
    if (ledger != NULL) {
        ledger_refund(ledger, LEDGER_CLASS_FRAMES, freed);
    }
    if (!object->borrowed && object->npages > 0) {
        return false;
    }
    slab_free(object);
    return true;
}

static bool end_run(struct job *job)
{
    struct memory_object *object = CONTAINER_OF(job, struct memory_object, end_job);
    struct ledger *ledger = object->obj.ledger;
    bool done = end_slice(object, END_SLICE_PAGES);
    if (done && ledger != NULL) {
        ledger_unref(ledger);
    }
    return done;
}

static void memory_object_destroy(struct kobj *obj)
{
    struct memory_object *object = memory_object_of(obj);
    KASSERT(object->mappings == 0);
    if (object->borrowed || object->npages <= END_SLICE_PAGES) {
        (void)end_slice(object, UINT32_MAX);
        return;
    }
    if (obj->ledger != NULL) {
        ledger_ref(obj->ledger); /* the job's: kobj_unref drops the object's when this returns */
    }
    job_submit(&object->end_job);
}

static const struct kobj_ops memory_object_ops = {
    .name = "memory object",
    .destroy = memory_object_destroy,
};

/* ---- making ---- */

static struct memory_object *object_new(struct ledger *ledger, uint64_t size_bytes)
{
    struct memory_object *object = slab_alloc(ledger, sizeof(*object));
    if (object != NULL) {
        kobj_init(&object->obj, KTYPE_MEMORY_OBJECT, &memory_object_ops, ledger);
        lock_init(&object->lock, LOCK_MEMORY_OBJECT);
        job_init(&object->end_job, end_run);
        object->size_bytes = size_bytes;
    }
    return object;
}

/* Undoes object_new, and the pages so far, at once. */
static void object_undo(struct memory_object *object)
{
    struct ledger *ledger = object->obj.ledger;
    while (object->npages > 0) {
        drop_last(object);
    }
    slab_free(object);
    if (ledger != NULL) {
        ledger_unref(ledger);
    }
}

/* Adds one zeroed page; the mirror of drop_last. */
static bool add_page(struct memory_object *object)
{
    uint32_t index = object->npages;
    struct paddr frame = frame_alloc_zeroed();
    if (paddr_is_none(frame)) {
        (void)ledger_refuse(LEDGER_CLASS_FRAMES);
        return false;
    }
    if (index < MEMORY_OBJECT_DIRECT) {
        object->direct[index] = frame;
        object->npages++;
        return true;
    }
    if (index == MEMORY_OBJECT_DIRECT || index % MEMORY_OBJECT_LIST_FRAMES == 0) {
        struct paddr *list = kpage_alloc(object->obj.ledger);
        if (list == NULL) {
            frame_free(frame);
            return false;
        }
        if (index == MEMORY_OBJECT_DIRECT) {
            for (uint32_t i = 0; i < MEMORY_OBJECT_DIRECT; i++) {
                list[i] = object->direct[i];
            }
        }
        object->lists[index / MEMORY_OBJECT_LIST_FRAMES] = list;
    }
    object->lists[index / MEMORY_OBJECT_LIST_FRAMES][index % MEMORY_OBJECT_LIST_FRAMES] = frame;
    object->npages++;
    return true;
}

status_t memory_object_create(struct ledger *ledger, uint64_t size_bytes,
                              struct memory_object **out)
{
    uint64_t pages = size_bytes >> PAGE_SHIFT;
    if (!page_aligned(size_bytes) || pages == 0 || pages > MEMORY_OBJECT_MAX_PAGES) {
        return ST_BAD_ARGUMENT;
    }
    if (ledger != NULL && ledger_charge(ledger, LEDGER_CLASS_FRAMES, pages) != ST_OK) {
        return ST_QUOTA;
    }
    struct memory_object *object = object_new(ledger, size_bytes);
    while (object != NULL && object->npages < pages) {
        if (!add_page(object)) {
            object_undo(object);
            object = NULL;
        }
    }
    if (object == NULL) {
        if (ledger != NULL) {
            ledger_refund(ledger, LEDGER_CLASS_FRAMES, pages);
        }
        return ST_QUOTA;
    }
    *out = object;
    return ST_OK;
}

status_t memory_object_create_borrowed(struct ledger *ledger, struct paddr base,
                                       uint64_t size_bytes, struct memory_object **out)
{
    struct memory_object *object = object_new(ledger, size_bytes);
    if (object == NULL) {
        return ST_QUOTA;
    }
    object->borrowed = true;
    object->sealed = true;
    object->base = base;
    object->npages = (uint32_t)(page_ceil(size_bytes) >> PAGE_SHIFT);
    *out = object;
    return ST_OK;
}

status_t memory_object_create_text(struct ledger *ledger, const char *text, size_t len,
                                   struct memory_object **out)
{
    KASSERT(len <= PAGE_BYTES);
    status_t status = memory_object_create(ledger, PAGE_BYTES, out);
    if (status == ST_OK) {
        arch_copy(frame_ptr(memory_object_frame(*out, 0)), text, len);
        (*out)->size_bytes = len;
        (*out)->sealed = true;
    }
    return status;
}

/* ---- mapping counts and sealing ---- */

status_t memory_object_mapping_add(struct memory_object *object, bool writable)
{
    status_t status = ST_OK;
    lock_acquire(&object->lock);
    if (writable && object->sealed) {
        status = ST_BAD_STATE;
    } else {
        object->mappings++;
        object->writable_mappings += writable ? 1 : 0;
    }
    lock_release(&object->lock);
    return status;
}

void memory_object_mapping_remove(struct memory_object *object, bool writable)
{
    lock_acquire(&object->lock);
    KASSERT(object->mappings > 0);
    object->mappings--;
    object->writable_mappings -= writable ? 1 : 0;
    lock_release(&object->lock);
}

status_t memory_object_seal(struct memory_object *object)
{
    lock_acquire(&object->lock);
    status_t status = object->writable_mappings > 0 ? ST_BUSY : ST_OK;
    if (status == ST_OK) {
        object->sealed = true;
    }
    lock_release(&object->lock);
    return status;
}

bool memory_object_is_sealed(struct memory_object *object)
{
    lock_acquire(&object->lock);
    bool sealed = object->sealed;
    lock_release(&object->lock);
    return sealed;
}

/* ---- contents ---- */

/* Calls arch_copy for each page's share of a range of the object. */
static void copy_range(const struct memory_object *object, uint64_t offset, uint8_t *kernel,
                       uint64_t size_bytes, bool to_object)
{
    while (size_bytes > 0) {
        uint64_t in_page = offset & (PAGE_BYTES - 1);
        uint64_t n = min_u64(PAGE_BYTES - in_page, size_bytes);
        struct paddr frame = memory_object_frame(object, (uint32_t)(offset >> PAGE_SHIFT));
        uint8_t *at = (uint8_t *)frame_ptr(frame) + in_page;
        arch_copy(to_object ? at : kernel, to_object ? kernel : at, n);
        offset += n;
        kernel += n;
        size_bytes -= n;
    }
}

void memory_object_read(const struct memory_object *object, uint64_t offset_bytes, void *to,
                        uint64_t size_bytes)
{
    copy_range(object, offset_bytes, to, size_bytes, false);
}

/* ---- methods ---- */

static struct memory_object *target_of(const struct invocation *inv)
{
    return memory_object_of(inv->target.object);
}

status_t MemoryObject_kernel_info(struct invocation *inv, MemoryObject_info_params_r params,
                                  MemoryObject_info_results_b results)
{
    struct memory_object *object = target_of(inv);
    (void)params;
    lock_acquire(&object->lock);
    bool sealed = object->sealed;
    uint32_t mappings = object->mappings;
    lock_release(&object->lock);
    MemoryObject_info_results_set_size_bytes(results, object->size_bytes);
    MemoryObject_info_results_set_sealed(results, sealed);
    MemoryObject_info_results_set_mappings(results, mappings);
    return ST_OK;
}

status_t MemoryObject_kernel_seal(struct invocation *inv, MemoryObject_seal_params_r params,
                                  MemoryObject_seal_results_b results)
{
    (void)params;
    (void)results;
    return memory_object_seal(target_of(inv));
}

/* Most data bytes in a message of the method's maximum: root pointer, list pointer. */
enum { READ_MAX_BYTES = MemoryObject_read_MAX_RESULTS_BYTES - 16 };

status_t MemoryObject_kernel_read(struct invocation *inv, MemoryObject_read_params_r params,
                                  MemoryObject_read_results_b results)
{
    struct memory_object *object = target_of(inv);
    uint64_t offset = MemoryObject_read_params_get_offset_bytes(params);
    uint64_t count = MemoryObject_read_params_get_count_bytes(params);
    if (offset > object->size_bytes || count > READ_MAX_BYTES) {
        return ST_BAD_ARGUMENT;
    }
    count = min_u64(count, object->size_bytes - offset);
    uint8_t *to = MemoryObject_read_results_init_data(results, count);
    if (to == NULL) {
        return ST_RESULT_TOO_SMALL;
    }
    memory_object_read(object, offset, to, count);
    return ST_OK;
}

status_t MemoryObject_kernel_write(struct invocation *inv, MemoryObject_write_params_r params,
                                   MemoryObject_write_results_b results)
{
    struct memory_object *object = target_of(inv);
    uint64_t offset = MemoryObject_write_params_get_offset_bytes(params);
    struct capnp_data data = MemoryObject_write_params_get_data(params);
    (void)results;
    if (offset > object->size_bytes || data.len > object->size_bytes - offset) {
        return ST_BAD_ARGUMENT;
    }
    lock_acquire(&object->lock);
    status_t status = object->sealed ? ST_BAD_STATE : ST_OK;
    if (status == ST_OK) {
        copy_range(object, offset, (uint8_t *)(uintptr_t)data.ptr, data.len, true);
    }
    lock_release(&object->lock);
    return status;
}
