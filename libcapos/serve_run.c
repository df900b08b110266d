/* SPDX-License-Identifier: MIT */
/* A service's whole life once its server is described: start, ready, run. */
#include "capos/print.h"
#include "capos/ring.h"
#include "capos/serve.h"
#include "capos/start.h"
#include "status.capnp.h"

int capos_serve(struct capos_server *server, capos_cap_t endpoint, void *storage, size_t bytes)
{
    status_t status = capos_server_start(server, endpoint, storage, bytes);
    if (status != ST_OK) {
        return capos_serve_refused(status);
    }
    capos_ready();
    capos_run();
    return 0;
}

int capos_serve_refused(status_t why)
{
    capos_error("cannot serve: %s: %s\n", status_name(why), status_text(why));
    return 1;
}
