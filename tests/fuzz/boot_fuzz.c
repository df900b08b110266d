/* SPDX-License-Identifier: MIT */
/*
 * Whatever a boot loader or firmware leaves, the memory map that comes out is sorted, disjoint and
 * whole pages, texts end, and no byte outside what was handed over is read.
 *
 * The input is "physical memory" from PHYSICAL_BASE on; its first byte chooses the parser. ACPI sums
 * are made right first, or no mutation would get past them.
 */
#define boot_pointer boot_pointer_of_the_machine
#include "kernel/arch/x86_64/bootmem.c"
#undef boot_pointer
#include "kernel/arch/x86_64/acpi.h"
#include "kernel/arch/x86_64/apic.h"
#include "kernel/arch/x86_64/paging.h"

#include <stdlib.h>

enum { PHYSICAL_BASE = 0x10000, TABLE_HEADER = 36, PARSERS = 3 };

char boot_start[1], boot_end[1], kernel_start[1], kernel_end[1], text_start[1], text_end[1];
uint64_t kernel_slide;
char rodata_start[1], rodata_end[1], data_start[1], data_end[1], symbols_start[1], symbols_end[1];

uintptr_t host_direct_base; /* of arch/host, whose headers this is compiled with */

static uint8_t *memory;
static size_t memory_bytes;

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
const void *boot_pointer(uint64_t base, uint64_t size_bytes);

void panic(const char *format, ...)
{
    (void)format;
    abort();
}

const void *boot_pointer(uint64_t base, uint64_t size_bytes)
{
    if (base < PHYSICAL_BASE || size_bytes == 0 || base - PHYSICAL_BASE >= memory_bytes ||
        size_bytes > memory_bytes - (base - PHYSICAL_BASE)) {
        return NULL;
    }
    return memory + (base - PHYSICAL_BASE);
}

void *paging_window(uint64_t physical, uint64_t size_bytes, bool cached)
{
    (void)cached;
    return (void *)(uintptr_t)boot_pointer(physical, size_bytes);
}

void ioapic_add(uint64_t registers, uint32_t gsi_base)
{
    (void)registers;
    (void)gsi_base;
}

void irq_override(uint8_t isa, uint32_t gsi, bool level, bool active_low)
{
    (void)isa;
    (void)gsi;
    (void)level;
    (void)active_low;
}

static void fix_sum(uint8_t *bytes, size_t size, size_t sum_at)
{
    uint8_t sum = 0;
    bytes[sum_at] = 0;
    for (size_t i = 0; i < size; i++) {
        sum = (uint8_t)(sum + bytes[i]);
    }
    bytes[sum_at] = (uint8_t)-sum;
}

static void fix_table_at(size_t at)
{
    static const char names[][5] = {"APIC", "FACP", "DSDT", "XSDT", "RSDT"};
    uint32_t size;
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        memcpy(&size, memory + at + 4, sizeof(size));
        if (memcmp(memory + at, names[i], 4) == 0 && size >= TABLE_HEADER &&
            size <= memory_bytes - at) {
            fix_sum(memory + at, size, 9);
        }
    }
}

static void read_acpi(void)
{
    for (size_t at = 0; at + TABLE_HEADER < memory_bytes; at += 4) {
        fix_table_at(at);
    }
    if (memory_bytes >= TABLE_HEADER) {
        fix_sum(memory, 20, 8);
        fix_sum(memory, TABLE_HEADER, 32);
    }
    memset(&acpi, 0, sizeof(acpi));
    acpi_read(paddr(PHYSICAL_BASE), 0);
    if (acpi.cpu_count < 1 || acpi.cpu_count > ARCH_CPU_MAX) {
        abort();
    }
}

static void check_map(void)
{
    const struct boot_info *info = &boot_information;
    uint64_t last = 0;
    boot_memory_normalise();
    if (info->memory_count > BOOT_MEMORY_MAX) {
        abort();
    }
    for (size_t i = 0; i < info->memory_count; i++) {
        const struct boot_memory *m = &info->memory[i];
        if (m->base.v < last || m->size_bytes == 0 || !page_aligned(m->base.v | m->size_bytes)) {
            abort();
        }
        if (i > 0 && m[-1].kind == m->kind && m->base.v == last) {
            abort(); /* neighbours of one kind are merged */
        }
        last = m->base.v + m->size_bytes;
    }
    if (last > PHYSICAL_MAX || memchr(info->command_line, 0, BOOT_COMMAND_LINE_BYTES) == NULL ||
        memchr(info->loader_name, 0, BOOT_LOADER_NAME_BYTES) == NULL) {
        abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2) {
        return 0;
    }
    memory_bytes = size - 1;
    memory = malloc(memory_bytes);
    memcpy(memory, data + 1, memory_bytes);
    memset(&boot_information, 0, sizeof(boot_information));
    boot_information.rsdp = PADDR_NONE;
    noted_count = 0;
    switch (data[0] % PARSERS) {
    case 0:
        if (pvh_parse(PHYSICAL_BASE)) {
            check_map();
        }
        break;
    case 1:
        if (multiboot2_parse(PHYSICAL_BASE)) {
            check_map();
        }
        break;
    default:
        read_acpi();
        break;
    }
    free(memory);
    return 0;
}

/* The parsers themselves; here, so that the fuzzer needs no list of sources. */
#include "kernel/arch/x86_64/multiboot2.c"
#include "kernel/arch/x86_64/acpi.c"
#include "kernel/arch/x86_64/pvh.c"
