/* SPDX-License-Identifier: MIT */
#include "object/fault.h"

#include "arch/arch.h"
#include "core/step.h"
#include "core/trace.h"
#include "object/debugger.h"
#include "object/kernel_trace.h"
#include "object/process.h"
#include "sched/cpu.h"

const char *fault_text(const struct arch_fault *fault)
{
    static const char *const texts[] = {
        [ARCH_FAULT_PAGE] = "touched memory it may not",
        [ARCH_FAULT_PROTECTION] = "broke a protection rule",
        [ARCH_FAULT_ILLEGAL] = "ran an undefined instruction",
        [ARCH_FAULT_ARITHMETIC] = "divided by zero or overflowed",
        [ARCH_FAULT_FLOAT] = "raised a floating-point exception",
        [ARCH_FAULT_ALIGNMENT] = "made an unaligned access",
        [ARCH_FAULT_BREAKPOINT] = "hit a breakpoint",
        [ARCH_FAULT_STEP] = "single-stepped",
        [ARCH_FAULT_MACHINE] = "raised a machine exception",
    };
    unsigned kind = (unsigned)fault->kind;
    return kind < sizeof(texts) / sizeof(texts[0]) ? texts[kind] : "raised an unknown fault";
}

static enum FaultRecord_Kind fault_kind(const struct arch_fault *fault)
{
    static const uint8_t kinds[] = {
        [ARCH_FAULT_NONE] = FAULT_RECORD_KIND_NONE,
        [ARCH_FAULT_PAGE] = FAULT_RECORD_KIND_PAGE_FAULT,
        [ARCH_FAULT_PROTECTION] = FAULT_RECORD_KIND_PROTECTION,
        [ARCH_FAULT_ILLEGAL] = FAULT_RECORD_KIND_ILLEGAL_INSTRUCTION,
        [ARCH_FAULT_ARITHMETIC] = FAULT_RECORD_KIND_DIVIDE,
        [ARCH_FAULT_FLOAT] = FAULT_RECORD_KIND_FLOATING_POINT,
        [ARCH_FAULT_ALIGNMENT] = FAULT_RECORD_KIND_ALIGNMENT,
        [ARCH_FAULT_BREAKPOINT] = FAULT_RECORD_KIND_DEBUG_TRAP,
        [ARCH_FAULT_STEP] = FAULT_RECORD_KIND_DEBUG_TRAP,
        [ARCH_FAULT_MACHINE] = FAULT_RECORD_KIND_OTHER,
    };
    return (unsigned)fault->kind < sizeof(kinds) ? (enum FaultRecord_Kind)kinds[fault->kind]
                                                 : FAULT_RECORD_KIND_OTHER;
}

static enum FaultRecord_Access fault_access(const struct arch_fault *fault)
{
    if (fault->kind != ARCH_FAULT_PAGE) {
        return FAULT_RECORD_ACCESS_NONE;
    }
    return fault->execute ? FAULT_RECORD_ACCESS_EXECUTE
           : fault->write ? FAULT_RECORD_ACCESS_WRITE
                          : FAULT_RECORD_ACCESS_READ;
}

void fault_fill(FaultRecord_b record, uint64_t image_base, const struct arch_fault_state *state)
{
    FaultRecord_set_kind(record, fault_kind(&state->fault));
    FaultRecord_set_address(record, state->fault.address.v);
    FaultRecord_set_instruction(record, state->regs.r[ARCH_REG_IP]);
    FaultRecord_set_stack_pointer(record, state->regs.r[ARCH_REG_SP]);
    FaultRecord_set_code(record, state->fault.code);
    FaultRecord_set_access(record, fault_access(&state->fault));
    FaultRecord_set_mapped(record, state->fault.present);
    FaultRecord_set_image_base(record, image_base);
    capnp_list_u64_copy(FaultRecord_init_registers(record, ARCH_REGS_COUNT), state->regs.r,
                        ARCH_REGS_COUNT);
}

struct thread *kernel_fault(struct thread *thread, const struct arch_fault *fault)
{
    struct arch_fault_state state;
    STEP(begin((uintptr_t)kernel_fault));
    cpu_enter_kernel(cpu_this());
    trace_note(TRACE_FAULT, fault->code, arch_thread_ip(&thread->arch).v);
    bool copied = fault->kind == ARCH_FAULT_PAGE && fault->present && fault->write &&
                  aspace_unshare(&thread->process->aspace, fault->address.v, 1);
    if (!copied && ring_is_traced(thread->ring)) {
        trace_event(thread->ring, CAPOS_TRACE_FAULT, 0, fault->address.v,
                    arch_thread_ip(&thread->arch).v, fault->code);
    }
    if (!copied && debugger_stop(thread, fault)) {
        cpu_this()->attention |= CPU_GONE;
    } else if (!copied) {
        state.fault = *fault;
        arch_thread_get_regs(&thread->arch, &state.regs);
        process_end(thread->process, PROCESS_ENDED_FAULT, -1, &state);
    }
    struct thread *next = sched_next(thread);
    STEP(end());
    cpu_leave_kernel(cpu_this());
    return next;
}
