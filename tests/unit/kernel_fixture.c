/* SPDX-License-Identifier: MIT */
#include "tests/unit/kernel_fixture.h"

#include "tests/unit/kernel_audit.h"

#include "tests/unit/aspace_ops.h"

#define TEST_NO_MAIN
#include "tests/unit/test.h"

#include <elf.h>
#include <sched.h>

#include "abi/layout.h"
#include "core/log.h"
#include "gen/kernel/types.h"
#include "gen/ledger.capnp.h"
#include "gen/thread.capnp.h"
#include "gen/memory.capnp.h"
#include "mem/frames.h"
#include "object/invoke.h"
#include "object/memory_object.h"
#include "object/root.h"
#include "object/spawn.h"
#include "sched/cpu.h"
#include "sched/sched.h"

enum {
    SETTLE_STEPS = 1000000,
    SETTLE_TURNS = 2000,
    FIXTURE_START_NS = 1000000,
    FIXTURE_RAM_BYTES = 32 << 20
};

static const struct kernel_roots *roots;
static struct user users[USERS_MAX];
static unsigned user_count;
static struct ledger_state clean_ledger;
static uint64_t clean_frames;
static bool real_time;

static void start(const struct host_config *config)
{
    const struct boot_info *boot = host_machine_init(config);
    real_time = config->real_time;
    host_clock_advance(FIXTURE_START_NS);
    roots = kernel_setup(boot);
    arch_smp_start();
    host_cpu_set_first(0, sched_next(&cpu_this()->idle));
    /* What the kernel keeps for good once used is there before anything is counted. */
    user_exit(user_new("first"), 0);
    user_count = 0;
    fixture_settle();
    clean_ledger = ledger_state(roots->ledger);
    clean_frames = frames_free_count();
}

void fixture_start_seed(unsigned cpus, uint64_t seed)
{
    struct host_config config = {.cpus = cpus, .ram_bytes = FIXTURE_RAM_BYTES, .seed = seed};
    start(&config);
}

void fixture_start(unsigned cpus)
{
    fixture_start_seed(cpus, 1);
}

void fixture_start_real(unsigned cpus)
{
    struct host_config config = {
        .cpus = cpus, .ram_bytes = FIXTURE_RAM_BYTES, .seed = 1, .real_time = true};
    start(&config);
}

const struct kernel_roots *fixture_roots(void)
{
    return roots;
}

/* A thread that has a system call to make, but no CPU, gets one in time, and so does a job. */
static bool somebody_waits(void)
{
    for (unsigned i = 0; i < arch_cpu_count(); i++) {
        if (atomic_load_relaxed(&cpu_of(i)->job_count) != 0) {
            return true;
        }
    }
    for (unsigned i = 0; i < user_count; i++) {
        if (!users[i].gone && users[i].thread->arch.wants_syscall &&
            atomic_load_relaxed(&users[i].thread->state) != THREAD_STOPPED) {
            return true;
        }
    }
    return false;
}

void fixture_settle(void)
{
    for (unsigned turn = 0; turn < SETTLE_TURNS; turn++) {
        if (host_settle(SETTLE_STEPS) == SETTLE_STEPS) {
            FAIL("the machine does not come to rest");
            return;
        }
        if (!somebody_waits()) {
            return;
        }
        if (real_time) {
            usleep(200);
        } else {
            host_clock_advance(SCHED_SLICE_NS);
        }
    }
    FAIL("a thread or a job waits for a CPU for ever");
}

void fixture_advance(uint64_t ns)
{
    host_clock_advance(ns);
    fixture_settle();
}

void fixture_run(host_user_fn turn, bool (*done)(void))
{
    host_cpus_start(turn);
    host_become(arch_cpu_count());
    while (!done()) {
        sched_yield();
    }
    host_cpus_stop();
    host_become(0);
}

