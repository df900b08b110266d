# SPDX-License-Identifier: MIT
HOST_LIB_SOURCES += apps/chat/rooms.c
HOST_LIB_SOURCES += apps/chat-bot/allowance.c
