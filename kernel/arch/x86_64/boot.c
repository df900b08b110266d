/* SPDX-License-Identifier: MIT */
/*
 * From the loader's hands to kernel_main, on the boot CPU:
 *
 *   boot tables (identity)   find ports, read processor, parse loader information, settle the memory
 *                            map, fill the IDT, build the kernel's tables
 *   kernel's tables          the image at a drawn address, but this CPU still where it was linked: GDT
 *                            and stacks of this CPU, ACPI, all slots, interrupt controllers, clock;
 *                            then the portable kernel, on this CPU's own stack, where it was drawn
 *
 * Until this CPU has its slot it uses a makeshift block, so that panic works from the first line.
 */
#include "acpi.h"
#include "apic.h"
#include "arch/arch.h"
#include "boot_protocol.h"
#include "bootmem.h"
#include "core/cmdline.h"
#include "processor.h"
#include "fpu.h"
#include "image.h"
#include "lib/base/string.h"
#include "paging.h"
#include "percpu.h"
#include "pti.h"
#include "serial.h"
#include "smp.h"
#include "timer.h"
#include "trap.h"
#include "x86.h"

void boot_main(unsigned protocol, uint64_t information);

NORETURN static void early_panic(const char *text)
{
    arch_debug_write(text, strlen(text));
    arch_serial_write(text, strlen(text));
    arch_debug_exit(17);
    for (;;) {
        __asm__ volatile("cli; hlt");
    }
}

static void parse(unsigned protocol, uint64_t information)
{
    bool ok = false;
    if (protocol == BOOT_PROTOCOL_PVH) {
        ok = pvh_parse(information);
    } else if (protocol == BOOT_PROTOCOL_MULTIBOOT2) {
        ok = multiboot2_parse(information);
    }
    if (!ok) {
        early_panic("capOS: the boot loader left nothing usable (PVH or multiboot2 is needed)\n");
    }
}

static void settle_memory(void)
{
    uint64_t boot = (uint64_t)(uintptr_t)boot_start;
    uint64_t image = image_physical(kernel_start);
    boot_memory_add(0, PAGE_BYTES, BOOT_MEMORY_RESERVED);
    boot_memory_add(boot, (uint64_t)(uintptr_t)boot_end - boot, BOOT_MEMORY_KERNEL);
    boot_memory_add(image, image_physical(kernel_end) - image, BOOT_MEMORY_KERNEL);
    boot_memory_normalise();
    if (!boot_pages_start()) {
        early_panic("capOS: no free memory below 4 GiB\n");
    }
}

/* Before the processor's real number is known, so that faults of the rest of boot can be reported. */
static struct cpu_block *first_block(void)
{
    cpu_slot_create(0, 0);
    cpu_total = 1;
    struct cpu_block *cpu = cpu_blocks[0];
    atomic_store_relaxed(&cpu->started, 1);
    cpu_load_tables(cpu);
    return cpu;
}

static void find_cpus(struct cpu_block *first)
{
    /* CPUID gives the initial APIC id without a mapping, which is what the tables list. */
    uint32_t id = cpuid(1, 0).ebx >> 24;
    if (features.x2apic && cpuid(0, 0).eax >= 0xb) {
        id = cpuid(0xb, 0).edx;
    }
    acpi_read(boot_information.rsdp, id);
    first->apic_id = id;
    for (unsigned i = 1; i < acpi.cpu_count; i++) {
        cpu_slot_create(i, acpi.cpu_apic_id[i]);
    }
    cpu_total = acpi.cpu_count;
}

static struct thread *start_kernel(uint64_t unused)
{
    (void)unused;
    paging_end_linked();
    return kernel_main(&boot_information);
}

void boot_main(unsigned protocol, uint64_t information)
{
    static struct cpu_block makeshift;
    makeshift.self = &makeshift;
    write_msr(MSR_GS_BASE, (uint64_t)(uintptr_t)&makeshift);
    serial_find();
    features_read();
    features_enable();
    fpu_setup();
    fpu_enable();
    parse(protocol, information);
    settle_memory();
    struct paddr low_page = boot_low_page_take();
    pti_decide();
    boot_information.entropy_strong =
        features_seed(boot_information.entropy_seed, ARRAY_LEN(boot_information.entropy_seed));
    uint64_t seed = 0;
    if (!cmdline_has(boot_information.command_line, "entropy=fixed")) {
        (void)features_seed(&seed, 1);
    }
    uint64_t slide = paging_slide(seed);
    idt_build(slide);
    paging_start(seed, slide);

    struct cpu_block *cpu = first_block();
    find_cpus(cpu);
    lapic_find(acpi.lapic);
    lapic_enable();
    timer_calibrate();
    timer_enable();
    smp_prepare(low_page);
    boot_memory_finish();
    /* By its address: a plain call would stay where the image was linked. */
    void (*volatile enter)(uint64_t, struct thread * (*)(uint64_t), uint64_t) = entry_first;
    enter(cpu->stack_top, start_kernel, 0);
}
