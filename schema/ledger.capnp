# SPDX-License-Identifier: MIT
@0xf5d1b73cf621fb6a;

using A = import "annotations.capnp";

interface Ledger $A.kernel $A.kernelType(8) $A.transfer(none) $A.scope(sameSession) {
  # What its process may use, and the maker of objects charged to it.

  newEndpoint @0 (maxMessageBytes :UInt32, maxCaps :UInt16) -> (endpoint :UInt16 $A.capability("Endpoint")) $A.resultCaps(1) $A.statuses(["badArgument", "quota"]);
  # The result holds both facets. maxMessageBytes at most 16384, a multiple of 8; maxCaps at most 16.

  newNotification @1 () -> (notification :UInt16 $A.capability("Notification")) $A.resultCaps(1) $A.statuses(["quota"]);

  newMemoryObject @2 (sizeBytes :UInt64) -> (memory :UInt16 $A.capability("MemoryObject")) $A.resultCaps(1) $A.statuses(["badArgument", "quota"]);
  # Zeroed. A page multiple, at most 16 MiB.

  usage @3 () -> (classes :List(import "process.capnp".Usage)) $A.maxResults(1024);
}
