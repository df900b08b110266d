/* SPDX-License-Identifier: MIT */
/*
 * The loader. Every number in the image is a stranger's: headers are copied, each sum is checked for
 * overflow before it is used, and the whole plan is made before anything is mapped. The object is
 * sealed, so what was checked cannot change, and the plan is carried out in slices.
 */
#include "object/elf.h"

#include <assert.h>
#include <stddef.h>

#include "abi/layout.h"
#include "gen/status.capnp.h"
#include "lib/base/bits.h"
#include "lib/base/string.h"
#include "mem/aspace.h"
#include "mem/frames.h"
#include "object/memory_object.h"

struct elf_header {
    uint8_t ident[16];
    uint16_t type;
    uint16_t machine;
    uint32_t version;
    uint64_t entry;
    uint64_t program_offset;
    uint64_t section_offset;
    uint32_t flags;
    uint16_t header_bytes;
    uint16_t program_entry_bytes;
    uint16_t program_count;
    uint16_t section_entry_bytes;
    uint16_t section_count;
    uint16_t section_names;
};
static_assert(sizeof(struct elf_header) == 64, "ELF header");

struct elf_program {
    uint32_t type;
    uint32_t flags;
    uint64_t offset;
    uint64_t address;
    uint64_t physical;
    uint64_t file_bytes;
    uint64_t memory_bytes;
    uint64_t align;
};
static_assert(sizeof(struct elf_program) == 56, "ELF program header");
static_assert(offsetof(struct elf_program, memory_bytes) == 40, "ELF program header");

enum { COPY_COST = 8 }; /* of a page, in looks at one: mem/aspace.h */
enum { ELF_CLASS_64 = 2, ELF_LITTLE_ENDIAN = 1, ELF_VERSION = 1 };
enum { ELF_EXECUTABLE = 2, ELF_POSITION_INDEPENDENT = 3 };
enum { ELF_MACHINE_X86_64 = 62 };
enum {
    ELF_LOAD = 1,
    ELF_DYNAMIC = 2,
    ELF_INTERPRETER = 3,
    ELF_GNU_STACK = 0x6474e551,
};
enum { ELF_EXECUTE = 1, ELF_WRITE = 2, ELF_READ = 4 };

static const uint8_t elf_ident[7] = {
    0x7f, 'E', 'L', 'F', ELF_CLASS_64, ELF_LITTLE_ENDIAN, ELF_VERSION,
};

/* Copies [offset, offset + bytes) of the image; false when it has no such bytes. */
static bool image_read(const struct memory_object *object, uint64_t offset, void *to,
                       uint64_t bytes)
{
    if (offset > object->size_bytes || bytes > object->size_bytes - offset) {
        return false;
    }
    memory_object_read(object, offset, to, bytes);
    return true;
}

static bool header_ok(const struct elf_header *header)
{
    return memcmp(header->ident, elf_ident, sizeof(elf_ident)) == 0 &&
           (header->type == ELF_EXECUTABLE || header->type == ELF_POSITION_INDEPENDENT) &&
           header->machine == ELF_MACHINE_X86_64 && header->version == ELF_VERSION &&
           header->header_bytes == sizeof(*header) &&
           header->program_entry_bytes == sizeof(struct elf_program) && header->program_count > 0 &&
           header->program_count <= ELF_MAX_HEADERS;
}

static bool flags_ok(uint32_t flags, enum Protection *protection_out)
{
    switch (flags & (ELF_READ | ELF_WRITE | ELF_EXECUTE)) {
    case ELF_READ:
        *protection_out = PROTECTION_READ;
        return true;
    case ELF_READ | ELF_WRITE:
        *protection_out = PROTECTION_READ_WRITE;
        return true;
    case ELF_READ | ELF_EXECUTE:
        *protection_out = PROTECTION_READ_EXECUTE;
        return true;
    default:
        return false;
    }
}

/* Where the segment is in memory and in the file. */
static bool segment_place(const struct memory_object *object, const struct elf_program *program,
                          bool moves, struct elf_segment *out)
{
    uint64_t end;
    uint64_t lowest = moves ? 0 : ARCH_USER_MIN;
    uint64_t highest = moves ? ELF_MAX_SPAN : CAPOS_MMAP_BASE;
    if (program->file_bytes > program->memory_bytes || program->offset > object->size_bytes ||
        program->file_bytes > object->size_bytes - program->offset ||
        !add_checked(program->address, program->memory_bytes, &end) || program->address < lowest ||
        end > highest) {
        return false;
    }
    if ((program->address & (PAGE_BYTES - 1)) != (program->offset & (PAGE_BYTES - 1))) {
        return false;
    }
    out->address = program->address;
    out->offset = program->offset;
    out->file_bytes = program->file_bytes;
    out->start = page_floor(program->address);
    out->end = page_ceil(end);
    return (out->end - out->start) >> PAGE_SHIFT <= ELF_MAX_SEGMENT_PAGES;
}

static bool overlaps(const struct elf_load *load, const struct elf_segment *segment)
{
    for (unsigned i = 0; i < load->count; i++) {
        const struct elf_segment *other = &load->segments[i];
        if (segment->start < other->end && other->start < segment->end) {
            return true;
        }
    }
    return false;
}

static bool plan_segment(const struct memory_object *object, const struct elf_program *program,
                         struct elf_load *load)
{
    struct elf_segment segment;
    if (program->memory_bytes == 0) {
        return program->file_bytes == 0;
    }
    if (load->count == ELF_MAX_SEGMENTS || !flags_ok(program->flags, &segment.protection) ||
        !segment_place(object, program, load->moves, &segment) || overlaps(load, &segment)) {
        return false;
    }
    /* Mapped from the file, so all of it must be there. */
    if (segment.protection != PROTECTION_READ_WRITE &&
        program->file_bytes != program->memory_bytes) {
        return false;
    }
    load->segments[load->count++] = segment;
    return true;
}

