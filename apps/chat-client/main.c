/* SPDX-License-Identifier: MIT */
/*
 * Talks in a room of the chat: a line typed is said, one that begins with '/' is a command; what others say is
 * shown as it comes.
 *
 * Holds: chat (Chat), stdio.
 *
 * Two calls wait at the same time: for a line, and for what is said. When the service ends the seat is dead, and
 * the listen says so at once; the chat itself is found again by the same capability, and the seat is taken again
 * under the same names. When this program ends nothing needs to be said: the kernel tells the service.
 */
#include "apps/chat-client/talk.h"
#include "bytestream.client.h"
#include "capos/lines.h"
#include "capos/print.h"
#include "capos/ring.h"
#include "capos/start.h"
#include "lib/base/string.h"

static const char first_room[] = "lobby";

static bool over;

/* ---- commands ---- */

static void do_help(const char *rest)
{
    (void)rest;
    capos_printf("What you type is said to all in the room. Commands:\n"
                 "  /join ROOM   another room   /rooms   which there are\n"
                 "  /nick NAME   another name   /who     who is here\n"
                 "  /leave       no room        /quit    the end\n");
}

static void do_join(const char *rest)
{
    (void)talk_join(rest, talk.nick);
}

static void do_nick(const char *rest)
{
    if (talk.seat == 0) {
        capos_printf("You are in no room; '/join ROOM' enters one.\n");
    } else {
        (void)talk_join(talk.room, rest);
    }
}

static void do_who(const char *rest)
{
    (void)rest;
    talk_members();
}

static void do_rooms(const char *rest)
{
    (void)rest;
    talk_rooms();
}

static void do_leave(const char *rest)
{
    (void)rest;
    talk_leave();
}

static void do_quit(const char *rest)
{
    (void)rest;
    over = true;
}

struct entry {
    const char *word;
    void (*run)(const char *rest);
    bool takes_name;
};

static const struct entry commands[] = {
    {"help", do_help, false}, {"join", do_join, true},    {"nick", do_nick, true},
    {"who", do_who, false},   {"rooms", do_rooms, false}, {"leave", do_leave, false},
    {"quit", do_quit, false},
};

/* `text` stands behind the '/'. */
static void command(const char *text)
{
    size_t len = 0;
    while (text[len] != 0 && text[len] != ' ') {
        len++;
    }
    const char *rest = text + len;
    while (*rest == ' ') {
        rest++;
    }
    for (size_t i = 0; i < ARRAY_COUNT(commands); i++) {
        if (str_equals(text, len, commands[i].word)) {
            if (commands[i].takes_name == (*rest != 0)) {
                commands[i].run(rest);
            } else {
                capos_printf("/%s takes %s.\n", commands[i].word,
                             commands[i].takes_name ? "a name behind it" : "nothing behind it");
            }
            return;
        }
    }
    capos_printf("There is no command /%.*s; /help lists them.\n", (int)len, text);
}

/* ---- what is typed ---- */

static void ask_nick(void)
{
    capos_printf("Your nick?\n");
}

static bool line_typed(const char *text, size_t len)
{
    if (text == NULL) {
        capos_printf("That was too long: a line has at most 200 bytes.\n");
    } else if (talk.nick[0] == 0) {
        if (!talk_join(first_room, text) && !talk.lost) {
            ask_nick();
        } else if (!talk.lost) {
            capos_printf("('/help' says what can be done here)\n");
        }
    } else if (text[0] == '/') {
        command(text + 1);
    } else if (len > 0 && !talk.lost) {
        talk_say(text);
    }
    return !over;
}

static void no_more(void)
{
    over = true;
}

static struct capos_lines lines = {.line = line_typed, .ended = no_more};

/* The service has gone. Somebody else may have the nick by now. */
static void begin_anew(void)
{
    if (talk.nick[0] == 0 || (!talk_begin_anew() && talk.lost)) {
        capos_printf("There is no chat.\n");
        over = true;
    } else if (talk.seat == 0) {
        talk.nick[0] = 0; /* it was refused, and why has been said */
        ask_nick();
    }
    capos_print_flush();
}

int capos_main(void)
{
    capos_cap_t stdio = CAPOS_NEED("stdio", ByteStream);
    talk.chat = CAPOS_NEED("chat", Chat);
    ask_nick();
    capos_print_flush();
    over = capos_lines_start(&lines, stdio) != ST_OK;
    while (!over) {
        talk_listen();
        capos_step(CAPOS_FOREVER);
        if (talk.lost && !over) {
            begin_anew();
        }
    }
    talk_leave();
    return 0;
}
