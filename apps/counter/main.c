/* SPDX-License-Identifier: MIT */
/*
 * The counter service: the smallest honest example of serving.
 *
 * Holds: serve (Endpoint), supervisor, log.
 *
 * Key 1 is the counter that the manifest exports; init minted it, so clients keep it when this
 * process is started anew (its value then begins at 0). Children are minted here, under keys above
 * 2^32 of which none is used twice; they end with this process, or go on with the one that takes over:
 * that gets all there is to know about them (struct counters), and the calls that wait (reach).
 *
 * Each time somebody asks for a child one more served object is minted for it. When the last
 * capability of such an object is gone the kernel tells its key (no_clients); a child that has none
 * left is forgotten and its place is free.
 */
#include "capos/serve.h"
#include "capos/start.h"
#include "counter.client.h"
#include "endpoint.client.h"
#include "lib/base/compiler.h"
#include "lib/base/string.h"

enum {
    MESSAGE_BYTES = 2112,
    CHILDREN = 32,
    NAME_BYTES = 32,
    EXPORTED_KEY = 1,
    WAITING = 4,
    REQUESTS = WAITING + 4,
};

#define FIRST_CHILD_KEY (UINT64_C(1) << 32)

struct counter {
    int64_t value;
    uint64_t increments;
    uint64_t key;
    uint32_t objects; /* minted and not yet without clients; 0 of a child: its place is free */
    char name[NAME_BYTES];
};

/* All there is to know: what a successor is given. */
static struct counters {
    uint64_t next_key;
    struct counter root;
    struct counter children[CHILDREN];
} all = {.next_key = FIRST_CHILD_KEY, .root = {.key = EXPORTED_KEY}};

static struct capos_request *waiting[WAITING]; /* for a value */
static capos_cap_t endpoint;

static struct counter *child_of(uint64_t key)
{
    for (unsigned i = 0; i < CHILDREN; i++) {
        if (all.children[i].objects != 0 && all.children[i].key == key) {
            return &all.children[i];
        }
    }
    return NULL;
}

static bool find(struct capos_request *req)
{
    req->object = req->key == EXPORTED_KEY ? &all.root : child_of(req->key);
    return req->object != NULL;
}

static struct capos_request *take_waiting(unsigned i)
{
    struct capos_request *req = waiting[i];
    for (; i + 1 < WAITING; i++) {
        waiting[i] = waiting[i + 1];
    }
    waiting[WAITING - 1] = NULL;
    return req;
}

static void end_waiting(unsigned i, enum capos_exception exception, const char *why)
{
    struct capos_request *req = take_waiting(i);
    capos_fail(req, exception, "%s", why);
    capos_reply(req);
}

static void no_clients(struct capos_server *server, uint64_t key)
{
    struct counter *child = child_of(key);
    (void)server;
    if (child != NULL) {
        child->objects--;
    }
    for (unsigned i = 0;
         child != NULL && child->objects == 0 && i < WAITING && waiting[i] != NULL;) {
        if (waiting[i]->object == child) {
            end_waiting(i, CAPOS_EXC_DISCONNECTED, "nobody holds this counter any more");
        } else {
            i++;
        }
    }
}

/* Answers those that waited for no more than this. */
static void tell_waiting(const struct counter *counter)
{
    for (unsigned i = 0; i < WAITING && waiting[i] != NULL;) {
        struct capos_request *req = waiting[i];
        Counter_reach_params_r params;
        if (req->object != counter ||
            Counter_reach_params_read(req->params, req->params_bytes, &params) != CAPNP_OK ||
            Counter_reach_params_get_value(params) > counter->value) {
            i++;
            continue;
        }
        (void)take_waiting(i);
        Counter_reach_results_b results = Counter_reach_results_init(capos_results_builder(req));
        Counter_reach_results_set_value(results, counter->value);
        Counter_reach_reply(req);
    }
}

static enum capos_outcome do_reach(struct capos_request *req, Counter_reach_params_r params,
                                   Counter_reach_results_b results)
{
    const struct counter *counter = req->object;
    if (counter->value >= Counter_reach_params_get_value(params)) {
        Counter_reach_results_set_value(results, counter->value);
        return CAPOS_REPLY;
    }
    /* Of one that was cancelled nothing is heard here, so the oldest gives way. */
    if (waiting[WAITING - 1] != NULL) {
        end_waiting(0, CAPOS_EXC_OVERLOADED, "a later one took its place");
    }
    for (unsigned i = 0; i < WAITING; i++) {
        if (waiting[i] == NULL) {
            waiting[i] = req;
            break;
        }
    }
    return CAPOS_DEFERRED;
}

