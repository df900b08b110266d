/* SPDX-License-Identifier: MIT */
/* What a player and an item do that is answered at once. */
#include "apps/adventure/server.h"
#include "capos/call.h"
#include "lib/base/fmt.h"
#include "lib/base/string.h"

/* ---- what is seen ---- */

static void set_exits(View_b view, const struct player *player)
{
    const uint8_t *exits = world_rooms[player->room].exits;
    unsigned count = 0;
    bool shown[DIRECTIONS];
    for (unsigned d = 0; d < DIRECTIONS; d++) {
        shown[d] = exits[d] != WORLD_NONE && world_finds(&world, player, d);
        count += shown[d];
    }
    struct capnp_list_b list = View_init_exits(view, count);
    unsigned at = 0;
    for (unsigned d = 0; d < DIRECTIONS; d++) {
        char text[32];
        bool locked = shown[d] && world_door_locked(&world, player->room, d);
        size_t len =
            fmt_format(text, sizeof(text), "%s%s", direction_names[d], locked ? " (locked)" : "");
        if (shown[d]) {
            capnp_text_list_set(list, at++, text, len);
        }
    }
}

static bool lies_here(const struct player *player, unsigned item)
{
    return world.items[item].place == ITEM_HERE && world.items[item].room == player->room &&
           world_sees(&world, player);
}

static void set_items(View_b view, const struct player *player)
{
    unsigned count = 0;
    for (unsigned i = 0; i < WORLD_ITEMS; i++) {
        count += lies_here(player, i);
    }
    struct capnp_list_b list = View_init_items(view, count);
    unsigned at = 0;
    for (unsigned i = 0; i < WORLD_ITEMS; i++) {
        if (lies_here(player, i)) {
            capnp_text_list_set(list, at++, world_items[i].name, strlen(world_items[i].name));
        }
    }
}

static bool is_beside(const struct player *player, const struct player *other)
{
    return other->key != 0 && other != player && other->room == player->room;
}

static void set_players(View_b view, const struct player *player)
{
    unsigned count = 0;
    for (unsigned p = 0; p < WORLD_PLAYERS; p++) {
        count += is_beside(player, &world.players[p]);
    }
    struct capnp_list_b list = View_init_players(view, count);
    unsigned at = 0;
    for (unsigned p = 0; p < WORLD_PLAYERS; p++) {
        const struct player *other = &world.players[p];
        if (is_beside(player, other)) {
            capnp_text_list_set(list, at++, other->name, strlen(other->name));
        }
    }
}

static void set_view(View_b view, const struct player *player)
{
    const struct room_data *room = &world_rooms[player->room];
    const char *text = world_sees(&world, player) ? room->text : "It is dark.";
    View_set_room(view, room->name, strlen(room->name));
    View_set_text(view, text, strlen(text));
    View_set_finished(view, player->finished);
    set_exits(view, player);
    set_items(view, player);
    set_players(view, player);
}

static enum capos_outcome do_look(struct capos_request *req, Player_look_params_r params,
                                  Player_look_results_b results)
{
    (void)params;
    set_view(results, req->object);
    return CAPOS_REPLY;
}

static enum capos_outcome do_go(struct capos_request *req, Player_go_params_r params,
                                Player_go_results_b results)
{
    struct capnp_text direction = Player_go_params_get_direction(params);
    enum world_answer answer = world_go(&world, req->object, direction.ptr, direction.len);
    if (answer != WORLD_OK) {
        return refuse(req, answer);
    }
    set_view(results, req->object);
    tell_waiting();
    return CAPOS_REPLY;
}

/* ---- what is carried ---- */

static enum capos_outcome do_take(struct capos_request *req, Player_take_params_r params,
                                  Player_take_results_b results)
{
    struct capnp_text name = Player_take_params_get_item(params);
    unsigned item;
    enum world_answer answer = world_find(&world, req->object, name.ptr, name.len, &item);
    if (answer != WORLD_OK) {
        return refuse(req, answer);
    }
    uint64_t key;
    capos_cap_t object;
    if (!mint_item(req, &key, &object)) {
        return CAPOS_REPLY;
    }
    world_take(&world, req->object, item, key);
    Player_take_results_set_item(results, capos_request_move(req, object));
    tell_waiting();
    return CAPOS_REPLY;
}

static bool has(unsigned place, unsigned item, enum item_place how)
{
    return world.items[item].player == place && world.items[item].place == how;
}

static unsigned count_of(unsigned place, enum item_place how)
{
    unsigned count = 0;
    for (unsigned i = 0; i < WORLD_ITEMS; i++) {
        count += has(place, i, how);
    }
    return count;
}

static void list_names(struct capnp_list_b list, unsigned place, enum item_place how)
{
    unsigned at = 0;
    for (unsigned i = 0; i < WORLD_ITEMS; i++) {
        if (has(place, i, how)) {
            capnp_text_list_set(list, at++, world_items[i].name, strlen(world_items[i].name));
        }
    }
}

static enum capos_outcome do_inventory(struct capos_request *req, Player_inventory_params_r params,
                                       Player_inventory_results_b results)
{
    unsigned place = world_place_of(&world, req->object);
    (void)params;
    list_names(Player_inventory_results_init_items(results, count_of(place, ITEM_HELD)), place,
               ITEM_HELD);
    list_names(Player_inventory_results_init_waiting(results, count_of(place, ITEM_SENT)), place,
               ITEM_SENT);
    return CAPOS_REPLY;
}

static enum capos_outcome do_say(struct capos_request *req, Player_say_params_r params,
                                 Player_say_results_b results)
{
    struct capnp_text text = Player_say_params_get_text(params);
    (void)results;
    enum world_answer answer = world_say(&world, req->object, text.ptr, text.len);
    if (answer != WORLD_OK) {
        return refuse(req, answer);
    }
    tell_waiting();
    return CAPOS_REPLY;
}

const struct Player_server player_operations = {
    .look = do_look,
    .go = do_go,
    .take = do_take,
    .drop = do_drop,
    .give = do_give,
    .receive = do_receive,
    .inventory = do_inventory,
    .say = do_say,
    .events = do_events,
};
