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
#include "ring/park.h"

enum { MAKE_SLICE_PAGES = 16, END_SLICE_PAGES = 48 };

enum { NODE_BITS = 9, NODE_ENTRIES = 1 << NODE_BITS };

/* ---- the tree: nodes are pages of 512 physical addresses ---- */

static struct paddr *entry_in(struct paddr node, uint32_t index, unsigned level)
{
    struct paddr *entries = frame_ptr(node);
    return &entries[index >> NODE_BITS * level & (NODE_ENTRIES - 1)];
}

/* The frame of a page; `path` gets the nodes above it, by level. */
static struct paddr find(const struct memory_object *object, uint32_t index,
                         struct paddr path[MEMORY_OBJECT_LEVELS])
{
    struct paddr at = object->base;
    for (unsigned level = object->levels; level > 0; level--) {
        path[level - 1] = at;
        at = *entry_in(at, index, level - 1);
    }
    return object->levels == 0 ? object->direct[index] : paddr(page_floor(at.v));
}

/* The mark of a lowest node's first entry: its frames are a run. */
enum { RUN_MARK = 1 };
static_assert((int)FRAME_RUN == (int)NODE_ENTRIES, "a lowest node's frames");

/* The run that page `index` is in, marked; PADDR_NONE: none. Its node is there. */
static struct paddr run_of(const struct memory_object *object, uint32_t index)
{
    struct paddr path[MEMORY_OBJECT_LEVELS];
    if (object->levels == 0) {
        return PADDR_NONE;
    }
    (void)find(object, index & ~(uint32_t)(NODE_ENTRIES - 1), path);
    struct paddr first = *entry_in(path[0], 0, 0);
    return (first.v & RUN_MARK) != 0 ? paddr(page_floor(first.v)) : PADDR_NONE;
}

struct paddr memory_object_run(const struct memory_object *object, uint32_t index)
{
    if (object->npages - index < FRAME_RUN) {
        return PADDR_NONE;
    }
    struct paddr first = memory_object_frame(object, index);
    bool aligned = (first.v & (((uint64_t)FRAME_RUN << PAGE_SHIFT) - 1)) == 0;
    bool whole =
        object->borrowed || (index % FRAME_RUN == 0 && !paddr_is_none(run_of(object, index)));
    return aligned && whole ? first : PADDR_NONE;
}

struct paddr memory_object_frame(const struct memory_object *object, uint32_t index)
{
    struct paddr path[MEMORY_OBJECT_LEVELS];
    KDEBUG_ASSERT(index < object->npages);
    return object->borrowed ? paddr(object->base.v + (uint64_t)index * PAGE_BYTES)
                            : find(object, index, path);
}

/* Levels whose node begins with this page: they come and go with it. */
static unsigned nodes_with(const struct memory_object *object, uint32_t index)
{
    unsigned count = 0;
    while (count < object->levels && (index & ((1u << NODE_BITS * (count + 1)) - 1)) == 0) {
        count++;
    }
    return count;
}

/* Nodes of the whole tree. */
static uint64_t node_count(const struct memory_object *object)
{
    uint64_t count = 0;
    for (unsigned level = 1; level <= object->levels; level++) {
        count += (((uint64_t)object->npages - 1) >> NODE_BITS * level) + 1;
    }
    return count;
}

/* ---- the end ---- */

static void drop_last(struct memory_object *object)
{
    struct paddr path[MEMORY_OBJECT_LEVELS];
    uint32_t index = --object->filled;
    struct paddr frame = find(object, index, path);
    if (paddr_is_none(run_of(object, index))) {
        frame_free(frame);
    } else if (index % FRAME_RUN == 0) {
        frame_run_free(frame);
    }
    for (unsigned level = nodes_with(object, index); level > 0; level--) {
        frame_free(path[level - 1]);
    }
}

/* Frees a slice of the pages and at last the object; true when it is gone. */
static bool end_slice(struct memory_object *object)
{
    struct ledger *ledger = object->obj.ledger;
    for (unsigned i = 0; i < END_SLICE_PAGES && object->filled > 0; i++) {
        drop_last(object);
    }
    if (object->filled > 0) {
        return false;
    }
    if (ledger != NULL && !object->borrowed) {
        ledger_refund(ledger, LEDGER_CLASS_FRAMES, object->npages);
        ledger_refund(ledger, LEDGER_CLASS_KERNEL_PAGES, node_count(object));
    }
    slab_free(object);
    return true;
}

static bool end_run(struct job *job)
{
    struct memory_object *object = CONTAINER_OF(job, struct memory_object, work.job);
    struct ledger *ledger = object->obj.ledger;
    bool done = end_slice(object);
    if (done && ledger != NULL) {
        ledger_unref(ledger);
    }
    return done;
}

static void memory_object_destroy(struct kobj *obj)
{
    struct memory_object *object = memory_object_of(obj);
    KASSERT(object->mappings == 0);
    if (object->filled > END_SLICE_PAGES) {
        if (obj->ledger != NULL) {
            ledger_ref(
                obj->ledger); /* the job's: kobj_unref drops the object's when this returns */
        }
        job_init(&object->work.job, end_run);
        job_submit(&object->work.job);
    } else {
        (void)end_slice(object);
    }
}

static const struct kobj_ops memory_object_ops = {
    .unlink_record = park_unlink,
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
        object->size_bytes = size_bytes;
    }
    return object;
}

