/* SPDX-License-Identifier: MIT */
/*
 * The world of the adventure: rooms, items, players, what happened. Nothing here knows of capabilities
 * but by their keys: a number that the server never uses twice.
 *
 * An item is in exactly one place, because it has one `place`:
 *
 *              world_take(key)                      world_send
 *   ITEM_HERE ------------------> ITEM_HELD --------------------> ITEM_SENT
 *       ^                          |    ^                           |  |
 *       +--------------------------+    +---------------------------+  |
 *       | world_drop, world_released          world_receive(key)       |
 *       +--------------------------------------------------------------+
 *                              the receiver left
 *
 * ITEM_HELD is held by the capability whose key it has; any other key of an item that was ever given out
 * names nothing. `player` says who carries it (who took or received it), or is to receive it. It goes with
 * that player from room to room; when the player leaves and the capability is still somebody's, the item
 * stays HELD, carried by nobody, in the room where the player was.
 *
 * Each function that can be refused changes nothing when it is, but world_send, which says what.
 */
#ifndef CAPOS_ADVENTURE_WORLD_H
#define CAPOS_ADVENTURE_WORLD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "apps/adventure/places.h"

enum {
    WORLD_PLAYERS = 8,
    WORLD_EVENTS = 64,
    WORLD_NAME_BYTES = 16, /* with the NUL */
    WORLD_SAY_BYTES = 80,
    WORLD_EVENT_BYTES = 128, /* with the NUL */
};

enum item_place { ITEM_HERE, ITEM_HELD, ITEM_SENT };

struct item {
    uint8_t place;
    uint8_t room;   /* where it lies, or where who carries or is to receive it is */
    uint8_t player; /* HELD, SENT: see above, or WORLD_NONE */
    bool lit;
    uint64_t key;                  /* HELD */
    uint64_t sent_at;              /* SENT: in which order */
    char sender[WORLD_NAME_BYTES]; /* SENT */
};

struct player {
    uint64_t key;   /* 0: the place is free */
    uint8_t room;   /* where it is */
    uint8_t before; /* the room that it came from: it finds back without light */
    bool finished;
    char name[WORLD_NAME_BYTES];
};

struct event {
    uint64_t number; /* from 1 on */
    uint8_t seen_by; /* bit p: by the player in place p */
    char text[WORLD_EVENT_BYTES];
};

struct world {
    struct player players[WORLD_PLAYERS];
    struct item items[WORLD_ITEMS];
    bool open[WORLD_DOORS];
    uint64_t sent;
    uint64_t happened; /* number of the last event */
    struct event events[WORLD_EVENTS];
};

enum world_answer {
    WORLD_OK,
    WORLD_BAD_NAME,
    WORLD_NAME_TAKEN,
    WORLD_FULL,
    WORLD_NO_DIRECTION,
    WORLD_NO_WAY,
    WORLD_LOCKED,
    WORLD_DARK,
    WORLD_NOT_HERE,
    WORLD_NOBODY,
    WORLD_NO_USE,
    WORLD_BAD_TEXT,
    WORLD_ANSWERS,
};

/* What a refusal says to the person. */
const char *world_answer_text(enum world_answer answer);

/* A world in which nothing has happened. */
void world_begin(struct world *world);

/* A player at the first room under this key. */
enum world_answer world_enter(struct world *world, const char *name, size_t len, uint64_t key,
                              struct player **out);
/* Nobody plays it any more. What waits for it falls to the ground; what was taken is the capability's. */
void world_leave(struct world *world, struct player *player);
struct player *world_player(struct world *world, uint64_t key);
unsigned world_place_of(const struct world *world, const struct player *player);

enum world_answer world_go(struct world *world, struct player *player, const char *direction,
                           size_t len);
enum world_answer world_say(struct world *world, struct player *player, const char *text,
                            size_t len);

/* What is in this direction is behind a locked door. */
bool world_door_locked(const struct world *world, unsigned room, unsigned direction);

/* True: nothing is dark to this player. */
bool world_sees(const struct world *world, const struct player *player);
/* In the dark only the way back is found, and one that leads to light. */
bool world_finds(const struct world *world, const struct player *player, unsigned direction);

/* The item of that name that this player could take now. */
enum world_answer world_find(const struct world *world, const struct player *player,
                             const char *name, size_t len, unsigned *item);
/* It is found; from now on this key is the item. */
void world_take(struct world *world, struct player *player, unsigned item, uint64_t key);
/* The item that this key is; WORLD_NONE: none. */
unsigned world_item(const struct world *world, uint64_t key);
/* A held item comes to lie where this player is. A light that is out and would lie in the dark lies at its
 * home instead, however it came to fall: else it could never be found. */
void world_drop(struct world *world, struct player *player, unsigned item);
/* A held item is sent to who is called so; when nobody is here of that name, WORLD_NOBODY, and it waits
 * for the sender itself. Either way its key names nothing any more. */
enum world_answer world_send(struct world *world, struct player *player, unsigned item,
                             const char *to, size_t len);
/* What has waited longest for this player; WORLD_NONE: nothing. */
unsigned world_waiting(const struct world *world, const struct player *player);
void world_receive(struct world *world, struct player *player, unsigned item, uint64_t key);
/* No capability with this key is left: what it held falls to the ground. Other keys change nothing. */
void world_released(struct world *world, uint64_t key);

/* Uses a held item; *text says what happened. */
enum world_answer world_use(struct world *world, unsigned item, const char **text);

/* The first event behind `after` that this player saw; NULL: none. *missed: some may be forgotten. */
const struct event *world_event(const struct world *world, const struct player *player,
                                uint64_t after, bool *missed);

#endif
