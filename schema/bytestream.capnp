# SPDX-License-Identifier: MIT
@0xc7aa631c951e97ce;

using A = import "annotations.capnp";

interface ByteStream $A.transfer(copy) $A.scope(crossSession) {
  # Bytes in and out, in order. A program's stdio is one; pipes and sockets will be.

  read @0 (maxBytes :UInt32) -> (data :Data, end :Bool) $A.mayBlock $A.maxResults(4128);
  # The next bytes, at least one and at most maxBytes (4096 at most a call). end with no data: there
  # will never be more. invalidArgument: maxBytes is 0.

  write @1 (data :Data) -> (written :UInt32 $A.unit("bytes")) $A.mayBlock $A.maxParams(4128);
  # Append bytes, 4096 at most a call. Returns when the other side has taken them; fewer than given
  # were taken only where written says so. failed: the other side takes no more.

  end @2 () -> ();
  # Nothing more will be written. Reading goes on.

  writeError @3 (text :Text) -> () $A.mayBlock $A.maxParams(1056);
  # A message about what went wrong, apart from the data; 1024 bytes at most.
}

interface ByteReader $A.facet(base = "ByteStream", methods = ["read"]) {}
interface ByteWriter $A.facet(base = "ByteStream", methods = ["write", "end", "writeError"]) {}
