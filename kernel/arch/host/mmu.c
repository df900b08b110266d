/* SPDX-License-Identifier: MIT */
/*
 * Address spaces of the host machine: page tables of four levels in frames, walked by software.
 * Entries are atomic words, for CPUs walk while another one changes them.
 */
#include "host_private.h"

#include "lib/base/string.h"

enum { LEVELS = 4, ENTRY_BITS = 9, ENTRIES = 1 << ENTRY_BITS };

#define ENTRY_PRESENT UINT64_C(1)
#define ENTRY_WRITE UINT64_C(2)
#define ENTRY_EXECUTE UINT64_C(4)
#define ENTRY_UNCACHED UINT64_C(8)
#define ENTRY_DIRTY UINT64_C(16)
#define ENTRY_HIDDEN UINT64_C(32) /* not present; keeps the frame */
#define ENTRY_COPY UINT64_C(64)
#define ENTRY_LARGE UINT64_C(128) /* of level 1 */
#define ENTRY_FRAME UINT64_C(0x000ffffffffff000)

uintptr_t host_direct_base;

typedef _Atomic uint64_t entry_t;

static entry_t *table_ptr(uint64_t entry)
{
    return arch_direct(paddr(entry & ENTRY_FRAME));
}

static unsigned entry_index(uint64_t address, int level)
{
    return (unsigned)(address >> (PAGE_SHIFT + level * ENTRY_BITS)) % ENTRIES;
}

/* The entry of the lowest level for an address; NULL when a table is missing, *level_out = of which
 * level the entry is that should name it. */
static entry_t *walk(const struct arch_aspace *as, uint64_t address, int *level_out)
{
    entry_t *table = arch_direct(as->root);
    for (int level = LEVELS - 1; level > 0; level--) {
        uint64_t entry = atomic_load_acquire(&table[entry_index(address, level)]);
        if ((entry & (ENTRY_PRESENT | ENTRY_LARGE)) != ENTRY_PRESENT) {
            *level_out = level;
            return NULL;
        }
        table = table_ptr(entry);
    }
    *level_out = 0;
    return &table[entry_index(address, 0)];
}

/* The entry of level 1; NULL when a table above it is missing. */
static entry_t *walk_large(const struct arch_aspace *as, uint64_t address)
{
    entry_t *table = arch_direct(as->root);
    for (int level = LEVELS - 1; level > 1; level--) {
        uint64_t entry = atomic_load_acquire(&table[entry_index(address, level)]);
        if ((entry & ENTRY_PRESENT) == 0) {
            return NULL;
        }
        table = table_ptr(entry);
    }
    return &table[entry_index(address, 1)];
}

/* The entry of a page of either size; NULL: neither. */
static entry_t *walk_any(const struct arch_aspace *as, uint64_t address)
{
    int level;
    entry_t *entry = walk(as, address, &level);
    return entry == NULL && arch_is_large(as, uaddr(address)) ? walk_large(as, address) : entry;
}

bool arch_is_large(const struct arch_aspace *as, struct uaddr address)
{
    const entry_t *entry = walk_large(as, address.v);
    return entry != NULL && (atomic_load_acquire(entry) & ENTRY_LARGE) != 0;
}

void arch_aspace_init(struct arch_aspace *as, struct paddr root)
{
    memset(arch_direct(root), 0, PAGE_BYTES);
    as->root = root;
    atomic_store_relaxed(&as->generation, 0);
    as->table_count = 1;
}

/* Gives back tables below `table`, of level `level` and lower, while *budget lasts. True: all gone. */
static bool destroy_below(struct arch_aspace *as, entry_t *table, int level, size_t *budget,
                          arch_table_give_fn give, void *context)
{
    for (unsigned i = 0; level > 0 && i < ENTRIES; i++) {
        uint64_t entry = atomic_load_relaxed(&table[i]);
        if ((entry & (ENTRY_PRESENT | ENTRY_LARGE)) != ENTRY_PRESENT) {
            continue;
        }
        if (!destroy_below(as, table_ptr(entry), level - 1, budget, give, context) ||
            *budget == 0) {
            return false;
        }
        atomic_store_relaxed(&table[i], 0);
        give(context, paddr(entry & ENTRY_FRAME));
        as->table_count--;
        (*budget)--;
    }
    return true;
}

