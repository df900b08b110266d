/* SPDX-License-Identifier: MIT */
/*
 * Fails on purpose: it writes a word where no memory is, three calls deep. docs/how-to/troubleshoot.md
 * follows the way from there to a line of this file.
 *
 * Holds: stdio. Needs nothing.
 */
#include <stdint.h>

#include "capos/print.h"
#include "capos/start.h"

struct entry {
    uint64_t key, value;
    struct entry *next;
};

/* Its end was forgotten: nothing says that the list is over. */
static struct entry *volatile list;

NOINLINE static void store(struct entry *entry, uint64_t value)
{
    entry->value = value;
}

NOINLINE static uint64_t update(uint64_t key)
{
    store(list, key * 2);
    return key + 1;
}

int capos_main(void)
{
    capos_printf("I am about to write through a pointer that is not one.\n");
    capos_print_flush();
    return (int)update(20);
}