/* A zeroed frame for page `index`: of a new run, *mark then, of the one it is in, or a single one. */
static struct paddr frame_for(const struct memory_object *object, uint32_t index, uint64_t *mark)
{
    struct paddr run = PADDR_NONE;
    bool first = index % FRAME_RUN == 0;
    if (!first) {
        run = run_of(object, index);
    } else if (object->levels != 0 && object->npages - index >= FRAME_RUN) {
        run = frame_run_alloc();
    }
    *mark = first && !paddr_is_none(run) ? RUN_MARK : 0;
    if (paddr_is_none(run)) {
        return frame_alloc_zeroed();
    }
    struct paddr frame = paddr(run.v + ((uint64_t)(index % FRAME_RUN) << PAGE_SHIFT));
    frame_zero(frame);
    return frame;
}

/* Adds one zeroed page, and the nodes that begin with it, or nothing. */
static bool add_page(struct memory_object *object)
{
    struct paddr fresh[MEMORY_OBJECT_LEVELS + 1];
    uint64_t mark = 0;
    uint32_t index = object->filled;
    unsigned nodes = nodes_with(object, index);
    for (unsigned i = 0; i <= nodes; i++) {
        fresh[i] = i == 0 ? frame_for(object, index, &mark) : frame_alloc_zeroed();
        if (paddr_is_none(fresh[i])) {
            while (i > 1) {
                frame_free(fresh[--i]);
            }
            if (i == 1) {
                (mark != 0 ? frame_run_free : frame_free)(fresh[0]);
            }
            return false;
        }
    }
    fresh[0].v |= mark;
    if (object->levels == 0) {
        object->direct[index] = fresh[0];
    } else {
        object->base = index == 0 ? fresh[nodes] : object->base;
        struct paddr at = object->base;
        for (unsigned level = object->levels - 1; level > 0; level--) {
            struct paddr *entry = entry_in(at, index, level);
            *entry = level <= nodes ? fresh[level] : *entry;
            at = *entry;
        }
        *entry_in(at, index, 0) = fresh[0];
    }
    object->filled++;
    return true;
}

status_t memory_object_begin(struct ledger *ledger, uint64_t size_bytes, struct memory_object **out)
{
    uint64_t pages = size_bytes >> PAGE_SHIFT;
    if (!page_aligned(size_bytes) || pages == 0 || pages > MEMORY_OBJECT_MAX_PAGES) {
        return ST_BAD_ARGUMENT;
    }
    struct memory_object *object = object_new(ledger, size_bytes);
    if (object == NULL) {
        return ST_QUOTA;
    }
    object->npages = (uint32_t)pages;
    for (pages = pages > MEMORY_OBJECT_DIRECT ? pages - 1 : 0; pages != 0; pages >>= NODE_BITS) {
        object->levels++;
    }
    bool frames =
        ledger == NULL || ledger_charge(ledger, LEDGER_CLASS_FRAMES, object->npages) == ST_OK;
    bool nodes = frames && (ledger == NULL || ledger_charge(ledger, LEDGER_CLASS_KERNEL_PAGES,
                                                            node_count(object)) == ST_OK);
    if (!nodes) {
        if (frames) {
            ledger_refund(ledger, LEDGER_CLASS_FRAMES, object->npages);
        }
        object->borrowed = true; /* nothing to give back */
        kobj_unref(&object->obj);
        return ST_QUOTA;
    }
    *out = object;
    return ST_OK;
}

status_t memory_object_fill(struct memory_object *object)
{
    for (unsigned i = 0; i < MAKE_SLICE_PAGES && object->filled < object->npages; i++) {
        if (!add_page(object)) {
            return ledger_refuse(LEDGER_CLASS_FRAMES);
        }
    }
    return object->filled < object->npages ? ST_PENDING : ST_OK;
}

status_t memory_object_create(struct ledger *ledger, uint64_t size_bytes,
                              struct memory_object **out)
{
    struct memory_object *object;
    status_t status = memory_object_begin(ledger, size_bytes, &object);
    if (status != ST_OK) {
        return status;
    }
    while ((status = memory_object_fill(object)) == ST_PENDING) {
    }
    if (status != ST_OK) {
        kobj_unref(&object->obj);
        return status;
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

static status_t use_add(struct memory_object *object, uint32_t *count, bool writable)
{
    status_t status = ST_OK;
    lock_acquire(&object->lock);
    if (writable && object->sealed) {
        status = ST_BAD_STATE;
    } else {
        *count += 1;
        object->writers += writable ? 1 : 0;
    }
    lock_release(&object->lock);
    return status;
}

static void use_remove(struct memory_object *object, uint32_t *count, bool writable)
{
    lock_acquire(&object->lock);
    KASSERT(*count > 0);
    *count -= 1;
    object->writers -= writable ? 1 : 0;
    lock_release(&object->lock);
}

status_t memory_object_mapping_add(struct memory_object *object, bool writable)
{
    return use_add(object, &object->mappings, writable);
}

void memory_object_mapping_remove(struct memory_object *object, bool writable)
{
    use_remove(object, &object->mappings, writable);
}

status_t memory_object_pin_add(struct memory_object *object, bool writable)
{
    return use_add(object, &object->pins, writable);
}

void memory_object_pin_remove(struct memory_object *object, bool writable)
{
    use_remove(object, &object->pins, writable);
}

status_t memory_object_seal(struct memory_object *object)
{
    lock_acquire(&object->lock);
    status_t status = object->writers > 0 ? ST_BUSY : ST_OK;
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
