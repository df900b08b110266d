/* SPDX-License-Identifier: MIT */
/*
 * Making a process from a checked request, in slices.
 *
 * The first step, in the call, reads the request, checks what is cheap to check, carves and charges the child, and
 * makes it: a process in state BUILDING that nobody holds, whose one thread is NEW. The rest is a job of stages:
 * look at the image's headers; fill the ring; map the image; make the stack; look at the grants, one by one, and
 * put them into the child's table; show the start page. What has been made belongs to the child from the first
 * moment, so a build that is refused at any stage just ends the child, whose exit job takes down what is there.
 *
 * The call waits as a record that is QUEUED between slices and CLAIMED during one. So cancel, deadline, the caller's
 * end, the closing of its session and a revocation of the spawner end it at once, and its transfers with it: what was
 * to be moved is the caller's again before it hears. The next slice finds the record gone, and ends the child. A refusal
 * is told when the child has been reaped: charges, place at the launcher and moved capabilities are back by then.
 *
 * A granted capability stays in the caller's table, captured, until the child starts, and is looked up there in
 * the slice that grants it: revoked before, the spawn is refused DISCONNECTED; revoked later, the sweep finds it in
 * the child's table, and the child starts with a dead slot. The image is held by a reference and needs to live no longer.
 * A session that closes meanwhile is BAD_STATE; so is nothing else, for a process that joins a closed session ends.
 *
 * The commit cannot fail: the thread becomes live (unless the child was ended meanwhile), moved capabilities leave the
 * caller's table, the child joins its session and runs, the call is answered. Until then it is the job alone that
 * touches the child, but for sweeps.
 */
#include "object/spawn.h"

#include "abi/layout.h"
#include "core/panic.h"
#include "gen/debugger.capnp.h"
#include "gen/kernel/types.h"
#include "gen/status.capnp.h"
#include "lib/base/bits.h"
#include "lib/base/string.h"
#include "mem/karray.h"
#include "object/debugger.h"
#include "object/elf.h"
#include "object/launcher.h"
#include "object/pending.h"
#include "object/process.h"
#include "ring/op.h"
#include "ring/ring.h"

enum {
    BUILD_SLICE = 2 * ASPACE_SLICE,
    CHECK_COST = 64, /* the image's headers, in looks at a page */
    FURNISH_COST = 48,
    GRANT_COST = 22,
    NAME_PLACES = 128, /* a power of two, well over CAPOS_CAPSET_MAX */
};

/* Charged to the one who pays for the child, whose ledger it holds. The job's alone. */
struct build {
    struct pending pending;         /* the call; no ring when the kernel itself spawns */
    struct process *child;          /* a ref */
    struct memory_object *image;    /* a ref */
    struct grant *route;            /* a ref */
    struct ledger *payer;           /* a ref */
    const struct capability *given; /* NULL: the transfers are */
    struct op_transfers xfers;
    struct elf_load load;
    uint32_t ring_entries;
    uint64_t stack_bytes, stack_at; /* committed up to; 0: not begun */
    status_t status;                /* ST_OK, or why the build is given up, */
    enum LedgerClass refused;       /* and for want of what */
    enum Watch watch;
    struct kobj *debugger;               /* a ref, when one is wanted, once it is made */
    bool endows, abandoned, placed;      /* placed: the start page has its address */
    uint8_t stage, lines, line;          /* lines: of the capset; line: to be granted next */
    uint8_t names[NAME_PLACES];          /* line + 1, by a hash of its name */
    char (*origins)[GRANT_ORIGIN_BYTES]; /* a page */
};
static_assert(sizeof(struct build) <= SLAB_MAX_BYTES, "a build fits the slab");
static_assert(CAPOS_CAPSET_MAX * GRANT_ORIGIN_BYTES <= PAGE_BYTES, "origins fit a page");

static struct thread *first_thread(struct process *child)
{
    return list_entry(list_first(&child->threads), struct thread, process_link);
}

static struct capos_capset_entry *entry_of(struct build *build, uint32_t line)
{
    return &((struct capos_capset *)build->child->capset)->entries[line];
}

/* ---- stages ---- */

