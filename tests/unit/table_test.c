/* SPDX-License-Identifier: MIT */
#include "tests/unit/kernel_machine.h"
#include "tests/unit/test.h"

#include <pthread.h>

#include "cap/siphash.h"
#include "gen/annotations.capnp.h"
#include "mem/frames.h"

static const uint64_t session_key[2] = {UINT64_C(0x0706050403020100), UINT64_C(0x0f0e0d0c0b0a0908)};

/* A table in a ledger of its own, a root grant, and what was there before. */
struct setup {
    struct ledger *root;
    struct ledger *ledger;
    struct grant *grant;
    struct cap_table table;
    struct ledger_state clean;
    uint64_t frames;
    unsigned destroyed;
    unsigned emptied;
};

static struct setup s;

static void start(uint64_t slots, uint64_t pages)
{
    uint64_t limits[LEDGER_CLASSES];
    s.root = machine_start(4);
    s.grant = grant_create_root(s.root, "boot");
    s.clean = ledger_state(s.root);
    s.frames = frames_free_count();
    machine_limits(limits, slots, pages);
    CHECK_EQ(ledger_carve(s.root, limits, "test", &s.ledger), ST_OK);
    table_init(&s.table, s.ledger, session_key);
}

static void check_table(void)
{
    const char *why;
    if (!table_check(&s.table, &why)) {
        FAIL(why);
    }
}

/* Destroys the table; nothing may be left behind. */
static void finish(void)
{
    check_table();
    while (!table_destroy_slice(&s.table, 100)) {
    }
    CHECK_EQ(ledger_state(s.ledger).used[LEDGER_CLASS_SLOTS], 0);
    CHECK_EQ(ledger_state(s.ledger).used[LEDGER_CLASS_KERNEL_PAGES], 0);
    ledger_unref(s.ledger);
    struct ledger_state after = ledger_state(s.root);
    CHECK_MEM_EQ(&s.clean, &after, sizeof(after));
    CHECK_EQ(frames_free_count(), s.frames);
}

static struct plain_object *object_new(uint8_t ktype)
{
    struct plain_object *object = plain_object_new(s.root, ktype);
    object->destroyed = &s.destroyed;
    object->emptied = &s.emptied;
    return object;
}

/* A capability of the object; takes over the caller's ref of it and takes one of the grant. */
static struct capability capability_of(struct plain_object *object)
{
    grant_ref(s.grant);
    return (struct capability){.object = &object->obj,
                               .route = s.grant,
                               .facet = 0x15,
                               .interface = 0xabcdef,
                               .ktype = object->obj.ktype,
                               .mode = TRANSFER_MODE_COPY,
                               .scope = SESSION_SCOPE_CROSS_SESSION};
}

static capos_cap_t insert(struct plain_object *object)
{
    struct capability cap = capability_of(object);
    capos_cap_t id = 0;
    CHECK_EQ(table_insert(&s.table, &cap, CAP_HOP_KERNEL, &id), ST_OK);
    return id;
}

static status_t get(capos_cap_t id)
{
    struct capability cap;
    status_t status = table_get(&s.table, id, &cap, NULL);
    if (status == ST_OK) {
        capability_put(&cap);
    }
    return status;
}

/* Everything a refusal must leave alone. */
struct snapshot {
    struct ledger_state ledger;
    uint32_t capacity, used, free_count, first_free;
};

static struct snapshot snap(void)
{
    struct snapshot now = {.ledger = ledger_state(s.ledger),
                           .capacity = s.table.capacity,
                           .used = s.table.used,
                           .free_count = s.table.free_count,
                           .first_free = s.table.first_free};
    return now;
}

static void check_unchanged(const struct snapshot *before)
{
    struct snapshot now = snap();
    CHECK_MEM_EQ(before, &now, sizeof(now));
    check_table();
}

