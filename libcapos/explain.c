/* SPDX-License-Identifier: MIT */
/* Refusals in words: which call, which status, what it means, what to do about it. */
#include "capos/call.h"
#include "lib/base/fmt.h"
#include "lib/base/string.h"
#include "status.capnp.h"

static const char *const advice[] = {
    [-ST_BAD_CAP] = "use a capability you hold; this one was released, moved away or never granted",
    [-ST_WRONG_INTERFACE] = "`caps` shows what interface each capability is of",
    [-ST_NO_METHOD] = "ask whoever granted it for a facet with this method",
    [-ST_QUOTA] = "release something, or have the limit raised where this program is started",
    [-ST_TIMED_OUT] = "try again with a later deadline",
    [-ST_DISCONNECTED] = "if it is a service that is started again, calling once more may work",
    [-ST_BUSY] = "try again once the other holder is done",
    [-ST_NOT_TRANSFERABLE] = "this capability may not leave this process",
    [-ST_RESULT_TOO_SMALL] = "give a larger result buffer or accept more capabilities",
};

static const char *const exception_names[CAPOS_EXC_COUNT] = {
    "none", "failed", "overloaded", "disconnected", "unimplemented", "invalidArgument",
};

static const char *exception_name(enum capos_exception exception)
{
    return (unsigned)exception < CAPOS_EXC_COUNT ? exception_names[exception] : "unknown";
}

/* The text is somebody else's: it stays on the line on which it is shown. */
static size_t explain_exception(const struct capos_call *call, char *buf, size_t size)
{
    char text[160];
    capos_call_text(call, text, sizeof(text));
    for (char *at = text; *at != '\0'; at++) {
        *at = *at == '\n' ? ' ' : *at;
    }
    return fmt_format(buf, size, "%s%s%s", exception_name(call->exception),
                      text[0] != '\0' ? ": " : "", text);
}

/* What the status means; with what the completion adds to it. */
static size_t explain_status(const struct capos_call *call, char *buf, size_t size)
{
    bool told = (call->op.cqe.flags & CAPOS_CQE_NEEDED) != 0;
    const char *class_name =
        call->status == ST_QUOTA && told ? LedgerClass_name((enum LedgerClass)call->needed) : NULL;
    if (class_name != NULL) {
        return fmt_format(buf, size, "the limit of %s is reached", class_name);
    }
    if (call->status == ST_RESULT_TOO_SMALL && told) {
        return fmt_format(buf, size, "%s (%u bytes needed)", status_text(call->status),
                          call->needed);
    }
    return fmt_format(buf, size, "%s", status_text(call->status));
}

/* The method as the schema spells it: C names have underscores where it has capitals. */
static void schema_spelling(const char *name, char *out, size_t size)
{
    size_t at = 0;
    for (bool raise = false; *name != '\0' && at + 1 < size; name++) {
        if (*name == '_') {
            raise = true;
            continue;
        }
        out[at++] = raise ? (char)(*name - 'a' + 'A') : *name;
        raise = false;
    }
    out[at] = '\0';
}

/* "Interface.method" */
static size_t put_name(char *buf, size_t size, const char *interface, const char *method)
{
    char spelled[64];
    schema_spelling(method != NULL ? method : "?", spelled, sizeof(spelled));
    return fmt_format(buf, size, "%s.%s", interface != NULL ? interface : "?", spelled);
}

static size_t explain_outcome(const struct capos_call *call, char *buf, size_t size)
{
    size_t at = fmt_format(buf, size, ": %s: ", status_name(call->status));
    if (at < size && call->status == ST_EXCEPTION && call->exception != CAPOS_EXC_NONE) {
        return at + explain_exception(call, buf + at, size - at);
    }
    if (at < size) {
        at += explain_status(call, buf + at, size - at);
    }
    size_t index = (size_t)-call->status;
    if (at < size && index < sizeof(advice) / sizeof(advice[0]) && advice[index] != NULL) {
        at += fmt_format(buf + at, size - at, "; %s", advice[index]);
    }
    return at;
}

const char *capos_explain(const struct capos_call *call, char *buf, size_t size)
{
    bool earlier = call->failed_method != NULL;
    size_t at = put_name(buf, size, earlier ? call->failed_interface : call->interface_name,
                         earlier ? call->failed_method : call->method_name);
    if (at < size) {
        at += explain_outcome(call, buf + at, size - at);
    }
    if (at < size && earlier) {
        at += fmt_format(buf + at, size - at, " (so nothing was done by ");
    }
    if (at < size && earlier) {
        at += put_name(buf + at, size - at, call->interface_name, call->method_name);
    }
    if (at < size && earlier) {
        fmt_format(buf + at, size - at, ")");
    }
    return buf;
}

const char *capos_explain_status(const char *interface, const char *method, status_t status,
                                 char *buf, size_t size)
{
    struct capos_call call = {.interface_name = interface, .method_name = method, .status = status};
    return capos_explain(&call, buf, size);
}
