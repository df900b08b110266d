/* SPDX-License-Identifier: MIT */
/*
 * Page-table isolation: while user code runs, the tables hold of the kernel only the entry code, the
 * IDT and the CPU slots. On where the processor leaks (processor.h), or as the word pti=on or pti=off
 * of the command line says.
 *
 * Off costs nothing: the system call entry is another label, the exits are patched jumps, the trap
 * entries have three-byte places for the load of CR3. On costs one load of CR3 each way. There are no
 * global pages then: they would outlive the load.
 */
#include "pti.h"

#include "bootmem.h"
#include "core/cmdline.h"
#include "lib/base/string.h"
#include "processor.h"
#include "trap.h"
#include "x86.h"

struct pti_site {
    uint64_t address;
    uint64_t modrm;
};

extern const struct pti_site pti_sites_start[], pti_sites_end[];

static void patch_jump(char *at, const char *target)
{
    enum { JUMP = 0xe9, JUMP_BYTES = 5 };
    volatile uint8_t *code = (volatile uint8_t *)at;
    uint32_t distance =
        (uint32_t)((uint64_t)(uintptr_t)target - (uint64_t)(uintptr_t)at - JUMP_BYTES);
    code[0] = JUMP;
    for (unsigned i = 0; i < sizeof(distance); i++) {
        code[1 + i] = (uint8_t)(distance >> 8 * i);
    }
}

static void patch(void)
{
    for (const struct pti_site *s = pti_sites_start; s < pti_sites_end; s++) {
        volatile uint8_t *code = (volatile uint8_t *)(uintptr_t)s->address;
        code[1] = 0x22;
        code[2] = (uint8_t)s->modrm;
    }
    patch_jump(exit_sysret, exit_sysret_pti);
    patch_jump(exit_iret, exit_iret_pti);
}

void pti_decide(void)
{
    size_t len;
    const char *word = cmdline_value(boot_information.command_line, "pti", &len);
    features.pti = features.leaks;
    if (word != NULL) {
        features.pti =
            str_equals(word, len, "on") || (features.leaks && !str_equals(word, len, "off"));
    }
    if (features.pti) {
        features.global_pages = false;
        write_cr4(read_cr4() & ~CR4_PGE);
        patch();
    }
}
