/* SPDX-License-Identifier: MIT */
/* The verbs. Each is a call or two, and says what came of it. */
#include "apps/adventure-client/game.h"

#include "capos/call.h"
#include "capos/print.h"
#include "capos/ring.h"
#include "lib/base/string.h"

struct game game;

void game_refused(const struct capos_call *call)
{
    char text[200];
    if (call->status == ST_DISCONNECTED ||
        (call->status == ST_EXCEPTION && call->exception == CAPOS_EXC_DISCONNECTED)) {
        game.lost = true;
    } else if (call->status == ST_EXCEPTION) {
        capos_printf("No: %s.\n", capos_call_text(call, text, sizeof(text)));
    } else {
        capos_printf("No: %s\n", capos_explain(call, text, sizeof(text)));
    }
}

/* ---- what is seen ---- */

static void show_list(const char *what, struct capnp_list list)
{
    uint32_t count = capnp_list_len(list);
    for (uint32_t i = 0; i < count; i++) {
        struct capnp_text text = capnp_text_list_at(list, i);
        capos_printf("%s%.*s", i == 0 ? what : ", ", (int)text.len, text.ptr);
    }
    if (count != 0) {
        capos_printf("\n");
    }
}

static void show_view(View_r view)
{
    struct capnp_text room = View_get_room(view);
    struct capnp_text text = View_get_text(view);
    capos_printf("-- %.*s\n%.*s\n", (int)room.len, room.ptr, (int)text.len, text.ptr);
    show_list("Ways: ", View_get_exits(view));
    show_list("Here lies: ", View_get_items(view));
    show_list("Here is: ", View_get_players(view));
}

static void look(void)
{
    CAPOS_CALL(call, Player, look);
    View_r view;
    if (Player_look_send(&call, game.player) == ST_OK &&
        capos_wait(&call, CAPOS_FOREVER) == ST_OK && Player_look_results(&call, &view) == ST_OK) {
        show_view(view);
    } else {
        game_refused(&call);
    }
    capos_call_end(&call);
}

static void go(const char *direction)
{
    CAPOS_CALL(call, Player, go);
    View_r view;
    if (Player_go_send(&call, game.player, direction) == ST_OK &&
        capos_wait(&call, CAPOS_FOREVER) == ST_OK && Player_go_results(&call, &view) == ST_OK) {
        show_view(view);
        if (View_get_finished(view)) {
            capos_printf("You have been at the end.\n");
        }
    } else {
        game_refused(&call);
    }
    capos_call_end(&call);
}

static void players(void)
{
    CAPOS_CALL(call, World, players);
    World_players_results_r results;
    if (World_players_send(&call, game.world) == ST_OK &&
        capos_wait(&call, CAPOS_FOREVER) == ST_OK &&
        World_players_results(&call, &results) == ST_OK) {
        show_list("In the world: ", World_players_results_get_players(results));
    } else {
        game_refused(&call);
    }
    capos_call_end(&call);
}

/* ---- what is held ---- */

static struct held *held(const char *name)
{
    for (unsigned i = 0; i < HELD; i++) {
        if (game.held[i].item != 0 && strcmp(game.held[i].name, name) == 0) {
            return &game.held[i];
        }
    }
    return NULL;
}

/* The item of that name; NULL, and it has said that there is none. */
static struct held *need(const char *name)
{
    struct held *found = held(name);
    if (found == NULL) {
        capos_printf("You have no %s.\n", name);
    }
    return found;
}

void game_hold(const char *name, capos_cap_t item)
{
    for (unsigned i = 0; i < HELD; i++) {
        if (game.held[i].item == 0) {
            game.held[i].item = item;
            (void)str_copy(game.held[i].name, sizeof(game.held[i].name), name);
            return;
        }
    }
    capos_printf("Your hands are full: the %s falls.\n", name);
    capos_release(item);
}

static void let_go(struct held *held)
{
    capos_release(held->item); /* of one that was moved away this does nothing */
    held->item = 0;
}

void game_forget(void)
{
    for (unsigned i = 0; i < HELD; i++) {
        if (game.held[i].item != 0) {
            let_go(&game.held[i]);
        }
    }
    capos_release(game.player);
    game.player = 0;
}

static void inventory(void)
{
    unsigned count = 0;
    for (unsigned i = 0; i < HELD; i++) {
        if (game.held[i].item != 0) {
            capos_printf("%s%s", count++ == 0 ? "You have: " : ", ", game.held[i].name);
        }
    }
    capos_printf(count == 0 ? "You have nothing.\n" : "\n");
}

static void take(const char *name)
{
    CAPOS_CALL(call, Player, take);
    capos_cap_t item = 0;
    Player_take_send(&call, game.player, name);
    if (Player_take_await(&call, &item) == ST_OK) {
        game_hold(name, item);
        capos_printf("You have the %s.\n", name);
    } else {
        game_refused(&call);
    }
    capos_call_end(&call);
}

