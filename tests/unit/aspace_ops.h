/* SPDX-License-Identifier: MIT */
/* The operations of an address space, each run as a call would run it: to its end, or, when it must
 * wait for another CPU, as far as that, the rest going on as a job. */
#ifndef CAPOS_TESTS_UNIT_ASPACE_OPS_H
#define CAPOS_TESTS_UNIT_ASPACE_OPS_H

#include "gen/status.capnp.h"
#include "mem/aspace.h"

status_t op_run(status_t begun, struct aspace_op **op);

static inline status_t do_commit(struct aspace *as, uint64_t address, uint64_t size_bytes,
                                 enum Protection protection)
{
    struct aspace_op *op = NULL;
    return op_run(aspace_commit(as, address, size_bytes, protection, &op), &op);
}

static inline status_t do_decommit(struct aspace *as, uint64_t address, uint64_t size_bytes)
{
    struct aspace_op *op = NULL;
    return op_run(aspace_decommit(as, address, size_bytes, &op), &op);
}

static inline status_t do_protect(struct aspace *as, uint64_t address, uint64_t size_bytes,
                                  enum Protection protection)
{
    struct aspace_op *op = NULL;
    return op_run(aspace_protect(as, address, size_bytes, protection, &op), &op);
}

static inline status_t do_map_object(struct aspace *as, struct memory_object *object,
                                     uint64_t address, uint64_t offset_bytes, uint64_t size_bytes,
                                     enum Protection protection, uint64_t *out)
{
    struct aspace_op *op = NULL;
    uint64_t at = address;
    status_t status = op_run(
        aspace_map_object(as, object, NULL, &at, offset_bytes, size_bytes, protection, &op), &op);
    *out = status == ST_OK ? at : *out;
    return status;
}

static inline status_t do_unmap(struct aspace *as, uint64_t address, uint64_t size_bytes)
{
    struct aspace_op *op = NULL;
    return op_run(aspace_unmap(as, address, size_bytes, &op), &op);
}

#endif
