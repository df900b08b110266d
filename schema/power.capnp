# SPDX-License-Identifier: MIT
@0xe5eb098b3ea30980;

using A = import "annotations.capnp";

interface Power $A.kernel $A.kernelType(14) $A.transfer(none) $A.scope(sameSession) {
  # The power switch.

  off @0 (code :UInt8) -> ();
  # Stop the machine. Under an emulator with a debug-exit device the code becomes its exit status.

  reset @1 () -> ();
}
