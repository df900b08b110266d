/* SPDX-License-Identifier: MIT */
/* A server that never receives: call.cancel calls it. */
#include "abi/syscall.h"
#include "capos/start.h"

int capos_main(void)
{
    for (;;) {
        (void)capos_sys_enter(1, CAPOS_FOREVER);
    }
}
