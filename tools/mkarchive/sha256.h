/* SPDX-License-Identifier: MIT */
/* SHA-256 (FIPS 180-4) for the build's tools, written apart from the one the kernel checks with. */
#ifndef CAPOS_MKARCHIVE_SHA256_H
#define CAPOS_MKARCHIVE_SHA256_H

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>

using Digest = std::array<uint8_t, 32>;

Digest sha256(const void *bytes, size_t count);
std::string hex(const Digest &digest);

#endif
