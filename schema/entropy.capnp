# SPDX-License-Identifier: MIT
@0xf556d10c20363d4c;

using A = import "annotations.capnp";

interface Entropy $A.kernel $A.kernelType(10) $A.transfer(copy) $A.scope(crossSession) {
  # Random bytes.

  fill @0 (countBytes :UInt32) -> (data :Data, weak :Bool) $A.maxResults(4136) $A.statuses(["badArgument"]);
  # At most 4096 random bytes. weak: the generator has not been seeded well yet.
}
