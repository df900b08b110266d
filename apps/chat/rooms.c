/* SPDX-License-Identifier: MIT */
#include "apps/chat/rooms.h"

#include "lib/base/fmt.h"
#include "lib/base/string.h"

/* ASCII only: two names that look alike are the same name, and none can steer a terminal. */
static bool is_name(struct chat_name name)
{
    for (size_t i = 0; i < name.count; i++) {
        char c = name.bytes[i];
        bool fits = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                    c == '-' || c == '_';
        if (!fits) {
            return false;
        }
    }
    return name.count >= 1 && name.count <= CHAT_NAME_BYTES;
}

static bool is_called(struct chat_name name, const char *kept)
{
    return str_equals(name.bytes, name.count, kept);
}

/* Bytes of the UTF-8 character at `at`; 0: it is none, or a control character (below space, delete, 0x80 to 0x9f). */
static size_t character_bytes(const unsigned char *at, size_t count)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    if (at[0] < 0x80) {
        return at[0] >= 0x20 && at[0] != 0x7f ? 1 : 0;
    }
    size_t bytes = at[0] >= 0xf0 ? 4 : at[0] >= 0xe0 ? 3 : 2;
    if (at[0] < 0xc2 || at[0] > 0xf4 || bytes > count) {
        return 0;
    }
    uint32_t code = at[0] & (0x7fu >> bytes);
    for (size_t i = 1; i < bytes; i++) {
        if ((at[i] & 0xc0) != 0x80) {
            return 0;
        }
        code = code << 6 | (at[i] & 0x3f);
    }
    bool surrogate = code >= 0xd800 && code <= 0xdfff;
    return code < least[bytes] || code < 0xa0 || surrogate || code > 0x10ffff ? 0 : bytes;
}

static bool is_text(const char *text, size_t count)
{
    size_t at = 0;
    while (at < count) {
        size_t bytes = character_bytes((const unsigned char *)text + at, count - at);
        if (bytes == 0) {
            return false;
        }
        at += bytes;
    }
    return count >= 1 && count <= CHAT_TEXT_BYTES;
}

/* The number of the room of that name; of a free place; or CHAT_ROOMS. */
static uint32_t room_place(const struct chat *chat, struct chat_name name)
{
    uint32_t place = CHAT_ROOMS;
    for (uint32_t i = CHAT_ROOMS; i-- > 0;) {
        if (chat->rooms[i].members == 0) {
            place = i;
        }
    }
    for (uint32_t i = 0; i < CHAT_ROOMS; i++) {
        if (chat->rooms[i].members != 0 && is_called(name, chat->rooms[i].name)) {
            return i;
        }
    }
    return place;
}

/* Of the seats that are taken: how many the caller has, and whether one in the room has the nick. */
struct seats {
    unsigned all;
    unsigned of_caller;
    bool nick_taken;
};

static struct seats count_seats(const struct chat *chat, const struct chat_join *join,
                                uint32_t room)
{
    struct seats seats = {0};
    for (unsigned i = 0; i < CHAT_SEATS; i++) {
        const struct chat_member *member = &chat->members[i];
        if (member->key == 0) {
            continue;
        }
        seats.all++;
        seats.of_caller +=
            member->caller[0] == join->caller[0] && member->caller[1] == join->caller[1];
        seats.nick_taken |= member->room == room && is_called(join->nick, member->nick);
    }
    return seats;
}

enum chat_refusal chat_may_join(const struct chat *chat, const struct chat_join *join)
{
    if (!is_name(join->room)) {
        return CHAT_BAD_ROOM;
    }
    if (!is_name(join->nick)) {
        return CHAT_BAD_NICK;
    }
    uint32_t room = room_place(chat, join->room);
    if (room == CHAT_ROOMS) {
        return CHAT_NO_ROOM;
    }
    struct seats seats = count_seats(chat, join, room);
    if (seats.nick_taken) {
        return CHAT_NICK_TAKEN;
    }
    if (chat->rooms[room].members == CHAT_ROOM_SEATS) {
        return CHAT_ROOM_FULL;
    }
    if (seats.all == CHAT_SEATS) {
        return CHAT_NO_SEAT;
    }
    return seats.of_caller >= CHAT_CALLER_SEATS ? CHAT_CALLER_FULL : CHAT_ACCEPTED;
}

