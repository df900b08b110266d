/* SPDX-License-Identifier: MIT */
#include "tests/unit/aspace_ops.h"
#include "tests/unit/kernel_machine.h"
#include "tests/unit/test.h"

#include <elf.h>

#include "abi/layout.h"
#include "core/job.h"
#include "mem/aspace.h"
#include "mem/frames.h"
#include "object/elf.h"
#include "object/memory_object.h"
#include "sched/cpu.h"

enum { IMAGE_PAGES = 8 };

#define P UINT64_C(4096)
#define BASE UINT64_C(0x400000)

/* The image under construction: text at BASE, constants behind it, data and zeroed memory last. */
static struct {
    union {
        uint8_t bytes[IMAGE_PAGES * 4096];
        Elf64_Ehdr header;
    };
    uint64_t size;
} image;

static struct ledger *ledger;
static struct ledger_state clean;
static struct ledger_state empty;
static struct aspace as;
static uint64_t frames;
static struct elf_image out;

static Elf64_Phdr *program(unsigned i)
{
    return (Elf64_Phdr *)(void *)(image.bytes + image.header.e_phoff) + i;
}

static void segment(unsigned i, uint32_t flags, uint64_t address, uint64_t offset, uint64_t file,
                    uint64_t memory)
{
    *program(i) = (Elf64_Phdr){.p_type = PT_LOAD,
                               .p_flags = flags,
                               .p_offset = offset,
                               .p_vaddr = address,
                               .p_paddr = address,
                               .p_filesz = file,
                               .p_memsz = memory,
                               .p_align = 4096};
}

/* A good program. */
static void image_new(void)
{
    memset(&image, 0, sizeof(image));
    for (size_t i = 0; i < sizeof(image.bytes); i++) {
        image.bytes[i] = (uint8_t)(i * 31 + i / 4096);
    }
    image.size = 5 * P - 100;
    image.header = (Elf64_Ehdr){.e_ident = {0x7f, 'E', 'L', 'F', ELFCLASS64, ELFDATA2LSB, 1},
                                .e_type = ET_EXEC,
                                .e_machine = EM_X86_64,
                                .e_version = 1,
                                .e_entry = BASE + P + 0x10,
                                .e_phoff = 64,
                                .e_ehsize = 64,
                                .e_phentsize = 56,
                                .e_phnum = 4};
    segment(0, PF_R, BASE, 0, 1000, 1000);
    segment(1, PF_R | PF_X, BASE + P, P, 2 * P - 8, 2 * P - 8);
    segment(2, PF_R | PF_W, BASE + 4 * P + 0x20, 3 * P + 0x20, P + 0x100, 3 * P);
    *program(3) = (Elf64_Phdr){.p_type = PT_GNU_STACK, .p_flags = PF_R | PF_W};
}

static struct memory_object *make_object(bool sealed)
{
    struct memory_object *object = NULL;
    uint64_t pages = image.size == 0 ? 1 : (image.size + P - 1) / P;
    CHECK_EQ(memory_object_create(NULL, pages * P, &object), ST_OK);
    for (uint64_t at = 0; at < image.size; at += P) {
        memcpy(frame_ptr(memory_object_frame(object, (uint32_t)(at / P))), image.bytes + at,
               image.size - at < P ? image.size - at : P);
    }
    object->size_bytes = image.size;
    if (sealed) {
        CHECK_EQ(memory_object_seal(object), ST_OK);
    }
    return object;
}

static void start(void)
{
    uint64_t limits[LEDGER_CLASSES];
    struct ledger *root = machine_start(1);
    cpus_init(1);
    frames = frames_free_count();
    machine_limits(limits, 100000, 1500);
    CHECK_EQ(ledger_carve(root, limits, "test", &ledger), ST_OK);
    clean = ledger_state(ledger);
    CHECK_EQ(aspace_init(&as, ledger), ST_OK);
    empty = ledger_state(ledger);
    image_new();
}

static void finish(void)
{
    while (!aspace_destroy_slice(&as)) {
    }
    struct ledger_state now = ledger_state(ledger);
    CHECK_MEM_EQ(&now, &clean, sizeof(now));
    ledger_unref(ledger);
    CHECK_EQ(frames_free_count(), frames);
}

/* In slices of little. */
static status_t load_object(struct memory_object *object, struct elf_image *to)
{
    struct elf_load load;
    status_t status = elf_begin(object, &load);
    bool begun = status == ST_OK;
    for (int budget = 1; begun; budget = 1) {
        status = elf_load_slice(&as, object, &load, &budget);
        begun = status == ST_PENDING;
    }
    *to = load.image;
    return status;
}

static status_t load(void)
{
    struct memory_object *object = make_object(true);
    status_t status = load_object(object, &out);
    kobj_unref(&object->obj);
    return status;
}

/* The image as it is now is refused, and nothing was mapped. */
static void check_bad(const char *what)
{
    CHECK_EQ(load(), ST_BAD_IMAGE);
    struct ledger_state now = ledger_state(ledger);
    if (memcmp(&now, &empty, sizeof(now)) != 0) {
        FAIL(what);
    }
    image_new();
}

