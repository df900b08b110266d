/* SPDX-License-Identifier: MIT */
#define TEST_NO_MAIN
#include "tests/unit/kernel_spawn.h"

#include "abi/capset.h"
#include "gen/session.capnp.h"
#include "object/session.h"

struct user *parent;
capos_cap_t spawner;
capos_cap_t image;
static uint64_t answered; /* where the last answer lies */

void spawner_start(unsigned cpus)
{
    uint64_t limits[LEDGER_CLASSES];
    fixture_start(cpus);
    machine_limits(limits, 1 << 20, 2000); /* the defaults of a child fit in */
    parent = user_new_limits("parent", limits, USER_RING);
    spawner = user_give_root(parent, KTYPE_PROCESS_SPAWNER);
    image = user_image(parent);
}

struct request request_new(void)
{
    struct request request = {.name = "child", .xfers = {copy_of(image)}, .xfer_count = 1};
    request.limits[0].class = LEDGER_CLASS_FRAMES;
    request.limits[0].amount = 40;
    request.limits[1].class = LEDGER_CLASS_KERNEL_PAGES;
    request.limits[1].amount = 60;
    request.limit_count = 2;
    return request;
}

void fill_lines(Grant_list_b list, const struct request *request)
{
    for (uint32_t i = 0; i < request->line_count; i++) {
        const struct line *line = &request->lines[i];
        Grant_b grant = Grant_list_b_at(list, i);
        Grant_set_name(grant, line->name, strlen(line->name));
        Grant_set_origin(grant, "test line", 9);
        Grant_set_interface(grant, line->interface);
        Grant_set_methods(grant, line->methods);
        if (line->self >= 0) {
            Grant_set_self(grant, (enum SelfObject)line->self);
        } else {
            Grant_set_transfer(grant, line->index);
        }
    }
}

struct capos_cqe try_spawn(const struct request *request)
{
    uint64_t words[SPAWN_WORDS];
    struct capnp_builder builder;
    capnp_builder_init(&builder, words, sizeof(words));
    ProcessSpawner_spawn_params_b params = ProcessSpawner_spawn_params_init(&builder);
    ProcessSpawner_spawn_params_set_name(params, request->name, strlen(request->name));
    ProcessSpawner_spawn_params_set_image(params, request->image);
    ProcessSpawner_spawn_params_set_ring_entries(params, request->ring_entries);
    ProcessSpawner_spawn_params_set_stack_bytes(params, request->stack_bytes);
    ProcessSpawner_spawn_params_set_watch(params, request->watch);
    fill_lines(ProcessSpawner_spawn_params_init_grants(params, request->line_count), request);
    ProcessSpawner_spawn_params_set_ledger(params, (uint16_t)(request->ledger - 1));
    ProcessSpawner_spawn_params_set_session(params, (uint16_t)(request->session - 1));
    Limit_list_b limits = ProcessSpawner_spawn_params_init_limits(params, request->limit_count);
    for (uint32_t i = 0; i < request->limit_count; i++) {
        Limit_b limit = Limit_list_b_at(limits, i);
        Limit_set_ledger_class(limit, request->limits[i].class);
        Limit_set_amount(limit, request->limits[i].amount);
    }
    struct capos_cqe cqe =
        user_call(parent, spawner, ProcessSpawner_ID, ProcessSpawner_spawn_ORDINAL, &builder,
                  request->xfers, request->xfer_count, &answered);
    fixture_settle();
    return cqe;
}

capos_cap_t second_cap(const struct capos_cqe *cqe)
{
    struct capos_cap_record records[2];
    CHECK_EQ(cqe->cap_count, 2);
    user_read(parent, answered + (uint64_t)cqe->result, records, sizeof(records));
    CHECK_EQ(records[0].cap, cqe->first_cap);
    return records[1].cap;
}

struct process *process_behind(capos_cap_t handle)
{
    return process_of(user_object(parent, handle));
}

struct user *spawn_child(const struct request *request, capos_cap_t *handle_out)
{
    struct capos_cqe cqe = try_spawn(request);
    CHECK(cqe.result >= 0);
    CHECK_EQ(cqe.cap_count, 1);
    *handle_out = cqe.first_cap;
    struct user *child = user_adopt(process_behind(cqe.first_cap));
    fixture_settle();
    return child;
}

struct capos_cqe wait_exit(capos_cap_t handle)
{
    struct capos_sqe wait = sqe_wait(parent, handle, CAPOS_EVENT_EXIT, 0);
    return user_do(parent, &wait);
}

const struct capos_capset *capset_of(struct user *user)
{
    return user_ptr(user, user->process->aspace.capset);
}

capos_cap_t new_session(uint64_t facet, struct session **out)
{
    capos_cap_t whole = user_session(parent);
    *out = session_of(user_object(parent, whole));
    return user_pass(parent, whole, parent, facet);
}