TEST(table_siphash, "siphash128 gives the published vector for eight bytes")
{
    static const uint8_t vector[16] = {0x3b, 0x62, 0xa9, 0xba, 0x62, 0x58, 0xf5, 0x61,
                                       0x0f, 0x83, 0xe2, 0x64, 0xf3, 0x14, 0x97, 0xb4};
    uint64_t out[2];
    siphash128(session_key, UINT64_C(0x0706050403020100), out);
    CHECK_MEM_EQ(out, vector, sizeof(vector));
}

TEST(table_insert_get, "an inserted capability is found by its id with all that was put in")
{
    start(100, 10);
    struct plain_object *object = object_new(3);
    capos_cap_t id = insert(object);
    struct capability cap;
    uint64_t caller[2] = {1, 1};
    CHECK(id >= UINT64_C(1) << 24);
    CHECK_EQ(table_get(&s.table, id, &cap, caller), ST_OK);
    CHECK_PTR_EQ(cap.object, &object->obj);
    CHECK_PTR_EQ(cap.route, s.grant);
    CHECK_EQ(cap.facet, 0x15);
    CHECK_EQ(cap.interface, 0xabcdef);
    CHECK_EQ(cap.ktype, 3);
    CHECK_EQ(cap.mode, TRANSFER_MODE_COPY);
    CHECK_EQ(cap.scope, SESSION_SCOPE_CROSS_SESSION);
    CHECK_EQ(caller[0] | caller[1], 0);
    CHECK_EQ(atomic_load_relaxed(&object->obj.refs), 2);
    CHECK_EQ(atomic_load_relaxed(&object->obj.slots), 1);
    capability_put(&cap);
    CHECK_EQ(table_release(&s.table, id), ST_OK);
    CHECK_EQ(s.destroyed, 1);
    CHECK_EQ(s.emptied, 1);
    finish();
}

TEST(table_bad_ids, "ids that were never given are refused BAD_CAP, whatever their bits")
{
    start(100, 10);
    capos_cap_t id = insert(object_new(1));
    const capos_cap_t bad[] = {0,
                               1,
                               id & 0xffffff,
                               id + 1,
                               id + 64,
                               id | 0xffffff,
                               id + (UINT64_C(1) << 24),
                               id | UINT64_C(1) << 63,
                               UINT64_MAX,
                               UINT64_C(0xffffff) << 24};
    struct snapshot before = snap();
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        CHECK_EQ(get(bad[i]), ST_BAD_CAP);
        CHECK_EQ(table_release(&s.table, bad[i]), ST_BAD_CAP);
        CHECK_EQ(table_capture(&s.table, bad[i], false), ST_BAD_CAP);
        CHECK_EQ(table_capture(&s.table, bad[i], true), ST_BAD_CAP);
    }
    check_unchanged(&before);
    CHECK_EQ(get(id), ST_OK);
    finish();
}

TEST(table_stale_id, "a released id is refused BAD_CAP even when its slot holds something else")
{
    start(100, 10);
    capos_cap_t id = insert(object_new(1));
    CHECK_EQ(table_release(&s.table, id), ST_OK);
    CHECK_EQ(table_release(&s.table, id), ST_BAD_CAP);
    capos_cap_t next = insert(object_new(1));
    CHECK_EQ(next & 0xffffff, id & 0xffffff);
    CHECK_EQ(next >> 24, (id >> 24) + 1);
    CHECK_EQ(get(id), ST_BAD_CAP);
    CHECK_EQ(get(next), ST_OK);
    finish();
}

TEST(table_generation_retires, "a slot whose generation is used up is never used again")
{
    start(100, 10);
    capos_cap_t id = insert(object_new(1));
    uint32_t index = (uint32_t)(id & 0xffffff);
    struct cap_slot *slot = &s.table.root[0][0][index];
    slot->generation = (UINT64_C(1) << CAPOS_CAP_GENERATION_BITS) - 1;
    capos_cap_t last = slot->generation << 24 | index;
    CHECK_EQ(get(id), ST_BAD_CAP);
    CHECK_EQ(table_release(&s.table, last), ST_OK);
    CHECK_EQ(slot->state, CAP_RETIRED);
    CHECK_EQ(get(last), ST_BAD_CAP);
    for (unsigned i = 0; i < 99; i++) {
        CHECK((insert(object_new(1)) & 0xffffff) != index);
    }
    finish();
}

