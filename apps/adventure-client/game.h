/* SPDX-License-Identifier: MIT */
/* What a client of the adventure has: a player, the items it holds, and the calls that wait. */
#ifndef CAPOS_ADVENTURE_CLIENT_GAME_H
#define CAPOS_ADVENTURE_CLIENT_GAME_H

#include <stdbool.h>

#include "abi/types.h"
#include "adventure.client.h"
#include "apps/adventure-client/words.h"

enum { NAME_BYTES = 16, HELD = 8 };

struct held {
    char name[NAME_BYTES];
    capos_cap_t item; /* 0: the place is free */
};

struct game {
    capos_cap_t world;
    capos_cap_t player; /* 0: none yet */
    char name[NAME_BYTES];
    struct held held[HELD];
    bool lost; /* a call found that the world, and so the player, is gone */
    bool over;
};

extern struct game game;

/* Does what was typed. */
void game_do(const struct words *words);

/* Enters under game.name and looks around. False: refused, and it has said why. */
bool game_enter(void);

/* Gives the player and all items up: the world is gone. */
void game_forget(void);

/* An item that came. It falls when there is no room for it. */
void game_hold(const char *name, capos_cap_t item);

/* Says what the world said. A player that is gone is noted. */
void game_refused(const struct capos_call *call);

#endif
