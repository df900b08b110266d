/* SPDX-License-Identifier: MIT */
#include "object/session.h"

#include "object/entropy.h"

static struct session boot_session = {.id = 1, .epoch = 1};

struct session *session_boot(void)
{
    return &boot_session;
}

void session_init(void)
{
    entropy_bytes(boot_session.key, sizeof(boot_session.key));
}
