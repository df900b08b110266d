/* SPDX-License-Identifier: MIT */
#include "tests/unit/kernel_audit.h"

#define TEST_NO_MAIN
#include "tests/unit/test.h"

#include "cap/ledger.h"
#include "cap/table.h"
#include "gen/kernel/types.h"
#include "mem/region.h"
#include "object/debugger.h"
#include "object/memory_object.h"
#include "object/process.h"
#include "ring/ring.h"

enum { BOOKS = 1 << 14 };

/* What was found of one object, grant or ledger. */
struct book {
    const void *thing;
    uint64_t slots, children; /* of an object or a grant */
    uint64_t charged, grants; /* of a ledger, which is an object, too */
    uint64_t pages, frames;   /* of a ledger: in regions */
    uint64_t mappings, pins;  /* of a memory object; of a ledger: pinned pages */
};

static struct book books[BOOKS];

/* Open addressing; a fresh book is all zero. */
static struct book *book_of(const void *thing)
{
    size_t at = ((uintptr_t)thing >> 4) * UINT64_C(0x9e3779b97f4a7c15) >> 40;
    for (size_t i = 0; i < BOOKS; i++) {
        struct book *book = &books[(at + i) % BOOKS];
        if (book->thing == thing || book->thing == NULL) {
            book->thing = thing;
            return book;
        }
    }
    FAIL("the audit needs more books");
    abort();
}

static struct cap_slot *slot_at(const struct cap_table *table, uint32_t index)
{
    return &table->root[index >> 15][(index >> 6) % CAP_DIRECTORY_ENTRIES][index % CAP_PAGE_SLOTS];
}

/* Pages of the region with a frame of its own, which are all there: each that shows the object's has one in
 * `spare`. */
static void read_pages(const struct aspace *as, const struct region *region)
{
    uint64_t mapped = 0, shown = 0, spare = 0;
    for (uint64_t at = region_start(region); at < region->end; at += PAGE_BYTES) {
        struct paddr frame;
        if (arch_translate(&as->arch, uaddr(at), false, &frame)) {
            mapped++;
            shown += region->kind == REGION_PRIVATE && region_shows_object(region, at, frame);
        }
    }
    struct paddr frame = region->kind == REGION_PRIVATE ? region->spare : PADDR_NONE;
    for (; !paddr_is_none(frame); frame = *(struct paddr *)frame_ptr(frame)) {
        spare++;
    }
    CHECK_EQ(region_own_pages(region), mapped);
    CHECK_EQ(spare, shown);
}

static void read_regions(const struct process *process)
{
    const struct aspace *as = &process->aspace;
    struct book *book = book_of(as->ledger);
    enum { LOOK_AT = 4096 };
    for (struct tree_node *node = tree_first(&as->regions); node != NULL; node = tree_next(node)) {
        const struct region *region = region_of_node(node);
        bool own = region->kind == REGION_RESERVED || region->kind == REGION_PRIVATE;
        CHECK(!list_linked(&region->link));
        book->pages += region_pages(region);
        book->frames += region_own_pages(region);
        if (own && region_pages(region) <= LOOK_AT) {
            read_pages(as, region);
        }
        if (region->kind == REGION_OBJECT || region->kind == REGION_PRIVATE) {
            book_of(region->object)->mappings++;
        }
    }
}

static void read_object(struct kobj *object)
{
    struct book *book = book_of(object);
    if (object->ktype == KTYPE_MEMORY_PIN && book->slots == 1) {
        const struct memory_pin *pin = memory_pin_of(object);
        book_of(&pin->object->obj)->pins++;
        book_of(object->ledger)->pins += pin->size_bytes / PAGE_BYTES;
    }
}

static void read_slot(const struct process *process, const struct cap_slot *slot)
{
    if (slot->object == NULL) {
        return;
    }
    book_of(slot->object)->slots++;
    read_object(slot->object);
    book_of(slot->route)->slots++;
    CHECK_EQ(atomic_load_relaxed(&slot->route->holders) & process->table.holder,
             process->table.holder);
    CHECK(grant_is_live(slot->route));
}

/* A ring below a flight recorder is marked, and a marked one answers nothing in shared memory. */
static void check_mark(const struct process *process, const struct ring *ring)
{
    const struct ledger *ledger = process->ledger;
    while (ledger != NULL && ledger->trace == NULL) {
        ledger = ledger->obj.ledger;
    }
    CHECK(ledger == NULL || ring->header == NULL || ring_is_traced(ring));
    CHECK_EQ(ring_is_traced(ring), atomic_load_relaxed(&ring->payload_near) == 0);
}

