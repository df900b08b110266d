/* SPDX-License-Identifier: MIT */
/* What the world is made of: a table (places.c), and nothing in the code knows one room from another. */
#ifndef CAPOS_ADVENTURE_PLACES_H
#define CAPOS_ADVENTURE_PLACES_H

#include <stdbool.h>
#include <stdint.h>

enum {
    WORLD_ROOMS = 8,
    WORLD_ITEMS = 5,
    WORLD_DOORS = 1,
    WORLD_NONE = 0xff, /* no room, no item, no door, no player */
};

enum direction { NORTH, SOUTH, EAST, WEST, UP, DOWN, DIRECTIONS };

enum item_use {
    USE_NONE,
    USE_LIGHT, /* goes on and off, and lights the room where it is */
    USE_KEY,   /* opens the door `opens`, in one of the rooms that it is between */
    USE_TOLD,  /* everybody in the world is told */
};

struct room_data {
    const char *name;
    const char *text;
    uint8_t exits[DIRECTIONS]; /* rooms */
    bool dark;
    bool end; /* who comes here has reached the end */
};

struct item_data {
    const char *name;
    const char *text;
    const char *used;       /* what its use says; of a light: that it goes on */
    const char *used_again; /* of a light: that it goes off */
    uint8_t home;           /* where it lies at first */
    uint8_t use;
    uint8_t opens;
};

/* Locked at first, from both sides. */
struct door_data {
    uint8_t room;
    uint8_t direction;
};

extern const char *const direction_names[DIRECTIONS];
extern const struct room_data world_rooms[WORLD_ROOMS];
extern const struct item_data world_items[WORLD_ITEMS];
extern const struct door_data world_doors[WORLD_DOORS];

#endif
