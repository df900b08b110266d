/* SPDX-License-Identifier: MIT */
/* Launcher: a spawner bound to named images, the limits of each child and a number of children. */
#ifndef CAPOS_KERNEL_OBJECT_LAUNCHER_H
#define CAPOS_KERNEL_OBJECT_LAUNCHER_H

#include "abi/capset.h"
#include "cap/ledger.h"
#include "core/kobj.h"

enum { LAUNCHER_MAX_PROGRAMS = 40 };

struct launcher;

struct kobj *launcher_obj(struct launcher *launcher);

/* A child has been reaped and its last handle is gone: one more may start. Drops the child's ref. */
void launcher_child_gone(struct launcher *launcher);

#endif
