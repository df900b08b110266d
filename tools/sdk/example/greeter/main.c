/* SPDX-License-Identifier: MIT */
/* Greeter. Holds: serve (Endpoint), supervisor. It has one object, so any key is it. */
#include "capos/serve.h"
#include "capos/start.h"
#include "endpoint.client.h"
#include "greeter.client.h"
#include "lib/base/fmt.h"

enum { MESSAGE_BYTES = 512, NAME_BYTES = 40, REQUESTS = 2 };

static uint64_t guests;

static enum capos_outcome do_greet(struct capos_request *req, Greeter_greet_params_r params,
                                   Greeter_greet_results_b results)
{
    struct capnp_text name = Greeter_greet_params_get_name(params);
    if (name.len == 0 || name.len > NAME_BYTES) {
        return capos_fail(req, CAPOS_EXC_INVALID_ARGUMENT, "a name of 1 to %d bytes is needed",
                          (int)NAME_BYTES);
    }
    char text[64];
    size_t len = fmt_format(text, sizeof(text), "Hello, %.*s!", (int)name.len, name.ptr);
    guests++;
    Greeter_greet_results_set_text(results, text, len);
    return CAPOS_REPLY;
}

static enum capos_outcome do_guests(struct capos_request *req, Greeter_guests_params_r params,
                                    Greeter_guests_results_b results)
{
    (void)req;
    (void)params;
    Greeter_guests_results_set_count(results, guests);
    return CAPOS_REPLY;
}

static const struct Greeter_server operations = {.greet = do_greet, .guests = do_guests};
static const struct capos_interface interfaces[] = {{Greeter_ID, Greeter_dispatch, &operations}};

CAPOS_SERVER_STORAGE(storage, REQUESTS, MESSAGE_BYTES, MESSAGE_BYTES, 0);
static struct capos_server server = {
    .interfaces = interfaces,
    .interface_count = 1,
    .request_count = REQUESTS,
    .params_max_bytes = MESSAGE_BYTES,
    .reply_max_bytes = MESSAGE_BYTES,
};

int capos_main(void)
{
    capos_cap_t endpoint = CAPOS_NEED("serve", Endpoint);
    return capos_serve(&server, endpoint, storage, sizeof(storage));
}
