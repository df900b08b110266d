/* SPDX-License-Identifier: MIT */
/* From the first instruction in C to capos_main and out again; the start page. */
#include "capos/start.h"

#include "capos/call.h"
#include "capos/print.h"
#include "internal.h"
#include "lib/base/string.h"
#include "status.capnp.h"

/* Read by code compiled with -mstack-protector-guard=global. start.S mixes time and address in. */
extern uintptr_t __stack_chk_guard;
extern NORETURN void __stack_chk_fail(void);
extern NORETURN void capos_start(const struct capos_capset *page);

uintptr_t __stack_chk_guard = 0x9e3779b97f4a7c15u;

static const struct capos_capset *capset;

NORETURN void __stack_chk_fail(void)
{
    capos_sys_exit(CAPOS_EXIT_STACK);
}

static bool capset_is_sound(const struct capos_capset *page)
{
    return page != NULL && page->magic == CAPOS_CAPSET_MAGIC &&
           page->version == CAPOS_CAPSET_VERSION && page->count <= CAPOS_CAPSET_MAX;
}

NO_STACK_PROTECTOR NORETURN void capos_start(const struct capos_capset *page)
{
    if (!capset_is_sound(page)) {
        capos_sys_exit(CAPOS_EXIT_BAD_START);
    }
    capset = page;
    if (!capos_ring_open((void *)(uintptr_t)page->ring, page->ring_bytes)) {
        capos_sys_exit(CAPOS_EXIT_BAD_RING);
    }
    capos_exit(capos_main());
}

NORETURN void capos_exit(int64_t code)
{
    capos_print_flush();
    capos_sys_exit(code);
}

const struct capos_capset *capos_capset(void)
{
    return capset;
}

const struct capos_capset_entry *capos_capset_find(const char *name)
{
    for (uint32_t i = 0; i < capset->count; i++) {
        if (strncmp(capset->entries[i].name, name, CAPOS_CAP_NAME_BYTES) == 0) {
            return &capset->entries[i];
        }
    }
    return NULL;
}

status_t capos_capset_get(const char *name, uint64_t interface, capos_cap_t *cap)
{
    const struct capos_capset_entry *entry = capos_capset_find(name);
    if (entry == NULL) {
        return ST_NOT_FOUND;
    }
    if (entry->interface != interface) {
        return ST_WRONG_INTERFACE;
    }
    *cap = entry->cap;
    return ST_OK;
}

capos_cap_t capos_capset_try(const char *name, uint64_t interface)
{
    capos_cap_t cap = 0;
    return capos_capset_get(name, interface, &cap) == ST_OK ? cap : 0;
}

capos_cap_t capos_capset_need(const char *name, uint64_t interface, const char *interface_name)
{
    capos_cap_t cap = 0;
    status_t status = capos_capset_get(name, interface, &cap);
    if (status == ST_OK) {
        return cap;
    }
    capos_error("missing grant: this program needs `%s` of interface %s%s\n", name, interface_name,
                status == ST_WRONG_INTERFACE ? ", but was granted something else under that name"
                                             : "; grant it where the program is started");
    capos_exit(CAPOS_EXIT_NO_GRANT);
}
