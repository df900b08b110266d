# SPDX-License-Identifier: MIT
HOST_LIB_SOURCES += apps/shell/lex.c apps/shell/parse.c apps/shell/parse_value.c apps/shell/nearest.c \
	apps/shell/statement.c apps/shell/script_check.c apps/shell/expression.c apps/shell/variables.c apps/shell/kept.c apps/shell/kept_json.c apps/shell/kept_answer.c \
	apps/shell/describe.c apps/shell/describe_method.c apps/shell/value.c apps/shell/show.c apps/shell/show_table.c apps/shell/candidates.c apps/shell/log_record.c