/* A moved item is the world's if the call was received; what is still ours stays in the list. */
static void handed(const struct capos_call *call, struct held *held, const char *done)
{
    if (call->status == ST_OK) {
        capos_printf("%s", done);
    } else {
        game_refused(call);
    }
    if (call->status == ST_OK || call->status == ST_EXCEPTION) {
        let_go(held);
    }
}

static void drop(const char *name)
{
    struct held *held = need(name);
    if (held == NULL) {
        return;
    }
    CAPOS_CALL(call, Player, drop);
    capos_call_begin(&call, game.player);
    Player_drop_params_set_item(Player_drop_begin(&call), capos_call_move(&call, held->item));
    (void)Player_drop_call(&call);
    handed(&call, held, "It lies on the ground.\n");
    capos_call_end(&call);
}

static void give(const char *name, const char *to)
{
    struct held *held = need(name);
    if (held == NULL) {
        return;
    }
    CAPOS_CALL(call, Player, give);
    capos_call_begin(&call, game.player);
    Player_give_params_b params = Player_give_begin(&call);
    Player_give_params_set_to(params, to, strlen(to));
    Player_give_params_set_item(params, capos_call_move(&call, held->item));
    (void)Player_give_call(&call);
    handed(&call, held, "It is given.\n");
    capos_call_end(&call);
}

static void use(const char *name)
{
    const struct held *held = need(name);
    char text[160];
    if (held == NULL) {
        return;
    }
    CAPOS_CALL(call, Item, use);
    Item_use_send(&call, held->item);
    if (Item_use_await(&call, text, sizeof(text)) == ST_OK) {
        capos_printf("%s\n", text);
    } else {
        game_refused(&call);
    }
    capos_call_end(&call);
}

static void examine(const char *name)
{
    const struct held *held = need(name);
    char is[NAME_BYTES];
    char text[200];
    if (held == NULL) {
        return;
    }
    CAPOS_CALL(call, Item, describe);
    Item_describe_send(&call, held->item);
    if (Item_describe_await(&call, is, sizeof(is), text, sizeof(text)) == ST_OK) {
        capos_printf("%s\n", text);
    } else {
        game_refused(&call);
    }
    capos_call_end(&call);
}

static void say(const char *text)
{
    CAPOS_CALL(call, Player, say);
    Player_say_send(&call, game.player, text);
    if (Player_say_await(&call) == ST_OK) {
        capos_printf("You say it.\n");
    } else {
        game_refused(&call);
    }
    capos_call_end(&call);
}

/* ---- the verbs ---- */

static void help(void)
{
    capos_printf(
        "look, north south east west up down (or n s e w u d), take THING, drop THING,\n"
        "use THING, examine THING, give THING to PLAYER, say TEXT, inventory, players, quit.\n"
        "Ctrl-C ends the game as well: what you hold falls to the ground where you are.\n");
}

static bool is_complete(const struct words *words)
{
    const char *wanted = words_wanted(words->verb);
    const char *last = words->verb == VERB_GIVE  ? words->other
                       : words->verb == VERB_SAY ? words->rest
                                                 : words->thing;
    if (wanted[0] != '\0' && last[0] == '\0') {
        capos_printf("%s %s?\n", words->word, wanted);
        return false;
    }
    return true;
}

static void do_to_thing(const struct words *words)
{
    switch (words->verb) {
    case VERB_GO:
        go(words->thing);
        break;
    case VERB_TAKE:
        take(words->thing);
        break;
    case VERB_DROP:
        drop(words->thing);
        break;
    case VERB_USE:
        use(words->thing);
        break;
    case VERB_EXAMINE:
        examine(words->thing);
        break;
    case VERB_GIVE:
        give(words->thing, words->other);
        break;
    default:
        capos_printf("There is no '%s' here; 'help' lists what there is.\n", words->word);
    }
}

void game_do(const struct words *words)
{
    if (!is_complete(words)) {
        return;
    }
    switch (words->verb) {
    case VERB_NOTHING:
        break;
    case VERB_LOOK:
        look();
        break;
    case VERB_SAY:
        say(words->rest);
        break;
    case VERB_INVENTORY:
        inventory();
        break;
    case VERB_PLAYERS:
        players();
        break;
    case VERB_HELP:
        help();
        break;
    case VERB_QUIT:
        game.over = true;
        break;
    default:
        do_to_thing(words);
    }
}

bool game_enter(void)
{
    CAPOS_CALL(call, World, enter);
    World_enter_send(&call, game.world, game.name);
    bool entered = World_enter_await(&call, &game.player) == ST_OK;
    if (entered) {
        look();
    } else {
        game.player = 0;
        game_refused(&call);
    }
    capos_call_end(&call);
    return entered;
}
