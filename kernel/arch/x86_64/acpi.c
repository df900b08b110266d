/* SPDX-License-Identifier: MIT */
/*
 * ACPI tables, read with suspicion: every length is bounded, every sum checked, every pointer passes
 * paging_window. A table that does not add up is as if it were not there.
 */
#include "acpi.h"

#include "apic.h"
#include "lib/base/string.h"
#include "paging.h"

enum {
    TABLE_MAX_BYTES = 1 << 20,
    TABLES_MAX = 256,
    LAPIC_USUAL = 0xfee00000,
    IOAPIC_USUAL = 0xfec00000,
};

struct acpi acpi;

struct rsdp {
    char signature[8];
    uint8_t checksum;
    char oem[6];
    uint8_t revision;
    uint32_t rsdt;
    uint32_t size_bytes;
    uint64_t xsdt;
    uint8_t extended_checksum, reserved[3];
} PACKED;

struct table {
    char signature[4];
    uint32_t size_bytes;
    uint8_t revision, checksum;
    char oem[6], oem_table[8];
    uint32_t oem_revision, creator, creator_revision;
} PACKED;

static_assert(sizeof(struct rsdp) == 36, "RSDP, version 2");
static_assert(sizeof(struct table) == 36, "ACPI table header");

static bool sums_to_zero(const void *bytes, size_t size)
{
    const uint8_t *p = bytes;
    uint8_t sum = 0;
    for (size_t i = 0; i < size; i++) {
        sum = (uint8_t)(sum + p[i]);
    }
    return sum == 0;
}

static uint64_t read_le(const uint8_t *at, unsigned bytes)
{
    uint64_t v = 0;
    for (unsigned i = bytes; i > 0; i--) {
        v = v << 8 | at[i - 1];
    }
    return v;
}

/* The whole table at a physical address when it adds up, else NULL. */
static const struct table *table_at(uint64_t physical)
{
    const struct table *head = paging_window(physical, sizeof(*head), true);
    if (head == NULL || head->size_bytes < sizeof(*head) || head->size_bytes > TABLE_MAX_BYTES) {
        return NULL;
    }
    uint32_t size = head->size_bytes;
    const struct table *all = paging_window(physical, size, true);
    return all != NULL && sums_to_zero(all, size) ? all : NULL;
}

/* ---- MADT ---- */

static void add_cpu(uint32_t apic_id, uint32_t flags)
{
    enum { ENABLED = 1 };
    if ((flags & ENABLED) == 0 || apic_id == acpi.cpu_apic_id[0]) {
        return;
    }
    for (unsigned i = 0; i < acpi.cpu_count; i++) {
        if (acpi.cpu_apic_id[i] == apic_id) {
            return;
        }
    }
    if (acpi.cpu_count == ARCH_CPU_MAX) {
        acpi.cpus_ignored++;
        return;
    }
    acpi.cpu_apic_id[acpi.cpu_count++] = apic_id;
}

/* MPS polarity (bits 0-1: 3 = low) and trigger (bits 2-3: 3 = level); 0 = as the bus, ISA here. */
static void add_override(const uint8_t *e)
{
    uint32_t flags = (uint32_t)read_le(e + 8, 2);
    irq_override(e[3], (uint32_t)read_le(e + 4, 4), (flags >> 2 & 3) == 3, (flags & 3) == 3);
}

static void read_madt_entry(const uint8_t *e, unsigned size)
{
    enum { LOCAL_APIC = 0, IO_APIC = 1, OVERRIDE = 2, LOCAL_ADDRESS = 5, LOCAL_X2APIC = 9 };
    switch (e[0]) {
    case LOCAL_APIC:
        if (size >= 8) {
            add_cpu(e[3], (uint32_t)read_le(e + 4, 4));
        }
        break;
    case IO_APIC:
        if (size >= 12) {
            ioapic_add(read_le(e + 4, 4), (uint32_t)read_le(e + 8, 4));
        }
        break;
    case OVERRIDE:
        if (size >= 10) {
            add_override(e);
        }
        break;
    case LOCAL_ADDRESS:
        if (size >= 12) {
            acpi.lapic = read_le(e + 4, 8);
        }
        break;
    case LOCAL_X2APIC:
        if (size >= 16) {
            add_cpu((uint32_t)read_le(e + 4, 4), (uint32_t)read_le(e + 8, 4));
        }
        break;
    default:
        break;
    }
}

static void read_madt(const struct table *t)
{
    enum { ENTRIES = 44 };
    const uint8_t *bytes = (const void *)t;
    if (t->size_bytes < ENTRIES) {
        return;
    }
    acpi.lapic = read_le(bytes + 36, 4);
    for (size_t at = ENTRIES; at + 2 <= t->size_bytes;) {
        unsigned size = bytes[at + 1];
        if (size < 2 || size > t->size_bytes - at) {
            return;
        }
        read_madt_entry(bytes + at, size);
        at += size;
    }
}

