/* SPDX-License-Identifier: MIT */
/*
 * SipHash-2-4 with 128 bits of output (J.-P. Aumasson, D. J. Bernstein: "SipHash: a fast short-input
 * PRF"), over a message of exactly one 64-bit word: without the key the output says nothing about
 * the word, nor whether two outputs under different words belong to one key.
 */
#ifndef CAPOS_KERNEL_CAP_SIPHASH_H
#define CAPOS_KERNEL_CAP_SIPHASH_H

#include <stdint.h>

void siphash128(const uint64_t key[2], uint64_t word, uint64_t out[2]);

#endif
