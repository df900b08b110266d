/* SPDX-License-Identifier: MIT */
/* Copies and clearing within kernel memory; bulk.S has the loops and the figures. */
#include "arch/arch.h"
#include "fpu.h"

void bulk_copy_32(void *to, const void *from, size_t blocks);
void bulk_zero_page_32(void *page);
void bulk_zero_page_16(void *page);

enum { BLOCK_SHIFT = 8, BLOCK_BYTES = 1 << BLOCK_SHIFT, BULK_BYTES = 2 * BLOCK_BYTES };

static bool has_avx(void)
{
    return (fpu_components & FPU_COMPONENT_AVX) != 0;
}

void arch_copy(void *to, const void *from, size_t size_bytes)
{
    if (size_bytes >= BULK_BYTES && has_avx()) {
        size_t blocks = size_bytes >> BLOCK_SHIFT;
        bulk_copy_32(to, from, blocks);
        to = (char *)to + (blocks << BLOCK_SHIFT);
        from = (const char *)from + (blocks << BLOCK_SHIFT);
        size_bytes &= BLOCK_BYTES - 1;
    }
    size_t words = size_bytes / 8, tail = size_bytes % 8;
    __asm__ volatile("rep movsq" : "+D"(to), "+S"(from), "+c"(words) : : "memory");
    if (tail != 0) {
        __asm__ volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(tail) : : "memory");
    }
}

void arch_zero_page(void *page)
{
    if (has_avx()) {
        bulk_zero_page_32(page);
    } else {
        bulk_zero_page_16(page);
    }
}
