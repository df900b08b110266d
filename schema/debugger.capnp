# SPDX-License-Identifier: MIT
@0xbd1a6d0f9c3e5f27;

using A = import "annotations.capnp";
using P = import "process.capnp";

enum ThreadState { ready @0; running @1; waiting @2; stopped @3; ended @4; }
# stopped: by a fault, a step or ProcessDebugger.stop, until resume.

struct ThreadView { thread @0 :UInt64; state @1 :ThreadState; }

interface ProcessDebugger $A.kernel $A.kernelType(27) $A.transfer(copy) $A.scope(sameSession) {
  # Another process, from below. Who starts it asks for this (`watch`); it cannot be had later. A thread that faults stands
  # still until it is resumed, by who holds this; no other thread of it does. When the last holder is gone while a thread
  # stands still, the process ends: of that fault, or as terminated.

  next @0 (resume :UInt64, step :Bool) -> (thread :UInt64, fault :P.FaultRecord) $A.maxResults(256) $A.mayBlock $A.statuses(["busy", "notFound"]);
  # The next thread that faulted or made its step, in order; each is told once. Before it waits it resumes a thread, as
  # resume does; 0: none. busy: somebody waits already; then, and when the thread is not found, nothing is resumed.

  resume @1 (thread :UInt64, step :Bool) -> () $A.statuses(["notFound"]);
  # Let a stopped thread go on. With step it stops again after one instruction, of kind debugTrap. notFound: no such
  # thread is stopped.

  terminate @2 () -> () $A.statuses(["badState"]);
  # As ProcessHandle.terminate.

  memory @3 () -> (memory :UInt16 $A.capability("VirtualMemory")) $A.resultCaps(1) $A.statuses(["quota"]);
  # Its address space, to map what a fault asks for.

  threads @4 (after :UInt64) -> (threads :List(ThreadView)) $A.maxResults(1280);
  # Its threads, oldest first, those whose number is above `after`; at most 64.

  stop @5 (thread :UInt64) -> () $A.mayBlock $A.statuses(["busy", "notFound"]);
  # Make a thread stand still. Done when it does; what it waits for it will wait for again. busy: another is being
  # stopped. notFound: it is not there, or ends before it can be stopped.

  state @6 (thread :UInt64) -> (fault :P.FaultRecord) $A.maxResults(256) $A.statuses(["notFound"]);
  # Of a stopped thread: registers, and what stopped it; kind none: it was told to stop.

  read @7 (address :UInt64 $A.hex, sizeBytes :UInt32) -> (data :Data) $A.maxResults(4160) $A.statuses(["badAddress", "badArgument"]);
  # Its memory, at most 4,096 bytes. badAddress: not all of it is there. The ring is not memory here.

  write @8 (address :UInt64 $A.hex, data :Data) -> () $A.maxParams(4160) $A.statuses(["badAddress", "badArgument"]);
  # Within one page, and only where the process itself may write: text stays as it is. badArgument: beyond the page.

  capabilities @9 () -> (table :UInt16 $A.capability("CapabilityManager")) $A.resultCaps(1) $A.statuses(["quota"]);
  # Its table to look at: a CapabilityManager that can only list. Nothing in it can be used by the numbers it shows.

  setRegisters @10 (thread :UInt64, registers :List(UInt64) $A.hex) -> () $A.maxParams(256) $A.statuses(["badArgument", "notFound"]);
  # Of a stopped thread: all of them, in the order of FaultRecord.registers; flags of the system stay as they are.
  # badArgument: not all, or an ip that no program has.
}

interface FaultHandler $A.facet(base = "ProcessDebugger", methods = ["next", "resume", "terminate", "memory", "setRegisters"]) {}
