/* SPDX-License-Identifier: MIT */
/* The world of the adventure, without its server: where things are, whatever is done and whoever goes. */
#include "tests/unit/test.h"

#include "apps/adventure-client/words.h"
#include "apps/adventure/world.h"

static struct world world;
static uint64_t keys;

static struct player *enter(const char *name)
{
    struct player *player = NULL;
    CHECK_EQ(world_enter(&world, name, strlen(name), ++keys, &player), WORLD_OK);
    return player;
}

static enum world_answer go(struct player *player, const char *direction)
{
    return world_go(&world, player, direction, strlen(direction));
}

static void walk(struct player *player, const char *const *way)
{
    for (; *way != NULL; way++) {
        CHECK_EQ(go(player, *way), WORLD_OK);
    }
}
#define WALK(player, ...) walk(player, (const char *const[]){__VA_ARGS__, NULL})

/* The key under which it is held. */
static uint64_t take(struct player *player, const char *name)
{
    unsigned item = WORLD_NONE;
    CHECK_EQ(world_find(&world, player, name, strlen(name), &item), WORLD_OK);
    if (item == WORLD_NONE) {
        return 0;
    }
    world_take(&world, player, item, ++keys);
    return keys;
}

static enum world_answer use(uint64_t key)
{
    const char *text;
    return world_use(&world, world_item(&world, key), &text);
}

static enum world_answer give(struct player *player, uint64_t key, const char *to)
{
    return world_send(&world, player, world_item(&world, key), to, strlen(to));
}

static enum item_place place(unsigned item)
{
    return (enum item_place)world.items[item].place;
}

/* ---- the table ---- */

static bool leads(unsigned from, unsigned to)
{
    for (unsigned d = 0; d < DIRECTIONS; d++) {
        if (world_rooms[from].exits[d] == to) {
            return true;
        }
    }
    return false;
}

TEST(adventure_table,
     "the table of places holds together: ways lead back, names are their own, all can be reached")
{
    bool reached[WORLD_ROOMS] = {true};
    for (unsigned round = 0; round < WORLD_ROOMS; round++) {
        for (unsigned r = 0; r < WORLD_ROOMS; r++) {
            for (unsigned d = 0; reached[r] && d < DIRECTIONS; d++) {
                unsigned to = world_rooms[r].exits[d];
                CHECK(to == WORLD_NONE || (to < WORLD_ROOMS && leads(to, r)));
                reached[to < WORLD_ROOMS ? to : r] = true;
            }
        }
    }
    unsigned ends = 0;
    for (unsigned r = 0; r < WORLD_ROOMS; r++) {
        CHECK(reached[r]);
        ends += world_rooms[r].end;
    }
    CHECK_EQ(ends, 1);
    CHECK(!world_rooms[0].dark);
    for (unsigned i = 0; i < WORLD_ITEMS; i++) {
        CHECK(world_items[i].home < WORLD_ROOMS && strlen(world_items[i].name) < 16);
        CHECK((world_items[i].use == USE_NONE) == (world_items[i].used == NULL));
        CHECK((world_items[i].use == USE_KEY) == (world_items[i].opens < WORLD_DOORS));
        for (unsigned j = 0; j < i; j++) {
            CHECK(strcmp(world_items[i].name, world_items[j].name) != 0);
        }
    }
}

TEST(adventure_won,
     "with the lamp to the key, with the key through the door: the end can be reached")
{
    world_begin(&world);
    struct player *ann = enter("ann");
    WALK(ann, "north", "west");
    uint64_t lamp = take(ann, "lamp");
    CHECK_EQ(use(lamp), WORLD_OK);
    WALK(ann, "down", "east");
    uint64_t key = take(ann, "key");
    CHECK_EQ(use(key), WORLD_NO_USE); /* no door here */
    WALK(ann, "west", "up", "east");
    CHECK_EQ(go(ann, "up"), WORLD_LOCKED);
    CHECK_EQ(use(key), WORLD_OK);
    CHECK_EQ(use(key), WORLD_NO_USE); /* it is open */
    CHECK(!ann->finished);
    WALK(ann, "up", "up");
    CHECK(ann->finished);
}

/* ---- refusals ---- */

