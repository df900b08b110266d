# SPDX-License-Identifier: MIT
@0xb6d8f59606b809b1;

using A = import "annotations.capnp";

interface Notification $A.kernel $A.kernelType(2) $A.transfer(copy) $A.scope(crossSession) {
  # A 64-bit word of signals and those who wait for them.

  signal @0 () -> () $A.opcode("SIGNAL");
  # OR bits in; wakes the waiters that want one of them. Opcode SIGNAL.

  wait @1 () -> () $A.opcode("WAIT");
  # Take the wanted bits, or wait for one. Opcode WAIT with SIGNALLED.
}

interface NotificationSignaller $A.facet(base = "Notification", methods = ["signal"]) {}
interface NotificationWaiter $A.facet(base = "Notification", methods = ["wait"]) {}
