/* SPDX-License-Identifier: MIT */
/* The services of the system, and what they and others have logged. */
#ifndef CAPOS_SHELL_SERVICES_H
#define CAPOS_SHELL_SERVICES_H

#include "apps/shell/parse.h"

/* services [NAME]: all in a table, or one with its last records. */
void services_show(struct span name);

/* Below the banner: which services have failed, when any has. */
void services_tell_degraded(void);

/* logs [NAME] [level LEVEL] [since TIME] [last NUMBER] */
void logs_show(const struct command *command);

/* The last `count` records about a service, told as by logs. False: nothing holds the log. */
bool logs_of_service(struct span name, unsigned count);

#endif
