# SPDX-License-Identifier: MIT
HOST_LIB_SOURCES += apps/shell/lex.c apps/shell/parse.c apps/shell/nearest.c