TEST(adventure_dark, "in the dark nothing is seen or taken and only the way back is found, until a "
                     "lit lamp is there, whoever has it")
{
    world_begin(&world);
    struct player *ann = enter("ann");
    struct player *bo = enter("bo");
    unsigned item;
    WALK(ann, "north", "west");
    uint64_t lamp = take(ann, "lamp");
    WALK(ann, "down");
    CHECK(!world_sees(&world, ann));
    CHECK_EQ(go(ann, "east"), WORLD_DARK);
    CHECK_EQ(go(ann, "west"), WORLD_DARK); /* not even that there is none */
    CHECK_EQ(use(lamp), WORLD_OK);
    WALK(ann, "east");
    CHECK_EQ(world_find(&world, ann, "key", 3, &item), WORLD_OK);
    CHECK_EQ(use(lamp), WORLD_OK); /* out */
    CHECK_EQ(world_find(&world, ann, "key", 3, &item), WORLD_NOT_HERE);
    CHECK_EQ(use(lamp), WORLD_OK);
    world_drop(&world, ann, world_item(&world, lamp)); /* it burns where it lies */
    WALK(bo, "north", "west", "down");
    CHECK(!world_sees(&world, bo));
    WALK(ann, "west"); /* the lamp is a room away */
    CHECK(!world_sees(&world, ann));
    WALK(bo, "east"); /* and shows the way */
    CHECK(world_sees(&world, bo));
}

TEST(adventure_light, "a light that is out does not come to lie in the dark, where nobody could "
                      "find it: it is at home again")
{
    world_begin(&world);
    struct player *ann = enter("ann");
    WALK(ann, "north", "west");
    uint64_t lamp = take(ann, "lamp");
    uint64_t bread = take(ann, "bread");
    unsigned bread_item = world_item(&world, bread);
    unsigned item = world_item(&world, lamp);
    WALK(ann, "down");
    world_released(&world, bread);
    CHECK_STR_EQ(world_rooms[world.items[bread_item].room].name, "cellar");
    world_released(&world, lamp);
    CHECK_EQ(place(item), ITEM_HERE);
    CHECK_EQ(world.items[item].room, world_items[item].home);
    WALK(ann, "up");
    lamp = take(ann, "lamp");
    CHECK_EQ(use(lamp), WORLD_OK);
    WALK(ann, "down");
    world_released(&world, lamp);
    CHECK_STR_EQ(world_rooms[world.items[item].room].name, "cellar");
    CHECK(world_sees(&world, ann));
}

TEST(adventure_refused, "what cannot be is refused and changes nothing")
{
    world_begin(&world);
    struct player *ann = enter("ann");
    struct player *other = ann;
    struct world before = world;
    unsigned item;
    CHECK_EQ(world_enter(&world, "ann", 3, 99, &other), WORLD_NAME_TAKEN);
    CHECK_EQ(world_enter(&world, "", 0, 99, &other), WORLD_BAD_NAME);
    CHECK_EQ(world_enter(&world, "0123456789abcdef", 16, 99, &other), WORLD_BAD_NAME);
    CHECK_EQ(world_enter(&world, "a b", 3, 99, &other), WORLD_BAD_NAME);
    CHECK_EQ(go(ann, "sideways"), WORLD_NO_DIRECTION);
    CHECK_EQ(go(ann, "south"), WORLD_NO_WAY);
    CHECK_EQ(world_find(&world, ann, "lamp", 4, &item), WORLD_NOT_HERE);
    CHECK_EQ(world_say(&world, ann, "", 0), WORLD_BAD_TEXT);
    CHECK_EQ(world_say(&world, ann, "a\x1b[2J", 5), WORLD_BAD_TEXT);
    CHECK_EQ(world_item(&world, 12345), WORLD_NONE);
    world_released(&world, 12345);
    CHECK_MEM_EQ(&before, &world, sizeof(world));
    char name[] = "p0";
    for (unsigned p = 1; p < WORLD_PLAYERS; p++) {
        name[1] = (char)('0' + p);
        (void)enter(name);
    }
    before = world;
    CHECK_EQ(world_enter(&world, "more", 4, 99, &other), WORLD_FULL);
    CHECK_MEM_EQ(&before, &world, sizeof(world));
}

/* ---- from hand to hand ---- */

TEST(adventure_given, "an item that is given has a new key, and the old one names nothing")
{
    world_begin(&world);
    struct player *ann = enter("ann");
    struct player *bo = enter("bo");
    WALK(ann, "north", "west");
    WALK(bo, "north", "west");
    uint64_t lamp = take(ann, "lamp");
    uint64_t bread = take(ann, "bread");
    unsigned item = world_item(&world, lamp);
    CHECK_EQ(give(ann, bread, "bo"), WORLD_OK);
    CHECK_EQ(give(ann, lamp, "bo"), WORLD_OK);
    CHECK_EQ(world_item(&world, lamp), WORLD_NONE);
    world_released(&world, lamp); /* what came with the call is let go: nothing falls */
    CHECK_EQ(place(item), ITEM_SENT);
    unsigned first = world_waiting(&world, bo);
    CHECK_STR_EQ(world_items[first].name, "bread"); /* in the order it was given */
    world_receive(&world, bo, first, ++keys);
    CHECK_EQ(world_waiting(&world, bo), item);
    CHECK_STR_EQ(world.items[item].sender, "ann");
    world_receive(&world, bo, item, ++keys);
    CHECK_EQ(world_item(&world, keys), item);
    CHECK_EQ(world_waiting(&world, bo), WORLD_NONE);
}

