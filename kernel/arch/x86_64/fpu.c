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
enum { COMPONENTS_WANTED = 0xe7, AVX512 = 0xe0 };

uint32_t fpu_components RO_AFTER_BOOT;
static size_t area_bytes RO_AFTER_BOOT;

static void write_xcr0(uint32_t v)
{
    __asm__ volatile("xsetbv" : : "c"(0), "a"(v), "d"(0));
}

struct fpu_site {
    uint64_t address;
    uint64_t restore;
};

extern const struct fpu_site fpu_sites_start[], fpu_sites_end[];

/* The last byte of the instruction: ModRM for (%rdi) with the operation in the middle. */
static void patch_sites(void)
{
    enum { XSAVE = 0x27, XRSTOR = 0x2f, XSAVEOPT = 0x37 };
    for (const struct fpu_site *s = fpu_sites_start; s < fpu_sites_end; s++) {
        volatile uint8_t *byte = (volatile uint8_t *)(uintptr_t)s->address;
        *byte = s->restore != 0 ? XRSTOR : features.xsaveopt ? XSAVEOPT : XSAVE;
    }
}

void fpu_setup(void)
{
    area_bytes = FXSAVE_BYTES;
    if (!features.xsave) {
        return;
    }
    fpu_components = cpuid(0xd, 0).eax & COMPONENTS_WANTED;
    if ((fpu_components & AVX512) != AVX512) {
        fpu_components &= ~(uint32_t)AVX512; /* all three or none */
    }
    write_xcr0(fpu_components);
    area_bytes = cpuid(0xd, 0).ebx;
    patch_sites();
}

void fpu_enable(void)
{
    __asm__ volatile("fninit");
    if (features.xsave) {
        write_xcr0(fpu_components);
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
    memcpy((char *)area + FCW_OFFSET, &fcw, sizeof(fcw));
    memcpy((char *)area + MXCSR_OFFSET, &mxcsr, sizeof(mxcsr));
}