/* ---- FADT and the sleep package ---- */

/* One small AML integer; returns the bytes it took, 0 = something else. */
static size_t aml_integer(const uint8_t *at, size_t left, uint8_t *out)
{
    enum { ZERO_OP = 0, ONE_OP = 1, BYTE_PREFIX = 0x0a };
    if (left >= 1 && (at[0] == ZERO_OP || at[0] == ONE_OP)) {
        *out = at[0];
        return 1;
    }
    if (left >= 2 && at[0] == BYTE_PREFIX) {
        *out = at[1];
        return 2;
    }
    return 0;
}

/* Name(_S5_, Package(n) {a, b, ...}): found by its bytes; the two values must be plain integers. */
static void read_s5(const uint8_t *aml, size_t size)
{
    enum { PACKAGE_OP = 0x12, AFTER_NAME = 4 };
    for (size_t i = 1; i + 12 < size; i++) {
        if (memcmp(aml + i, "_S5_", 4) != 0 || aml[i + AFTER_NAME] != PACKAGE_OP) {
            continue;
        }
        size_t at = i + AFTER_NAME + 1;
        at += 1 + (size_t)(aml[at] >> 6) + 1; /* package length, then the element count */
        size_t used = at < size ? aml_integer(aml + at, size - at, &acpi.s5_a) : 0;
        if (used != 0 && aml_integer(aml + at + used, size - at - used, &acpi.s5_b) != 0) {
            acpi.has_s5 = true;
        }
        return;
    }
}

/* Fields by their offset; a FADT of an old revision is shorter, so each is asked for. */
static uint64_t fadt_field(const struct table *t, size_t offset, unsigned bytes)
{
    return offset + bytes <= t->size_bytes ? read_le((const uint8_t *)t + offset, bytes) : 0;
}

static void read_fadt(const struct table *t)
{
    enum { FLAG_RESET = 1 << 10, SPACE_IO = 1 };
    uint64_t dsdt = fadt_field(t, 140, 8);
    acpi.smi_command = (uint16_t)fadt_field(t, 48, 4);
    acpi.acpi_enable = (uint8_t)fadt_field(t, 52, 1);
    acpi.pm1a_control = (uint16_t)fadt_field(t, 64, 4);
    acpi.pm1b_control = (uint16_t)fadt_field(t, 68, 4);
    acpi.pm_timer_port = (uint16_t)fadt_field(t, 76, 4);
    if ((fadt_field(t, 112, 4) & FLAG_RESET) != 0 && fadt_field(t, 116, 1) == SPACE_IO) {
        acpi.has_reset_port = true;
        acpi.reset_port = (uint16_t)fadt_field(t, 120, 8);
        acpi.reset_value = (uint8_t)fadt_field(t, 128, 1);
    }
    const struct table *d = table_at(dsdt != 0 ? dsdt : fadt_field(t, 40, 4));
    if (d != NULL && memcmp(d->signature, "DSDT", 4) == 0) {
        read_s5((const uint8_t *)d + sizeof(*d), d->size_bytes - sizeof(*d));
    }
}

/* ---- the list of tables ---- */

static void read_list(const struct table *list, unsigned pointer_bytes)
{
    const uint8_t *at = (const uint8_t *)list + sizeof(*list);
    size_t count = (list->size_bytes - sizeof(*list)) / pointer_bytes;
    for (size_t i = 0; i < count && i < TABLES_MAX; i++, at += pointer_bytes) {
        const struct table *t = table_at(read_le(at, pointer_bytes));
        if (t != NULL && memcmp(t->signature, "APIC", 4) == 0) {
            acpi.found = true;
            read_madt(t);
        } else if (t != NULL && memcmp(t->signature, "FACP", 4) == 0) {
            read_fadt(t);
        }
    }
}

static void read_all(struct paddr at)
{
    enum { OLD_BYTES = 20 };
    const struct rsdp *r = paddr_is_none(at) ? NULL : paging_window(at.v, sizeof(*r), true);
    if (r == NULL || memcmp(r->signature, "RSD PTR ", 8) != 0 || !sums_to_zero(r, OLD_BYTES)) {
        return;
    }
    const struct table *list = NULL;
    if (r->revision >= 2 && sums_to_zero(r, sizeof(*r))) {
        list = table_at(r->xsdt);
        if (list != NULL && memcmp(list->signature, "XSDT", 4) == 0) {
            read_list(list, 8);
            return;
        }
    }
    list = table_at(r->rsdt);
    if (list != NULL && memcmp(list->signature, "RSDT", 4) == 0) {
        read_list(list, 4);
    }
}

void acpi_read(struct paddr rsdp, uint32_t boot_apic_id)
{
    acpi.lapic = LAPIC_USUAL;
    acpi.cpu_count = 1;
    acpi.cpu_apic_id[0] = boot_apic_id;
    read_all(rsdp);
    if (!acpi.found) {
        ioapic_add(IOAPIC_USUAL, 0);
    }
}