bool fixture_reaped(struct process *process)
{
    lock_acquire(&process->obj.lock);
    bool yes = process->state == PROCESS_REAPED;
    lock_release(&process->obj.lock);
    return yes;
}

bool fixture_is_clean(void)
{
    struct ledger_state now = ledger_state(roots->ledger);
    return memcmp(&clean_ledger, &now, sizeof(now)) == 0 && frames_free_count() == clean_frames;
}

void fixture_end(void)
{
    fixture_settle();
    kernel_audit(roots->grant);
    for (unsigned i = 0; i < user_count; i++) {
        if (!users[i].gone && !users[i].shares) {
            user_terminate(&users[i]);
        }
    }
    fixture_settle();
    struct ledger_state now = ledger_state(roots->ledger);
    CHECK_MEM_EQ(&clean_ledger, &now, sizeof(now));
    CHECK_EQ(frames_free_count(), clean_frames);
    CHECK_EQ(list_count(&roots->grant->children), 0);
}

/* ---- users ---- */

void user_limits(uint64_t limits[LEDGER_CLASSES])
{
    machine_limits(limits, 1000, 1000);
}

static void make_heap(struct user *user)
{
    struct aspace *as = &user->process->aspace;
    uint64_t placed;
    CHECK_EQ(aspace_reserve(as, USER_HEAP, USER_HEAP_BYTES, &placed), ST_OK);
    CHECK_EQ(do_commit(as, USER_HEAP, USER_HEAP_BYTES, PROTECTION_READ_WRITE), ST_OK);
    user->heap_next = USER_HEAP;
    user->heap_end = USER_HEAP + USER_HEAP_BYTES;
}

struct session *fixture_session;
struct ledger *fixture_ledger;
bool fixture_ledger_shared;

status_t fixture_process(struct ledger *parent, struct ledger *ledger, struct session *session,
                         const uint64_t limits[LEDGER_CLASSES], const char *name,
                         uint32_t ring_entries, struct process **out)
{
    int enough = INT32_MAX;
    status_t status = process_create(parent, ledger, session, limits, name, out);
    if (status != ST_OK) {
        return status;
    }
    status = process_furnish(*out, ring_entries);
    if (status == ST_OK) {
        status = ring_fill(
            list_entry(list_first(&(*out)->threads), struct thread, process_link)->ring, &enough);
    }
    if (status != ST_OK) {
        process_abandon(*out);
    }
    return status;
}

status_t user_try_new(const char *name, const uint64_t limits[LEDGER_CLASSES],
                      uint32_t ring_entries, struct user **out)
{
    struct process *process;
    struct ledger *ledger = fixture_ledger != NULL ? fixture_ledger : roots->ledger;
    status_t status = fixture_process(ledger, fixture_ledger_shared ? ledger : NULL,
                                      fixture_session != NULL ? fixture_session : session_boot(),
                                      limits, name, ring_entries, &process);
    if (status != ST_OK) {
        return status;
    }
    struct user *user = &users[user_count++];
    *user = (struct user){.process = process, .user_data = 1000};
    user->thread = list_entry(list_first(&process->threads), struct thread, process_link);
    make_heap(user);
    thread_start_at(user->thread, 0x400000, 0, 0);
    user->thread->arch.user = user;
    process->state = PROCESS_RUNNING;
    user->ledger = user_give(user, &process->ledger->obj, KTYPE_LEDGER, Ledger_FACET);
    CHECK(thread_live(user->thread));
    session_join(process, user->thread);
    host_interrupt(0, ARCH_VECTOR_RESCHEDULE);
    fixture_settle();
    *out = user;
    return ST_OK;
}

struct user *user_new_limits(const char *name, const uint64_t limits[LEDGER_CLASSES],
                             uint32_t ring_entries)
{
    struct user *user = NULL;
    CHECK_EQ(user_try_new(name, limits, ring_entries, &user), ST_OK);
    return user;
}

