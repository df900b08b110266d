/* SPDX-License-Identifier: MIT */
/*
 * The chat service: who may speak as whom is told by served keys.
 *
 * Holds: serve (Endpoint), supervisor, log.
 *
 * Key 1 is Chat, which the manifest exports: init minted it, so those who hold it keep it when this
 * process is started anew. Every seat is minted here under a key above 2^32 of which none is used
 * twice; seats and rooms end with this process, or go on with the one that takes over. When the last
 * capability of a seat is gone, because its holder let go of it or was ended, the kernel tells its key
 * (no_clients) and the member leaves: nothing of it stays but the line that says so.
 *
 * Each seat may have one listen waiting, so there are as many requests as seats, and some more: who
 * listens never keeps others from being served. A listen that was cancelled keeps its request until
 * the next line, or until its seat listens again or ends.
 */
#include "apps/chat/rooms.h"
#include "capos/serve.h"
#include "capos/start.h"
#include "chat.client.h"
#include "endpoint.client.h"
#include "lib/base/bits.h"
#include "lib/base/string.h"

enum {
    MESSAGE_BYTES = 2176,
    LISTEN_LINES = 8, /* in one answer */
    REQUESTS = CHAT_SEATS + 4,
    EXPORTED_KEY = 1,
};

#define FIRST_SEAT_KEY (UINT64_C(1) << 32)

static struct chat chat = {.next_key = FIRST_SEAT_KEY};
static struct capos_request *listening[CHAT_SEATS]; /* by the member's place */
static capos_cap_t endpoint;

static bool find(struct capos_request *req)
{
    req->object = req->key == EXPORTED_KEY ? (void *)&chat : chat_member_of(&chat, req->key);
    return req->object != NULL;
}

static struct capos_request **listen_of(const struct chat_member *member)
{
    return &listening[member - chat.members];
}

static enum capos_outcome refuse(struct capos_request *req, enum chat_refusal refusal)
{
    char text[128];
    enum capos_exception exception = CAPOS_EXC_OVERLOADED;
    if (refusal == CHAT_BAD_ROOM || refusal == CHAT_BAD_NICK || refusal == CHAT_BAD_TEXT) {
        exception = CAPOS_EXC_INVALID_ARGUMENT;
    } else if (refusal == CHAT_NICK_TAKEN) {
        exception = CAPOS_EXC_FAILED;
    }
    return capos_fail(req, exception, "%s", chat_explain(refusal, text, sizeof(text)));
}

/* ---- listening ---- */

static void put_line(ChatLine_b to, const struct chat_line *line, uint64_t key)
{
    ChatLine_set_number(to, line->number);
    ChatLine_set_kind(to, (enum ChatLine_Kind)line->kind);
    ChatLine_set_yours(to, line->key == key);
    ChatLine_set_nick(to, line->nick, strlen(line->nick));
    ChatLine_set_text(to, line->text, line->text_bytes);
}

/* False: there is no line yet. */
static bool put_lines(const struct chat_member *member, uint64_t after,
                      Seat_listen_results_b results)
{
    const struct chat_room *room = &chat.rooms[member->room];
    const struct chat_line *line = chat_line_after(room, after);
    if (line == NULL) {
        return false;
    }
    uint64_t count = min_u64(room->last - line->number + 1, LISTEN_LINES);
    Seat_listen_results_set_missed(results, line->number - after - 1);
    ChatLine_list_b lines = Seat_listen_results_init_lines(results, (uint32_t)count);
    for (uint32_t i = 0; i < count; i++) {
        put_line(ChatLine_list_b_at(lines, i), line, member->key);
        line = chat_line_after(room, line->number);
    }
    return true;
}

static void end_listen(const struct chat_member *member, enum capos_exception exception,
                       const char *why)
{
    struct capos_request *req = *listen_of(member);
    if (req != NULL) {
        *listen_of(member) = NULL;
        capos_fail(req, exception, "%s", why);
        capos_reply(req);
    }
}

/* The room has a new line: whoever listened there has it. */
static void tell(uint32_t room)
{
    for (unsigned i = 0; i < CHAT_SEATS; i++) {
        struct capos_request *req = listening[i];
        Seat_listen_params_r params;
        if (req == NULL || chat.members[i].room != room ||
            Seat_listen_params_read(req->params, req->params_bytes, &params) != CAPNP_OK) {
            continue;
        }
        Seat_listen_results_b results = Seat_listen_results_init(capos_results_builder(req));
        if (put_lines(&chat.members[i], Seat_listen_params_get_after(params), results)) {
            listening[i] = NULL;
            Seat_listen_reply(req);
        }
    }
}

static void leave(struct chat_member *member, const char *why)
{
    uint32_t room = member->room;
    end_listen(member, CAPOS_EXC_DISCONNECTED, why);
    chat_leave(&chat, member);
    tell(room);
}

static void no_clients(struct capos_server *server, uint64_t key)
{
    struct chat_member *member = chat_member_of(&chat, key);
    (void)server;
    if (member != NULL) {
        leave(member, "nobody holds this seat any more");
    }
}

/* ---- Chat ---- */

