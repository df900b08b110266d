/* SPDX-License-Identifier: MIT */
#include "object/entropy.h"

#include "arch/arch.h"
#include "core/cmdline.h"
#include "core/log.h"
#include "gen/entropy.capnp.h"
#include "gen/kernel/entropy.kernel.h"
#include "gen/kernel/types.h"
#include "gen/status.capnp.h"
#include "lib/base/string.h"
#include "lib/crypto/drbg.h"
#include "object/invoke.h"
#include "object/root.h"
#include "sched/cpu.h"

enum { ENTROPY_MAX_BYTES = 4096, ENTROPY_WORDS = 8, STOCK_WORDS = 32 };

/* All under `lock` after entropy_init. */
static struct {
    struct spinlock lock;
    struct drbg drbg;
    uint64_t stock[STOCK_WORDS]; /* for entropy_word: the first `stocked` */
    unsigned stocked;
    bool weak;  /* [I] */
    bool fixed; /* [I] */
} pool = {.lock = SPINLOCK_INIT(LOCK_REGISTRY)};

struct seed {
    uint64_t firmware[4];
    uint64_t hardware[ENTROPY_WORDS];
    uint64_t timing[ENTROPY_WORDS];
};

/* True when the processor gave every word. */
static bool fill_hardware(uint64_t words[ENTROPY_WORDS])
{
    bool strong = arch_entropy_present();
    for (unsigned i = 0; i < ENTROPY_WORDS; i++) {
        strong = arch_entropy(&words[i]) && strong;
    }
    return strong;
}

void entropy_init(const struct boot_info *boot)
{
    pool.stocked = 0;
    pool.fixed = cmdline_has(boot->command_line, "entropy=fixed");
    if (pool.fixed) {
        drbg_init(&pool.drbg, "entropy=fixed", sizeof("entropy=fixed"));
        klog("entropy: FIXED by the command line, for tests only");
        return;
    }
    struct seed seed;
    memset(&seed, 0, sizeof(seed));
    memcpy(seed.firmware, boot->entropy_seed, sizeof(seed.firmware));
    bool strong = fill_hardware(seed.hardware) || boot->entropy_strong;
    for (unsigned i = 0; i < ENTROPY_WORDS; i++) {
        seed.timing[i] = arch_cycles();
    }
    drbg_init(&pool.drbg, &seed, sizeof(seed));
    memset(&seed, 0, sizeof(seed));
    COMPILER_BARRIER();
    pool.weak = !strong;
    klog("entropy: seeded%s", strong ? "" : " from timing alone: weak");
}

/* The lock is held for a seed only; the bytes come from a generator of their own. */
void entropy_bytes(void *out, size_t bytes)
{
    struct drbg once;
    uint8_t seed[32];
    uint64_t word;
    lock_acquire(&pool.lock);
    if (!pool.fixed && arch_entropy(&word)) {
        drbg_mix(&pool.drbg, &word, sizeof(word));
    }
    drbg_generate(&pool.drbg, seed, sizeof(seed));
    lock_release(&pool.lock);
    drbg_init(&once, seed, sizeof(seed));
    drbg_generate(&once, out, bytes);
    memset(seed, 0, sizeof(seed));
    memset(&once, 0, sizeof(once));
    COMPILER_BARRIER();
}

/* A word costs a block's share; what is given out is forgotten. */
uint64_t entropy_word(void)
{
    lock_acquire(&pool.lock);
    if (pool.stocked == 0) {
        drbg_generate(&pool.drbg, pool.stock, sizeof(pool.stock));
        pool.stocked = STOCK_WORDS;
    }
    uint64_t word = pool.stock[--pool.stocked];
    pool.stock[pool.stocked] = 0;
    lock_release(&pool.lock);
    return word;
}

status_t entropy_create(struct kobj **out)
{
    return root_object_create(KTYPE_ENTROPY, out);
}

status_t Entropy_kernel_fill(struct invocation *inv, Entropy_fill_params_r params,
                             Entropy_fill_results_b results)
{
    (void)inv;
    uint32_t count = Entropy_fill_params_get_count_bytes(params);
    if (count == 0 || count > ENTROPY_MAX_BYTES) {
        return ST_BAD_ARGUMENT;
    }
    uint8_t *bytes = cpu_this()->work;
    entropy_bytes(bytes, count);
    Entropy_fill_results_set_data(results, bytes, count);
    Entropy_fill_results_set_weak(results, pool.weak || pool.fixed);
    memset(bytes, 0, count);
    COMPILER_BARRIER();
    return ST_OK;
}
