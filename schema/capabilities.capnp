# SPDX-License-Identifier: MIT
@0xd45fad50c5b483ca;

using A = import "annotations.capnp";
using G = import "grants.capnp";

struct CapabilityInfo {
  id @0 :UInt64 $A.hex;
  interface @1 :UInt64 $A.hex;
  methods @2 :UInt64 $A.hex;
  transferMode @3 :A.TransferMode;
  scope @4 :A.SessionScope;
  live @5 :Bool;
  origin @6 :Text;   # how this holder got it: manifest line, spawn grant, "from NAME", "made here"
}

interface CapabilityManager $A.kernel $A.kernelType(12) $A.transfer(none) $A.scope(sameSession) {
  # The caller's own capability table.

  list @0 (start :UInt32) -> (capabilities :List(CapabilityInfo), next :UInt32) $A.maxResults(8192);
  # The caller's table from index start on, as many as fit; next is 0 when there are no more.

  attenuate @1 (capability :UInt16 $A.capability("*"), methods :UInt64 $A.hex) -> (capability :UInt16 $A.capability("*"))
      $A.paramCaps(1) $A.resultCaps(1) $A.statuses(["badArgument", "noMethod", "quota", "notTransferable"]);
  # A second capability to the same object with a subset of its methods.

  derive @2 G.Derivation -> G.Derived $A.maxParams(256) $A.paramCaps(1) $A.resultCaps(2)
      $A.statuses(["badArgument", "noMethod", "quota", "notTransferable", "badState"]);
  # A copy of a capability under a grant of its own below the one it came by, and that grant, by which
  # the copy and all that is obtained through it can be taken back. badState: the way is 32 grants long
  # already.

  explain @3 (id :UInt64 $A.hex) -> G.Way $A.maxResults(4096) $A.statuses(["notFound"]);
  # The way by which the caller came to one of its capabilities, as far as the nodes are its own.
}
