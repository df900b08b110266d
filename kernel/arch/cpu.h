/* SPDX-License-Identifier: MIT */
/* CPUs: numbering, per-CPU data, starting them, interrupting them. */
#ifndef CAPOS_KERNEL_ARCH_CPU_H
#define CAPOS_KERNEL_ARCH_CPU_H

#include "lib/base/atomic.h"
#include "lib/base/compiler.h"

enum { ARCH_CPU_MAX = 64, ARCH_CACHE_LINE_BYTES = 64 };

struct thread;

/* One bit per CPU. */
typedef uint64_t arch_cpu_mask_t;

/* This CPU's number, 0 .. arch_cpu_count() - 1; 0 is the boot CPU. */
static inline unsigned arch_cpu_id(void);

/* The portable kernel's own per-CPU block, as given to arch_cpu_set_local; NULL before. */
static inline void *arch_cpu_local(void);

/* Sets the block of CPU `cpu`. Call for every CPU before it is started. */
void arch_cpu_set_local(unsigned cpu, void *local);

/* Present and usable CPUs; may sink in arch_smp_start when one does not answer. */
unsigned arch_cpu_count(void);

/* Starts all other CPUs, one at a time, each of which calls kernel_cpu_main. Returns when all that
 * answered are in there. Boot CPU only, once; every CPU's local block must be set. */
void arch_smp_start(void);

/* Interrupts other CPUs: each enters kernel_interrupt with ARCH_VECTOR_RESCHEDULE or _KICK soon.
 * The own bit is ignored. Never waits for them. Any context. */
void arch_cpu_reschedule(arch_cpu_mask_t cpus);
void arch_cpu_kick(arch_cpu_mask_t cpus);

/* True when an interrupt is waiting for this CPU to leave the kernel. Costs some 20 instructions. */
bool arch_interrupt_pending(void);

/* A ticket lock's next ticket, with acquire; true when it is being served already. */
static inline bool arch_ticket_take(_Atomic uint16_t *next, const _Atomic uint16_t *serving,
                                    uint16_t *ticket_out);

/* Its owner, who alone writes it, passes it on, with release. */
static inline void arch_ticket_pass(_Atomic uint16_t *serving);

/* Spin-wait hint. */
static inline void arch_cpu_relax(void);

/* Stops this CPU for ever; the others go on. */
NORETURN void arch_cpu_halt(void);

/* One 64-bit word of hardware randomness. False: there is no source, or it is exhausted. */
bool arch_entropy(uint64_t *out);

/* True when arch_entropy has a source at all. */
bool arch_entropy_present(void);

/* Free-running counter at some GHz, not converted: for jitter and tracing. */
static inline uint64_t arch_cycles(void);

#include "arch_inline.h"

#endif
