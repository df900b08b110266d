# SPDX-License-Identifier: MIT
@0xf5d1b73cf621fb6a;

using A = import "annotations.capnp";
using Process = import "process.capnp";

interface Ledger $A.kernel $A.kernelType(8) $A.transfer(none) $A.scope(sameSession) {
  # What somebody may use, and the maker of objects charged to it. A process's own ledger stays with it;
  # what is carved from a ledger may be handed on, to other sessions, too.

  newEndpoint @0 (maxMessageBytes :UInt32, maxCaps :UInt16) -> (endpoint :UInt16 $A.capability("Endpoint")) $A.resultCaps(1) $A.statuses(["badArgument", "quota"]);
  # The result holds both facets. maxMessageBytes at most 16384, a multiple of 8; maxCaps at most 16.

  newNotification @1 () -> (notification :UInt16 $A.capability("Notification")) $A.resultCaps(1) $A.statuses(["quota"]);

  newMemoryObject @2 (sizeBytes :UInt64) -> (memory :UInt16 $A.capability("MemoryObject")) $A.mayBlock $A.resultCaps(1) $A.statuses(["badArgument", "quota"]);
  # Zeroed. A page multiple, at most 512 GiB; a large one is made in pieces.

  usage @3 () -> (classes :List(Process.Usage), name :Text, lender :Text) $A.maxResults(1536);
  # For each class what is used, of how much. lender names the ledger that this one was carved from: its
  # holder can lend more, with grow.

  carve @4 (limits :List(Process.Limit), name :Text) -> (ledger :UInt16 $A.capability("Ledger"))
      $A.maxParams(1024) $A.resultCaps(1) $A.statuses(["badArgument", "badState", "quota", "disconnected"]);
  # A ledger below this one, with these limits, which count as used here while it exists; classes not
  # named get nothing. It closes, and gives back what is unused, when its last capability is gone and no
  # process lives on it. badState: 32 ledgers lie above already.

  grow @5 (child :UInt16 $A.capability("Ledger"), limits :List(Process.Limit)) -> ()
      $A.maxParams(1024) $A.paramCaps(1) $A.statuses(["badArgument", "quota", "disconnected"]);
  # Raises the limits of a ledger carved from this one by these amounts, all or nothing.

  shrink @6 (child :UInt16 $A.capability("Ledger"), limits :List(Process.Limit)) -> ()
      $A.maxParams(1024) $A.paramCaps(1) $A.statuses(["badArgument", "quota", "disconnected"]);
  # Takes these amounts back, all or nothing; quota: the child uses them.

  mint @7 (endpoint :UInt16 $A.capability("EndpointServe"), key :UInt64 $A.hex, interface :UInt64 $A.hex, methods :UInt64 $A.hex,
           transferMode :A.TransferMode, scope :A.SessionScope, boundNs :UInt64 $A.unit("ns")) -> (object :UInt16 $A.capability("*"))
      $A.paramCaps(1) $A.resultCaps(1) $A.statuses(["badArgument", "badState", "quota", "disconnected"]);
  # Endpoint.mint, charged to this ledger. What is minted on a ledger that is not the caller's own dies
  # with it (revoke) as well as with the server. badState: another server has minted on it already.

  revoke @8 (child :UInt16 $A.capability("Ledger"), untilNs :UInt64 $A.unit("ns")) -> ()
      $A.paramCaps(1) $A.statuses(["badArgument", "quota"]);
  # Ends a ledger carved from this one: whoever holds it is told (event DEAD), nothing more can be charged
  # to it, and what it has unused comes back. What is charged stays until it is released; objects minted on
  # it die at this absolute time, at most a minute from now (0: at once; 0xffffffffffffffff: never). No
  # memory is taken from anybody.
}

interface LedgerDonation $A.facet(base = "Ledger", methods = ["newMemoryObject", "mint"]) {}
# What a client gives a service that holds something for it: room to charge to, and nothing told.
