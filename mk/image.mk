# SPDX-License-Identifier: MIT
# What boots: the kernel, the boot archive, the ISO.
#
# build/boot.archive is the product; build/test.archive is the same with the benchmarks and test manifests;
# build/hostile.archive has the hostile programs' warden in init's place; the siege is a service of the test archive. The hash of an archive's index travels on the kernel's command line (archive=...).
# manifests/default.capnp with the manifest.capnp of every program's folder that has one is the payload `manifest`; another manifests/NAME.capnp, and tests/NAME/manifest.capnp,
# is the payload `manifest/NAME`, started with the kernel word manifest=manifest/NAME. MANIFEST_BASE_NAME is what the
# fragment NAME adds to.

MKARCHIVE := build/tools/mkarchive
MKARCHIVE_SOURCES := $(sort $(wildcard tools/mkarchive/*.c++))
MKARCHIVE_OBJECTS := $(patsubst %.c++,build/tools/obj/%.o,$(MKARCHIVE_SOURCES))

$(MKARCHIVE): $(MKARCHIVE_OBJECTS)
	$(call say,LINK,$@)
	$(Q)$(HOSTCXX) $^ -lcapnpc -lcapnp -lkj -o $@

-include $(MKARCHIVE_OBJECTS:.o=.d)

# Manifests

PRODUCT_MANIFESTS := $(filter-out manifests/local.capnp,$(sort $(wildcard manifests/*.capnp)))
TEST_MANIFESTS := $(sort $(wildcard tests/*/manifest.capnp))
manifest_name = $(if $(filter manifests/%,$(1)),$(basename $(notdir $(1))),$(notdir $(patsubst %/,%,$(dir $(1)))))
MANIFEST_NAMES := $(foreach file,$(PRODUCT_MANIFESTS),$(call manifest_name,$(file)))
ifneq ($(MANIFEST),)
ifneq ($(filter-out $(MANIFEST_NAMES),x$(word 2,$(MANIFEST)) $(firstword $(MANIFEST))),x)
$(error there is no manifest "$(MANIFEST)"; there are: $(MANIFEST_NAMES) (each manifests/NAME.capnp))
endif
endif
manifest_payload = $(if $(filter default,$(1)),manifest,manifest/$(1))

# The part of the default manifest that a service brings along.
MANIFEST_PARTS := $(sort $(wildcard apps/*/manifest.capnp services/*/manifest.capnp drivers/*/manifest.capnp))
manifest_parts = $(if $(filter manifests/default.capnp,$(1) $(MANIFEST_BASE_$(call manifest_name,$(1)))),$(MANIFEST_PARTS))

MANIFEST_BASE_terminals := manifests/default.capnp
MANIFEST_BASE_hostile := manifests/default.capnp
MANIFEST_BASE_stdio := manifests/default.capnp
MANIFEST_BASE_guest := manifests/default.capnp

define manifest_rule
build/manifest/$(call manifest_name,$(1)).bin: $(MANIFEST_BASE_$(call manifest_name,$(1))) $(1) $(call manifest_parts,$(1)) $(SCHEMAS) $(wildcard manifests/local.capnp) $(MKARCHIVE)
	$$(call say,MANIF,$(1))
	@mkdir -p $$(@D)
	$$(Q)$(MKARCHIVE) manifest -o $$@ -I. $(MANIFEST_BASE_$(call manifest_name,$(1))) $(1) $(call manifest_parts,$(1))
endef
$(foreach file,$(PRODUCT_MANIFESTS) $(TEST_MANIFESTS),$(eval $(call manifest_rule,$(file))))

# The manual's library: descriptors by package, pages by name; an archive inside the archive.

MANUAL_PAGES := $(sort $(wildcard docs/manual/*.md))
TEST_DESCRIPTORS = $(foreach dir,$(wildcard tests/*/),build/gen/desc/$(notdir $(patsubst %/,%,$(dir)))/%)
LIBRARY_DESCRIPTORS = $(filter-out $(TEST_DESCRIPTORS),$(GEN_DESCRIPTORS))
LIBRARY_ENTRIES = $(foreach file,$(LIBRARY_DESCRIPTORS),$(patsubst build/gen/%.desc,%,$(file))=$(file)) \
	$(foreach file,$(MANUAL_PAGES),page/$(basename $(notdir $(file)))=$(file))

build/library.archive: build/gen/files.mk $(LIBRARY_DESCRIPTORS) $(MANUAL_PAGES) $(MKARCHIVE)
	$(call say,PACK,$@)
	$(Q)$(MKARCHIVE) archive -o $@ $(sort $(LIBRARY_ENTRIES))

