/* SPDX-License-Identifier: MIT */
/* What a spawn asks for, read and checked as far as one step goes; spawn.c looks at each grant closer. */
#include "gen/kernel/types.h"
#include "gen/status.capnp.h"
#include "lib/base/bits.h"
#include "lib/base/string.h"
#include "object/invoke.h"
#include "object/spawn.h"

/* Derives from nothing but taste: a small service fits, a runaway one stops early. */
void spawn_default_limits(uint64_t limits[LEDGER_CLASSES])
{
    static const uint64_t defaults[LEDGER_CLASSES] = {
        [LEDGER_CLASS_FRAMES] = 256,          [LEDGER_CLASS_KERNEL_PAGES] = 128,
        [LEDGER_CLASS_SLOTS] = 256,           [LEDGER_CLASS_THREADS] = 4,
        [LEDGER_CLASS_VIRTUAL_PAGES] = 65536, [LEDGER_CLASS_CALLS] = 512,
        [LEDGER_CLASS_SERVED_OBJECTS] = 64,   [LEDGER_CLASS_WAITERS] = 512,
        [LEDGER_CLASS_TIMERS] = 576,          [LEDGER_CLASS_GRANTS] = 128,
        [LEDGER_CLASS_INTERRUPTS] = 2,        [LEDGER_CLASS_LOG_BYTES] = 16384,
        [LEDGER_CLASS_PROCESSES] = 0,
    };
    memcpy(limits, defaults, sizeof(defaults));
}

status_t spawn_read_limits(Limit_list_r list, uint64_t limits[LEDGER_CLASSES])
{
    uint64_t seen = 0;
    for (uint32_t i = 0; i < Limit_list_len(list); i++) {
        Limit_r limit = Limit_list_at(list, i);
        uint32_t ledger_class = (uint32_t)Limit_get_ledger_class(limit);
        if (ledger_class >= LEDGER_CLASSES || (seen >> ledger_class & 1) != 0) {
            return ST_BAD_ARGUMENT;
        }
        seen |= UINT64_C(1) << ledger_class;
        limits[ledger_class] = Limit_get_amount(limit);
    }
    return ST_OK;
}

bool spawn_name_ok(const char *name, size_t len)
{
    /* Letters, digits and # - . / _ */
    static const uint64_t good[4] = {UINT64_C(0x03ffe00800000000), UINT64_C(0x07fffffe87fffffe)};
    uint64_t bad = 0;
    if (len == 0 || len >= CAPOS_CAP_NAME_BYTES) {
        return false;
    }
    for (size_t i = 0; i < len; i++) {
        uint8_t c = (uint8_t)name[i];
        bad |= ~good[c / 64] >> c % 64;
    }
    return (bad & 1) == 0;
}

status_t spawn_read_name(struct capnp_text text, char out[CAPOS_CAP_NAME_BYTES])
{
    if (!spawn_name_ok(text.ptr, text.len)) {
        return ST_BAD_ARGUMENT;
    }
    memset(out, 0, CAPOS_CAP_NAME_BYTES);
    memcpy(out, text.ptr, text.len);
    return ST_OK;
}

static const uint8_t self_ktypes[] = {
    [SELF_OBJECT_LEDGER] = KTYPE_LEDGER,
    [SELF_OBJECT_VIRTUAL_MEMORY] = KTYPE_VIRTUAL_MEMORY,
    [SELF_OBJECT_CAPABILITY_MANAGER] = KTYPE_CAPABILITY_MANAGER,
    [SELF_OBJECT_PROCESS_HANDLE] = KTYPE_PROCESS_HANDLE,
    [SELF_OBJECT_THREAD_SPAWNER] = KTYPE_THREAD_SPAWNER,
    [SELF_OBJECT_THREAD_CONTROL] = KTYPE_THREAD_CONTROL,
    [SELF_OBJECT_SESSION] = KTYPE_SESSION,
};

/* A moved capability may be granted once only; *used collects which transfers were. */
static bool source_ok(const struct invocation *inv, Grant_r line, uint64_t *used)
{
    if (Grant_which(line) != GRANT_WHICH_TRANSFER) {
        return Grant_which(line) == GRANT_WHICH_SELF &&
               (uint32_t)Grant_get_self(line) < sizeof(self_ktypes);
    }
    uint16_t index = Grant_get_transfer(line);
    uint64_t bit = index < inv->cap_count ? BIT64(index) : 0;
    bool again = (*used & inv->move_mask & bit) != 0;
    *used |= bit;
    return bit != 0 && !again;
}

status_t spawn_read_grants(const struct invocation *inv, Grant_list_r list, struct build *build)
{
    uint64_t used = 0;
    for (uint32_t i = 0; i < Grant_list_len(list); i++) {
        Grant_r line = Grant_list_at(list, i);
        struct capnp_text name = Grant_get_name(line);
        bool own = Grant_which(line) == GRANT_WHICH_SELF;
        if (name.len == 0 || name.len >= CAPOS_CAP_NAME_BYTES || !source_ok(inv, line, &used)) {
            return ST_BAD_ARGUMENT;
        }
        spawn_add(build, name, Grant_get_origin(line), Grant_get_interface(line),
                  Grant_get_methods(line), own ? self_ktypes[(uint32_t)Grant_get_self(line)] : 0,
                  own ? 0 : Grant_get_transfer(line));
    }
    /* What is moved must go somewhere. */
    return (inv->move_mask & ~used) == 0 ? ST_OK : ST_BAD_ARGUMENT;
}