TEST(table_dead_route, "a capability whose grant is dead answers DISCONNECTED and can be released")
{
    start(100, 10);
    struct grant *route;
    CHECK_EQ(grant_derive(s.grant, s.root, "", 0, &route), ST_OK);
    struct capability cap = capability_of(object_new(1));
    grant_unref(cap.route);
    cap.route = route;
    capos_cap_t id;
    CHECK_EQ(table_insert(&s.table, &cap, CAP_HOP_SPAWN, &id), ST_OK);
    CHECK_EQ(get(id), ST_OK);
    grant_kill(route);
    struct snapshot before = snap();
    CHECK_EQ(get(id), ST_DISCONNECTED);
    CHECK_EQ(table_capture(&s.table, id, false), ST_DISCONNECTED);
    check_unchanged(&before);
    CHECK_EQ(table_release(&s.table, id), ST_OK);
    finish();
}

TEST(table_swept_while_destroyed,
     "a sweep beside the end of a table drops nothing that the end has dropped already")
{
    enum { CAPS = 40, GONE = 6 };
    start(100, 10);
    struct plain_object *object = object_new(1);
    struct grant *route;
    CHECK_EQ(grant_derive(s.grant, s.root, "", 0, &route), ST_OK);
    for (unsigned i = 0; i < CAPS; i++) {
        struct capability cap = capability_of(object);
        capos_cap_t id;
        grant_unref(cap.route);
        cap.route = route;
        grant_ref(route);
        kobj_ref(&object->obj);
        CHECK_EQ(table_insert(&s.table, &cap, CAP_HOP_SPAWN, &id), ST_OK);
    }
    grant_kill(route);
    uint32_t at = 0;
    int32_t budget = 1;
    CHECK(!table_sweep(&s.table, &at, &budget));
    CHECK(at != 0 && at < CAPS - GONE);
    uint32_t left = atomic_load(&object->obj.slots);
    CHECK(!table_destroy_slice(&s.table, GONE));
    CHECK_EQ(atomic_load(&object->obj.slots), left - GONE);
    budget = 1000;
    CHECK(table_sweep(&s.table, &at, &budget));
    CHECK_EQ(atomic_load(&object->obj.slots), 0);
    CHECK_EQ(atomic_load(&object->obj.refs), 1);
    CHECK_EQ(s.emptied, 1);
    grant_unref(route);
    while (!table_destroy_slice(&s.table, 100)) {
    }
    CHECK_EQ(atomic_load(&object->obj.refs), 1);
    kobj_unref(&object->obj);
    CHECK_EQ(s.destroyed, 1);
    finish();
}

TEST(table_dead_object, "a capability of a dead object answers DISCONNECTED and can be released")
{
    start(100, 10);
    struct plain_object *object = object_new(1);
    capos_cap_t id = insert(object);
    atomic_store_release(&object->obj.dead, 1);
    CHECK_EQ(get(id), ST_DISCONNECTED);
    CHECK_EQ(table_capture(&s.table, id, true), ST_DISCONNECTED);
    CHECK_EQ(table_release(&s.table, id), ST_OK);
    CHECK_EQ(s.destroyed, 1);
    finish();
}

TEST(table_quota, "slots beyond the ledger's class are refused QUOTA and change nothing")
{
    start(3, 10);
    for (unsigned i = 0; i < 3; i++) {
        insert(object_new(1));
    }
    struct capability cap = capability_of(object_new(1));
    capos_cap_t id;
    struct snapshot before = snap();
    CHECK_EQ(table_insert(&s.table, &cap, CAP_HOP_KERNEL, &id), ST_QUOTA);
    check_unchanged(&before);
    CHECK_EQ(s.destroyed, 0);
    capability_put(&cap);
    CHECK_EQ(s.destroyed, 1);
    finish();
}

