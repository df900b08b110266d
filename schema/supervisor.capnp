# SPDX-License-Identifier: MIT
@0xd54f9f9f0b1ee3a1;

using A = import "annotations.capnp";

interface Supervisor $A.transfer(move) $A.scope(sameSession) {
  # A service's own line to init, which started it. Granted by the manifest (source `supervisor`); it
  # names the one instance it was made for and is dead for its successor.

  ready @0 () -> ();
  # The service serves now: what needs it may start. A second call changes nothing.

  awaitStop @1 () -> (deadlineNs :UInt64 $A.unit("ns")) $A.mayBlock;
  # Answered when this instance is asked to end: it should exit before this absolute monotonic time,
  # after which it is terminated. A service that never calls this is terminated at once.
}
