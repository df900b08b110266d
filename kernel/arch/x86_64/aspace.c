/* SPDX-License-Identifier: MIT */
/*
 * User page tables: four levels, 4 KiB pages, at most one changer at a time (the caller's lock).
 *
 * A1: an entry of the lower half is either 0 or present, user-accessible, or a leaf that was hidden:
 *     not present, the frame and PTE_HIDDEN; a leaf is never writable and executable. A2: a table is never taken out of a live address space, so the walk of another
 *     reader, the processor included, never meets a freed table; destroy runs when nobody has it.
 * A3: with page-table isolation user_root's lower half equals root's: both name the same tables.
 * A4: the last page below the non-canonical hole is never mapped (ARCH_USER_END); SYSRET relies on it.
 */
#include "arch/arch.h"
#include "lib/base/atomic.h"
#include "lib/base/string.h"
#include "paging.h"
#include "processor.h"

enum { LEVEL_LEAF = 1, LEVEL_LARGE = 2, LEVEL_ROOT = 4 };

#define TABLE_FLAGS (PTE_PRESENT | PTE_WRITE | PTE_USER)

static unsigned index_at(uint64_t address, int level)
{
    return (unsigned)(address >> (PAGE_SHIFT + 9 * (level - 1))) & (TABLE_ENTRIES - 1);
}

/* Bytes that one entry at `level` covers. */
static uint64_t span_at(int level)
{
    return UINT64_C(1) << (PAGE_SHIFT + 9 * (level - 1));
}

static uint64_t *table_at(struct paddr p)
{
    return arch_direct(p);
}

/* One step of the walk, as an expression of constants: this is the inner loop of every map, unmap and
 * page-wise copy. Table entries have no bits above the address. */
static ALWAYS_INLINE uint64_t *entry_in(uint64_t base, uint64_t table, uint64_t address, int level)
{
    enum { ENTRY_SHIFT = 3, INDEX_MASK = (TABLE_ENTRIES - 1) << ENTRY_SHIFT };
    uint64_t offset = address >> (PAGE_SHIFT + 9 * (level - 1) - ENTRY_SHIFT) & INDEX_MASK;
    return (uint64_t *)(uintptr_t)(base + (table & ~(uint64_t)(PAGE_BYTES - 1)) + offset);
}

/* The leaf entry; NULL when a table is missing. */
static ALWAYS_INLINE uint64_t *leaf(const struct arch_aspace *as, uint64_t address)
{
    uint64_t base = x86_direct_base;
    uint64_t e4 = *entry_in(base, as->root.v, address, 4);
    if (UNLIKELY((e4 & PTE_PRESENT) == 0)) {
        return NULL;
    }
    uint64_t e3 = *entry_in(base, e4, address, 3);
    if (UNLIKELY((e3 & PTE_PRESENT) == 0)) {
        return NULL;
    }
    uint64_t e2 = *entry_in(base, e3, address, 2);
    if (UNLIKELY((e2 & (PTE_PRESENT | PTE_LARGE)) != PTE_PRESENT)) {
        return NULL;
    }
    return entry_in(base, e2, address, 1);
}

/* The entry that may be of a large page; NULL when a table above it is missing. */
static uint64_t *large(const struct arch_aspace *as, uint64_t address)
{
    uint64_t table = as->root.v | PTE_PRESENT;
    for (int level = LEVEL_ROOT; level > LEVEL_LARGE && (table & PTE_PRESENT) != 0; level--) {
        table = *entry_in(x86_direct_base, table, address, level);
    }
    return (table & PTE_PRESENT) != 0 ? entry_in(x86_direct_base, table, address, LEVEL_LARGE)
                                      : NULL;
}

bool arch_is_large(const struct arch_aspace *as, struct uaddr address)
{
    const uint64_t *entry = large(as, address.v);
    return entry != NULL && (*entry & PTE_LARGE) != 0;
}

/* The entry of a page of either size; NULL: neither. */
static const uint64_t *any(const struct arch_aspace *as, uint64_t address)
{
    const uint64_t *entry = leaf(as, address);
    return LIKELY(entry != NULL)               ? entry
           : arch_is_large(as, uaddr(address)) ? large(as, address)
                                               : NULL;
}

static ALWAYS_INLINE uint64_t leaf_flags(unsigned prot)
{
    uint64_t flags = PTE_PRESENT | PTE_USER;
    flags |= (prot & ARCH_PROT_WRITE) != 0 ? PTE_WRITE : 0;
    flags |= (prot & ARCH_PROT_EXECUTE) == 0 || (prot & ARCH_PROT_WRITE) != 0 ? pte_nx : 0;
    flags |= (prot & ARCH_PROT_UNCACHED) != 0 ? PTE_CACHE_OFF | PTE_WRITE_THROUGH : 0;
    flags |= (prot & ARCH_PROT_COPY) != 0 ? PTE_COPY : 0;
    return flags;
}

