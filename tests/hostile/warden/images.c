/* SPDX-License-Identifier: MIT */
#include "images.h"

#include "abi/layout.h"
#include "ledger.client.h"
#include "lib/base/bits.h"
#include "lib/base/fmt.h"
#include "lib/base/string.h"
#include "memory.client.h"
#include "warden.h"

enum { IMAGE_BYTES = 2 * PAGE, DETAIL_BYTES = WARDEN_DETAIL_BYTES };

/* The least program: one segment of text at a page of its own that exits with code 7. */
struct tiny {
    uint8_t ident[16];
    uint16_t type, machine;
    uint32_t version;
    uint64_t entry, program_offset, section_offset;
    uint32_t flags;
    uint16_t header_bytes, program_bytes, program_count, section_bytes, section_count, name_index;
    struct {
        uint32_t type, flags;
        uint64_t offset, address, physical, file_bytes, memory_bytes, align;
    } segments[4];
};
static_assert(offsetof(struct tiny, segments) == 64, "ELF header");

static const uint8_t exit_code_7[] = {
    0xb8, 0x01, 0x00, 0xa9, 0x0c, /* mov eax, exit */
    0xbf, 0x07, 0x00, 0x00, 0x00, /* mov edi, 7 */
    0x0f, 0x05,                   /* syscall */
    0x0f, 0x0b,                   /* ud2 */
};

static union {
    struct tiny elf;
    uint8_t bytes[IMAGE_BYTES];
} image;

static void fresh_image(void)
{
    memset(&image, 0, sizeof(image));
    image.elf = (struct tiny){
        .ident = {0x7f, 'E', 'L', 'F', 2, 1, 1},
        .type = 2,
        .machine = 62,
        .version = 1,
        .entry = CAPOS_IMAGE_BASE,
        .program_offset = 64,
        .header_bytes = 64,
        .program_bytes = 56,
        .program_count = 1,
        .segments = {{.type = 1,
                      .flags = 5,
                      .offset = PAGE,
                      .address = CAPOS_IMAGE_BASE,
                      .file_bytes = PAGE,
                      .memory_bytes = PAGE,
                      .align = PAGE}},
    };
    memcpy(image.bytes + PAGE, exit_code_7, sizeof(exit_code_7));
}

static void add_segment(uint32_t flags, uint64_t address, uint64_t memory_bytes)
{
    unsigned i = image.elf.program_count++;
    image.elf.segments[i].type = 1;
    image.elf.segments[i].flags = flags;
    image.elf.segments[i].address = address;
    image.elf.segments[i].memory_bytes = memory_bytes;
    image.elf.segments[i].align = PAGE;
}

/* The image as a memory object, sealed or not. */
static status_t make_object(bool seal, capos_cap_t *out)
{
    status_t status = Ledger_new_memory_object(warden.ledger, IMAGE_BYTES, out);
    for (unsigned at = 0; status == ST_OK && at < IMAGE_BYTES; at += PAGE) {
        status = MemoryObject_write(*out, at, image.bytes + at, PAGE);
    }
    return status == ST_OK && seal ? MemoryObject_seal(*out) : status;
}

/* Starts the image; what came of it. A process that did start is ended and reaped. */
static status_t try_image(bool seal, struct child *child)
{
    capos_cap_t object = 0;
    memset(child, 0, sizeof(*child));
    status_t status = make_object(seal, &object);
    if (status == ST_OK) {
        status = start_image(child, object);
    }
    if (object != 0) {
        (void)capos_release_now(object);
    }
    return status;
}

/* ---- wrong images, one by one ---- */

struct wrong {
    const char *what;
    void (*spoil)(void);
    status_t status;
};

