/* SPDX-License-Identifier: MIT */
/*
 * MemoryObject: frames with the provenance of every mapping.
 *
 * States: open -> sealed, one way. Invariants: M1 sealed implies no writable mapping, no pin, and
 * none can be made. M2 every frame is the object's until its last ref is gone. Mapping counts are
 * under `lock` (rank LOCK_MEMORY_OBJECT, inside an address space's lock).
 *
 * The frame list is a two-level array of pages charged to the maker's ledger. Payloads of the boot
 * archive are memory objects over the module's own frames (`borrowed`): never freed.
 */
#ifndef CAPOS_KERNEL_OBJECT_MEMORY_OBJECT_H
#define CAPOS_KERNEL_OBJECT_MEMORY_OBJECT_H

#include "core/addr.h"
#include "core/kobj.h"

enum { MEMORY_OBJECT_MAX_PAGES = 4096 };

struct memory_object {
    struct kobj obj;
    struct spinlock lock;        /* rank LOCK_MEMORY_OBJECT */
    uint64_t size_bytes;         /* [I] page multiple; of payloads: exact size, rest of last page is zero */
    uint32_t npages;             /* [I] */
    bool sealed;                 /* own lock */
    bool borrowed;               /* [I] frames belong to the boot module */
    uint32_t mappings;           /* own lock */
    uint32_t writable_mappings;  /* own lock */
    struct paddr base;           /* [I] borrowed: first frame */
    struct paddr *page_lists[MEMORY_OBJECT_MAX_PAGES / 512]; /* [I] owned */
};

/* Zeroed, charged (frames, kernel pages). One ref. */
status_t memory_object_create(struct ledger *ledger, uint64_t size_bytes,
                              struct memory_object **out);
/* Over frames of the boot module; born sealed. */
status_t memory_object_create_borrowed(struct ledger *ledger, struct paddr base,
                                       uint64_t size_bytes, struct memory_object **out);

/* The frame of page `index` (< npages). Never changes. */
struct paddr memory_object_frame(const struct memory_object *object, uint32_t index);

/* Bookkeeping of one mapping (a region); ST_BAD_STATE when writable and sealed. */
status_t memory_object_mapping_add(struct memory_object *object, bool writable);
void memory_object_mapping_remove(struct memory_object *object, bool writable);

/* ST_BUSY while a writable mapping exists. */
status_t memory_object_seal(struct memory_object *object);
bool memory_object_is_sealed(struct memory_object *object);

/* Kernel reads, for hashing and ELF headers; the range was checked by the caller. */
void memory_object_read(const struct memory_object *object, uint64_t offset_bytes, void *to,
                        uint64_t size_bytes);

#endif
