/* SPDX-License-Identifier: MIT */
/* Large pages: runs of frames, objects made of them, and mappings that show them. */
#include "tests/unit/aspace_space.h"
#include "tests/unit/kernel_machine.h"

#define LARGE ARCH_LARGE_BYTES
#define AT UINT64_C(0x40000000)
enum { RUN = FRAME_RUN, PAGES_OF_TWO = 2 * RUN + 76 };

static status_t map_at(struct memory_object *object, uint64_t address, uint64_t offset,
                       uint64_t size, enum Protection protection)
{
    uint64_t at = 0;
    return do_map_object(&as, object, address, offset, size, protection, &at);
}

static bool is_large(uint64_t address)
{
    return arch_is_large(&as.arch, uaddr(address));
}

static uint64_t word_at(uint64_t address)
{
    uint64_t word = UINT64_MAX;
    CHECK_EQ(aspace_read(&as, address, &word, 8), ST_OK);
    return word;
}

/* Each page begins with its number. */
static struct memory_object *numbered(uint32_t pages)
{
    struct memory_object *object = object_new(pages);
    for (uint32_t i = 0; i < pages; i++) {
        *(uint64_t *)frame_ptr(memory_object_frame(object, i)) = i;
    }
    return object;
}

static void check_numbers(uint64_t address, uint64_t first, uint64_t pages)
{
    for (uint64_t i = 0; i < pages; i += i % 37 + 1) {
        CHECK_EQ(word_at(address + i * P), first + i);
    }
    CHECK_EQ(word_at(address + (pages - 1) * P), first + pages - 1);
}

TEST(runs_come_back,
     "runs are aligned and apart, become single frames when nothing else is left, and none is lost")
{
    enum { MAX = 64 };
    struct paddr runs[MAX], single = PADDR_NONE;
    unsigned count = 0;
    (void)machine_start(1);
    uint64_t total = frames_free_count();
    while (!paddr_is_none(runs[count] = frame_run_alloc())) {
        CHECK_EQ(runs[count].v % LARGE, 0);
        for (unsigned i = 0; i < count; i++) {
            CHECK(runs[i].v != runs[count].v);
        }
        memset(frame_ptr(runs[count]), 0x5a, LARGE);
        REQUIRE(++count < MAX);
    }
    CHECK(count >= 4);
    CHECK_EQ(frames_free_count(), total - count * RUN);
    for (unsigned i = 0; i < count; i++) {
        frame_run_free(runs[i]);
    }
    CHECK_EQ(frames_free_count(), total);
    uint64_t taken = 0;
    for (struct paddr frame; !paddr_is_none(frame = frame_alloc()); taken++) {
        frame_push(&single, frame);
    }
    CHECK_EQ(taken, total);
    CHECK(paddr_is_none(frame_run_alloc()));
    while (!paddr_is_none(single)) {
        frame_free(frame_pop(&single));
    }
    CHECK_EQ(frames_free_count(), total);
}

TEST(large_maps, "an object of runs is shown by large pages where it can be, costs the tables it "
                 "uses, and goes whole")
{
    start();
    struct memory_object *object = numbered(PAGES_OF_TWO);
    (void)reserve(0, 1); /* records of regions have their page */
    uint64_t tables = used(LEDGER_CLASS_KERNEL_PAGES);
    CHECK_EQ(map_at(object, AT, 0, PAGES_OF_TWO * P, PROTECTION_READ_WRITE), ST_OK);
    CHECK(is_large(AT) && is_large(AT + LARGE) && !is_large(AT + 2 * LARGE));
    CHECK_EQ(used(LEDGER_CLASS_KERNEL_PAGES), tables + 3); /* two above, one for the rest */
    check_numbers(AT, 0, PAGES_OF_TWO);
    uint64_t word = 77;
    CHECK_EQ(aspace_write(&as, AT + LARGE + 5 * P, &word, 8), ST_OK);
    CHECK_EQ(*(uint64_t *)frame_ptr(memory_object_frame(object, RUN + 5)), 77);
    CHECK_EQ(aspace_copy(&as, AT + 2 * LARGE - 8, &as, AT + LARGE + 5 * P, 16), ST_OK);
    CHECK_EQ(*(uint64_t *)host_user(&as.arch, AT + 2 * LARGE - 8, true), 77);
    CHECK_EQ(memory_object_seal(object), ST_BUSY);
    CHECK_EQ(do_unmap(&as, AT, PAGES_OF_TWO * P), ST_OK);
    CHECK(!is_large(AT));
    CHECK_EQ(aspace_read(&as, AT, &word, 8), ST_BAD_ADDRESS);
    CHECK_EQ(memory_object_seal(object), ST_OK);
    CHECK_EQ(map_at(object, AT, 0, LARGE, PROTECTION_READ_EXECUTE), ST_OK);
    CHECK(is_large(AT));
    CHECK_EQ(aspace_write(&as, AT, &word, 8), ST_BAD_ADDRESS);
    kobj_unref(&object->obj);
    finish();
}

