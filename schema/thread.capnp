# SPDX-License-Identifier: MIT
@0xe2a94c07b1d3586f;

using A = import "annotations.capnp";

interface ThreadSpawner $A.kernel $A.kernelType(19) $A.transfer(none) $A.scope(sameSession) {
  # Makes threads of the process that holds it.

  spawn @0 (entry :UInt64 $A.hex, stack :UInt64 $A.hex, argument :UInt64 $A.hex, ringEntries :UInt32)
      -> (thread :UInt16 $A.capability("ThreadHandle")) $A.mayBlock $A.resultCaps(1) $A.statuses(["badArgument", "quota", "exists"]);
  # Start a thread at `entry` with the argument in its first register, the address of its own ring in the
  # second, and `stack` as stack pointer and thread pointer. 0 for ringEntries (16) means default. badArgument:
  # an address that no program has, or no size of a ring. exists: no room for a ring. A large ring is made in
  # slices, and the call completes when the thread is ready; if it is cancelled before, no thread starts.
}

interface ThreadHandle $A.kernel $A.kernelType(20) $A.transfer(none) $A.scope(sameSession) {
  # A thread, to the process it is of. Without it the thread goes on: releasing is detaching.

  join @0 () -> () $A.opcode("WAIT");
  # Event EXIT; the completion carries the exit code. All that the thread held is given back by then.

  setContext @1 (context :UInt16 = 0xffff $A.capability("SchedulingContext")) -> () $A.paramCaps(1) $A.statuses(["badState"]);
  # Whose processor time it gets from now on: this context's, or with 0xffff its process's own. badState:
  # the thread has ended.
}

interface ThreadControl $A.kernel $A.kernelType(21) $A.transfer(none) $A.scope(sameSession) {
  # The calling thread, whichever of the process it is.

  setThreadPointer @0 (address :UInt64 $A.hex) -> () $A.statuses(["badArgument", "badState"]);
  # Where its thread-local storage is (FS base). badArgument: an address that no program has. badState: the call came by a
  # ring that is polled.

  setContext @1 (context :UInt16 = 0xffff $A.capability("SchedulingContext")) -> () $A.paramCaps(1) $A.statuses(["badState"]);
  # As ThreadHandle.setContext, of the calling thread.
}
