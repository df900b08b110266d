# SPDX-License-Identifier: MIT
# Code made from the schema: build/gen holds what tools/capnpc-capos prints, build/gen/files.mk lists it.
# A file whose text did not change keeps its time, so a comment in the schema does not rebuild the world.

SCHEMAS := $(sort $(wildcard schema/*.capnp))
# A manifest is no schema; tests/*/manifest.capnp are in mk/image.mk.
APP_SCHEMAS := $(sort $(filter-out %/manifest.capnp,$(wildcard apps/*/*.capnp services/*/*.capnp drivers/*/*.capnp tests/*/*.capnp)))
PLUGIN := build/tools/capnpc-capos
PLUGIN_SOURCES := $(sort $(wildcard tools/capnpc-capos/*.c++ tools/capnpc-capos/*.cc tools/capnpc-capos/*.cpp))
PLUGIN_OBJECTS := $(patsubst %,build/tools/obj/%.o,$(basename $(PLUGIN_SOURCES)) tools/mkarchive/sha256)

build/tools/obj/%.o: %.c++ | $(DEPS)
	$(call say,HOSTCXX,$<)
	@mkdir -p $(@D)
	$(Q)$(HOSTCXX) -std=c++17 -O1 -Wall -Wextra -Werror -I. $(DEPFLAGS) -c $< -o $@

build/tools/obj/%.o: %.cc | $(DEPS)
	$(call say,HOSTCXX,$<)
	@mkdir -p $(@D)
	$(Q)$(HOSTCXX) -std=c++17 -O1 -Wall -Wextra -Werror -I. $(DEPFLAGS) -c $< -o $@

$(PLUGIN): $(PLUGIN_OBJECTS)
	$(call say,LINK,$@)
	$(Q)$(HOSTCXX) $^ -lcapnp -lkj -o $@

-include $(PLUGIN_OBJECTS:.o=.d)

build/gen/files.mk: $(SCHEMAS) $(APP_SCHEMAS) $(PLUGIN) tools/generate
	$(call say,GEN,schema)
	$(Q)tools/generate $(PLUGIN) build/gen "$(SCHEMAS)" "$(APP_SCHEMAS)"

.PHONY: gen
gen: build/gen/files.mk ## generate codecs, stubs and tables from schema/

ifneq ($(and $(BUILDING),$(SCHEMAS),$(PLUGIN_SOURCES)),)
include build/gen/files.mk
endif