bool arch_aspace_destroy(struct arch_aspace *as, size_t max_tables, arch_table_give_fn give,
                         void *context)
{
    size_t budget = max_tables;
    if (!destroy_below(as, arch_direct(as->root), LEVELS - 1, &budget, give, context) ||
        budget == 0) {
        return false;
    }
    give(context, as->root);
    as->root = PADDR_NONE;
    as->table_count = 0;
    return true;
}

/* Bytes that one entry of a level covers. */
static uint64_t level_bytes(int level)
{
    return UINT64_C(1) << (PAGE_SHIFT + level * ENTRY_BITS);
}

size_t arch_map_missing(const struct arch_aspace *as, struct uaddr start, size_t npages)
{
    uint64_t end = start.v + (uint64_t)npages * PAGE_BYTES;
    size_t missing = 0;
    for (int level = 1; level < LEVELS; level++) {
        uint64_t bytes = level_bytes(level);
        for (uint64_t at = start.v & ~(bytes - 1); at < end; at += bytes) {
            int stop;
            missing += walk(as, at, &stop) == NULL && stop >= level;
        }
    }
    return missing;
}

/* The tables down to that of level `lowest`. */
static bool prepare_page(struct arch_aspace *as, uint64_t address, int lowest,
                         arch_table_take_fn take, void *context)
{
    entry_t *table = arch_direct(as->root);
    for (int level = LEVELS - 1; level > lowest; level--) {
        entry_t *slot = &table[entry_index(address, level)];
        uint64_t entry = atomic_load_relaxed(slot);
        if ((entry & ENTRY_PRESENT) == 0) {
            struct paddr fresh = take(context);
            if (paddr_is_none(fresh)) {
                return false;
            }
            memset(arch_direct(fresh), 0, PAGE_BYTES);
            entry = fresh.v | ENTRY_PRESENT;
            atomic_store_release(slot, entry);
            as->table_count++;
        }
        table = table_ptr(entry);
    }
    return true;
}

bool arch_map_prepare(struct arch_aspace *as, struct uaddr start, size_t npages,
                      arch_table_take_fn take, void *context)
{
    uint64_t end = start.v + (uint64_t)npages * PAGE_BYTES;
    uint64_t bytes = level_bytes(1);
    for (uint64_t at = start.v; at < end; at = (at & ~(bytes - 1)) + bytes) {
        if (!prepare_page(as, at, 0, take, context)) {
            return false;
        }
    }
    return true;
}

static uint64_t prot_bits(unsigned prot)
{
    if ((prot & ARCH_PROT_WRITE) != 0 && (prot & ARCH_PROT_EXECUTE) != 0) {
        panic("a page both writable and executable");
    }
    return ENTRY_PRESENT | ((prot & ARCH_PROT_WRITE) != 0 ? ENTRY_WRITE : 0) |
           ((prot & ARCH_PROT_EXECUTE) != 0 ? ENTRY_EXECUTE : 0) |
           ((prot & ARCH_PROT_UNCACHED) != 0 ? ENTRY_UNCACHED : 0) |
           ((prot & ARCH_PROT_COPY) != 0 ? ENTRY_COPY : 0);
}

void arch_map_page(struct arch_aspace *as, struct uaddr page, struct paddr frame, unsigned prot)
{
    int level;
    entry_t *entry = walk(as, page.v, &level);
    if (entry == NULL || !page_aligned(page.v) || !page_aligned(frame.v) ||
        !arch_user_range_ok(page, PAGE_BYTES)) {
        panic("map of an unprepared or unaligned page %#llx", (unsigned long long)page.v);
    }
    uint64_t old = atomic_swap_acq_rel(entry, frame.v | prot_bits(prot));
    if (old != 0) {
        panic("page %#llx mapped twice", (unsigned long long)page.v);
    }
}

bool arch_map_large(struct arch_aspace *as, struct uaddr page, struct paddr frame, unsigned prot,
                    arch_table_take_fn take, void *context)
{
    if (!prepare_page(as, page.v, 1, take, context)) {
        return false;
    }
    uint64_t none = 0;
    return atomic_cas_acq_rel(walk_large(as, page.v), &none,
                              frame.v | prot_bits(prot) | ENTRY_LARGE);
}