void arch_aspace_init(struct arch_aspace *as, struct paddr root)
{
    uint64_t *to = table_at(root);
    const uint64_t *from = table_at(kernel_root);
    memcpy(to + KERNEL_ROOT_FIRST, from + KERNEL_ROOT_FIRST,
           (TABLE_ENTRIES - KERNEL_ROOT_FIRST) * sizeof(*to));
    as->root = root;
    as->user_root = PADDR_NONE;
    as->table_count = 1;
    as->noted_count = 0;
    atomic_store_relaxed(&as->generation, 1);
}

struct destroyer {
    size_t left;   /* tables that may still be given back now */
    uint64_t last; /* table_count when only the roots remain */
    arch_table_give_fn give;
    void *context;
};

/* Gives back the tables below `table` (at `level`), deepest first. False: the bound was reached. Most
 * entries are empty: eight are looked at together, and the search ends with the last table. */
static bool give_below(struct arch_aspace *as, struct paddr table, int level, struct destroyer *d)
{
    enum { GROUP = 8 };
    uint64_t *entries = table_at(table);
    unsigned count = level == LEVEL_ROOT ? KERNEL_ROOT_FIRST : TABLE_ENTRIES;
    uint64_t last = d->last + (uint64_t)(LEVEL_ROOT - level); /* and this one and those above it */
    for (unsigned i = 0; i < count && as->table_count > last; i++) {
        const uint64_t *e = &entries[i];
        if (i % GROUP == 0 && (e[0] | e[1] | e[2] | e[3] | e[4] | e[5] | e[6] | e[7]) == 0) {
            i += GROUP - 1;
            continue;
        }
        if ((entries[i] & (PTE_PRESENT | PTE_LARGE)) != PTE_PRESENT) {
            continue;
        }
        struct paddr below = paddr(entries[i] & PTE_ADDRESS);
        if (level > LEVEL_LEAF + 1 && !give_below(as, below, level - 1, d)) {
            return false;
        }
        if (d->left == 0) {
            return false;
        }
        entries[i] = 0;
        d->left--;
        as->table_count--;
        d->give(d->context, below);
    }
    return true;
}

/* Every table is noted: no search. False: the bound was reached. */
static bool give_noted(struct arch_aspace *as, struct destroyer *d)
{
    for (; as->noted_count > 0 && d->left > 0; d->left--) {
        as->noted_count--;
        as->table_count--;
        d->give(d->context, as->noted[as->noted_count]);
    }
    return as->noted_count == 0;
}

bool arch_aspace_destroy(struct arch_aspace *as, size_t max_tables, arch_table_give_fn give,
                         void *context)
{
    uint64_t roots = paddr_is_none(as->user_root) ? 1 : 2;
    struct destroyer d = {max_tables, roots, give, context};
    if (as->table_count == 0) {
        return true;
    }
    bool given = as->noted_count <= ARCH_ASPACE_NOTED ? give_noted(as, &d)
                                                      : give_below(as, as->root, LEVEL_ROOT, &d);
    if (!given || d.left == 0) {
        return false;
    }
    as->table_count = 0;
    if (!paddr_is_none(as->user_root)) {
        give(context, as->user_root);
    }
    give(context, as->root);
    return true;
}

static size_t missing_below(struct paddr table, int level, uint64_t start, uint64_t end)
{
    const uint64_t *entries = table_at(table);
    uint64_t span = span_at(level);
    size_t missing = 0;
    for (uint64_t at = start; at < end; at = (at & ~(span - 1)) + span) {
        uint64_t stop = (at & ~(span - 1)) + span < end ? (at & ~(span - 1)) + span : end;
        uint64_t entry = entries[index_at(at, level)];
        if ((entry & PTE_PRESENT) == 0) {
            for (int l = level; l > LEVEL_LEAF; l--) { /* whole subtrees */
                missing += (size_t)(((stop - 1) / span_at(l)) - at / span_at(l) + 1);
            }
        } else if (level > LEVEL_LEAF + 1) {
            missing += missing_below(paddr(entry & PTE_ADDRESS), level - 1, at, stop);
        }
    }
    return missing;
}

