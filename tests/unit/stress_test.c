/* SPDX-License-Identifier: MIT */
/*
 * Random programs (kernel_actor.h) against the whole kernel. First one step at a time with seeds
 * (every run is the same), then with a host thread per CPU.
 *
 * STRESS_SEED and STRESS_STEPS in the environment give the last two tests other seeds and lengths.
 *
 * Checked all along: each SQE that was consumed completes once; every status is one of the list; the
 * tables keep their invariants. Checked at the end: nothing is left of any process.
 */
#include "tests/unit/kernel_actor.h"
#include "tests/unit/test.h"

#include "gen/ledger.capnp.h"
#include "gen/process.capnp.h"

enum { ACTORS = 6 };

static struct actor actors[ACTORS];

/* Each may have two children at a time. */
static capos_cap_t make_launcher(struct user *user)
{
    static const enum LedgerClass classes[] = {LEDGER_CLASS_FRAMES, LEDGER_CLASS_KERNEL_PAGES,
                                               LEDGER_CLASS_VIRTUAL_PAGES, LEDGER_CLASS_CALLS,
                                               LEDGER_CLASS_SLOTS};
    uint64_t words[64];
    struct capnp_builder builder;
    capos_cap_t spawner = user_give_root(user, KTYPE_PROCESS_SPAWNER);
    capos_cap_t image = user_image(user);
    capnp_builder_init(&builder, words, sizeof(words));
    ProcessSpawner_new_launcher_params_b params = ProcessSpawner_new_launcher_params_init(&builder);
    Program_b program =
        Program_list_b_at(ProcessSpawner_new_launcher_params_init_programs(params, 1), 0);
    Program_set_name(program, "tool", 4);
    Limit_list_b limits = ProcessSpawner_new_launcher_params_init_limits(params, 5);
    for (uint32_t i = 0; i < 5; i++) {
        Limit_set_ledger_class(Limit_list_b_at(limits, i), classes[i]);
        Limit_set_amount(Limit_list_b_at(limits, i), 60);
    }
    ProcessSpawner_new_launcher_params_set_max_children(params, 2);
    struct capos_transfer xfer = {.cap = image};
    struct capos_cqe cqe = user_call(user, spawner, ProcessSpawner_ID,
                                     ProcessSpawner_new_launcher_ORDINAL, &builder, &xfer, 1, NULL);
    CHECK(cqe.result >= 0);
    CHECK_EQ(user_release(user, image), ST_OK);
    CHECK_EQ(user_release(user, spawner), ST_OK);
    return cqe.first_cap;
}

/* Everybody serves, and holds objects of everybody. */
static void make_world(unsigned seed, unsigned steps)
{
    uint64_t limits[LEDGER_CLASSES];
    machine_limits(limits, 5000, 600);
    limits[LEDGER_CLASS_SLOTS] = 60 + 2 * 60;
    actor_learn_launch();
    for (unsigned i = 0; i < ACTORS; i++) {
        struct actor *actor = &actors[i];
        *actor = (struct actor){.user = user_new_limits("actor", limits, USER_RING)};
        actor->seed = seed * 1000 + i;
        actor->steps_left = steps + actor_pick(actor, steps);
        actor->endpoint = user_endpoint(actor->user, 1024, MAX_CAPS);
        actor->launcher = make_launcher(actor->user);
    }
    for (unsigned i = 0; i < ACTORS; i++) {
        for (unsigned n = 0; n < CAPS; n++) {
            struct actor *server = &actors[actor_pick(&actors[i], ACTORS)];
            capos_cap_t minted = user_mint(server->user, server->endpoint, n);
            actors[i].objects[n] = user_pass(server->user, minted, actors[i].user, 0xff);
            user_release(server->user, minted);
        }
        actors[i].notes[0] = user_notification(actors[i].user);
        actors[i].user->thread->arch.user = &actors[i];
    }
    atomic_store_relaxed(&actors_left, ACTORS);
}

static void check_tables(void)
{
    const char *why;
    for (unsigned i = 0; i < ACTORS; i++) {
        struct process *process = actors[i].user->process;
        if (!process_is_exiting(process) && !table_check(&process->table, &why)) {
            FAIL(why);
        }
    }
}

