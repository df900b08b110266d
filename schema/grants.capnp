# SPDX-License-Identifier: MIT
@0xb0c2f4a91d6e3758;

using A = import "annotations.capnp";

struct GrantLine {
  # One node of the way by which a capability came to its holder.
  origin @0 :Text;      # what its maker wrote: a manifest line, a spawn grant, a derive
  depth @1 :UInt16;     # below the kernel's own grant
  live @2 :Bool;
  timeNs @3 :UInt64 $A.unit("ns");    # when it was made, since boot
}

struct Way {
  chain @0 :List(GrantLine);   # the nearest node first
  redacted @1 :Bool;           # it goes on, beyond what the asker may see
}

struct Derivation {
  capability @0 :UInt16 $A.capability("*");
  methods @1 :UInt64 $A.hex;   # a subset of those held; 0 = all of them
  deadlineNs @2 :UInt64 $A.unit("ns");   # when it ends by itself, since boot; 0 = never
  origin @3 :Text;      # recorded in the grant; at most 63 bytes
}

struct Derived {
  capability @0 :UInt16 $A.capability("*");
  grant @1 :UInt16 $A.capability("GrantHandle");
}

struct Holder {
  # One capability slot.
  place @0 :UInt64;     # for explain
  processId @1 :UInt64;
  process @2 :Text;
  id @3 :UInt64 $A.hex;
  interface @4 :UInt64 $A.hex;
  methods @5 :UInt64 $A.hex;
  live @6 :Bool;
  depth @7 :UInt16;     # of its route
  origin @8 :Text;      # of its route
}

interface GrantHandle $A.kernel $A.kernelType(22) $A.transfer(copy) $A.scope(sameSession) {
  # A grant, to the one who derived it, and all that hangs below it. Letting go of it ends nothing.

  revoke @0 () -> () $A.mayBlock $A.statuses(["badState"]);
  # End the grant and all below it. When this is answered no operation begun by it goes on or can
  # begin, calls that waited by it have ended, and every capability below it answers disconnected.
  # A second request is answered when the first is done; one that is cancelled ends the grant all the
  # same. badState: it is the kernel's own.

  info @1 () -> (line :GrantLine, deadlineNs :UInt64 $A.unit("ns")) $A.maxResults(256);
  # deadlineNs is 0 when there is none.

  regrant @2 Derivation -> Derived
      $A.maxParams(256) $A.paramCaps(1) $A.resultCaps(2)
      $A.statuses(["badArgument", "noMethod", "quota", "notTransferable"]);
  # As CapabilityManager.derive, but below this grant and not below the capability's own: a fresh
  # route, which the capability keeps when its maker returns it as the result of a call.

  holders @3 (start :UInt64) -> (holders :List(Holder), next :UInt64) $A.maxResults(8192) $A.paramCaps(1);
  # Who holds something by this grant or by one below it. Some at a time: next is where to go on, 0 at
  # the end; an answer may be empty and not the last. With a capability: only those of its object.
  # Processes that begin or end meanwhile may be missed or told twice.

  explain @4 (place :UInt64, id :UInt64 $A.hex) -> Way $A.maxResults(4096)
      $A.statuses(["notFound"]);
  # The way by which that holder came to it, from its route up to this grant.
  # notFound: it is not there any more, or does not hang below this grant.
}

interface GrantRoot $A.facet(base = "GrantHandle", methods = ["regrant"]) {}
interface AuthorityInspector $A.facet(base = "GrantHandle", methods = ["info", "holders", "explain"]) {}