/* At rest no thread of a running process is being made, each has a whole ring, and each is counted once. */
static void check_threads(struct process *process)
{
    uint32_t count = 0, stopped = 0;
    if (process->state != PROCESS_RUNNING) {
        return;
    }
    list_for_each(node, &process->threads)
    {
        const struct thread *thread = list_entry(node, struct thread, process_link);
        const struct ring *ring = thread->ring;
        count++;
        stopped += atomic_load_relaxed(&thread->state) == THREAD_STOPPED ? 1 : 0;
        CHECK(atomic_load_relaxed(&thread->state) != THREAD_NEW);
        check_mark(process, ring);
        CHECK(thread->end_stage != 0 || (ring->shared.filled == ring->shared.npages &&
                                         ring->records.filled == ring->records.npages));
    }
    CHECK_EQ(process->live + process->leaving, count);
    CHECK_EQ(process->debugger != NULL ? process->debugger->count : 0, stopped);
    if (process->debugger != NULL) {
        CHECK_EQ(list_count(&process->debugger->events) + list_count(&process->debugger->stopped),
                 stopped);
        CHECK(process->debugger->process == process);
    }
}

/* What a server was given to serve with, and what it received and has not answered: process.h. */
static void read_serving(const struct process *process)
{
    for (uint32_t i = 0; i < process->serving_count; i++) {
        book_of(process->serving[i].grant)->slots++;
    }
    list_for_each(node, &process->inflight)
    {
        const struct record *rec = list_entry(node, struct record, server_link);
        CHECK_PTR_EQ(atomic_load_relaxed(&rec->server), process);
        CHECK_EQ(rec->state, RECORD_INFLIGHT);
        CHECK_EQ(rec->target->ktype, KTYPE_ENDPOINT);
    }
}

static void read_tables(void)
{
    for (struct process *p = process_next(NULL, UINT64_MAX); p != NULL;
         p = process_next(p, UINT64_MAX)) {
        const char *why = NULL;
        CHECK(p->table.root == NULL || table_check(&p->table, &why));
        check_threads(p);
        book_of(p->ledger)->charged += p->table.used;
        book_of(p->ledger)->slots++; /* a ledger counts its process as a capability */
        if (p->state == PROCESS_RUNNING) {
            read_regions(p);
        }
        read_serving(p);
        for (uint32_t i = 0; i < p->table.capacity; i++) {
            read_slot(p, slot_at(&p->table, i));
        }
    }
}

/* What maps and pins an object is in somebody's space or table, and nothing else is counted. */
static void check_memory(const struct kobj *object)
{
    if (object != NULL && object->ktype == KTYPE_MEMORY_OBJECT) {
        const struct memory_object *memory = CONTAINER_OF(object, const struct memory_object, obj);
        CHECK_EQ(memory->mappings, book_of(memory)->mappings);
        CHECK(memory->pins >= book_of(object)->pins);
        CHECK(memory->writers <= memory->mappings + memory->pins);
        CHECK(!memory->sealed || memory->writers == 0);
    }
}

static void check_objects(void)
{
    for (struct process *p = process_next(NULL, UINT64_MAX); p != NULL;
         p = process_next(p, UINT64_MAX)) {
        for (uint32_t i = 0; i < p->table.capacity; i++) {
            const struct kobj *object = slot_at(&p->table, i)->object;
            if (object != NULL && object->ops->facet_slot == NULL) {
                CHECK_EQ(atomic_load_relaxed(&object->slots), book_of(object)->slots);
            }
            CHECK(object == NULL ||
                  atomic_load_relaxed(&object->refs) >= atomic_load_relaxed(&object->slots));
            check_memory(object);
        }
    }
}

static void check_ledger(struct ledger *ledger)
{
    for (unsigned c = 0; c < LEDGER_CLASSES; c++) {
        CHECK(atomic_load_relaxed(&ledger->used[c]) <= atomic_load_relaxed(&ledger->limit[c]));
    }
    const struct book *book = book_of(ledger);
    CHECK(atomic_load_relaxed(&ledger->used[LEDGER_CLASS_SLOTS]) >= book->charged);
    CHECK(atomic_load_relaxed(&ledger->used[LEDGER_CLASS_GRANTS]) >= book->grants);
    CHECK(atomic_load_relaxed(&ledger->used[LEDGER_CLASS_VIRTUAL_PAGES]) >= book->pages);
    CHECK(atomic_load_relaxed(&ledger->used[LEDGER_CLASS_FRAMES]) >= book->frames);
    CHECK(atomic_load_relaxed(&ledger->used[LEDGER_CLASS_PINNED_PAGES]) >= book->pins);
}

static void read_grants(const struct grant *grant)
{
    list_for_each(node, &grant->children)
    {
        const struct grant *child = list_entry(node, struct grant, link);
        CHECK_PTR_EQ(child->parent, grant);
        CHECK_EQ(child->depth, grant->depth + 1);
        CHECK(grant_is_live(grant) || !grant_is_live(child));
        book_of(grant)->children++;
        book_of(child->ledger)->grants++;
        read_grants(child);
    }
}

static void check_grants(const struct grant *grant)
{
    const struct book *book = book_of(grant);
    CHECK(atomic_load_relaxed(&grant->refs) >= book->slots + book->children);
    list_for_each(node, &grant->children)
    {
        struct grant *child = list_entry(node, struct grant, link);
        check_ledger(child->ledger);
        check_grants(child);
    }
}

void kernel_audit(const struct grant *root)
{
    memset(books, 0, sizeof(books));
    read_tables();
    read_grants(root);
    check_objects();
    check_grants(root);
}
