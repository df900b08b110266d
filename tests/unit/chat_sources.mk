# SPDX-License-Identifier: MIT
HOST_LIB_SOURCES += apps/chat/rooms.c
