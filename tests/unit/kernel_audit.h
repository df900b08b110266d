/* SPDX-License-Identifier: MIT */
/* The kernel's books against each other: slots, grants, ledgers, objects. */
#ifndef CAPOS_TESTS_UNIT_KERNEL_AUDIT_H
#define CAPOS_TESTS_UNIT_KERNEL_AUDIT_H

struct grant;

/* Goes over all processes and all grants below the root, while no CPU does anything. Each difference
 * fails the running test:
 *   an object's count of slots is the number of slots that hold it, and it has at least that many refs;
 *   a route knows its holders (G4), and has a ref for each slot and each child;
 *   nothing below a dead grant is alive (G1), depths count up, no slot of a dead grant is unswept;
 *   a ring below a flight recorder is marked as that;
 *   a ledger's slots and grants are at least what is found charged to it, and nothing is over its limit. */
void kernel_audit(const struct grant *root);

#endif
