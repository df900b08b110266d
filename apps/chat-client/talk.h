/* SPDX-License-Identifier: MIT */
/* A seat in a room of the chat, and what is heard from it. */
#ifndef CAPOS_CHAT_CLIENT_TALK_H
#define CAPOS_CHAT_CLIENT_TALK_H

#include <stdbool.h>
#include <stddef.h>

#include "abi/types.h"
#include "chat.client.h"

enum { TALK_NAME_BYTES = 16 };

struct talk {
    capos_cap_t chat;
    capos_cap_t seat; /* 0: none yet */
    char nick[TALK_NAME_BYTES];
    char room[TALK_NAME_BYTES];
    bool lost; /* a call found that the service, and so the seat, is gone */
};

extern struct talk talk;

/* Takes a seat under these names and gives up the one held before. False: refused, which has been said, and all
 * is as it was. */
bool talk_join(const char *room, const char *nick);

/* Takes a seat of the same names anew: the service was started again. False: there is no way back, or the nick is
 * somebody else's now; which has been said. */
bool talk_begin_anew(void);

void talk_leave(void);
void talk_say(const char *text);
void talk_members(void);
void talk_rooms(void);

/* Listens when nothing listens yet: to be called after each turn. */
void talk_listen(void);

#endif
