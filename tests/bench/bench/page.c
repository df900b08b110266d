/* SPDX-License-Identifier: MIT */
/* page.lifecycle: a fresh page. */
#include "tests/bench/bench/bench.h"
#include "abi/layout.h"
#include "memory.capnp.h"

/* One page of a reservation, by a message of so many data words in payload slot 0. */
static inline void page_call(uint16_t method, uint64_t words, uint64_t protection)
{
    uint64_t *slot = (uint64_t *)(void *)ring.payload;
    slot[0] = words << 32;
    slot[1] = CAPOS_MMAP_BASE;
    slot[2] = CAPOS_PAGE_BYTES;
    slot[3] = protection;
    raw_call(&ring, caps.memory, VirtualMemory_ID, method)->params_len = 8 + (uint32_t)words * 8;
    enter_and_reap(1, 8);
}

/* A fresh page: committed, touched, and taken out again. The reservation stays. */
static void pages(uint32_t n)
{
    volatile uint64_t *page = (volatile uint64_t *)CAPOS_MMAP_BASE;
    for (uint32_t i = 0; i < n; i++) {
        page_call(VirtualMemory_commit_ORDINAL, 3, PROTECTION_READ_WRITE);
        raw_require(*page == 0, 21);
        *page = i + 1;
        page_call(VirtualMemory_decommit_ORDINAL, 2, 0);
    }
}

static void reserve_page(void)
{
    uint64_t params[3] = {UINT64_C(2) << 32, CAPOS_MMAP_BASE, CAPOS_PAGE_BYTES};
    uint64_t result[16];
    raw_require(call_with(caps.memory, VirtualMemory_ID, VirtualMemory_reserve_ORDINAL, params,
                          sizeof(params), 0, result) >= 0,
                22);
}

void bench_page(void)
{
    reserve_page();
    bench_measure("page.lifecycle", pages, 20000);
}
