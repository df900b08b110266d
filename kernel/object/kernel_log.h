/* SPDX-License-Identifier: MIT */
/* KernelLog: records in, records out. The log itself is core/log.h. */
#ifndef CAPOS_KERNEL_OBJECT_KERNEL_LOG_H
#define CAPOS_KERNEL_OBJECT_KERNEL_LOG_H

#include "core/kobj.h"

status_t kernel_log_create(struct kobj **out);

#endif
