/* SPDX-License-Identifier: MIT */
#include "apps/adventure/world.h"

#include "lib/base/compiler.h"
#include "lib/base/fmt.h"
#include "lib/base/string.h"

static_assert(WORLD_PLAYERS <= 8, "struct event keeps who saw it in a byte");

enum { EVERYWHERE = WORLD_NONE };

const char *world_answer_text(enum world_answer answer)
{
    static const char *const texts[WORLD_ANSWERS] = {
        [WORLD_OK] = "done",
        [WORLD_BAD_NAME] = "a name of 1 to 15 letters, digits or '-' is needed",
        [WORLD_NAME_TAKEN] = "somebody of that name plays; take another",
        [WORLD_FULL] = "the world is full: 8 players are in it",
        [WORLD_NO_DIRECTION] = "no direction: north, south, east, west, up or down",
        [WORLD_NO_WAY] = "there is no way",
        [WORLD_LOCKED] = "the door is locked; somebody must have its key",
        [WORLD_DARK] =
            "it is dark: without a light only the way back is found, or one that leads to light",
        [WORLD_NOT_HERE] = "no such thing lies here, or it is too dark to see",
        [WORLD_NOBODY] = "nobody of that name is here; it waits for you at 'receive'",
        [WORLD_NO_USE] = "it is of no use here",
        [WORLD_BAD_TEXT] = "1 to 80 bytes can be said, none of them a control byte",
    };
    return answer < WORLD_ANSWERS ? texts[answer] : "?";
}

void world_begin(struct world *world)
{
    memset(world, 0, sizeof(*world));
    for (unsigned i = 0; i < WORLD_ITEMS; i++) {
        world->items[i] = (struct item){.room = world_items[i].home, .player = WORLD_NONE};
    }
}

unsigned world_place_of(const struct world *world, const struct player *player)
{
    return (unsigned)(player - world->players);
}

/* ---- what happens is told to who is there ---- */

static void happens(struct world *world, unsigned room, const struct player *by, const char *format,
                    ...) PRINTF_LIKE(4, 5);

static void happens(struct world *world, unsigned room, const struct player *by, const char *format,
                    ...)
{
    struct event *event = &world->events[world->happened++ % WORLD_EVENTS];
    *event = (struct event){.number = world->happened};
    for (unsigned p = 0; p < WORLD_PLAYERS; p++) {
        const struct player *player = &world->players[p];
        if (player->key != 0 && player != by && (room == EVERYWHERE || player->room == room)) {
            event->seen_by |= (uint8_t)(1u << p);
        }
    }
    va_list args;
    va_start(args, format);
    fmt_vformat(event->text, sizeof(event->text), format, args);
    va_end(args);
}

const struct event *world_event(const struct world *world, const struct player *player,
                                uint64_t after, bool *missed)
{
    uint64_t oldest = world->happened > WORLD_EVENTS ? world->happened - WORLD_EVENTS + 1 : 1;
    uint8_t bit = (uint8_t)(1u << world_place_of(world, player));
    *missed = after != 0 && after < oldest - 1;
    for (uint64_t n = after < oldest ? oldest : after + 1; n != 0 && n <= world->happened; n++) {
        const struct event *event = &world->events[(n - 1) % WORLD_EVENTS];
        if (event->seen_by & bit) {
            return event;
        }
    }
    return NULL;
}

/* ---- light ---- */

static bool lit(const struct world *world, unsigned room)
{
    bool light = !world_rooms[room].dark;
    for (unsigned i = 0; i < WORLD_ITEMS; i++) {
        light = light || (world->items[i].room == room && world->items[i].lit);
    }
    return light;
}

bool world_sees(const struct world *world, const struct player *player)
{
    return lit(world, player->room);
}

bool world_finds(const struct world *world, const struct player *player, unsigned direction)
{
    unsigned room = world_rooms[player->room].exits[direction];
    return world_sees(world, player) ||
           (room != WORLD_NONE && (room == player->before || lit(world, room)));
}

/* ---- players ---- */

