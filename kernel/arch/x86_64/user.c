/* SPDX-License-Identifier: MIT */
#include "arch/arch.h"
#include "lib/base/string.h"

/* usercopy.S */
bool user_copy(void *to, const void *from, size_t size);
bool user_load32(const void *from, uint32_t *to);
bool user_load64(const void *from, uint64_t *to);
bool user_store64(void *to, uint64_t value);

static void *pointer(struct uaddr u)
{
    return (void *)(uintptr_t)u.v;
}

bool arch_copy_from_user(void *to, struct uaddr from, size_t size_bytes)
{
    return arch_user_range_ok(from, size_bytes) && user_copy(to, pointer(from), size_bytes);
}

bool arch_copy_to_user(struct uaddr to, const void *from, size_t size_bytes)
{
    return arch_user_range_ok(to, size_bytes) && user_copy(pointer(to), from, size_bytes);
}

bool arch_load_user_u32(struct uaddr from, uint32_t *out)
{
    return from.v % sizeof(*out) == 0 && arch_user_range_ok(from, sizeof(*out)) &&
           user_load32(pointer(from), out);
}

bool arch_load_user_u64(struct uaddr from, uint64_t *out)
{
    return from.v % sizeof(*out) == 0 && arch_user_range_ok(from, sizeof(*out)) &&
           user_load64(pointer(from), out);
}

bool arch_store_user_u64(struct uaddr to, uint64_t value)
{
    return to.v % sizeof(value) == 0 && arch_user_range_ok(to, sizeof(value)) &&
           user_store64(pointer(to), value);
}
