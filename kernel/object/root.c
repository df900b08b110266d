/* SPDX-License-Identifier: MIT */
#include "object/root.h"

#include "core/panic.h"
#include "gen/kernel/types.h"
#include "gen/status.capnp.h"

static const struct kobj_ops root_ops = {.name = "root object"};

status_t root_object_create(uint8_t ktype, struct kobj **out)
{
    static struct kobj objects[KTYPE_COUNT];
    KASSERT(ktype < KTYPE_COUNT);
    struct kobj *obj = &objects[ktype];
    if (obj->ops == NULL) {
        kobj_init(obj, ktype, &root_ops, NULL);
    }
    kobj_ref(obj);
    *out = obj;
    return ST_OK;
}