TEST(table_reserve_all_or_nothing,
     "a reservation that the ledger covers in part is refused as a whole")
{
    start(10, 10);
    capos_cap_t ids[16];
    struct snapshot before = snap();
    CHECK_EQ(table_reserve(&s.table, 11, ids), ST_QUOTA);
    check_unchanged(&before);
    CHECK_EQ(table_reserve(&s.table, 10, ids), ST_OK);
    for (unsigned i = 0; i < 10; i++) {
        CHECK_EQ(get(ids[i]), ST_BAD_CAP);
        CHECK_EQ(table_release(&s.table, ids[i]), ST_BAD_CAP);
    }
    table_unreserve(&s.table, 10, ids);
    CHECK_EQ(s.table.used, 0);
    CHECK_EQ(ledger_state(s.ledger).used[LEDGER_CLASS_SLOTS], 0);
    finish();
}

TEST(table_growth_faults,
     "growth without frames is refused QUOTA, leaves no page behind, and works "
     "later")
{
    start(100000, 2000);
    for (unsigned full = 0; full < 3; full++) {
        capos_cap_t ids[CAP_PAGE_SLOTS];
        for (unsigned n = 1;; n++) {
            struct snapshot before = snap();
            uint64_t frames = frames_free_count();
            frames_fail_at(n);
            status_t status = table_reserve(&s.table, CAP_PAGE_SLOTS, ids);
            bool refused = frames_failed();
            frames_fail_at(0);
            if (!refused) {
                CHECK_EQ(status, ST_OK);
                CHECK_EQ(n, full == 1 ? 3 : 2); /* the second page brings a directory */
                break;
            }
            CHECK_EQ(status, ST_QUOTA);
            CHECK_EQ(frames_free_count(), frames);
            check_unchanged(&before);
        }
        for (unsigned i = 0; i < CAP_PAGE_SLOTS; i++) {
            struct capability cap = capability_of(object_new(1));
            table_install(&s.table, ids[i], &cap, CAP_HOP_KERNEL);
        }
    }
    finish();
    CHECK_EQ(s.destroyed, 3 * CAP_PAGE_SLOTS);
}

TEST(table_grows_directories, "a table grows past one directory, or is refused QUOTA and stays as "
                              "it was, and gives every page back")
{
    enum { DIRECTORY = 64 * 512, MANY = DIRECTORY + 200 };
    start(MANY, 2000);
    struct plain_object *object = object_new(1);
    capos_cap_t last = 0;
    for (unsigned i = 0; i < MANY; i++) {
        for (unsigned n = 1; i == DIRECTORY && n <= 3; n++) { /* page, directory and root */
            struct snapshot before = snap();
            frames_fail_at(n);
            CHECK_EQ(table_reserve(&s.table, 1, &last), ST_QUOTA);
            frames_fail_at(0);
            check_unchanged(&before);
        }
        kobj_ref(&object->obj);
        last = insert(object);
    }
    CHECK_EQ(last & 0xffffff, MANY - 1);
    CHECK_EQ(get(last), ST_OK);
    CHECK_EQ(atomic_load_relaxed(&object->obj.slots), MANY);
    kobj_unref(&object->obj);
    finish();
    CHECK_EQ(s.destroyed, 1);
}

TEST(table_copy, "a copy pins the slot: both ends have it, and the pin ends without a trace")
{
    start(10, 10);
    struct plain_object *object = object_new(1);
    capos_cap_t id = insert(object);
    struct capability cap;
    CHECK_EQ(table_capture(&s.table, id, false), ST_OK);
    CHECK_EQ(get(id), ST_OK);
    CHECK_EQ(table_captured_get(&s.table, id, &cap), ST_OK);
    CHECK_EQ(atomic_load_relaxed(&object->obj.refs), 2);
    capability_put(&cap);
    table_capture_end(&s.table, id, false, true);
    CHECK_EQ(get(id), ST_OK);
    CHECK_EQ(s.table.root[0][0][id & 63].pins, 0);
    finish();
}

