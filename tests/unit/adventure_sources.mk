# SPDX-License-Identifier: MIT
HOST_LIB_SOURCES += apps/adventure/world.c apps/adventure/places.c apps/adventure-client/words.c