TEST(adventure_not_given, "what nobody here can be given waits for who gave it")
{
    world_begin(&world);
    struct player *ann = enter("ann");
    (void)enter("bo"); /* at the gate */
    WALK(ann, "north", "west");
    uint64_t lamp = take(ann, "lamp");
    unsigned item = world_item(&world, lamp);
    CHECK_EQ(give(ann, lamp, "bo"), WORLD_NOBODY);
    CHECK_EQ(place(item), ITEM_SENT);
    CHECK_EQ(world_waiting(&world, ann), item);
}

TEST(adventure_left,
     "who leaves loses nothing of the world's: what waited falls, what is held stays its holder's")
{
    world_begin(&world);
    struct player *ann = enter("ann");
    struct player *bo = enter("bo");
    WALK(ann, "north", "west");
    WALK(bo, "north", "west");
    uint64_t lamp = take(ann, "lamp");
    uint64_t bread = take(ann, "bread");
    unsigned lamp_item = world_item(&world, lamp);
    unsigned bread_item = world_item(&world, bread);
    CHECK_EQ(give(ann, bread, "bo"), WORLD_OK);
    WALK(bo, "east");
    world_leave(&world, bo);
    CHECK_EQ(place(bread_item), ITEM_HERE);
    CHECK_STR_EQ(world_rooms[world.items[bread_item].room].name, "hall"); /* where bo was */
    world_leave(&world, ann);
    CHECK_EQ(world_item(&world, lamp), lamp_item); /* the capability is still somebody's */
    struct player *next = enter("cy");             /* in ann's place */
    WALK(next, "north");
    CHECK_STR_EQ(world_rooms[world.items[lamp_item].room].name, "kitchen"); /* it does not follow */
    world_released(&world, lamp);
    CHECK_EQ(place(lamp_item), ITEM_HERE);
    CHECK_STR_EQ(world_rooms[world.items[lamp_item].room].name, "kitchen");
}

/* ---- what happened ---- */

TEST(adventure_events,
     "what happens is told once to who was there, not to who did it, and not to who comes after")
{
    world_begin(&world);
    struct player *ann = enter("ann");
    bool missed;
    CHECK(world_event(&world, ann, 0, &missed) == NULL);
    struct player *bo = enter("bo");
    const struct event *event = world_event(&world, ann, 0, &missed);
    REQUIRE(event != NULL);
    CHECK_STR_EQ(event->text, "bo enters the world.");
    CHECK(world_event(&world, ann, event->number, &missed) == NULL);
    CHECK(world_event(&world, bo, 0, &missed) == NULL);
    CHECK_EQ(world_say(&world, bo, "hello", 5), WORLD_OK);
    event = world_event(&world, ann, event->number, &missed);
    REQUIRE(event != NULL);
    CHECK_STR_EQ(event->text, "bo says: hello");
    uint64_t last = event->number;
    WALK(bo, "north", "south");
    event = world_event(&world, ann, last, &missed);
    REQUIRE(event != NULL);
    CHECK_STR_EQ(event->text, "bo goes north.");
    world_leave(&world, ann);
    struct player *cy = enter("cy");
    CHECK_EQ(world_place_of(&world, cy), 0);
    CHECK(world_event(&world, cy, 0, &missed) == NULL);
}

TEST(adventure_forgotten, "of more events than are kept the oldest are forgotten, and that is told")
{
    world_begin(&world);
    struct player *ann = enter("ann");
    struct player *bo = enter("bo");
    bool missed;
    for (unsigned i = 0; i < WORLD_EVENTS; i++) {
        CHECK_EQ(world_say(&world, bo, "more", 4), WORLD_OK);
    }
    const struct event *event = world_event(&world, ann, 1, &missed);
    REQUIRE(event != NULL);
    CHECK(missed);
    CHECK_EQ(event->number, 3);
    (void)world_event(&world, ann, 2, &missed);
    CHECK(!missed);
}

/* ---- whatever is done ---- */

enum { STEPS = 200000 };

static uint64_t state;

static unsigned draw(unsigned below)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (unsigned)((state * UINT64_C(0x2545f4914f6cdd1d)) >> 33) % below;
}

/* A model beside the world: which capabilities are out, and for which item each was made. */
static uint64_t out_key[WORLD_ITEMS];

