/* SPDX-License-Identifier: MIT */
/* Power: the end of the machine's run. */
#ifndef CAPOS_KERNEL_OBJECT_POWER_H
#define CAPOS_KERNEL_OBJECT_POWER_H

#include "core/kobj.h"

status_t power_create(struct kobj **out);

#endif
