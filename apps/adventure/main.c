/* SPDX-License-Identifier: MIT */
/*
 * The adventure's server.
 *
 * Holds: serve (Endpoint), timer (Timer), supervisor.
 *
 * Key 1 is the world that the manifest exports; init minted it, so who holds it finds the successor when
 * this process is started anew: the world then begins anew, too, and players and items of before are dead.
 *
 * Every player and every item that is out of the world has a key of its own, above 2^32, none used twice.
 * The kernel tells when the last capability of a key is gone (no_clients), whatever ended it: a release, a
 * kill, a revoke. A player then leaves; an item falls to the ground. So nothing has to be said by who dies.
 * A key that has been given back to the world (drop, give) names nothing, and its end changes nothing.
 */
#include "apps/adventure/server.h"
#include "capos/start.h"
#include "endpoint.client.h"
#include "lib/base/string.h"
#include "time.client.h"

enum {
    EXPORTED_KEY = 1,
    /* Each player may have one call of events, one of receive, and one of drop or give kept; the rest is
     * for calls that are answered at once, of which the server's own is one (hand.c). */
    REQUESTS = 3 * WORLD_PLAYERS + 4,
};

struct world world;

static capos_cap_t endpoint;
static uint64_t last_key = UINT64_C(1) << 32;
static uint32_t items_found[WORLD_ITEMS];

uint64_t new_key(void)
{
    return ++last_key;
}

enum capos_outcome refuse(struct capos_request *req, enum world_answer answer)
{
    enum capos_exception exception = CAPOS_EXC_FAILED;
    if (answer == WORLD_BAD_NAME || answer == WORLD_NO_DIRECTION || answer == WORLD_NO_WAY ||
        answer == WORLD_BAD_TEXT) {
        exception = CAPOS_EXC_INVALID_ARGUMENT;
    } else if (answer == WORLD_FULL) {
        exception = CAPOS_EXC_OVERLOADED;
    }
    return capos_fail(req, exception, "%s", world_answer_text(answer));
}

static enum capos_outcome no_capability(struct capos_request *req, status_t status)
{
    return capos_fail(req, CAPOS_EXC_OVERLOADED,
                      "no capability could be made: %s; try again when others gave theirs up",
                      status_name(status));
}

bool mint_item(struct capos_request *req, uint64_t *key, capos_cap_t *object)
{
    *key = new_key();
    status_t status = Endpoint_mint(endpoint, *key, Item_ID, ITEM_FACET_ALL, TRANSFER_MODE_MOVE,
                                    (enum SessionScope)Item_SESSION_SCOPE, 0, object);
    if (status != ST_OK) {
        (void)no_capability(req, status);
    }
    return status == ST_OK;
}

/* ---- the world's own methods ---- */

static enum capos_outcome do_enter(struct capos_request *req, World_enter_params_r params,
                                   World_enter_results_b results)
{
    struct capnp_text name = World_enter_params_get_name(params);
    struct player *player;
    uint64_t key = new_key();
    enum world_answer answer = world_enter(&world, name.ptr, name.len, key, &player);
    if (answer != WORLD_OK) {
        return refuse(req, answer);
    }
    capos_cap_t object;
    status_t status =
        capos_mint(endpoint, key, Player_ID, PLAYER_FACET_ALL, Player_SESSION_SCOPE, &object);
    if (status != ST_OK) {
        world_leave(&world, player);
        return no_capability(req, status);
    }
    World_enter_results_set_player(results, capos_request_move(req, object));
    tell_waiting();
    return CAPOS_REPLY;
}

static enum capos_outcome do_players(struct capos_request *req, World_players_params_r params,
                                     World_players_results_b results)
{
    (void)req;
    (void)params;
    unsigned count = 0;
    for (unsigned p = 0; p < WORLD_PLAYERS; p++) {
        count += world.players[p].key != 0;
    }
    struct capnp_list_b names = World_players_results_init_players(results, count);
    unsigned at = 0;
    for (unsigned p = 0; p < WORLD_PLAYERS; p++) {
        const struct player *player = &world.players[p];
        if (player->key != 0) {
            capnp_text_list_set(names, at++, player->name, strlen(player->name));
        }
    }
    return CAPOS_REPLY;
}

static const struct World_server world_operations = {.enter = do_enter, .players = do_players};

/* ---- keys ---- */

static bool find(struct capos_request *req)
{
    req->object = NULL;
    if (req->interface == World_ID && req->key == EXPORTED_KEY) {
        req->object = &world;
    } else if (req->interface == Player_ID) {
        req->object = world_player(&world, req->key);
    } else if (req->interface == Item_ID) {
        unsigned item = world_item(&world, req->key);
        if (item != WORLD_NONE) {
            items_found[item] = item;
            req->object = &items_found[item];
        }
    }
    return req->object != NULL;
}

static void no_clients(struct capos_server *server, uint64_t key)
{
    struct player *player = world_player(&world, key);
    (void)server;
    if (player != NULL) {
        end_waiting(world_place_of(&world, player));
        world_leave(&world, player);
    } else {
        world_released(&world, key);
    }
    tell_waiting();
}

static const struct capos_interface interfaces[] = {
    {World_ID, World_dispatch, &world_operations},
    {Player_ID, Player_dispatch, &player_operations},
    {Item_ID, Item_dispatch, &item_operations},
};

CAPOS_SERVER_STORAGE(storage, REQUESTS, MESSAGE_BYTES, MESSAGE_BYTES, 1);
static struct capos_server server = {
    .interfaces = interfaces,
    .interface_count = 3,
    .request_count = REQUESTS,
    .params_max_bytes = MESSAGE_BYTES,
    .reply_max_bytes = MESSAGE_BYTES,
    .caps_max = 1,
    .find = find,
    .no_clients = no_clients,
};

int capos_main(void)
{
    endpoint = CAPOS_NEED("serve", Endpoint);
    hand_begin(CAPOS_NEED("timer", Timer));
    world_begin(&world);
    return capos_serve(&server, endpoint, storage, sizeof(storage));
}
