/* SPDX-License-Identifier: MIT */
#include "capos/fault.h"

#include "lib/base/bits.h"
#include "lib/base/fmt.h"

static const char *kind_text(FaultRecord_r fault)
{
    static const char *const texts[] = {
        [FAULT_RECORD_KIND_PROTECTION] = "it broke a protection rule",
        [FAULT_RECORD_KIND_ILLEGAL_INSTRUCTION] = "it ran an undefined instruction",
        [FAULT_RECORD_KIND_DIVIDE] = "it divided by zero or overflowed",
        [FAULT_RECORD_KIND_ALIGNMENT] = "it made an unaligned access",
        [FAULT_RECORD_KIND_FLOATING_POINT] = "it raised a floating-point exception",
        [FAULT_RECORD_KIND_DEBUG_TRAP] = "it hit a breakpoint or stepped",
    };
    unsigned kind = (unsigned)FaultRecord_get_kind(fault);
    return kind < ARRAY_COUNT(texts) && texts[kind] != NULL ? texts[kind]
                                                            : "the machine stopped it";
}

static const char *access_text(FaultRecord_r fault)
{
    static const char *const texts[] = {"touched", "read", "wrote", "ran"};
    unsigned access = (unsigned)FaultRecord_get_access(fault);
    return access < ARRAY_COUNT(texts) ? texts[access] : texts[0];
}

size_t capos_fault_text(FaultRecord_r fault, char *text, size_t size)
{
    unsigned long long ip = FaultRecord_get_instruction(fault);
    unsigned long long base = FaultRecord_get_image_base(fault);
    unsigned long long sp = FaultRecord_get_stack_pointer(fault);
    unsigned long long address = FaultRecord_get_address(fault);
    if (FaultRecord_get_kind(fault) != FAULT_RECORD_KIND_PAGE_FAULT) {
        return fmt_format(text, size, "%s: instruction 0x%llx (image + 0x%llx), stack 0x%llx",
                          kind_text(fault), ip, ip - base, sp);
    }
    return fmt_format(
        text, size, "it %s 0x%llx, %s: instruction 0x%llx (image + 0x%llx), stack 0x%llx",
        access_text(fault), address,
        FaultRecord_get_mapped(fault) ? "which it may not" : "where nothing is", ip, ip - base, sp);
}

size_t capos_registers_line(struct capnp_list registers, uint32_t line, char *text, size_t size)
{
    static const char *const names[] = {
        "ax", "bx",  "cx",  "dx",  "si",  "di",  "bp",  "sp", "r8",
        "r9", "r10", "r11", "r12", "r13", "r14", "r15", "ip", "flags",
    };
    size_t len = 0;
    uint32_t first = line * CAPOS_REGISTERS_A_LINE;
    for (uint32_t i = first; i < first + CAPOS_REGISTERS_A_LINE && i < ARRAY_COUNT(names) &&
                             i < capnp_list_len(registers);
         i++) {
        size_t at = min_u64(len, size);
        len += fmt_format(text + at, size - at, "%s%-3s %016llx", i > first ? "  " : "", names[i],
                          (unsigned long long)capnp_list_u64_at(registers, i));
    }
    return len;
}
