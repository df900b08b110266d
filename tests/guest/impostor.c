/* SPDX-License-Identifier: MIT */
/*
 * Serves objects that say they are items of the adventure (tests/qemu/cases/adventure.py): by their key
 * one never answers the world's ticket, one answers without presenting anything, and one forwards the
 * ticket to an item that this program has taken as a player.
 *
 * Holds: serve (Endpoint), world (World), supervisor.
 */
#include "adventure.client.h"
#include "capos/call.h"
#include "capos/serve.h"
#include "capos/start.h"
#include "endpoint.client.h"

enum { MESSAGE_BYTES = 512, SILENT_KEY = 1, LIAR_KEY = 2, REQUESTS = 4 };

static capos_cap_t world;
static capos_cap_t player;
static capos_cap_t taken;

static bool go(const char *direction)
{
    CAPOS_CALL(call, Player, go);
    (void)Player_go_send(&call, player, direction);
    status_t status = capos_wait(&call, CAPOS_FOREVER);
    capos_call_end(&call);
    return status == ST_OK;
}

static bool take_bread(void)
{
    return World_enter(world, "mal", &player) == ST_OK && go("north") && go("west") &&
           Player_take(player, "bread", &taken) == ST_OK;
}

static enum capos_outcome do_present(struct capos_request *req, Item_present_params_r params,
                                     Item_present_results_b results)
{
    uint64_t ticket = Item_present_params_get_ticket(params);
    (void)results;
    if (req->key == SILENT_KEY) {
        return CAPOS_DEFERRED;
    }
    if (req->key == LIAR_KEY) {
        return CAPOS_REPLY;
    }
    if (!take_bread() || Item_present(taken, ticket) != ST_OK) {
        return capos_fail(req, CAPOS_EXC_FAILED, "there is no bread");
    }
    return CAPOS_REPLY;
}

static const struct Item_server operations = {.present = do_present};
static const struct capos_interface interfaces[] = {{Item_ID, Item_dispatch, &operations}};

CAPOS_SERVER_STORAGE(storage, REQUESTS, MESSAGE_BYTES, MESSAGE_BYTES, 0);
static struct capos_server server = {
    .interfaces = interfaces,
    .interface_count = 1,
    .request_count = REQUESTS,
    .params_max_bytes = MESSAGE_BYTES,
    .reply_max_bytes = MESSAGE_BYTES,
};

int capos_main(void)
{
    capos_cap_t endpoint = CAPOS_NEED("serve", Endpoint);
    world = CAPOS_NEED("world", World);
    return capos_serve(&server, endpoint, storage, sizeof(storage));
}
