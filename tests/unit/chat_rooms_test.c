/* SPDX-License-Identifier: MIT */
#include "tests/unit/test.h"

#include "apps/chat/rooms.h"
#include "lib/base/bits.h"

static struct chat chat;

static struct chat_join join_of(const char *room, const char *nick, uint64_t caller)
{
    return (struct chat_join){{room, strlen(room)}, {nick, strlen(nick)}, {caller, 0}};
}

static void setup(void)
{
    memset(&chat, 0, sizeof(chat));
    chat.next_key = 100;
}

static enum chat_refusal may(const char *room, const char *nick, uint64_t caller)
{
    struct chat_join join = join_of(room, nick, caller);
    return chat_may_join(&chat, &join);
}

static struct chat_member *enter(const char *room, const char *nick, uint64_t caller)
{
    struct chat_join join = join_of(room, nick, caller);
    CHECK_EQ(chat_may_join(&chat, &join), CHAT_ACCEPTED);
    return chat_join(&chat, &join);
}

TEST(names, "names are short and of letters, digits and two signs; whatever else is refused and "
            "changes nothing")
{
    setup();
    struct chat before = chat;
    CHECK_EQ(may("", "a", 1), CHAT_BAD_ROOM);
    CHECK_EQ(may("a room", "a", 1), CHAT_BAD_ROOM);
    CHECK_EQ(may("room", "", 1), CHAT_BAD_NICK);
    CHECK_EQ(may("room", "sixteen-letters-", 1), CHAT_BAD_NICK);
    CHECK_EQ(may("room", "\xc3\xa9", 1), CHAT_BAD_NICK);
    CHECK_EQ(may("room", "a\x1b", 1), CHAT_BAD_NICK);
    CHECK_EQ(may("room", "fifteen-letters", 1), CHAT_ACCEPTED);
    CHECK(memcmp(&before, &chat, sizeof(chat)) == 0);
}

TEST(texts, "what is said is UTF-8 without control characters, and lines are counted and kept up "
            "to a bound")
{
    char longest[CHAT_TEXT_BYTES + 1];
    static const char *const bad[] = {"",     "a\n",  "\x7f",         "\xc2\x85",
                                      "\xff", "\xc3", "\xed\xa0\x80", "\xc0\x80"};
    setup();
    struct chat_member *ann = enter("room", "ann", 1);
    const struct chat_room *room = &chat.rooms[ann->room];
    memset(longest, 'x', sizeof(longest));
    for (size_t i = 0; i < ARRAY_COUNT(bad); i++) {
        CHECK_EQ(chat_say(&chat, ann, bad[i], strlen(bad[i])), CHAT_BAD_TEXT);
    }
    CHECK_EQ(chat_say(&chat, ann, longest, sizeof(longest)), CHAT_BAD_TEXT);
    CHECK_EQ(room->last, 1);
    CHECK_EQ(chat_say(&chat, ann, longest, CHAT_TEXT_BYTES), CHAT_ACCEPTED);
    CHECK_EQ(chat_say(&chat, ann, "h\xc3\xa9", 3), CHAT_ACCEPTED);
    CHECK_EQ(chat_line_after(room, 2)->number, 3);
    CHECK(chat_line_after(room, 3) == NULL);
    for (unsigned i = 0; i < CHAT_LINES; i++) {
        CHECK_EQ(chat_say(&chat, ann, "x", 1), CHAT_ACCEPTED);
    }
    CHECK_EQ(chat_line_after(room, 0)->number, room->last - CHAT_LINES + 1);
}

TEST(leaving, "who leaves is told to the others, and seat and nick are free; an empty room is gone")
{
    setup();
    struct chat_member *ann = enter("room", "ann", 1);
    struct chat_member *bo = enter("room", "bo", 2);
    uint64_t key = ann->key;
    const struct chat_room *room = &chat.rooms[bo->room];
    CHECK_EQ(may("room", "ann", 2), CHAT_NICK_TAKEN);
    CHECK_EQ(may("other", "ann", 2), CHAT_ACCEPTED);
    chat_leave(&chat, ann);
    CHECK(chat_member_of(&chat, key) == NULL);
    CHECK_EQ(room->members, 1);
    const struct chat_line *line = chat_line_after(room, room->last - 1);
    CHECK_EQ(line->kind, CHAT_LEFT);
    CHECK_STR_EQ(line->nick, "ann");
    CHECK_EQ(line->key, key);
    struct chat_member *again = enter("room", "ann", 3);
    CHECK(again->key > key); /* never used twice */
    chat_leave(&chat, again);
    chat_leave(&chat, bo);
    struct chat empty = {.next_key = chat.next_key};
    CHECK(memcmp(&empty, &chat, sizeof(chat)) == 0);
}

TEST(bounds, "rooms, seats of a room, of a caller, and all seats are bounded, each with an answer "
             "of its own")
{
    char nick[8];
    char text[128];
    setup();
    for (unsigned i = 0; i < CHAT_ROOM_SEATS; i++) {
        snprintf(nick, sizeof(nick), "n%u", i);
        (void)enter("full", nick, 1);
    }
    CHECK_EQ(may("full", "more", 2), CHAT_ROOM_FULL);
    for (unsigned i = 0; i < CHAT_CALLER_SEATS - CHAT_ROOM_SEATS; i++) {
        snprintf(nick, sizeof(nick), "m%u", i);
        (void)enter("second", nick, 1);
    }
    CHECK_EQ(may("second", "more", 1), CHAT_CALLER_FULL);
    CHECK_EQ(may("second", "more", 2), CHAT_ACCEPTED);
    for (unsigned i = 2; i < CHAT_ROOMS; i++) {
        snprintf(nick, sizeof(nick), "r%u", i);
        (void)enter(nick, "one", 2);
    }
    CHECK_EQ(may("more", "one", 3), CHAT_NO_ROOM);
    for (unsigned i = CHAT_CALLER_SEATS + CHAT_ROOMS - 2; i < CHAT_SEATS; i++) {
        snprintf(nick, sizeof(nick), "o%u", i);
        (void)enter("second", nick, 3);
    }
    CHECK_EQ(may("second", "more", 4), CHAT_NO_SEAT);
    for (unsigned i = CHAT_BAD_ROOM; i < CHAT_REFUSALS; i++) {
        CHECK(strlen(chat_explain((enum chat_refusal)i, text, sizeof(text))) > 10);
    }
}
