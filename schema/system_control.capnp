# SPDX-License-Identifier: MIT
@0xc1c2a4f8fdc0b7d5;

using A = import "annotations.capnp";

enum ServiceState {
  waiting @0;    # for what it needs
  starting @1;   # started, not ready yet
  ready @2;
  backingOff @3; # ended; will be started again
  stopping @4;
  stopped @5;    # ended as it should, or stopped by an operator
  failed @6;     # ended and will not be started again
  upgrading @7;  # serves, and its successor is about to take over
}

struct ServiceStatus {
  name @0 :Text;
  program @1 :Text;
  state @2 :ServiceState;
  restarts @3 :UInt32;      # since boot
  processId @4 :UInt64;     # 0 while there is none; for messages only
  lastExitCode @5 :Int64;   # of the previous instance
  sinceNs @6 :UInt64 $A.unit("ns");  # monotonic time of the last change of state
  lastEnd @7 :Text;         # how the previous instance ended, in words
}

interface SystemControl $A.transfer(copy) $A.scope(sameSession) {
  # The lifecycle of the system, served by init.

  shutdown @0 () -> ();
  # Ends the services, dependents first, then stops the machine. Answered before the caller ends.

  reboot @1 () -> ();
  # The same, then starts the machine anew.

  restart @2 (service :Text) -> (outcome :RestartOutcome) $A.mayBlock $A.maxParams(128);
  # Ends one service and starts it again; its clients keep their capabilities. Does not count as a
  # failure. Answered once the new instance is ready, or has failed.

  services @3 () -> (services :List(ServiceStatus)) $A.maxResults(8192);
  # Every service of the manifest, in start order.

  usage @4 (service :Text) -> (found :Bool, classes :List(import "process.capnp".Usage))
      $A.maxParams(128) $A.maxResults(1536);
  # What the process of a service uses of its ledger; without a name, what the whole system uses of
  # what there is. A limit that was given to a service counts as used by the system. found is false
  # when no service of that name runs.

  upgrade @5 (service :Text, program :Text) -> (outcome :UpgradeOutcome) $A.mayBlock $A.maxParams(192);
  # Starts a new instance beside the running one, of another program of the boot archive when one is named, which
  # takes over its state, its calls and its objects: no call of a client fails. Answered once the new instance is
  # ready; failed: the old one goes on, or, when it ended meanwhile, the service was started again.

  enum UpgradeOutcome { done @0; unknownService @1; notRunning @2; notSupported @3; shuttingDown @4; failed @5; }
  enum RestartOutcome { done @0; unknownService @1; notRunning @2; shuttingDown @3; failed @4; }
}

interface SystemStatus $A.facet(base = "SystemControl", methods = ["services"]) {}
