# SPDX-License-Identifier: MIT
@0xef7f48101889cf5e;

using A = import "annotations.capnp";

interface BootPackage $A.kernel $A.kernelType(11) $A.transfer(none) $A.scope(sameSession) {
  # The payloads the system was booted with.

  list @0 (start :UInt32) -> (names :List(Text), total :UInt32, anchored :Bool) $A.maxResults(8192);
  # Names from index start on, as many as fit.

  open @1 (name :Text) -> (memory :UInt16 $A.capability("MemoryImage"), sizeBytes :UInt64) $A.maxParams(128) $A.resultCaps(1) $A.mayBlock
      $A.statuses(["notFound", "badHash", "quota"]);
  # A payload as a memory object born sealed. It is hashed once, at the first open.
}
