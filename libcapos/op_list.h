/* SPDX-License-Identifier: MIT */
/* Lists of operations, linked through next and prev of struct capos_op; an operation is in one. */
#ifndef CAPOS_LIBCAPOS_OP_LIST_H
#define CAPOS_LIBCAPOS_OP_LIST_H

#include "capos/call.h"

struct op_list {
    struct capos_op *first;
    struct capos_op *last;
};

/* Puts `op` in front of `before`; at the end when that is NULL. */
static inline void op_list_insert(struct op_list *list, struct capos_op *before,
                                  struct capos_op *op)
{
    op->next = before;
    op->prev = before != NULL ? before->prev : list->last;
    if (op->prev != NULL) {
        op->prev->next = op;
    } else {
        list->first = op;
    }
    if (before != NULL) {
        before->prev = op;
    } else {
        list->last = op;
    }
}

static inline void op_list_take(struct op_list *list, struct capos_op *op)
{
    if (op->prev != NULL) {
        op->prev->next = op->next;
    } else {
        list->first = op->next;
    }
    if (op->next != NULL) {
        op->next->prev = op->prev;
    } else {
        list->last = op->prev;
    }
    op->next = NULL;
    op->prev = NULL;
}

#endif
