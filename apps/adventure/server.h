/* SPDX-License-Identifier: MIT */
/* What the parts of the adventure's server share: main.c, player.c, wait.c, hand.c. */
#ifndef CAPOS_ADVENTURE_SERVER_H
#define CAPOS_ADVENTURE_SERVER_H

#include "adventure.client.h"
#include "apps/adventure/world.h"
#include "capos/serve.h"

enum { MESSAGE_BYTES = 1280 };

extern struct world world;

/* One of which none was used before. */
uint64_t new_key(void);

/* An item's capability under a new key; false: the request has failed and says why. */
bool mint_item(struct capos_request *req, uint64_t *key, capos_cap_t *object);

/* The refusal of the world as an exception. */
enum capos_outcome refuse(struct capos_request *req, enum world_answer answer);

/* Answers whoever waits for what has happened since, and for what was sent. After each change. */
void tell_waiting(void);
/* A player is gone, and with it what waits for it. */
void end_waiting(unsigned place);

extern const struct Player_server player_operations;
extern const struct Item_server item_operations;

enum capos_outcome do_events(struct capos_request *req, Player_events_params_r params,
                             Player_events_results_b results);
enum capos_outcome do_receive(struct capos_request *req, Player_receive_params_r params,
                              Player_receive_results_b results);
enum capos_outcome do_drop(struct capos_request *req, Player_drop_params_r params,
                           Player_drop_results_b results);
enum capos_outcome do_give(struct capos_request *req, Player_give_params_r params,
                           Player_give_results_b results);

/* `timer` bounds how long a stranger's object may take to answer. */
void hand_begin(capos_cap_t timer);

#endif
