# SPDX-License-Identifier: MIT
@0xad2f8dcdcb137202;

using A = import "annotations.capnp";

interface IoPorts $A.kernel $A.kernelType(15) $A.transfer(move) $A.scope(sameSession) {
  # A range of I/O ports.

  info @0 () -> (base :UInt16 $A.hex, count :UInt16);

  read @1 (offset :UInt16, widthBytes :UInt8) -> (value :UInt32 $A.hex) $A.statuses(["badArgument"]);
  write @2 (offset :UInt16, widthBytes :UInt8, value :UInt32 $A.hex) -> () $A.statuses(["badArgument"]);

  readRun @3 (statusOffset :UInt16, mask :UInt8, match :UInt8, dataOffset :UInt16, maxBytes :UInt16) -> (data :Data) $A.maxResults(296) $A.statuses(["badArgument"]);
  # While (status & mask) == match, read a byte of data; at most maxBytes (256). mask 0: no status look.

  writeRun @4 (statusOffset :UInt16, mask :UInt8, match :UInt8, dataOffset :UInt16, data :Data) -> (written :UInt16) $A.maxParams(320) $A.statuses(["badArgument"]);
  # While (status & mask) == match, write a byte; stops at the first mismatch. At most 256 bytes.
}

interface IoPortsRoot $A.kernel $A.kernelType(16) $A.transfer(none) $A.scope(sameSession) {
  # Every I/O port that may be given out.

  open @0 (base :UInt16 $A.hex, count :UInt16) -> (ports :UInt16 $A.capability("IoPorts")) $A.resultCaps(1) $A.statuses(["badArgument", "busy", "quota"]);
  # busy: a port is held already. Ports the kernel drives itself (interrupt controllers, timers, PCI
  # configuration, power) are never given.
}

interface Interrupt $A.kernel $A.kernelType(17) $A.transfer(move) $A.scope(sameSession) {
  # One interrupt line.

  wait @0 () -> () $A.opcode("WAIT");
  # Event SIGNALLED; the completion carries bit 0. The line stays masked until acknowledged.

  acknowledge @1 () -> ();
  # Unmask; call it after the device has been served.
}

interface InterruptRoot $A.kernel $A.kernelType(18) $A.transfer(none) $A.scope(sameSession) {
  # Every interrupt line that may be given out.

  open @0 (line :UInt32) -> (interrupt :UInt16 $A.capability("Interrupt")) $A.resultCaps(1) $A.statuses(["badArgument", "busy", "quota"]);
  # An ISA line number (0-15) or a global system interrupt. busy: somebody holds it.
}
