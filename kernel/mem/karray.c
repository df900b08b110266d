/* SPDX-License-Identifier: MIT */
#include "mem/karray.h"

#include "core/addr.h"
#include "cap/ledger.h"
#include "gen/status.capnp.h"
#include "mem/frames.h"
#include "mem/slab.h"
#include "object/invoke.h"

/* In looks at a page, as mem/aspace.h counts. */
enum { FILL_COST = 8, DRAIN_COST = 2 };

static uint32_t directory_entries(const struct karray *array, uint32_t which)
{
    uint32_t first = which * KARRAY_DIRECTORY;
    if (array->npages <= first) {
        return 0;
    }
    uint32_t rest = array->npages - first;
    return rest < KARRAY_DIRECTORY ? rest : KARRAY_DIRECTORY;
}

static bool directory_is_slab(uint32_t entries)
{
    return entries * sizeof(uint8_t *) <= SLAB_MAX_BYTES;
}

static uint8_t **directory_new(struct ledger *ledger, uint32_t entries)
{
    return directory_is_slab(entries) ? slab_alloc(ledger, entries * sizeof(uint8_t *))
                                      : kpage_alloc(ledger);
}

static void directory_free(struct ledger *ledger, uint8_t **directory, uint32_t entries)
{
    if (directory_is_slab(entries)) {
        slab_free(directory);
    } else {
        kpage_free(ledger, directory);
    }
}

/* Charged, and not filled: ledger NULL is the kernel. */
static bool charge(struct ledger *ledger, uint32_t pages)
{
    return ledger == NULL || ledger_charge(ledger, LEDGER_CLASS_KERNEL_PAGES, pages) == ST_OK;
}

static void refund(struct ledger *ledger, uint32_t pages)
{
    if (ledger != NULL) {
        ledger_refund(ledger, LEDGER_CLASS_KERNEL_PAGES, pages);
    }
}

/* Up to `end`, of one directory; returns how many pages there were not. */
static uint32_t fill_some(struct karray *array, uint32_t end)
{
    uint8_t **directory = array->directory[array->filled / KARRAY_DIRECTORY];
    for (; array->filled < end; array->filled++) {
        struct paddr frame = frame_alloc_zeroed();
        if (paddr_is_none(frame)) {
            (void)ledger_refuse(LEDGER_CLASS_KERNEL_PAGES);
            break;
        }
        directory[array->filled % KARRAY_DIRECTORY] = frame_ptr(frame);
    }
    return end - array->filled;
}

status_t karray_fill(struct karray *array, struct ledger *ledger, int *budget)
{
    while (array->filled < array->npages) {
        uint32_t which = array->filled / KARRAY_DIRECTORY;
        uint32_t entries = directory_entries(array, which);
        uint32_t left = which * KARRAY_DIRECTORY + entries - array->filled;
        uint32_t fits = (uint32_t)(*budget - 1) / FILL_COST + 1;
        if (*budget <= 0) {
            return ST_PENDING;
        }
        if (array->directory[which] == NULL) {
            array->directory[which] = directory_new(ledger, entries);
        }
        fits = fits < left ? fits : left;
        if (array->directory[which] == NULL || !charge(ledger, fits)) {
            return ST_QUOTA;
        }
        *budget -= (int)fits * FILL_COST;
        uint32_t missing = fill_some(array, array->filled + fits);
        if (missing != 0) {
            refund(ledger, missing);
            return ST_QUOTA;
        }
    }
    return ST_OK;
}

bool karray_drain(struct karray *array, struct ledger *ledger, int *budget)
{
    uint32_t before = array->filled;
    for (; array->filled > 0 && *budget > 0; *budget -= DRAIN_COST) {
        array->filled--;
        frame_free(frame_of_ptr(karray_page(array, array->filled)));
    }
    refund(ledger, before - array->filled);
    for (uint32_t which = 0; which < 2 && array->filled == 0; which++) {
        if (array->directory[which] != NULL) {
            directory_free(ledger, array->directory[which], directory_entries(array, which));
            array->directory[which] = NULL;
        }
    }
    return array->filled == 0;
}

bool karray_init(struct karray *array, struct ledger *ledger, uint32_t npages)
{
    int enough = INT32_MAX;
    *array = (struct karray){.npages = npages};
    if (npages <= KARRAY_MAX_PAGES && karray_fill(array, ledger, &enough) == ST_OK) {
        return true;
    }
    (void)karray_drain(array, ledger, &enough);
    *array = (struct karray){0};
    return false;
}
