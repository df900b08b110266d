/* SPDX-License-Identifier: MIT */
/*
 * The rooms of a chat: who sits where, and what was said last. Plain memory: no pointers, nothing
 * allocated, so that all of it can be handed to a successor as it is.
 *
 * A room is there as long as it has a member. A member is known by the key of its seat, which is never
 * used twice, and by nothing else. Whatever is refused has changed nothing.
 */
#ifndef CAPOS_CHAT_ROOMS_H
#define CAPOS_CHAT_ROOMS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    CHAT_ROOMS = 8,
    CHAT_SEATS = 24,        /* in all rooms together */
    CHAT_ROOM_SEATS = 12,   /* in one */
    CHAT_CALLER_SEATS = 16, /* of one subject: the rest is for others */
    CHAT_LINES = 24,        /* kept of each room */
    CHAT_NAME_BYTES = 15,   /* of a nick or a room */
    CHAT_TEXT_BYTES = 200,
};

enum chat_kind {
    CHAT_SAID,
    CHAT_JOINED,
    CHAT_LEFT,
};

enum chat_refusal {
    CHAT_ACCEPTED,
    CHAT_BAD_ROOM,
    CHAT_BAD_NICK,
    CHAT_NICK_TAKEN,
    CHAT_ROOM_FULL,
    CHAT_NO_ROOM, /* all rooms are in use */
    CHAT_NO_SEAT,
    CHAT_CALLER_FULL,
    CHAT_BAD_TEXT,
    CHAT_REFUSALS,
};

struct chat_line {
    uint64_t number;
    uint64_t key; /* of the seat whose doing it was */
    uint8_t kind;
    uint8_t text_bytes;
    char nick[CHAT_NAME_BYTES + 1];
    char text[CHAT_TEXT_BYTES];
};

struct chat_room {
    uint32_t members; /* 0: the place is free */
    char name[CHAT_NAME_BYTES + 1];
    uint64_t last; /* number of the newest line */
    struct chat_line lines[CHAT_LINES];
};

struct chat_member {
    uint64_t key; /* 0: the place is free */
    uint64_t caller[2];
    uint32_t room;
    char nick[CHAT_NAME_BYTES + 1];
};

struct chat {
    uint64_t next_key;
    struct chat_room rooms[CHAT_ROOMS];
    struct chat_member members[CHAT_SEATS];
};

struct chat_name {
    const char *bytes;
    size_t count;
};

struct chat_join {
    struct chat_name room;
    struct chat_name nick;
    uint64_t caller[2];
};

/* Would this be accepted now? */
enum chat_refusal chat_may_join(const struct chat *chat, const struct chat_join *join);

/* Takes a seat under chat->next_key, after chat_may_join has accepted. */
struct chat_member *chat_join(struct chat *chat, const struct chat_join *join);

enum chat_refusal chat_say(struct chat *chat, const struct chat_member *member, const char *text,
                           size_t count);

/* Frees seat and nick; the room, too, when it was the last. */
void chat_leave(struct chat *chat, struct chat_member *member);

/* NULL: no seat has that key any more. */
struct chat_member *chat_member_of(struct chat *chat, uint64_t key);

/* The oldest line that is kept behind this number; NULL: there is none yet. */
const struct chat_line *chat_line_after(const struct chat_room *room, uint64_t after);

/* Why, and what would be needed, in a sentence. Returns `text`. */
const char *chat_explain(enum chat_refusal refusal, char *text, size_t size);

#endif
