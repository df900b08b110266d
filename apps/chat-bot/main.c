/* SPDX-License-Identifier: MIT */
/*
 * A bot in the lobby of the chat: it answers '!help', '!time', '!count' and '!roll', and nothing else.
 *
 * Holds: chat (ChatJoin: it may take a seat, and not list the rooms), timer (Timer).
 *
 * Bounded by an allowance (allowance.h); what is asked beyond that gets no answer, so that no number of askers makes it flood a room. It answers only what others said, never a bot's
 * answer: those do not begin with '!'. When the service is started anew it takes its seat again.
 */
#include "apps/chat-bot/allowance.h"
#include "capos/call.h"
#include "capos/print.h"
#include "capos/ring.h"
#include "capos/start.h"
#include "chat.client.h"
#include "lib/base/bits.h"
#include "lib/base/fmt.h"
#include "lib/base/string.h"
#include "time.client.h"

enum { ANSWER_BYTES = 96, ATTEMPTS = 8 };

#define SECOND_NS UINT64_C(1000000000)

static const char room[] = "lobby";
static const char nick[] = "bot";

static capos_cap_t chat;
static capos_cap_t timer;
static capos_cap_t seat;
static uint64_t seen;
static uint64_t counted; /* lines that others said */
static uint64_t drawn = 88172645463325252u;

static struct allowance allowance;

static uint64_t now_ns(void)
{
    uint64_t now = 0;
    (void)Timer_now(timer, &now);
    return now;
}

/* Dice for a game, no secret: a shift register that starts with the time. */
static unsigned roll(void)
{
    drawn ^= now_ns();
    drawn ^= drawn << 13;
    drawn ^= drawn >> 7;
    drawn ^= drawn << 17;
    return (unsigned)(drawn % 6) + 1;
}

/* False: it was not asked anything. */
static bool answer(struct capnp_text text, char *out, size_t size)
{
    if (capnp_text_is(text, "!help")) {
        str_copy(out, size, "ask me !time, !count or !roll");
    } else if (capnp_text_is(text, "!time")) {
        uint64_t seconds = now_ns() / SECOND_NS;
        fmt_format(out, size, "the system is up for %llu seconds", (unsigned long long)seconds);
    } else if (capnp_text_is(text, "!count")) {
        fmt_format(out, size, "I have heard %llu lines", (unsigned long long)counted);
    } else if (capnp_text_is(text, "!roll")) {
        fmt_format(out, size, "a die shows %u", roll());
    } else {
        return false;
    }
    return true;
}

static void take_line(ChatLine_r line)
{
    char text[ANSWER_BYTES];
    uint64_t number;
    seen = ChatLine_get_number(line);
    if (ChatLine_get_yours(line) || ChatLine_get_kind(line) != CHAT_LINE_KIND_SAID) {
        return;
    }
    counted++;
    if (answer(ChatLine_get_text(line), text, sizeof(text)) &&
        allowance_take(&allowance, now_ns())) {
        (void)Seat_say(seat, text, &number); /* a seat that is gone shows at the listen */
    }
}

/* Listens until the seat is gone; why. */
static status_t listen(void)
{
    CAPOS_CALL_STATIC(call, Seat, listen);
    Seat_listen_results_r results;
    for (;;) {
        capos_call_begin(&call, seat);
        Seat_listen_params_set_after(Seat_listen_begin(&call), seen);
        status_t status = Seat_listen_call(&call);
        if (status == ST_OK) {
            status = Seat_listen_results(&call, &results);
        }
        if (status != ST_OK) {
            capos_call_end(&call);
            return status;
        }
        ChatLine_list_r lines = Seat_listen_results_get_lines(results);
        for (uint32_t i = 0; i < ChatLine_list_len(lines); i++) {
            take_line(ChatLine_list_at(lines, i));
        }
        capos_call_end(&call);
    }
}

static bool join(void)
{
    char text[200];
    CAPOS_CALL(call, Chat, join);
    Chat_join_results_r results;
    bool joined = Chat_join_send(&call, chat, room, nick) == ST_OK &&
                  capos_wait(&call, CAPOS_FOREVER) == ST_OK &&
                  Chat_join_results(&call, &results) == ST_OK;
    if (joined) {
        seat = capos_call_take(&call, Chat_join_results_get_seat(results), Seat_ID);
        seen = Chat_join_results_get_number(results);
    } else {
        capos_error("chat-bot: %s\n", capos_explain(&call, text, sizeof(text)));
    }
    capos_call_end(&call);
    return joined;
}

int capos_main(void)
{
    chat = CAPOS_NEED("chat", Chat);
    timer = CAPOS_NEED("timer", Timer);
    allowance_begin(&allowance, now_ns());
    for (unsigned attempt = 0; attempt < ATTEMPTS && join(); attempt++) {
        (void)listen();
        capos_release(seat);
    }
    return 1;
}
