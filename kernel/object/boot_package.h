/* SPDX-License-Identifier: MIT */
/* BootPackage: the payloads the system was booted with. */
#ifndef CAPOS_KERNEL_OBJECT_BOOT_PACKAGE_H
#define CAPOS_KERNEL_OBJECT_BOOT_PACKAGE_H

#include "core/kobj.h"

status_t boot_package_create(struct kobj **out);

#endif
