/* SPDX-License-Identifier: MIT */
/*
 * What is handed to the world: drop and give.
 *
 * A capability that comes with a call does not tell its key. To know which item it is the server calls it:
 * Item.present with a ticket. If it is one of ours, that call comes in here, with its key, before it is
 * answered; if it is somebody else's object, however it answers, no ticket comes.
 *
 *   IDLE -> PRESENTING: the ticket is out, the caller waits   -> IDLE: done, or refused
 *
 * What was handed over is never handed on. It is released, and who gets the item gets a capability made
 * for it, so a stranger's object that forwards the ticket to an item it holds gives that item away and no
 * more. A number is enough as a ticket: who guesses one, and presents an item of its own, loses that.
 *
 * A stranger's object may never answer. The call has a deadline, and holds up its own player only: of each
 * one is under way.
 */
#include "apps/adventure/server.h"
#include "capos/call.h"
#include "lib/base/compiler.h"
#include "lib/base/string.h"
#include "time.client.h"

enum { PRESENT_MS = 2000 };

struct handing {
    struct capos_request *req; /* NULL: idle */
    bool give;
    uint64_t player; /* key */
    uint64_t ticket;
    uint64_t item; /* key, once it was presented; 0 */
    struct capos_call call;
    _Alignas(8) uint8_t params[CAPOS_PARAMS_ROOM(Item_present_MAX_PARAMS_BYTES, 0)];
    _Alignas(8) uint8_t result[CAPOS_RESULTS_STORAGE(Item_present_MAX_RESULTS_BYTES, 0)];
};

static struct handing handings[WORLD_PLAYERS];
static uint64_t tickets;
static capos_cap_t timer;

void hand_begin(capos_cap_t timer_cap)
{
    timer = timer_cap;
}

/* ---- the end ---- */

static enum world_answer give(struct capos_request *req, struct player *player, unsigned item)
{
    Player_give_params_r params;
    if (Player_give_params_read(req->params, req->params_bytes, &params) != CAPNP_OK) {
        return WORLD_NOBODY; /* it could be read when it came */
    }
    struct capnp_text to = Player_give_params_get_to(params);
    return world_send(&world, player, item, to.ptr, to.len);
}

/* The item was presented and is still held by that key. */
static void hand_over(const struct handing *handing, struct player *player, unsigned item)
{
    struct capos_request *req = handing->req;
    const char *name = world_items[item].name;
    enum world_answer answer = WORLD_OK;
    if (handing->give) {
        answer = give(req, player, item);
    } else {
        world_drop(&world, player, item);
    }
    if (answer != WORLD_OK) {
        (void)refuse(req, answer);
        capos_reply(req);
    } else if (handing->give) {
        Player_give_results_set_name(Player_give_results_init(capos_results_builder(req)), name,
                                     strlen(name));
        Player_give_reply(req);
    } else {
        Player_drop_results_set_name(Player_drop_results_init(capos_results_builder(req)), name,
                                     strlen(name));
        Player_drop_reply(req);
    }
}

static void presented(struct capos_op *op)
{
    struct capos_call *call = CONTAINER_OF(op, struct capos_call, op);
    struct handing *handing = CONTAINER_OF(call, struct handing, call);
    struct capos_request *req = handing->req;
    struct player *player = world_player(&world, handing->player);
    unsigned item = handing->item != 0 ? world_item(&world, handing->item) : WORLD_NONE;
    bool timed_out = call->status == ST_TIMED_OUT;
    capos_call_end(call);
    if (player != NULL && item != WORLD_NONE) {
        hand_over(handing, player, item);
    } else {
        capos_fail(req, player != NULL ? CAPOS_EXC_INVALID_ARGUMENT : CAPOS_EXC_DISCONNECTED, "%s",
                   player == NULL ? "nobody holds this player any more"
                   : timed_out    ? "it is no item of this world, and does not answer"
                                  : "it is no item of this world");
        capos_reply(req);
    }
    handing->req = NULL;
    tell_waiting();
}

/* ---- the ticket ---- */

static enum capos_outcome do_present(struct capos_request *req, Item_present_params_r params,
                                     Item_present_results_b results)
{
    uint64_t ticket = Item_present_params_get_ticket(params);
    (void)results;
    for (unsigned i = 0; i < WORLD_PLAYERS; i++) {
        struct handing *handing = &handings[i];
        if (handing->req != NULL && handing->ticket == ticket && handing->item == 0) {
            handing->item = req->key;
            return CAPOS_REPLY;
        }
    }
    return capos_fail(req, CAPOS_EXC_INVALID_ARGUMENT, "the world waits for no such ticket");
}

/* ---- the beginning ---- */

static enum capos_outcome begin(struct capos_request *req, bool is_give, uint16_t index)
{
    const struct player *player = req->object;
    struct handing *handing = &handings[world_place_of(&world, player)];
    capos_cap_t cap = capos_request_cap(req, index, Item_ID);
    uint64_t now_ns = 0;
    if (cap == 0) {
        return capos_fail(req, CAPOS_EXC_INVALID_ARGUMENT, "it is no item of this world");
    }
    if (handing->req != NULL) {
        return capos_fail(req, CAPOS_EXC_OVERLOADED,
                          "this player is handing something over; the item falls to the ground");
    }
    if (Timer_now(timer, &now_ns) != ST_OK) {
        return capos_fail(req, CAPOS_EXC_FAILED, "there is no time");
    }
    *handing = (struct handing){.req = req, .give = is_give, .player = player->key};
    handing->ticket = ++tickets;
    handing->call = (struct capos_call){
        .interface = Item_ID,
        .interface_name = "Item",
        .method_name = "present",
        .method = Item_present_ORDINAL,
        .params = handing->params,
        .params_capacity = Item_present_MAX_PARAMS_BYTES,
        .result = handing->result,
        .result_capacity = (uint32_t)sizeof(handing->result),
        .deadline_ns = now_ns + UINT64_C(1000000) * PRESENT_MS,
    };
    handing->call.op.done = presented;
    (void)Item_present_send(&handing->call, cap, handing->ticket);
    return CAPOS_DEFERRED;
}

enum capos_outcome do_drop(struct capos_request *req, Player_drop_params_r params,
                           Player_drop_results_b results)
{
    (void)results;
    return begin(req, false, Player_drop_params_get_item(params));
}

enum capos_outcome do_give(struct capos_request *req, Player_give_params_r params,
                           Player_give_results_b results)
{
    (void)results;
    return begin(req, true, Player_give_params_get_item(params));
}

/* ---- an item's other methods ---- */

static enum capos_outcome do_describe(struct capos_request *req, Item_describe_params_r params,
                                      Item_describe_results_b results)
{
    const struct item_data *data = &world_items[*(const uint32_t *)req->object];
    (void)params;
    Item_describe_results_set_name(results, data->name, strlen(data->name));
    Item_describe_results_set_text(results, data->text, strlen(data->text));
    return CAPOS_REPLY;
}

static enum capos_outcome do_use(struct capos_request *req, Item_use_params_r params,
                                 Item_use_results_b results)
{
    const char *text = NULL;
    (void)params;
    enum world_answer answer = world_use(&world, *(const uint32_t *)req->object, &text);
    if (answer != WORLD_OK) {
        return refuse(req, answer);
    }
    Item_use_results_set_text(results, text, strlen(text));
    tell_waiting();
    return CAPOS_REPLY;
}

const struct Item_server item_operations = {
    .describe = do_describe,
    .use = do_use,
    .present = do_present,
};