TEST(large_chosen,
     "what is large gets a place where large pages fit, and small holes stay for what is small")
{
    start();
    struct memory_object *object = numbered(RUN);
    uint64_t small = reserve(0, 1), at = 0, again = 0;
    CHECK_EQ(do_map_object(&as, object, 0, 0, LARGE, PROTECTION_READ, &at), ST_OK);
    CHECK_EQ(at % LARGE, 0);
    CHECK(is_large(at));
    CHECK_EQ(reserve(0, 1), small + P);
    CHECK_EQ(do_map_object(&as, object, 0, 0, LARGE, PROTECTION_READ, &again), ST_OK);
    CHECK_EQ(again, at + LARGE);
    kobj_unref(&object->obj);
    finish();
}

TEST(large_parts, "part of an object, at whatever offset and address, shows the right pages")
{
    static const struct {
        uint64_t address, offset, pages;
        bool large;
    } parts[] = {
        {AT, LARGE, RUN, true},
        {AT, P, RUN, false},
        {AT + P, 0, RUN, false},
        {AT, 0, RUN - 1, false},
        {AT - 3 * P, LARGE - 3 * P, RUN + 9, true},
        {AT - P, 0, 2 * RUN, false},
        {AT + LARGE, 2 * LARGE, 76, false},
    };
    start();
    struct memory_object *object = numbered(PAGES_OF_TWO);
    for (unsigned i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
        uint64_t size = parts[i].pages * P;
        CHECK_EQ(map_at(object, parts[i].address, parts[i].offset, size, PROTECTION_READ), ST_OK);
        check_numbers(parts[i].address, parts[i].offset / P, parts[i].pages);
        /* Where a table of small pages has been, it stays: then there is no large one. */
        CHECK(parts[i].large || !is_large(AT));
        CHECK_EQ(do_unmap(&as, parts[i].address, size), ST_OK);
    }
    kobj_unref(&object->obj);
    finish();
}

TEST(large_split, "protecting part of a large page makes small ones of it, with tables that were "
                  "paid before, or is refused")
{
    unsigned prot;
    start();
    struct memory_object *object = numbered(PAGES_OF_TWO);
    CHECK_EQ(map_at(object, AT, 0, 2 * LARGE, PROTECTION_READ_WRITE), ST_OK);
    CHECK_EQ(do_protect(&as, AT, 2 * LARGE, PROTECTION_READ), ST_OK);
    CHECK(is_large(AT) && is_large(AT + LARGE));
    CHECK(page_state(AT + 9 * P, &prot) && prot == ARCH_PROT_READ);
    uint64_t rest =
        ledger_state(ledger).limit[LEDGER_CLASS_KERNEL_PAGES] - used(LEDGER_CLASS_KERNEL_PAGES);
    CHECK_EQ(ledger_charge(ledger, LEDGER_CLASS_KERNEL_PAGES, rest), ST_OK);
    REFUSES(do_protect(&as, AT + P, P, PROTECTION_READ_WRITE), ST_QUOTA);
    ledger_refund(ledger, LEDGER_CLASS_KERNEL_PAGES, rest);
    frames_fail_at(1);
    REFUSES(do_protect(&as, AT + P, P, PROTECTION_READ_WRITE), ST_QUOTA);
    frames_fail_at(0);
    CHECK(is_large(AT));
    uint64_t tables = used(LEDGER_CLASS_KERNEL_PAGES);
    CHECK_EQ(do_protect(&as, AT + 500 * P, 30 * P, PROTECTION_READ_WRITE), ST_OK);
    CHECK(!is_large(AT) && !is_large(AT + LARGE));
    CHECK_EQ(used(LEDGER_CLASS_KERNEL_PAGES), tables + 2);
    for (uint64_t i = 0; i < 2 * RUN; i++) {
        CHECK(page_state(AT + i * P, &prot));
        CHECK_EQ(prot, i >= 500 && i < 530 ? ARCH_PROT_WRITE : ARCH_PROT_READ);
    }
    check_numbers(AT, 0, 2 * RUN);
    CHECK_EQ(do_protect(&as, AT, 2 * LARGE, PROTECTION_READ), ST_OK);
    CHECK_EQ(do_unmap(&as, AT, 2 * LARGE), ST_OK);
    kobj_unref(&object->obj);
    finish();
}

TEST(large_split_ends,
     "one table is enough when both ends lie in one large page, and none for whole ones")
{
    start();
    struct memory_object *object = numbered(2 * RUN);
    CHECK_EQ(map_at(object, AT, 0, 2 * LARGE, PROTECTION_READ_WRITE), ST_OK);
    uint64_t tables = used(LEDGER_CLASS_KERNEL_PAGES);
    CHECK_EQ(do_protect(&as, AT + LARGE, LARGE, PROTECTION_READ), ST_OK);
    CHECK_EQ(used(LEDGER_CLASS_KERNEL_PAGES), tables);
    CHECK_EQ(do_protect(&as, AT + 3 * P, 2 * P, PROTECTION_READ), ST_OK);
    CHECK_EQ(used(LEDGER_CLASS_KERNEL_PAGES), tables + 1);
    CHECK(!is_large(AT) && is_large(AT + LARGE));
    kobj_unref(&object->obj);
    finish();
}