static void not_elf(void)
{
    image.bytes[0] = 0;
}
static void other_class(void)
{
    image.elf.ident[4] = 1;
}
static void other_order(void)
{
    image.elf.ident[5] = 2;
}
static void other_type(void)
{
    image.elf.type = 1;
}
static void other_machine(void)
{
    image.elf.machine = 3;
}
static void other_version(void)
{
    image.elf.version = 2;
}
static void short_header(void)
{
    image.elf.header_bytes = 63;
}
static void short_entries(void)
{
    image.elf.program_bytes = 32;
}
static void no_segments(void)
{
    image.elf.program_count = 0;
}
static void most_segments(void)
{
    image.elf.program_count = 0xffff;
}
static void headers_outside(void)
{
    image.elf.program_offset = IMAGE_BYTES;
}
static void headers_half_outside(void)
{
    image.elf.program_offset = IMAGE_BYTES - 8;
}
static void headers_wrap(void)
{
    image.elf.program_offset = UINT64_MAX - 7;
}
static void entry_outside(void)
{
    image.elf.entry = CAPOS_IMAGE_BASE + PAGE;
}
static void entry_zero(void)
{
    image.elf.entry = 0;
}
static void entry_kernel(void)
{
    image.elf.entry = UINT64_C(0xffffffff80000000);
}
static void entry_hole(void)
{
    image.elf.entry = UINT64_C(0x0000800000000000);
}
static void file_outside(void)
{
    image.elf.segments[0].offset = IMAGE_BYTES;
}
static void file_wraps(void)
{
    image.elf.segments[0].offset = UINT64_MAX - PAGE + 1;
}
static void file_too_long(void)
{
    image.elf.segments[0].file_bytes = 2 * PAGE;
}
static void file_longest(void)
{
    image.elf.segments[0].file_bytes = UINT64_MAX;
}
static void memory_short(void)
{
    image.elf.segments[0].memory_bytes = 8;
}
static void address_kernel(void)
{
    image.elf.segments[0].address = UINT64_C(0xffffffff80000000);
}
static void address_zero(void)
{
    image.elf.segments[0].address = 0;
}
static void address_hole(void)
{
    image.elf.segments[0].address = UINT64_C(0x0000800000000000);
}
static void address_wraps(void)
{
    image.elf.segments[0].address = UINT64_C(0xfffffffffffff000);
}
static void address_home(void)
{
    image.elf.segments[0].address = CAPOS_HOME_BASE;
}
static void address_last(void)
{
    image.elf.segments[0].address = CAPOS_USER_END - PAGE;
}
static void address_chosen(void)
{
    image.elf.segments[0].address = CAPOS_MMAP_BASE;
}
static void address_odd(void)
{
    image.elf.segments[0].address = CAPOS_IMAGE_BASE + 8;
}
static void writable_text(void)
{
    image.elf.segments[0].flags = 7;
}
static void no_flags(void)
{
    image.elf.segments[0].flags = 0;
}
static void not_executable(void)
{
    image.elf.segments[0].flags = 4;
}
static void interpreter(void)
{
    image.elf.segments[1] = image.elf.segments[0];
    image.elf.segments[1].type = 3;
    image.elf.program_count = 2;
}
static void overlapping(void)
{
    add_segment(6, CAPOS_IMAGE_BASE, PAGE);
}
static void half_overlapping(void)
{
    add_segment(6, CAPOS_IMAGE_BASE - PAGE, PAGE + 8);
}
static void huge_memory(void)
{
    add_segment(6, CAPOS_IMAGE_BASE + PAGE, UINT64_C(1) << 40);
}
static void endless_memory(void)
{
    add_segment(6, CAPOS_IMAGE_BASE + PAGE, UINT64_MAX);
}
static void too_much_memory(void)
{
    add_segment(6, CAPOS_IMAGE_BASE + PAGE, 1000 * PAGE);
}

static const struct wrong wrongs[] = {
    {"no ELF file", not_elf, ST_BAD_IMAGE},
    {"another class", other_class, ST_BAD_IMAGE},
    {"another byte order", other_order, ST_BAD_IMAGE},
    {"another type", other_type, ST_BAD_IMAGE},
    {"another machine", other_machine, ST_BAD_IMAGE},
    {"another version", other_version, ST_BAD_IMAGE},
    {"a short header", short_header, ST_BAD_IMAGE},
    {"short program headers", short_entries, ST_BAD_IMAGE},
    {"no segments", no_segments, ST_BAD_IMAGE},
    {"65535 segments", most_segments, ST_BAD_IMAGE},
    {"headers outside", headers_outside, ST_BAD_IMAGE},
    {"headers half outside", headers_half_outside, ST_BAD_IMAGE},
    {"headers that wrap", headers_wrap, ST_BAD_IMAGE},
    {"an entry outside", entry_outside, ST_BAD_IMAGE},
    {"an entry at 0", entry_zero, ST_BAD_IMAGE},
    {"an entry in the kernel", entry_kernel, ST_BAD_IMAGE},
    {"an entry in the hole", entry_hole, ST_BAD_IMAGE},
    {"a segment outside the file", file_outside, ST_BAD_IMAGE},
    {"a segment that wraps in the file", file_wraps, ST_BAD_IMAGE},
    {"a segment longer than the file", file_too_long, ST_BAD_IMAGE},
    {"the longest segment", file_longest, ST_BAD_IMAGE},
    {"less memory than file", memory_short, ST_BAD_IMAGE},
    {"a segment in the kernel", address_kernel, ST_BAD_IMAGE},
    {"a segment at 0", address_zero, ST_BAD_IMAGE},
    {"a segment in the hole", address_hole, ST_BAD_IMAGE},
    {"a segment that wraps", address_wraps, ST_BAD_IMAGE},
    {"a segment where rings are", address_home, ST_BAD_IMAGE},
    {"a segment at the end of all", address_last, ST_BAD_IMAGE},
    {"a segment where VirtualMemory chooses", address_chosen, ST_BAD_IMAGE},
    {"a segment at another place in its page", address_odd, ST_BAD_IMAGE},
    {"writable text", writable_text, ST_BAD_IMAGE},
    {"a segment without rights", no_flags, ST_BAD_IMAGE},
    {"an entry that is not executable", not_executable, ST_BAD_IMAGE},
    {"an interpreter", interpreter, ST_BAD_IMAGE},
    {"overlapping segments", overlapping, ST_BAD_IMAGE},
    {"half overlapping segments", half_overlapping, ST_BAD_IMAGE},
    {"a terabyte of memory", huge_memory, ST_BAD_IMAGE},
    {"endless memory", endless_memory, ST_BAD_IMAGE},
    {"more memory than its limit", too_much_memory, ST_QUOTA},
};

