# SPDX-License-Identifier: MIT
#
# The front door. `make help` lists the verbs; docs/how-to/build.md says how the build is made up.
# GNU make, one process, no recursion. A new source file is found by its folder: nothing here needs editing.

# make -s
SILENT := $(findstring s,$(filter-out -%,$(firstword $(MAKEFLAGS))))
MAKEFLAGS += --no-builtin-rules $(if $(filter 0,$(MAKELEVEL)),-j2)
.DEFAULT_GOAL := all
.DELETE_ON_ERROR:
.SUFFIXES:
SHELL := /bin/sh
# With make -C the caller's stays, and capnp warns of it.
export PWD := $(CURDIR)

# What is typed behind these is text: neither make nor a shell reads anything into it.
$(foreach name,NAME SERVICE MANIFEST,$(if $(value $(name)),$(eval override $(name) := $$(value $(name)))))

# make takes a blank in a path for the end of a name.
ifneq ($(word 2,$(CURDIR)),)
$(error this folder has a blank in its path, and make cannot build there: "$(CURDIR)"; move it to a path without one)
endif

# Verbs that must work where nothing is installed and nothing builds.
BARE_GOALS := help doctor deps clean distclean fmt new-service new-object term
BUILDING := $(if $(MAKECMDGOALS),$(filter-out $(BARE_GOALS),$(MAKECMDGOALS)),all)

# A typo is told with the way on, before anything is built. Files, with a dot or a slash, may be asked for by name.
VERBS := $(shell sed -n 's/^\([a-z][a-z-]*\):.*/\1/p' Makefile mk/*.mk)
NO_VERBS := $(strip $(foreach goal,$(filter-out $(VERBS),$(MAKECMDGOALS)),$(if $(or $(findstring .,$(goal)),$(findstring /,$(goal))),,$(goal))))
ifneq ($(NO_VERBS),)
$(error there is no verb "$(NO_VERBS)"; `make help` lists them)
endif

include mk/flags.mk
include mk/deps.mk
include mk/gen.mk
include mk/kernel.mk
include mk/user.mk
include mk/host.mk
include mk/image.mk
include mk/run.mk
include mk/sdk.mk
include mk/check.mk
include mk/docs.mk

.PHONY: all help
all: kernel user image host ## build everything: kernel, programs, image, host archives

help: ## list the verbs
	@echo 'usage: make VERB [V=1] [DEBUG=1] [CC=clang]'
	@sed -n 's/^\([a-z][a-z-]*\):[^#]*## \(.*\)/  \1\t\2/p' Makefile mk/*.mk | sort | expand -t 16
	@echo
	@echo 'V=1 shows every command, DEBUG=1 builds the checking kernel into build/debug,'
	@echo 'CC=clang builds with clang into build/clang.'

.PHONY: clean distclean
clean: ## remove what was built; fetched sources stay in build/cache
	@if [ -d build ]; then find build -mindepth 1 -maxdepth 1 ! -name cache -exec rm -rf {} +; fi
	@rm -f compile_commands.json

distclean: ## remove build/ with the fetched sources
	@rm -rf build compile_commands.json
