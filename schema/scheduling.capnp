# SPDX-License-Identifier: MIT
@0xd0b6c1f5a27e9384;

using A = import "annotations.capnp";

enum SchedulingClass {
  # Who goes first. Those of a better class always run before those of a worse one.
  urgent @0;       # what the machine waits for: drivers
  interactive @1;  # what a person waits for
  normal @2;
  background @3;   # what nobody waits for
}

interface SchedulingPolicy $A.kernel $A.kernelType(24) $A.transfer(copy) $A.scope(sameSession) {
  # Hands out processor time. init holds it.

  newContext @0 (class :SchedulingClass, weight :UInt16, budgetNs :UInt64 $A.unit("ns"), periodNs :UInt64 $A.unit("ns"),
                 ledger :UInt16 = 0xffff $A.capability("Ledger")) -> (context :UInt16 $A.capability("SchedulingContext"))
      $A.paramCaps(1) $A.resultCaps(1) $A.statuses(["badArgument", "quota"]);
  # A share of the processors for the threads that are bound to it, all of them together. weight is 1 to
  # 10000; a process's own context has 100. With a budget they get at most so much time in each period
  # (1 ms to 10 s, and the budget 50 us to all of it), and wait for the next when it is spent. Of a class
  # better than normal one needs a budget. What that makes of each second counts as cpuNs in the ledger
  # given (0xffff: the caller's own); quota: it has not that much left.

  newLease @1 (ledger :UInt16 = 0xffff $A.capability("Ledger")) -> (lease :UInt16 $A.capability("CpuLease"))
      $A.paramCaps(1) $A.resultCaps(1) $A.statuses(["quota", "busy"]);
  # Takes a processor out of general use: no thread runs there while the lease lives. It counts as a whole second of cpuNs
  # in the ledger given (0xffff: the caller's own); quota: it has not that much left. busy: there is no processor to
  # spare; the first is never leased.
}

interface CpuLease $A.kernel $A.kernelType(32) $A.transfer(copy) $A.scope(sameSession) {
  # A processor of one's own. It takes the entries of one ring as they are submitted, so that the ring's thread
  # need not enter the kernel. It ends with its last capability.

  info @0 () -> (processor :UInt32, polling :Bool, entries :UInt64);
  # Whether it has a ring, and the entries it has taken since the lease began.

  poll @1 (idleRounds :UInt32) -> () $A.statuses(["busy"]);
  # From now on the processor takes the entries of the ring by which this call came, while the flag POLLED of the ring's
  # header says so. It looks so many times in vain (0: 20,000 times), then sleeps, and wakes with the thread's next entry. It leaves
  # the ring by stop, by revoke, when this capability is revoked, and when the thread ends. busy: it has a ring, or the ring is
  # polled already.

  stop @2 () -> ();
  # It leaves its ring, if it has one, behind the entries it is carrying out, and can be given another once info says polling no more.

  revoke @3 () -> ();
  # Ends the lease: the processor goes back to general use, its cpuNs to its ledger.
}

interface CpuPolling $A.facet(base = "CpuLease", methods = ["info", "poll", "stop"]) {}

interface SchedulingContext $A.kernel $A.kernelType(25) $A.transfer(copy) $A.scope(sameSession) {
  # A share of processor time. Threads are bound to it by ThreadHandle.setContext and
  # ThreadControl.setContext, and all of a process by ProcessSpawner.spawn.

  info @0 () -> (class :SchedulingClass, weight :UInt16, budgetNs :UInt64 $A.unit("ns"), periodNs :UInt64 $A.unit("ns"),
                 usedNs :UInt64 $A.unit("ns"), leftNs :Int64 $A.unit("ns"), timesSpent :UInt64, threads :UInt32);
  # usedNs in all; leftNs of the budget, below zero what will be taken from the next.

  revoke @1 () -> ();
  # Ends it: its threads go back to their processes' own contexts, its cpuNs to its ledger.

  depleted @2 () -> () $A.opcode("WAIT");
  # Event DEPLETED: the budget has been spent since this was last told.
}

interface SchedulingInfo $A.facet(base = "SchedulingContext", methods = ["info", "depleted"]) {}