static status_t check_image(struct build *build, int *budget)
{
    *budget -= CHECK_COST;
    return elf_begin(build->image, &build->load);
}

static status_t furnish(struct build *build, int *budget)
{
    *budget -= FURNISH_COST;
    return process_furnish(build->child, build->ring_entries);
}

static status_t make_ring(struct build *build, int *budget)
{
    return ring_fill(first_thread(build->child)->ring, budget);
}

static status_t load_image(struct build *build, int *budget)
{
    return elf_load_slice(&build->child->aspace, build->image, &build->load, budget);
}

static status_t make_stack(struct build *build, int *budget)
{
    struct aspace *as = &build->child->aspace;
    uint64_t base = as->stack_top - build->stack_bytes;
    status_t status = ST_OK;
    if (build->stack_at == 0) {
        status = aspace_reserve(as, base, build->stack_bytes, &build->stack_at);
        if (status == ST_OK) {
            status = aspace_guard(as, base - CAPOS_PAGE_BYTES, CAPOS_PAGE_BYTES);
        }
        if (status == ST_OK) {
            status = aspace_guard(as, as->stack_top, CAPOS_PAGE_BYTES);
        }
    }
    return status == ST_OK
               ? aspace_commit_some(as, &build->stack_at, as->stack_top, &build->load.op, budget)
               : status;
}

/* `reserved` of a line that was not granted yet: the lengths of its name and its origin. */
enum { LINE_NAME = 0xff, LINE_ORIGIN_SHIFT = 8 };
enum { NAME_WORDS = CAPOS_CAP_NAME_BYTES / 8 };

static bool same_name(const uint64_t a[NAME_WORDS], const char *name)
{
    uint64_t b[NAME_WORDS];
    memcpy(b, name, sizeof(b));
    return ((a[0] ^ b[0]) | (a[1] ^ b[1]) | (a[2] ^ b[2]) | (a[3] ^ b[3])) == 0;
}

/* ST_EXISTS: an earlier line has the name. Names that were chosen to meet in the table cost budget. */
static status_t take_name(struct build *build, uint32_t line, int *budget)
{
    uint64_t words[NAME_WORDS];
    const struct capos_capset_entry *entry = entry_of(build, line);
    if (!spawn_name_ok(entry->name, entry->reserved & LINE_NAME)) {
        return ST_BAD_ARGUMENT;
    }
    memcpy(words, entry->name, sizeof(words));
    uint64_t hash = 0;
    for (unsigned i = 0; i < NAME_WORDS; i++) {
        hash = ((hash << 32 | hash >> 32) ^ words[i]) * UINT64_C(0x9e3779b97f4a7c15);
    }
    uint8_t *place;
    for (hash >>= 57; *(place = &build->names[hash % NAME_PLACES]) != 0; hash++) {
        if (same_name(words, entry_of(build, *place - 1u)->name)) {
            return ST_EXISTS;
        }
        --*budget;
    }
    *place = (uint8_t)(line + 1);
    return ST_OK;
}

/* One of the child's own objects, all of it that a process has of itself. */
static void own_object(const struct build *build, uint8_t ktype, struct capability *out)
{
    struct process *child = build->child;
    const struct kernel_interface *interface = &kernel_interfaces[ktype];
    *out = (struct capability){
        .object = ktype == KTYPE_LEDGER    ? &child->ledger->obj
                  : ktype == KTYPE_SESSION ? &child->session->obj
                                           : &child->obj,
        .route = build->route,
        .facet = ktype == KTYPE_SESSION          ? SessionInfo_FACET
                 : ktype == KTYPE_PROCESS_HANDLE ? ProcessSelf_FACET
                                                 : interface->facet_all,
        .interface = interface->id,
        .ktype = ktype,
        .mode = interface->mode,
        .scope = interface->scope,
    };
    kobj_ref(out->object);
    grant_ref(out->route);
}

