# SPDX-License-Identifier: MIT
@0xd7667ddf71a44038;

using A = import "annotations.capnp";

struct Grant {
  # One line of what a new process holds.
  name @0 :Text;          # in the child's capset; at most 31 bytes
  origin @1 :Text;        # recorded in the grant; at most 63 bytes; shown by CapabilityManager.list
  interface @2 :UInt64 $A.hex;   # base interface expected
  methods @3 :UInt64 $A.hex;     # facet to give: bits outside the one held are refused; 0 = all held
  union {
    transfer @4 :UInt16 $A.capability("*");  # a capability of the spawner's: copied or moved as its descriptor says
    self @5 :SelfObject;                     # one of the child's own objects
  }
}

enum SelfObject { ledger @0; virtualMemory @1; capabilityManager @2; processHandle @3; threadSpawner @4; threadControl @5; session @6; }

enum Watch { none @0; faults @1; debug @2; }
# What a starter asks for beside the ProcessHandle: nothing; to be told of faults and resume (FaultHandler); all
# of a ProcessDebugger, and that the first thread is stopped before its first instruction.

struct Limit {
  ledgerClass @0 :import "status.capnp".LedgerClass;
  amount @1 :UInt64;
}

struct FaultRecord {
  # What a thread did that its machine or its memory does not allow. Told to holders of the process's handle, and nothing
  # in it is of another process.
  kind @0 :Kind;
  address @1 :UInt64 $A.hex;      # of a pageFault: what was touched; else the instruction
  instruction @2 :UInt64 $A.hex;
  stackPointer @3 :UInt64 $A.hex;
  code @4 :UInt64 $A.hex;         # the machine's own: vector and error code
  access @5 :Access;              # of a pageFault
  mapped @6 :Bool;                # of a pageFault: memory is there, but not for this
  registers @7 :List(UInt64) $A.hex;  # x86-64: ax bx cx dx si di bp sp r8 to r15 ip flags
  imageBase @8 :UInt64 $A.hex;        # where the program's image begins: instruction less this is a place in its file
  enum Access { none @0; read @1; write @2; execute @3; }
  enum Kind { none @0; pageFault @1; protection @2; illegalInstruction @3; divide @4; alignment @5; floatingPoint @6; debugTrap @7; other @8; }
}

enum ProcessState { running @0; exiting @1; exited @2; faulted @3; terminated @4; }

interface ProcessSpawner $A.kernel $A.kernelType(5) $A.transfer(none) $A.scope(sameSession) {
  # Makes processes. init and the broker hold it.

  spawn @0 (name :Text, image :UInt16 $A.capability("MemoryObject"), grants :List(Grant), limits :List(Limit), ringEntries :UInt32, stackBytes :UInt64,
            ledger :UInt16 = 0xffff $A.capability("Ledger"), session :UInt16 = 0xffff $A.capability("SessionRef"), watch :Watch,
            context :UInt16 = 0xffff $A.capability("SchedulingContext"), recordable :Bool)
      -> (process :UInt16 $A.capability("ProcessHandle"), debugger :UInt16 = 0xffff $A.capability("ProcessDebugger"))
      $A.maxParams(16384) $A.paramCaps(62) $A.resultCaps(2) $A.mayBlock
      $A.statuses(["badArgument", "badImage", "notSealed", "notTransferable", "quota", "exists", "badState"]);
  # Start a program from a sealed ELF image with exactly these grants. The program is built while the call
  # waits, and runs when it completes; a refusal, or the call's end before that, starts nothing and moves nothing. The limits are carved from the spawner's ledger; classes
  # not named get the system's defaults. 0 for ringEntries (32) and stackBytes (65536) means default.
  # With ledger (0xffff: none) the process uses that one, limits is empty, and it stays open at its end.
  # With session it works in that one, and whatever its scope may be given to it; else in the spawner's.
  # What watch asks for comes as debugger (0xffff: none), and cannot be had later.
  # With context its threads run on that one, else on one of the process's own: class normal, weight 100.
  # recordable: who records the child (ProcessHandle.trace) sees the beginnings of the messages that it sends, too.

  newLauncher @1 (programs :List(Program), limits :List(Limit), maxChildren :UInt32,
                  ledger :UInt16 = 0xffff $A.capability("Ledger"), session :UInt16 = 0xffff $A.capability("SessionRef"), watch :Watch)
      -> (launcher :UInt16 $A.capability("Launcher")) $A.maxParams(8192) $A.paramCaps(62) $A.resultCaps(1)
      $A.statuses(["badArgument", "notSealed", "quota", "exists", "badState"]);
  # A spawner bound to named images and to the limits of each child, which are carved from the ledger
  # given, or from the caller's own. Children work in the session given, else in that of who launches.
  # watch is the most that launch may ask for.
}

