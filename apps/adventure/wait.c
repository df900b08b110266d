/* SPDX-License-Identifier: MIT */
/* Calls that wait: of each player one for events and one for what is given to it. A later one takes the
 * earlier's place, for of a caller that has ended nothing is heard while others hold the same player. */
#include "apps/adventure/server.h"
#include "lib/base/string.h"

enum { LINES = 8 };

static struct capos_request *event_waiters[WORLD_PLAYERS];
static struct capos_request *receivers[WORLD_PLAYERS];

static void end(struct capos_request **kept, enum capos_exception exception, const char *why)
{
    struct capos_request *req = *kept;
    *kept = NULL;
    if (req != NULL) {
        capos_fail(req, exception, "%s", why);
        capos_reply(req);
    }
}

void end_waiting(unsigned place)
{
    end(&event_waiters[place], CAPOS_EXC_DISCONNECTED, "nobody holds this player any more");
    end(&receivers[place], CAPOS_EXC_DISCONNECTED, "nobody holds this player any more");
}

static enum capos_outcome keep(struct capos_request *req, struct capos_request **kept)
{
    end(kept, CAPOS_EXC_OVERLOADED, "a later one took its place");
    *kept = req;
    return CAPOS_DEFERRED;
}

/* ---- events ---- */

/* Fills in what the player saw since `after`; false: nothing. */
static bool set_events(const struct player *player, uint64_t after, Player_events_results_b results)
{
    const struct event *seen[LINES];
    unsigned count = 0;
    bool missed;
    bool ignored;
    uint64_t last = after;
    const struct event *event = world_event(&world, player, after, &missed);
    while (event != NULL && count < LINES) {
        seen[count++] = event;
        last = event->number;
        event = world_event(&world, player, last, &ignored);
    }
    if (count == 0) {
        return false;
    }
    struct capnp_list_b lines = Player_events_results_init_lines(results, count);
    for (unsigned i = 0; i < count; i++) {
        capnp_text_list_set(lines, i, seen[i]->text, strlen(seen[i]->text));
    }
    Player_events_results_set_last(results, last);
    Player_events_results_set_missed(results, missed);
    return true;
}

enum capos_outcome do_events(struct capos_request *req, Player_events_params_r params,
                             Player_events_results_b results)
{
    const struct player *player = req->object;
    uint64_t after = Player_events_params_get_after(params);
    if (after > world.happened) {
        return capos_fail(req, CAPOS_EXC_INVALID_ARGUMENT, "nothing of that number has happened");
    }
    if (set_events(player, after, results)) {
        return CAPOS_REPLY;
    }
    return keep(req, &event_waiters[world_place_of(&world, player)]);
}

static void tell_events(unsigned place)
{
    struct capos_request *req = event_waiters[place];
    Player_events_params_r params;
    bool ignored;
    if (req == NULL ||
        Player_events_params_read(req->params, req->params_bytes, &params) != CAPNP_OK) {
        return;
    }
    uint64_t after = Player_events_params_get_after(params);
    if (world_event(&world, &world.players[place], after, &ignored) == NULL) {
        return;
    }
    event_waiters[place] = NULL;
    (void)set_events(&world.players[place], after,
                     Player_events_results_init(capos_results_builder(req)));
    Player_events_reply(req);
}

/* ---- what was given ---- */

/* Hands over what has waited longest. When that cannot be, the request says why, and it waits on. */
static void set_received(struct capos_request *req, unsigned item, Player_receive_results_b results)
{
    struct player *player = req->object;
    const struct item *it = &world.items[item];
    uint64_t key;
    capos_cap_t object;
    if (mint_item(req, &key, &object)) {
        world_receive(&world, player, item, key);
        Player_receive_results_set_item(results, capos_request_move(req, object));
        Player_receive_results_set_name(results, world_items[item].name,
                                        strlen(world_items[item].name));
        Player_receive_results_set_sender(results, it->sender, strlen(it->sender));
    }
}

enum capos_outcome do_receive(struct capos_request *req, Player_receive_params_r params,
                              Player_receive_results_b results)
{
    const struct player *player = req->object;
    (void)params;
    unsigned item = world_waiting(&world, player);
    if (item == WORLD_NONE) {
        return keep(req, &receivers[world_place_of(&world, player)]);
    }
    set_received(req, item, results);
    return CAPOS_REPLY;
}

static void tell_receiver(unsigned place)
{
    struct capos_request *req = receivers[place];
    unsigned item = req != NULL ? world_waiting(&world, &world.players[place]) : WORLD_NONE;
    if (item == WORLD_NONE) {
        return;
    }
    receivers[place] = NULL;
    set_received(req, item, Player_receive_results_init(capos_results_builder(req)));
    if (req->exception != CAPOS_EXC_NONE) {
        capos_reply(req);
    } else {
        Player_receive_reply(req);
    }
}

void tell_waiting(void)
{
    for (unsigned place = 0; place < WORLD_PLAYERS; place++) {
        tell_events(place);
        tell_receiver(place);
    }
}
