/* SPDX-License-Identifier: MIT */
/* Making a process from a checked request. Theory in spawn.h. */
#include "object/spawn.h"

#include "abi/layout.h"
#include "core/panic.h"
#include "gen/kernel/types.h"
#include "gen/status.capnp.h"
#include "lib/base/bits.h"
#include "lib/base/string.h"
#include "mem/karray.h"
#include "object/elf.h"
#include "object/invoke.h"
#include "object/launcher.h"
#include "object/process.h"
#include "ring/ring.h"
#include "sched/sched.h"

/* Derives from nothing but taste: a small service fits, a runaway one stops early. */
void spawn_default_limits(uint64_t limits[LEDGER_CLASSES])
{
    static const uint64_t defaults[LEDGER_CLASSES] = {
        [LEDGER_CLASS_FRAMES] = 256,          [LEDGER_CLASS_KERNEL_PAGES] = 128,
        [LEDGER_CLASS_SLOTS] = 256,           [LEDGER_CLASS_THREADS] = 4,
        [LEDGER_CLASS_VIRTUAL_PAGES] = 65536, [LEDGER_CLASS_CALLS] = 512,
        [LEDGER_CLASS_SERVED_OBJECTS] = 64,   [LEDGER_CLASS_WAITERS] = 512,
        [LEDGER_CLASS_TIMERS] = 576,          [LEDGER_CLASS_GRANTS] = 128,
        [LEDGER_CLASS_INTERRUPTS] = 2,        [LEDGER_CLASS_LOG_BYTES] = 16384,
        [LEDGER_CLASS_PROCESSES] = 0,
    };
    memcpy(limits, defaults, sizeof(defaults));
}

status_t spawn_read_limits(Limit_list_r list, uint64_t limits[LEDGER_CLASSES])
{
    uint64_t seen = 0;
    for (uint32_t i = 0; i < Limit_list_len(list); i++) {
        Limit_r limit = Limit_list_at(list, i);
        uint32_t ledger_class = (uint32_t)Limit_get_ledger_class(limit);
        if (ledger_class >= LEDGER_CLASSES || (seen >> ledger_class & 1) != 0) {
            return ST_BAD_ARGUMENT;
        }
        seen |= UINT64_C(1) << ledger_class;
        limits[ledger_class] = Limit_get_amount(limit);
    }
    return ST_OK;
}

static bool name_byte_ok(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '-' || c == '.' || c == '#' || c == '/';
}

status_t spawn_read_name(struct capnp_text text, char out[CAPOS_CAP_NAME_BYTES])
{
    if (text.len == 0 || text.len >= CAPOS_CAP_NAME_BYTES) {
        return ST_BAD_ARGUMENT;
    }
    memset(out, 0, CAPOS_CAP_NAME_BYTES);
    for (uint32_t i = 0; i < text.len; i++) {
        if (!name_byte_ok(text.ptr[i])) {
            return ST_BAD_ARGUMENT;
        }
        out[i] = text.ptr[i];
    }
    return ST_OK;
}

static status_t read_self(Grant_r line, struct spawn_grant *grant)
{
    static const uint8_t ktypes[] = {
        [SELF_OBJECT_LEDGER] = KTYPE_LEDGER,
        [SELF_OBJECT_VIRTUAL_MEMORY] = KTYPE_VIRTUAL_MEMORY,
        [SELF_OBJECT_CAPABILITY_MANAGER] = KTYPE_CAPABILITY_MANAGER,
        [SELF_OBJECT_PROCESS_HANDLE] = KTYPE_PROCESS_HANDLE,
        [SELF_OBJECT_THREAD_SPAWNER] = KTYPE_THREAD_SPAWNER,
        [SELF_OBJECT_THREAD_CONTROL] = KTYPE_THREAD_CONTROL,
        [SELF_OBJECT_SESSION] = KTYPE_SESSION,
    };
    uint32_t self = (uint32_t)Grant_get_self(line);
    if (self >= sizeof(ktypes)) {
        return ST_BAD_ARGUMENT;
    }
    grant->self_ktype = ktypes[self];
    const struct kernel_interface *interface = &kernel_interfaces[grant->self_ktype];
    grant->cap = (struct capability){
        .facet = grant->self_ktype == KTYPE_SESSION ? SessionInfo_FACET : interface->facet_all,
        .interface = interface->id,
        .ktype = grant->self_ktype,
        .mode = interface->mode,
        .scope = interface->scope,
    };
    return ST_OK;
}

/* A moved capability may be granted once only; *used collects which transfers were. */
static status_t read_transfer(const struct invocation *inv, const struct spawn_request *req,
                              Grant_r line, uint64_t *used, struct spawn_grant *grant)
{
    uint16_t index = Grant_get_transfer(line);
    const struct capability *cap;
    status_t status = invoke_param_cap(inv, index, 0, &cap);
    if (status != ST_OK) {
        return status;
    }
    uint64_t bit = UINT64_C(1) << index;
    if ((*used & inv->move_mask & bit) != 0) {
        return ST_BAD_ARGUMENT;
    }
    *used |= bit;
    grant->cap = *cap;
    return req->endows || session_may_pass(inv->process, req->session, cap) ? ST_OK
                                                                            : ST_NOT_TRANSFERABLE;
}

