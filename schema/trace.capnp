# SPDX-License-Identifier: MIT
@0xc8a1f0b2d94e6357;

using A = import "annotations.capnp";

interface KernelTrace $A.kernel $A.kernelType(23) $A.transfer(copy) $A.scope(sameSession) {
  # The flight recorder of a process and those below it: what they ask for, what comes of it, when they run. Bytes
  # of messages are recorded only of processes that were started as recordable, and only the first 96 of what they
  # send. It records while somebody holds it, and keeps the last of its records.

  read @0 (sequence :UInt64) -> (records :Data, next :UInt64, lost :UInt64) $A.maxResults(8192);
  # Records from this one on, oldest first, 64 bytes each (abi/trace.h); next is where to go on. lost tells
  # how many after `sequence` were dropped before they were read.
}