size_t arch_map_missing(const struct arch_aspace *as, struct uaddr start, size_t npages)
{
    if (npages == 1 && leaf(as, start.v) != NULL) {
        return 0;
    }
    size_t user_root = features.pti && paddr_is_none(as->user_root) ? 1 : 0;
    return user_root +
           missing_below(as->root, LEVEL_ROOT, start.v, start.v + (uint64_t)npages * PAGE_BYTES);
}

/* The root that user code runs on: the same lower half, almost nothing above. */
static bool prepare_user_root(struct arch_aspace *as, arch_table_take_fn take, void *context)
{
    struct paddr fresh = take(context);
    if (paddr_is_none(fresh)) {
        return false;
    }
    uint64_t *to = table_at(fresh);
    memcpy(to, table_at(as->root), KERNEL_ROOT_FIRST * sizeof(*to));
    memcpy(to + KERNEL_ROOT_FIRST, table_at(pti_root) + KERNEL_ROOT_FIRST,
           (TABLE_ENTRIES - KERNEL_ROOT_FIRST) * sizeof(*to));
    as->table_count++;
    as->user_root = fresh;
    return true;
}

static bool prepare_roots(struct arch_aspace *as, arch_table_take_fn take, void *context)
{
    return !features.pti || !paddr_is_none(as->user_root) || prepare_user_root(as, take, context);
}

static void note_table(struct arch_aspace *as, struct paddr table)
{
    as->table_count++;
    if (as->noted_count < ARCH_ASPACE_NOTED) {
        as->noted[as->noted_count] = table;
    }
    as->noted_count++;
}

/* The tables down to that of level `lowest`. */
static bool prepare_one(struct arch_aspace *as, uint64_t address, int lowest,
                        arch_table_take_fn take, void *context)
{
    uint64_t *table = table_at(as->root);
    for (int level = LEVEL_ROOT; level > lowest; level--) {
        uint64_t *entry = &table[index_at(address, level)];
        if ((*entry & PTE_PRESENT) == 0) {
            struct paddr fresh = take(context);
            if (paddr_is_none(fresh)) {
                return false;
            }
            note_table(as, fresh);
            *entry = fresh.v | TABLE_FLAGS;
            if (features.pti && level == LEVEL_ROOT) {
                table_at(as->user_root)[index_at(address, level)] = *entry;
            }
        }
        table = table_at(paddr(*entry & PTE_ADDRESS));
    }
    return true;
}

bool arch_map_prepare(struct arch_aspace *as, struct uaddr start, size_t npages,
                      arch_table_take_fn take, void *context)
{
    uint64_t end = start.v + (uint64_t)npages * PAGE_BYTES;
    uint64_t span = span_at(LEVEL_LEAF + 1);
    if (!prepare_roots(as, take, context)) {
        return false;
    }
    for (uint64_t at = start.v; at < end; at = (at & ~(span - 1)) + span) {
        if (!prepare_one(as, at, LEVEL_LEAF, take, context)) {
            return false;
        }
    }
    return true;
}

/* An arch_leaf is the entry itself. */
static uint64_t *entry_of(struct arch_leaf *place)
{
    return (uint64_t *)(void *)place;
}

struct arch_leaf *arch_leaf(const struct arch_aspace *as, struct uaddr page)
{
    return (struct arch_leaf *)(void *)leaf(as, page.v);
}

void arch_leaf_map(struct arch_leaf *place, struct paddr frame, unsigned prot)
{
    if (UNLIKELY(*entry_of(place) != 0)) {
        panic("mapping a page that is mapped");
    }
    *entry_of(place) = frame.v | leaf_flags(prot);
}

struct paddr arch_leaf_hide(struct arch_leaf *place)
{
    uint64_t frame = *entry_of(place) & PTE_ADDRESS;
    if (UNLIKELY(*entry_of(place) == 0)) {
        return PADDR_NONE;
    }
    *entry_of(place) = frame | PTE_HIDDEN;
    return paddr(frame);
}

void arch_leaf_clear(struct arch_leaf *place)
{
    *entry_of(place) = 0;
}

void arch_map_page(struct arch_aspace *as, struct uaddr page, struct paddr frame, unsigned prot)
{
    struct arch_leaf *place = arch_leaf(as, page);
    if (place == NULL) {
        panic("mapping %#llx, which is not prepared", (unsigned long long)page.v);
    }
    arch_leaf_map(place, frame, prot);
}

bool arch_hide_page(struct arch_aspace *as, struct uaddr page)
{
    struct arch_leaf *place = arch_leaf(as, page);
    return place != NULL && !paddr_is_none(arch_leaf_hide(place));
}