TEST(table_release_pinned,
     "a slot released while pinned is gone for its holder, kept for the transfer, "
     "freed by the unpin")
{
    start(10, 10);
    struct capability cap;
    capos_cap_t id = insert(object_new(1));
    CHECK_EQ(table_capture(&s.table, id, false), ST_OK);
    CHECK_EQ(table_capture(&s.table, id, false), ST_OK);
    CHECK_EQ(table_release(&s.table, id), ST_OK);
    CHECK_EQ(get(id), ST_BAD_CAP);
    CHECK_EQ(table_release(&s.table, id), ST_BAD_CAP);
    CHECK_EQ(s.table.used, 1);
    check_table();
    CHECK_EQ(table_captured_get(&s.table, id, &cap), ST_OK);
    capability_put(&cap);
    table_capture_end(&s.table, id, false, false);
    CHECK_EQ(s.destroyed, 0);
    table_capture_end(&s.table, id, false, true);
    CHECK_EQ(s.destroyed, 1);
    CHECK_EQ(s.table.used, 0);
    finish();
}

TEST(table_move, "a move takes the id away at once; commit frees the slot, abort brings it back")
{
    start(10, 10);
    struct capability cap;
    capos_cap_t id = insert(object_new(1));
    CHECK_EQ(table_capture(&s.table, id, true), ST_OK);
    CHECK_EQ(get(id), ST_BAD_CAP);
    CHECK_EQ(table_release(&s.table, id), ST_BAD_CAP);
    CHECK_EQ(table_capture(&s.table, id, true), ST_BAD_CAP);
    CHECK_EQ(table_capture(&s.table, id, false), ST_BAD_CAP);
    check_table();
    table_capture_end(&s.table, id, true, false);
    CHECK_EQ(get(id), ST_OK);
    CHECK_EQ(table_capture(&s.table, id, true), ST_OK);
    CHECK_EQ(table_captured_get(&s.table, id, &cap), ST_OK);
    table_capture_end(&s.table, id, true, true);
    CHECK_EQ(s.table.used, 0);
    CHECK_EQ(s.destroyed, 0);
    capability_put(&cap);
    CHECK_EQ(s.destroyed, 1);
    CHECK_EQ(get(id), ST_BAD_CAP);
    finish();
}

TEST(table_move_pinned, "a moved slot that is pinned by a copy stays until the copy is done")
{
    start(10, 10);
    struct capability cap;
    capos_cap_t id = insert(object_new(1));
    CHECK_EQ(table_capture(&s.table, id, false), ST_OK);
    CHECK_EQ(table_capture(&s.table, id, true), ST_OK);
    table_capture_end(&s.table, id, true, true);
    CHECK_EQ(s.table.root[0][0][id & 63].state, CAP_ZOMBIE);
    CHECK_EQ(table_captured_get(&s.table, id, &cap), ST_OK);
    capability_put(&cap);
    table_capture_end(&s.table, id, false, true);
    CHECK_EQ(s.destroyed, 1);
    finish();
}

TEST(table_modes, "a transfer mode allows what it says and refuses the rest NOT_TRANSFERABLE")
{
    static const struct {
        uint8_t mode;
        status_t copy, move;
    } rows[] = {
        {TRANSFER_MODE_COPY, ST_OK, ST_OK},
        {TRANSFER_MODE_MOVE, ST_NOT_TRANSFERABLE, ST_OK},
        {TRANSFER_MODE_NONE, ST_NOT_TRANSFERABLE, ST_NOT_TRANSFERABLE},
    };
    start(10, 10);
    for (size_t i = 0; i < 3; i++) {
        struct capability cap = capability_of(object_new(1));
        capos_cap_t id;
        cap.mode = rows[i].mode;
        CHECK_EQ(table_insert(&s.table, &cap, CAP_HOP_KERNEL, &id), ST_OK);
        struct snapshot before = snap();
        CHECK_EQ(table_capture(&s.table, id, false), rows[i].copy);
        if (rows[i].copy == ST_OK) {
            table_capture_end(&s.table, id, false, false);
        }
        CHECK_EQ(table_capture(&s.table, id, true), rows[i].move);
        if (rows[i].move == ST_OK) {
            table_capture_end(&s.table, id, true, false);
        }
        CHECK_EQ(get(id), ST_OK);
        check_unchanged(&before);
    }
    finish();
}