static void add_line(struct chat *chat, const struct chat_member *member, enum chat_kind kind,
                     const char *text, size_t count)
{
    struct chat_room *room = &chat->rooms[member->room];
    struct chat_line *line = &room->lines[++room->last % CHAT_LINES];
    line->number = room->last;
    line->key = member->key;
    line->kind = (uint8_t)kind;
    line->text_bytes = (uint8_t)count;
    memcpy(line->nick, member->nick, sizeof(line->nick));
    memcpy(line->text, text, count);
}

struct chat_member *chat_join(struct chat *chat, const struct chat_join *join)
{
    struct chat_member *member = chat->members;
    while (member->key != 0) {
        member++;
    }
    uint32_t place = room_place(chat, join->room);
    struct chat_room *room = &chat->rooms[place];
    if (room->members == 0) {
        *room = (struct chat_room){0};
        memcpy(room->name, join->room.bytes, join->room.count);
    }
    *member = (struct chat_member){.key = chat->next_key++, .room = place};
    memcpy(member->caller, join->caller, sizeof(member->caller));
    memcpy(member->nick, join->nick.bytes, join->nick.count);
    room->members++;
    add_line(chat, member, CHAT_JOINED, "", 0);
    return member;
}

enum chat_refusal chat_say(struct chat *chat, const struct chat_member *member, const char *text,
                           size_t count)
{
    if (!is_text(text, count)) {
        return CHAT_BAD_TEXT;
    }
    add_line(chat, member, CHAT_SAID, text, count);
    return CHAT_ACCEPTED;
}

void chat_leave(struct chat *chat, struct chat_member *member)
{
    struct chat_room *room = &chat->rooms[member->room];
    add_line(chat, member, CHAT_LEFT, "", 0);
    *member = (struct chat_member){0};
    if (--room->members == 0) {
        *room = (struct chat_room){0};
    }
}

struct chat_member *chat_member_of(struct chat *chat, uint64_t key)
{
    for (unsigned i = 0; i < CHAT_SEATS && key != 0; i++) {
        if (chat->members[i].key == key) {
            return &chat->members[i];
        }
    }
    return NULL;
}

const struct chat_line *chat_line_after(const struct chat_room *room, uint64_t after)
{
    if (after >= room->last) {
        return NULL;
    }
    uint64_t oldest = room->last > CHAT_LINES ? room->last - CHAT_LINES + 1 : 1;
    uint64_t number = after + 1 > oldest ? after + 1 : oldest;
    return &room->lines[number % CHAT_LINES];
}

const char *chat_explain(enum chat_refusal refusal, char *text, size_t size)
{
    /* Each with the number that it is about. */
    static const struct {
        const char *sentence;
        int number;
    } table[CHAT_REFUSALS] = {
        [CHAT_BAD_ROOM] = {"a room's name is 1 to %d letters, digits, '-' and '_'",
                           CHAT_NAME_BYTES},
        [CHAT_BAD_NICK] = {"a nick is 1 to %d letters, digits, '-' and '_'", CHAT_NAME_BYTES},
        [CHAT_ROOM_FULL] = {"the room is full: it has %d seats; try again when somebody left",
                            CHAT_ROOM_SEATS},
        [CHAT_NO_ROOM] = {"all %d rooms are in use; join one of them", CHAT_ROOMS},
        [CHAT_NO_SEAT] = {"all %d seats are taken; try again when somebody left", CHAT_SEATS},
        [CHAT_CALLER_FULL] = {"you have %d seats, and the rest is for others; leave one",
                              CHAT_CALLER_SEATS},
        [CHAT_BAD_TEXT] = {"what is said is 1 to %d bytes of UTF-8 without control characters",
                           CHAT_TEXT_BYTES},
    };
    if (refusal == CHAT_NICK_TAKEN) {
        str_copy(text, size, "somebody in the room has this nick; take another");
    } else if (refusal < CHAT_REFUSALS && table[refusal].sentence != NULL) {
        fmt_format(text, size, table[refusal].sentence, table[refusal].number);
    } else {
        str_copy(text, size, "accepted");
    }
    return text;
}
