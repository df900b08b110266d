# SPDX-License-Identifier: MIT
HOST_LIB_SOURCES += apps/shell/lex.c apps/shell/parse.c apps/shell/parse_value.c apps/shell/nearest.c \
	apps/shell/describe.c apps/shell/describe_method.c apps/shell/value.c apps/shell/show.c
