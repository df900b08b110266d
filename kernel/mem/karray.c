/* SPDX-License-Identifier: MIT */
#include "mem/karray.h"

#include "core/addr.h"
#include "gen/status.capnp.h"
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

status_t karray_fill(struct karray *array, struct ledger *ledger, int *budget)
{
    for (; array->filled < array->npages; array->filled++) {
        if (*budget <= 0) {
            return ST_PENDING;
        }
        *budget -= FILL_COST;
        uint32_t which = array->filled / KARRAY_DIRECTORY;
        if (array->directory[which] == NULL) {
            array->directory[which] = directory_new(ledger, directory_entries(array, which));
        }
        uint8_t *page = array->directory[which] != NULL ? kpage_alloc(ledger) : NULL;
        if (page == NULL) {
            return ST_QUOTA;
        }
        array->directory[which][array->filled % KARRAY_DIRECTORY] = page;
    }
    return ST_OK;
}

bool karray_drain(struct karray *array, struct ledger *ledger, int *budget)
{
    for (; array->filled > 0; *budget -= DRAIN_COST) {
        if (*budget <= 0) {
            return false;
        }
        array->filled--;
        kpage_free(ledger, karray_page(array, array->filled));
    }
    for (uint32_t which = 0; which < 2; which++) {
        if (array->directory[which] != NULL) {
            directory_free(ledger, array->directory[which], directory_entries(array, which));
            array->directory[which] = NULL;
        }
    }
    return true;
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
