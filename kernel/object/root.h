/* SPDX-License-Identifier: MIT */
/* Roots of the machine: singletons without state of their own, never destroyed. */
#ifndef CAPOS_KERNEL_OBJECT_ROOT_H
#define CAPOS_KERNEL_OBJECT_ROOT_H

#include "core/kobj.h"

/* The root object of this interface number; the same one every time, with one ref more for the caller
 * than before. */
status_t root_object_create(uint8_t ktype, struct kobj **out);

#endif