static status_t narrow(Grant_r line, struct spawn_grant *grant)
{
    if (Grant_get_interface(line) != grant->cap.interface) {
        return ST_WRONG_INTERFACE;
    }
    uint64_t methods = Grant_get_methods(line);
    if ((methods & ~grant->cap.facet) != 0) {
        return ST_NO_METHOD;
    }
    if (methods != 0) {
        grant->cap.facet = methods;
    }
    return ST_OK;
}

static bool name_taken(const struct spawn_request *req, const char *name)
{
    for (uint32_t i = 0; i < req->grant_count; i++) {
        if (strcmp(req->grants[i].name, name) == 0) {
            return true;
        }
    }
    return false;
}

static status_t read_grant(const struct invocation *inv, Grant_r line, uint64_t *used,
                           struct spawn_request *req)
{
    struct spawn_grant *grant = &req->grants[req->grant_count];
    memset(grant, 0, sizeof(*grant));
    status_t status = spawn_read_name(Grant_get_name(line), grant->name);
    if (status != ST_OK) {
        return status;
    }
    if (name_taken(req, grant->name)) {
        return ST_EXISTS;
    }
    struct capnp_text origin = Grant_get_origin(line);
    uint32_t len = origin.len < GRANT_ORIGIN_BYTES ? origin.len : GRANT_ORIGIN_BYTES - 1;
    memcpy(grant->origin, origin.ptr, len);
    status = Grant_which(line) == GRANT_WHICH_TRANSFER ? read_transfer(inv, req, line, used, grant)
             : Grant_which(line) == GRANT_WHICH_SELF   ? read_self(line, grant)
                                                       : ST_BAD_ARGUMENT;
    if (status == ST_OK) {
        status = narrow(line, grant);
    }
    if (status == ST_OK) {
        req->grant_count++;
    }
    return status;
}

status_t spawn_read_grants(const struct invocation *inv, Grant_list_r list, uint64_t used_caps,
                           struct spawn_request *req)
{
    if (Grant_list_len(list) > CAPOS_CAPSET_MAX) {
        return ST_BAD_ARGUMENT;
    }
    uint64_t used = used_caps;
    for (uint32_t i = 0; i < Grant_list_len(list); i++) {
        status_t status = read_grant(inv, Grant_list_at(list, i), &used, req);
        if (status != ST_OK) {
            return status;
        }
    }
    /* What is moved must go somewhere. */
    return (inv->move_mask & ~used) == 0 ? ST_OK : ST_BAD_ARGUMENT;
}

static status_t make_stack(struct process *process, uint64_t stack_bytes)
{
    struct aspace *as = &process->aspace;
    uint64_t base = as->stack_top - stack_bytes;
    uint64_t placed;
    status_t status = aspace_reserve(as, base, stack_bytes, &placed);
    if (status == ST_OK) {
        struct aspace_op *op;
        status =
            aspace_op_finish(aspace_commit(as, base, stack_bytes, PROTECTION_READ_WRITE, &op), &op);
    }
    if (status == ST_OK) {
        status = aspace_guard(as, base - CAPOS_PAGE_BYTES, CAPOS_PAGE_BYTES);
    }
    return status == ST_OK ? aspace_guard(as, as->stack_top, CAPOS_PAGE_BYTES) : status;
}

static void fill_capset(struct process *process, const struct spawn_request *req,
                        const struct elf_image *elf)
{
    struct capos_capset *capset = process->capset;
    const struct thread *thread =
        list_entry(list_first(&process->threads), struct thread, process_link);
    capset->magic = CAPOS_CAPSET_MAGIC;
    capset->version = CAPOS_CAPSET_VERSION;
    capset->count = req->grant_count;
    capset->ring = thread->ring->user_address;
    capset->ring_bytes = ring_header(thread->ring)->total_bytes;
    capset->stack_base = process->aspace.stack_top - req->stack_bytes;
    capset->stack_bytes = req->stack_bytes;
    capset->image_base = elf->base;
    capset->image_end = elf->end;
    capset->process_id = process->obj.id;
    for (uint32_t i = 0; i < req->grant_count; i++) {
        const struct spawn_grant *grant = &req->grants[i];
        struct capos_capset_entry *entry = &capset->entries[i];
        entry->cap = grant->id;
        entry->interface = grant->cap.interface;
        entry->facet = grant->cap.facet;
        entry->transfer_mode = grant->cap.mode;
        memcpy(entry->name, grant->name, sizeof(entry->name));
    }
}

