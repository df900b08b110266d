/* SPDX-License-Identifier: MIT */
/* What a program says of a call that went wrong: interface, method, status, meaning, what to do. */
#include "capos/ring.h"
#include "tests/unit/test.h"

#include "capos/call.h"
#include "capos/start.h"
#include "status.capnp.h"

/* Nothing here reaches a kernel. */
void capos_relax(void)
{
}

int64_t capos_sys_enter(uint64_t min_complete, uint64_t deadline_ns)
{
    (void)min_complete, (void)deadline_ns;
    abort();
}

void capos_sys_exit(int64_t code)
{
    (void)code;
    abort();
}

static char text[240];

static const char *explain(struct capos_call call)
{
    return capos_explain(&call, text, sizeof(text));
}

TEST(explain_status,
     "a refusal names the call as the schema spells it, what it means, and a way out")
{
    CHECK_STR_EQ(capos_explain_status("Timer", "sleep", ST_TIMED_OUT, text, sizeof(text)),
                 "Timer.sleep: TIMED_OUT: the deadline passed; try again with a later deadline");
    CHECK_STR_EQ(
        capos_explain_status("Ledger", "new_endpoint", ST_BAD_ARGUMENT, text, sizeof(text)),
        "Ledger.newEndpoint: BAD_ARGUMENT: well formed, but a value lies outside the method's "
        "contract");
    capos_explain_status("Counter", "read", ST_EXCEPTION, text,
                         sizeof(text)); /* which is not known */
    CHECK(strstr(text, status_text(ST_EXCEPTION)) != NULL);
    CHECK_STR_EQ(capos_explain_status(NULL, NULL, ST_BAD_STATE, text, 12), "?.?: BAD_ST");
}

TEST(explain_every, "every status there is has its name and a meaning")
{
    for (int status = -1; status > -STATUS_COUNT; status--) {
        capos_explain_status("I", "m", status, text, sizeof(text));
        CHECK(strncmp(text, "I.m: ", 5) == 0);
        CHECK(strstr(text, status_name(status)) == text + 5);
        CHECK(strlen(text) > strlen(status_name(status)) + 10);
    }
}

TEST(explain_figures, "what the completion adds is told: the class of a quota, the bytes needed")
{
    struct capos_call call = {.interface_name = "Ledger",
                              .method_name = "new_memory_object",
                              .status = ST_QUOTA,
                              .needed = LEDGER_CLASS_FRAMES};
    CHECK(strstr(explain(call), "the limit of frames is reached") == NULL); /* none was told */
    call.op.cqe.flags = CAPOS_CQE_NEEDED;
    CHECK_STR_EQ(explain(call),
                 "Ledger.newMemoryObject: QUOTA: the limit of frames is reached; release "
                 "something, or have the limit raised where this program is started");
    call.status = ST_RESULT_TOO_SMALL;
    call.needed = 4096;
    CHECK(strstr(explain(call), "(4096 bytes needed)") != NULL);
    call.status = ST_QUOTA;
    call.needed = 60000; /* a class that this program does not know */
    CHECK(strstr(explain(call), "Ledger.newMemoryObject: QUOTA: ") == text);
}

TEST(explain_exception, "an exception's text is shown on one line, and cut where the room ends")
{
    static char words[] = "no\nsuch\nplace";
    struct capos_call call = {.interface_name = "Counter",
                              .method_name = "child",
                              .status = ST_EXCEPTION,
                              .exception = CAPOS_EXC_OVERLOADED,
                              .result = words,
                              .result_bytes = sizeof(words) - 1};
    CHECK_STR_EQ(explain(call), "Counter.child: EXCEPTION: overloaded: no such place");
    call.exception = 200;
    CHECK(strstr(explain(call), "EXCEPTION: unknown") != NULL);
    capos_explain(&call, text, 30);
    CHECK_EQ(strlen(text), 29);
}