struct user *user_new(const char *name)
{
    uint64_t limits[LEDGER_CLASSES];
    user_limits(limits);
    return user_new_limits(name, limits, USER_RING);
}

struct user *user_adopt(struct process *process)
{
    struct user *user = &users[user_count++];
    *user = (struct user){.process = process, .user_data = 1000};
    user->thread = list_entry(list_first(&process->threads), struct thread, process_link);
    user->thread->arch.user = user;
    user->heap_next = process->aspace.stack_top - SPAWN_DEFAULT_STACK;
    user->heap_end = process->aspace.stack_top;
    kobj_ref(&process->obj);
    return user;
}

capos_cap_t user_memory(struct user *user, const void *bytes, size_t size, bool sealed)
{
    struct memory_object *object;
    uint64_t pages = (size + PAGE_BYTES - 1) / PAGE_BYTES;
    CHECK_EQ(memory_object_create(roots->ledger, pages * PAGE_BYTES, &object), ST_OK);
    for (uint64_t i = 0; i < pages; i++) {
        size_t rest = size - i * PAGE_BYTES;
        memcpy(frame_ptr(memory_object_frame(object, (uint32_t)i)),
               (const char *)bytes + i * PAGE_BYTES, rest < PAGE_BYTES ? rest : PAGE_BYTES);
    }
    if (sealed) {
        CHECK_EQ(memory_object_seal(object), ST_OK);
    }
    capos_cap_t cap = user_give(user, &object->obj, KTYPE_MEMORY_OBJECT, MemoryObject_FACET);
    kobj_unref(&object->obj);
    return cap;
}

struct tiny_image {
    Elf64_Ehdr header;
    Elf64_Phdr segment;
    uint8_t text[64];
};

const void *fixture_image(size_t *size_out)
{
    static struct tiny_image image = {
        .header = {.e_ident = {0x7f, 'E', 'L', 'F', ELFCLASS64, ELFDATA2LSB, 1},
                   .e_type = ET_EXEC,
                   .e_machine = EM_X86_64,
                   .e_version = 1,
                   .e_entry = CAPOS_IMAGE_BASE + offsetof(struct tiny_image, text),
                   .e_phoff = sizeof(Elf64_Ehdr),
                   .e_ehsize = sizeof(Elf64_Ehdr),
                   .e_phentsize = sizeof(Elf64_Phdr),
                   .e_phnum = 1},
        .segment = {.p_type = PT_LOAD,
                    .p_flags = PF_R | PF_X,
                    .p_vaddr = CAPOS_IMAGE_BASE,
                    .p_paddr = CAPOS_IMAGE_BASE,
                    .p_filesz = sizeof(image),
                    .p_memsz = sizeof(image),
                    .p_align = PAGE_BYTES},
    };
    *size_out = sizeof(image);
    return &image;
}

capos_cap_t user_image(struct user *user)
{
    size_t size;
    const void *image = fixture_image(&size);
    return user_memory(user, image, size, true);
}

/* Threads of the process may go any moment: nobody looks at them from here on, but for `kept`. */
static void forget_threads(const struct process *process, const struct user *kept)
{
    for (unsigned i = 0; i < user_count; i++) {
        users[i].gone = users[i].gone || (users[i].process == process && &users[i] != kept);
    }
}

void user_ended(struct user *user)
{
    forget_threads(user->process, NULL);
    fixture_settle();
    CHECK_EQ(user->process->state, PROCESS_REAPED);
    kobj_unref(&user->process->obj);
}

capos_cap_t user_spawner(struct user *user)
{
    return user_give(user, &user->process->obj, KTYPE_THREAD_SPAWNER, ThreadSpawner_FACET);
}

