# SPDX-License-Identifier: MIT
HOST_LIB_SOURCES += apps/paperclips/business.c