static enum capos_outcome do_increment(struct capos_request *req, Counter_increment_params_r params,
                                       Counter_increment_results_b results)
{
    struct counter *counter = req->object;
    int64_t sum;
    if (ADD_OVERFLOWS(counter->value, Counter_increment_params_get_by(params), &sum)) {
        return capos_fail(req, CAPOS_EXC_INVALID_ARGUMENT,
                          "the sum would not fit 64 bits; reset first");
    }
    counter->value = sum;
    counter->increments++;
    tell_waiting(counter);
    Counter_increment_results_set_value(results, sum);
    return CAPOS_REPLY;
}

static enum capos_outcome do_read(struct capos_request *req, Counter_read_params_r params,
                                  Counter_read_results_b results)
{
    const struct counter *counter = req->object;
    (void)params;
    Counter_read_results_set_value(results, counter->value);
    return CAPOS_REPLY;
}

static enum capos_outcome do_reset(struct capos_request *req, Counter_reset_params_r params,
                                   Counter_reset_results_b results)
{
    struct counter *counter = req->object;
    (void)params;
    (void)results;
    counter->value = 0;
    return CAPOS_REPLY;
}

/* The child of that name, an unused place for it, or NULL when all are taken. */
static struct counter *child_place(struct capnp_text name)
{
    struct counter *free_place = NULL;
    for (unsigned i = 0; i < CHILDREN; i++) {
        if (all.children[i].objects != 0 && capnp_text_is(name, all.children[i].name)) {
            return &all.children[i];
        }
        if (all.children[i].objects == 0 && free_place == NULL) {
            free_place = &all.children[i];
        }
    }
    return free_place;
}

static enum capos_outcome do_child(struct capos_request *req, Counter_child_params_r params,
                                   Counter_child_results_b results)
{
    struct capnp_text name = Counter_child_params_get_name(params);
    if (name.len == 0 || name.len >= NAME_BYTES || memchr(name.ptr, 0, name.len) != NULL) {
        return capos_fail(req, CAPOS_EXC_INVALID_ARGUMENT, "a name of 1 to %d bytes is needed",
                          (int)NAME_BYTES - 1);
    }
    struct counter *child = child_place(name);
    if (child == NULL) {
        return capos_fail(req, CAPOS_EXC_OVERLOADED, "all %d places are taken", (int)CHILDREN);
    }
    bool is_new = child->objects == 0;
    capos_cap_t object;
    status_t status = capos_mint(endpoint, is_new ? all.next_key : child->key, Counter_ID,
                                 req->facet, Counter_SESSION_SCOPE, &object);
    if (status != ST_OK) {
        return capos_fail(req, CAPOS_EXC_OVERLOADED,
                          "no capability could be made: %s; try again when others gave theirs up",
                          status_name(status));
    }
    if (is_new) {
        *child = (struct counter){.key = all.next_key++};
        memcpy(child->name, name.ptr, name.len);
    }
    child->objects++;
    Counter_child_results_set_counter(results, capos_request_move(req, object));
    Counter_child_results_set_value(results, child->value);
    return CAPOS_REPLY;
}

/* Children belong to the exported counter; a child shows none. */
static enum capos_outcome do_info(struct capos_request *req, Counter_info_params_r params,
                                  Counter_info_results_b results)
{
    const struct counter *counter = req->object;
    (void)params;
    unsigned count = 0;
    for (unsigned i = 0; i < CHILDREN; i++) {
        count += counter == &all.root && all.children[i].objects != 0;
    }
    struct capnp_list_b names = Counter_info_results_init_children(results, count);
    unsigned at = 0;
    for (unsigned i = 0; i < CHILDREN && at < count; i++) {
        if (all.children[i].objects != 0) {
            capnp_text_list_set(names, at++, all.children[i].name, strlen(all.children[i].name));
        }
    }
    Counter_info_results_set_increments(results, counter->increments);
    return CAPOS_REPLY;
}

static const struct Counter_server operations = {
    .increment = do_increment,
    .read = do_read,
    .reset = do_reset,
    .child = do_child,
    .info = do_info,
    .reach = do_reach,
};

static const struct capos_interface interfaces[] = {{Counter_ID, Counter_dispatch, &operations}};

CAPOS_SERVER_STORAGE(storage, REQUESTS, MESSAGE_BYTES, MESSAGE_BYTES, 1);
static struct capos_server server = {
    .interfaces = interfaces,
    .interface_count = 1,
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
    status_t status = capos_carry_over(&server, &all, sizeof(all), &carried);
    if (status != ST_OK) {
        return capos_serve_refused(status);
    }
    return capos_serve(&server, endpoint, storage, sizeof(storage));
}
