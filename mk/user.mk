# SPDX-License-Identifier: MIT
# User programs. A folder of services/, drivers/ or apps/ is one program of that name; so is each file or folder of
# tests/hostile/ and each file or folder of tests/bench/, and each file of tests/guest/. Each is one static,
# position-independent ELF: $(O)/bin/NAME, $(O)/bin/hostile/NAME, $(O)/bin/bench/NAME, $(O)/bin/guest/NAME.

LIBCAPOS_SOURCES := $(sort $(wildcard libcapos/*.c libcapos/*.S libcapos/*/*.c libcapos/*/*.S))
LIBCAPOS_OBJECTS := $(patsubst %,$(O)/obj/user/%.o,$(basename $(LIBCAPOS_SOURCES)))
ULIB_OBJECTS := $(patsubst %,$(O)/obj/user/%.o,$(basename $(LIB_SOURCES))) \
	$(patsubst %.c,$(O)/obj/user/bearssl/%.o,$(BEARSSL_SOURCES))
UGEN_OBJECTS := $(patsubst build/gen/%.c,$(O)/obj/user/gen/%.o,$(GEN_USER_SOURCES))

$(O)/obj/user/lib/%.o: lib/%.c mk/flags.mk | $(DEPS)
	$(call say,CC,$<)
	@mkdir -p $(@D)
	$(Q)$(CC) $(USER_CFLAGS) $(LIB_INCLUDE) $(LIB_EXTRA_$(*D)) $(DEPFLAGS) -c $< -o $@

$(O)/obj/user/bearssl/%.o: $(BEARSSL)/%.c mk/flags.mk | $(DEPS)
	$(call say,CC,$<)
	@mkdir -p $(@D)
	$(Q)$(CC) $(USER_CODE) $(BEARSSL_CFLAGS) $(DEPFLAGS) -c $< -o $@

$(O)/obj/user/gen/%.o: build/gen/%.c mk/flags.mk | $(DEPS)
	$(call say,CC,$<)
	@mkdir -p $(@D)
	$(Q)$(CC) $(USER_CFLAGS) $(USER_INCLUDE) $(DEPFLAGS) -c $< -o $@

$(O)/obj/user/%.o: %.c mk/flags.mk | $(DEPS)
	$(call say,CC,$<)
	@mkdir -p $(@D)
	$(Q)$(CC) $(USER_CFLAGS) $(USER_INCLUDE) $(DEPFLAGS) -c $< -o $@

$(O)/obj/user/%.o: %.S mk/flags.mk | $(DEPS)
	$(call say,AS,$<)
	@mkdir -p $(@D)
	$(Q)$(CC) -g $(MAPPATH) $(USER_CODE) $(USER_INCLUDE) $(DEPFLAGS) -c $< -o $@

$(filter %/lib/crypto/sha256.o %/lib/crypto/chacha20.o,$(ULIB_OBJECTS)): | $(BEARSSL)/.fetched

# One archive: libcapos, the library, the generated codecs. The linker takes what a program uses.
$(O)/libcapos.objects: LIST = $(LIBCAPOS_OBJECTS) $(ULIB_OBJECTS) $(UGEN_OBJECTS)
$(O)/libcapos.a: $(LIBCAPOS_OBJECTS) $(ULIB_OBJECTS) $(UGEN_OBJECTS) $(O)/libcapos.objects
	$(call say,AR,$@)
	@rm -f $@
	$(Q)$(AR) rcsD $@ $(filter %.o,$^)

USER_LDFLAGS := -nostdlib -static -pie --no-dynamic-linker -z text --pack-dyn-relocs=relr -z norelro -z max-page-size=4096 -z separate-code \
	-z noexecstack --build-id=none --gc-sections -e _start

PROGRAMS :=
# $(1) program name below bin/, $(2) sources
define program
PROGRAMS += $(1)
PROGRAM_OBJECTS += $(patsubst %,$(O)/obj/user/%.o,$(basename $(2)))
$(O)/bin/$(1).objects: LIST = $(patsubst %,$(O)/obj/user/%.o,$(basename $(2)))
$(O)/bin/$(1): $(patsubst %,$(O)/obj/user/%.o,$(basename $(2))) $(O)/libcapos.a $(O)/bin/$(1).objects
endef

folder_sources = $(sort $(wildcard $(1)/*.c $(1)/*.S))
$(foreach dir,$(wildcard services/* drivers/* apps/*),\
	$(if $(call folder_sources,$(dir)),$(eval $(call program,$(notdir $(dir)),$(call folder_sources,$(dir))))))
$(foreach dir,$(patsubst %/,%,$(wildcard tests/hostile/*/)),\
	$(if $(call folder_sources,$(dir)),$(eval $(call program,hostile/$(notdir $(dir)),$(call folder_sources,$(dir))))))
$(foreach file,$(wildcard tests/hostile/*.c),$(eval $(call program,hostile/$(basename $(notdir $(file))),$(file))))
$(foreach dir,$(patsubst %/,%,$(wildcard tests/bench/*/)),\
	$(if $(call folder_sources,$(dir)),$(eval $(call program,bench/$(notdir $(dir)),$(call folder_sources,$(dir))))))
$(foreach file,$(wildcard tests/bench/*.c),$(eval $(call program,bench/$(basename $(notdir $(file))),$(file))))
$(foreach file,$(wildcard tests/guest/*.c),$(eval $(call program,guest/$(basename $(notdir $(file))),$(file))))

PROGRAM_FILES := $(PROGRAMS:%=$(O)/bin/%)

$(PROGRAM_FILES):
	$(call say,LINK,$@)
	@mkdir -p $(@D)
	$(Q)$(LD) $(USER_LDFLAGS) $(filter %.o,$^) $(O)/libcapos.a -o $@

.PHONY: user
user: $(PROGRAM_FILES) ## build libcapos and every user program

-include $(LIBCAPOS_OBJECTS:.o=.d) $(ULIB_OBJECTS:.o=.d) $(UGEN_OBJECTS:.o=.d) $(PROGRAM_OBJECTS:.o=.d)
