/* SPDX-License-Identifier: MIT */
#include "mem/karray.h"

#include "core/addr.h"
#include "mem/slab.h"

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

static bool fill(struct karray *array, struct ledger *ledger, uint32_t which)
{
    uint32_t entries = directory_entries(array, which);
    if (entries == 0) {
        return true;
    }
    array->directory[which] = directory_is_slab(entries)
                                  ? slab_alloc(ledger, entries * sizeof(uint8_t *))
                                  : kpage_alloc(ledger);
    if (array->directory[which] == NULL) {
        return false;
    }
    for (uint32_t i = 0; i < entries; i++) {
        array->directory[which][i] = kpage_alloc(ledger);
        if (array->directory[which][i] == NULL) {
            return false;
        }
    }
    return true;
}

bool karray_init(struct karray *array, struct ledger *ledger, uint32_t npages)
{
    *array = (struct karray){.npages = npages};
    if (npages <= KARRAY_MAX_PAGES && fill(array, ledger, 0) && fill(array, ledger, 1)) {
        return true;
    }
    karray_destroy(array, ledger);
    return false;
}

void karray_destroy(struct karray *array, struct ledger *ledger)
{
    for (uint32_t which = 0; which < 2; which++) {
        uint32_t entries = directory_entries(array, which);
        uint8_t **directory = array->directory[which];
        if (directory == NULL) {
            continue;
        }
        for (uint32_t i = 0; i < entries && directory[i] != NULL; i++) {
            kpage_free(ledger, directory[i]);
        }
        if (directory_is_slab(entries)) {
            slab_free(directory);
        } else {
            kpage_free(ledger, directory);
        }
    }
    *array = (struct karray){0};
}
