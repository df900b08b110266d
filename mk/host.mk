# SPDX-License-Identifier: MIT
# Host side: lib/ and the portable kernel with arch/host as an archive, in three builds (plain, asan, tsan),
# and the unit tests: each tests/unit/NAME_test.c is one program linked with that archive.

HOST_BUILDS := plain asan tsan
HOST_ARCH := kernel/arch/host
HOST_KERNEL_SOURCES := $(if $(wildcard $(HOST_ARCH)/*.c),\
	$(sort $(wildcard $(KERNEL_ROOMS:%=kernel/%/*.c) $(HOST_ARCH)/*.c)))
# memcpy and its family are the C library's on the host.
HOST_LIB_SOURCES := $(sort $(filter-out lib/base/string.c,$(wildcard lib/*/*.c)))
# tests/unit/NAME_sources.mk adds program files that a unit test is about: HOST_LIB_SOURCES += apps/shell/parse.c
include $(sort $(wildcard tests/unit/*_sources.mk))
# The kernel is an archive of its own: only tests about it wait for it. tests/unit/kernel_*.c are what they share.
HOST_KERNEL_SOURCES += $(sort $(filter-out %_test.c,$(wildcard tests/unit/kernel_*.c)))
KERNEL_TESTS := $(patsubst tests/unit/%.c,%,$(shell grep -lsE '^.include "(tests/unit/kernel_|core/|cap/|ring/|mem/|object/|sched/|ipc/|arch/|host)' tests/unit/*_test.c))
# The frame allocator fails when a test says so: tests/unit/kernel_machine.c.
KERNEL_TEST_WRAP := -Wl,--wrap=frame_alloc,--wrap=frame_alloc_zeroed,--wrap=op_post,--wrap=op_post_result,--wrap=record_finish,--wrap=record_complete,--wrap=record_complete_message
UNIT_TESTS := $(sort $(patsubst tests/unit/%.c,%,$(wildcard tests/unit/*_test.c)))
TSAN_TESTS := $(UNIT_TESTS)

# $(1) build name
define host_build
HOST_KERNEL_OBJECTS_$(1) := $(patsubst %.c,build/host/$(1)/obj/%.o,$(HOST_KERNEL_SOURCES)) \
	$(patsubst build/gen/%.c,build/host/$(1)/obj/gen/%.o,$(sort $(filter build/gen/kernel/%,$(GEN_HOST_SOURCES))))
HOST_OBJECTS_$(1) := $(patsubst %.c,build/host/$(1)/obj/%.o,$(HOST_LIB_SOURCES)) \
	$(patsubst %.c,build/host/$(1)/obj/bearssl/%.o,$(BEARSSL_SOURCES)) \
	$(patsubst build/gen/%.c,build/host/$(1)/obj/gen/%.o,$(sort $(filter-out build/gen/kernel/%,$(GEN_HOST_SOURCES))))

build/host/$(1)/obj/bearssl/%.o: $(BEARSSL)/%.c | $$(DEPS)
	$$(call say,HOSTCC,$$<)
	@mkdir -p $$(@D)
	$$(Q)$$(HOSTCC) $$(HOST_SANITIZE_$(1)) -fno-sanitize=undefined $$(BEARSSL_CFLAGS) $$(DEPFLAGS) -c $$< -o $$@

build/host/$(1)/obj/gen/%.o: build/gen/%.c | $$(DEPS)
	$$(call say,HOSTCC,$$<)
	@mkdir -p $$(@D)
	$$(Q)$$(HOSTCC) $$(HOST_CFLAGS) $$(HOST_SANITIZE_$(1)) $$(HOST_INCLUDE) $$(DEPFLAGS) -c $$< -o $$@

build/host/$(1)/obj/%.o: %.c | $$(DEPS)
	$$(call say,HOSTCC,$$< [$(1)])
	@mkdir -p $$(@D)
	$$(Q)$$(HOSTCC) $$(HOST_CFLAGS) $$(HOST_SANITIZE_$(1)) $$(HOST_INCLUDE) $$(LIB_EXTRA_$$(notdir $$(*D))) $$(DEPFLAGS) -c $$< -o $$@

build/host/$(1)/obj/lib/crypto/sha256.o build/host/$(1)/obj/lib/crypto/chacha20.o: | $(BEARSSL)/.fetched

build/host/$(1)/libcapos-host.objects: LIST = $$(HOST_OBJECTS_$(1))
build/host/$(1)/libcapos-kernel.objects: LIST = $$(HOST_KERNEL_OBJECTS_$(1))

build/host/$(1)/libcapos-host.a: $$(HOST_OBJECTS_$(1)) build/host/$(1)/libcapos-host.objects
	$$(call say,AR,$$@)
	@rm -f $$@
	$$(Q)$$(AR) rcsD $$@ $$(filter %.o,$$^)

build/host/$(1)/libcapos-kernel.a: $$(HOST_KERNEL_OBJECTS_$(1)) build/host/$(1)/libcapos-kernel.objects
	$$(call say,AR,$$@)
	@rm -f $$@
	$$(Q)$$(AR) rcsD $$@ $$(filter %.o,$$^)

$(KERNEL_TESTS:%=build/host/$(1)/%): build/host/$(1)/%: build/host/$(1)/obj/tests/unit/%.o build/host/$(1)/libcapos-kernel.a build/host/$(1)/libcapos-host.a
	$$(call say,LINK,$$@)
	$$(Q)$$(HOSTCC) $$(HOST_SANITIZE_$(1)) -pthread $(KERNEL_TEST_WRAP) $$^ -o $$@

build/host/$(1)/%_test: build/host/$(1)/obj/tests/unit/%_test.o build/host/$(1)/libcapos-host.a
	$$(call say,LINK,$$@)
	$$(Q)$$(HOSTCC) $$(HOST_SANITIZE_$(1)) -pthread $$^ -o $$@

-include $$(HOST_OBJECTS_$(1):.o=.d) $$(HOST_KERNEL_OBJECTS_$(1):.o=.d) $(UNIT_TESTS:%=build/host/$(1)/obj/tests/unit/%.d)
endef

$(foreach build,$(HOST_BUILDS),$(eval $(call host_build,$(build))))
.SECONDARY:

# Cache lines shared: the kernel instrumented as for the thread sanitizer, with a recorder in the runtime's place.
LINES_TESTS := $(sort $(patsubst tests/lines/%.c,build/host/lines/%,$(wildcard tests/lines/*_test.c)))
build/host/lines/obj/%.o: %.c | $(DEPS)
	$(call say,HOSTCC,$< [lines])
	@mkdir -p $(@D)
	$(Q)$(HOSTCC) $(HOST_CFLAGS) -O1 $(HOST_INCLUDE) $(DEPFLAGS) -c $< -o $@

build/host/lines/%_test: build/host/lines/obj/tests/lines/%_test.o build/host/lines/obj/tests/lines/recorder.o \
		build/host/tsan/libcapos-kernel.a build/host/tsan/libcapos-host.a
	$(call say,LINK,$@)
	$(Q)$(HOSTCC) -pthread $(KERNEL_TEST_WRAP),--wrap=memcpy,--wrap=memset $^ -o $@

-include $(wildcard build/host/lines/obj/tests/lines/*.d)

.PHONY: host unit
host: build/host/plain/libcapos-host.a build/host/plain/libcapos-kernel.a ## build the library and the portable kernel for the host
UNIT_PROGRAMS := $(UNIT_TESTS:%=build/host/asan/%) $(TSAN_TESTS:%=build/host/tsan/%) $(LINES_TESTS)
unit: $(UNIT_PROGRAMS) build/tools/mkarchive ## build and run the unit tests (address, undefined and thread sanitizers)
	@tests/qemu/harness $(UNIT_PROGRAMS:%=--unit %)

# Fuzzers: each tests/fuzz/NAME_fuzz.c (or .c++, which also gets the stock Cap'n Proto library) is one libFuzzer program,
# built by clang with the library, the generated codecs and the portable kernel in one address-sanitized archive.

FUZZ_FLAGS := -O1 -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=undefined
FUZZ_TESTS := $(sort $(patsubst tests/fuzz/%,%,$(basename $(wildcard tests/fuzz/*_fuzz.c tests/fuzz/*_fuzz.c++))))
FUZZ_PROGRAMS := $(FUZZ_TESTS:%=build/fuzz/bin/%)
FUZZ_OBJECTS := $(patsubst %.c,build/fuzz/obj/%.o,$(HOST_LIB_SOURCES)) \
	$(patsubst %.c,build/fuzz/obj/bearssl/%.o,$(BEARSSL_SOURCES)) \
	$(patsubst build/gen/%.c,build/fuzz/obj/gen/%.o,$(filter-out build/gen/kernel/%,$(GEN_HOST_SOURCES)))

build/fuzz/obj/bearssl/%.o: $(BEARSSL)/%.c | $(DEPS)
	$(call say,FUZZCC,$<)
	@mkdir -p $(@D)
	$(Q)clang $(FUZZ_FLAGS) $(BEARSSL_CFLAGS) $(DEPFLAGS) -c $< -o $@

build/fuzz/obj/gen/%.o: build/gen/%.c | $(DEPS)
	$(call say,FUZZCC,$<)
	@mkdir -p $(@D)
	$(Q)clang $(HOST_CFLAGS) $(FUZZ_FLAGS) $(HOST_INCLUDE) $(DEPFLAGS) -c $< -o $@

build/fuzz/obj/%.o: %.c | $(DEPS)
	$(call say,FUZZCC,$<)
	@mkdir -p $(@D)
	$(Q)clang $(HOST_CFLAGS) $(FUZZ_FLAGS) $(HOST_INCLUDE) $(LIB_EXTRA_$(notdir $(*D))) $(DEPFLAGS) -c $< -o $@

build/fuzz/obj/%.o: %.c++ | $(DEPS)
	$(call say,FUZZCXX,$<)
	@mkdir -p $(@D)
	$(Q)clang++ -std=c++17 -g -Wall $(FUZZ_FLAGS) $(HOST_INCLUDE) $(DEPFLAGS) -c $< -o $@

build/fuzz/obj/lib/crypto/sha256.o build/fuzz/obj/lib/crypto/chacha20.o: | $(BEARSSL)/.fetched

build/fuzz/libcapos-fuzz.objects: LIST = $(FUZZ_OBJECTS)
build/fuzz/libcapos-fuzz.a: $(FUZZ_OBJECTS) build/fuzz/libcapos-fuzz.objects
	$(call say,AR,$@)
	@rm -f $@
	$(Q)$(AR) rcsD $@ $(filter %.o,$^)

build/fuzz/bin/%: build/fuzz/obj/tests/fuzz/%.o build/fuzz/libcapos-fuzz.a
	$(call say,LINK,$@)
	@mkdir -p $(@D)
	$(Q)clang++ -fsanitize=fuzzer,address,undefined $^ $(if $(wildcard tests/fuzz/$*.c++),-lcapnp -lkj) -o $@

-include $(FUZZ_OBJECTS:.o=.d) $(FUZZ_TESTS:%=build/fuzz/obj/tests/fuzz/%.d)
