# SPDX-License-Identifier: MIT
# The kernel: portable rooms by wildcard, one architecture folder, the freestanding library, generated tables.

KERNEL_ROOMS := core cap ring ipc sched mem object
KERNEL_ARCH := kernel/arch/x86_64
KERNEL_SOURCES := $(sort $(wildcard $(KERNEL_ROOMS:%=kernel/%/*.c) $(KERNEL_ARCH)/*.c $(KERNEL_ARCH)/*.S))
LIB_SOURCES := $(sort $(wildcard lib/*/*.c lib/*/*.S))
KERNEL_SCRIPT := $(firstword $(wildcard $(KERNEL_ARCH)/*.ld))

KERNEL_OBJECTS := $(patsubst %,$(O)/obj/kernel/%.o,$(basename $(KERNEL_SOURCES)))
# The kernel's messages are bare: it neither gathers segments nor builds over them.
LIB_PROGRAMS_ONLY := $(addprefix lib/capnp/,canonical.c copy.c frame.c packed.c segmented.c)
KLIB_OBJECTS := $(patsubst %,$(O)/obj/kernel/%.o,$(basename $(filter-out $(LIB_PROGRAMS_ONLY),$(LIB_SOURCES)))) \
	$(patsubst %.c,$(O)/obj/kernel/bearssl/%.o,$(BEARSSL_SOURCES))
KGEN_OBJECTS := $(patsubst build/gen/%.c,$(O)/obj/kernel/gen/%.o,$(GEN_KERNEL_SOURCES))

$(O)/obj/kernel/lib/%.o: lib/%.c mk/flags.mk mk/kernel.mk | $(DEPS)
	$(call say,CC,$<)
	@mkdir -p $(@D)
	$(Q)$(CC) $(KERNEL_CFLAGS) $(KERNEL_SIZE_$(*F)) $(LIB_INCLUDE) $(LIB_EXTRA_$(*D)) $(DEPFLAGS) -c $< -o $@

$(O)/obj/kernel/bearssl/%.o: $(BEARSSL)/%.c mk/flags.mk mk/kernel.mk | $(DEPS)
	$(call say,CC,$<)
	@mkdir -p $(@D)
	$(Q)$(CC) $(KERNEL_CODE) $(BEARSSL_CFLAGS) $(DEPFLAGS) -c $< -o $@

$(O)/obj/kernel/gen/%.o: build/gen/%.c mk/flags.mk mk/kernel.mk | $(DEPS)
	$(call say,CC,$<)
	@mkdir -p $(@D)
	$(Q)$(CC) $(KERNEL_CFLAGS) -Os $(KERNEL_INCLUDE) $(DEPFLAGS) -c $< -o $@

$(O)/obj/kernel/kernel/%.o: kernel/%.c mk/flags.mk mk/kernel.mk | $(DEPS)
	$(call say,CC,$<)
	@mkdir -p $(@D)
	$(Q)$(CC) $(KERNEL_CFLAGS) $(KERNEL_SIZE_$(*F)) $(KERNEL_SIZE_$*) $(KERNEL_INCLUDE) $(DEPFLAGS) -c $< -o $@

# What runs at boot, at a panic, for a log line or once in a while is made small, not fast.
KERNEL_COLD := acpi apic archive boot bootmem cmdline elf gdt idt irq layout log multiboot2 panic paging power processor pvh \
	serial smp entropy io_ports kernel_log boot_package interrupt capability_manager grant_handle session launcher process_handle memory_pin aspace_private \
	spawn virtual_memory context scheduling memory_object endpoint revocation process object/ledger object/thread handover watch debugger_view \
	kernel_trace debugger lapic spawn_request job invoke dynamic_read sched/timer pending poll lease cpu_lease thread aspace aspace_op aspace_pages defer pipeline karray fmt
$(foreach name,$(KERNEL_COLD),$(eval KERNEL_SIZE_$(name) := -Os))

$(O)/obj/kernel/kernel/%.o: kernel/%.S mk/flags.mk mk/kernel.mk | $(DEPS)
	$(call say,AS,$<)
	@mkdir -p $(@D)
	$(Q)$(CC) -g $(MAPPATH) $(KERNEL_CODE) $(DEBUG_DEFINE) $(KERNEL_INCLUDE) $(DEPFLAGS) -c $< -o $@

# lib/crypto wraps the fetched library; nothing else sees its headers.
LIB_EXTRA_crypto := $(BEARSSL_INCLUDE)
$(filter %/lib/crypto/sha256.o %/lib/crypto/chacha20.o,$(KLIB_OBJECTS)): | $(BEARSSL)/.fetched

KERNEL_LDFLAGS := -nostdlib -static -z max-page-size=4096 -z noexecstack --build-id=none --gc-sections

# Linked twice: the second time with tables of the first link's functions, for readable backtraces, and of the places that
# hold addresses, for moving it at boot. They are the image's last, so what is in them stays right.
$(O)/obj/kernel/first.objects: LIST = $(KERNEL_OBJECTS) $(KLIB_OBJECTS) $(KGEN_OBJECTS)
$(O)/obj/kernel/first.elf: $(KERNEL_OBJECTS) $(KLIB_OBJECTS) $(KGEN_OBJECTS) $(KERNEL_SCRIPT) $(O)/obj/kernel/first.objects
	$(call say,LINK,$(O)/kernel.elf)
	@mkdir -p $(@D)
	$(Q)$(LD) $(KERNEL_LDFLAGS) --emit-relocs -T $(KERNEL_SCRIPT) $(filter %.o,$^) -o $@

$(O)/obj/kernel/relocs.o: $(O)/obj/kernel/first.elf tools/krelocs
	$(Q)readelf -rW $< | tools/krelocs > $(@:.o=.S)
	$(Q)$(CC) -c $(@:.o=.S) -o $@

$(O)/obj/kernel/symbols.o: $(O)/obj/kernel/first.elf tools/ksyms
	$(Q)nm -n $< | tools/ksyms > $(@:.o=.S)
	$(Q)$(CC) -c $(@:.o=.S) -o $@

$(O)/kernel.elf: $(O)/obj/kernel/first.elf $(O)/obj/kernel/symbols.o $(O)/obj/kernel/relocs.o
	$(Q)$(LD) $(KERNEL_LDFLAGS) -T $(KERNEL_SCRIPT) $(KERNEL_OBJECTS) $(KLIB_OBJECTS) $(KGEN_OBJECTS) \
		$(O)/obj/kernel/symbols.o $(O)/obj/kernel/relocs.o -o $@

.PHONY: kernel
kernel: $(O)/kernel.elf ## build the kernel alone

-include $(KERNEL_OBJECTS:.o=.d) $(KLIB_OBJECTS:.o=.d) $(KGEN_OBJECTS:.o=.d)
