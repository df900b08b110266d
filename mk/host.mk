# SPDX-License-Identifier: MIT
# Host side: lib/ and the portable kernel with arch/host as an archive, in three builds (plain, asan, tsan),
# and the unit tests: each tests/unit/NAME_test.c is one program linked with that archive.

HOST_BUILDS := plain asan tsan
HOST_ARCH := kernel/arch/host
HOST_KERNEL_SOURCES := $(if $(wildcard $(HOST_ARCH)/*.c),\
	$(sort $(wildcard $(KERNEL_ROOMS:%=kernel/%/*.c) $(HOST_ARCH)/*.c)))
# memcpy and its family are the C library's on the host.
HOST_LIB_SOURCES := $(sort $(filter-out lib/base/string.c,$(wildcard lib/*/*.c)))
UNIT_TESTS := $(sort $(patsubst tests/unit/%.c,%,$(wildcard tests/unit/*_test.c)))
TSAN_TESTS := $(UNIT_TESTS)

# $(1) build name
define host_build
HOST_OBJECTS_$(1) := $(patsubst %.c,build/host/$(1)/obj/%.o,$(HOST_LIB_SOURCES) $(HOST_KERNEL_SOURCES)) \
	$(patsubst %.c,build/host/$(1)/obj/bearssl/%.o,$(BEARSSL_SOURCES)) \
	$(patsubst build/gen/%.c,build/host/$(1)/obj/gen/%.o,$(sort $(GEN_HOST_SOURCES)))

build/host/$(1)/obj/bearssl/%.o: $(BEARSSL)/%.c | $$(DEPS)
	$$(call say,HOSTCC,$$<)
	@mkdir -p $$(@D)
	$$(Q)$$(HOSTCC) $$(HOST_SANITIZE_$(1)) $$(BEARSSL_CFLAGS) $$(DEPFLAGS) -c $$< -o $$@

build/host/$(1)/obj/gen/%.o: build/gen/%.c | $$(DEPS)
	$$(call say,HOSTCC,$$<)
	@mkdir -p $$(@D)
	$$(Q)$$(HOSTCC) $$(HOST_CFLAGS) $$(HOST_SANITIZE_$(1)) $$(HOST_INCLUDE) $$(DEPFLAGS) -c $$< -o $$@

build/host/$(1)/obj/%.o: %.c | $$(DEPS)
	$$(call say,HOSTCC,$$< [$(1)])
	@mkdir -p $$(@D)
	$$(Q)$$(HOSTCC) $$(HOST_CFLAGS) $$(HOST_SANITIZE_$(1)) $$(HOST_INCLUDE) $$(LIB_EXTRA_$$(notdir $$(*D))) $$(DEPFLAGS) -c $$< -o $$@

build/host/$(1)/obj/lib/crypto/sha256.o build/host/$(1)/obj/lib/crypto/chacha20.o: | $(BEARSSL)/.fetched

build/host/$(1)/libcapos-host.a: $$(HOST_OBJECTS_$(1))
	$$(call say,AR,$$@)
	@rm -f $$@
	$$(Q)$$(AR) rcsD $$@ $$^

build/host/$(1)/%_test: build/host/$(1)/obj/tests/unit/%_test.o build/host/$(1)/libcapos-host.a
	$$(call say,LINK,$$@)
	$$(Q)$$(HOSTCC) $$(HOST_SANITIZE_$(1)) -pthread $$^ -o $$@

-include $$(HOST_OBJECTS_$(1):.o=.d) $(UNIT_TESTS:%=build/host/$(1)/obj/tests/unit/%.d)
endef

$(foreach build,$(HOST_BUILDS),$(eval $(call host_build,$(build))))
.SECONDARY:

.PHONY: host unit
host: build/host/plain/libcapos-host.a ## build the library and the portable kernel for the host
UNIT_PROGRAMS := $(UNIT_TESTS:%=build/host/asan/%) $(TSAN_TESTS:%=build/host/tsan/%)
unit: $(UNIT_PROGRAMS) ## build and run the unit tests (address, undefined and thread sanitizers)
	@tests/qemu/harness unit $(UNIT_PROGRAMS)
