/* SPDX-License-Identifier: MIT */
/*
 * How much a bot may say: at most ALLOWANCE_LINES at once, and one more each ALLOWANCE_REFILL_S seconds, however
 * many ask. Pure: the caller says what time it is.
 */
#ifndef APPS_CHAT_BOT_ALLOWANCE_H
#define APPS_CHAT_BOT_ALLOWANCE_H

#include <stdbool.h>
#include <stdint.h>

enum { ALLOWANCE_LINES = 4, ALLOWANCE_REFILL_S = 2 };

struct allowance {
    unsigned lines;       /* that may be said now */
    uint64_t refilled_ns; /* up to where time has been turned into lines */
};

void allowance_begin(struct allowance *allowance, uint64_t now_ns);

/* Takes one line. False: none is left, and nothing has changed. A time before the last is taken for the last. */
bool allowance_take(struct allowance *allowance, uint64_t now_ns);

#endif