struct capos_cqe user_try_thread(struct user *user, capos_cap_t spawner, uint64_t entry,
                                 uint64_t stack, uint32_t ring_entries, struct user **out)
{
    uint64_t words[8];
    struct capnp_builder builder;
    capnp_builder_init(&builder, words, sizeof(words));
    ThreadSpawner_spawn_params_b params = ThreadSpawner_spawn_params_init(&builder);
    ThreadSpawner_spawn_params_set_entry(params, entry);
    ThreadSpawner_spawn_params_set_stack(params, stack);
    ThreadSpawner_spawn_params_set_argument(params, 0xa59);
    ThreadSpawner_spawn_params_set_ring_entries(params, ring_entries);
    struct capos_cqe cqe = user_call(user, spawner, ThreadSpawner_ID, ThreadSpawner_spawn_ORDINAL,
                                     &builder, NULL, 0, NULL);
    if (cqe.result >= 0 && out != NULL) {
        struct user *other = &users[user_count++];
        *other = *user;
        other->thread = list_entry(list_last(&user->process->threads), struct thread, process_link);
        other->thread->arch.user = other;
        other->sq_tail = 0;
        other->cq_head = 0;
        other->shares = true;
        *out = other;
    }
    return cqe;
}

struct user *user_thread(struct user *user, capos_cap_t spawner, capos_cap_t *handle_out)
{
    struct user *other = user;
    struct capos_cqe cqe =
        user_try_thread(user, spawner, 0x400000, USER_HEAP + PAGE_BYTES, 0, &other);
    CHECK(cqe.result >= 0);
    *handle_out = cqe.first_cap;
    return other;
}

void user_thread_exit(struct user *user, int64_t code)
{
    kobj_ref(&user->thread->obj);
    host_syscall(user->thread, CAPOS_SYS_EXIT, (uint64_t)code, CAPOS_EXIT_THREAD);
    fixture_settle();
    user->gone = true;
    kobj_unref(&user->thread->obj);
}

void user_exit(struct user *user, int64_t code)
{
    struct thread *thread = user->thread;
    kobj_ref(&thread->obj);
    host_syscall(thread, CAPOS_SYS_EXIT, (uint64_t)code, 0);
    forget_threads(user->process, user);
    fixture_settle(); /* it makes the call when it gets a CPU, which may be a while */
    user_ended(user);
    kobj_unref(&thread->obj);
}

void user_terminate(struct user *user)
{
    process_end(user->process, PROCESS_ENDED_TERMINATED, 0, NULL);
    host_interrupt(0, ARCH_VECTOR_RESCHEDULE);
    user_ended(user);
}

uint64_t user_alloc(struct user *user, uint64_t bytes)
{
    uint64_t address = user->heap_next;
    user->heap_next += (bytes + 7) & ~UINT64_C(7);
    if (user->heap_next > user->heap_end) {
        FAIL("the test needs a larger user heap");
        abort();
    }
    return address;
}

void *user_ptr(struct user *user, uint64_t address)
{
    return host_user(&user->process->aspace.arch, address, false);
}

static uint64_t to_page_end(uint64_t address, uint64_t bytes)
{
    uint64_t room = PAGE_BYTES - address % PAGE_BYTES;
    return bytes < room ? bytes : room;
}

void user_write(struct user *user, uint64_t address, const void *from, uint64_t bytes)
{
    const char *in = from;
    while (bytes > 0) {
        uint64_t n = to_page_end(address, bytes);
        memcpy(user_ptr(user, address), in, n);
        address += n;
        in += n;
        bytes -= n;
    }
}

void user_read(struct user *user, uint64_t address, void *to, uint64_t bytes)
{
    char *out = to;
    while (bytes > 0) {
        uint64_t n = to_page_end(address, bytes);
        memcpy(out, user_ptr(user, address), n);
        address += n;
        out += n;
        bytes -= n;
    }
}

/* As at a spawn; a test may give several, one after the other. */
void user_note_serving(struct user *user, const struct capability *cap)
{
    struct process *process = user->process;
    if (process->serving == NULL && process_is_serving(cap)) {
        CHECK_EQ(process_expect_serving(process, FIXTURE_SERVING_MAX), ST_OK);
    }
    CHECK(process->serving_count < FIXTURE_SERVING_MAX);
    process_note_serving(process, cap);
}

