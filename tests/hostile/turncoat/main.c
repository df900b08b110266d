/* SPDX-License-Identifier: MIT */
/*
 * A counter service that fails its own upgrade, in the way its value says (tests/qemu/cases/upgrade.py):
 *
 *   1  it dies while it saves its state     2  it never comes to an end of saving
 *   3  its successor dies once it has taken over     4  that one never gets ready
 *   5  it says that it wrote more than there is room for
 */
#include "capos/print.h"
#include "capos/serve.h"
#include "capos/start.h"
#include "counter.client.h"
#include "endpoint.client.h"
#include "lib/base/string.h"
#include "supervisor.client.h"

enum { DIE = 1, HANG = 2, SUCCESSOR_DIES = 3, SUCCESSOR_HANGS = 4, LIE = 5, MESSAGE_BYTES = 2112 };

static int64_t value;
static int64_t saved[2];

static void hang(void)
{
    for (;;) {
        capos_push();
    }
}

static enum capos_outcome do_increment(struct capos_request *req, Counter_increment_params_r params,
                                       Counter_increment_results_b results)
{
    (void)req;
    value += Counter_increment_params_get_by(params);
    Counter_increment_results_set_value(results, value);
    return CAPOS_REPLY;
}

static enum capos_outcome do_read(struct capos_request *req, Counter_read_params_r params,
                                  Counter_read_results_b results)
{
    (void)req;
    (void)params;
    Counter_read_results_set_value(results, value);
    return CAPOS_REPLY;
}

static const struct Counter_server operations = {.increment = do_increment, .read = do_read};
static const struct capos_interface interfaces[] = {{Counter_ID, Counter_dispatch, &operations}};
CAPOS_SERVER_STORAGE(storage, 2, MESSAGE_BYTES, MESSAGE_BYTES, 1);
static struct capos_server server = {
    .interfaces = interfaces,
    .interface_count = 1,
    .request_count = 2,
    .params_max_bytes = MESSAGE_BYTES,
    .reply_max_bytes = MESSAGE_BYTES,
    .caps_max = 1,
};

static size_t save(void *state, size_t size)
{
    if (value == DIE) {
        capos_exit(7);
    }
    if (value == HANG) {
        hang();
    }
    if (value == LIE) {
        status_t status = Supervisor_hand_over(CAPOS_NEED("supervisor", Supervisor), UINT32_MAX);
        capos_log("turncoat: the lie: %s", status_name(status));
    }
    memcpy(state, &value, sizeof(value));
    return size < sizeof(value) ? size : sizeof(value);
}

int capos_main(void)
{
    static uint8_t before[4096];
    size_t bytes = 0;
    status_t status = capos_take_over(&server, before, sizeof(before), &bytes);
    if (status == ST_OK && bytes == sizeof(value)) {
        memcpy(&value, before, sizeof(value));
    }
    if (value == SUCCESSOR_DIES) {
        return 8;
    }
    if (value == SUCCESSOR_HANGS) {
        hang();
    }
    capos_on_handover(&server, save, saved, sizeof(saved));
    capos_server_start(&server, CAPOS_NEED("serve", Endpoint), storage, sizeof(storage));
    capos_ready();
    capos_run();
    return 0;
}
