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

  pin @7 (offsetBytes :UInt64, sizeBytes :UInt64, writable :Bool) -> (pin :UInt16 $A.capability("MemoryPin"))
      $A.resultCaps(1) $A.statuses(["badArgument", "badState", "noMethod", "quota"]);
  # Promises that these pages stay where they are, and the caller's to use, while the pin exists. Its pages are charged
  # to the caller's ledger. writable needs mapWrite in the facet and an object that is not sealed, and keeps it unsealed.
}

interface MemoryPin $A.kernel $A.kernelType(26) $A.transfer(move) $A.scope(sameSession) {
  # Pages of a memory object that are pinned. It ends when the capability is released, revoked, or gone with its holder.

  info @0 () -> (offsetBytes :UInt64, sizeBytes :UInt64, writable :Bool);
}

interface MemoryReader $A.facet(base = "MemoryObject", methods = ["info", "read", "map"]) {}
interface MemoryImage $A.facet(base = "MemoryObject", methods = ["info", "read", "map", "mapExecute"]) {}

interface VirtualMemory $A.kernel $A.kernelType(4) $A.transfer(none) $A.scope(sameSession) {
  # The address space of the process that holds it, or of one that it started (ProcessHandle.addressSpace): then
  # disconnected says that this one is ending.

  reserve @0 (address :UInt64 $A.hex, sizeBytes :UInt64) -> (address :UInt64 $A.hex) $A.statuses(["badArgument", "badState", "exists", "quota", "disconnected"]);
  # Set address space aside; address 0 lets the kernel choose. Sizes and addresses are page multiples.

  # What follows is done at once when it is little, else in pieces while the caller may go on; meanwhile the range is
  # busy to others. Cancelling, or a deadline, only ends the waiting.

  commit @1 (address :UInt64 $A.hex, sizeBytes :UInt64, protection :Protection) -> () $A.mayBlock $A.statuses(["badArgument", "badState", "busy", "quota", "disconnected"]);
  # Back reserved pages with zeroed memory. At most 1 GiB a call.

  decommit @2 (address :UInt64 $A.hex, sizeBytes :UInt64) -> () $A.mayBlock $A.statuses(["badArgument", "badState", "busy", "quota", "disconnected"]);
  # Give the memory back; the range stays reserved. When it is done, no processor finds the pages any more.

  protect @3 (address :UInt64 $A.hex, sizeBytes :UInt64, protection :Protection) -> () $A.mayBlock $A.statuses(["badArgument", "badState", "busy", "quota", "disconnected"]);
  # Change the rights of pages, all of which are there, at most 1 GiB. When it is done, every processor obeys. Pages of a
  # memory object get no right that they were not mapped with.

  map @4 (memory :UInt16 $A.capability("MemoryObject"), address :UInt64 $A.hex, offsetBytes :UInt64, sizeBytes :UInt64, protection :Protection)
      -> (address :UInt64 $A.hex) $A.mayBlock $A.paramCaps(1) $A.statuses(["badArgument", "badState", "noMethod", "notSealed", "quota", "exists", "disconnected"]);
  # Map part of a memory object, at most 1 GiB. Writing and executing need mapWrite and mapExecute in its facet; no
  # mapping is both.

  unmap @5 (address :UInt64 $A.hex, sizeBytes :UInt64) -> () $A.mayBlock $A.statuses(["badArgument", "badState", "busy", "quota", "disconnected"]);
  # End mappings, commitments and reservations in the range, which holds whole ones only, at most 64. When it is done,
  # no processor finds the pages any more.

  mapPrivate @6 (memory :UInt16 $A.capability("MemoryObject"), address :UInt64 $A.hex, offsetBytes :UInt64, sizeBytes :UInt64)
      -> (address :UInt64 $A.hex) $A.mayBlock $A.paramCaps(1) $A.statuses(["badArgument", "badState", "noMethod", "quota", "exists", "disconnected"]);
  # Map part of a memory object to read and write, at most 1 GiB, so that what is written stays with the writer: a page
  # is copied when it is first written to, by the program or by a message. The frames for that are charged and taken now.
}
