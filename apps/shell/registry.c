/* SPDX-License-Identifier: MIT */
#include "apps/shell/registry.h"

#include "apps/shell/describe.h"
#include "apps/shell/loop.h"
#include "apps/shell/term.h"
#include "descriptors.h"
#include "interfaces.h"
#include "lib/base/bits.h"
#include "lib/base/string.h"
#include "lib/capnp/dynamic.h"
#include "manual.client.h"

static capos_cap_t manual;
static struct described known[REGISTRY_DESCRIPTORS];
static unsigned known_count;

/* Descriptions that the manual gave, one behind the other; what is kept stays. */
static _Alignas(8) uint8_t arena[REGISTRY_ARENA_BYTES];
static size_t arena_used;

void registry_init(capos_cap_t manual_cap)
{
    manual = manual_cap;
}

/* ---- what this shell was built with ---- */

static const struct capos_interface_info *info_of(uint64_t id)
{
    for (size_t i = 0; i < capos_interface_count; i++) {
        if (capos_interfaces[i].id == id) {
            return &capos_interfaces[i];
        }
    }
    return NULL;
}

const char *registry_known_name(uint64_t interface)
{
    const struct capos_interface_info *info = info_of(interface);
    return info != NULL ? info->name : NULL;
}

uint64_t registry_base(uint64_t interface, uint64_t *methods_out)
{
    const struct capos_interface_info *info = info_of(interface);
    *methods_out = info != NULL ? info->methods : UINT64_MAX;
    return info != NULL ? info->base_id : interface;
}

const char *registry_facet_name(uint64_t interface, uint64_t methods)
{
    const struct capos_interface_info *base = info_of(interface);
    if (base == NULL || (methods & base->methods) == base->methods) {
        return base != NULL ? base->name : NULL;
    }
    for (size_t i = 0; i < capos_interface_count; i++) {
        const struct capos_interface_info *info = &capos_interfaces[i];
        if (info->base_id == interface && info->methods == (methods & base->methods)) {
            return info->name;
        }
    }
    return NULL;
}

bool registry_count_methods(uint64_t interface, uint64_t methods, unsigned *held, unsigned *all)
{
    const struct capos_interface_info *base = info_of(interface);
    if (base == NULL) {
        return false;
    }
    *held = describe_count(methods & base->methods);
    *all = describe_count(base->methods);
    return true;
}

/* ---- what the manual knows ---- */

CAPOS_CALL_STATIC(describe_call, SchemaRegistry, describe);

/* Copies a piece of an answer behind what is there; *total is set by the first. How many bytes came;
 * 0 when they do not fit. */
static size_t take_piece(SchemaRegistry_describe_results_r results, uint32_t offset,
                         uint32_t *total, char *package)
{
    struct capnp_data data = SchemaRegistry_describe_results_get_data(results);
    struct capnp_text from = SchemaRegistry_describe_results_get_package(results);
    uint32_t size = SchemaRegistry_describe_results_get_total_bytes(results);
    if (offset == 0) {
        *total = size;
        fmt_format(package, REGISTRY_PACKAGE_BYTES, "%.*s", (int)from.len, from.ptr);
    }
    if (size != *total || size > sizeof(arena) - arena_used || data.len == 0 ||
        data.len > size - offset) {
        return 0;
    }
    memcpy(arena + arena_used + offset, data.ptr, data.len);
    return data.len;
}

/* Asks for the piece at `offset` of the edition that this shell was built with, or of the only one of an
 * interface that it does not know. The call is to be ended. */
static status_t ask_piece(uint64_t interface, uint32_t offset, bool *interrupted)
{
    const struct capos_interface_info *info = info_of(interface);
    capos_call_begin(&describe_call, manual);
    SchemaRegistry_describe_params_b params = SchemaRegistry_describe_begin(&describe_call);
    SchemaRegistry_describe_params_set_interface(params, interface);
    SchemaRegistry_describe_params_set_offset_bytes(params, offset);
    if (info != NULL) {
        SchemaRegistry_describe_params_set_edition(params, info->edition, sizeof(info->edition));
    }
    capos_params_finish(&describe_call);
    return loop_call(&describe_call, interrupted);
}

/* A description of another edition would have a call's bytes taken for what they are not. */
static void say_not_found(uint64_t interface, uint32_t editions)
{
    const char *name = registry_known_name(interface);
    if (editions == 0) {
        term_error("@manual knows nothing about interface 0x%llx", (unsigned long long)interface);
    } else if (name != NULL) {
        term_error(
            "@manual has another edition of %s than this shell was built with: a call could be "
            "misread, so none is made; boot shell, manual and service of one build",
            name);
    } else {
        term_error(
            "@manual has %u editions of interface 0x%llx, and this shell does not know which "
            "is served: a call could be misread, so none is made",
            editions, (unsigned long long)interface);
    }
}

