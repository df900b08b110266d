/* SPDX-License-Identifier: MIT */
/* Launcher: a spawner of some programs, so many at a time, in one session, watched so far and no further. */
#include "tests/unit/kernel_spawn.h"

#include "gen/endpoint.capnp.h"
#include "gen/notification.capnp.h"
#include "gen/session.capnp.h"

static capos_cap_t bound_session; /* of the launchers made now; 0: none */

static enum Watch launcher_watch; /* the most that launchers made now give */
static enum Watch launch_watch;   /* wanted */

static capos_cap_t new_launcher(const char *program, uint32_t max_children)
{
    uint64_t words[SPAWN_WORDS];
    struct capnp_builder builder;
    capnp_builder_init(&builder, words, sizeof(words));
    ProcessSpawner_new_launcher_params_b params = ProcessSpawner_new_launcher_params_init(&builder);
    Program_b entry =
        Program_list_b_at(ProcessSpawner_new_launcher_params_init_programs(params, 1), 0);
    Program_set_name(entry, program, strlen(program));
    Program_set_image(entry, 0);
    Limit_list_b limits = ProcessSpawner_new_launcher_params_init_limits(params, 2);
    Limit_set_ledger_class(Limit_list_b_at(limits, 0), LEDGER_CLASS_FRAMES);
    Limit_set_amount(Limit_list_b_at(limits, 0), 40);
    Limit_set_ledger_class(Limit_list_b_at(limits, 1), LEDGER_CLASS_KERNEL_PAGES);
    Limit_set_amount(Limit_list_b_at(limits, 1), 60);
    ProcessSpawner_new_launcher_params_set_max_children(params, max_children);
    ProcessSpawner_new_launcher_params_set_watch(params, launcher_watch);
    struct capos_transfer xfers[2] = {copy_of(image), copy_of(bound_session)};
    ProcessSpawner_new_launcher_params_set_session(params, bound_session != 0 ? 1 : UINT16_MAX);
    struct capos_cqe cqe =
        user_call(parent, spawner, ProcessSpawner_ID, ProcessSpawner_new_launcher_ORDINAL, &builder,
                  xfers, bound_session != 0 ? 2 : 1, NULL);
    CHECK(cqe.result >= 0);
    return cqe.first_cap;
}

static struct capos_cqe launch(capos_cap_t launcher, const char *program)
{
    uint64_t words[SPAWN_WORDS];
    struct capnp_builder builder;
    capnp_builder_init(&builder, words, sizeof(words));
    Launcher_launch_params_b params = Launcher_launch_params_init(&builder);
    Launcher_launch_params_set_program(params, program, strlen(program));
    Launcher_launch_params_set_name(params, "child", 5);
    Launcher_launch_params_set_watch(params, launch_watch);
    struct capos_cqe cqe =
        user_call(parent, launcher, Launcher_ID, Launcher_launch_ORDINAL, &builder, NULL, 0, NULL);
    fixture_settle();
    return cqe;
}

TEST(launcher_watch, "a launcher gives no more of a debugger than its maker let it")
{
    spawner_start(2);
    for (unsigned most = WATCH_NONE; most <= WATCH_DEBUG; most++) {
        launcher_watch = (enum Watch)most;
        capos_cap_t launcher = new_launcher("tool", 1);
        for (unsigned want = most + 1; want <= WATCH_DEBUG + 1; want++) {
            launch_watch = (enum Watch)want;
            CHECK_EQ(launch(launcher, "tool").result, ST_NO_METHOD);
        }
        launch_watch = (enum Watch)most;
        struct capos_cqe cqe = launch(launcher, "tool");
        CHECK(cqe.result >= 0);
        CHECK_EQ(cqe.cap_count, most == WATCH_NONE ? 1 : 2);
        user_terminate(user_adopt(process_behind(cqe.first_cap)));
    }
    launch_watch = WATCH_NONE;
    fixture_end();
}

TEST(launcher_session,
     "a launcher bound to a session starts in it, gives nothing there that may not cross, "
     "and starts nothing when it is closed")
{
    spawner_start(2);
    struct session *session;
    bound_session = new_session(SessionRef_FACET, &session);
    capos_cap_t launcher = new_launcher("tool", 2);
    bound_session = 0;
    struct held before = held_now(parent);
    const capos_cap_t gifts[] = {user_endpoint(parent, 64, 0), user_notification(parent)};
    const struct line lines[] = {{"x", Endpoint_ID, 0, -1, 0}, {"x", Notification_ID, 0, -1, 0}};
    for (unsigned i = 0; i < 2; i++) {
        uint64_t words[SPAWN_WORDS];
        struct capnp_builder builder;
        capnp_builder_init(&builder, words, sizeof(words));
        Launcher_launch_params_b params = Launcher_launch_params_init(&builder);
        Launcher_launch_params_set_program(params, "tool", 4);
        Launcher_launch_params_set_name(params, "child", 5);
        const struct request request = {.lines = &lines[i], .line_count = 1};
        fill_lines(Launcher_launch_params_init_grants(params, 1), &request);
        struct capos_transfer xfer = copy_of(gifts[i]);
        struct capos_cqe cqe = user_call(parent, launcher, Launcher_ID, Launcher_launch_ORDINAL,
                                         &builder, &xfer, 1, NULL);
        fixture_settle();
        if (i == 0) {
            CHECK_EQ(cqe.result, ST_NOT_TRANSFERABLE);
        } else {
            CHECK(cqe.result >= 0);
            struct user *child = user_adopt(process_behind(cqe.first_cap));
            CHECK_PTR_EQ(child->process->session, session);
            user_exit(child, 0);
            CHECK_EQ(user_release(parent, cqe.first_cap), ST_OK);
        }
        CHECK_EQ(user_release(parent, gifts[i]), ST_OK);
    }
    CHECK_HELD(parent, before);
    session->living++;
    atomic_store_seq_cst(&session->state, SESSION_STATE_CLOSED);
    CHECK_EQ(launch(launcher, "tool").result, ST_BAD_STATE);
    fixture_end();
}

TEST(launcher_children,
     "a launcher starts its programs, no others, and so many at a time; one that has "
     "ended counts until its handle is gone")
{
    spawner_start(2);
    struct held before = held_now(parent);
    capos_cap_t launcher = new_launcher("tool", 2);
    CHECK_EQ(launch(launcher, "other").result, ST_NOT_FOUND);
    struct capos_cqe first = launch(launcher, "tool");
    struct capos_cqe second = launch(launcher, "tool");
    CHECK(first.result >= 0 && second.result >= 0);
    CHECK_EQ(launch(launcher, "tool").result, ST_BUSY);
    user_exit(user_adopt(process_behind(first.first_cap)), 0);
    CHECK_EQ(launch(launcher, "tool").result, ST_BUSY);
    CHECK_EQ(user_release(parent, first.first_cap), ST_OK);
    struct capos_cqe third = launch(launcher, "tool");
    CHECK(third.result >= 0);
    CHECK_EQ(user_release(parent, launcher), ST_OK);
    user_exit(user_adopt(process_behind(second.first_cap)), 0);
    user_exit(user_adopt(process_behind(third.first_cap)), 0);
    CHECK_EQ(user_release(parent, second.first_cap), ST_OK);
    CHECK_EQ(user_release(parent, third.first_cap), ST_OK);
    CHECK_HELD(parent, before);
    fixture_end();
}
