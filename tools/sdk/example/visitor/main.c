/* SPDX-License-Identifier: MIT */
/* Visitor: has itself greeted, and tells what it learned. Holds: greeter (Greeter), stdio. */
#include "capos/call.h"
#include "capos/print.h"
#include "capos/start.h"
#include "greeter.client.h"

static int refused(const char *method, status_t status)
{
    char text[160];
    capos_error("visitor: %s\n",
                capos_explain_status("Greeter", method, status, text, sizeof(text)));
    return 1;
}

int capos_main(void)
{
    capos_cap_t greeter = CAPOS_NEED("greeter", Greeter);
    char text[64];
    status_t status = Greeter_greet(greeter, "visitor", text, sizeof(text));
    if (status != ST_OK) {
        return refused("greet", status);
    }
    uint64_t count;
    status = Greeter_guests(greeter, &count);
    if (status != ST_OK) {
        return refused("guests", status);
    }
    capos_printf("%s I am guest number %llu.\n", text, (unsigned long long)count);
    return 0;
}