TEST(table_captured_dead, "a captured capability that dies before delivery answers DISCONNECTED")
{
    start(10, 10);
    struct plain_object *object = object_new(1);
    struct capability cap;
    capos_cap_t id = insert(object);
    CHECK_EQ(table_capture(&s.table, id, true), ST_OK);
    atomic_store_release(&object->obj.dead, 1);
    CHECK_EQ(table_captured_get(&s.table, id, &cap), ST_DISCONNECTED);
    CHECK_EQ(atomic_load_relaxed(&object->obj.refs), 1);
    table_capture_end(&s.table, id, true, false);
    CHECK_EQ(get(id), ST_DISCONNECTED);
    finish();
}

TEST(table_pins_max, "a slot pinned 65,535 times refuses one more pin BUSY")
{
    start(10, 10);
    capos_cap_t id = insert(object_new(1));
    for (unsigned i = 0; i < UINT16_MAX; i++) {
        REQUIRE_EQ(table_capture(&s.table, id, false), ST_OK);
    }
    struct snapshot before = snap();
    CHECK_EQ(table_capture(&s.table, id, false), ST_BUSY);
    check_unchanged(&before);
    for (unsigned i = 0; i < UINT16_MAX; i++) {
        table_capture_end(&s.table, id, false, false);
    }
    finish();
}

TEST(table_caller_reference,
     "two services see different references of one holder, one service sees "
     "the same for all its objects")
{
    start(10, 10);
    struct plain_object *a = object_new(0), *b = object_new(0), *c = object_new(0);
    b->obj.caller_id = a->obj.caller_id;
    capos_cap_t ids[3] = {insert(a), insert(b), insert(c)};
    uint64_t caller[3][2];
    for (unsigned i = 0; i < 3; i++) {
        struct capability cap;
        CHECK_EQ(table_get(&s.table, ids[i], &cap, caller[i]), ST_OK);
        capability_put(&cap);
    }
    CHECK_MEM_EQ(caller[0], caller[1], 16);
    CHECK(caller[0][0] != caller[2][0] && caller[0][1] != caller[2][1]);
    CHECK(caller[0][0] != a->obj.id && caller[0][1] != a->obj.id);
    finish();
}

TEST(table_next_walks, "table_next finds every live slot once, in order, dead or not, and ends")
{
    enum { COUNT = 3000 };
    static bool kept[COUNT];
    start(COUNT, 200);
    struct plain_object *object = object_new(1);
    for (unsigned i = 0; i < COUNT; i++) {
        kobj_ref(&object->obj);
        capos_cap_t id = insert(object);
        kept[i] = i % 1500 == 7;
        if (!kept[i]) {
            CHECK_EQ(table_release(&s.table, id), ST_OK);
            /* the slot is used again at once: leave it behind reserved */
            CHECK_EQ(table_reserve(&s.table, 1, &id), ST_OK);
        }
    }
    kobj_unref(&object->obj);
    unsigned found = 0;
    for (uint32_t at = 0; at != UINT32_MAX;) {
        struct capability cap;
        capos_cap_t id;
        enum cap_hop hop;
        uint32_t index = table_next(&s.table, at, &cap, &id, &hop, &at);
        if (index != UINT32_MAX) {
            CHECK(kept[index]);
            CHECK_EQ(id & 0xffffff, index);
            CHECK_EQ(hop, CAP_HOP_KERNEL);
            capability_put(&cap);
            found++;
        }
    }
    CHECK_EQ(found, 2);
    uint32_t resume;
    struct capability cap;
    capos_cap_t id;
    enum cap_hop hop;
    CHECK_EQ(table_next(&s.table, UINT32_MAX, &cap, &id, &hop, &resume), UINT32_MAX);
    CHECK_EQ(resume, UINT32_MAX);
    finish();
}

