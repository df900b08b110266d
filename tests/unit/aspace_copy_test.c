/* SPDX-License-Identifier: MIT */
/* Copies from, to and between address spaces: what they refuse, and that they remember nothing that is no more. */
#include "tests/unit/aspace_space.h"
#include "tests/unit/kernel_machine.h"

TEST(aspace_copy_bad, "a copy of a range that is not wholly mapped is refused for any address")
{
    static const uint64_t bad[] = {
        0,
        1,
        P,
        BASE - 1,
        BASE + 4 * P - 7,
        ARCH_USER_END - 4,
        ARCH_USER_END,
        UINT64_C(1) << 47,
        UINT64_C(0xffff800000000000),
        UINT64_MAX - 15,
        UINT64_MAX - 7,
    };
    uint8_t bytes[16] = {0};
    start();
    (void)reserve(BASE, 8);
    CHECK_EQ(do_commit(&as, BASE, 4 * P, PROTECTION_READ_WRITE), ST_OK);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        CHECK_EQ(aspace_read(&as, bad[i], bytes, 16), ST_BAD_ADDRESS);
        CHECK_EQ(aspace_write(&as, bad[i], bytes, 16), ST_BAD_ADDRESS);
        CHECK_EQ(aspace_copy(&as, bad[i], &as, BASE, 16), ST_BAD_ADDRESS);
        CHECK_EQ(aspace_copy(&as, BASE, &as, bad[i], 16), BAD_SOURCE);
    }
    CHECK_EQ(aspace_read(&as, BASE + 4 * P - 16, bytes, 16), ST_OK);
    finish();
}

TEST(aspace_copy_between,
     "bytes go from one space to another at any alignment, and overlap in one is safe")
{
    static uint8_t wanted[3 * 4096];
    static uint8_t got[3 * 4096];
    struct aspace other;
    uint64_t at;
    start();
    CHECK_EQ(aspace_init(&other, ledger), ST_OK);
    CHECK_EQ(aspace_reserve(&other, BASE, 4 * P, &at), ST_OK);
    CHECK_EQ(do_commit(&other, BASE, 4 * P, PROTECTION_READ_WRITE), ST_OK);
    (void)reserve(BASE, 4);
    CHECK_EQ(do_commit(&as, BASE, 4 * P, PROTECTION_READ_WRITE), ST_OK);
    for (size_t i = 0; i < sizeof(wanted); i++) {
        wanted[i] = (uint8_t)(i ^ (i >> 8));
    }
    CHECK_EQ(aspace_write(&as, BASE + 5, wanted, sizeof(wanted)), ST_OK);
    CHECK_EQ(aspace_copy(&other, BASE + 3000, &as, BASE + 5, sizeof(wanted)), ST_OK);
    CHECK_EQ(aspace_read(&other, BASE + 3000, got, sizeof(got)), ST_OK);
    CHECK_MEM_EQ(got, wanted, sizeof(got));
    CHECK_EQ(aspace_copy(&as, BASE + 100, &as, BASE + 5, 2000), ST_OK);
    CHECK_EQ(aspace_read(&as, BASE + 100, got, 2000), ST_OK);
    CHECK_MEM_EQ(got, wanted, 2000);
    while (!aspace_destroy_slice(&other)) {
    }
    CHECK_EQ(aspace_copy(&other, BASE, &as, BASE, 16), ST_BAD_ADDRESS);
    finish();
}

/* Reads, then writes, a byte at BASE: fills what the space remembers of its pages. */
static void touch(status_t read, status_t write)
{
    uint8_t byte = 1;
    CHECK_EQ(aspace_read(&as, BASE, &byte, 1), read);
    CHECK_EQ(aspace_write(&as, BASE, &byte, 1), write);
    CHECK_EQ(aspace_read(&as, BASE, &byte, 1), read);
}

TEST(aspace_copy_forgets,
     "a copy never uses a page or a right that was taken away since the last one")
{
    uint64_t at;
    start();
    struct memory_object *object = NULL;
    CHECK_EQ(memory_object_create(ledger, P, &object), ST_OK);
    (void)reserve(BASE, 16);
    for (int i = 0; i < 3; i++) {
        touch(ST_BAD_ADDRESS, ST_BAD_ADDRESS);
        CHECK_EQ(do_commit(&as, BASE, P, PROTECTION_READ), ST_OK);
        touch(ST_OK, ST_BAD_ADDRESS);
        CHECK_EQ(do_protect(&as, BASE, P, PROTECTION_READ_WRITE), ST_OK);
        touch(ST_OK, ST_OK);
        CHECK_EQ(do_protect(&as, BASE, P, PROTECTION_READ), ST_OK);
        touch(ST_OK, ST_BAD_ADDRESS);
        CHECK_EQ(do_protect(&as, BASE, P, PROTECTION_READ_WRITE), ST_OK);
        touch(ST_OK, ST_OK);
        CHECK_EQ(do_decommit(&as, BASE, P), ST_OK);
        touch(ST_BAD_ADDRESS, ST_BAD_ADDRESS);
        CHECK_EQ(do_commit(&as, BASE, P, PROTECTION_READ_WRITE), ST_OK);
        touch(ST_OK, ST_OK);
        CHECK_EQ(do_unmap(&as, BASE, 16 * P), ST_OK);
        touch(ST_BAD_ADDRESS, ST_BAD_ADDRESS);
        CHECK_EQ(do_map_object(&as, object, BASE, 0, P, PROTECTION_READ_WRITE, &at), ST_OK);
        touch(ST_OK, ST_OK);
        CHECK_EQ(do_unmap(&as, BASE, P), ST_OK);
        touch(ST_BAD_ADDRESS, ST_BAD_ADDRESS);
        struct paddr frame = frame_alloc_zeroed();
        CHECK_EQ(map_kernel(BASE, &frame, 1, true), ST_OK);
        touch(ST_BAD_ADDRESS, ST_BAD_ADDRESS);
        unmap_kernel(BASE);
        CHECK_EQ(map_kernel(BASE, &frame, 1, false), ST_OK);
        touch(ST_OK, ST_BAD_ADDRESS);
        unmap_kernel(BASE);
        touch(ST_BAD_ADDRESS, ST_BAD_ADDRESS);
        frame_free(frame);
        (void)reserve(BASE, 16);
    }
    kobj_unref(&object->obj);
    finish();
}
