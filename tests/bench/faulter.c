/* SPDX-License-Identifier: MIT */
/* Touches what is not there: the other side of fault.deliver. */
#include "capos/start.h"

int capos_main(void)
{
    volatile uintptr_t nowhere = 8;
    *(volatile uint64_t *)nowhere = 1;
    return 0;
}