TEST(large_none, "without runs an object is made of single frames and mapped by small pages")
{
    struct paddr singles = PADDR_NONE;
    start();
    for (struct paddr run; !paddr_is_none(run = frame_run_alloc());) {
        frame_push(&singles, run);
    }
    unsigned given = 0;
    for (; !paddr_is_none(singles); given++) {
        struct paddr run = frame_pop(&singles);
        for (uint64_t i = 0; i < RUN; i++) {
            frame_free(paddr(run.v + i * P));
        }
    }
    CHECK(given > 1);
    struct memory_object *object = numbered(RUN + 10);
    CHECK(paddr_is_none(memory_object_run(object, 0)));
    CHECK_EQ(map_at(object, AT, 0, (RUN + 10) * P, PROTECTION_READ), ST_OK);
    CHECK(!is_large(AT));
    check_numbers(AT, 0, RUN + 10);
    kobj_unref(&object->obj);
    finish();
}

TEST(large_dies, "an object cut short in a run, and a space that dies with large pages at whatever "
                 "step, keep nothing")
{
    for (int slices = 0; slices < 24; slices++) {
        struct aspace_op *op;
        uint64_t at = AT - 40 * P;
        start();
        struct memory_object *cut = NULL, *object = numbered(2 * RUN);
        CHECK_EQ(memory_object_begin(ledger, LARGE + 40 * P, &cut), ST_OK);
        for (int i = 0; i < slices; i++) {
            CHECK_EQ(memory_object_fill(cut), ST_PENDING);
        }
        kobj_unref(&cut->obj);
        run_jobs();
        CHECK_EQ(aspace_map_object(&as, object, NULL, &at, LARGE - 40 * P, LARGE + 40 * P,
                                   PROTECTION_READ_WRITE, &op),
                 ST_OK);
        CHECK(is_large(AT));
        other_cpu(&as.arch);
        CHECK_EQ(aspace_unmap(&as, AT - 40 * P, LARGE + 40 * P, &op), ST_PENDING);
        bool through = false;
        for (int i = 0; i < slices && !through; i++) {
            other_cpu_forgets();
            through = aspace_op_slice(op, 9);
        }
        other_cpu(NULL);
        (void)aspace_destroy_slice(&as);
        while (!through) {
            through = aspace_op_slice(op, 24);
        }
        (void)aspace_op_end(op);
        kobj_unref(&object->obj);
        finish();
    }
}

TEST(large_random, "random maps, rights and unmaps of an object of runs show the right pages with "
                   "the right rights")
{
    enum { WINDOW = 4 * RUN, STEPS = 1500 };
    static uint8_t rights[WINDOW]; /* of each page of the window, 1 + arch_prot bits; 0: nothing */
    static uint32_t shown[WINDOW];
    uint64_t seed = 5;
    start();
    struct memory_object *object = numbered(PAGES_OF_TWO);
    for (unsigned step = 0; step < STEPS; step++) {
        uint64_t coarse = next_random(&seed) % 2 == 0 ? RUN : 1;
        uint64_t page = next_random(&seed) % (WINDOW / coarse) * coarse;
        uint64_t offset = next_random(&seed) % (PAGES_OF_TWO / coarse) * coarse;
        uint64_t pages = 1 + next_random(&seed) % (2 * RUN);
        bool writes = next_random(&seed) % 2 == 0;
        enum Protection protection = writes ? PROTECTION_READ_WRITE : PROTECTION_READ;
        pages = pages < WINDOW - page ? pages : WINDOW - page;
        status_t status;
        switch (next_random(&seed) % 3) {
        case 0:
            status = map_at(object, AT + page * P, offset * P, pages * P, PROTECTION_READ_WRITE);
            for (uint64_t i = 0; i < pages && status == ST_OK; i++) {
                rights[page + i] = 1 + ARCH_PROT_WRITE;
                shown[page + i] = (uint32_t)(offset + i);
            }
            break;
        case 1:
            status = do_protect(&as, AT + page * P, pages * P, protection);
            for (uint64_t i = 0; i < pages && status == ST_OK; i++) {
                rights[page + i] = 1 + (writes ? ARCH_PROT_WRITE : ARCH_PROT_READ);
            }
            break;
        default:
            status = do_unmap(&as, AT + page * P, pages * P);
            memset(rights + page, 0, status == ST_OK ? pages : 0);
        }
        for (uint64_t i = next_random(&seed) % 50; i < WINDOW; i += 1 + next_random(&seed) % 200) {
            unsigned prot = 0;
            bool there = page_state(AT + i * P, &prot);
            CHECK_EQ(there ? prot + 1 : 0, rights[i]);
            CHECK(!there || word_at(AT + i * P) == shown[i]);
        }
    }
    kobj_unref(&object->obj);
    finish();
}
