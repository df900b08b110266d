/* SPDX-License-Identifier: MIT */
/*
 * The kernel's half of every address space, built once at boot and then constant.
 *
 * P1: no page of it is writable and executable. P2: the kernel's text and constants are read-only
 * through every alias. P3: nothing of the lower half is mapped in kernel_root.
 */
#include "paging.h"

#include "arch/arch.h"
#include "bootmem.h"
#include "core/cmdline.h"
#include "processor.h"
#include "image.h"
#include "trap.h"
#include "x86.h"

enum { LEVEL_4K = 1, LEVEL_2M = 2, LEVEL_1G = 3, LEVEL_ROOT = 4 };

struct paddr kernel_root RO_AFTER_BOOT;
struct paddr pti_root RO_AFTER_BOOT;
uint64_t pte_nx RO_AFTER_BOOT;
uint64_t x86_direct_base RO_AFTER_BOOT;
uint64_t kernel_slide RO_AFTER_BOOT;

/* The image moves by a multiple of 2 MiB, over itself and so that it ends below the highest address. */
enum { SLIDE_STEP = 1 << 21, SLIDE_MIN = 8, SLIDES = 1000 };

static uint64_t device_next = DEVICE_REGION_START;

static uint64_t level_bytes(int level)
{
    return UINT64_C(1) << (PAGE_SHIFT + 9 * (level - 1));
}

static uint64_t *entry_at(struct paddr table, uint64_t virtual, int level)
{
    uint64_t *entries = arch_direct(table);
    return &entries[virtual >> (PAGE_SHIFT + 9 * (level - 1)) & (TABLE_ENTRIES - 1)];
}

/* The table below `entry`, made when absent. */
static struct paddr table_below(uint64_t *entry)
{
    if ((*entry & PTE_PRESENT) == 0) {
        *entry = boot_pages_take(1).v | PTE_PRESENT | PTE_WRITE;
    }
    return paddr(*entry & PTE_ADDRESS);
}

static int largest_level(uint64_t virtual, uint64_t physical, uint64_t left)
{
    int level = features.pages_1g ? LEVEL_1G : LEVEL_2M;
    while (level > LEVEL_4K &&
           (((virtual | physical) & (level_bytes(level) - 1)) != 0 || left < level_bytes(level))) {
        level--;
    }
    return level;
}

static void map(struct paddr root, uint64_t virtual, struct paddr physical, uint64_t size_bytes,
                uint64_t flags)
{
    uint64_t at = physical.v;
    while (size_bytes > 0) {
        int level = largest_level(virtual, at, size_bytes);
        struct paddr table = root;
        for (int l = LEVEL_ROOT; l > level; l--) {
            table = table_below(entry_at(table, virtual, l));
        }
        *entry_at(table, virtual, level) =
            at | flags | PTE_PRESENT | PTE_GLOBAL | (level > LEVEL_4K ? PTE_LARGE : 0);
        virtual += level_bytes(level);
        at += level_bytes(level);
        size_bytes -= level_bytes(level);
    }
}

void paging_map_kernel(uint64_t virtual, struct paddr physical, uint64_t size_bytes, uint64_t flags)
{
    map(kernel_root, virtual, physical, size_bytes, flags);
}

/* Where it will be, and where this CPU runs meanwhile. */
static void map_image_part(const char *start, const char *end, uint64_t flags, uint64_t slide)
{
    uint64_t at = (uint64_t)(uintptr_t)start;
    uint64_t size = page_ceil((uint64_t)(uintptr_t)end) - at;
    paging_map_kernel(at + slide, paddr(image_physical(start)), size, flags);
    if (slide != 0) {
        paging_map_kernel(at, paddr(image_physical(start)), size, flags);
    }
}

/* The image's constant part ends where its data starts; the symbols follow the data. */
static uint64_t constant_flags(uint64_t physical, uint64_t *end)
{
    const struct {
        uint64_t start, end;
    } constant[] = {
        {image_physical(text_start), image_physical(rodata_end)},
        {image_physical(symbols_start), page_ceil(image_physical((const char *)relocs_end))},
    };
    for (size_t i = 0; i < ARRAY_LEN(constant); i++) {
        if (physical < constant[i].start) {
            if (*end > constant[i].start) {
                *end = constant[i].start;
            }
            return PTE_WRITE;
        }
        if (physical < constant[i].end) {
            if (*end > constant[i].end) {
                *end = constant[i].end;
            }
            return 0;
        }
    }
    return PTE_WRITE;
}

static void map_direct(uint64_t direct_base)
{
    for (size_t i = 0; i < boot_information.memory_count; i++) {
        const struct boot_memory *m = &boot_information.memory[i];
        uint64_t at = m->base.v;
        uint64_t last = at + m->size_bytes;
        while (m->kind != BOOT_MEMORY_RESERVED && at < last) {
            uint64_t end = last;
            uint64_t flags = constant_flags(at, &end);
            paging_map_kernel(direct_base + at, paddr(at), end - at, flags | pte_nx);
            at = end;
        }
    }
}

