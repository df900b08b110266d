/* SPDX-License-Identifier: MIT */
#include "siege.h"

#include "lib/base/string.h"

uint64_t message_room[MESSAGE_ROOM / 8];
struct shot volley[CALLS];

static uint64_t result_room[(CAPOS_MAX_MESSAGE_BYTES + 512) / 8];
static unsigned exception;

void aim(struct shot *shot, capos_cap_t cap, uint64_t interface, uint16_t method)
{
    memset(shot, 0, sizeof(*shot));
    capos_op_init(&shot->op, CAPOS_OP_CALL, cap);
    shot->op.sqe.interface = interface;
    shot->op.sqe.method = method;
    shot->op.transfers = shot->transfers;
    catch (shot, sizeof(result_room));
}

void load(struct shot *shot, const void *message, uint32_t bytes)
{
    shot->op.sqe.params = (uintptr_t)message;
    shot->op.sqe.params_len = bytes;
}

void catch (struct shot *shot, uint32_t bytes)
{
    shot->op.sqe.result = (uintptr_t)result_room;
    shot->op.sqe.result_len = bytes;
    shot->op.sqe.accept_count = 1;
}

void attach(struct shot *shot, capos_cap_t cap, unsigned mode)
{
    shot->transfers[shot->op.sqe.xfer_count++] =
        (struct capos_transfer){.cap = cap, .mode = (uint16_t)mode};
}

/* No method attacked here returns more than one capability. */
void pick_up(struct shot *shot)
{
    const struct capos_cqe *cqe = &shot->op.cqe;
    if (cqe->result >= 0 && (cqe->flags & CAPOS_CQE_CAPS) != 0) {
        capos_release(cqe->first_cap);
    }
}

status_t fire(struct shot *shot)
{
    int32_t result = capos_op_run(&shot->op);
    exception = (shot->op.cqe.flags & CAPOS_CQE_EXCEPTION) != 0 ? shot->op.cqe.exception : 0;
    pick_up(shot);
    return result < 0 ? result : ST_OK;
}

unsigned last_exception(void)
{
    return exception;
}
