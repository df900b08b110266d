/* SPDX-License-Identifier: MIT */
/* Everything a processor can object to, in user mode: the process ends with the right record, and the
 * processor goes on with somebody else. x86_64. */
#include "abi/layout.h"
#include "capos/start.h"
#include "case.h"
#include "memory.capnp.h"

static volatile uint64_t sink;
static uint64_t data_code[2] = {UINT64_C(0xc3c3c3c3c3c3c3c3), UINT64_C(0xc3c3c3c3c3c3c3c3)};

static void load(uint64_t address)
{
    sink = *(volatile uint64_t *)(uintptr_t)address;
}

static void store(uint64_t address)
{
    *(volatile uint8_t *)(uintptr_t)address = 0xcc;
}

USED NOINLINE static void jump(uint64_t address)
{
    __asm__ volatile("callq *%0" : : "r"(address) : "memory");
}

/* A function of a case: runs the statement; living on is a failure. */
#define FAULT(function, ...) \
    static int64_t function(void) \
    { \
        raw.broken = true; \
        __VA_ARGS__; \
        return 99; \
    }
#define ASM(function, text) \
    FAULT(function, \
          __asm__ volatile(text :: \
                               : "memory", "cc", "rax", "rbx", "rcx", "rdx", "rsi", "rdi"))

FAULT(null_read, load(0))
FAULT(null_write, store(0))
FAULT(null_jump, jump(0))
FAULT(low_read, load(0xffff))
FAULT(kernel_read, load(UINT64_C(0xffffffff80000000)))
FAULT(kernel_write, store(UINT64_C(0xffffffff80000000)))
FAULT(kernel_jump, jump(UINT64_C(0xffffffff80000000)))
FAULT(direct_map_read, load(UINT64_C(0xffff800000000000)))
FAULT(direct_map_write, store(UINT64_C(0xffff888000000000)))
FAULT(last_byte_read, load(UINT64_C(0xfffffffffffffff8)))
FAULT(hole_read, load(UINT64_C(0x0000800000000000)))
FAULT(hole_write, store(UINT64_C(0x8000000000000000)))
FAULT(hole_jump, jump(UINT64_C(0x0000800000000000)))
FAULT(end_jump, jump(CAPOS_USER_END - 1))
FAULT(data_jump, jump((uintptr_t)data_code))
FAULT(stack_jump, uint64_t code[1] = {UINT64_C(0xc3c3c3c3c3c3c3c3)}; jump((uintptr_t)code))
FAULT(ring_jump, raw.payload[0] = 0xc3; jump((uintptr_t)raw.payload))
FAULT(capset_jump, jump((uintptr_t)capos_capset()))
FAULT(text_write, store((uintptr_t)&jump))
FAULT(capset_write, store((uintptr_t)capos_capset()))
FAULT(guard_write, store(capos_capset()->stack_base - 1))
FAULT(above_stack_read, load(capos_capset()->stack_base + capos_capset()->stack_bytes))

/* Memory of our own, executable now and no longer writable. */
static uint64_t turned(void)
{
    static uint64_t result[4];
    uint64_t at = map_pages(held("memory"), PAGE);
    CHECK(at != 0);
    *(volatile uint8_t *)(uintptr_t)at = 0xc3;
    CHECK_EQ(raw_status(CALL(held("memory"), VirtualMemory, protect,
                             MESSAGE(at, PAGE, PROTECTION_READ_EXECUTE), 32, result, 32)),
             ST_OK);
    return at;
}

FAULT(executable_write, uint64_t at = turned(); jump(at); store(at))
FAULT(writable_jump, uint64_t at = turned(); uint64_t result[4]; raw.broken = false;
      CHECK_EQ(raw_status(CALL(held("memory"), VirtualMemory, protect,
                               MESSAGE(at, PAGE, PROTECTION_READ_WRITE), 32, result, 32)),
               ST_OK);
      raw.broken = true; store(at); jump(at))

static uint64_t deep(uint64_t n)
{
    volatile uint8_t space[512];
    space[n % 512] = (uint8_t)n;
    return n == 0 ? space[0] : deep(n + 1) + space[n % 512];
}
FAULT(stack_overflow, sink = deep(1))

