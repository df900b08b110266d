/* SPDX-License-Identifier: MIT */
/*
 * ProcessSpawner and Launcher: their methods only read and check; spawn.c makes.
 *
 * Children of a launcher are charged to the ledger of the launcher's maker, whoever launches, and what
 * is left of one that has ended stays charged while a handle of it is held; max_children bounds both
 * (L1: `children` counts those that live or are held, and each holds a ref of the launcher).
 */
#include "object/launcher.h"

#include "core/panic.h"
#include "gen/kernel/process.kernel.h"
#include "gen/ledger.capnp.h"
#include "gen/kernel/types.h"
#include "gen/status.capnp.h"
#include "lib/base/string.h"
#include "mem/slab.h"
#include "object/invoke.h"
#include "object/memory_object.h"
#include "object/process.h"
#include "object/scheduling.h"
#include "object/spawn.h"
#include "sched/cpu.h"

enum { NO_CAP = 0xffff }; /* an optional parameter that was left out */

struct program {
    char name[CAPOS_CAP_NAME_BYTES];
    struct memory_object *image; /* a ref */
};

/* [I] immutable  [a] atomic */
struct launcher {
    struct kobj obj;
    struct ledger *payer;                           /* [I] a ref */
    struct session *session;                        /* [I] a ref; NULL: that of who launches */
    uint64_t limits[LEDGER_CLASSES];                /* [I] */
    uint32_t max_children;                          /* [I] */
    enum Watch watch;                               /* [I] the most a launch may ask for */
    _Atomic uint32_t children;                      /* [a] */
    uint32_t program_count;                         /* [I] */
    struct program programs[LAUNCHER_MAX_PROGRAMS]; /* [I] */
};
static_assert(sizeof(struct launcher) <= SLAB_MAX_BYTES, "a launcher fits the slab");

static struct launcher *launcher_of(struct kobj *obj)
{
    return CONTAINER_OF(obj, struct launcher, obj);
}

struct kobj *launcher_obj(struct launcher *launcher)
{
    return &launcher->obj;
}

void launcher_child_gone(struct launcher *launcher)
{
    atomic_sub_relaxed(&launcher->children, 1);
    kobj_unref(&launcher->obj);
}

static void launcher_destroy(struct kobj *obj)
{
    struct launcher *launcher = launcher_of(obj);
    for (uint32_t i = 0; i < launcher->program_count; i++) {
        kobj_unref(&launcher->programs[i].image->obj);
    }
    struct ledger *payer = launcher->payer;
    struct session *session = launcher->session;
    slab_free(launcher);
    ledger_unref(payer);
    if (session != NULL) {
        kobj_unref(&session->obj);
    }
}

static const struct kobj_ops launcher_ops = {
    .name = "launcher",
    .destroy = launcher_destroy,
};

static status_t image_param(const struct invocation *inv, uint16_t index,
                            struct memory_object **out)
{
    const struct capability *cap;
    status_t status = invoke_param_cap(inv, index, KTYPE_MEMORY_OBJECT, &cap);
    if (status != ST_OK) {
        return status;
    }
    if ((cap->facet & MemoryImage_FACET) != MemoryImage_FACET) {
        return ST_NO_METHOD;
    }
    *out = CONTAINER_OF(cap->object, struct memory_object, obj);
    return memory_object_is_sealed(*out) ? ST_OK : ST_NOT_SEALED;
}

/* The object behind an optional capability of the call, which needs all of `facet`; *out stays as it is
 * for NO_CAP. */
static status_t optional_param(const struct invocation *inv, uint16_t index, uint8_t ktype,
                               uint64_t facet, struct kobj **out)
{
    const struct capability *cap;
    if (index == NO_CAP) {
        return ST_OK;
    }
    status_t status = invoke_param_cap(inv, index, ktype, &cap);
    if (status != ST_OK) {
        return status;
    }
    *out = cap->object;
    return (cap->facet & facet) == facet ? ST_OK : ST_NO_METHOD;
}

/* On whose ledger, and in which session; NULL where nothing was said. */
static status_t read_place(const struct invocation *inv, uint16_t ledger, uint16_t session,
                           struct ledger **ledger_out, struct session **session_out)
{
    struct kobj *ledger_obj = NULL;
    struct kobj *session_obj = NULL;
    status_t status = optional_param(inv, ledger, KTYPE_LEDGER, Ledger_FACET, &ledger_obj);
    if (status == ST_OK) {
        status = optional_param(inv, session, KTYPE_SESSION, SessionRef_FACET, &session_obj);
    }
    *ledger_out = ledger_obj != NULL ? ledger_of(ledger_obj) : NULL;
    *session_out = session_obj != NULL ? session_of(session_obj) : NULL;
    return status != ST_OK || session_obj == NULL || !session_is_closed(*session_out)
               ? status
               : ST_BAD_STATE;
}