static bool is_name(const char *name, size_t len)
{
    bool good = len > 0 && len < WORLD_NAME_BYTES;
    for (size_t i = 0; good && i < len; i++) {
        char c = name[i];
        good =
            (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-';
    }
    return good;
}

static struct player *called(struct world *world, const char *name, size_t len)
{
    for (unsigned p = 0; p < WORLD_PLAYERS; p++) {
        struct player *player = &world->players[p];
        if (player->key != 0 && str_equals(name, len, player->name)) {
            return player;
        }
    }
    return NULL;
}

struct player *world_player(struct world *world, uint64_t key)
{
    for (unsigned p = 0; key != 0 && p < WORLD_PLAYERS; p++) {
        if (world->players[p].key == key) {
            return &world->players[p];
        }
    }
    return NULL;
}

enum world_answer world_enter(struct world *world, const char *name, size_t len, uint64_t key,
                              struct player **out)
{
    if (!is_name(name, len)) {
        return WORLD_BAD_NAME;
    }
    if (called(world, name, len) != NULL) {
        return WORLD_NAME_TAKEN;
    }
    for (unsigned p = 0; p < WORLD_PLAYERS; p++) {
        struct player *player = &world->players[p];
        if (player->key != 0) {
            continue;
        }
        *player = (struct player){.key = key};
        memcpy(player->name, name, len);
        happens(world, player->room, player, "%s enters the world.", player->name);
        *out = player;
        return WORLD_OK;
    }
    return WORLD_FULL;
}

/* A light that lay unlit in the dark could never be found again: it lies where it was at first. */
static void lay(struct world *world, unsigned item)
{
    struct item *it = &world->items[item];
    it->place = ITEM_HERE;
    it->player = WORLD_NONE;
    it->key = 0;
    if (world_items[item].use == USE_LIGHT && !lit(world, it->room)) {
        happens(world, it->room, NULL, "The %s rolls away into the dark.", world_items[item].name);
        it->room = world_items[item].home;
    }
}

static void fall(struct world *world, unsigned item)
{
    happens(world, world->items[item].room, NULL, "The %s falls to the ground.",
            world_items[item].name);
    lay(world, item);
}

void world_leave(struct world *world, struct player *player)
{
    unsigned place = world_place_of(world, player);
    happens(world, player->room, player, "%s leaves the world.", player->name);
    *player = (struct player){0};
    for (unsigned i = 0; i < WORLD_ITEMS; i++) {
        struct item *it = &world->items[i];
        if (it->player == place && it->place == ITEM_SENT) {
            fall(world, i);
        } else if (it->player == place) {
            it->player = WORLD_NONE;
        }
    }
    for (unsigned e = 0; e < WORLD_EVENTS; e++) { /* not for who comes after */
        world->events[e].seen_by &= (uint8_t) ~(1u << place);
    }
}

enum world_answer world_say(struct world *world, struct player *player, const char *text,
                            size_t len)
{
    bool good = len > 0 && len <= WORLD_SAY_BYTES;
    for (size_t i = 0; good && i < len; i++) {
        good = (unsigned char)text[i] >= ' ' && text[i] != 0x7f;
    }
    if (!good) {
        return WORLD_BAD_TEXT;
    }
    happens(world, player->room, player, "%s says: %.*s", player->name, (int)len, text);
    return WORLD_OK;
}

/* ---- ways ---- */

static void move_to(struct world *world, struct player *player, unsigned room)
{
    unsigned place = world_place_of(world, player);
    player->before = player->room;
    player->room = (uint8_t)room;
    player->finished = player->finished || world_rooms[room].end;
    for (unsigned i = 0; i < WORLD_ITEMS; i++) {
        if (world->items[i].player == place) {
            world->items[i].room = (uint8_t)room;
        }
    }
}

enum world_answer world_go(struct world *world, struct player *player, const char *direction,
                           size_t len)
{
    unsigned d = 0;
    while (d < DIRECTIONS && !str_equals(direction, len, direction_names[d])) {
        d++;
    }
    if (d == DIRECTIONS) {
        return WORLD_NO_DIRECTION;
    }
    unsigned room = world_rooms[player->room].exits[d];
    if (!world_finds(world, player, d)) {
        return WORLD_DARK;
    }
    if (room == WORLD_NONE) {
        return WORLD_NO_WAY;
    }
    if (world_door_locked(world, player->room, d)) {
        return WORLD_LOCKED;
    }
    bool first = !player->finished && world_rooms[room].end;
    happens(world, player->room, player, "%s goes %s.", player->name, direction_names[d]);
    move_to(world, player, room);
    happens(world, room, player, "%s comes.", player->name);
    if (first) {
        happens(world, EVERYWHERE, player, "%s has reached the end: the %s.", player->name,
                world_rooms[room].name);
    }
    return WORLD_OK;
}

bool world_door_locked(const struct world *world, unsigned room, unsigned direction)
{
    for (unsigned i = 0; i < WORLD_DOORS; i++) {
        const struct door_data *door = &world_doors[i];
        bool this_side = door->room == room && door->direction == direction;
        bool other_side = world_rooms[door->room].exits[door->direction] == room &&
                          world_rooms[room].exits[direction] == door->room;
        if ((this_side || other_side) && !world->open[i]) {
            return true;
        }
    }
    return false;
}

/* ---- items ---- */

enum world_answer world_find(const struct world *world, const struct player *player,
                             const char *name, size_t len, unsigned *item)
{
    for (unsigned i = 0; i < WORLD_ITEMS; i++) {
        const struct item *it = &world->items[i];
        if (it->place == ITEM_HERE && it->room == player->room &&
            str_equals(name, len, world_items[i].name) && world_sees(world, player)) {
            *item = i;
            return WORLD_OK;
        }
    }
    return WORLD_NOT_HERE;
}

static void hold(struct world *world, const struct player *player, unsigned item, uint64_t key)
{
    struct item *it = &world->items[item];
    it->place = ITEM_HELD;
    it->player = (uint8_t)world_place_of(world, player);
    it->room = player->room;
    it->key = key;
}

void world_take(struct world *world, struct player *player, unsigned item, uint64_t key)
{
    hold(world, player, item, key);
    happens(world, player->room, player, "%s takes the %s.", player->name, world_items[item].name);
}

unsigned world_item(const struct world *world, uint64_t key)
{
    for (unsigned i = 0; i < WORLD_ITEMS; i++) {
        if (world->items[i].place == ITEM_HELD && world->items[i].key == key) {
            return i;
        }
    }
    return WORLD_NONE;
}

void world_drop(struct world *world, struct player *player, unsigned item)
{
    happens(world, player->room, player, "%s drops the %s.", player->name, world_items[item].name);
    world->items[item].room = player->room;
    lay(world, item);
}

enum world_answer world_send(struct world *world, struct player *player, unsigned item,
                             const char *to, size_t len)
{
    struct item *it = &world->items[item];
    const struct player *receiver = called(world, to, len);
    bool here = receiver != NULL && receiver->room == player->room;
    it->place = ITEM_SENT;
    it->player = (uint8_t)world_place_of(world, here ? receiver : player);
    it->room = player->room;
    it->key = 0;
    it->sent_at = ++world->sent;
    memcpy(it->sender, player->name, sizeof(it->sender));
    if (here) {
        happens(world, player->room, player, "%s gives the %s to %s.", player->name,
                world_items[item].name, receiver->name);
    }
    return here ? WORLD_OK : WORLD_NOBODY;
}

unsigned world_waiting(const struct world *world, const struct player *player)
{
    unsigned found = WORLD_NONE;
    for (unsigned i = 0; i < WORLD_ITEMS; i++) {
        const struct item *it = &world->items[i];
        if (it->place == ITEM_SENT && it->player == world_place_of(world, player) &&
            (found == WORLD_NONE || it->sent_at < world->items[found].sent_at)) {
            found = i;
        }
    }
    return found;
}

void world_receive(struct world *world, struct player *player, unsigned item, uint64_t key)
{
    hold(world, player, item, key);
}

void world_released(struct world *world, uint64_t key)
{
    unsigned item = world_item(world, key);
    if (item != WORLD_NONE) {
        fall(world, item);
    }
}

/* ---- use ---- */

static enum world_answer turn_key(struct world *world, unsigned item)
{
    unsigned opens = world_items[item].opens;
    const struct door_data *door = &world_doors[opens];
    unsigned room = world->items[item].room;
    bool at_door = room == door->room || room == world_rooms[door->room].exits[door->direction];
    if (!at_door || world->open[opens]) {
        return WORLD_NO_USE;
    }
    world->open[opens] = true;
    return WORLD_OK;
}

enum world_answer world_use(struct world *world, unsigned item, const char **text)
{
    const struct item_data *data = &world_items[item];
    struct item *it = &world->items[item];
    enum world_answer answer = data->use == USE_NONE ? WORLD_NO_USE : WORLD_OK;
    *text = data->used;
    if (data->use == USE_LIGHT) {
        it->lit = !it->lit;
        *text = it->lit ? data->used : data->used_again;
    } else if (data->use == USE_KEY) {
        answer = turn_key(world, item);
    }
    if (answer == WORLD_OK) {
        const struct player *by = it->player != WORLD_NONE ? &world->players[it->player] : NULL;
        happens(world, data->use == USE_TOLD ? EVERYWHERE : it->room, by, "%s", *text);
    }
    return answer;
}
