/* SPDX-License-Identifier: MIT */
/*
 * Slab pages.
 *
 * A page is a header of one cache line and the objects behind it, all of one size. The header's
 * bitmap has a bit set for every free object, so it finds room, knows when the page is empty or full,
 * and shows a second free; nothing is written into free objects.
 *
 * Invariants, under the set's lock: S1 a page is in its class's list exactly while it has a free
 * object. S2 a page has an object in use (an empty one goes back at once), so the pages charged are
 * those that something keeps. S3 set->pages counts the pages in and out of the lists.
 */
#include "mem/slab.h"

#include "cap/ledger.h"
#include "core/addr.h"
#include "core/panic.h"
#include "lib/base/bits.h"
#include "lib/base/compiler.h"
#include "lib/base/string.h"
#include "mem/frames.h"

#define SLAB_MAGIC UINT32_C(0x42414c53)

struct slab_page {
    struct list_node link; /* set lock */
    struct slab_set *set;
    struct ledger *ledger; /* NULL: the kernel's own */
    uint64_t free;         /* set lock: bit i = object i is free */
    uint32_t magic;
    uint8_t size_class;
    uint8_t reserved[19];
};
static_assert(sizeof(struct slab_page) == 64, "objects start on a cache line");

struct slab_class {
    uint16_t size_bytes;
    uint16_t count;
};

static const struct slab_class classes[SLAB_CLASSES] = {
    {64, 63}, {128, 31}, {256, 15}, {576, 7}, {1344, 3}, {1984, 2}, {4032, 1},
};

/* Pages of objects that belong to nobody but the kernel. */
#define EMPTY(n) LIST_INITIALIZER(kernel_set.partial[n])
static struct slab_set kernel_set = {
    .lock = SPINLOCK_INIT(LOCK_SLAB),
    .partial = {EMPTY(0), EMPTY(1), EMPTY(2), EMPTY(3), EMPTY(4), EMPTY(5), EMPTY(6)},
};

void slab_set_init(struct slab_set *set)
{
    lock_init(&set->lock, LOCK_SLAB);
    for (int i = 0; i < SLAB_CLASSES; i++) {
        list_init(&set->partial[i]);
    }
    set->pages = 0;
}

static struct slab_set *set_of(struct ledger *ledger)
{
    return ledger != NULL ? &ledger->slabs : &kernel_set;
}

static inline uint8_t class_for(size_t size)
{
    if (LIKELY(size <= 256)) {
        return size <= 64 ? 0 : size <= 128 ? 1 : 2;
    }
    uint8_t i = 3;
    while (classes[i].size_bytes < size) {
        i++;
    }
    return i;
}

/* A frame charged to the ledger; PADDR_NONE when either is exhausted, nothing changed. */
static struct paddr charged_frame(struct ledger *ledger)
{
    if (ledger != NULL && ledger_charge(ledger, LEDGER_CLASS_KERNEL_PAGES, 1) != ST_OK) {
        return PADDR_NONE;
    }
    struct paddr frame = frame_alloc();
    if (paddr_is_none(frame)) {
        (void)ledger_refuse(LEDGER_CLASS_KERNEL_PAGES);
        ledger_refund(ledger, LEDGER_CLASS_KERNEL_PAGES, 1);
    }
    return frame;
}

static void refund_frame(struct ledger *ledger, struct paddr frame)
{
    frame_free(frame);
    if (ledger != NULL) {
        ledger_refund(ledger, LEDGER_CLASS_KERNEL_PAGES, 1);
    }
}

static struct slab_page *page_add(struct slab_set *set, struct ledger *ledger, uint8_t size_class)
{
    struct paddr frame = charged_frame(ledger);
    if (paddr_is_none(frame)) {
        return NULL;
    }
    struct slab_page *page = frame_ptr(frame);
    *page = (struct slab_page){
        .set = set,
        .ledger = ledger,
        .free = BIT64(classes[size_class].count) - 1,
        .magic = SLAB_MAGIC,
        .size_class = size_class,
    };
    list_push_front(&set->partial[size_class], &page->link);
    set->pages++;
    return page;
}

void *slab_alloc(struct ledger *ledger, size_t size)
{
    KASSERT(size <= SLAB_MAX_BYTES);
    struct slab_set *set = set_of(ledger);
    uint8_t size_class = class_for(size);
    lock_acquire(&set->lock);
    struct list_node *first = list_first(&set->partial[size_class]);
    struct slab_page *page = first != NULL ? list_entry(first, struct slab_page, link)
                                           : page_add(set, ledger, size_class);
    if (page == NULL) {
        lock_release(&set->lock);
        return NULL;
    }
    unsigned index = bit_lowest(page->free);
    page->free &= page->free - 1;
    if (page->free == 0) {
        list_remove(&page->link);
    }
    lock_release(&set->lock);
    uint32_t bytes = classes[size_class].size_bytes;
    void *object = (uint8_t *)page + sizeof(struct slab_page) + (size_t)index * bytes;
    memset(object, 0, (size + 63) & ~(size_t)63);
    return object;
}

/* The page of an object; our own bug unless it is one of a slab. */
static struct slab_page *page_of(const void *object, unsigned *index_out)
{
    struct slab_page *page = (struct slab_page *)page_floor((uintptr_t)object);
    size_t offset = (uintptr_t)object - (uintptr_t)page - sizeof(struct slab_page);
    KASSERT(page->magic == SLAB_MAGIC);
    uint32_t bytes = classes[page->size_class].size_bytes;
    *index_out = (unsigned)(offset / bytes);
    KASSERT(offset == (size_t)*index_out * bytes && *index_out < classes[page->size_class].count);
    return page;
}

void slab_free(void *object)
{
    unsigned index;
    struct slab_page *page = page_of(object, &index);
    struct slab_set *set = page->set;
    struct ledger *ledger = page->ledger;
    const struct slab_class *class = &classes[page->size_class];
#ifdef CAPOS_DEBUG
    memset(object, 0xa5, class->size_bytes);
#endif
    lock_acquire(&set->lock);
    if ((page->free & BIT64(index)) != 0) {
        panic("kernel object %p freed twice", object);
    }
    if (page->free == 0) {
        list_push_front(&set->partial[page->size_class], &page->link);
    }
    page->free |= BIT64(index);
    bool empty = page->free == BIT64(class->count) - 1;
    if (empty) {
        list_remove(&page->link);
        set->pages--;
        page->magic = 0;
    }
    lock_release(&set->lock);
    if (empty) {
        refund_frame(ledger, frame_of_ptr(page));
    }
}

void *kpage_alloc(struct ledger *ledger)
{
    struct paddr frame = charged_frame(ledger);
    if (paddr_is_none(frame)) {
        return NULL;
    }
    frame_zero(frame);
    return frame_ptr(frame);
}

void kpage_free(struct ledger *ledger, void *page)
{
    KASSERT(page_aligned((uintptr_t)page));
    refund_frame(ledger, frame_of_ptr(page));
}
