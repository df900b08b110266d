/* SPDX-License-Identifier: MIT */
/*
 * Kernel objects from pages of their ledger: a page holds objects of one size class and of one
 * ledger, and is charged (LEDGER_CLASS_KERNEL_PAGES) as a whole, so what a process makes the kernel
 * hold is what it pays. Objects come zeroed and 64-byte aligned. A ledger of NULL stands for the
 * kernel itself: nothing is charged.
 */
#ifndef CAPOS_KERNEL_MEM_SLAB_H
#define CAPOS_KERNEL_MEM_SLAB_H

#include <stddef.h>
#include <stdint.h>

#include "core/lock.h"
#include "lib/base/list.h"

struct ledger;

enum {
    SLAB_MIN_BYTES = 64,
    SLAB_MAX_BYTES = 4032, /* larger things take whole pages: kpage_alloc */
    SLAB_CLASSES = 7,      /* 64, 128, 256, 576, 1344, 1984, 4032: what fills a page well */
};

struct slab_set {
    struct spinlock lock;              /* rank LOCK_SLAB */
    struct list partial[SLAB_CLASSES]; /* pages with room */
    uint32_t pages;                    /* for leak checks */
};

void slab_set_init(struct slab_set *set);

/* A zeroed object of at least size bytes, charged to the ledger (which must outlive it: the object
 * holds a ledger ref of its own). NULL when the ledger or the machine is exhausted; nothing changed.
 * A page that becomes empty is refunded and freed at once. Any context; LOCK_SLAB, LOCK_FRAMES. */
void *slab_alloc(struct ledger *ledger, size_t size);
void slab_free(void *object);

/* A whole zeroed kernel page charged to the ledger; NULL when exhausted. */
void *kpage_alloc(struct ledger *ledger);
void kpage_free(struct ledger *ledger, void *page);

#endif
