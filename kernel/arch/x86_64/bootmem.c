/* SPDX-License-Identifier: MIT */
/*
 * Firmware's memory map, made fit to use.
 *
 * Noted ranges go to `noted` as they come (page-aligned: free ones shrunk, all others grown). The
 * map is the sweep over their sorted bounds; where ranges overlap the more careful kind wins. The
 * early page allocator takes downwards from the end of one free region, so what it took is one range
 * again. B1: nothing here writes to memory that any note calls other than FREE.
 */
#include "bootmem.h"

#include "arch/arch.h"
#include "image.h"
#include "lib/base/string.h"

enum { NOTED_MAX = 256 };

struct boot_info boot_information = {.rsdp = {UINT64_MAX}};

static struct boot_memory noted[NOTED_MAX];
static size_t noted_count;
static uint64_t bounds[2 * NOTED_MAX];

static uint64_t arena_floor, arena_next, arena_top;
static struct paddr low_page = {UINT64_MAX};

const void *boot_pointer(uint64_t base, uint64_t size_bytes)
{
    if (base == 0 || size_bytes == 0 || base >= UINT64_C(0x100000000) ||
        size_bytes > UINT64_C(0x100000000) - base) {
        return NULL;
    }
    return (const void *)(uintptr_t)base;
}

void boot_memory_add(uint64_t base, uint64_t size_bytes, enum boot_memory_kind kind)
{
    uint64_t end;
    if (base >= PHYSICAL_MAX || size_bytes == 0) {
        return;
    }
    if (ADD_OVERFLOWS(base, size_bytes, &end) || end > PHYSICAL_MAX) {
        end = PHYSICAL_MAX;
    }
    if (kind == BOOT_MEMORY_FREE) {
        base = page_ceil(base);
        end = page_floor(end);
    } else {
        base = page_floor(base);
        end = page_ceil(end);
    }
    /* The last slots are for what must not be forgotten. */
    size_t limit = kind == BOOT_MEMORY_FREE ? NOTED_MAX / 2 : NOTED_MAX;
    if (base >= end || noted_count >= limit) {
        return;
    }
    noted[noted_count++] = (struct boot_memory){paddr(base), end - base, kind};
}

bool boot_memory_noted(void)
{
    return noted_count != 0;
}

void boot_module_add(uint64_t base, uint64_t size_bytes)
{
    struct boot_module *module = &boot_information.module;
    if (size_bytes == 0 || boot_pointer(base, size_bytes) == NULL || !page_aligned(base) ||
        module->size_bytes != 0) {
        boot_information.modules_ignored++;
        return;
    }
    *module = (struct boot_module){paddr(base), size_bytes};
    boot_memory_add(base, size_bytes, BOOT_MEMORY_MODULE);
}

struct paddr boot_rsdp_keep(const char *bytes, size_t size_bytes)
{
    static char kept[36] ALIGNED(16);
    memset(kept, 0, sizeof(kept));
    memcpy(kept, bytes, size_bytes < sizeof(kept) ? size_bytes : sizeof(kept));
    return paddr(image_physical(kept));
}

static void sort_bounds(size_t count)
{
    for (size_t i = 1; i < count; i++) {
        uint64_t v = bounds[i];
        size_t j = i;
        for (; j > 0 && bounds[j - 1] > v; j--) {
            bounds[j] = bounds[j - 1];
        }
        bounds[j] = v;
    }
}

/* The most careful kind noted for a range that no bound divides; -1 = unknown. */
static int kind_of(uint64_t base, uint64_t end)
{
    int kind = -1;
    for (size_t i = 0; i < noted_count; i++) {
        const struct boot_memory *n = &noted[i];
        if (n->base.v <= base && end <= n->base.v + n->size_bytes && (int)n->kind > kind) {
            kind = (int)n->kind;
        }
    }
    return kind;
}

