/* SPDX-License-Identifier: MIT */
/* GrantHandle: deriving, and taking back; who holds what below a grant, and how it came there. */
#ifndef CAPOS_KERNEL_OBJECT_GRANT_HANDLE_H
#define CAPOS_KERNEL_OBJECT_GRANT_HANDLE_H

#include "core/kobj.h"

struct grant;

/* The handle of the kernel's own grant, for init; the kernel keeps the ref. */
status_t grant_handle_create_root(struct grant *root, struct kobj **out);

#endif
