/* SPDX-License-Identifier: MIT */
/* Multiboot2 information, as GRUB passes it on BIOS and UEFI. */
#include "bootmem.h"

#include "lib/base/string.h"

enum {
    TAG_END = 0,
    TAG_COMMAND_LINE = 1,
    TAG_LOADER_NAME = 2,
    TAG_MODULE = 3,
    TAG_MEMORY_MAP = 6,
    TAG_RSDP_OLD = 14,
    TAG_RSDP_NEW = 15,
    INFORMATION_MAX_BYTES = 1 << 20,
    TAGS_MAX = 4096,
};

/* Memory types are those of E820. */
enum { MEMORY_RAM = 1, MEMORY_ACPI = 3, MEMORY_NVS = 4 };

struct tag {
    uint32_t type, size_bytes;
};

struct module_tag {
    struct tag tag;
    uint32_t start, end;
};

struct memory_tag {
    struct tag tag;
    uint32_t entry_bytes, version;
};

struct memory_entry {
    uint64_t base, size_bytes;
    uint32_t type, reserved;
};

static_assert(sizeof(struct memory_entry) == 24, "multiboot2 memory map entry");

static void take_memory(const struct tag *tag)
{
    const struct memory_tag *map = (const void *)tag;
    if (tag->size_bytes < sizeof(*map) || map->entry_bytes < sizeof(struct memory_entry) ||
        map->entry_bytes % 8 != 0) {
        return;
    }
    const char *at = (const char *)(map + 1);
    size_t left = tag->size_bytes - sizeof(*map);
    for (; left >= map->entry_bytes; left -= map->entry_bytes, at += map->entry_bytes) {
        const struct memory_entry *e = (const void *)at;
        enum boot_memory_kind kind = BOOT_MEMORY_RESERVED;
        if (e->type == MEMORY_RAM) {
            kind = BOOT_MEMORY_FREE;
        } else if (e->type == MEMORY_ACPI || e->type == MEMORY_NVS) {
            kind = BOOT_MEMORY_ACPI;
        }
        boot_memory_add(e->base, e->size_bytes, kind);
    }
}

static void take_tag(const struct tag *tag)
{
    struct boot_info *info = &boot_information;
    const char *text = (const char *)(tag + 1);
    size_t text_max = tag->size_bytes - sizeof(*tag);
    switch (tag->type) {
    case TAG_COMMAND_LINE:
        info->command_line_cut =
            boot_copy_text(info->command_line, sizeof(info->command_line), text, text_max);
        break;
    case TAG_LOADER_NAME:
        (void)boot_copy_text(info->loader_name, sizeof(info->loader_name), text, text_max);
        break;
    case TAG_MODULE:
        if (tag->size_bytes >= sizeof(struct module_tag)) {
            const struct module_tag *m = (const void *)tag;
            if (m->end > m->start) {
                boot_module_add(m->start, m->end - m->start);
            }
        }
        break;
    case TAG_MEMORY_MAP:
        take_memory(tag);
        break;
    case TAG_RSDP_OLD: /* a copy of the structure itself; the newer one is preferred */
        if (paddr_is_none(info->rsdp)) {
            info->rsdp = boot_rsdp_keep(text, text_max);
        }
        break;
    case TAG_RSDP_NEW:
        info->rsdp = boot_rsdp_keep(text, text_max);
        break;
    default:
        break;
    }
}

bool multiboot2_parse(uint64_t information)
{
    const uint32_t *head = boot_pointer(information, 8);
    if (head == NULL || information % 8 != 0 || head[0] < 8 || head[0] > INFORMATION_MAX_BYTES ||
        boot_pointer(information, head[0]) == NULL) {
        return false;
    }
    const char *at = (const char *)head + 8;
    size_t left = head[0] - 8;
    for (unsigned i = 0; i < TAGS_MAX && left >= sizeof(struct tag); i++) {
        const struct tag *tag = (const void *)at;
        if (tag->type == TAG_END || tag->size_bytes < sizeof(*tag) || tag->size_bytes > left) {
            break;
        }
        take_tag(tag);
        size_t step = ((size_t)tag->size_bytes + 7) & ~(size_t)7;
        if (step > left) {
            break;
        }
        at += step;
        left -= step;
    }
    return boot_memory_noted();
}
