# SPDX-License-Identifier: MIT
# Compilers, flags and include directories of every room. Three configurations: release, DEBUG=1 (checking),
# and STEPS=1 (its kernel measures how long interrupts stay off).

ifeq ($(origin CC),default)
CC := gcc
endif
V ?= 0
DEBUG ?= 0
STEPS ?= 0
FUZZ_SECONDS ?= 10

# O is where this configuration's products go. build/ itself is gcc, release.
ifneq ($(filter clang%,$(notdir $(CC))),)
COMPILER := clang
else
COMPILER := gcc
endif
O := build$(if $(filter clang,$(COMPILER)),/clang)$(if $(filter 1,$(DEBUG)),/debug)$(if $(filter 1,$(STEPS)),/steps)

ifeq ($(V),1)
Q :=
say = @:
else ifneq ($(SILENT),)
Q := @
say = @:
else
Q := @
say = @printf '  %-7s %s\n' '$(1)' '$(2)'
endif

HOSTCC := gcc
HOSTCXX := g++
LD := ld.lld
AR := ar
OBJCOPY := objcopy

WARN := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wvla -Wconversion -Werror
# A function or object that nothing refers to is left out by the linker.
SECTIONS := -ffunction-sections -fdata-sections
# The same text at any place of the tree: no machine path in an object.
MAPPATH := -ffile-prefix-map=$(CURDIR)/=
DEPFLAGS = -MMD -MP -MF $(@:.o=.d)

C_COMMON := -std=c11 -g $(WARN) $(MAPPATH)
DEBUG_DEFINE := $(if $(filter 1,$(DEBUG)),-DCAPOS_DEBUG=1) $(if $(filter 1,$(STEPS)),-DCAPOS_STEPS=1)

# The kernel: no red zone, no vector registers, higher half. Functions lie close: padding was one part in twenty.
KERNEL_CODE := -O2 -ffreestanding -fstack-protector-strong -mstack-protector-guard=global -fno-pic -mno-red-zone -mcmodel=kernel \
	-mgeneral-regs-only -fno-asynchronous-unwind-tables -fcf-protection=none \
	-fno-omit-frame-pointer -falign-functions=1 $(if $(filter clang,$(COMPILER)),,-falign-jumps=1 -falign-loops=1 -falign-labels=1) $(SECTIONS)
# Only for "..." includes, so no header of ours can stand in for one of the compiler's.
KERNEL_INCLUDE := -iquote . -iquote kernel -iquote kernel/arch/x86_64 -iquote build -iquote build/gen
KERNEL_CFLAGS := $(C_COMMON) $(KERNEL_CODE) $(DEBUG_DEFINE) -DCAPOS_KERNEL=1

# User programs: static, position-independent; SSE is theirs.
USER_CODE := -O2 -ffreestanding -fstack-protector-strong -mstack-protector-guard=global -fpie -fvisibility=hidden -mcmodel=small \
	-fno-asynchronous-unwind-tables -fcf-protection=none -fno-omit-frame-pointer $(SECTIONS)
USER_INCLUDE := -iquote . -iquote libcapos/include -iquote build/gen
USER_CFLAGS := $(C_COMMON) $(USER_CODE) $(DEBUG_DEFINE)

LIB_INCLUDE := -iquote . -iquote build/gen

# Host programs and the kernel as a host library.
HOST_INCLUDE := -iquote . -iquote kernel -iquote kernel/arch/host -iquote build -iquote build/gen
HOST_CFLAGS := $(C_COMMON) -D_GNU_SOURCE -DCAPOS_HOST=1 -DCAPOS_DEBUG=1 -fno-omit-frame-pointer -pthread
HOST_SANITIZE_plain := -O1
HOST_SANITIZE_asan := -O1 -fsanitize=address,undefined -fno-sanitize-recover=undefined
HOST_SANITIZE_tsan := -O1 -fsanitize=thread

# NAME.objects holds LIST and is touched only when that changes: what depends on it is made anew when a source is
# added or taken away.
.PHONY: FORCE
FORCE:
build/%.objects: FORCE
	@mkdir -p $(@D)
	@echo '$(LIST)' | cmp -s - $@ || echo '$(LIST)' > $@

# BearSSL: three source files and the byte-order helpers they use. Portable code paths only.
BEARSSL := build/third/bearssl
BEARSSL_SOURCES := src/hash/sha2small.c src/symcipher/chacha20_ct.c src/codec/dec32be.c src/codec/enc32be.c
BEARSSL_INCLUDE := -I$(BEARSSL)/inc
BEARSSL_CFLAGS := -std=c99 -g -w $(MAPPATH) $(BEARSSL_INCLUDE) -I$(BEARSSL)/src -DBR_SSE2=0 -DBR_AES_X86NI=0 \
	-DBR_RDRAND=0 -DBR_USE_URANDOM=0 -DBR_USE_UNIX_TIME=0 -DBR_USE_WIN32_RAND=0

# The file that defines memcpy and memset must not have its loops turned into calls of them.
ifeq ($(COMPILER),gcc)
%/lib/base/string.o: C_COMMON += -fno-tree-loop-distribute-patterns
endif
