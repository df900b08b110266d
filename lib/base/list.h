/* SPDX-License-Identifier: MIT */
/*
 * Intrusive doubly linked ring list.
 *
 * A list is a head node; an element embeds a struct list_node. A node that is in no list is
 * linked to itself (list_node_init), so removing twice is harmless and list_linked() can be asked.
 * Nothing here locks; the owner of the head says what protects it.
 */
#ifndef CAPOS_LIB_BASE_LIST_H
#define CAPOS_LIB_BASE_LIST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct list_node {
    struct list_node *next;
    struct list_node *prev;
};

struct list {
    struct list_node head;
};

#define LIST_INITIALIZER(name) \
    { \
        { \
            &(name).head, &(name).head \
        } \
    }

#ifndef container_of
#define container_of(ptr, type, member) \
    ((type *)(void *)((unsigned char *)(ptr)-offsetof(type, member)))
#endif

static inline void list_node_init(struct list_node *node)
{
    node->next = node;
    node->prev = node;
}

static inline void list_init(struct list *list)
{
    list_node_init(&list->head);
}

/* True while the node is in some list. The node must have been initialised. */
static inline bool list_linked(const struct list_node *node)
{
    return node->next != node;
}

static inline bool list_empty(const struct list *list)
{
    return list->head.next == &list->head;
}

/* Puts `node` after `at`. */
static inline void list_insert_after(struct list_node *at, struct list_node *node)
{
    node->next = at->next;
    node->prev = at;
    at->next->prev = node;
    at->next = node;
}

static inline void list_insert_before(struct list_node *at, struct list_node *node)
{
    list_insert_after(at->prev, node);
}

static inline void list_push_front(struct list *list, struct list_node *node)
{
    list_insert_after(&list->head, node);
}

static inline void list_push_back(struct list *list, struct list_node *node)
{
    list_insert_after(list->head.prev, node);
}

/* Takes the node out of whatever list it is in; it is then linked to itself. */
static inline void list_remove(struct list_node *node)
{
    node->prev->next = node->next;
    node->next->prev = node->prev;
    list_node_init(node);
}

/* The same for a node that is not looked at before it is put into a list again. */
static inline void list_unlink(struct list_node *node)
{
    node->prev->next = node->next;
    node->next->prev = node->prev;
}

/* First or last node; NULL when empty. */
static inline struct list_node *list_first(const struct list *list)
{
    return list_empty(list) ? NULL : list->head.next;
}

static inline struct list_node *list_last(const struct list *list)
{
    return list_empty(list) ? NULL : list->head.prev;
}

/* The node after `node`; NULL when it is the last. */
static inline struct list_node *list_next(const struct list *list, const struct list_node *node)
{
    return node->next == &list->head ? NULL : node->next;
}

static inline struct list_node *list_pop_front(struct list *list)
{
    struct list_node *node = list_first(list);
    if (node != NULL) {
        list_remove(node);
    }
    return node;
}

/* Moves all of `from` to the back of `to`; `from` is then empty. */
static inline void list_splice_back(struct list *to, struct list *from)
{
    if (list_empty(from)) {
        return;
    }
    from->head.next->prev = to->head.prev;
    to->head.prev->next = from->head.next;
    from->head.prev->next = &to->head;
    to->head.prev = from->head.prev;
    list_init(from);
}

static inline size_t list_count(const struct list *list)
{
    size_t count = 0;
    for (const struct list_node *n = list->head.next; n != &list->head; n = n->next) {
        count++;
    }
    return count;
}

/* Iterates over nodes; the body must not remove `node`. */
#define list_for_each(node, list) \
    for (struct list_node *node = (list)->head.next; node != &(list)->head; node = node->next)

/* The body may remove `node`, and nothing else. */
#define list_for_each_safe(node, list) \
    for (struct list_node *node = (list)->head.next, *node##_next = node->next; \
         node != &(list)->head; node = node##_next, node##_next = node->next)

/* The structure of type `type` around the node `node`, linked through `member`. */
#define list_entry(node, type, member) container_of(node, type, member)

#endif
