# SPDX-License-Identifier: MIT
@0xbba986d3c0aa89ed;

# The boot manifest: which services run, and exactly what each of them holds.
#
# A manifest is written as constants of type Manifest in manifests/*.capnp. tools/mkarchive compiles
# and merges them (same entry name: fields fill each other in, different values are an error) into
# one message, the payload `manifest` of the boot archive. init checks the whole of it before it
# starts anything. Interfaces and facets are named by their types in schema/ (a facet is a type of
# its own: `LogWriter`), checked against tables that are linked into init.

using A = import "annotations.capnp";
using LedgerClass = import "status.capnp".LedgerClass;
using SchedulingClass = import "scheduling.capnp".SchedulingClass;
using SelfObject = import "process.capnp".SelfObject;
using Watch = import "process.capnp".Watch;

struct Manifest {
  schemaVersion @0 :UInt32;         # 1
  services @1 :List(Service);
  launchSets @2 :List(LaunchSet);
  motd @3 :Text;                    # message of the day, for whoever holds the grant source `motd`
}

struct Service {
  name @0 :Text;                    # unique; [a-z0-9-], at most 31 bytes
  program @1 :Text;                 # payload `bin/<program>` of the boot archive
  grants @2 :List(ServiceGrant);           # all that its process holds, nothing else
  exports @3 :List(ServiceExport);         # objects that other services may be granted
  needs @4 :List(Text);             # services that must be ready first, beside those whose exports it is granted
  readiness @5 :Readiness;
  readyWithinMs @6 :UInt32 = 10000 $A.unit("ms");  # ready call due within this, else it counts as failed
  restart @7 :Restart;
  maxRestarts @8 :UInt32 = 3;       # intensity: more restarts than this within windowMs, and it has failed
  windowMs @9 :UInt32 = 30000 $A.unit("ms");
  vacancyMs @10 :UInt32 = 5000 $A.unit("ms");      # how long calls wait for a successor of an instance that ended
  stopWithinMs @11 :UInt32 = 1000 $A.unit("ms");   # grace after awaitStop was answered
  limits @12 :List(ServiceLimit);          # carved from init's ledger; classes not named get the system's defaults
  ringEntries @13 :UInt32;          # 0: default
  stackBytes @14 :UInt32;           # 0: default
  maxMessageBytes @15 :UInt32 = 16384;  # of its endpoint
  maxCaps @16 :UInt16 = 4;              # of its endpoint
  onExit @17 :OnExit;               # when it has ended for good
  critical @18 :Bool;               # when it has failed: the system halts, readably
  watchdogMs @20 :UInt32 $A.unit("ms");  # ended when its event loop does not turn for so long; at least 100; 0: no such check
  processor @19 :ProcessorShare;    # what it gets of the processors; not given: class normal, weight 100, no budget

  enum Readiness { started @0; ready @1; }
  # started: as soon as its process exists. ready: when it has called Supervisor.ready.

  enum Restart { never @0; onFailure @1; always @2; }
  # onFailure: after a fault, a termination or an exit code other than 0.

  enum OnExit { none @0; shutdown @1; reboot @2; }
}

struct ProcessorShare {
  # A share of processor time, for all instances of the service: see docs/concepts/scheduling.md.
  class @0 :SchedulingClass = normal;  # better than normal needs a budget
  weight @1 :UInt16 = 100;             # 1 to 10000: how much, beside others of the class
  budgetUs @2 :UInt32 $A.unit("us");   # at most so much in each period; 0: no limit
  periodUs @3 :UInt32 $A.unit("us");   # 1000 to 10000000 with a budget, else 0
}

struct ServiceExport {
  # Object number i of the list has key i+1 at the service's endpoint. Minted by init, so it outlives
  # an instance of the service.
  name @0 :Text;
  interface @1 :Text;               # interface or facet
  transferMode @2 :A.TransferMode;
  boundMs @3 :UInt32 $A.unit("ms"); # a call of it takes at most so long; 0: any time
}

struct ServiceGrant {
  name @0 :Text;                    # in the process's CapSet; unique; at most 31 bytes
  interface @1 :Text;               # what it holds: an interface or a facet
  source :union {
    kernel @2 :KernelObject;        # an object of init's own
    ioPorts @3 :IoPortRange;
    interrupt @4 :UInt32;           # line number
    self @5 :SelfObject;            # an object of the new process
    export @6 :ExportRef;           # an object of another service
    serve @7 :Void;                 # the service's own endpoint, serve facet: receive, answer, mint
    supervisor @8 :Void;            # its line to init
    control @9 :Void;               # SystemControl
    launcher @10 :Text;             # a launcher for the launch set of this name
    payload @11 :Text;              # a payload of the boot archive as a sealed memory object
    motd @12 :Void;                 # the manifest's message of the day as a sealed memory object
    processor @13 :Void;            # its own SchedulingContext; the service has a `processor`
  }
  why @14 :Text;                    # for who reads the manifest; asked for where authority grows (make check)
}

enum KernelObject { log @0; timer @1; entropy @2; sessions @3; scheduling @4; }

struct IoPortRange {
  base @0 :UInt16 $A.hex;
  count @1 :UInt16;
}

struct ExportRef {
  service @0 :Text;
  export @1 :Text;
}

struct LaunchSet {
  # Programs that the holder of a launcher may start, and what each may use.
  name @0 :Text;
  programs @1 :List(Text);
  limits @2 :List(ServiceLimit);
  maxChildren @3 :UInt32 = 8;
  watch @4 :Watch;                  # the most a launch may ask for: none, faults, debug
  why @5 :Text;                     # as of a grant
}

struct ServiceLimit {
  class @0 :LedgerClass;
  amount @1 :UInt64;
}