# Who can reach what: init's own check of the manifest, as a host program.

AUTHORITY := build/tools/authority

build/tools/obj/authority/main.o: tools/authority/main.c | $(DEPS)
	$(call say,HOSTCC,$<)
	@mkdir -p $(@D)
	$(Q)$(HOSTCC) $(HOST_CFLAGS) $(HOST_SANITIZE_plain) $(HOST_INCLUDE) $(DEPFLAGS) -c $< -o $@

$(AUTHORITY): build/tools/obj/authority/main.o build/host/plain/libcapos-host.a
	$(call say,LINK,$@)
	$(Q)$(HOSTCC) $^ -pthread -o $@

-include build/tools/obj/authority/main.d

# What is compared with the accepted text has nothing of this machine's own in it.
define committed_rule
build/manifest/committed/$(call manifest_name,$(1)).bin: build/manifest/$(call manifest_name,$(1)).bin
	@mkdir -p $$(@D)
	$$(Q)$(MKARCHIVE) manifest -o $$@ -I. --no-local $(MANIFEST_BASE_$(call manifest_name,$(1))) $(1) $(call manifest_parts,$(1))
endef
$(foreach file,$(PRODUCT_MANIFESTS),$(eval $(call committed_rule,$(file))))

build/authority/%.json: build/manifest/%.bin $(AUTHORITY) $(O)/boot.archive
	@mkdir -p $(@D)
	$(Q)$(AUTHORITY) $< $(O)/boot.archive >$@

AUTHORITY_ACCEPTED := manifests/authority
AUTHORITY_NOW := $(MANIFEST_NAMES:%=build/authority/committed/%.json)

.PHONY: authority authority-accept
authority: build/authority/$(or $(MANIFEST),default).json ## print who can reach which methods of what, and draw it: build/authority/default.svg [MANIFEST=default|terminals]
	@tools/authority-report $< --svg $(<:.json=.svg)

authority-accept: $(AUTHORITY_NOW) ## accept the authority of every manifest, into manifests/authority/NAME.txt
	@mkdir -p $(AUTHORITY_ACCEPTED)
	@for name in $(MANIFEST_NAMES); do \
		tools/authority-report build/authority/committed/$$name.json >$(AUTHORITY_ACCEPTED)/$$name.txt || exit 1; done

# Archives. A program's symbols stay in build/; what boots carries none.

PRODUCT_PROGRAMS := $(filter-out init hostile/% bench/% guest/%,$(PROGRAMS))
TEST_PROGRAMS := $(filter bench/%,$(PROGRAMS))
GUEST_PROGRAMS := $(patsubst guest/%,%,$(filter guest/%,$(PROGRAMS)))

$(O)/stripped/%: $(O)/bin/%
	@mkdir -p $(@D)
	$(Q)$(OBJCOPY) --strip-all $< $@

payload = $(foreach name,$(1),bin/$(name)=$(O)/stripped/$(name))
manifests = $(foreach file,$(1),$(call manifest_payload,$(call manifest_name,$(file)))=build/manifest/$(call manifest_name,$(file)).bin)
PRODUCT_ENTRIES = $(if $(filter init,$(PROGRAMS)),init=$(O)/stripped/init) $(call payload,$(PRODUCT_PROGRAMS)) \
	data/library=build/library.archive data/tour=docs/tour.capos $(call manifests,$(PRODUCT_MANIFESTS))
TEST_ENTRIES = $(PRODUCT_ENTRIES) $(call payload,$(TEST_PROGRAMS)) data/bench=$(O)/bench.rows $(foreach name,$(GUEST_PROGRAMS),bin/$(name)=$(O)/stripped/guest/$(name)) bin/siege=$(O)/stripped/hostile/siege bin/turncoat=$(O)/stripped/hostile/turncoat $(call manifests,$(TEST_MANIFESTS))
entry_files = $(foreach entry,$(1),$(lastword $(subst =, ,$(entry))))

$(O)/boot.entries.objects: LIST = $(PRODUCT_ENTRIES)
$(O)/boot.archive: $(call entry_files,$(PRODUCT_ENTRIES)) $(MKARCHIVE) $(O)/boot.entries.objects
	$(call say,PACK,$@)
	$(Q)$(MKARCHIVE) archive -o $@ --hash $@.sha256 $(PRODUCT_ENTRIES)
	$(Q)$(MKARCHIVE) check build/manifest/default.bin $@