static bool wrong_images(char *detail)
{
    for (unsigned i = 0; i < ARRAY_LEN(wrongs); i++) {
        struct child child;
        fresh_image();
        wrongs[i].spoil();
        status_t status = try_image(true, &child);
        end_child(&child);
        if (status != wrongs[i].status) {
            (void)fmt_format(detail, DETAIL_BYTES, "%s: %s, expected %s", wrongs[i].what,
                             status_name(status), status_name(wrongs[i].status));
            return false;
        }
    }
    return true;
}

/* The tiny program does run, and only when it is sealed and may be executed. */
static bool right_image(char *detail)
{
    struct child child;
    fresh_image();
    status_t status = try_image(true, &child);
    if (status == ST_OK) {
        (void)capos_op_wait(&child.wait, warden_now_ns() + UINT64_C(60000000000));
        look_after(&child);
    }
    end_child(&child);
    if (status != ST_OK || child.state != PROCESS_STATE_EXITED || child.code != 7) {
        (void)fmt_format(detail, DETAIL_BYTES, "the least program: %s, code %lld",
                         status_name(status), (long long)child.code);
        return false;
    }
    status = try_image(false, &child);
    end_child(&child);
    (void)fmt_format(detail, DETAIL_BYTES, "not sealed: %s", status_name(status));
    return status == ST_NOT_SEALED;
}

/* Bits of chance in the headers: refused, or it runs in its own space and can be ended. */
static bool mutated_images(char *detail)
{
    enum { ROUNDS = 400 };
    for (unsigned round = 0; round < ROUNDS; round++) {
        struct child child;
        fresh_image();
        if (round % 3 == 0) {
            add_segment(6, CAPOS_IMAGE_BASE + PAGE, 100);
        }
        for (unsigned i = 0; i <= chance() % 3; i++) {
            image.bytes[chance() % (64 + 56)] ^= (uint8_t)(1u << chance() % 8);
        }
        status_t status = try_image(true, &child);
        end_child(&child);
        if (status != ST_OK && status != ST_BAD_IMAGE && status != ST_QUOTA) {
            (void)fmt_format(detail, DETAIL_BYTES, "round %u: %s", round, status_name(status));
            return false;
        }
    }
    return true;
}

static const struct {
    const char *name, *sentence;
    bool (*run)(char *detail);
} groups[] = {
    {"full.start", "a process that cannot be paid for leaves nothing behind", starved_spawns},
    {"image.right", "the least program runs, sealed", right_image},
    {"image.wrong", "an image that is none is refused, and nothing is left of it", wrong_images},
    {"image.mutated", "wrong bits in an image hurt nobody else", mutated_images},
};

static bool is_wanted(unsigned i, const char *prefix)
{
    return strncmp(groups[i].name, prefix, strlen(prefix)) == 0;
}

unsigned images_count(const char *prefix)
{
    unsigned count = 0;
    for (unsigned i = 0; i < ARRAY_LEN(groups); i++) {
        count += is_wanted(i, prefix);
    }
    return count;
}

static void try_group(unsigned i)
{
    char detail[DETAIL_BYTES] = "the ledger cannot be read", after[DETAIL_BYTES];
    struct usage before;
    bool good = warden_read_usage(&before) && groups[i].run(detail);
    bool clean = warden_aftermath(&before, after);
    const char *why = good ? after : detail;
    report(groups[i].name, good && clean, good && clean ? groups[i].sentence : why);
}

void images_try(const char *prefix)
{
    for (unsigned i = 0; i < ARRAY_LEN(groups); i++) {
        if (is_wanted(i, prefix)) {
            try_group(i);
        }
    }
}
