# SPDX-License-Identifier: MIT
# Programs for capOS, built and booted outside its tree. A makefile that includes this file has the verbs
#
#     make            build the programs
#     make image      and a boot archive with them in it: build/boot.archive
#     make run        and boot that to a prompt (Ctrl-A X leaves)
#     make term       another terminal of the system that runs
#     make clean
#
# (V=1 shows the commands, WORDS=... are for the kernel, CPUS=2 MEMORY=512)
#
# and may say before it includes this:
#
#     PROGRAMS := greeter visitor     each a folder with C sources; the folder's name is the program's.
#                                     Without it this folder is the one program, of this folder's name.
#
# Interfaces are the *.capnp files of this folder and those folders; manifest.capnp in one of them is merged with the
# manifest of the system: what the programs are given, and who gets them. PROGRAM.md in one of them is the page that
# `help PROGRAM` shows. README.md says more.

CAPOS_SDK := $(patsubst %/,%,$(dir $(abspath $(lastword $(MAKEFILE_LIST)))))
include $(CAPOS_SDK)/flags.mk

ifeq ($(origin CC),default)
CC := gcc
endif
CFLAGS ?= -O2 -g -Wall -Wextra
LD := ld.lld
OBJCOPY := objcopy
CPUS ?= 2
MEMORY ?= 512
ifneq ($(V),1)
Q := @
say = @printf '  %-7s %s\n' '$(1)' '$(2)'
endif
.DEFAULT_GOAL := all
.DELETE_ON_ERROR:
.SECONDARY:
.SUFFIXES:

PLACES := . $(PROGRAMS)
SCHEMAS := $(patsubst ./%,%,$(filter-out %/manifest.capnp,$(wildcard $(PLACES:%=%/*.capnp))))
PARTS := $(wildcard $(PLACES:%=%/manifest.capnp))
NAMES := $(or $(PROGRAMS),$(notdir $(CURDIR)))
PAGES := $(wildcard $(foreach name,$(NAMES),$(PLACES:%=%/$(name).md)))
BOOT := build/system

ifeq ($(filter clean term,$(MAKECMDGOALS)),)
include build/gen/files.mk
endif

# Codecs and stubs of the interfaces, and the table of all interfaces, which what the system names interfaces by is linked with.
build/gen/files.mk: $(SCHEMAS) $(CAPOS_SDK)/flags.mk $(firstword $(MAKEFILE_LIST))
	$(call say,GEN,interfaces)
	@mkdir -p $(@D)
	$(Q)$(CAPOS_SDK)/bin/generate $(@D) $(notdir $(CURDIR)) $(SCHEMAS)

COMPILE = $(CC) $(CAPOS_CFLAGS) $(CFLAGS) -iquote . -iquote build/gen -iquote $(CAPOS_SDK)/include -MMD -MP -MF $(@:.o=.d) -c $< -o $@
build/obj/%.o: %.c | build/gen/files.mk
	@mkdir -p $(@D)
	$(call say,CC,$<)
	$(Q)$(COMPILE)
build/obj/%.o: %.S | build/gen/files.mk
	@mkdir -p $(@D)
	$(call say,CC,$<)
	$(Q)$(COMPILE)
build/obj/gen/%.o: build/gen/%.c
	@mkdir -p $(@D)
	$(call say,CC,$<)
	$(Q)$(COMPILE)

LINK = $(LD) $(CAPOS_LDFLAGS) $(filter %.o,$^) $(CAPOS_SDK)/lib/libcapos.a -o $@
GEN_OBJECTS = $(GEN_SOURCES:build/gen/%.c=build/obj/gen/%.o)

# $(1) program, $(2) sources
define program
build/$(1): $(addprefix build/obj/,$(addsuffix .o,$(basename $(2)))) $(GEN_OBJECTS)
	$(if $(strip $(2)),,$$(error $(1) has no sources: C files are wanted in its folder))
	$$(call say,LINK,$$@)
	$$(Q)$$(LINK)
build/stripped/$(1): build/$(1)
	@mkdir -p $$(@D)
	@$(OBJCOPY) --strip-all $$< $$@
-include $(addprefix build/obj/,$(addsuffix .d,$(basename $(2))))
endef
sources = $(patsubst ./%,%,$(wildcard $(1)/*.c $(1)/*.S))
ifeq ($(PROGRAMS),)
$(eval $(call program,$(NAMES),$(call sources,.)))
else
$(foreach name,$(PROGRAMS),$(eval $(call program,$(name),$(call sources,$(name)))))
endif

.PHONY: all image run term clean
all: $(NAMES:%=build/%)

# The system's programs that know every interface by name are linked anew with the ones here.
ifneq ($(SCHEMAS),)
KNOWING := $(notdir $(wildcard $(CAPOS_SDK)/lib/knowing/*.o))
RELINKED := $(KNOWING:%.o=build/knowing/%)
build/knowing/%: $(CAPOS_SDK)/lib/knowing/%.o build/obj/gen/interfaces/interfaces.o
	$(call say,LINK,$@)
	@mkdir -p $(@D)
	$(Q)$(LINK)
	@$(OBJCOPY) --strip-all $@
endif
knowing_payload = $(if $(filter init,$(1)),init,bin/$(1))=build/knowing/$(1)

build/manifest/%.bin: $(PARTS) $(CAPOS_SDK)/flags.mk
	$(if $(PARTS),,$(error manifest.capnp is missing: it says what the program is given, and who may start or call it))
	$(call say,MANIF,$@)
	@mkdir -p $(@D)
	$(Q)$(CAPOS_SDK)/bin/mkarchive manifest -o $@ -I$(CAPOS_SDK) $(addprefix $(CAPOS_SDK)/,$(CAPOS_MANIFEST_$*)) $(PARTS)

LIBRARY = $(foreach file,$(GEN_DESCRIPTORS),$(file:build/gen/%.desc=%)=$(file)) $(foreach file,$(PAGES),page/$(basename $(notdir $(file)))=$(file))
build/library.archive: $(GEN_DESCRIPTORS) $(PAGES) build/gen/files.mk
	$(Q)$(CAPOS_SDK)/bin/mkarchive archive -o $@ --from $(CAPOS_SDK)/system/library.archive $(LIBRARY)

manifest_entry = $(if $(filter default,$(1)),manifest,manifest/$(1))=build/manifest/$(1).bin
ENTRIES = $(foreach name,$(NAMES),bin/$(name)=build/stripped/$(name)) $(foreach name,$(KNOWING:.o=),$(call knowing_payload,$(name))) \
	data/library=build/library.archive $(foreach name,$(CAPOS_MANIFESTS),$(call manifest_entry,$(name)))
build/boot.archive: $(NAMES:%=build/stripped/%) $(RELINKED) build/library.archive $(CAPOS_MANIFESTS:%=build/manifest/%.bin)
	$(call say,PACK,$@)
	$(Q)$(CAPOS_SDK)/bin/mkarchive archive -o $@ --hash $@.sha256 --from $(CAPOS_SDK)/system/boot.archive $(ENTRIES)
	$(Q)cd $(CAPOS_SDK) && bin/mkarchive check $(CURDIR)/build/manifest/default.bin $(CURDIR)/$@

build/kernel.elf: $(CAPOS_SDK)/system/kernel.elf
	@cp $< $@

image: build/boot.archive build/kernel.elf
	@echo '  build/kernel.elf and build/boot.archive are what boots'

run: build/boot.archive build/kernel.elf
	@$(CAPOS_SDK)/bin/run --build build --cpus $(CPUS) --memory $(MEMORY) -- $(WORDS)

term:
	@$(CAPOS_SDK)/bin/term --build build

clean:
	@rm -rf build