/* What user tables hold of the kernel: entry code, IDT, CPU slots. */
static void build_pti_root(uint64_t slide)
{
    pti_root = boot_pages_take(1);
    map(pti_root, (uint64_t)(uintptr_t)text_start + slide, paddr(image_physical(text_start)),
        (uint64_t)(entry_text_end - text_start), 0);
    map(pti_root, (uint64_t)(uintptr_t)idt_table + slide,
        paddr(image_physical((const char *)idt_table)), page_ceil(IDT_BYTES), pte_nx);
    *entry_at(pti_root, CPU_REGION_START, LEVEL_ROOT) =
        *entry_at(kernel_root, CPU_REGION_START, LEVEL_ROOT);
}

uint64_t paging_slide(uint64_t seed)
{
    if (cmdline_has(boot_information.command_line, "kaslr=off")) {
        return 0;
    }
    return (SLIDE_MIN + (seed >> 32) % SLIDES) * SLIDE_STEP;
}

/* Once a place is moved, what it names is found under the new root only, and code of the image may not be
 * relied on: nothing here names anything but relative to itself. */
NOINLINE NO_STACK_PROTECTOR static void move_image(const uint32_t *at, const uint32_t *end,
                                                   uint64_t slide, uint64_t root)
{
    __asm__ volatile(""
                     : "+r"(at), "+r"(end)); /* in registers from here on: constants would move */
    for (; at < end && slide != 0; at++) {
        uint64_t place = KERNEL_BASE + (*at >> 1);
        if ((*at & 1) != 0) {
            __asm__ volatile("addq %1, (%0)" : : "r"(place), "r"(slide) : "memory", "cc");
        } else {
            __asm__ volatile("addl %1, (%0)" : : "r"(place), "r"((uint32_t)slide) : "memory", "cc");
        }
    }
    write_cr3(root);
}

void paging_end_linked(void)
{
    uint64_t at = KERNEL_BASE + image_physical(kernel_start);
    uint64_t end = KERNEL_BASE + image_physical(kernel_end);
    for (; kernel_slide != 0 && at < end; at += PAGE_BYTES) {
        struct paddr table = kernel_root;
        for (int level = LEVEL_ROOT; level > LEVEL_4K; level--) {
            table = table_below(entry_at(table, at, level));
        }
        *entry_at(table, at, LEVEL_4K) = 0;
        invalidate_page(at);
    }
}

void paging_start(uint64_t seed, uint64_t slide)
{
    pte_nx = features.nx ? PTE_NX : 0;
    kernel_root = boot_pages_take(1);
    /* 16 TiB of RAM at most, somewhere in 32 TiB: 14 bits at 1 GiB steps. */
    uint64_t direct_base = DIRECT_MAP_START + ((seed & 0x3fff) << 30);

    map_direct(direct_base);
    map_image_part(text_start, text_end, 0, slide);
    map_image_part(rodata_start, rodata_end, pte_nx, slide);
    map_image_part(data_start, data_end, PTE_WRITE | pte_nx, slide);
    map_image_part(symbols_start, (const char *)relocs_end, pte_nx, slide);
    (void)table_below(entry_at(kernel_root, CPU_REGION_START, LEVEL_ROOT));
    (void)table_below(entry_at(kernel_root, DEVICE_REGION_START, LEVEL_ROOT));

    if (features.pti) {
        build_pti_root(slide);
    }

    x86_direct_base = direct_base;
    kernel_slide = slide;
    move_image(relocs_start, relocs_end, slide, kernel_root.v);
}

static bool in_ram(uint64_t base, uint64_t end)
{
    for (size_t i = 0; i < boot_information.memory_count; i++) {
        const struct boot_memory *m = &boot_information.memory[i];
        if (m->kind != BOOT_MEMORY_RESERVED && base >= m->base.v &&
            end <= m->base.v + m->size_bytes) {
            return true;
        }
    }
    return false;
}

void *paging_window(uint64_t physical, uint64_t size_bytes, bool cached)
{
    enum { WINDOW_MAX = 1 << 21 };
    if (physical == 0 || physical >= PHYSICAL_MAX || size_bytes == 0 || size_bytes > WINDOW_MAX) {
        return NULL;
    }
    if (in_ram(physical, physical + size_bytes)) {
        return cached ? arch_direct(paddr(physical)) : NULL;
    }
    uint64_t base = page_floor(physical);
    uint64_t size = page_ceil(physical + size_bytes) - base;
    uint64_t flags = cached ? 0 : PTE_WRITE | PTE_CACHE_OFF | PTE_WRITE_THROUGH;
    uint64_t at = device_next;
    for (uint64_t done = 0; done < size; done += PAGE_BYTES) {
        paging_map_kernel(at + done, paddr(base + done), PAGE_BYTES, flags | pte_nx);
    }
    device_next += size + PAGE_BYTES;
    return (void *)(uintptr_t)(at + (physical - base));
}
