/* SPDX-License-Identifier: MIT */
/* IoPorts: a range of I/O ports, called; IoPortsRoot gives each port to one holder at a time. */
#ifndef CAPOS_KERNEL_OBJECT_IO_PORTS_H
#define CAPOS_KERNEL_OBJECT_IO_PORTS_H

#include "core/kobj.h"

status_t io_ports_root_create(struct kobj **out);

#endif
