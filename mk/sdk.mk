# SPDX-License-Identifier: MIT
# `make sdk`: what programs are built with outside this tree, and the system to boot them in. docs/how-to/sdk.md.

SDK_HOST_TOOLS := $(PLUGIN) $(MKARCHIVE)
SDK_HEADERS := $(sort $(wildcard abi/*.h lib/*/*.h libcapos/include/*/*.h)) $(filter-out build/gen/kernel/%,$(GEN_HEADERS))
SDK_TOOLS := tools/run tools/term tools/terminal.py tools/accel tools/sdk/generate
# Those of the product's programs that know every interface by name; they are linked anew with more.
SDK_KNOWING = $(foreach name,init $(PRODUCT_PROGRAMS),$(if $(shell nm -u $(call program_objects,$(name)) 2>/dev/null | grep -w capos_interfaces),$(name)))
program_objects = $(patsubst %,$(O)/obj/user/%.o,$(basename $(foreach dir,$(wildcard services/$(1) drivers/$(1) apps/$(1)),$(call folder_sources,$(dir)))))

.PHONY: sdk
sdk: $(O)/capos-sdk.tar.gz ## build/sdk: headers, library, generator, example and system, to build programs outside the tree

$(O)/sdk.flags.objects: LIST = $(USER_CODE) $(USER_LDFLAGS) $(PRODUCT_MANIFESTS) $(MANIFEST_PARTS) $(APP_SCHEMAS)
$(O)/capos-sdk.tar.gz: tools/make-sdk $(wildcard tools/sdk/* tools/sdk/*/* tools/sdk/*/*/*) $(SDK_HOST_TOOLS) $(SDK_HEADERS) $(SDK_TOOLS) $(SCHEMAS) \
		$(APP_SCHEMAS) $(PRODUCT_MANIFESTS) $(MANIFEST_PARTS) $(O)/libcapos.a $(O)/kernel.elf $(O)/boot.archive build/library.archive LICENSE \
		$(O)/sdk.flags.objects
	$(call say,SDK,$@)
	$(Q)CODE='$(filter-out -O%,$(USER_CODE))' LINK='$(USER_LDFLAGS)' HOST_TOOLS='$(SDK_HOST_TOOLS)' HEADERS='$(SDK_HEADERS)' TOOLS='$(SDK_TOOLS)' \
		SCHEMAS='$(SCHEMAS)' APP_SCHEMAS='$(filter-out tests/%,$(APP_SCHEMAS))' MANIFESTS='$(PRODUCT_MANIFESTS)' PARTS='$(MANIFEST_PARTS)' \
		MANIFEST_FILES='$(foreach file,$(PRODUCT_MANIFESTS),$(call manifest_name,$(file))=$(subst $() $(),+,$(strip $(MANIFEST_BASE_$(call manifest_name,$(file))) $(file) $(call manifest_parts,$(file)))))' \
		KNOWING='$(foreach name,$(SDK_KNOWING),$(name)=$(subst $() $(),+,$(call program_objects,$(name))))' \
		OBJCOPY=$(OBJCOPY) LD=$(LD) SOURCE_DATE_EPOCH=$(SOURCE_DATE_EPOCH) tools/make-sdk $(O)
	@printf '%s\n' '$(O)/sdk/README.md says how to use it; $@ is the same, to carry away'
