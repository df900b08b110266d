/* SPDX-License-Identifier: MIT */
/*
 * One listen waits at a time. Its callback shows what came, and the next one goes on behind the last number that was
 * seen, so nothing is shown twice, and what a busy room has forgotten meanwhile is said to be missing.
 */
#include "apps/chat-client/talk.h"

#include "capos/call.h"
#include "capos/print.h"
#include "capos/ring.h"
#include "lib/base/string.h"

struct talk talk;

CAPOS_CALL_STATIC(listen_call, Seat, listen);

static bool listening; /* from when the call is made until its callback has run */
static bool refused;   /* a listen was: the next is made after the next line that is typed */
static uint64_t seen;

/* Says what the chat said; a seat that is gone is noted. */
static void say_refusal(const struct capos_call *call)
{
    char text[200];
    if (call->status == ST_DISCONNECTED ||
        (call->status == ST_EXCEPTION && call->exception == CAPOS_EXC_DISCONNECTED)) {
        talk.lost = true;
    } else if (call->status == ST_EXCEPTION) {
        capos_printf("No: %s.\n", capos_call_text(call, text, sizeof(text)));
    } else {
        capos_printf("No: %s\n", capos_explain(call, text, sizeof(text)));
    }
}

/* ---- listening ---- */

static void show_line(ChatLine_r line)
{
    struct capnp_text nick = ChatLine_get_nick(line);
    struct capnp_text text = ChatLine_get_text(line);
    enum ChatLine_Kind kind = ChatLine_get_kind(line);
    seen = ChatLine_get_number(line);
    if (ChatLine_get_yours(line)) {
        return; /* who typed it has seen it */
    }
    if (kind == CHAT_LINE_KIND_SAID) {
        capos_printf("<%.*s> %.*s\n", (int)nick.len, nick.ptr, (int)text.len, text.ptr);
    } else {
        capos_printf("* %.*s %s\n", (int)nick.len, nick.ptr,
                     kind == CHAT_LINE_KIND_JOINED ? "is here" : "has left");
    }
}

static void heard(struct capos_op *op)
{
    Seat_listen_results_r results;
    (void)op;
    listening = false;
    if (listen_call.status == ST_OK && Seat_listen_results(&listen_call, &results) == ST_OK) {
        ChatLine_list_r lines = Seat_listen_results_get_lines(results);
        uint64_t missed = Seat_listen_results_get_missed(results);
        if (missed != 0) {
            capos_printf("* (%llu lines were missed)\n", (unsigned long long)missed);
        }
        for (uint32_t i = 0; i < ChatLine_list_len(lines); i++) {
            show_line(ChatLine_list_at(lines, i));
        }
    } else if (listen_call.status != ST_CANCELLED) {
        refused = true;
        say_refusal(&listen_call);
    }
    capos_call_end(&listen_call);
    capos_print_flush();
}

void talk_listen(void)
{
    if (listening || refused || talk.lost || talk.seat == 0) {
        return;
    }
    listening = true;
    capos_call_begin(&listen_call, talk.seat);
    Seat_listen_params_set_after(Seat_listen_begin(&listen_call), seen);
    listen_call.op.done = heard;
    (void)Seat_listen_submit(&listen_call);
}

/* Not from a callback: it lets that of the listen run. */
static void stop_listening(void)
{
    if (listening) {
        (void)capos_cancel(&listen_call);
    }
    while (listening) {
        capos_step(CAPOS_FOREVER);
    }
}

/* ---- a seat ---- */

static void give_up_seat(void)
{
    stop_listening();
    if (talk.seat != 0) {
        capos_release(talk.seat); /* the last capability of it: the member leaves */
        talk.seat = 0;
    }
}

bool talk_join(const char *room, const char *nick)
{
    CAPOS_CALL(call, Chat, join);
    Chat_join_results_r results;
    bool joined = Chat_join_send(&call, talk.chat, room, nick) == ST_OK &&
                  capos_wait(&call, CAPOS_FOREVER) == ST_OK &&
                  Chat_join_results(&call, &results) == ST_OK;
    if (joined) {
        capos_cap_t seat = capos_call_take(&call, Chat_join_results_get_seat(results), Seat_ID);
        give_up_seat();
        talk.seat = seat;
        seen = Chat_join_results_get_number(results);
        refused = false;
        str_copy(talk.room, sizeof(talk.room), room);
        str_copy(talk.nick, sizeof(talk.nick), nick);
        capos_printf("You are %s in %s.\n", nick, room);
    } else {
        say_refusal(&call);
    }
    capos_call_end(&call);
    return joined;
}

bool talk_begin_anew(void)
{
    char room[TALK_NAME_BYTES];
    char nick[TALK_NAME_BYTES];
    memcpy(room, talk.room, sizeof(room));
    memcpy(nick, talk.nick, sizeof(nick));
    capos_printf("* The chat was started anew; what was said before is gone.\n");
    give_up_seat();
    talk.lost = false;
    return talk_join(room, nick);
}

void talk_leave(void)
{
    if (talk.seat != 0) {
        give_up_seat();
        capos_printf("You have left %s.\n", talk.room);
    }
}

/* ---- what can be done with it ---- */

void talk_say(const char *text)
{
    CAPOS_CALL(call, Seat, say);
    if (talk.seat == 0) {
        capos_printf("You are in no room; '/join ROOM' enters one.\n");
        return;
    }
    if (Seat_say_send(&call, talk.seat, text) != ST_OK ||
        capos_wait(&call, CAPOS_FOREVER) != ST_OK) {
        say_refusal(&call);
    }
    capos_call_end(&call);
    refused = false;
}

void talk_members(void)
{
    CAPOS_CALL(call, Seat, members);
    Seat_members_results_r results;
    if (talk.seat == 0) {
        capos_printf("You are in no room.\n");
        return;
    }
    if (Seat_members_send(&call, talk.seat) == ST_OK && capos_wait(&call, CAPOS_FOREVER) == ST_OK &&
        Seat_members_results(&call, &results) == ST_OK) {
        struct capnp_list nicks = Seat_members_results_get_nicks(results);
        for (uint32_t i = 0; i < capnp_list_len(nicks); i++) {
            struct capnp_text nick = capnp_text_list_at(nicks, i);
            capos_printf("%s%.*s", i == 0 ? "Here: " : ", ", (int)nick.len, nick.ptr);
        }
        capos_printf("\n");
    } else {
        say_refusal(&call);
    }
    capos_call_end(&call);
}

void talk_rooms(void)
{
    CAPOS_CALL(call, Chat, rooms);
    Chat_rooms_results_r results;
    if (Chat_rooms_send(&call, talk.chat) == ST_OK && capos_wait(&call, CAPOS_FOREVER) == ST_OK &&
        Chat_rooms_results(&call, &results) == ST_OK) {
        ChatRoom_list_r rooms = Chat_rooms_results_get_rooms(results);
        for (uint32_t i = 0; i < ChatRoom_list_len(rooms); i++) {
            struct capnp_text name = ChatRoom_get_name(ChatRoom_list_at(rooms, i));
            uint32_t members = ChatRoom_get_members(ChatRoom_list_at(rooms, i));
            capos_printf("  %.*s, %u %s\n", (int)name.len, name.ptr, members,
                         members == 1 ? "member" : "members");
        }
        if (ChatRoom_list_len(rooms) == 0) {
            capos_printf("There is no room; '/join ROOM' makes one.\n");
        }
    } else {
        say_refusal(&call);
    }
    capos_call_end(&call);
}