/* The common end of spawn and launch, for which a launcher has counted the child. */
static status_t make_child(struct invocation *inv, const struct spawn_request *req,
                           Grant_list_r grants)
{
    struct build *build;
    status_t status = Grant_list_len(grants) <= CAPOS_CAPSET_MAX
                          ? invoke_reserve_caps(inv, req->watch != WATCH_NONE ? 2 : 1)
                          : ST_BAD_ARGUMENT;
    if (status == ST_OK) {
        status = spawn_begin(req, &build);
    }
    if (status != ST_OK) {
        if (req->launcher != NULL) {
            atomic_sub_relaxed(&req->launcher->children, 1);
        }
        return status;
    }
    return spawn_later(build, spawn_read_grants(inv, grants, build), inv);
}

status_t ProcessSpawner_kernel_spawn(struct invocation *inv, ProcessSpawner_spawn_params_r params,
                                     ProcessSpawner_spawn_results_b results)
{
    struct spawn_request req = {
        .parent = inv->process->ledger,
        .route = inv->target.route,
        .ring_entries = ProcessSpawner_spawn_params_get_ring_entries(params),
        .stack_bytes = ProcessSpawner_spawn_params_get_stack_bytes(params),
        .watch = ProcessSpawner_spawn_params_get_watch(params),
        .recordable = ProcessSpawner_spawn_params_get_recordable(params),
    };
    (void)results;
    uint16_t image = ProcessSpawner_spawn_params_get_image(params);
    Grant_list_r grants = ProcessSpawner_spawn_params_get_grants(params);
    status_t status = spawn_read_name(ProcessSpawner_spawn_params_get_name(params), req.name);
    if (req.watch > WATCH_DEBUG) {
        status = ST_BAD_ARGUMENT;
    }
    if (status == ST_OK) {
        status = image_param(inv, image, &req.image);
    }
    if (status == ST_OK) {
        status =
            read_place(inv, ProcessSpawner_spawn_params_get_ledger(params),
                       ProcessSpawner_spawn_params_get_session(params), &req.ledger, &req.session);
        req.endows = req.session != NULL;
        req.session = req.endows ? req.session : inv->process->session;
    }
    if (status == ST_OK) {
        struct kobj *context = NULL;
        status = optional_param(inv, ProcessSpawner_spawn_params_get_context(params),
                                KTYPE_SCHEDULING_CONTEXT, 0, &context);
        req.context = context != NULL ? &scheduling_context_of(context)->context : NULL;
    }
    if (status == ST_OK) {
        Limit_list_r limits = ProcessSpawner_spawn_params_get_limits(params);
        spawn_default_limits(req.limits);
        status = req.ledger != NULL && Limit_list_len(limits) != 0
                     ? ST_BAD_ARGUMENT
                     : spawn_read_limits(limits, req.limits);
    }
    return status == ST_OK ? make_child(inv, &req, grants) : status;
}

static status_t read_programs(const struct invocation *inv, Program_list_r list,
                              struct launcher *launcher)
{
    if (Program_list_len(list) > LAUNCHER_MAX_PROGRAMS) {
        return ST_BAD_ARGUMENT;
    }
    for (uint32_t i = 0; i < Program_list_len(list); i++) {
        struct program *program = &launcher->programs[i];
        Program_r entry = Program_list_at(list, i);
        status_t status = spawn_read_name(Program_get_name(entry), program->name);
        if (status == ST_OK) {
            status = image_param(inv, Program_get_image(entry), &program->image);
        }
        for (uint32_t j = 0; status == ST_OK && j < i; j++) {
            if (strcmp(launcher->programs[j].name, program->name) == 0) {
                status = ST_EXISTS;
            }
        }
        if (status != ST_OK) {
            return status;
        }
        kobj_ref(&program->image->obj);
        launcher->program_count++;
    }
    return ST_OK;
}