void arch_unmap_large(struct arch_aspace *as, struct uaddr page)
{
    atomic_store_release(walk_large(as, page.v), 0);
}

void arch_protect_large(struct arch_aspace *as, struct uaddr page, unsigned prot)
{
    entry_t *entry = walk_large(as, page.v);
    uint64_t kept = atomic_load_relaxed(entry) & (ENTRY_FRAME | ENTRY_DIRTY | ENTRY_LARGE);
    atomic_store_release(entry, kept | prot_bits(prot));
}

void arch_split_large(struct arch_aspace *as, struct uaddr page, arch_table_take_fn take,
                      void *context)
{
    entry_t *entry = walk_large(as, page.v);
    uint64_t old = atomic_load_relaxed(entry) & ~ENTRY_LARGE;
    struct paddr fresh = take(context);
    entry_t *table = arch_direct(fresh);
    for (uint64_t i = 0; i < ENTRIES; i++) {
        atomic_store_relaxed(&table[i], old + (i << PAGE_SHIFT));
    }
    as->table_count++;
    atomic_store_release(entry, fresh.v | ENTRY_PRESENT);
}

static entry_t *entry_of(struct arch_leaf *place)
{
    return (entry_t *)(void *)place;
}

struct arch_leaf *arch_leaf(const struct arch_aspace *as, struct uaddr page)
{
    int level;
    return (struct arch_leaf *)(void *)walk(as, page.v, &level);
}

void arch_leaf_map(struct arch_leaf *place, struct paddr frame, unsigned prot)
{
    if (atomic_swap_acq_rel(entry_of(place), frame.v | prot_bits(prot)) != 0) {
        panic("mapping a page that is mapped");
    }
}

struct paddr arch_leaf_hide(struct arch_leaf *place)
{
    uint64_t old = atomic_load_relaxed(entry_of(place));
    if (old == 0) {
        return PADDR_NONE;
    }
    atomic_store_release(entry_of(place), (old & ENTRY_FRAME) | ENTRY_HIDDEN);
    return paddr(old & ENTRY_FRAME);
}

void arch_leaf_clear(struct arch_leaf *place)
{
    atomic_store_release(entry_of(place), 0);
}

bool arch_hide_page(struct arch_aspace *as, struct uaddr page)
{
    struct arch_leaf *place = arch_leaf(as, page);
    return place != NULL && !paddr_is_none(arch_leaf_hide(place));
}

struct paddr arch_unmap_page(struct arch_aspace *as, struct uaddr page)
{
    int level;
    entry_t *entry = walk(as, page.v, &level);
    uint64_t old = entry != NULL ? atomic_swap_acq_rel(entry, 0) : 0;
    return old != 0 ? paddr(old & ENTRY_FRAME) : PADDR_NONE;
}

struct uaddr arch_next_mapped(const struct arch_aspace *as, struct uaddr page, struct uaddr end)
{
    int level;
    const entry_t *entry = walk(as, page.v, &level);
    uint64_t bytes = level_bytes(level);
    bool there = entry != NULL ? atomic_load_relaxed(entry) != 0 : arch_is_large(as, page);
    uint64_t next = there ? page.v : (page.v & ~(bytes - 1)) + bytes;
    return uaddr(next < end.v ? next : end.v);
}

bool arch_protect_page(struct arch_aspace *as, struct uaddr page, unsigned prot)
{
    int level;
    entry_t *entry = walk(as, page.v, &level);
    uint64_t old = entry != NULL ? atomic_load_relaxed(entry) : 0;
    if ((old & ENTRY_PRESENT) == 0) {
        return false;
    }
    atomic_store_release(entry, (old & (ENTRY_FRAME | ENTRY_DIRTY)) | prot_bits(prot));
    return true;
}

void arch_replace_page(struct arch_aspace *as, struct uaddr page, struct paddr frame, unsigned prot)
{
    int level;
    atomic_store_release(walk(as, page.v, &level), frame.v | prot_bits(prot));
}

