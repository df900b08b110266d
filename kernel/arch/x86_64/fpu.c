/* SPDX-License-Identifier: MIT */
#include "fpu.h"

#include "arch/arch.h"
#include "processor.h"
#include "lib/base/string.h"
#include "x86.h"

enum {
    FXSAVE_BYTES = 512,
    FCW_OFFSET = 0,
    MXCSR_OFFSET = 24,
    FCW_INITIAL = 0x37f,
    MXCSR_INITIAL = 0x1f80,
};

/* x87, SSE, AVX and the AVX-512 components: what user code gets. Not: protection keys (rights that
 * the kernel does not manage), AMX (8 KiB of state; needs a policy first). */
#define COMPONENTS_WANTED UINT64_C(0xe7)

static uint64_t components RO_AFTER_BOOT;
static size_t area_bytes RO_AFTER_BOOT;

static void write_xcr0(uint64_t v)
{
    __asm__ volatile("xsetbv" : : "c"(0), "a"((uint32_t)v), "d"((uint32_t)(v >> 32)));
}

void fpu_setup(void)
{
    area_bytes = FXSAVE_BYTES;
    if (!features.xsave) {
        return;
    }
    struct cpuid offered = cpuid(0xd, 0);
    components = (((uint64_t)offered.edx << 32) | offered.eax) & COMPONENTS_WANTED;
    if ((components & 0xe0) != 0xe0) {
        components &= ~UINT64_C(0xe0); /* AVX-512 is all three or none */
    }
    write_xcr0(components);
    area_bytes = cpuid(0xd, 0).ebx;
}

void fpu_enable(void)
{
    __asm__ volatile("fninit");
    if (features.xsave) {
        write_xcr0(components);
    }
}

size_t arch_fpu_size(void)
{
    return area_bytes;
}

void fpu_init(void *area)
{
    uint16_t fcw = FCW_INITIAL;
    uint32_t mxcsr = MXCSR_INITIAL;
    memset(area, 0, area_bytes);
    memcpy((char *)area + FCW_OFFSET, &fcw, sizeof(fcw));
    memcpy((char *)area + MXCSR_OFFSET, &mxcsr, sizeof(mxcsr));
}

void fpu_save(void *area)
{
    uint32_t low = (uint32_t)components, high = (uint32_t)(components >> 32);
    if (features.xsaveopt) {
        __asm__ volatile("xsaveopt64 (%0)" : : "r"(area), "a"(low), "d"(high) : "memory");
    } else if (features.xsave) {
        __asm__ volatile("xsave64 (%0)" : : "r"(area), "a"(low), "d"(high) : "memory");
    } else {
        __asm__ volatile("fxsave64 (%0)" : : "r"(area) : "memory");
    }
}

void fpu_restore(const void *area)
{
    if (features.xsave) {
        __asm__ volatile("xrstor64 (%0)"
                         :
                         : "r"(area), "a"((uint32_t)components), "d"((uint32_t)(components >> 32))
                         : "memory");
    } else {
        __asm__ volatile("fxrstor64 (%0)" : : "r"(area) : "memory");
    }
}
