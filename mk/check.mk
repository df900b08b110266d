# SPDX-License-Identifier: MIT
# `make check`: everything that can be said without booting, in under a minute when warm.

C_FILES = $(shell find . -path ./build -prune -o -path ./.git -prune -o -name '*.[ch]' -print)

.PHONY: fmt
fmt: ## format the C files [F=path]
	@clang-format -i $(or $(F),$(C_FILES))

# Every header compiles alone, with the include directories of its room.

HEADERS := $(sort $(wildcard abi/*.h lib/*/*.h kernel/*/*.h kernel/arch/x86_64/*.h libcapos/include/*/*.h \
	libcapos/*.h services/*/*.h drivers/*/*.h apps/*/*.h))
HEADER_STAMPS := $(HEADERS:%=build/check/%.ok)
header_flags = $(if $(filter kernel/%,$(1)),$(KERNEL_CFLAGS) $(KERNEL_INCLUDE),\
	$(if $(filter lib/% abi/%,$(1)),$(USER_CFLAGS) $(LIB_INCLUDE),$(USER_CFLAGS) $(USER_INCLUDE)))

build/check/%.h.ok: %.h | $(DEPS)
	@mkdir -p $(@D)
	$(Q)$(CC) $(call header_flags,$<) -Wno-unused -MMD -MP -MT $@ -MF build/check/$<.d -fsyntax-only -include $< -x c /dev/null
	@touch $@

-include $(HEADERS:%=build/check/%.d)

# The golden file of the platform's binary interface. The plugin prints what changed and what class of change it is.

ABI_GOLDEN := abi/golden/capos.abi
ABI_HEADERS := $(sort $(wildcard abi/*.h))

build/check/abi.facts: tools/abi-facts $(ABI_HEADERS) | $(DEPS)
	@mkdir -p $(@D)
	$(Q)tools/abi-facts $(HOSTCC) $(ABI_HEADERS) > $@

.PHONY: abi-check abi-accept
abi-check: $(PLUGIN) build/check/abi.facts
	@capnp compile -Ischema --src-prefix=schema -o- $(SCHEMAS) | $(PLUGIN) --layout build/check/abi.facts --abi-check $(ABI_GOLDEN) \
		&& echo 'ok    abi: schema/ and abi/ are as $(ABI_GOLDEN) has them'

abi-accept: $(PLUGIN) build/check/abi.facts ## accept changes of schema/ and abi/ into the golden file (and say so in CHANGES.md)
	@capnp compile -Ischema --src-prefix=schema -o- $(SCHEMAS) | $(PLUGIN) --layout build/check/abi.facts --abi-accept $(ABI_GOLDEN)

.PHONY: check check-text check-includes check-clang
check-text: | $(DEPS)
	@tools/check

ALL_OBJECTS = $(KERNEL_OBJECTS) $(KLIB_OBJECTS) $(KGEN_OBJECTS) $(LIBCAPOS_OBJECTS) $(ULIB_OBJECTS) $(UGEN_OBJECTS) \
	$(PROGRAM_OBJECTS) $(HOST_OBJECTS_plain) $(UNIT_TESTS:%=build/host/asan/obj/tests/unit/%.o)
check-includes: kernel user host $(UNIT_PROGRAMS)
	@find $(ALL_OBJECTS:.o=.d) 2>/dev/null | xargs tools/check-includes

# The other compiler. A make of its own: one make builds with one compiler.
check-clang: kernel user
	@$(MAKE) --no-print-directory CC=clang kernel user
	@echo 'ok    clang: the kernel and the programs build'

check: check-text kernel user host check-includes check-clang abi-check check-authority $(HEADER_STAMPS) $(UNIT_PROGRAMS) ## format, rules, headers alone, golden ABI, both compilers, unit tests
	@echo 'ok    headers: $(words $(HEADERS)) compile alone'
	@tests/qemu/harness --jobs $(JOBS) $(UNIT_PROGRAMS:%=--unit %)

.PHONY: check-authority
check-authority: $(AUTHORITY_NOW)
	@status=0; for name in $(MANIFEST_NAMES); do \
		tools/authority-report build/authority/committed/$$name.json --check $(AUTHORITY_ACCEPTED)/$$name.txt || status=1; done; exit $$status
	@echo 'ok    authority: init accepts $(MANIFEST_NAMES); nobody can do more than $(AUTHORITY_ACCEPTED)/ says without a reason'

# Line counts of the trusted part against the budget.
.PHONY: tcb
tcb: $(O)/kernel.elf ## count the lines and bytes one has to trust
	@tools/tcb $(O)/kernel.elf

# The compile database, for language servers.
PROGRAM_SOURCES = $(foreach object,$(PROGRAM_OBJECTS),$(wildcard $(patsubst $(O)/obj/user/%.o,%.c,$(object))))
compile_commands.json: Makefile $(wildcard mk/*.mk) tools/compile-commands $(KERNEL_SOURCES) $(LIB_SOURCES) $(LIBCAPOS_SOURCES)
	@CMD_KERNEL='$(CC) $(KERNEL_CFLAGS) $(KERNEL_INCLUDE)' SRC_KERNEL='$(KERNEL_SOURCES)' \
	 CMD_LIB='$(CC) $(USER_CFLAGS) $(LIB_INCLUDE) $(BEARSSL_INCLUDE)' SRC_LIB='$(LIB_SOURCES)' \
	 CMD_USER='$(CC) $(USER_CFLAGS) $(USER_INCLUDE)' SRC_USER='$(LIBCAPOS_SOURCES) $(PROGRAM_SOURCES)' \
	 CMD_HOST='$(HOSTCC) $(HOST_CFLAGS) $(HOST_INCLUDE)' SRC_HOST='$(HOST_KERNEL_SOURCES) $(UNIT_TESTS:%=tests/unit/%.c)' \
		tools/compile-commands > $@

all: compile_commands.json
