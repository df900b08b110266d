# SPDX-License-Identifier: MIT
@0xe3b2c327962cbb99;

# The one closed list of transport statuses, and the exceptions.
using A = import "annotations.capnp";

enum Status {
  # Numbers are negated on the wire: a completion of -1 is badCap. C names: ST_BAD_CAP and so on.
  ok @0;
  badCap @1;          # no such capability in the caller's table: never valid, released, or stale
  wrongInterface @2;  # the capability is of another interface than the call says
  noMethod @3;        # the method does not exist or lies outside the facet held
  badAddress @4;      # a buffer is not mapped, not writable, or may not be used for messages
  badMessage @5;      # the message is malformed
  badArgument @6;     # well formed, but a value lies outside the method's contract
  badSequence @7;     # transfer number is not the one the ring expects; nothing was done
  badTransfer @8;     # malformed transfer descriptor, or more than the receiver accepts
  notTransferable @9; # transfer mode or session scope forbids this transfer
  unsupported @10;    # unknown or not yet supported opcode, flag, or non-zero reserved field
  tooLarge @11;       # the message is longer than the target takes
  resultTooSmall @12; # result buffer or accept_count too small; the completion says what is needed
  quota @13;          # a ledger class is exhausted; the completion names the class
  busy @14;           # somebody else holds what this needs; try again
  badState @15;       # the object is not in a state that allows this
  cancelled @16;      # the caller cancelled
  timedOut @17;       # the deadline passed
  disconnected @18;   # the object, or the server behind it, has ended
  gone @19;           # RETURN: the caller no longer waits; the reply was dropped
  exception @20;      # the server answered with an exception; the completion names it
  notFound @21;       # no entry of that name or number
  badRing @22;        # ring indices are inconsistent; nothing was consumed
  badImage @23;       # the program image is not one this system can run
  notSealed @24;      # the memory object must be sealed first
  exists @25;         # an entry of that name or place is already there
  badHash @26;        # contents do not match their recorded SHA-256
}

enum Exception {
  none @0;
  failed @1;
  overloaded @2;
  disconnected @3;
  unimplemented @4;
  invalidArgument @5;
}

enum LedgerClass {
  # What a ledger counts.
  frames @0;        # pages of memory for programs
  kernelPages @1;   # pages of kernel objects, tables, rings, page tables
  slots @2;         # capability slots in use
  threads @3;
  virtualPages @4;  # pages of address space reserved
  calls @5;         # call records
  servedObjects @6;
  waiters @7;       # operations that may wait: the most a ring can hold, paid with the ring
  timers @8;        # deadlines: likewise, and one for each thread, endpoint and donation
  grants @9;
  interrupts @10;
  logBytes @11;     # bytes of kernel log per second
  processes @12;
  pinnedPages @13;  # pages of memory that may not move or go
  dmaPages @14;     # pages that devices reach; counted when there are such devices
  cpuNs @15;        # nanoseconds of processor time in each second, promised to scheduling contexts with a budget
}
