/* SPDX-License-Identifier: MIT */
/* The fault record of a process (ProcessHandle.info) in words. */
#ifndef CAPOS_FAULT_H
#define CAPOS_FAULT_H

#include <stddef.h>
#include <stdint.h>

#include "process.capnp.h"

enum { CAPOS_FAULT_BYTES = 200, CAPOS_REGISTER_BYTES = 96, CAPOS_REGISTERS_A_LINE = 4 };

/* One line: what happened, where. Returns the length of the whole text, cut or not, as fmt_format does. */
size_t capos_fault_text(FaultRecord_r fault, char *text, size_t size);

/* Line `line` (0 ...) of a table of registers in the order of FaultRecord.registers; 0 when there are no more. */
size_t capos_registers_line(struct capnp_list registers, uint32_t line, char *text, size_t size);

#endif
