/* SPDX-License-Identifier: MIT */
#include "tests/unit/kernel_audit.h"

#define TEST_NO_MAIN
#include "tests/unit/test.h"

#include "cap/ledger.h"
#include "cap/table.h"
#include "object/process.h"
#include "ring/ring.h"

enum { BOOKS = 1 << 14 };

/* What was found of one object, grant or ledger. */
struct book {
    const void *thing;
    uint64_t slots, children; /* of an object or a grant */
    uint64_t charged, grants; /* of a ledger, which is an object, too */
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

static void read_slot(const struct process *process, const struct cap_slot *slot)
{
    if (slot->object == NULL) {
        return;
    }
    book_of(slot->object)->slots++;
    book_of(slot->route)->slots++;
    CHECK_EQ(atomic_load_relaxed(&slot->route->holders) & process->table.holder,
             process->table.holder);
    CHECK(grant_is_live(slot->route));
}

/* At rest no thread of a running process is being made, each has a whole ring, and each is counted once. */
static void check_threads(struct process *process)
{
    uint32_t count = 0;
    if (process->state != PROCESS_RUNNING) {
        return;
    }
    list_for_each(node, &process->threads)
    {
        const struct thread *thread = list_entry(node, struct thread, process_link);
        const struct ring *ring = thread->ring;
        count++;
        CHECK(atomic_load_relaxed(&thread->state) != THREAD_NEW);
        CHECK(thread->end_stage != 0 || (ring->shared.filled == ring->shared.npages &&
                                         ring->records.filled == ring->records.npages));
    }
    CHECK_EQ(process->live + process->leaving, count);
}

static void read_tables(void)
{
    for (struct process *p = process_next(NULL, UINT64_MAX); p != NULL;
         p = process_next(p, UINT64_MAX)) {
        const char *why = NULL;
        CHECK(p->table.root == NULL || table_check(&p->table, &why));
        check_threads(p);
        book_of(p->ledger)->charged += p->table.used;
        for (uint32_t i = 0; i < p->table.capacity; i++) {
            read_slot(p, slot_at(&p->table, i));
        }
    }
}

static void check_objects(void)
{
    for (struct process *p = process_next(NULL, UINT64_MAX); p != NULL;
         p = process_next(p, UINT64_MAX)) {
        for (uint32_t i = 0; i < p->table.capacity; i++) {
            const struct kobj *object = slot_at(&p->table, i)->object;
            if (object != NULL && object->ops->facet_slot == NULL) {
                /* A ledger counts its process as a capability, too. */
                CHECK(atomic_load_relaxed(&object->slots) >= book_of(object)->slots);
                CHECK(atomic_load_relaxed(&object->slots) <= book_of(object)->slots + 1);
            }
            CHECK(object == NULL ||
                  atomic_load_relaxed(&object->refs) >= atomic_load_relaxed(&object->slots));
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