/* What the line names, with refs. */
static status_t fetch(struct build *build, const struct capos_capset_entry *line,
                      struct capability *out)
{
    uint8_t self_ktype = (uint8_t)line->transfer_mode;
    if (self_ktype != 0) {
        own_object(build, self_ktype, out);
        return ST_OK;
    }
    if (build->given != NULL) {
        *out = build->given[line->cap];
        kobj_ref(out->object);
        grant_ref(out->route);
        return ST_OK;
    }
    struct process *caller = build->pending.ring->process;
    status_t status = table_captured_get(&caller->table, build->xfers.ids[line->cap], out);
    if (status == ST_OK && !build->endows &&
        !session_may_pass(caller, build->child->session, out)) {
        capability_put(out);
        status = ST_NOT_TRANSFERABLE;
    }
    return status;
}

static status_t narrow(const struct capos_capset_entry *line, struct capability *cap)
{
    if (line->interface != cap->interface) {
        return ST_WRONG_INTERFACE;
    }
    if ((line->facet & ~cap->facet) != 0) {
        return ST_NO_METHOD;
    }
    cap->facet = line->facet != 0 ? line->facet : cap->facet;
    return ST_OK;
}

/* The child's own route, room for it among those that serve, and a slot. */
static status_t reserve(struct build *build, uint32_t line, const struct capability *cap,
                        struct grant **route, capos_cap_t *id)
{
    struct process *child = build->child;
    status_t status = grant_derive(cap->route, child->ledger, build->origins[line],
                                   entry_of(build, line)->reserved >> LINE_ORIGIN_SHIFT, route);
    if (status != ST_OK) {
        return status;
    }
    if (child->serving == NULL && process_is_serving(cap)) {
        status = process_expect_serving(child, build->lines);
    }
    if (status == ST_OK) {
        status = table_reserve(&child->table, 1, id);
    }
    if (status != ST_OK) {
        grant_unref(*route);
    }
    return status;
}

/* The capability comes into the child's table, and the line says what became of it. */
static status_t grant_line(struct build *build, uint32_t line, int *budget)
{
    struct process *child = build->child;
    struct capos_capset_entry *entry = entry_of(build, line);
    struct capability cap;
    struct grant *route;
    capos_cap_t id;
    status_t status = take_name(build, line, budget);
    if (status == ST_OK) {
        status = fetch(build, entry, &cap);
    }
    if (status != ST_OK) {
        return status;
    }
    status = narrow(entry, &cap);
    if (status == ST_OK) {
        status = reserve(build, line, &cap, &route, &id);
    }
    if (status != ST_OK) {
        capability_put(&cap);
        return status;
    }
    grant_unref(cap.route);
    cap.route = route;
    entry->cap = id;
    entry->facet = cap.facet;
    entry->transfer_mode = cap.mode;
    entry->reserved = 0;
    process_note_serving(child, &cap);
    table_install(&child->table, id, &cap, CAP_HOP_SPAWN);
    return ST_OK;
}

static status_t give_grants(struct build *build, int *budget)
{
    status_t status = ST_OK;
    for (; status == ST_OK && build->line < build->lines; *budget -= GRANT_COST) {
        status = *budget > 0 ? grant_line(build, build->line, budget) : ST_PENDING;
        build->line = (uint8_t)(build->line + (status == ST_OK));
    }
    return status;
}

static status_t show_capset(struct build *build, int *budget)
{
    struct process *child = build->child;
    struct capos_capset *capset = child->capset;
    struct ring *ring = first_thread(child)->ring;
    capset->magic = CAPOS_CAPSET_MAGIC;
    capset->version = CAPOS_CAPSET_VERSION;
    capset->count = build->lines;
    capset->ring = ring->user_address;
    capset->ring_bytes = ring_header(ring)->total_bytes;
    capset->stack_base = child->aspace.stack_top - build->stack_bytes;
    capset->stack_bytes = build->stack_bytes;
    capset->image_base = child->image_base = build->load.image.base;
    capset->image_end = build->load.image.end;
    capset->process_id = child->obj.id;
    uint8_t *page = child->capset;
    const struct karray one = {.directory = {&page}, .npages = 1, .filled = 1};
    uint64_t address = child->aspace.capset;
    status_t status =
        build->placed ? ST_OK : aspace_place_kernel(&child->aspace, &address, 1, false);
    build->placed = true;
    return status == ST_OK ? aspace_map_kernel(&child->aspace, address, &one, budget) : status;
}