/* Fetches the piece at `offset` to the end of the arena. How many bytes came; 0 on any failure (a
 * message has been shown). */
static size_t fetch_piece(uint64_t interface, uint32_t offset, uint32_t *total, char *package)
{
    char text[256];
    bool interrupted = false;
    size_t count = 0;
    status_t status = ask_piece(interface, offset, &interrupted);
    SchemaRegistry_describe_results_r results;
    if (interrupted) {
        term_error("interrupted while asking @manual");
    } else if (status != ST_OK) {
        term_error("@manual cannot be asked: %s",
                   capos_explain(&describe_call, text, sizeof(text)));
    } else if (SchemaRegistry_describe_results(&describe_call, &results) != ST_OK) {
        term_error("@manual gave a malformed answer");
    } else if (!SchemaRegistry_describe_results_get_found(results)) {
        say_not_found(interface, SchemaRegistry_describe_results_get_editions(results));
    } else {
        count = take_piece(results, offset, total, package);
        if (count == 0) {
            term_error("there is no room for the description of 0x%llx",
                       (unsigned long long)interface);
        }
    }
    capos_call_end(&describe_call);
    return count;
}

static bool fetch(uint64_t interface, uint32_t *total, char *package)
{
    uint32_t offset = 0;
    do {
        size_t count = fetch_piece(interface, offset, total, package);
        if (count == 0) {
            return false;
        }
        offset += (uint32_t)count;
    } while (offset < *total);
    return true;
}

/* Validates a description and keeps it. NULL: a message has been shown. */
static const struct described *keep(uint64_t interface, const void *message, uint32_t bytes,
                                    const char *package)
{
    struct described *described = &known[known_count];
    enum capnp_status status = dyn_open(message, bytes, &described->descriptor);
    if (status != CAPNP_OK || Descriptor_get_id(described->descriptor) != interface) {
        term_error("the description of 0x%llx is malformed (%s)", (unsigned long long)interface,
                   capnp_status_name(status));
        return NULL;
    }
    described->interface = interface;
    str_copy(described->package, sizeof(described->package), package);
    known_count++;
    return described;
}

/* The platform's own interfaces: the shell was built with their descriptions, so it can call what
 * it holds when there is no manual. */
static const struct capos_descriptor *carried(uint64_t interface)
{
    for (size_t i = 0; i < capos_descriptor_count; i++) {
        if (capos_descriptors[i].id == interface) {
            return &capos_descriptors[i];
        }
    }
    return NULL;
}

static const struct described *ask_manual(uint64_t interface)
{
    char package[REGISTRY_PACKAGE_BYTES] = "";
    uint32_t bytes = 0;
    if (manual == 0) {
        term_error("this shell holds no manual: it cannot know what 0x%llx is",
                   (unsigned long long)interface);
        return NULL;
    }
    if (!fetch(interface, &bytes, package)) {
        return NULL;
    }
    const struct described *described = keep(interface, arena + arena_used, bytes, package);
    if (described != NULL) {
        arena_used += align_up(bytes, 8);
    }
    return described;
}

void registry_tell_edition(uint64_t interface)
{
    SchemaRegistry_describe_results_r results;
    bool interrupted = false;
    if (manual == 0 || carried(interface) == NULL) {
        return; /* what the manual told is of its edition */
    }
    if (ask_piece(interface, UINT32_MAX, &interrupted) == ST_OK &&
        SchemaRegistry_describe_results(&describe_call, &results) == ST_OK &&
        !SchemaRegistry_describe_results_get_found(results) &&
        SchemaRegistry_describe_results_get_editions(results) > 0) {
        term_printf("@manual has another edition of %s; this is the one that this shell was built "
                    "with, and calls by\n",
                    registry_known_name(interface));
    }
    capos_call_end(&describe_call);
}

const struct described *registry_get(uint64_t interface)
{
    for (unsigned i = 0; i < known_count; i++) {
        if (known[i].interface == interface) {
            return &known[i];
        }
    }
    if (known_count == REGISTRY_DESCRIPTORS) {
        term_error("this shell keeps at most %d descriptions", (int)REGISTRY_DESCRIPTORS);
        return NULL;
    }
    const struct capos_descriptor *own = carried(interface);
    return own != NULL ? keep(interface, own->message, own->bytes, "capos") : ask_manual(interface);
}