struct paddr arch_unmap_page(struct arch_aspace *as, struct uaddr page)
{
    uint64_t *entry = leaf(as, page.v);
    if (entry == NULL || *entry == 0) {
        return PADDR_NONE;
    }
    struct paddr frame = paddr(*entry & PTE_ADDRESS);
    *entry = 0;
    return frame;
}

bool arch_map_large(struct arch_aspace *as, struct uaddr page, struct paddr frame, unsigned prot,
                    arch_table_take_fn take, void *context)
{
    if (!prepare_roots(as, take, context) || !prepare_one(as, page.v, LEVEL_LARGE, take, context)) {
        return false;
    }
    uint64_t *entry = large(as, page.v);
    bool free = *entry == 0;
    if (free) {
        *entry = frame.v | leaf_flags(prot) | PTE_LARGE;
    }
    return free;
}

void arch_unmap_large(struct arch_aspace *as, struct uaddr page)
{
    *large(as, page.v) = 0;
}

void arch_protect_large(struct arch_aspace *as, struct uaddr page, unsigned prot)
{
    uint64_t *entry = large(as, page.v);
    *entry = (*entry & PTE_ADDRESS) | leaf_flags(prot) | PTE_LARGE;
}

void arch_split_large(struct arch_aspace *as, struct uaddr page, arch_table_take_fn take,
                      void *context)
{
    uint64_t *entry = large(as, page.v);
    uint64_t old = *entry & ~PTE_LARGE;
    struct paddr fresh = take(context);
    uint64_t *table = table_at(fresh);
    for (uint64_t i = 0; i < TABLE_ENTRIES; i++) {
        table[i] = old + (i << PAGE_SHIFT);
    }
    note_table(as, fresh);
    *(volatile uint64_t *)entry = fresh.v | TABLE_FLAGS;
}

struct uaddr arch_next_mapped(const struct arch_aspace *as, struct uaddr page, struct uaddr end)
{
    enum { LOOKS = 16 };
    uint64_t *table = table_at(as->root);
    int level = LEVEL_ROOT;
    while (level > LEVEL_LEAF &&
           (table[index_at(page.v, level)] & (PTE_PRESENT | PTE_LARGE)) == PTE_PRESENT) {
        table = table_at(paddr(table[index_at(page.v, level--)] & PTE_ADDRESS));
    }
    uint64_t span = span_at(level);
    uint64_t at = page.v;
    for (int i = 0; i < LOOKS && at < end.v && table[index_at(at, level)] == 0; i++) {
        at = (at & ~(span - 1)) + span;
        if (index_at(at, level) == 0) {
            break; /* the next table */
        }
    }
    return uaddr(at < end.v ? at : end.v);
}

bool arch_protect_page(struct arch_aspace *as, struct uaddr page, unsigned prot)
{
    uint64_t *entry = leaf(as, page.v);
    if (entry == NULL || (*entry & PTE_PRESENT) == 0) {
        return false;
    }
    *entry = (*entry & PTE_ADDRESS) | leaf_flags(prot);
    return true;
}

void arch_replace_page(struct arch_aspace *as, struct uaddr page, struct paddr frame, unsigned prot)
{
    *(volatile uint64_t *)leaf(as, page.v) = frame.v | leaf_flags(prot);
}

bool arch_translate(const struct arch_aspace *as, struct uaddr address, bool need_write,
                    struct paddr *out)
{
    if (!arch_user_range_ok(address, 1)) {
        return false;
    }
    const uint64_t *entry = any(as, address.v);
    uint64_t needed = PTE_PRESENT | (need_write ? PTE_WRITE : 0);
    if (entry == NULL || (*entry & needed) != needed) {
        return false;
    }
    uint64_t bytes = UNLIKELY((*entry & PTE_LARGE) != 0) ? ARCH_LARGE_BYTES : PAGE_BYTES;
    *out = paddr((*entry & PTE_ADDRESS) | (address.v & (bytes - 1)));
    return true;
}

bool arch_page_state(const struct arch_aspace *as, struct uaddr page, unsigned *prot_out,
                     bool *dirty_out)
{
    const uint64_t *entry = any(as, page.v);
    if (entry == NULL || (*entry & PTE_PRESENT) == 0) {
        return false;
    }
    *prot_out = ((*entry & PTE_WRITE) != 0 ? ARCH_PROT_WRITE : 0) |
                ((*entry & pte_nx) == 0 ? ARCH_PROT_EXECUTE : 0) |
                ((*entry & PTE_CACHE_OFF) != 0 ? ARCH_PROT_UNCACHED : 0) |
                ((*entry & PTE_COPY) != 0 ? ARCH_PROT_COPY : 0);
    *dirty_out = (*entry & PTE_DIRTY) != 0;
    return true;
}
