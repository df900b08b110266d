# SPDX-License-Identifier: MIT
@0xa1dc68d04698aee6;

# How interfaces say what the language of Cap'n Proto cannot: see docs/reference/annotations.

enum TransferMode { copy @0; move @1; none @2; }
# May a holder copy a capability of this interface to another process, only move it, or neither.

enum SessionScope { sameSession @0; crossSession @1; regrantOnly @2; }

struct FacetSpec { base @0 :Text; methods @1 :List(Text); }

annotation kernel(interface) :Void;
# Implemented by the kernel: the generator writes its method table.

annotation kernelType(interface) :UInt16;
# Number of the kernel interface; never reused.

annotation facet(interface) :FacetSpec;
# This interface is a facet: the named methods of the base interface, under the base's ordinals.
# Its body stays empty.

annotation transfer(interface) :TransferMode;
annotation scope(interface) :SessionScope;

annotation maxParams(method) :UInt32;
# Bytes, bare message. Needed only where the parameters hold text, data or lists.
annotation maxResults(method) :UInt32;

annotation paramCaps(method) :UInt16;
# How many capabilities a call may carry at most; fields that name one say capability().
annotation resultCaps(method) :UInt16;

annotation capability(field, param) :Text;
# This UInt16 is an index into the capabilities carried beside the message; the text names the
# interface expected ("*" = any).

annotation statuses(method) :List(Text);
# The refusals a caller can see beside those every call can have.

annotation opcode(method) :Text;
# The ordinal stands for a ring opcode; a CALL to it is refused.

annotation mayBlock(method) :Void;
annotation unit(field, param) :Text;
annotation hex(field, param) :Void;
# Printed in hexadecimal.
