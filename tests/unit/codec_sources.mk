# SPDX-License-Identifier: MIT
# The platform's descriptors, for the tests of the dynamic codec.
HOST_LIB_SOURCES += build/gen/descriptors.c
