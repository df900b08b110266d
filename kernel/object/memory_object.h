/* SPDX-License-Identifier: MIT */
/*
 * MemoryObject: frames that can be mapped, shared and sealed.
 *
 * States: open -> sealed, one way. Invariants: M1 sealed implies no writable mapping or pin, and none can be
 * made; a mapping counts until no CPU remembers it. M2 every frame is the object's until its last ref
 * is gone. M3 the bytes behind size_bytes in the last page are zero. Counts and `sealed` are under
 * `lock` (rank LOCK_MEMORY_OBJECT, inside an address space's lock); MemoryObject.write copies under
 * it, so nothing is half-written when seal returns.
 *
 * Where the frames are: up to MEMORY_OBJECT_DIRECT in the struct, more in a tree of pages of 512
 * addresses, charged like page tables to the maker's ledger. The 512 of a lowest node are one run of frames where
 * the machine has one, so that they can be mapped as one large page. Pages are added, and at the end dropped,
 * one by one; a large object is made, and ends, in slices. Nobody but its maker knows one that is not
 * full yet. Payloads of the boot archive are memory objects over the module's own frames (`borrowed`):
 * never freed, nothing charged for them.
 */
#ifndef CAPOS_KERNEL_OBJECT_MEMORY_OBJECT_H
#define CAPOS_KERNEL_OBJECT_MEMORY_OBJECT_H

#include "core/addr.h"
#include "core/kobj.h"
#include "lib/base/tree.h"
#include "object/pending.h"

enum {
    MEMORY_OBJECT_DIRECT = 8,
    MEMORY_OBJECT_LEVELS = 3,
    MEMORY_OBJECT_MAX_PAGES = 1 << 9 * MEMORY_OBJECT_LEVELS, /* 512 GiB */
};

struct memory_object {
    struct kobj obj;
    struct spinlock lock;  /* rank LOCK_MEMORY_OBJECT */
    uint64_t size_bytes;   /* [I] page multiple; of payloads and texts: the exact size */
    uint32_t npages;       /* [I] */
    bool borrowed;         /* [I] frames belong to the boot module */
    bool sealed;           /* own lock */
    struct tree parked;    /* [o] records of PARK, by offset */
    uint32_t mappings;     /* own lock */
    uint32_t pins;         /* own lock; of MemoryPin */
    uint32_t writers;      /* own lock; mappings and pins that allow writing */
    uint8_t levels;        /* [I] of the tree; 0: the frames are in `direct` */
    uint32_t filled;       /* the maker's, then the end's: pages that are there */
    union {                /* [I] once it is full */
        struct paddr base; /* borrowed: the first of a run; or the root of the tree */
        struct paddr direct[MEMORY_OBJECT_DIRECT];
    };
    struct pending work; /* makes a large object, or frees it */
};

static inline struct memory_object *memory_object_of(struct kobj *obj)
{
    return CONTAINER_OF(obj, struct memory_object, obj);
}

/* A promise that pages of the object stay: memory_pin.c. */
struct memory_pin {
    struct kobj obj;
    struct memory_object *object; /* [I] a ref */
    uint64_t offset, size_bytes;  /* [I] */
    bool writable;                /* [I] */
};

static inline struct memory_pin *memory_pin_of(struct kobj *obj)
{
    return CONTAINER_OF(obj, struct memory_pin, obj);
}

/* Charged (frames, kernel pages), without pages yet. One ref. ST_BAD_ARGUMENT (size 0, no page
 * multiple, too large), ST_QUOTA. ledger NULL: the kernel's own. */
status_t memory_object_begin(struct ledger *ledger, uint64_t size_bytes,
                             struct memory_object **out);

/* Adds a slice of zeroed pages: ST_PENDING (there are more to add), ST_OK (it is full), ST_QUOTA (the
 * machine has none left). */
status_t memory_object_fill(struct memory_object *object);

/* Both, at once: for small ones. */
status_t memory_object_create(struct ledger *ledger, uint64_t size_bytes,
                              struct memory_object **out);

/* Over frames of the boot module, zero behind size_bytes; born sealed. */
status_t memory_object_create_borrowed(struct ledger *ledger, struct paddr base,
                                       uint64_t size_bytes, struct memory_object **out);

/* A copy of kernel text; born sealed, not zero bytes long in memory but exactly so in size. */
status_t memory_object_create_text(struct ledger *ledger, const char *text, size_t len,
                                   struct memory_object **out);

/* The range, of whole pages from a page's start, lies in it. */
static inline bool memory_object_has(const struct memory_object *object, uint64_t offset_bytes,
                                     uint64_t size_bytes)
{
    uint64_t total = (uint64_t)object->npages << PAGE_SHIFT;
    return page_aligned(offset_bytes) && offset_bytes <= total &&
           size_bytes <= total - offset_bytes;
}

/* The frame of page `index` (< npages). Never changes. */
struct paddr memory_object_frame(const struct memory_object *object, uint32_t index);

/* The first of FRAME_RUN frames side by side, at a multiple of their size, that are the pages from `index` on;
 * PADDR_NONE when they are not. */
struct paddr memory_object_run(const struct memory_object *object, uint32_t index);

/* Bookkeeping of one mapping (a region); ST_BAD_STATE when writable and sealed. */
status_t memory_object_mapping_add(struct memory_object *object, bool writable);
void memory_object_mapping_remove(struct memory_object *object, bool writable);

/* The same for a pin. */
status_t memory_object_pin_add(struct memory_object *object, bool writable);
void memory_object_pin_remove(struct memory_object *object, bool writable);

/* ST_BUSY while a writable mapping or pin exists. */
status_t memory_object_seal(struct memory_object *object);
bool memory_object_is_sealed(struct memory_object *object);

/* Kernel reads, for hashing and ELF headers; the range was checked by the caller. */
void memory_object_read(const struct memory_object *object, uint64_t offset_bytes, void *to,
                        uint64_t size_bytes);

#endif