/* Whoever asked pays, and may keep it longer than the child lasts. */
static status_t make_debugger(struct build *build, int *budget)
{
    (void)budget;
    return build->watch == WATCH_NONE ? ST_OK
                                      : debugger_create(build->pending.ring->process->ledger,
                                                        build->child, &build->debugger);
}

static status_t (*const stages[])(struct build *, int *budget) = {
    check_image, furnish,     make_ring,   load_image,
    make_stack,  give_grants, show_capset, make_debugger,
};

/* ---- the end of a build ---- */

/* False: the child was ended meanwhile. */
static bool start(struct build *build)
{
    struct process *child = build->child;
    struct thread *thread = first_thread(child);
    if (!thread_live(thread)) {
        return false;
    }
    /* Stack and thread pointer begin at one place: docs/decisions/0063-threads-end-with-exit.md. */
    thread_start_at(thread, build->load.image.entry, child->aspace.stack_top - CAPOS_STACK_ROOM,
                    child->aspace.capset);
    lock_acquire(&child->obj.lock);
    child->state = child->state == PROCESS_BUILDING ? PROCESS_RUNNING : child->state;
    lock_release(&child->obj.lock);
    if (build->watch == WATCH_DEBUG) {
        (void)debugger_stop(thread, &debugger_no_fault); /* who debugs it lets it run */
    }
    session_join(child, thread);
    return true;
}

static void build_free(struct build *build)
{
    struct ledger *payer = build->payer;
    kpage_free(payer, build->origins);
    kobj_unref(&build->image->obj);
    grant_unref(build->route);
    slab_free(build);
    ledger_unref(payer);
}

/* All stages; ST_OK: the child is ready. */
static status_t build_some(struct build *build)
{
    int budget = BUILD_SLICE;
    for (; build->stage < sizeof(stages) / sizeof(stages[0]); build->stage++) {
        status_t status = stages[build->stage](build, &budget);
        if (status != ST_OK) {
            return status;
        }
    }
    return session_is_closed(build->child->session) ? ST_BAD_STATE : ST_OK;
}

/* A slice of ending the child; true when it has been reaped. */
static bool give_up(struct build *build)
{
    struct process *child = build->child;
    int budget = BUILD_SLICE;
    if (build->load.op != NULL && aspace_op_go_on(&build->load.op, &budget) == ST_PENDING) {
        return false;
    }
    if (!build->abandoned) {
        build->abandoned = true;
        kobj_ref(&child->obj);
        process_abandon(child);
    }
    lock_acquire(&child->obj.lock);
    bool reaped = child->state == PROCESS_REAPED;
    lock_release(&child->obj.lock);
    return reaped;
}

/* The record is the job's. */
static void succeed(struct build *build)
{
    struct pending pending = build->pending;
    struct process *child = build->child;
    struct kobj *debugger = build->debugger;
    uint64_t facet = build->watch == WATCH_DEBUG ? ProcessDebugger_FACET : FaultHandler_FACET;
    record_end_transfers(pending.rec, true);
    build_free(build);
    if (debugger == NULL) {
        pending_hand_out(&pending, true, ST_OK, &child->obj, KTYPE_PROCESS_HANDLE);
        return;
    }
    kobj_ref(debugger);
    pending_hand_out_both(&pending, &child->obj, KTYPE_PROCESS_HANDLE, debugger,
                          KTYPE_PROCESS_DEBUGGER, facet);
    debugger_delivered(debugger);
}

/* All is back; only the record, if it is the job's, waits to be told. */
static void refuse(struct build *build, bool claimed)
{
    struct pending pending = build->pending;
    struct process *child = build->child;
    status_t status = build->status;
    enum LedgerClass refused = build->refused;
    if (claimed) {
        record_end_transfers(pending.rec, false);
    }
    if (build->debugger != NULL) {
        kobj_unref(build->debugger);
    }
    build_free(build);
    kobj_unref(&child->obj);
    if (claimed) {
        (void)ledger_refuse(refused);
        record_complete(pending.rec, status);
    }
    pending_end(&pending);
}