/* Children that nobody ended outlive their parents: they go on until they exit by themselves. */
static void end_children(void)
{
    for (unsigned n = 0; n < 100000 && !fixture_is_clean(); n++) {
        unsigned cpu = n % arch_cpu_count();
        if (!host_step(cpu) && host_current(cpu)->process != NULL) {
            actor_child_turn(host_current(cpu));
        }
        host_clock_advance(5000);
    }
}

static void end_world(void)
{
    for (unsigned i = 0; i < ACTORS; i++) {
        actors[i].user->gone = true;
    }
    for (unsigned i = 0; i < ACTORS; i++) {
        user_ended(actors[i].user);
        CHECK(actors[i].completed <= actors[i].submitted);
        CHECK(actors[i].completed > 0 || actors[i].hostile);
    }
    end_children();
    fixture_end();
}

static void run_stepped(unsigned cpus, unsigned seed, unsigned steps, unsigned hostile)
{
    fixture_start_seed(cpus, seed);
    make_world(seed, steps);
    for (unsigned i = 0; i < hostile; i++) {
        actors[i].hostile = true;
    }
    unsigned random = seed;
    for (unsigned n = 0; atomic_load_relaxed(&actors_left) != 0; n++) {
        unsigned cpu = (unsigned)rand_r(&random) % cpus;
        if (!host_step(cpu)) {
            struct thread *thread = host_current(cpu);
            if (thread->process != NULL) {
                actor_turn(thread);
            }
        }
        if (rand_r(&random) % 4 == 0) {
            host_clock_advance((unsigned)rand_r(&random) % 300000);
        }
        if (n % 500 == 0) {
            check_tables();
        }
    }
    end_world();
}

TEST(stress_one_cpu, "random programs on one CPU keep every invariant and leave nothing behind")
{
    run_stepped(1, 1, 400, 0);
}

TEST(stress_two_cpus,
     "random programs on two CPUs, stepped in a random order, leave nothing behind")
{
    run_stepped(2, 2, 400, 0);
}

TEST(stress_more_cpus,
     "random programs on eight CPUs, stepped in a random order, leave nothing behind")
{
    run_stepped(8, 3, 400, 0);
}

static unsigned setting(const char *name, unsigned otherwise)
{
    const char *text = getenv(name);
    return text != NULL ? (unsigned)strtoul(text, NULL, 10) : otherwise;
}

static void one_seed(unsigned seed)
{
    run_stepped(1 + seed % 4, seed, setting("STRESS_STEPS", 40), seed % 3);
}

TEST(stress_seeds,
     "forty short lives of random programs, each of another seed, leave nothing behind")
{
    unsigned first = setting("STRESS_SEED", 10);
    for (unsigned seed = first; seed < first + 40; seed++) {
        if (!test_apart(one_seed, seed)) {
            printf("# seed %u\n", seed);
            FAIL("a seed failed");
        }
    }
}

TEST(stress_hostile, "processes that write anything to their rings hurt themselves alone")
{
    run_stepped(3, 4, 800, 3);
}

static bool all_reaped(void)
{
    for (unsigned i = 0; i < ACTORS; i++) {
        if (!fixture_reaped(actors[i].user->process)) {
            return false;
        }
    }
    return true;
}

TEST(stress_threads, "random programs on CPUs of their own leave nothing behind")
{
    enum { CPUS = 3 };
    fixture_start_real(CPUS);
    make_world(setting("STRESS_SEED", 77), setting("STRESS_STEPS", 1500));
    fixture_run(actor_turn, all_reaped);
    end_world();
}

static unsigned scribbler_seed;

/* Scribbles until all others have left. */
static bool scribbled_over(void)
{
    if (atomic_load_relaxed(&actors_left) > 1) {
        actor_scribble(&actors[0], 50, &scribbler_seed);
        return false;
    }
    atomic_store_relaxed(&actors[0].stop, true);
    return all_reaped();
}

TEST(stress_scribbler, "a ring that is overwritten while the kernel reads it hurts its owner alone")
{
    enum { CPUS = 3 };
    scribbler_seed = setting("STRESS_SEED", 5);
    fixture_start_real(CPUS);
    make_world(scribbler_seed, 1000);
    actors[0].hostile = true;
    actors[0].endless = true;
    fixture_run(actor_turn, scribbled_over);
    end_world();
}
