# SPDX-License-Identifier: MIT
@0xb6f0a3ad54a1c7d2;

using A = import "/annotations.capnp";

interface Greeter $A.transfer(copy) $A.scope(sameSession) {
  # Says hello, and counts whom it greeted.

  greet @0 (name :Text) -> (text :Text) $A.maxParams(96) $A.maxResults(128);
  # A greeting for a name of at most 40 bytes. invalidArgument: the name is empty or longer.

  guests @1 () -> (count :UInt64);
  # How many were greeted since the service was started.
}

interface GreeterBook $A.facet(base = "Greeter", methods = ["guests"]) {}
