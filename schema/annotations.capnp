# SPDX-License-Identifier: MIT
@0xa1dc68d04698aee6;

# How interfaces say what the language of Cap'n Proto cannot. `make docs` makes the page
# annotations of the book's reference from this file.

enum TransferMode {
  # May a holder give a capability of this interface to another process?
  copy @0;  # copy it, or move it
  move @1;  # only move it
  none @2;  # neither
}

enum SessionScope {
  # How far a capability may go.
  sameSession @0;   # to processes of the holder's own session
  crossSession @1;  # to any process
  regrantOnly @2;   # across sessions only by the service that serves it
}

struct FacetSpec {
  # What a facet narrows.
  base @0 :Text;           # the interface whose methods these are
  methods @1 :List(Text);  # the methods it keeps, by name
}

annotation kernel(interface) :Void;
# Implemented by the kernel: the generator writes its method table.

annotation kernelType(interface) :UInt16;
# Number of the kernel interface; never reused.

annotation facet(interface) :FacetSpec;
# This interface is a facet: the named methods of the base interface, under the base's ordinals.
# Its body stays empty.

annotation transfer(interface) :TransferMode;
# Whether holders may copy or move their capabilities; copy when not said. A facet has its base's.

annotation scope(interface) :SessionScope;
# How far a capability may go; sameSession when not said. A facet has its base's.

annotation maxParams(method) :UInt32;
# Largest parameter message in bytes, at most 16384. Needed only where the parameters hold text,
# data or lists.

annotation maxResults(method) :UInt32;
# Largest result message in bytes, at most 16384. Needed only where the results hold text, data or
# lists.

annotation paramCaps(method) :UInt16;
# How many capabilities a call may carry at most; fields that name one say capability().

annotation resultCaps(method) :UInt16;
# How many capabilities a result may carry at most.

annotation capability(field, param) :Text;
# This UInt16 is an index into the capabilities carried beside the message; the text names the
# interface expected ("*" = any).

annotation statuses(method) :List(Text);
# The refusals a caller can see beside those every call can have.

annotation opcode(method) :Text;
# The ordinal stands for a ring opcode; a CALL to it is refused.

annotation quick(method) :Void;
# Of a kernel method without parameters whose results are 64-bit numbers: answered under the table's lock.
annotation mayBlock(method) :Void;
# The answer may wait for something else to happen; a caller sets a deadline or can cancel.

annotation unit(field, param) :Text;
# The unit of the number, as shown behind it.

annotation hex(field, param) :Void;
# Printed in hexadecimal.