ASM(ud2, "ud2")
ASM(hlt, "hlt")
ASM(cli, "cli")
ASM(sti, "sti")
ASM(in_port, "inb $0xf4, %%al")
ASM(out_port, "movb $0x10, %%al\n\toutb %%al, $0xf4")
ASM(out_string, "movw $0xe9, %%dx\n\tleaq 0(%%rip), %%rsi\n\toutsb")
ASM(read_cr0, "movq %%cr0, %%rax")
ASM(write_cr3, "xorl %%eax, %%eax\n\tmovq %%rax, %%cr3")
ASM(write_cr4, "xorl %%eax, %%eax\n\tmovq %%rax, %%cr4")
ASM(write_cr8, "xorl %%eax, %%eax\n\tmovq %%rax, %%cr8")
ASM(read_dr7, "movq %%dr7, %%rax")
ASM(write_dr0, "xorl %%eax, %%eax\n\tmovq %%rax, %%dr0")
ASM(rdmsr, "movl $0xc0000080, %%ecx\n\trdmsr")
ASM(wrmsr, "movl $0xc0000082, %%ecx\n\txorl %%eax, %%eax\n\txorl %%edx, %%edx\n\twrmsr")
ASM(rdpmc, "xorl %%ecx, %%ecx\n\trdpmc")
ASM(lgdt, "subq $16, %%rsp\n\tlgdt (%%rsp)")
ASM(lidt, "subq $16, %%rsp\n\tlidt (%%rsp)")
ASM(lldt, "xorl %%eax, %%eax\n\tlldt %%ax")
ASM(ltr, "movl $0x30, %%eax\n\tltr %%ax")
ASM(clts, "clts")
ASM(lmsw, "xorl %%eax, %%eax\n\tlmsw %%ax")
ASM(sgdt, "subq $16, %%rsp\n\tsgdt (%%rsp)")
ASM(sidt, "subq $16, %%rsp\n\tsidt (%%rsp)")
ASM(smsw, "smsw %%rax")
ASM(str, "str %%ax")
ASM(invlpg, "invlpg (%%rsp)")
ASM(invd, "invd")
ASM(wbinvd, "wbinvd")
ASM(swapgs, "swapgs")
ASM(sysret, "movq $0, %%rcx\n\tsysretq")
ASM(sysexit, "sysexit")
ASM(sysenter, "movq %%rsp, %%rbp\n\tsysenter")
ASM(iret_kernel, "movq %%rsp, %%rax\n\tpushq $0x10\n\tpushq %%rax\n\tpushfq\n\tpushq $0x08\n\t"
                 "leaq 1f(%%rip), %%rax\n\tpushq %%rax\n\tiretq\n1:")
ASM(iret_hole,
    "movq %%rsp, %%rax\n\tmovq %%ss, %%rbx\n\tpushq %%rbx\n\tpushq %%rax\n\tpushfq\n\t"
    "movq %%cs, %%rbx\n\tpushq %%rbx\n\tmovq $1, %%rax\n\tshlq $47, %%rax\n\tpushq %%rax\n\tiretq")
ASM(far_return, "pushq $0x08\n\tleaq 1f(%%rip), %%rax\n\tpushq %%rax\n\tlretq\n1:")
ASM(load_ss, "movl $0x10, %%eax\n\tmovw %%ax, %%ss")
ASM(load_gs, "movl $0x33, %%eax\n\tmovw %%ax, %%gs")
ASM(stac, "stac")
ASM(vmcall, "vmcall")
ASM(xsetbv, "xorl %%ecx, %%ecx\n\txorl %%eax, %%eax\n\txorl %%edx, %%edx\n\txsetbv")
ASM(monitor, "movq %%rsp, %%rax\n\txorl %%ecx, %%ecx\n\txorl %%edx, %%edx\n\tmonitor")
ASM(divide_zero, "xorl %%edx, %%edx\n\tmovl $1, %%eax\n\txorl %%ecx, %%ecx\n\tdivl %%ecx")
ASM(divide_over,
    "movl $1, %%edx\n\tshlq $63, %%rdx\n\txorl %%eax, %%eax\n\tmovq $-1, %%rcx\n\tidivq %%rcx")
