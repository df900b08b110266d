# SPDX-License-Identifier: MIT
@0xa9e8c382009d7b3d;

using A = import "annotations.capnp";

interface SchemaRegistry $A.transfer(copy) $A.scope(crossSession) {
  # What interfaces are: their methods, parameters, results, limits and texts, as descriptors that
  # were sealed when the system was built. A descriptor is found by the interface's id and its edition:
  # the SHA-256 of its bytes.

  describe @0 (interface :UInt64 $A.hex, offsetBytes :UInt32, edition :Data)
      -> (found :Bool, data :Data, totalBytes :UInt32, package :Text, edition :Data, editions :UInt32)
      $A.maxParams(96) $A.maxResults(8384);
  # A piece of at most 8192 bytes of the descriptor (schema/descriptor.capnp) of an interface, from
  # offsetBytes on. package names what the texts in it come from. Whoever was built with an edition
  # names its 32 bytes and is given that or none; without them, the only one there is. editions tells how
  # many the manual has. invalidArgument: edition is neither empty nor 32 bytes.

  list @1 (start :UInt32) -> (entries :List(RegistryEntry), next :UInt32) $A.maxResults(8192);
  # The interfaces known, from number start on, as many as fit; next is 0 when there are no more.
}

struct RegistryEntry {
  interface @0 :UInt64 $A.hex;
  name @1 :Text;
  package @2 :Text;
  edition @3 :Data;
}

interface Manual $A.transfer(copy) $A.scope(crossSession) {
  # The pages of the system's own handbook.

  page @0 (name :Text, offsetBytes :UInt32) -> (found :Bool, text :Text, totalBytes :UInt32)
      $A.maxParams(96) $A.maxResults(8256);
  # A piece of at most 8192 bytes of a page, cut at a line's end.

  topics @1 (start :UInt32) -> (topics :List(Topic), next :UInt32) $A.maxResults(8192);
  # The pages there are, from number start on; next is 0 when there are no more.
}

struct Topic {
  name @0 :Text;
  summary @1 :Text;  # the page's first line
}