static status_t launcher_create(const struct invocation *inv,
                                ProcessSpawner_new_launcher_params_r params, struct launcher **out)
{
    struct ledger *payer;
    struct session *session;
    status_t status =
        read_place(inv, ProcessSpawner_new_launcher_params_get_ledger(params),
                   ProcessSpawner_new_launcher_params_get_session(params), &payer, &session);
    if (status != ST_OK) {
        return status;
    }
    payer = payer != NULL ? payer : inv->process->ledger;
    struct launcher *launcher = slab_alloc(payer, sizeof(*launcher));
    if (launcher == NULL) {
        return ST_QUOTA;
    }
    kobj_init(&launcher->obj, KTYPE_LAUNCHER, &launcher_ops, payer);
    launcher->payer = payer;
    ledger_ref(payer);
    launcher->session = session;
    if (session != NULL) {
        kobj_ref(&session->obj);
    }
    launcher->watch = ProcessSpawner_new_launcher_params_get_watch(params);
    launcher->max_children = ProcessSpawner_new_launcher_params_get_max_children(params);
    spawn_default_limits(launcher->limits);
    status = launcher->watch > WATCH_DEBUG
                 ? ST_BAD_ARGUMENT
                 : spawn_read_limits(ProcessSpawner_new_launcher_params_get_limits(params),
                                     launcher->limits);
    if (status == ST_OK) {
        status =
            read_programs(inv, ProcessSpawner_new_launcher_params_get_programs(params), launcher);
    }
    if (status != ST_OK) {
        kobj_unref(&launcher->obj);
        return status;
    }
    *out = launcher;
    return ST_OK;
}

status_t ProcessSpawner_kernel_new_launcher(struct invocation *inv,
                                            ProcessSpawner_new_launcher_params_r params,
                                            ProcessSpawner_new_launcher_results_b results)
{
    status_t status = invoke_reserve_caps(inv, 1);
    struct launcher *launcher = NULL;
    if (status == ST_OK) {
        status = launcher_create(inv, params, &launcher);
    }
    if (status != ST_OK) {
        return status;
    }
    uint16_t index = invoke_add_cap(inv, &launcher->obj, KTYPE_LAUNCHER,
                                    kernel_interfaces[KTYPE_LAUNCHER].facet_all);
    ProcessSpawner_new_launcher_results_set_launcher(results, index);
    return ST_OK;
}

static struct memory_object *find_program(const struct launcher *launcher, struct capnp_text name)
{
    for (uint32_t i = 0; i < launcher->program_count; i++) {
        if (capnp_text_is(name, launcher->programs[i].name)) {
            return launcher->programs[i].image;
        }
    }
    return NULL;
}

/* Counts the child before it is made, so that two launches at once cannot exceed the limit. */
static bool take_place(struct launcher *launcher)
{
    if (atomic_add_relaxed(&launcher->children, 1) < launcher->max_children) {
        return true;
    }
    atomic_sub_relaxed(&launcher->children, 1);
    return false;
}

status_t Launcher_kernel_launch(struct invocation *inv, Launcher_launch_params_r params,
                                Launcher_launch_results_b results)
{
    struct launcher *launcher = launcher_of(inv->target.object);
    struct spawn_request req = {
        .parent = launcher->payer,
        .session = launcher->session != NULL ? launcher->session : inv->process->session,
        .route = inv->target.route,
        .launcher = launcher,
        .watch = Launcher_launch_params_get_watch(params),
        .recordable = Launcher_launch_params_get_recordable(params),
    };
    memcpy(req.limits, launcher->limits, sizeof(req.limits));
    req.image = find_program(launcher, Launcher_launch_params_get_program(params));
    if (req.image == NULL) {
        return ST_NOT_FOUND;
    }
    if (req.watch > launcher->watch) {
        return ST_NO_METHOD;
    }
    Grant_list_r grants = Launcher_launch_params_get_grants(params);
    status_t status = spawn_read_name(Launcher_launch_params_get_name(params), req.name);
    if (status != ST_OK) {
        return status;
    }
    if (session_is_closed(req.session)) {
        return ST_BAD_STATE;
    }
    if (!take_place(launcher)) {
        return ST_BUSY;
    }
    (void)results;
    return make_child(inv, &req, grants);
}

status_t Launcher_kernel_programs(struct invocation *inv, Launcher_programs_params_r params,
                                  Launcher_programs_results_b results)
{
    (void)params;
    const struct launcher *launcher = launcher_of(inv->target.object);
    struct capnp_list_b names =
        Launcher_programs_results_init_names(results, launcher->program_count);
    for (uint32_t i = 0; i < launcher->program_count; i++) {
        const char *name = launcher->programs[i].name;
        capnp_text_list_set(names, i, name, strlen(name));
    }
    return ST_OK;
}