ASM(int3, "int3")
ASM(int_0, "int $0")
ASM(int_2, "int $2")
ASM(int_4, "int $4")
ASM(int_8, "int $8")
ASM(int_13, "int $13")
ASM(int_14, "int $14")
ASM(int_18, "int $18")
ASM(int_32, "int $0x20")
ASM(int_128, "int $0x80")
ASM(int_240, "int $0xf0")
ASM(int_255, "int $0xff")
ASM(int1, ".byte 0xf1")
ASM(single_step, "pushfq\n\torq $0x100, (%%rsp)\n\tpopfq\n\tnop")
ASM(simd_error, "subq $8, %%rsp\n\tmovl $0, (%%rsp)\n\tldmxcsr (%%rsp)\n\txorps %%xmm0, %%xmm0\n\t"
                "movl $1, %%eax\n\tcvtsi2ss %%eax, %%xmm1\n\tdivss %%xmm0, %%xmm1")
ASM(x87_error,
    "subq $8, %%rsp\n\tmovw $0x0340, (%%rsp)\n\tfldcw (%%rsp)\n\tfld1\n\tfldz\n\tfdivrp\n\tfwait")
ASM(bad_mxcsr, "subq $8, %%rsp\n\tmovl $-1, (%%rsp)\n\tldmxcsr (%%rsp)")
ASM(bad_xrstor,
    "subq $4096, %%rsp\n\tandq $-64, %%rsp\n\tmovq $-1, %%rax\n\tmovq %%rax, 512(%%rsp)\n\t"
    "movq %%rax, 520(%%rsp)\n\tmovl $-1, %%edx\n\txrstor (%%rsp)")
ASM(stack_gone, "movq $0xdead000, %%rsp\n\tpushq %%rax")
ASM(stack_in_kernel, "movq $-4096, %%rsp\n\tpushq %%rax")
ASM(stack_in_hole, "movq $1, %%rax\n\tshlq $47, %%rax\n\tmovq %%rax, %%rsp\n\tpushq %%rax")
ASM(lock_prefix, ".byte 0xf0, 0x90")
ASM(too_long,
    ".byte 0x66,0x66,0x66,0x66,0x66,0x66,0x66,0x66,0x66,0x66,0x66,0x66,0x66,0x66,0x66,0x90")

/* ---- what must not fault ---- */

/* A system call with whatever in the other registers, flags and segments; then all is as before. */
#define ENTER "xorl %%edi, %%edi\n\txorl %%esi, %%esi\n\tmovl $0x0ca90000, %%eax\n\tsyscall\n\t"
#define CLOBBER \
    "rax", "rcx", "rdx", "rsi", "rdi", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15", \
        "memory"

static int64_t odd_stacks(void)
{
    const uint64_t stacks[] = {
        0,
        1,
        UINT64_C(0xffff800000000000),
        UINT64_C(0xffffffff80001000),
        UINT64_MAX,
        UINT64_C(1) << 47,
        UINT64_C(1) << 63,
        (uintptr_t)capos_capset() + 64,
    };
    for (unsigned i = 0; i < ARRAY_LEN(stacks); i++) {
        uint64_t got = stacks[i];
        __asm__ volatile("movq %%rsp, %%r12\n\tmovq %0, %%rsp\n\t" ENTER
                         "movq %%rsp, %0\n\tmovq %%r12, %%rsp"
                         : "+b"(got)
                         :
                         : CLOBBER);
        CHECK(got == stacks[i]);
    }
    CHECK_WORKS();
    return 0;
}

