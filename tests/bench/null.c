/* SPDX-License-Identifier: MIT */
/* The smallest program: starts and exits. process.lifecycle spawns it. */
#include "capos/start.h"

int capos_main(void)
{
    capos_sys_exit(0);
}