/* A slice of a build whose record is the job's, or (not claimed) gone; true: it is over, and `build` too. */
static bool slice(struct build *build, bool claimed)
{
    if (build->status == ST_OK) {
        status_t status = claimed ? build_some(build) : ST_CANCELLED;
        if (status == ST_PENDING) {
            return false;
        }
        if (status == ST_OK) {
            if (start(build)) {
                succeed(build);
                return true;
            }
            status = ST_DISCONNECTED;
        }
        build->refused = ledger_refused();
        build->status = status;
    }
    if (!give_up(build) || !(claimed || pending_is_over(&build->pending))) {
        return false;
    }
    refuse(build, claimed);
    return true;
}

static bool build_slice(struct job *job)
{
    struct build *build = CONTAINER_OF(job, struct build, pending.job);
    bool claimed = pending_claim(&build->pending);
    bool over = slice(build, claimed);
    if (claimed && !over) {
        pending_requeue(&build->pending);
    }
    return over;
}

/* ---- its beginning ---- */

status_t spawn_begin(const struct spawn_request *req, struct build **out)
{
    uint64_t stack_bytes = req->stack_bytes != 0 ? req->stack_bytes : SPAWN_DEFAULT_STACK;
    if (stack_bytes > SPAWN_MAX_STACK || !is_aligned(stack_bytes, CAPOS_PAGE_BYTES)) {
        return ST_BAD_ARGUMENT;
    }
    if (!memory_object_is_sealed(req->image)) {
        return ST_NOT_SEALED;
    }
    struct build *build = slab_alloc(req->parent, sizeof(*build));
    void *origins = build != NULL ? kpage_alloc(req->parent) : NULL;
    status_t status = origins == NULL ? ST_QUOTA
                                      : process_create(req->parent, req->ledger, req->session,
                                                       req->limits, req->name, &build->child);
    if (status != ST_OK) {
        if (origins != NULL) {
            kpage_free(req->parent, origins);
        }
        if (build != NULL) {
            slab_free(build);
        }
        return status;
    }
    build->origins = origins;
    build->image = req->image;
    build->route = req->route;
    build->payer = req->parent;
    kobj_ref(&req->image->obj);
    grant_ref(req->route);
    ledger_ref(req->parent);
    build->given = req->given;
    build->endows = req->endows;
    build->watch = req->watch;
    build->stack_bytes = stack_bytes;
    build->ring_entries = req->ring_entries != 0 ? req->ring_entries : SPAWN_DEFAULT_RING;
    build->child->launcher = req->launcher;
    build->child->recordable = req->recordable;
    if (req->context != NULL) {
        process_run_on(build->child, req->context);
    }
    if (req->launcher != NULL) {
        kobj_ref(launcher_obj(req->launcher));
    }
    *out = build;
    return ST_OK;
}

void spawn_add(struct build *build, struct capnp_text name, struct capnp_text origin,
               uint64_t interface, uint64_t methods, uint8_t self_ktype, uint16_t index)
{
    struct capos_capset_entry *entry = entry_of(build, build->lines);
    KASSERT(build->lines < CAPOS_CAPSET_MAX && name.len < sizeof(entry->name));
    uint32_t origin_len = (uint32_t)min_u64(origin.len, GRANT_ORIGIN_BYTES - 1);
    memcpy(entry->name, name.ptr, name.len);
    memcpy(build->origins[build->lines], origin.ptr, origin_len);
    entry->reserved = name.len | origin_len << LINE_ORIGIN_SHIFT;
    entry->interface = interface;
    entry->facet = methods;
    entry->transfer_mode = self_ktype;
    entry->cap = index;
    build->lines++;
}

status_t spawn_later(struct build *build, status_t status, struct invocation *inv)
{
    build->status = status;
    build->xfers = *inv->xfers;
    inv->keep_xfers = &build->xfers;
    return pending_start(&build->pending, inv, build_slice);
}

status_t spawn_now(struct build *build, struct process **out)
{
    status_t status;
    do {
        status = build_some(build);
    } while (status == ST_PENDING);
    if (status == ST_OK && start(build)) {
        *out = build->child;
        build_free(build);
    }
    return status;
}
