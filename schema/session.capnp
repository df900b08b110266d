# SPDX-License-Identifier: MIT
@0xc8c00f7c860f2192;

using A = import "annotations.capnp";

enum SessionState {
  active @0;
  recovery @1;   # its processes go on with what they hold; nothing crosses its border
  closed @2;     # its processes are ended, or about to be; for good
}

interface Session $A.kernel $A.kernelType(30) $A.transfer(copy) $A.scope(regrantOnly) {
  # In whose name processes work. Every process is in one session, from its start on. Its facets are the
  # rights apart: to start processes in it, to end it, to be told of it.

  enter @0 () -> () $A.statuses(["badState"]);
  # The right to start processes in it (ProcessSpawner.spawn, newLauncher). badState: it is closed.

  state @1 () -> (state :SessionState);

  recover @2 (on :Bool) -> () $A.statuses(["badState"]);
  # Active to recovery, or back. badState: it is closed.

  close @3 () -> ();
  # From now on no process of it starts an operation; all are ended. Event DEAD of this capability tells
  # when the last is gone; event SESSION_CLOSED tells the servers of what they held.

  subject @4 () -> (subject :Text) $A.maxResults(64);
  # Whose session it is, as its maker says.

  epoch @5 () -> (epoch :UInt64);
  # Which of that subject's: services get it with each call.

  domain @6 () -> (domain :UInt16);
  # The domain of the mandatory labels.

  reference @7 (endpoint :UInt16 $A.capability("EndpointServe")) -> (first :UInt64 $A.hex, second :UInt64 $A.hex) $A.paramCaps(1);
  # The caller reference that calls of this session carry at this endpoint: so a server knows that what
  # it was disclosed is about the caller. At another endpoint it is another.
}

interface SessionControl $A.facet(base = "Session", methods = ["state", "recover", "close"]) {}
interface SessionRef $A.facet(base = "Session", methods = ["enter"]) {}
interface SessionInfo $A.facet(base = "Session", methods = ["state", "subject", "epoch", "domain", "reference"]) {}

interface SessionFactory $A.kernel $A.kernelType(31) $A.transfer(copy) $A.scope(sameSession) {
  # Makes sessions, and keeps the labels between them. init holds it, and lends it to the sessions service.

  create @0 (subject :Text, epoch :UInt64, domain :UInt16, transient :Bool) -> (session :UInt16 $A.capability("Session"))
      $A.maxParams(128) $A.resultCaps(1) $A.statuses(["badArgument", "quota"]);
  # subject is 1 to 31 bytes; sessions of one subject have the same caller references, and epochs tell
  # them apart. domain is below 16. A transient session closes when its last process ends.

  allow @1 (sender :UInt16, receiver :UInt16, scope :A.SessionScope, allowed :Bool) -> () $A.statuses(["badArgument"]);
  # May capabilities of this scope pass from sessions of the one domain to sessions of the other? At first
  # within domain 0 alone. sameSession never passes: badArgument.
}

interface SessionPolicy $A.facet(base = "SessionFactory", methods = ["allow"]) {}