static bool plan_program(const struct memory_object *object, const struct elf_program *program,
                         struct elf_load *load)
{
    switch (program->type) {
    case ELF_LOAD:
        return plan_segment(object, program, load);
    case ELF_INTERPRETER:
        return false;
    case ELF_DYNAMIC:
        return load->moves; /* the program's own affair: it relocates itself */
    case ELF_GNU_STACK:
        return (program->flags & ELF_EXECUTE) == 0;
    default:
        return true; /* notes, symbols of the linker: nothing to do */
    }
}

static bool entry_ok(const struct elf_load *load, uint64_t entry)
{
    for (unsigned i = 0; i < load->count; i++) {
        const struct elf_segment *segment = &load->segments[i];
        if (segment->protection == PROTECTION_READ_EXECUTE && entry >= segment->address &&
            entry - segment->address < segment->file_bytes) {
            return true;
        }
    }
    return false;
}

static bool plan_image(const struct memory_object *object, struct elf_load *load)
{
    struct elf_header header;
    if (!image_read(object, 0, &header, sizeof(header)) || !header_ok(&header)) {
        return false;
    }
    load->moves = header.type == ELF_POSITION_INDEPENDENT;
    uint64_t at = header.program_offset;
    for (unsigned i = 0; i < header.program_count; i++) {
        struct elf_program program;
        if (!image_read(object, at, &program, sizeof(program)) ||
            !plan_program(object, &program, load)) {
            return false;
        }
        at += sizeof(program); /* cannot wrap: at was inside the object */
    }
    struct elf_image *image = &load->image;
    *image = (struct elf_image){.entry = header.entry, .base = UINT64_MAX};
    for (unsigned i = 0; i < load->count; i++) {
        image->base = min_u64(image->base, load->segments[i].start);
        image->end = max_u64(image->end, load->segments[i].end);
    }
    return entry_ok(load, header.entry);
}

status_t elf_begin(struct memory_object *object, struct elf_load *load)
{
    load->count = load->at = 0;
    load->placed = false;
    load->step = 0;
    load->op = NULL;
    if (!memory_object_is_sealed(object)) {
        return ST_NOT_SEALED;
    }
    return plan_image(object, load) ? ST_OK : ST_BAD_IMAGE;
}

/* Maps the object's own pages. */
static status_t share(struct aspace *as, struct memory_object *object, struct elf_load *load,
                      int *budget)
{
    const struct elf_segment *segment = &load->segments[load->at];
    uint64_t address = segment->start;
    uint64_t size = segment->end - segment->start;
    if (load->op != NULL) {
        return aspace_op_go_on(&load->op, budget);
    }
    *budget -= (int)min_u64(size >> PAGE_SHIFT, ASPACE_AT_ONCE);
    status_t status = aspace_map_object(as, object, NULL, &address, page_floor(segment->offset),
                                        size, segment->protection, &load->op);
    load->op = status == ST_PENDING ? load->op : NULL;
    return status;
}

/* Copies the next piece of the file part of a writable segment, at most a page. */
static status_t copy_page(struct aspace *as, const struct memory_object *object,
                          struct elf_load *load)
{
    const struct elf_segment *segment = &load->segments[load->at];
    uint64_t offset = segment->offset + load->done;
    uint64_t in_page = offset & (PAGE_BYTES - 1);
    uint64_t n = min_u64(PAGE_BYTES - in_page, segment->file_bytes - load->done);
    struct paddr frame = memory_object_frame(object, (uint32_t)(offset >> PAGE_SHIFT));
    const uint8_t *from = (const uint8_t *)frame_ptr(frame) + in_page;
    status_t status = aspace_write(as, segment->address + load->done, from, n);
    load->done += n;
    return status;
}

/* Fresh memory, with a copy of the file's part. */
static status_t copy(struct aspace *as, const struct memory_object *object, struct elf_load *load,
                     int *budget)
{
    const struct elf_segment *segment = &load->segments[load->at];
    status_t status = ST_OK;
    if (load->step == 0) {
        status = aspace_reserve(as, segment->start, segment->end - segment->start, &load->done);
        load->step++;
    }
    if (status == ST_OK && load->step == 1) {
        status = aspace_commit_some(as, &load->done, segment->end, &load->op, budget);
        if (status == ST_OK) {
            load->done = 0;
            load->step++;
        }
    }
    for (; status == ST_OK && load->done < segment->file_bytes; *budget -= COPY_COST) {
        status = *budget > 0 ? copy_page(as, object, load) : ST_PENDING;
    }
    return status;
}

/* What moves goes where the space drew; there is room: ELF_MAX_SPAN. */
static void place(struct aspace *as, struct elf_load *load)
{
    uint64_t bias = load->moves ? as->image_at - load->image.base : 0;
    for (unsigned i = 0; i < load->count; i++) {
        load->segments[i].start += bias;
        load->segments[i].end += bias;
        load->segments[i].address += bias;
    }
    load->image.entry += bias;
    load->image.base += bias;
    load->image.end += bias;
    as->image_at = load->image.base;
    load->placed = true;
}

status_t elf_load_slice(struct aspace *as, struct memory_object *object, struct elf_load *load,
                        int *budget)
{
    if (!load->placed) {
        place(as, load);
    }
    for (; load->at < load->count; load->at++, load->step = 0) {
        bool fresh = load->segments[load->at].protection == PROTECTION_READ_WRITE;
        status_t status = *budget <= 0 ? ST_PENDING
                          : fresh      ? copy(as, object, load, budget)
                                       : share(as, object, load, budget);
        if (status != ST_OK) {
            return status;
        }
    }
    return ST_OK;
}
