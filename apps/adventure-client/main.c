/* SPDX-License-Identifier: MIT */
/*
 * Plays the adventure: a line typed is a thing done; what others do is shown as it comes.
 *
 * Holds: world (World), stdio.
 *
 * Three calls wait at the same time, each with its own callback: for a line, for events, for what is
 * given. When the world's server ends, the player and the items are dead, and the waiting calls say so at
 * once; the world itself is found again by the same capability, and it is entered again under the same
 * name. When this program ends, however, nothing needs to be said: the kernel tells the server.
 */
#include "apps/adventure-client/game.h"
#include "bytestream.client.h"
#include "capos/call.h"
#include "capos/lines.h"
#include "capos/print.h"
#include "capos/ring.h"
#include "capos/start.h"
#include "lib/base/string.h"

CAPOS_CALL_STATIC(events_call, Player, events);
CAPOS_CALL_STATIC(receive_call, Player, receive);

static uint64_t seen; /* the last event */

/* From when the call is made until its callback runs: which may be long after it has ended, for while a
 * verb waits for its own call no callbacks run. */
static bool awaiting_events;
static bool awaiting_gifts;

/* ---- what others do ---- */

static void events_came(struct capos_op *op);
static void received(struct capos_op *op);

static void wait_for_events(void)
{
    awaiting_events = true;
    capos_call_begin(&events_call, game.player);
    Player_events_params_set_after(Player_events_begin(&events_call), seen);
    events_call.op.done = events_came;
    (void)Player_events_submit(&events_call);
}

static void wait_for_gifts(void)
{
    awaiting_gifts = true;
    capos_call_begin(&receive_call, game.player);
    receive_call.op.done = received;
    (void)Player_receive_begin(&receive_call);
    (void)Player_receive_submit(&receive_call);
}

/* One that was refused, for want of room or because somebody else waits with the same player, is tried again
 * with the next line, not at once. */
static void keep_waiting(void)
{
    bool plays = game.player != 0 && !game.lost && !game.over;
    if (plays && !awaiting_events) {
        wait_for_events();
    }
    if (plays && !awaiting_gifts) {
        wait_for_gifts();
    }
}

static void show_events(Player_events_results_r results)
{
    struct capnp_list lines = Player_events_results_get_lines(results);
    if (Player_events_results_get_missed(results)) {
        capos_printf("* (some of what happened was missed)\n");
    }
    for (uint32_t i = 0; i < capnp_list_len(lines); i++) {
        struct capnp_text text = capnp_text_list_at(lines, i);
        capos_printf("* %.*s\n", (int)text.len, text.ptr);
    }
    capos_print_flush();
}

static void events_came(struct capos_op *op)
{
    Player_events_results_r results;
    (void)op;
    awaiting_events = false;
    if (events_call.status == ST_OK && Player_events_results(&events_call, &results) == ST_OK) {
        seen = Player_events_results_get_last(results);
        show_events(results);
        keep_waiting();
    } else if (events_call.status != ST_CANCELLED) {
        game_refused(&events_call);
    }
}

static void take_gift(Player_receive_results_r results)
{
    struct capnp_text text = Player_receive_results_get_name(results);
    struct capnp_text sender = Player_receive_results_get_sender(results);
    uint16_t index = Player_receive_results_get_item(results);
    char name[NAME_BYTES];
    size_t len = text.len < sizeof(name) ? text.len : sizeof(name) - 1;
    memcpy(name, text.ptr, len);
    name[len] = '\0';
    if (capnp_text_is(sender, game.name)) {
        capos_printf("* The %s comes back to you.\n", name);
    } else {
        capos_printf("* %.*s gives you the %s.\n", (int)sender.len, sender.ptr, name);
    }
    game_hold(name, capos_call_take(&receive_call, index, Item_ID));
    capos_print_flush();
}

static void received(struct capos_op *op)
{
    Player_receive_results_r results;
    (void)op;
    awaiting_gifts = false;
    bool came =
        receive_call.status == ST_OK && Player_receive_results(&receive_call, &results) == ST_OK;
    if (came) {
        take_gift(results);
    } else if (receive_call.status != ST_CANCELLED) {
        game_refused(&receive_call);
    }
    capos_call_end(&receive_call);
    if (came) {
        keep_waiting();
    }
}

/* ---- the world is gone ---- */

/* Not from a callback: it lets those of the two calls run. */
static void stop_waiting(void)
{
    if (awaiting_events) {
        (void)capos_cancel(&events_call);
    }
    if (awaiting_gifts) {
        (void)capos_cancel(&receive_call);
    }
    while (awaiting_events || awaiting_gifts) {
        capos_step(CAPOS_FOREVER);
    }
}

static void begin_anew(void)
{
    capos_printf("* The world has ended. It begins anew, and you with it.\n");
    stop_waiting();
    game_forget();
    seen = 0;
    game.lost = false;
    if (game_enter()) {
        keep_waiting();
    } else {
        capos_printf("There is no way back into it.\n");
        game.over = true;
    }
    capos_print_flush();
}

/* ---- what is typed ---- */

static void ask_name(void)
{
    capos_printf("Your name?\n");
}

static void name_typed(const char *text, size_t len)
{
    if (len >= NAME_BYTES) {
        capos_printf("15 letters at most.\n");
        ask_name();
        return;
    }
    str_copy(game.name, sizeof(game.name), text);
    if (!game_enter()) {
        if (game.lost) {
            capos_printf("There is no world.\n");
            game.over = true;
        } else {
            ask_name();
        }
        return;
    }
    capos_printf("('help' says what can be done here)\n");
}

static bool line_typed(const char *text, size_t len)
{
    struct words words;
    if (text == NULL) {
        capos_printf("That was too long.\n");
    } else if (game.player == 0) {
        name_typed(text, len);
    } else if (!game.lost) { /* else it was said to a world that is no more */
        words_read(text, len, &words);
        game_do(&words);
    }
    keep_waiting();
    return !game.over;
}

static void no_more(void)
{
    game.over = true;
}

static struct capos_lines lines = {.line = line_typed, .ended = no_more};

int capos_main(void)
{
    capos_cap_t stdio = CAPOS_NEED("stdio", ByteStream);
    game.world = CAPOS_NEED("world", World);
    ask_name();
    capos_print_flush();
    game.over = capos_lines_start(&lines, stdio) != ST_OK;
    while (!game.over) {
        capos_step(CAPOS_FOREVER);
        if (game.lost && !game.over) {
            begin_anew();
        }
    }
    capos_printf("You leave the world.\n");
    return 0;
}
