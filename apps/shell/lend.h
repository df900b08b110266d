/* SPDX-License-Identifier: MIT */
/* Giving so that it can be taken back: the commands derive, revoke and why. */
#ifndef CAPOS_SHELL_LEND_H
#define CAPOS_SHELL_LEND_H

#include "abi/types.h"
#include "apps/shell/names.h"
#include "apps/shell/parse.h"

/* `capabilities`: the CapabilityManager; 0 when there is none. */
void lend_init(capos_cap_t capabilities);

void lend_derive(const struct command *command);
void lend_revoke(struct held *held);
void lend_why(const struct held *held);

/* A dead capability: says why it is, and what to do. */
void lend_tell_dead(const struct held *held);

/* The name is dropped: its grant cannot be taken back by it any more. */
void lend_forget(struct held *held);

#endif
