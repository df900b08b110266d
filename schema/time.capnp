# SPDX-License-Identifier: MIT
@0x876b2b6ef9ea1bba;

using A = import "annotations.capnp";

interface Timer $A.kernel $A.kernelType(9) $A.transfer(copy) $A.scope(crossSession) {
  # Monotonic time.

  now @0 () -> (nowNs :UInt64 $A.unit("ns")) $A.quick;
  # Monotonic nanoseconds since boot.

  sleep @1 (untilNs :UInt64 $A.unit("ns")) -> (nowNs :UInt64 $A.unit("ns")) $A.mayBlock;
  # Completes at or after this absolute time.
}
