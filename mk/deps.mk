# SPDX-License-Identifier: MIT
# Tools and third-party sources. Every compile rule waits for $(DEPS), so a fresh machine sets itself up.

DEPS := build/.deps

.PHONY: deps doctor
deps: ## install what is missing (as root) and fetch third-party sources
	@tools/doctor --install
	@mkdir -p build && touch $(DEPS)
	@$(if $(wildcard $(BEARSSL)/.fetched),:,$(MAKE) --no-print-directory $(BEARSSL)/.fetched)

doctor: ## check tools, versions, disk room, emulator and firmware; say how to mend each
	@tools/doctor

$(DEPS): tools/doctor tools/packages.list
	@mkdir -p build
	@tools/doctor --quiet --install
	@touch $@

# Fetched once into build/cache, which `make clean` leaves alone; after that builds need no network.
$(BEARSSL)/.fetched: tools/sources.list tools/fetch-source | $(DEPS)
	@mkdir -p build/cache $(BEARSSL)
	@tools/fetch-source bearssl build/cache $(BEARSSL)
	@touch $@

$(addprefix $(BEARSSL)/,$(BEARSSL_SOURCES)): $(BEARSSL)/.fetched ;