# Which rows `make bench` wants (T=prefix); written anew only when that changed.
BENCH_ROWS := $(if $(filter bench,$(MAKECMDGOALS)),$(T))
$(O)/bench.rows: FORCE
	@mkdir -p $(@D)
	@printf '%s\n' '$(BENCH_ROWS)' | cmp -s - $@ || printf '%s\n' '$(BENCH_ROWS)' >$@

$(O)/test.entries.objects: LIST = $(TEST_ENTRIES)
$(O)/test.archive: $(call entry_files,$(TEST_ENTRIES)) $(MKARCHIVE) $(O)/test.entries.objects
	$(call say,PACK,$@)
	$(Q)$(MKARCHIVE) archive -o $@ --hash $@.sha256 $(TEST_ENTRIES)

# The warden is init of a machine of its own: it holds what init holds, and starts the hostile programs itself.
$(O)/hostile.archive: $(O)/stripped/hostile/warden $(MKARCHIVE)
	$(call say,PACK,$@)
	$(Q)$(MKARCHIVE) archive -o $@ --hash $@.sha256 init=$(O)/stripped/hostile/warden

# The ISO boots on BIOS and on UEFI. Only the GRUB modules it needs; a fixed date, so the same input gives the same file.

GRUB_MODULES := part_gpt part_msdos iso9660 fat multiboot2 normal configfile boot serial terminal search search_fs_file
SOURCE_DATE_EPOCH ?= 1767225600
ISO_DATE := 2026010100000000

# What the images have on the kernel's command line. make run says it by itself.
IMAGE_WORDS := $(if $(filter-out default,$(MANIFEST)),manifest=$(call manifest_payload,$(MANIFEST)))
$(O)/boot.words.objects: LIST = $(IMAGE_WORDS)

$(O)/capos.iso: $(O)/kernel.elf $(O)/boot.archive $(O)/boot.words.objects tools/make-iso tools/boot-tree tools/grub.cfg
	$(call say,ISO,$@)
	$(Q)IMAGE_WORDS='$(IMAGE_WORDS)' SOURCE_DATE_EPOCH=$(SOURCE_DATE_EPOCH) GRUB_MODULES='$(GRUB_MODULES)' ISO_DATE=$(ISO_DATE) \
		tools/make-iso $(O)/kernel.elf $(O)/boot.archive $@

# For the test that makes it twice.
.PHONY: iso-again
iso-again: $(O)/kernel.elf $(O)/boot.archive
	$(Q)SOURCE_DATE_EPOCH=$(SOURCE_DATE_EPOCH) GRUB_MODULES='$(GRUB_MODULES)' ISO_DATE=$(ISO_DATE) \
		tools/make-iso $(O)/kernel.elf $(O)/boot.archive $(OUT)

# The disk image boots on both as well; qcow2 is the same, compressed.
$(O)/capos.img: $(O)/kernel.elf $(O)/boot.archive $(O)/boot.words.objects tools/make-disk tools/boot-tree tools/grub.cfg
	$(call say,DISK,$@)
	$(Q)IMAGE_WORDS='$(IMAGE_WORDS)' SOURCE_DATE_EPOCH=$(SOURCE_DATE_EPOCH) GRUB_MODULES='$(GRUB_MODULES)' tools/make-disk $(O)/kernel.elf $(O)/boot.archive $@

$(O)/capos.qcow2: $(O)/capos.img
	$(call say,QCOW2,$@)
	$(Q)qemu-img convert -q -c -f raw -O qcow2 $< $@

.PHONY: disk-again
disk-again: $(O)/kernel.elf $(O)/boot.archive
	$(Q)SOURCE_DATE_EPOCH=$(SOURCE_DATE_EPOCH) GRUB_MODULES='$(GRUB_MODULES)' tools/make-disk $(O)/kernel.elf $(O)/boot.archive $(OUT)

IMAGES := $(O)/kernel.elf $(O)/boot.archive $(O)/capos.iso $(O)/capos.img $(O)/capos.qcow2

.PHONY: image
image: $(IMAGES) ## build kernel.elf, boot.archive, capos.iso, capos.img (GPT) and capos.qcow2, and print their sizes [MANIFEST=default|terminals]
	@for file in $(IMAGES); do \
		printf '%-22s %6d KiB, %6d KiB on this disk\n' $$file $$(($$(wc -c <$$file) / 1024)) $$(du -k $$file | cut -f 1); done