struct Program { name @0 :Text; image @1 :UInt16 $A.capability("MemoryObject"); }

interface Launcher $A.kernel $A.kernelType(6) $A.transfer(copy) $A.scope(sameSession) {
  # Starts programs from a fixed set, under fixed limits.

  launch @0 (program :Text, name :Text, grants :List(Grant), watch :Watch, recordable :Bool)
      -> (process :UInt16 $A.capability("ProcessHandle"), debugger :UInt16 = 0xffff $A.capability("ProcessDebugger"))
      $A.maxParams(16384) $A.paramCaps(62) $A.resultCaps(2) $A.mayBlock
      $A.statuses(["badArgument", "noMethod", "notFound", "notTransferable", "quota", "exists", "busy", "badState"]);
  # Start one of the bound programs with exactly these grants. busy: maxChildren are alive, or have
  # ended and a handle of them is still held. badState: the session is closed.
  # noMethod: this launcher does not give what watch asks for. recordable: as of ProcessSpawner.spawn.

  programs @1 () -> (names :List(Text)) $A.maxResults(8192);
}

interface ProcessHandle $A.kernel $A.kernelType(7) $A.transfer(none) $A.scope(sameSession) {
  # A process, to the one who started it.

  wait @0 () -> () $A.opcode("WAIT");
  # Event EXIT; the completion carries the exit code.

  terminate @1 () -> () $A.statuses(["badState"]);
  # End the process now. Waiters see EXIT when it has been reaped.

  info @2 () -> (processId :UInt64, name :Text, state :ProcessState, exitCode :Int64, fault :FaultRecord,
                 ledger :List(Usage), counters :Counters) $A.maxResults(1536);

  addressSpace @3 () -> (memory :UInt16 $A.capability("VirtualMemory")) $A.resultCaps(1) $A.statuses(["badState", "quota"]);
  # The process's address space, for a loader: what is mapped there is charged to the process, not to the caller, and goes
  # with the loader's way to the memory object. badState: it is ending.

  below @4 (after :UInt64) -> (processes :List(ProcessSummary), next :UInt64, nowCycles :UInt64) $A.maxResults(4096);
  # This process and those below it, which live on ledgers carved from its own, at whatever depth: some from
  # `after` on (0: the first), and where to go on; next 0: there are no more. Below one that shares its ledger
  # with others is nobody. nowCycles is what the processor's counter says, for shares of time.

  trace @5 (pages :UInt32) -> (trace :UInt16 $A.capability("KernelTrace"))
      $A.mayBlock $A.resultCaps(1) $A.statuses(["badArgument", "badState", "busy", "quota"]);
  # Records what this process and those below it do, from when this answers until the KernelTrace is released: the
  # last 64 records for each page, of 1 to 64, charged to the caller. badState: it shares its ledger with others.
  # busy: somebody records it already.
}

interface ProcessSelf $A.facet(base = "ProcessHandle", methods = ["wait", "terminate", "info", "below", "trace"]) {}
# What a process gets of itself.

interface ProcessWatch $A.facet(base = "ProcessHandle", methods = ["wait", "info", "below", "trace"]) {}
# To look at a process and those below it, and do nothing to them.

struct Counters {
  # What the threads of a process did, those that have ended included.
  cycles @0 :UInt64;      # of processors; what a thread that runs at this moment did since it began is added when it stops
  billed @1 :UInt64;      # cycles that services spent for its calls
  operations @2 :UInt64;  # that have completed
  calls @3 :UInt64;       # of services
  refusals @4 :UInt64;    # completions with a status below 0
  waits @5 :UInt64;       # times that a thread had nothing to do
  threads @6 :UInt32;     # that are there
}

struct ProcessSummary {
  processId @0 :UInt64;
  name @1 :Text;
  state @2 :ProcessState;
  frames @3 :UInt64;       # of its ledger, like the next two
  kernelPages @4 :UInt64;
  slots @5 :UInt64;
  counters @6 :Counters;
}

struct Usage { ledgerClass @0 :import "status.capnp".LedgerClass; used @1 :UInt64; limit @2 :UInt64; refused @3 :UInt32; }
