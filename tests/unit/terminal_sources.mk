# SPDX-License-Identifier: MIT
HOST_LIB_SOURCES += drivers/serial-terminal/text.c drivers/serial-terminal/line_edit.c \
	drivers/serial-terminal/line_view.c drivers/serial-terminal/line_history.c drivers/serial-terminal/console.c