bool arch_translate(const struct arch_aspace *as, struct uaddr address, bool need_write,
                    struct paddr *out)
{
    if (!arch_user_range_ok(address, 1)) {
        return false;
    }
    const entry_t *entry = walk_any(as, address.v);
    uint64_t value = entry != NULL ? atomic_load_acquire(entry) : 0;
    if ((value & ENTRY_PRESENT) == 0 || (need_write && (value & ENTRY_WRITE) == 0)) {
        return false;
    }
    uint64_t bytes = (value & ENTRY_LARGE) != 0 ? ARCH_LARGE_BYTES : PAGE_BYTES;
    *out = paddr((value & ENTRY_FRAME) + address.v % bytes);
    return true;
}

bool arch_page_state(const struct arch_aspace *as, struct uaddr page, unsigned *prot_out,
                     bool *dirty_out)
{
    entry_t *entry = arch_user_range_ok(page, 1) ? walk_any(as, page.v) : NULL;
    uint64_t value = entry != NULL ? atomic_load_acquire(entry) : 0;
    if ((value & ENTRY_PRESENT) == 0) {
        return false;
    }
    *prot_out = ((value & ENTRY_WRITE) != 0 ? ARCH_PROT_WRITE : 0u) |
                ((value & ENTRY_EXECUTE) != 0 ? ARCH_PROT_EXECUTE : 0u) |
                ((value & ENTRY_UNCACHED) != 0 ? ARCH_PROT_UNCACHED : 0u) |
                ((value & ENTRY_COPY) != 0 ? ARCH_PROT_COPY : 0u);
    *dirty_out = (value & ENTRY_DIRTY) != 0;
    return true;
}

void *host_user(const struct arch_aspace *as, uint64_t address, bool write)
{
    struct paddr p;
    if (!arch_translate(as, uaddr(address), write, &p)) {
        return NULL;
    }
    if (write) {
        atomic_or_relaxed(walk_any(as, address), ENTRY_DIRTY);
    }
    return arch_direct(p);
}

/* ---- who has what loaded ---- */

void host_aspace_load(struct arch_aspace *as)
{
    struct host_cpu *cpu = host_this();
    if (as == atomic_load_relaxed(&cpu->loaded)) {
        return;
    }
    atomic_store_seq_cst(&cpu->seen, 0);
    atomic_store_seq_cst(&cpu->loaded, as);
    host_tlb_acknowledge();
}

void host_tlb_acknowledge(void)
{
    struct host_cpu *cpu = host_this();
    struct arch_aspace *as = atomic_load_relaxed(&cpu->loaded);
    if (as != NULL) {
        atomic_store_seq_cst(&cpu->seen, atomic_load_seq_cst(&as->generation));
    }
}

arch_cpu_mask_t arch_aspace_cpus(const struct arch_aspace *as)
{
    arch_cpu_mask_t mask = 0;
    for (unsigned i = 0; i < host_cpu_count; i++) {
        if (atomic_load_seq_cst(&host_cpus[i].loaded) == as) {
            mask |= UINT64_C(1) << i;
        }
    }
    return mask;
}

bool arch_aspace_unload(struct arch_aspace *as)
{
    if (atomic_load_relaxed(&host_this()->loaded) == as) {
        host_aspace_load(NULL);
    }
    arch_cpu_mask_t others = arch_aspace_cpus(as);
    if (others != 0) {
        arch_cpu_kick(others);
    }
    return others == 0;
}

uint64_t arch_tlb_shoot(struct arch_aspace *as, struct uaddr start, size_t npages)
{
    (void)start;
    (void)npages;
    uint64_t ticket = atomic_add_seq_cst(&as->generation, 1) + 1;
    if (atomic_load_relaxed(&host_this()->loaded) == as) {
        host_tlb_acknowledge();
    }
    arch_cpu_mask_t mask = arch_aspace_cpus(as);
    arch_cpu_kick(mask);
    return (mask & ~((arch_cpu_mask_t)1 << arch_cpu_id())) == 0 ? 0 : ticket;
}

bool arch_tlb_done(const struct arch_aspace *as, uint64_t ticket)
{
    for (unsigned i = 0; i < host_cpu_count; i++) {
        if (atomic_load_seq_cst(&host_cpus[i].loaded) == as &&
            atomic_load_seq_cst(&host_cpus[i].seen) < ticket) {
            return false;
        }
    }
    return true;
}