static capos_cap_t insert(struct user *user, struct capability *cap)
{
    struct grant *route;
    capos_cap_t id = 0;
    CHECK_EQ(grant_derive(roots->grant, user->process->ledger, "test", 4, &route), ST_OK);
    kobj_ref(cap->object);
    cap->route = route;
    user_note_serving(user, cap);
    CHECK_EQ(table_insert(&user->process->table, cap, CAP_HOP_SPAWN, &id), ST_OK);
    return id;
}

capos_cap_t user_give(struct user *user, struct kobj *object, uint8_t ktype, uint64_t facet)
{
    const struct kernel_interface *interface = &kernel_interfaces[ktype];
    struct capability cap = {
        .object = object,
        .facet = facet,
        .interface = interface->id,
        .ktype = ktype,
        .mode = interface->mode,
        .scope = interface->scope,
    };
    return insert(user, &cap);
}

capos_cap_t user_give_root(struct user *user, uint8_t ktype)
{
    struct kobj *root = NULL;
    CHECK_EQ(root_object_create(ktype, &root), ST_OK);
    capos_cap_t cap = user_give(user, root, ktype, kernel_interfaces[ktype].facet_all);
    kobj_unref(root);
    return cap;
}

capos_cap_t user_give_self(struct user *user, uint8_t ktype)
{
    return user_give(user, &user->process->obj, ktype, kernel_interfaces[ktype].facet_all);
}

capos_cap_t user_pass(struct user *from, capos_cap_t cap, struct user *to, uint64_t facet)
{
    struct capability held;
    CHECK_EQ(table_get(&from->process->table, cap, &held, NULL), ST_OK);
    struct capability copy = held;
    copy.facet = facet;
    capos_cap_t id = insert(to, &copy);
    capability_put(&held);
    return id;
}

capos_cap_t user_pass_below(struct user *from, capos_cap_t cap, struct user *to, uint64_t facet)
{
    struct capability held;
    struct grant *route;
    capos_cap_t id = 0;
    CHECK_EQ(table_get(&from->process->table, cap, &held, NULL), ST_OK);
    CHECK_EQ(grant_derive(held.route, to->process->ledger, "below", 5, &route), ST_OK);
    grant_unref(held.route);
    held.route = route;
    held.facet = facet;
    user_note_serving(to, &held);
    CHECK_EQ(table_insert(&to->process->table, &held, CAP_HOP_SPAWN, &id), ST_OK);
    return id;
}

status_t user_look(struct user *user, capos_cap_t cap, struct capability *out)
{
    struct capability held;
    status_t status = table_get(&user->process->table, cap, &held, NULL);
    if (status == ST_OK) {
        *out = held;
        capability_put(&held);
    }
    return status;
}

struct kobj *user_object(struct user *user, capos_cap_t cap)
{
    struct capability held = {.object = NULL};
    CHECK_EQ(user_look(user, cap, &held), ST_OK);
    return held.object;
}

struct grant *user_route(struct user *user, capos_cap_t cap)
{
    struct capability held = {.route = NULL};
    CHECK_EQ(user_look(user, cap, &held), ST_OK);
    if (held.route != NULL) {
        grant_ref(held.route);
    }
    return held.route;
}

struct held held_now(struct user *user)
{
    struct held held;
    memset(&held, 0, sizeof(held)); /* the padding is compared, too */
    held.ledger = ledger_state(user->process->ledger);
    held.frames = frames_free_count();
    held.threads = list_count(&user->process->threads);
    return held;
}

uint64_t slots_used(struct user *user)
{
    return atomic_load_relaxed(&user->process->ledger->used[LEDGER_CLASS_SLOTS]);
}