static int64_t odd_flags(void)
{
    /* direction, nested task, alignment check, trap is another case, resume, identification */
    static const uint64_t flags[] = {1u << 10, 1u << 14, 1u << 18, 1u << 16,
                                     1u << 21, 3u << 12, 0xcd5};
    for (unsigned i = 0; i < ARRAY_LEN(flags); i++) {
        __asm__ volatile("pushfq\n\tpopq %%r12\n\tmovq %%r12, %%r13\n\torq %0, %%r13\n\t"
                         "pushq %%r13\n\tpopfq\n\t" ENTER "pushq %%r12\n\tpopfq"
                         :
                         : "b"(flags[i])
                         : CLOBBER, "cc");
    }
    /* With the nested-task flag set an interrupt returns as well. */
    __asm__ volatile("pushfq\n\torq $0x4000, (%%rsp)\n\tpopfq" ::: "memory", "cc");
    sleep_ms(15);
    for (volatile unsigned i = 0; i < 20000000; i++) {
    }
    CHECK_WORKS();
    return 0;
}

/* A program may write its own segment bases; the kernel never relies on them. */
static int64_t odd_segments(void)
{
    for (unsigned i = 0; i < 20; i++) {
        uint16_t zero = 0;
        __asm__ volatile("movw %0, %%gs\n\tmovw %0, %%fs\n\tmovw %0, %%es\n\tmovw %0, %%ds"
                         :
                         : "r"(zero));
        CHECK_WORKS();
        sleep_ms(2);
    }
    return 0;
}

static bool has_fsgsbase(void)
{
    uint32_t eax = 7, ebx, ecx = 0, edx;
    __asm__ volatile("cpuid" : "+a"(eax), "=b"(ebx), "+c"(ecx), "=d"(edx));
    return (ebx & 1) != 0;
}

ASM(gs_base, "movq $1, %%rax\n\tshlq $63, %%rax\n\tsarq $16, %%rax\n\twrgsbase %%rax\n\t"
             "xorl %%edi, %%edi\n\txorl %%esi, %%esi\n\tmovl $0x0ca90000, %%eax\n\tsyscall\n\tud2")

/* GS base in the kernel half, a system call, an interrupt, then an illegal instruction: where
 * CPUID lacks the instruction, or the kernel has not enabled it, that is illegal at once. */
static int64_t kernel_gs_base(void)
{
    return has_fsgsbase() ? gs_base() : ud2();
}

/* Extended state belongs to the thread: nobody else's shows, ours survives. */
static int64_t vector_state(void)
{
    for (unsigned round = 0; round < 30; round++) {
        uint64_t in = chance(), out;
        __asm__ volatile("movq %0, %%xmm7\n\tmovq %0, %%xmm15" : : "r"(in) : "xmm7", "xmm15");
        sleep_ms(1);
        __asm__ volatile("movq %%xmm7, %0" : "=r"(out));
        (void)out; /* sleep_ms is a function: the compiler may have used xmm7 */
        __asm__ volatile("movq %1, %%xmm7\n\tmovl $400000, %%ecx\n1:\tdecl %%ecx\n\tjnz 1b\n\t"
                         "movq %%xmm7, %0"
                         : "=r"(out)
                         : "r"(in)
                         : "rcx", "xmm7");
        CHECK(in == out);
    }
    return 0;
}

static int64_t fresh_state(void)
{
    uint64_t low, high;
    uint32_t mxcsr;
    uint16_t control;
    __asm__ volatile("movq %%xmm13, %0\n\tmovhlps %%xmm13, %%xmm13\n\tmovq %%xmm13, %1"
                     : "=r"(low), "=r"(high)
                     :
                     : "xmm13");
    __asm__ volatile("stmxcsr %0" : "=m"(mxcsr));
    __asm__ volatile("fnstcw %0" : "=m"(control));
    CHECK_EQ(mxcsr & 0xffc0, 0x1f80);
    CHECK_EQ(control, 0x37f);
    CHECK_EQ(low, 0);
    CHECK_EQ(high, 0);
    return 0;
}

/* ---- the table ---- */

#define PF (1u << FAULT_RECORD_KIND_PAGE_FAULT)
#define GP (1u << FAULT_RECORD_KIND_PROTECTION)
#define UD (1u << FAULT_RECORD_KIND_ILLEGAL_INSTRUCTION)
#define DE (1u << FAULT_RECORD_KIND_DIVIDE)
#define DB (1u << FAULT_RECORD_KIND_DEBUG_TRAP)
/* Some emulators read a far return's frame with the kernel's rights, and stop at SMAP. */
#define FRAME PF
/* What no emulator without hardware assistance checks: the program may live on, with code 99. */
#define OR_LIVES (1u << 31)
#define FP (1u << FAULT_RECORD_KIND_FLOATING_POINT)