static void append(uint64_t base, uint64_t end, enum boot_memory_kind kind)
{
    struct boot_info *info = &boot_information;
    if (info->memory_count > 0) {
        struct boot_memory *last = &info->memory[info->memory_count - 1];
        if (last->kind == kind && last->base.v + last->size_bytes == base) {
            last->size_bytes += end - base;
            return;
        }
    }
    if (info->memory_count < BOOT_MEMORY_MAX) {
        info->memory[info->memory_count++] = (struct boot_memory){paddr(base), end - base, kind};
    }
}

void boot_memory_normalise(void)
{
    struct boot_info *info = &boot_information;
    size_t count = 0;
    for (size_t i = 0; i < noted_count; i++) {
        bounds[count++] = noted[i].base.v;
        bounds[count++] = noted[i].base.v + noted[i].size_bytes;
    }
    sort_bounds(count);
    info->memory_count = 0;
    for (size_t i = 1; i < count; i++) {
        int kind = bounds[i] > bounds[i - 1] ? kind_of(bounds[i - 1], bounds[i]) : -1;
        if (kind >= 0) {
            append(bounds[i - 1], bounds[i], (enum boot_memory_kind)kind);
        }
    }
    info->ram_bytes = 0;
    info->ram_end = paddr(0);
    for (size_t i = 0; i < info->memory_count; i++) {
        const struct boot_memory *m = &info->memory[i];
        if (m->kind != BOOT_MEMORY_RESERVED) {
            info->ram_bytes += m->size_bytes;
            info->ram_end = paddr(m->base.v + m->size_bytes);
        }
    }
}

bool boot_pages_start(void)
{
    uint64_t best = 0;
    for (size_t i = 0; i < boot_information.memory_count; i++) {
        const struct boot_memory *m = &boot_information.memory[i];
        uint64_t end = m->base.v + m->size_bytes;
        if (m->kind == BOOT_MEMORY_FREE && end <= UINT64_C(0x100000000) && m->size_bytes > best) {
            best = m->size_bytes;
            arena_floor = m->base.v;
            arena_top = end;
        }
    }
    arena_next = arena_top;
    return best != 0;
}

struct paddr boot_pages_take(size_t count)
{
    uint64_t size = (uint64_t)count * PAGE_BYTES;
    if (arena_next - arena_floor < size) {
        panic("not enough memory to boot");
    }
    arena_next -= size;
    memset(arch_direct(paddr(arena_next)), 0, size);
    return paddr(arena_next);
}

struct paddr boot_low_page_take(void)
{
    for (size_t i = boot_information.memory_count; i > 0; i--) {
        const struct boot_memory *m = &boot_information.memory[i - 1];
        uint64_t end = m->base.v + m->size_bytes;
        if (m->kind == BOOT_MEMORY_FREE && end <= 0xa0000 && end != arena_top) {
            low_page = paddr(end - PAGE_BYTES);
            return low_page;
        }
    }
    return PADDR_NONE;
}

void boot_memory_finish(void)
{
    for (size_t i = 0; i < noted_count; i++) {
        if (noted[i].kind == BOOT_MEMORY_KERNEL &&
            noted[i].base.v == (uint64_t)(uintptr_t)boot_start) {
            noted[i].kind = BOOT_MEMORY_FREE;
        }
    }
    boot_memory_add(arena_next, arena_top - arena_next, BOOT_MEMORY_KERNEL);
    if (!paddr_is_none(low_page)) {
        boot_memory_add(low_page.v, PAGE_BYTES, BOOT_MEMORY_KERNEL);
    }
    boot_memory_normalise();
}

bool boot_copy_text(char *to, size_t size, const char *from, size_t from_max)
{
    size_t n = 0;
    while (n < from_max && from[n] != 0) {
        if (n == size - 1) {
            to[n] = 0;
            return true;
        }
        to[n] = from[n] < ' ' || from[n] == 0x7f ? ' ' : from[n];
        n++;
    }
    to[n] = 0;
    return false;
}