static status_t map_capset(struct process *process)
{
    uint64_t address = process->aspace.capset;
    uint8_t *page = process->capset;
    const struct karray one = {.directory = {&page}, .npages = 1};
    int one_page = 1;
    status_t status = aspace_place_kernel(&process->aspace, &address, 1, false);
    return status == ST_OK ? aspace_map_kernel(&process->aspace, address, &one, &one_page) : status;
}

static void drop_derived(struct spawn_request *req)
{
    for (uint32_t i = 0; i < req->grant_count; i++) {
        if (req->grants[i].derived != NULL) {
            grant_unref(req->grants[i].derived);
            req->grants[i].derived = NULL;
        }
    }
}

static status_t derive_grants(struct process *process, struct spawn_request *req)
{
    for (uint32_t i = 0; i < req->grant_count; i++) {
        struct spawn_grant *grant = &req->grants[i];
        struct grant *above = grant->cap.object != NULL ? grant->cap.route : req->route;
        status_t status = grant_derive(above, process->ledger, grant->origin,
                                       strnlen(grant->origin, GRANT_ORIGIN_BYTES), &grant->derived);
        if (status != ST_OK) {
            return status;
        }
    }
    capos_cap_t ids[CAPOS_CAPSET_MAX];
    status_t status = table_reserve(&process->table, req->grant_count, ids);
    if (status != ST_OK) {
        return status;
    }
    for (uint32_t i = 0; i < req->grant_count; i++) {
        req->grants[i].id = ids[i];
    }
    return ST_OK;
}

/* Room for the serve capabilities among the grants; the refs are taken at the commit. */
static status_t reserve_serving(struct process *process, struct spawn_request *req)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < req->grant_count; i++) {
        count += process_is_serving(&req->grants[i].cap);
    }
    return process_expect_serving(process, count);
}

/* Image, stack, capset and grants of a process that nobody knows yet. */
static status_t furnish(struct process *process, struct spawn_request *req, struct elf_image *elf)
{
    status_t status = elf_load(&process->aspace, req->image, elf);
    if (status == ST_OK) {
        status = make_stack(process, req->stack_bytes);
    }
    if (status == ST_OK) {
        status = map_capset(process);
    }
    if (status == ST_OK) {
        status = reserve_serving(process, req);
    }
    if (status == ST_OK) {
        status = derive_grants(process, req);
    }
    return status;
}

static void install_grants(struct process *process, struct spawn_request *req)
{
    for (uint32_t i = 0; i < req->grant_count; i++) {
        struct spawn_grant *grant = &req->grants[i];
        struct capability cap = grant->cap;
        if (cap.object == NULL) {
            cap.object = cap.ktype == KTYPE_LEDGER    ? &process->ledger->obj
                         : cap.ktype == KTYPE_SESSION ? &process->session->obj
                                                      : &process->obj;
        }
        kobj_ref(cap.object);
        cap.route = grant->derived;
        process_note_serving(process, &cap);
        grant->derived = NULL;
        table_install(&process->table, grant->id, &cap, CAP_HOP_SPAWN);
    }
}

static void start(struct process *process, const struct elf_image *elf)
{
    struct thread *thread = list_entry(list_first(&process->threads), struct thread, process_link);
    /* Stack and thread pointer begin at one place: docs/decisions/0063-threads-end-with-exit.md. */
    thread_start_at(thread, elf->entry, process->aspace.stack_top - CAPOS_STACK_ROOM,
                    process->aspace.capset);
    lock_acquire(&process->obj.lock);
    process->state = PROCESS_RUNNING;
    lock_release(&process->obj.lock);
    session_join(process, thread);
}

status_t spawn(struct spawn_request *req, struct process **out)
{
    if (req->ring_entries == 0) {
        req->ring_entries = SPAWN_DEFAULT_RING;
    }
    if (req->stack_bytes == 0) {
        req->stack_bytes = SPAWN_DEFAULT_STACK;
    }
    if (req->stack_bytes > SPAWN_MAX_STACK || !is_aligned(req->stack_bytes, CAPOS_PAGE_BYTES)) {
        return ST_BAD_ARGUMENT;
    }
    if (!memory_object_is_sealed(req->image)) {
        return ST_NOT_SEALED;
    }
    struct process *process;
    status_t status = process_create(req->parent, req->ledger, req->session, req->limits, req->name,
                                     req->ring_entries, &process);
    if (status != ST_OK) {
        return status;
    }
    struct elf_image elf;
    status = furnish(process, req, &elf);
    if (status != ST_OK) {
        drop_derived(req);
        process_abandon(process);
        return status;
    }
    fill_capset(process, req, &elf);
    install_grants(process, req);
    if (req->launcher != NULL) {
        kobj_ref(launcher_obj(req->launcher));
        process->launcher = req->launcher;
    }
    *out = process; /* the creator's ref goes to the caller, so it cannot vanish while it starts */
    start(process, &elf);
    return ST_OK;
}
