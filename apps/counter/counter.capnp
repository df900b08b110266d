# SPDX-License-Identifier: MIT
@0xee52b5b59fc03f50;

using A = import "/annotations.capnp";

interface Counter $A.transfer(copy) $A.scope(regrantOnly) {
  # A number that several programs count on together. It lives in the memory of its service: when the
  # service is started anew it begins at 0 again, and when it is upgraded it goes on.

  increment @0 (by :Int64 = 1) -> (value :Int64) $A.statuses(["badArgument"]);
  # Add to the counter and tell its new value. invalidArgument: the sum would not fit.

  read @1 () -> (value :Int64);

  reset @2 () -> ();
  # Back to 0.

  child @3 (name :Text) -> (counter :UInt16 $A.capability("Counter"), value :Int64)
      $A.maxParams(64) $A.resultCaps(1);
  # A counter of its own under a name of at most 31 bytes; the same name gives the same counter. It
  # ends when nobody holds it any more, or with the service. overloaded: all 32 places are taken, or
  # more capabilities of them are out than the service may make.

  info @4 () -> (increments :UInt64, children :List(Text)) $A.maxResults(2048);
  # How often it was incremented, and the names of its children.

  reach @5 (value :Int64) -> (value :Int64) $A.mayBlock;
  # Answered with the counter's value once it is at least this. overloaded: 4 later ones wait.
}

interface CounterReader $A.facet(base = "Counter", methods = ["read", "info"]) {}
interface CounterClient $A.facet(base = "Counter", methods = ["increment", "read"]) {}
