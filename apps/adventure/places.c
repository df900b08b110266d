/* SPDX-License-Identifier: MIT */
/*
 *                     library                      tower top
 *                        |                             | up
 *   kitchen -- hall -----+  (east)                   stairs
 *      |        |  \________________ up, locked ________/
 *    down      gate
 *    cellar -- crypt        (both dark)
 */
#include "apps/adventure/places.h"

enum { GATE, HALL, KITCHEN, CELLAR, CRYPT, LIBRARY, STAIRS, TOP };

enum { NOT = WORLD_NONE };

#define EXITS(north, south, east, west, up, down) \
    { \
        north, south, east, west, up, down \
    }

const char *const direction_names[DIRECTIONS] = {"north", "south", "east", "west", "up", "down"};

const struct room_data world_rooms[WORLD_ROOMS] = {
    [GATE] = {.name = "gate",
              .text = "Rain. Before you a gate stands open, and behind it a hall.",
              .exits = EXITS(HALL, NOT, NOT, NOT, NOT, NOT)},
    [HALL] = {.name = "hall",
              .text = "A hall with a cold hearth. Stairs lead up to a door of iron.",
              .exits = EXITS(NOT, GATE, LIBRARY, KITCHEN, STAIRS, NOT)},
    [KITCHEN] = {.name = "kitchen",
                 .text = "Copper pans, and a trapdoor to the cellar.",
                 .exits = EXITS(NOT, NOT, HALL, NOT, NOT, CELLAR)},
    [CELLAR] = {.name = "cellar",
                .text = "Barrels. An arch in the east is bricked up but for a gap.",
                .exits = EXITS(NOT, NOT, CRYPT, NOT, KITCHEN, NOT),
                .dark = true},
    [CRYPT] = {.name = "crypt",
               .text = "A stone table with nobody on it. It was a short way to go, after all.",
               .exits = EXITS(NOT, NOT, NOT, CELLAR, NOT, NOT),
               .dark = true},
    [LIBRARY] = {.name = "library",
                 .text = "Shelves up to the ceiling, most of them empty.",
                 .exits = EXITS(NOT, NOT, NOT, HALL, NOT, NOT)},
    [STAIRS] = {.name = "stairs",
                .text = "Round and round inside the tower.",
                .exits = EXITS(NOT, NOT, NOT, NOT, TOP, HALL)},
    [TOP] = {.name = "tower top",
             .text = "The sky is clear up here, and one sees as far as the sea. This is the end.",
             .exits = EXITS(NOT, NOT, NOT, NOT, NOT, STAIRS),
             .end = true},
};

const struct item_data world_items[WORLD_ITEMS] = {
    {.name = "lamp",
     .text = "A storm lamp, half full of oil.",
     .used = "The lamp burns.",
     .used_again = "The lamp goes out.",
     .home = KITCHEN,
     .use = USE_LIGHT,
     .opens = NOT},
    {.name = "key",
     .text = "An iron key, as long as a hand.",
     .used = "The key turns. The iron door is open.",
     .home = CRYPT,
     .use = USE_KEY,
     .opens = 0},
    {.name = "book",
     .text = "It says: what lies in the crypt opens the tower; take a light.",
     .home = LIBRARY,
     .opens = NOT},
    {.name = "bread",
     .text = "A loaf. It was fresh some weeks ago.",
     .home = KITCHEN,
     .opens = NOT},
    {.name = "bell",
     .text = "A hand bell. They will hear it down to the cellar.",
     .used = "A bell rings, near or far.",
     .home = TOP,
     .use = USE_TOLD,
     .opens = NOT},
};

const struct door_data world_doors[WORLD_DOORS] = {{HALL, UP}};