static void check_places(void)
{
    for (unsigned i = 0; i < WORLD_ITEMS; i++) {
        const struct item *item = &world.items[i];
        unsigned found = 0;
        for (unsigned r = 0; r < WORLD_ROOMS; r++) {
            found += item->place == ITEM_HERE && item->room == r;
        }
        for (unsigned p = 0; p < WORLD_PLAYERS; p++) {
            const struct player *player = &world.players[p];
            bool is_his = item->player == p && item->place != ITEM_HERE;
            CHECK(!is_his || (player->key != 0 && player->room == item->room));
            found += item->place == ITEM_SENT && is_his;
        }
        found += item->place == ITEM_HELD && out_key[i] == item->key;
        CHECK_EQ(found, 1);
        CHECK_EQ(item->place == ITEM_HELD, out_key[i] != 0);
        CHECK_EQ(out_key[i] != 0 ? world_item(&world, out_key[i]) : i, i);
    }
}

static void act_with_item(struct player *player, unsigned item)
{
    const char *text;
    if (out_key[item] == 0) {
        unsigned found;
        const char *name = world_items[item].name;
        unsigned waits = world_waiting(&world, player);
        if (waits != WORLD_NONE && draw(2) == 0) {
            world_receive(&world, player, waits, out_key[waits] = ++keys);
        } else if (world_find(&world, player, name, strlen(name), &found) == WORLD_OK) {
            CHECK_EQ(found, item);
            world_take(&world, player, item, out_key[item] = ++keys);
        }
        return;
    }
    uint64_t key = out_key[item];
    switch (draw(16)) {
    case 0: /* whoever holds it may have got it by another way than from the world */
        world_drop(&world, player, item);
        out_key[item] = 0;
        break;
    case 1: {
        const char *to = world.players[draw(WORLD_PLAYERS)].name;
        (void)world_send(&world, player, item, to, strlen(to));
        out_key[item] = 0;
        break;
    }
    case 2:
        out_key[item] = 0;
        break;
    default:
        (void)world_use(&world, item, &text);
        return;
    }
    world_released(&world, key); /* of one that was handed back: changes nothing */
}

static void random_step(void)
{
    unsigned p = draw(WORLD_PLAYERS);
    struct player *player = &world.players[p];
    unsigned what = draw(256);
    if (player->key == 0) {
        char name[4] = {'p', (char)('0' + p), 0, 0};
        struct player *entered;
        (void)world_enter(&world, name, 2, ++keys, &entered);
    } else if (what == 0) {
        world_leave(&world, player);
    } else if (what < 128) {
        const char *direction = direction_names[draw(DIRECTIONS)];
        (void)world_go(&world, player, direction, strlen(direction));
    } else {
        act_with_item(player, draw(WORLD_ITEMS));
    }
}

TEST(adventure_random,
     "whatever is done, whoever leaves and whatever is let go: each item is in exactly one place")
{
    for (unsigned seed = 1; seed <= 4 && test_failures == 0; seed++) {
        state = seed * UINT64_C(0x9e3779b97f4a7c15);
        world_begin(&world);
        memset(out_key, 0, sizeof(out_key));
        unsigned finished = 0;
        for (unsigned i = 0; i < STEPS && test_failures == 0; i++) {
            random_step();
            check_places();
            for (unsigned p = 0; p < WORLD_PLAYERS; p++) {
                finished += world.players[p].finished;
            }
        }
        CHECK(finished > 0); /* it never came to where the end could not be reached */
    }
}

/* ---- what is typed ---- */

static void check_words(const char *line, enum verb verb, const char *thing, const char *other)
{
    struct words words;
    words_read(line, strlen(line), &words);
    CHECK_EQ(words.verb, verb);
    CHECK_STR_EQ(words.thing, thing);
    CHECK_STR_EQ(words.other, other);
}

TEST(adventure_words, "what is typed is taken apart, however long it is")
{
    check_words("", VERB_NOTHING, "", "");
    check_words("   ", VERB_NOTHING, "", "");
    check_words("dance", VERB_UNKNOWN, "", "");
    check_words("go north", VERB_GO, "north", "");
    check_words(" go  n", VERB_GO, "north", "");
    check_words("d", VERB_GO, "down", "");
    check_words("go take", VERB_GO, "take", "");
    check_words("take the lamp", VERB_TAKE, "lamp", "");
    check_words("give lamp to bo", VERB_GIVE, "lamp", "bo");
    check_words("give the lamp bo", VERB_GIVE, "lamp", "bo");
    check_words("give lamp", VERB_GIVE, "lamp", "");
    check_words("take 0123456789012345678901234567890123456789", VERB_TAKE,
                "0123456789012345678901234567890", "");
    struct words words;
    words_read("say hello  there", 16, &words);
    CHECK_EQ(words.verb, VERB_SAY);
    CHECK_STR_EQ(words.rest, "hello  there");
}