/* ---- against a model ---- */

enum { IDS = 200, STEPS = 60000 };

struct model_cap {
    capos_cap_t id; /* 0: none */
    unsigned copies;
    bool moving;
    bool released;
};

static void model_step(struct model_cap *cap)
{
    bool usable = cap->id != 0 && !cap->moving && !cap->released;
    switch (rand() % 6) {
    case 0:
        if (cap->id == 0) {
            *cap = (struct model_cap){.id = insert(object_new(1))};
        }
        break;
    case 1:
        CHECK_EQ(table_release(&s.table, cap->id), usable ? ST_OK : ST_BAD_CAP);
        cap->released = cap->released || usable;
        break;
    case 2:
        CHECK_EQ(table_capture(&s.table, cap->id, false), usable ? ST_OK : ST_BAD_CAP);
        cap->copies += usable;
        break;
    case 3:
        CHECK_EQ(table_capture(&s.table, cap->id, true), usable ? ST_OK : ST_BAD_CAP);
        cap->moving = cap->moving || usable;
        break;
    case 4:
        if (cap->copies > 0) {
            table_capture_end(&s.table, cap->id, false, rand() % 2 == 0);
            cap->copies--;
        }
        break;
    default:
        if (cap->moving) {
            bool commit = rand() % 2 == 0;
            table_capture_end(&s.table, cap->id, true, commit);
            cap->moving = false;
            cap->released = commit;
        }
        break;
    }
    if (cap->released && cap->copies == 0) {
        CHECK_EQ(get(cap->id), ST_BAD_CAP);
        *cap = (struct model_cap){0};
    }
}

TEST(table_model, "random operations agree with a model, keep the invariants and leak nothing")
{
    static struct model_cap caps[IDS];
    start(IDS, 50);
    unsigned made = 0;
    for (unsigned step = 0; step < STEPS; step++) {
        struct model_cap *cap = &caps[(unsigned)rand() % IDS];
        bool empty = cap->id == 0;
        model_step(cap);
        made += empty && cap->id != 0;
        if (step % 500 == 0) {
            uint32_t used = 0;
            for (unsigned i = 0; i < IDS; i++) {
                used += caps[i].id != 0;
            }
            REQUIRE_EQ(s.table.used, used);
            REQUIRE_EQ(made - s.destroyed, used);
            check_table();
        }
    }
    finish();
    CHECK_EQ(made, s.destroyed);
}

/* ---- races ---- */

static capos_cap_t race_ids[4];

static void *race_use(void *number)
{
    host_become((unsigned)(uintptr_t)number);
    unsigned seed = (unsigned)(uintptr_t)number;
    for (unsigned i = 0; i < 3000; i++) {
        capos_cap_t id = race_ids[(unsigned)rand_r(&seed) % 4];
        struct capability cap;
        if (table_get(&s.table, id, &cap, NULL) == ST_OK) {
            capos_cap_t copy;
            if (i % 3 == 0 && table_insert(&s.table, &cap, CAP_HOP_DERIVED, &copy) == ST_OK) {
                CHECK_EQ(table_release(&s.table, copy), ST_OK);
            } else {
                capability_put(&cap);
            }
        }
        if (table_capture(&s.table, id, i % 2 == 0) == ST_OK) {
            table_capture_end(&s.table, id, i % 2 == 0, false);
        }
    }
    return NULL;
}

TEST(table_races, "threads of one process that use, copy and move the same ids corrupt nothing")
{
    pthread_t threads[3];
    start(50, 10);
    for (unsigned i = 0; i < 4; i++) {
        race_ids[i] = insert(object_new(1));
    }
    for (uintptr_t i = 0; i < 3; i++) {
        pthread_create(&threads[i], NULL, race_use, (void *)(i + 1));
    }
    for (unsigned i = 0; i < 3; i++) {
        pthread_join(threads[i], NULL);
    }
    CHECK_EQ(s.table.used, 4);
    finish();
    CHECK_EQ(s.destroyed, 4);
}
