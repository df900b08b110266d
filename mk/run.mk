# SPDX-License-Identifier: MIT
# Booting it, testing it, measuring it.

CPUS ?= 2
MEMORY ?= 512
BOOT ?= pvh
ACCEL ?=
WORDS ?=

# Which manifest make run boots: the default one with another terminal, where that has a line for it.
RUN_WORDS = $(if $(MANIFEST),manifest=$(call manifest_payload,$(MANIFEST))) $(WORDS)

# Whether KVM works here does not change from run to run.
build/.accel: tools/accel | $(O)/kernel.elf
	@tools/accel $(O)/kernel.elf > $@

RUN_OPTIONS = --build $(O) --cpus $(CPUS) --memory $(MEMORY) --boot $(BOOT) --accel $(or $(ACCEL),$$(cat build/.accel))
IMAGE_FOR_BOOT = $(O)/kernel.elf $(O)/boot.archive $(if $(filter bios uefi,$(BOOT)),$(O)/capos.iso) $(if $(filter disk%,$(BOOT)),$(O)/capos.img)

.PHONY: run tour term gdb
run: $(IMAGE_FOR_BOOT) build/.accel ## boot to a prompt in this terminal [CPUS=2 MEMORY=512 BOOT=pvh|bios|uefi|disk|disk-uefi GDB=1 MANIFEST=default|terminals WORDS=...]
	@tools/run $(RUN_OPTIONS) $(if $(filter 1,$(GDB)),--gdb) -- $(RUN_WORDS)

tour: $(IMAGE_FOR_BOOT) build/.accel ## ten minutes through what is remarkable, at your pace; then you are at the prompt
	@tools/run $(RUN_OPTIONS) --first 'do @tour aloud' -- $(RUN_WORDS)

term: ## another terminal of the system that make run has booted, with a shell of its own
	@tools/term --build $(O)

gdb: $(O)/kernel.elf ## attach gdb to a system started with make run GDB=1; capos prints its objects
	@command -v gdb >/dev/null || { echo 'gdb is missing: apt-get install gdb'; exit 1; }
	@test -S $(O)/run/gdb.socket || { echo 'no system waits: start one with make run GDB=1'; exit 1; }
	@gdb -q $(O)/kernel.elf -x tools/gdb/capos.py -ex 'target remote $(O)/run/gdb.socket' -ex 'hbreak kernel_main'

JOBS ?= 2
T ?=

# Longer: make fuzz T=capnp FUZZ_SECONDS=600
.PHONY: fuzz
fuzz: $(FUZZ_PROGRAMS) ## fuzz [T=name of tests/fuzz/NAME_fuzz FUZZ_SECONDS=60]
	@tests/qemu/harness --jobs $(JOBS) $(foreach name,$(if $(T),$(filter $(T)%,$(FUZZ_TESTS)),$(FUZZ_TESTS)),\
		--fuzz build/fuzz/bin/$(name) $(if $(filter command,$(origin FUZZ_SECONDS)),$(FUZZ_SECONDS),60))

# What `make fuzz` and `make test` have left in build/fuzz, where it reaches code that no kept input reaches.
.PHONY: fuzz-keep
CODEC_FUZZ_TESTS := $(patsubst %,%_fuzz,codec segments packed canonical dynamic)
fuzz-keep: $(FUZZ_PROGRAMS) ## add what the fuzzers of the codec found to tests/fuzz/corpus [T=name of tests/fuzz/NAME_fuzz]
	@tests/fuzz/keep $(addprefix build/fuzz/bin/,$(if $(T),$(filter $(T)%,$(FUZZ_TESTS)),$(CODEC_FUZZ_TESTS)))

# The checking kernel: lock ranks, invariants, poisoned memory. A make of its own, for its own flags.
.PHONY: kernel-debug
TEST_NEEDS := $(UNIT_PROGRAMS) $(FUZZ_PROGRAMS) $(O)/kernel.elf $(O)/boot.archive $(O)/test.archive $(O)/hostile.archive $(O)/capos.iso $(O)/capos.img $(O)/capos.qcow2
# Cases beside each other make these again; then there must be nothing left to make.
TEST_NEEDS += $(AUTHORITY_NOW) $(MANIFEST_NAMES:%=build/authority/%.json)
kernel-debug: $(TEST_NEEDS)
	@$(if $(filter 1,$(DEBUG)),:,$(MAKE) --no-print-directory DEBUG=1 kernel)

.PHONY: test
test: $(TEST_NEEDS) kernel-debug ## run every test [T=prefix JOBS=2]; ends with N passed, N failed
	@tests/qemu/harness --jobs $(JOBS) --cases $(T:%=--only %) $(UNIT_PROGRAMS:%=--unit %) $(FUZZ_PROGRAMS:%=--fuzz % $(FUZZ_SECONDS))

.PHONY: bench kernel-steps
bench: export BASE := $(BASE)
kernel-steps: $(O)/kernel.elf
	@$(MAKE) --no-print-directory STEPS=1 kernel

bench: $(O)/kernel.elf $(O)/boot.archive $(O)/test.archive $(O)/hostile.archive kernel-steps ## measure, write build/bench.tsv, print it beside the peers, and beside another revision [T=prefix BASE=main]
	@$(if $(BASE),base=$$(tools/bench-base "$$BASE" $(T)) && )tests/qemu/bench --build $(O) $(T:%=--only %) $(if $(BASE),--base "$$base")

.PHONY: new-service
new-service: export NAME := $(NAME)
new-service: ## begin a service of one's own: schema, code, manifest, test, page [NAME=word-box]
	@tools/new-service "$$NAME"

.PHONY: new-object
new-object: export NAME := $(NAME)
new-object: export SERVICE := $(SERVICE)
new-object: ## begin a kind of object that a service of new-service gives out: interface, code, test, page [NAME=note SERVICE=word-box]
	@tools/new-object "$$NAME" "$$SERVICE"
