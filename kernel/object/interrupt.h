/* SPDX-License-Identifier: MIT */
/* Interrupt: one line, held by one holder at a time; InterruptRoot gives them out. */
#ifndef CAPOS_KERNEL_OBJECT_INTERRUPT_H
#define CAPOS_KERNEL_OBJECT_INTERRUPT_H

#include "core/kobj.h"

status_t interrupt_root_create(struct kobj **out);

/* A device interrupt arrived on this CPU. Unclaimed lines are masked. */
void interrupt_fire(unsigned line);

#endif
