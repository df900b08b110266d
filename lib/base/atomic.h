/* SPDX-License-Identifier: MIT */
/*
 * Atomics with the memory order in the name. Kernel, user space and host use the same wrappers, so
 * that the host build can run everything under ThreadSanitizer.
 *
 * An object that more than one CPU touches without a lock is declared _Atomic and read or written
 * through these only, never with plain C operators (those would be silently sequentially
 * consistent). Orders not offered here (consume) are not used.
 */
#ifndef CAPOS_BASE_ATOMIC_H
#define CAPOS_BASE_ATOMIC_H

#include <stdatomic.h>

#define atomic_load_relaxed(p) atomic_load_explicit((p), memory_order_relaxed)
#define atomic_load_acquire(p) atomic_load_explicit((p), memory_order_acquire)
#define atomic_load_seq_cst(p) atomic_load_explicit((p), memory_order_seq_cst)

#define atomic_store_relaxed(p, v) atomic_store_explicit((p), (v), memory_order_relaxed)
#define atomic_store_release(p, v) atomic_store_explicit((p), (v), memory_order_release)
#define atomic_store_seq_cst(p, v) atomic_store_explicit((p), (v), memory_order_seq_cst)

/* All of these return the value before the operation. */
#define atomic_swap_relaxed(p, v) atomic_exchange_explicit((p), (v), memory_order_relaxed)
#define atomic_swap_acquire(p, v) atomic_exchange_explicit((p), (v), memory_order_acquire)
#define atomic_swap_release(p, v) atomic_exchange_explicit((p), (v), memory_order_release)
#define atomic_swap_acq_rel(p, v) atomic_exchange_explicit((p), (v), memory_order_acq_rel)
#define atomic_swap_seq_cst(p, v) atomic_exchange_explicit((p), (v), memory_order_seq_cst)

#define atomic_add_relaxed(p, v) atomic_fetch_add_explicit((p), (v), memory_order_relaxed)
#define atomic_add_acquire(p, v) atomic_fetch_add_explicit((p), (v), memory_order_acquire)
#define atomic_add_release(p, v) atomic_fetch_add_explicit((p), (v), memory_order_release)
#define atomic_add_acq_rel(p, v) atomic_fetch_add_explicit((p), (v), memory_order_acq_rel)
#define atomic_add_seq_cst(p, v) atomic_fetch_add_explicit((p), (v), memory_order_seq_cst)
#define atomic_sub_relaxed(p, v) atomic_fetch_sub_explicit((p), (v), memory_order_relaxed)
#define atomic_sub_release(p, v) atomic_fetch_sub_explicit((p), (v), memory_order_release)
#define atomic_sub_acq_rel(p, v) atomic_fetch_sub_explicit((p), (v), memory_order_acq_rel)
#define atomic_or_relaxed(p, v) atomic_fetch_or_explicit((p), (v), memory_order_relaxed)
#define atomic_or_release(p, v) atomic_fetch_or_explicit((p), (v), memory_order_release)
#define atomic_or_acq_rel(p, v) atomic_fetch_or_explicit((p), (v), memory_order_acq_rel)
#define atomic_or_seq_cst(p, v) atomic_fetch_or_explicit((p), (v), memory_order_seq_cst)
#define atomic_and_relaxed(p, v) atomic_fetch_and_explicit((p), (v), memory_order_relaxed)
#define atomic_and_release(p, v) atomic_fetch_and_explicit((p), (v), memory_order_release)
#define atomic_and_acq_rel(p, v) atomic_fetch_and_explicit((p), (v), memory_order_acq_rel)

/* Compare and exchange: true when *p was *expected and is now v; else *expected = *p. The strong
 * forms do not fail spuriously; a failed exchange orders as a load of the named acquire or relaxed. */
#define atomic_cas_relaxed(p, expected, v) \
    atomic_compare_exchange_strong_explicit((p), (expected), (v), memory_order_relaxed, \
                                            memory_order_relaxed)
#define atomic_cas_acquire(p, expected, v) \
    atomic_compare_exchange_strong_explicit((p), (expected), (v), memory_order_acquire, \
                                            memory_order_acquire)
#define atomic_cas_release(p, expected, v) \
    atomic_compare_exchange_strong_explicit((p), (expected), (v), memory_order_release, \
                                            memory_order_relaxed)
#define atomic_cas_acq_rel(p, expected, v) \
    atomic_compare_exchange_strong_explicit((p), (expected), (v), memory_order_acq_rel, \
                                            memory_order_acquire)
#define atomic_cas_seq_cst(p, expected, v) \
    atomic_compare_exchange_strong_explicit((p), (expected), (v), memory_order_seq_cst, \
                                            memory_order_seq_cst)

#define atomic_fence_acquire() atomic_thread_fence(memory_order_acquire)
#define atomic_fence_release() atomic_thread_fence(memory_order_release)
#define atomic_fence_seq_cst() atomic_thread_fence(memory_order_seq_cst)

#endif