#define BAD(change) \
    do { \
        change; \
        check_bad(#change); \
    } while (0)

static unsigned rights(uint64_t address)
{
    unsigned prot = 99;
    bool dirty;
    return arch_page_state(&as.arch, uaddr(address), &prot, &dirty) ? prot : 99;
}

TEST(elf_good, "a good program is mapped with its rights, its bytes, and zeros behind its data")
{
    static uint8_t got[3 * 4096];
    start();
    CHECK_EQ(load(), ST_OK);
    CHECK_EQ(out.entry, BASE + P + 0x10);
    CHECK_EQ(out.base, BASE);
    CHECK_EQ(as.image_at, BASE);
    CHECK_EQ(out.end, BASE + 8 * P);
    CHECK_EQ(rights(BASE), ARCH_PROT_READ);
    CHECK_EQ(rights(BASE + 2 * P), ARCH_PROT_EXECUTE);
    CHECK_EQ(rights(BASE + 3 * P), 99);
    CHECK_EQ(rights(BASE + 4 * P), ARCH_PROT_WRITE);
    CHECK_EQ(rights(BASE + 7 * P), ARCH_PROT_WRITE);
    CHECK_EQ(aspace_read(&as, BASE + P, got, 2 * P - 8), ST_OK);
    CHECK_MEM_EQ(got, image.bytes + P, 2 * P - 8);
    CHECK_EQ(aspace_read(&as, BASE + 4 * P + 0x20, got, 3 * P), ST_OK);
    CHECK_MEM_EQ(got, image.bytes + 3 * P + 0x20, P + 0x100);
    for (uint64_t i = P + 0x100; i < 3 * P; i++) {
        CHECK_EQ(got[i], 0);
    }
    CHECK_EQ(ledger_state(ledger).used[LEDGER_CLASS_FRAMES], 4);
    finish();
}

TEST(elf_moves, "a position-independent program lies where the space drew its image, and may have "
                "a dynamic section")
{
    static uint8_t got[2 * 4096];
    const uint64_t random[2] = {0, 0x12345};
    start();
    aspace_scatter(&as, random);
    uint64_t at = as.image_at;
    CHECK(at > CAPOS_IMAGE_BASE);
    image.header.e_type = ET_DYN;
    image.header.e_entry -= BASE;
    for (unsigned i = 0; i < 3; i++) {
        program(i)->p_vaddr -= BASE;
    }
    program(3)->p_type = PT_DYNAMIC;
    CHECK_EQ(load(), ST_OK);
    CHECK_EQ(as.image_at, at);
    CHECK_EQ(out.entry, at + P + 0x10);
    CHECK_EQ(out.base, at);
    CHECK_EQ(out.end, at + 8 * P);
    CHECK_EQ(rights(at + P), ARCH_PROT_EXECUTE);
    CHECK_EQ(rights(at + 5 * P), ARCH_PROT_WRITE);
    CHECK_EQ(aspace_read(&as, at + P, got, 2 * P - 8), ST_OK);
    CHECK_MEM_EQ(got, image.bytes + P, 2 * P - 8);
    finish();
}

TEST(elf_moves_nowhere,
     "what is too large to be moved, or says where it lies, is refused before anything is mapped")
{
    start();
    BAD(image.header.e_type = ET_DYN; program(2)->p_vaddr = ELF_MAX_SPAN - P + 0x20);
    BAD(image.header.e_type = ET_DYN; program(2)->p_vaddr = CAPOS_MMAP_BASE + 0x20);
    BAD(image.header.e_type = ET_DYN; program(2)->p_vaddr = UINT64_MAX - P + 0x21);
    BAD(image.header.e_type = ET_DYN; image.header.e_entry = BASE + 16 * P);
    BAD(image.header.e_type = ET_DYN; program(3)->p_type = PT_INTERP);
    finish();
}

TEST(elf_unsealed, "an unsealed object is refused")
{
    start();
    struct memory_object *object = make_object(false);
    CHECK_EQ(load_object(object, &out), ST_NOT_SEALED);
    kobj_unref(&object->obj);
    finish();
}

TEST(elf_header, "every wrong header field is refused before anything is mapped")
{
    start();
    BAD(image.size = 0);
    BAD(image.size = 63);
    BAD(image.size = 64 + 4 * 56 - 1);
    BAD(image.bytes[0] = 0);
    BAD(image.header.e_ident[EI_CLASS] = ELFCLASS32);
    BAD(image.header.e_ident[EI_DATA] = ELFDATA2MSB);
    BAD(image.header.e_ident[EI_VERSION] = 0);
    BAD(image.header.e_type = ET_DYN; image.header.e_entry = BASE);
    BAD(image.header.e_type = ET_REL);
    BAD(image.header.e_machine = EM_AARCH64);
    BAD(image.header.e_version = 2);
    BAD(image.header.e_ehsize = 63);
    BAD(image.header.e_phentsize = 32);
    BAD(image.header.e_phnum = 0);
    BAD(image.header.e_phnum = 33);
    BAD(image.header.e_phoff = image.size);
    BAD(image.header.e_phoff = UINT64_MAX - 10);
    BAD(image.header.e_phoff = UINT64_MAX);
    BAD(image.header.e_entry = BASE);
    BAD(image.header.e_entry = BASE + 3 * P - 8);
    BAD(image.header.e_entry = BASE + 4 * P + 0x20);
    BAD(image.header.e_entry = UINT64_MAX);
    BAD(image.header.e_entry = 0);
    finish();
}

TEST(elf_segments, "every wrong segment is refused before anything is mapped")
{
    start();
    BAD(program(1)->p_flags = PF_R | PF_W | PF_X);
    BAD(program(1)->p_flags = PF_W | PF_X);
    BAD(program(1)->p_flags = PF_X);
    BAD(program(0)->p_flags = 0);
    BAD(program(2)->p_flags = PF_W);
    BAD(program(3)->p_flags |= PF_X);
    BAD(program(3)->p_type = PT_INTERP);
    BAD(program(3)->p_type = PT_DYNAMIC);
    BAD(program(0)->p_vaddr += 1);
    BAD(program(0)->p_offset += 8);
    BAD(program(0)->p_memsz += 1);
    BAD(program(0)->p_filesz += 1);
    BAD(program(1)->p_memsz = program(1)->p_filesz = 4 * P);
    BAD(program(2)->p_filesz = program(2)->p_memsz + 1);
    BAD(program(2)->p_filesz = image.size);
    BAD(program(2)->p_filesz = UINT64_MAX);
    BAD(program(2)->p_memsz = UINT64_MAX);
    BAD(program(2)->p_memsz = UINT64_MAX - BASE - 4 * P - 0x20);
    BAD(program(2)->p_memsz = UINT64_C(1) << 40);
    BAD(program(2)->p_memsz = 1025 * P);
    BAD(program(2)->p_vaddr = BASE + 2 * P + 0x20);
    BAD(program(2)->p_vaddr = 0x20);
    BAD(program(2)->p_vaddr = 0xf020);
    BAD(program(2)->p_vaddr = CAPOS_MMAP_BASE - P + 0x20);
    BAD(program(2)->p_vaddr = ARCH_USER_END - P + 0x20);
    BAD(program(2)->p_vaddr = UINT64_MAX - P + 0x21);
    BAD(program(2)->p_offset = UINT64_MAX - P + 0x21);
    BAD(program(2)->p_offset = 5 * P + 0x20);
    finish();
}

TEST(elf_segment_count, "sixteen segments load and a seventeenth is refused")
{
    start();
    for (unsigned count = 16; count <= 17; count++) {
        image_new();
        image.header.e_phnum = (uint16_t)count;
        for (unsigned i = 0; i < count; i++) {
            segment(i, PF_R | PF_X, BASE + i * P, P, P, P);
        }
        CHECK_EQ(load(), count == 16 ? ST_OK : ST_BAD_IMAGE);
        if (count == 16) {
            CHECK_EQ(do_unmap(&as, BASE, 16 * P), ST_OK);
        }
    }
    finish();
}

TEST(elf_occupied, "an image whose place is taken is refused")
{
    uint64_t at;
    start();
    CHECK_EQ(aspace_reserve(&as, BASE + 2 * P, P, &at), ST_OK);
    CHECK_EQ(load(), ST_EXISTS);
    finish();
}

TEST(elf_quota, "a load that runs out of memory at any step leaves nothing behind after teardown")
{
    unsigned n = 1;
    for (bool failed = true; failed; n++) {
        start();
        struct memory_object *object = make_object(true);
        frames_fail_at(n);
        status_t status = load_object(object, &out);
        failed = frames_failed();
        frames_fail_at(0);
        CHECK_EQ(status, failed ? ST_QUOTA : ST_OK);
        kobj_unref(&object->obj);
        finish();
    }
    CHECK(n > 5);
}

TEST(elf_noise, "an image with random bytes changed is loaded or refused, and never leaks")
{
    uint64_t seed = 3;
    start();
    for (unsigned round = 0; round < 20000; round++) {
        image_new();
        for (unsigned i = 0; i < 1 + round % 3; i++) {
            seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
            image.bytes[(seed >> 33) % (64 + 4 * 56)] = (uint8_t)(seed >> 56);
        }
        image.size = round % 7 == 0 ? (seed >> 40) % (5 * P) : image.size;
        if (load() == ST_OK) {
            CHECK(out.base < out.end && out.end <= CAPOS_MMAP_BASE);
            while (!aspace_destroy_slice(&as)) {
            }
            CHECK_EQ(aspace_init(&as, ledger), ST_OK);
        }
        struct ledger_state now = ledger_state(ledger);
        CHECK_MEM_EQ(&now, &empty, sizeof(now));
    }
    finish();
}