#define ENDS(name_, function, faults_, address_, sentence_) \
    { \
        .name = "fault." name_, .sentence = sentence_, .roles = { \
            {function, HOLD_USUAL, {END_FAULT, 0, faults_, address_}} \
        } \
    }
#define PRIVILEGED(name_, function) \
    ENDS(name_, function, GP | UD, 0, "a program cannot execute it and is ended")
#define LIVES(name_, function, sentence_) \
    { \
        .name = name_, .sentence = sentence_, .roles = { {.run = function, .holds = HOLD_USUAL} } \
    }

const struct hostile_case fault_cases[] = {
    ENDS("null-read", null_read, PF, 0, "address 0 cannot be read"),
    ENDS("null-write", null_write, PF, 0, "address 0 cannot be written"),
    ENDS("null-jump", null_jump, PF, 0, "address 0 cannot be executed"),
    ENDS("low-read", low_read, PF, 0xffff, "no page is mapped low"),
    ENDS("kernel-read", kernel_read, PF, UINT64_C(0xffffffff80000000), "the kernel cannot be read"),
    ENDS("kernel-write", kernel_write, PF, UINT64_C(0xffffffff80000000),
         "the kernel cannot be written"),
    ENDS("kernel-jump", kernel_jump, PF, UINT64_C(0xffffffff80000000),
         "the kernel cannot be jumped to"),
    ENDS("direct-read", direct_map_read, PF, 0, "the kernel's map of memory cannot be read"),
    ENDS("direct-write", direct_map_write, PF, 0, "the kernel's map of memory cannot be written"),
    ENDS("last-read", last_byte_read, PF, 0, "the last address cannot be read"),
    ENDS("hole-read", hole_read, GP, 0, "no address lies between user and kernel"),
    ENDS("hole-write", hole_write, GP, 0, "no address lies between user and kernel"),
    ENDS("hole-jump", hole_jump, GP, 0, "nobody jumps between user and kernel"),
    ENDS("end-jump", end_jump, PF, CAPOS_USER_END - 1, "the last user page cannot be executed"),
    ENDS("data-jump", data_jump, PF, 0, "data cannot be executed"),
    ENDS("stack-jump", stack_jump, PF, 0, "the stack cannot be executed"),
    ENDS("ring-jump", ring_jump, PF, 0, "the ring cannot be executed"),
    ENDS("capset-jump", capset_jump, PF, 0, "the start page cannot be executed"),
    ENDS("text-write", text_write, PF, 0, "text cannot be written"),
    ENDS("capset-write", capset_write, PF, 0, "the start page cannot be written"),
    ENDS("guard-write", guard_write, PF, 0, "below the stack is a guard page"),
    ENDS("above-stack", above_stack_read, PF, 0, "above the stack is a guard page"),
    ENDS("overflow", stack_overflow, PF, 0, "a stack that overflows meets its guard page"),
    ENDS("executable-write", executable_write, PF, 0, "memory made executable cannot be written"),
    ENDS("writable-jump", writable_jump, PF, 0, "memory made writable again cannot be executed"),
    ENDS("ud2", ud2, UD, 0, "an illegal instruction ends the program"),
    PRIVILEGED("hlt", hlt),
    PRIVILEGED("cli", cli),
    PRIVILEGED("sti", sti),
    PRIVILEGED("in", in_port),
    PRIVILEGED("out", out_port),
    PRIVILEGED("outs", out_string),
    PRIVILEGED("read-cr0", read_cr0),
    PRIVILEGED("write-cr3", write_cr3),
    PRIVILEGED("write-cr4", write_cr4),
    PRIVILEGED("write-cr8", write_cr8),
    PRIVILEGED("read-dr7", read_dr7),
    PRIVILEGED("write-dr0", write_dr0),
    PRIVILEGED("rdmsr", rdmsr),
    PRIVILEGED("wrmsr", wrmsr),
    PRIVILEGED("rdpmc", rdpmc),
    PRIVILEGED("lgdt", lgdt),
    PRIVILEGED("lidt", lidt),
    PRIVILEGED("lldt", lldt),
    PRIVILEGED("ltr", ltr),
    PRIVILEGED("clts", clts),
    PRIVILEGED("lmsw", lmsw),
    PRIVILEGED("sgdt", sgdt),
    PRIVILEGED("sidt", sidt),
    PRIVILEGED("smsw", smsw),
    PRIVILEGED("str", str),
    PRIVILEGED("invlpg", invlpg),
    PRIVILEGED("invd", invd),
    PRIVILEGED("wbinvd", wbinvd),
    PRIVILEGED("swapgs", swapgs),
    PRIVILEGED("sysret", sysret),
    PRIVILEGED("sysexit", sysexit),
    PRIVILEGED("sysenter", sysenter),
    ENDS("iret-kernel", iret_kernel, GP | FRAME, 0, "a program does not return into the kernel"),
    ENDS("iret-hole", iret_hole, GP | FRAME, 0, "a program does not return into the kernel"),
    ENDS("far-return", far_return, GP | FRAME, 0, "a program does not return into the kernel"),
    PRIVILEGED("load-ss", load_ss),
    PRIVILEGED("load-gs", load_gs),
    PRIVILEGED("stac", stac),
    PRIVILEGED("vmcall", vmcall),
    PRIVILEGED("xsetbv", xsetbv),
    PRIVILEGED("monitor", monitor),
    PRIVILEGED("int-0", int_0),
    PRIVILEGED("int-2", int_2),
    ENDS("int-4", int_4, GP | DE, 0, "an overflow trap ends the program"),
    PRIVILEGED("int-8", int_8),
    PRIVILEGED("int-13", int_13),
    PRIVILEGED("int-14", int_14),
    PRIVILEGED("int-18", int_18),
    PRIVILEGED("int-32", int_32),
    PRIVILEGED("int-128", int_128),
    PRIVILEGED("int-240", int_240),
    PRIVILEGED("int-255", int_255),
    PRIVILEGED("lock-prefix", lock_prefix),
    PRIVILEGED("too-long", too_long),
    ENDS("int3", int3, DB, 0, "a breakpoint without a debugger ends the program"),
    ENDS("int1", int1, DB | GP | UD, 0, "a debug trap without a debugger ends the program"),
    ENDS("single-step", single_step, DB, 0, "a single step without a debugger ends the program"),
    ENDS("divide-zero", divide_zero, DE, 0, "a division by zero ends the program"),
    ENDS("divide-over", divide_over, DE, 0, "a quotient too large ends the program"),
    ENDS("simd", simd_error, FP | OR_LIVES, 0, "an unmasked vector exception ends the program"),
    ENDS("x87", x87_error, FP, 0, "an unmasked x87 exception ends the program"),
    ENDS("mxcsr", bad_mxcsr, GP | OR_LIVES, 0, "reserved bits of the vector control are refused"),
    ENDS("xrstor", bad_xrstor, GP | UD, 0, "a wrong state image is refused"),
    ENDS("stack-gone", stack_gone, PF, 0, "a stack that is not there ends the program"),
    ENDS("stack-kernel", stack_in_kernel, PF, 0, "the stack cannot be the kernel's"),
    ENDS("stack-hole", stack_in_hole, GP | PF, 0, "the stack cannot be nowhere"),
    ENDS("gs-base", kernel_gs_base, UD, 0, "the kernel does not rely on a program's segment base"),
    LIVES("sys.stack", odd_stacks, "a system call works with any stack pointer"),
    LIVES("sys.flags", odd_flags, "a system call works with any flags"),
    LIVES("sys.segments", odd_segments, "a system call works with any segments"),
    LIVES("state.vector", vector_state, "a thread's vector registers are its own"),
    LIVES("state.fresh", fresh_state, "a new thread's registers hold nobody's data"),
    {.name = NULL},
};
