# SPDX-License-Identifier: MIT
@0xb23adbde37c81355;

using A = import "annotations.capnp";

enum Protection { none @0; read @1; readWrite @2; readExecute @3; }

interface MemoryObject $A.kernel $A.kernelType(3) $A.transfer(copy) $A.scope(crossSession) {
  # Frames that can be mapped, shared, and sealed.

  info @0 () -> (sizeBytes :UInt64 $A.unit("bytes"), sealed :Bool, mappings :UInt32);

  seal @1 () -> () $A.statuses(["busy"]);
  # No write ever again, by anyone. busy while a writable mapping or pin exists.

  read @2 (offsetBytes :UInt64, countBytes :UInt32) -> (data :Data) $A.maxResults(16384) $A.statuses(["badArgument"]);
  # Fewer bytes than asked at the end of the object.

  write @3 (offsetBytes :UInt64, data :Data) -> () $A.maxParams(16384) $A.statuses(["badArgument", "badState"]);

  map @4 () -> () $A.opcode("MAP");
  # Stands for the right to map readable (VirtualMemory.map); a CALL is refused.

  mapWrite @5 () -> () $A.opcode("MAP");
  mapExecute @6 () -> () $A.opcode("MAP");
}

interface MemoryReader $A.facet(base = "MemoryObject", methods = ["info", "read", "map"]) {}
interface MemoryImage $A.facet(base = "MemoryObject", methods = ["info", "read", "map", "mapExecute"]) {}

interface VirtualMemory $A.kernel $A.kernelType(4) $A.transfer(none) $A.scope(sameSession) {
  # The address space of the process that holds it.

  reserve @0 (address :UInt64 $A.hex, sizeBytes :UInt64) -> (address :UInt64 $A.hex) $A.statuses(["badArgument", "exists", "quota"]);
  # Set address space aside; address 0 lets the kernel choose. Sizes and addresses are page multiples.

  commit @1 (address :UInt64 $A.hex, sizeBytes :UInt64, protection :Protection) -> () $A.statuses(["badArgument", "badState", "quota"]);
  # Back reserved pages with zeroed memory. At most 4 MiB a call.

  decommit @2 (address :UInt64 $A.hex, sizeBytes :UInt64) -> () $A.statuses(["badArgument", "badState"]);
  # Give the memory back; the range stays reserved.

  protect @3 (address :UInt64 $A.hex, sizeBytes :UInt64, protection :Protection) -> () $A.statuses(["badArgument", "badState"]);

  map @4 (memory :UInt16 $A.capability("MemoryObject"), address :UInt64 $A.hex, offsetBytes :UInt64, sizeBytes :UInt64, protection :Protection)
      -> (address :UInt64 $A.hex) $A.paramCaps(1) $A.statuses(["badArgument", "badState", "noMethod", "quota", "exists"]);
  # Map part of a memory object. Writing and executing need mapWrite and mapExecute in its facet; no
  # mapping is both.

  unmap @5 (address :UInt64 $A.hex, sizeBytes :UInt64) -> () $A.statuses(["badArgument", "badState"]);
  # End mappings, commitments and reservations in the range, which holds whole ones only.
}