static enum capos_outcome do_rooms(struct capos_request *req, Chat_rooms_params_r params,
                                   Chat_rooms_results_b results)
{
    uint32_t count = 0;
    (void)req;
    (void)params;
    for (unsigned i = 0; i < CHAT_ROOMS; i++) {
        count += chat.rooms[i].members != 0;
    }
    ChatRoom_list_b rooms = Chat_rooms_results_init_rooms(results, count);
    uint32_t at = 0;
    for (unsigned i = 0; i < CHAT_ROOMS && at < count; i++) {
        const struct chat_room *room = &chat.rooms[i];
        if (room->members != 0) {
            ChatRoom_b entry = ChatRoom_list_b_at(rooms, at++);
            ChatRoom_set_name(entry, room->name, strlen(room->name));
            ChatRoom_set_members(entry, room->members);
            ChatRoom_set_lines(entry, room->last);
        }
    }
    return CAPOS_REPLY;
}

static enum capos_outcome do_join(struct capos_request *req, Chat_join_params_r params,
                                  Chat_join_results_b results)
{
    struct capnp_text room = Chat_join_params_get_room(params);
    struct capnp_text nick = Chat_join_params_get_nick(params);
    struct chat_join join = {
        {room.ptr, room.len}, {nick.ptr, nick.len}, {req->caller[0], req->caller[1]}};
    enum chat_refusal refusal = chat_may_join(&chat, &join);
    if (refusal != CHAT_ACCEPTED) {
        return refuse(req, refusal);
    }
    uint64_t all = BIT64(Seat_say_ORDINAL) | BIT64(Seat_listen_ORDINAL) |
                   BIT64(Seat_members_ORDINAL) | BIT64(Seat_leave_ORDINAL);
    capos_cap_t seat;
    status_t status = capos_mint(endpoint, chat.next_key, Seat_ID, all, Seat_SESSION_SCOPE, &seat);
    if (status != ST_OK) {
        return capos_fail(req, CAPOS_EXC_OVERLOADED,
                          "no seat could be made: %s; try again when others left",
                          status_name(status));
    }
    const struct chat_member *member = chat_join(&chat, &join);
    Chat_join_results_set_seat(results, capos_request_move(req, seat));
    Chat_join_results_set_number(results, chat.rooms[member->room].last);
    tell(member->room);
    return CAPOS_REPLY;
}

static const struct Chat_server chat_operations = {.rooms = do_rooms, .join = do_join};

/* ---- Seat ---- */

static enum capos_outcome do_say(struct capos_request *req, Seat_say_params_r params,
                                 Seat_say_results_b results)
{
    const struct chat_member *member = req->object;
    struct capnp_text text = Seat_say_params_get_text(params);
    enum chat_refusal refusal = chat_say(&chat, member, text.ptr, text.len);
    if (refusal != CHAT_ACCEPTED) {
        return refuse(req, refusal);
    }
    Seat_say_results_set_number(results, chat.rooms[member->room].last);
    tell(member->room);
    return CAPOS_REPLY;
}

static enum capos_outcome do_listen(struct capos_request *req, Seat_listen_params_r params,
                                    Seat_listen_results_b results)
{
    const struct chat_member *member = req->object;
    uint64_t after = Seat_listen_params_get_after(params);
    uint64_t last = chat.rooms[member->room].last;
    if (after > last) {
        return capos_fail(req, CAPOS_EXC_INVALID_ARGUMENT, "the room's last line is number %llu",
                          (unsigned long long)last);
    }
    end_listen(member, CAPOS_EXC_OVERLOADED, "a later listen on this seat took its place");
    if (put_lines(member, after, results)) {
        return CAPOS_REPLY;
    }
    *listen_of(member) = req;
    return CAPOS_DEFERRED;
}

static enum capos_outcome do_members(struct capos_request *req, Seat_members_params_r params,
                                     Seat_members_results_b results)
{
    const struct chat_member *asks = req->object;
    (void)params;
    uint32_t count = chat.rooms[asks->room].members;
    struct capnp_list_b nicks = Seat_members_results_init_nicks(results, count);
    uint32_t at = 0;
    for (unsigned i = 0; i < CHAT_SEATS && at < count; i++) {
        const struct chat_member *member = &chat.members[i];
        if (member->key != 0 && member->room == asks->room) {
            capnp_text_list_set(nicks, at++, member->nick, strlen(member->nick));
        }
    }
    return CAPOS_REPLY;
}

static enum capos_outcome do_leave(struct capos_request *req, Seat_leave_params_r params,
                                   Seat_leave_results_b results)
{
    (void)params;
    (void)results;
    leave(req->object, "the seat was given up");
    return CAPOS_REPLY;
}

static const struct Seat_server seat_operations = {
    .say = do_say,
    .listen = do_listen,
    .members = do_members,
    .leave = do_leave,
};

/* ---- life ---- */

static const struct capos_interface interfaces[] = {
    {Chat_ID, Chat_dispatch, &chat_operations},
    {Seat_ID, Seat_dispatch, &seat_operations},
};

CAPOS_SERVER_STORAGE(storage, REQUESTS, MESSAGE_BYTES, MESSAGE_BYTES, 1);
static struct capos_server server = {
    .interfaces = interfaces,
    .interface_count = 2,
    .request_count = REQUESTS,
    .params_max_bytes = MESSAGE_BYTES,
    .reply_max_bytes = MESSAGE_BYTES,
    .reply_caps_max = 1, /* no call brings one */
    .find = find,
    .no_clients = no_clients,
};

int capos_main(void)
{
    bool carried;
    endpoint = CAPOS_NEED("serve", Endpoint);
    /* Goes on where a predecessor has left. */
    status_t status = capos_carry_over(&server, &chat, sizeof(chat), &carried);
    if (status != ST_OK) {
        return capos_serve_refused(status);
    }
    return capos_serve(&server, endpoint, storage, sizeof(storage));
}
