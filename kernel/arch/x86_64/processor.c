/* SPDX-License-Identifier: MIT */
#include "processor.h"

#include "arch/arch.h"
#include "x86.h"

struct features features RO_AFTER_BOOT;

/* Compared by every function with a buffer on its stack; constant once the kernel runs. */
extern uintptr_t __stack_chk_guard;
uintptr_t __stack_chk_guard RO_AFTER_BOOT;

NORETURN void __stack_chk_fail(void);
NORETURN void __stack_chk_fail(void)
{
    panic("stack guard overwritten");
}

/* Three-byte places that hold STAC or CLAC when there is SMAP, else a NOP of that length. */
struct smap_site {
    uint64_t address;
    uint64_t clear; /* 1 = CLAC, 0 = STAC */
};

extern const struct smap_site smap_sites_start[], smap_sites_end[];

static void patch_smap_sites(void)
{
    for (const struct smap_site *s = smap_sites_start; s < smap_sites_end; s++) {
        volatile uint8_t *code = (volatile uint8_t *)(uintptr_t)s->address;
        code[0] = 0x0f;
        code[1] = 0x01;
        code[2] = s->clear != 0 ? 0xca : 0xcb;
    }
}

static bool bit(uint32_t word, unsigned index)
{
    return (word >> index & 1) != 0;
}

static void read_standard(uint32_t max)
{
    struct cpuid one = cpuid(1, 0);
    features.global_pages = bit(one.edx, 13);
    features.x2apic = bit(one.ecx, 21);
    features.tsc_deadline = bit(one.ecx, 24);
    features.xsave = bit(one.ecx, 26);
    features.rdrand = bit(one.ecx, 30);
    features.hypervisor = bit(one.ecx, 31);
    if (max >= 7) {
        struct cpuid seven = cpuid(7, 0);
        features.smep = bit(seven.ebx, 7);
        features.rdseed = bit(seven.ebx, 18);
        features.smap = bit(seven.ebx, 20);
        features.umip = bit(seven.ecx, 2);
    }
    if (max >= 0xd && features.xsave) {
        features.xsaveopt = bit(cpuid(0xd, 1).eax, 0);
    }
}

/* Intel processors are vulnerable unless they say that they are not. */
static bool may_leak(uint32_t max)
{
    enum { MSR_CAPABILITIES = 0x10a, RDCL_NO = 1, GENU = 0x756e6547 };
    if (cpuid(0, 0).ebx != GENU) {
        return false;
    }
    bool says = max >= 7 && bit(cpuid(7, 0).edx, 29);
    return !says || (read_msr(MSR_CAPABILITIES) & RDCL_NO) == 0;
}

static bool hardware_random(uint64_t *out)
{
    unsigned char ok = 0;
    for (unsigned tries = 0; tries < 10 && !ok && features.rdseed; tries++) {
        __asm__ volatile("rdseed %0; setc %1" : "=r"(*out), "=qm"(ok) : : "cc");
    }
    for (unsigned tries = 0; tries < 10 && !ok && features.rdrand; tries++) {
        __asm__ volatile("rdrand %0; setc %1" : "=r"(*out), "=qm"(ok) : : "cc");
    }
    return ok != 0;
}

NO_STACK_PROTECTOR void features_read(void)
{
    uint32_t extended = cpuid(0x80000000, 0).eax;
    uint32_t max = cpuid(0, 0).eax;
    read_standard(max);
    features.leaks = may_leak(max);
    uint32_t flags = extended >= 0x80000001 ? cpuid(0x80000001, 0).edx : 0;
    features.nx = bit(flags, 20);
    features.pages_1g = bit(flags, 26);

    uint64_t guard;
    if (!hardware_random(&guard)) {
        guard = arch_cycles() * UINT64_C(0x9e3779b97f4a7c15);
    }
    __stack_chk_guard = (uintptr_t)(guard & ~UINT64_C(0xff)); /* a zero byte stops string copies */
    if (features.smap) {
        patch_smap_sites();
    }
}

void features_enable(void)
{
    uint64_t cr0 = read_cr0() & ~(CR0_EM | CR0_TS | CR0_AM);
    write_cr0(cr0 | CR0_MP | CR0_NE | CR0_WP);
    uint64_t cr4 = CR4_PAE | CR4_DE | CR4_MCE | CR4_OSFXSR | CR4_OSXMMEXCPT;
    cr4 |= features.global_pages ? CR4_PGE : 0;
    cr4 |= features.smep ? CR4_SMEP : 0;
    cr4 |= features.smap ? CR4_SMAP : 0;
    cr4 |= features.umip ? CR4_UMIP : 0;
    cr4 |= features.xsave ? CR4_OSXSAVE : 0;
    write_cr4(cr4);
    write_msr(MSR_EFER, read_msr(MSR_EFER) | EFER_SCE | (features.nx ? EFER_NXE : 0));
}

bool features_seed(uint64_t *words, size_t count)
{
    bool strong = true;
    for (size_t i = 0; i < count; i++) {
        if (!hardware_random(&words[i])) {
            words[i] = arch_cycles() * UINT64_C(0x9e3779b97f4a7c15) ^ (uint64_t)i << 56;
            strong = false;
        }
    }
    return strong;
}

bool arch_entropy(uint64_t *out)
{
    return hardware_random(out);
}

bool arch_entropy_present(void)
{
    return features.rdrand || features.rdseed;
}
