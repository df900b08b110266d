/* SPDX-License-Identifier: MIT */
/* PVH start information (Xen's hvm_start_info, version 1), as QEMU's -kernel and others pass it. */
#include "bootmem.h"

enum { PVH_MAGIC = 0x336ec578, PVH_MODULES_MAX = 64, PVH_MEMORY_MAX = 1024 };

/* E820 types, as PVH uses them. */
enum { E820_RAM = 1, E820_RESERVED = 2, E820_ACPI = 3, E820_NVS = 4 };

/* Packed: the loader promises no alignment. */
struct pvh_start_info {
    uint32_t magic, version, flags, module_count;
    uint64_t module_list, command_line, rsdp, memory_map;
    uint32_t memory_count, reserved;
} PACKED;

struct pvh_module {
    uint64_t base, size_bytes, command_line, reserved;
} PACKED;

struct pvh_memory {
    uint64_t base, size_bytes;
    uint32_t type, reserved;
} PACKED;

static_assert(sizeof(struct pvh_start_info) == 56, "PVH start information, version 1");
static_assert(sizeof(struct pvh_module) == 32, "PVH module");
static_assert(sizeof(struct pvh_memory) == 24, "PVH memory map entry");

static enum boot_memory_kind kind_of_type(uint32_t type)
{
    switch (type) {
    case E820_RAM:
        return BOOT_MEMORY_FREE;
    case E820_ACPI:
    case E820_NVS:
        return BOOT_MEMORY_ACPI;
    default:
        return BOOT_MEMORY_RESERVED;
    }
}

static void take_modules(const struct pvh_start_info *start)
{
    uint32_t count = start->module_count < PVH_MODULES_MAX ? start->module_count : PVH_MODULES_MAX;
    const struct pvh_module *list =
        boot_pointer(start->module_list, (uint64_t)count * sizeof(struct pvh_module));
    for (uint32_t i = 0; list != NULL && i < count; i++) {
        boot_module_add(list[i].base, list[i].size_bytes);
    }
}

bool pvh_parse(uint64_t information)
{
    struct boot_info *info = &boot_information;
    const struct pvh_start_info *start = boot_pointer(information, sizeof(*start));
    if (start == NULL || start->magic != PVH_MAGIC || start->version < 1) {
        return false;
    }
    const struct pvh_memory *map =
        boot_pointer(start->memory_map, (uint64_t)start->memory_count * sizeof(*map));
    if (map == NULL || start->memory_count > PVH_MEMORY_MAX) {
        return false;
    }
    for (uint32_t i = 0; i < start->memory_count; i++) {
        boot_memory_add(map[i].base, map[i].size_bytes, kind_of_type(map[i].type));
    }
    const char *text = boot_pointer(start->command_line, BOOT_COMMAND_LINE_BYTES);
    if (text != NULL) {
        info->command_line_cut = boot_copy_text(info->command_line, BOOT_COMMAND_LINE_BYTES, text,
                                                BOOT_COMMAND_LINE_BYTES);
    }
    if (start->rsdp != 0) {
        info->rsdp = paddr(start->rsdp);
    }
    take_modules(start);
    (void)boot_copy_text(info->loader_name, sizeof(info->loader_name), "PVH", sizeof("PVH"));
    return true;
}
