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

  awaitHandover @2 () -> (state :UInt16 $A.capability("MemoryObject"), roomBytes :UInt32) $A.mayBlock $A.resultCaps(1);
  # Answered when a successor is there: this instance then stops receiving, writes what the successor must know into
  # `state`, and calls handOver. A service that does not wait here cannot be upgraded, only restarted.

  handOver @3 (bytes :UInt32) -> () $A.mayBlock;
  # So many bytes of the state are written. When this is answered the calls in flight and the served objects are the
  # successor's, and this instance is ended. failed: there is no successor any more; go on serving.

  takeOver @4 () -> (found :Bool, state :UInt16 = 0xffff $A.capability("MemoryObject"), bytes :UInt32)
      $A.mayBlock $A.resultCaps(1);
  # Before it serves, a new instance asks whether it takes over from a running one. Answered with what that wrote once
  # it has handed over; with found = false at once when there is none, or when it ended before.

  awaitCheck @5 () -> () $A.mayBlock;
  # Answered now and then: a service that has a watchdog (watchdogMs of the manifest) asks again at once, and so shows
  # that its event loop turns. Who is not back within that time is terminated, which counts as a failure. failed: the
  # manifest sets no watchdog for it.
}
