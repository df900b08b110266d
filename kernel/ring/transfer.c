/* SPDX-License-Identifier: MIT */
/* The caller's buffers and transfer areas, as the drain loop reads and writes them. */
#include "arch/arch.h"
#include "gen/status.capnp.h"
#include "lib/base/bits.h"
#include "lib/base/string.h"
#include "object/process.h"
#include "ring/buffer.h"

bool op_peek_params(struct op *op, uint64_t offset, void *to, uint64_t len)
{
    if ((op->sqe->flags & CAPOS_SQE_INLINE) == 0) {
        uint64_t address;
        return add_checked(op->sqe->params, offset, &address) &&
               arch_copy_from_user(to, uaddr(address), len);
    }
    const uint8_t *from = ring_inline(op->ring, op->sqe->params, offset + len);
    if (from == NULL) {
        return false;
    }
    copy_shared(to, from + offset, len);
    return true;
}

bool op_read_params_far(struct op *op, void *to, uint32_t len)
{
    return len == 0 || arch_copy_from_user(to, uaddr(op->sqe->params), len);
}

bool op_write_result_far(struct op *op, uint32_t offset, const void *from, uint32_t len)
{
    uint64_t address;
    if (UNLIKELY(len == 0 || !add_checked(op->sqe->result, offset, &address))) {
        return len == 0;
    }
    return LIKELY(arch_copy_to_user(uaddr(address), from, len)) ||
           (aspace_unshare(&op->process->aspace, address, len) &&
            arch_copy_to_user(uaddr(address), from, len));
}

bool op_probe_result_far(struct op *op, uint32_t len)
{
    static const uint64_t zero;
    return len < sizeof(zero) ||
           (op_write_result_far(op, 0, &zero, sizeof(zero)) &&
            op_write_result_far(op, len - (uint32_t)sizeof(zero), &zero, sizeof(zero)));
}

static void complete_bad_sequence(struct op *op)
{
    op_post(op, ST_BAD_SEQUENCE, CAPOS_CQE_SEQUENCE, 0, op->ring->next_sequence);
}

static uint64_t area_offset(const struct op *op)
{
    return align_up(op->sqe->params_len, 8);
}

bool op_try_spend_number(struct op *op)
{
    uint64_t number;
    if (!op_peek_params(op, area_offset(op), &number, sizeof(number)) ||
        number != op->ring->next_sequence) {
        return false;
    }
    op->ring->next_sequence++;
    ring_store(&ring_header(op->ring)->next_sequence, op->ring->next_sequence);
    return true;
}

bool op_spend_number(struct op *op)
{
    if ((op->sqe->flags & SQE_SPENT) == 0 && !op_try_spend_number(op)) {
        complete_bad_sequence(op);
        return false;
    }
    return true;
}

static status_t check_descriptor(const struct capos_transfer *xfer)
{
    if (xfer->kind >= CAPOS_XFER_DONATION) {
        return xfer->kind <= CAPOS_XFER_DISCLOSURE ? ST_UNSUPPORTED : ST_BAD_TRANSFER;
    }
    return xfer->mode <= CAPOS_XFER_MOVE && xfer->arg == 0 ? ST_OK : ST_BAD_TRANSFER;
}

/* Those that were read already, with the table locked once. */
static status_t capture_some(struct op *op, const struct capos_transfer *xfers, uint32_t n,
                             struct op_transfers *out)
{
    struct cap_table *table = &op->process->table;
    status_t status = ST_OK;
    lock_acquire(&table->lock);
    for (uint32_t i = 0; i < n && status == ST_OK; i++) {
        bool move = xfers[i].mode == CAPOS_XFER_MOVE;
        status = check_descriptor(&xfers[i]);
        if (status == ST_OK) {
            status = table_capture_locked(table, xfers[i].cap, move);
        }
        if (status == ST_OK) {
            out->move_mask |= (uint64_t)move << out->count;
            out->ids[out->count++] = xfers[i].cap;
        }
    }
    lock_release(&table->lock);
    return status;
}

static status_t capture_all(struct op *op, uint32_t n, struct op_transfers *out)
{
    enum { AT_ONCE = 8 };
    struct capos_transfer xfers[AT_ONCE];
    uint64_t offset = area_offset(op) + sizeof(uint64_t);
    status_t status = ST_OK;
    for (uint32_t some; status == ST_OK && n != 0; n -= some) {
        some = n < AT_ONCE ? n : AT_ONCE;
        status = op_peek_params(op, offset, xfers, some * sizeof(xfers[0]))
                     ? capture_some(op, xfers, some, out)
                     : ST_BAD_ADDRESS;
        offset += some * sizeof(xfers[0]);
    }
    return status;
}

bool op_capture_transfers(struct op *op, uint32_t max, struct op_transfers *out)
{
    uint32_t n = op->sqe->xfer_count;
    out->count = 0;
    out->move_mask = 0;
    if (n == 0) {
        return true;
    }
    if (!op_spend_number(op)) {
        return false;
    }
    status_t status = n <= max ? capture_all(op, n, out) : ST_BAD_TRANSFER;
    if (status != ST_OK) {
        op_end_transfers(op, out, false);
        op_complete(op, status);
        return false;
    }
    return true;
}

void op_end_transfers(struct op *op, const struct op_transfers *xfers, bool commit)
{
    for (uint32_t i = 0; i < xfers->count; i++) {
        bool move = (xfers->move_mask >> i & 1) != 0;
        table_capture_end(&op->process->table, xfers->ids[i], move, commit);
    }
}
