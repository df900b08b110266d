# SPDX-License-Identifier: MIT
@0x88912320c6da5f06;

using A = import "annotations.capnp";

interface Endpoint $A.kernel $A.kernelType(1) $A.transfer(copy) $A.scope(sameSession) {
  # A place where servers receive calls. Two facets: own (lend, hold vacant, destroy) and serve.

  receive @0 () -> () $A.opcode("RECV");
  # Wait for a call. Opcode RECV.

  answer @1 () -> () $A.opcode("RETURN");
  # Answer a received call. Opcode RETURN.

  mint @2 (key :UInt64 $A.hex, interface :UInt64 $A.hex, methods :UInt64 $A.hex, transferMode :A.TransferMode,
           scope :A.SessionScope, boundNs :UInt64 $A.unit("ns"))
      -> (object :UInt16 $A.capability("*")) $A.resultCaps(1) $A.statuses(["badArgument", "quota"]);
  # Make a served object: calls to it arrive here with this key. It dies with the grant under which
  # this serve capability is held. methods is the facet (bit n = ordinal n), not 0. scope tells how far
  # across sessions holders may give it. boundNs, if not 0 (at most an hour), is how long a call may
  # take from when it is received: then it ends timedOut, and event DEADLINE tells the server its key.

  lend @3 () -> (serve :UInt16 $A.capability("EndpointServe")) $A.resultCaps(1) $A.statuses(["quota"]);
  # The serve facet of this endpoint, for a server.

  vacant @4 (untilNs :UInt64 $A.unit("ns")) -> () $A.statuses(["badArgument"]);
  # Its server is gone: end the calls it had received (disconnected), keep the queued ones until a
  # successor receives or this absolute time passes; after that they and new calls end disconnected.

  destroy @5 () -> ();
  # Every queued and received call ends disconnected; served objects are dead.

  waitClients @6 () -> () $A.opcode("WAIT");
  # Event NO_CLIENTS tells the key of a served object whose last capability is gone, event
  # SESSION_CLOSED the first word of the caller reference of a session that has closed (0: of several),
  # event DEADLINE the key of the last object of which a call was not answered within its bound.

  counters @7 () -> (delivered :UInt64, deliveredBytes :UInt64, rings :UInt32, receives :UInt32, inFlight :UInt32);
  # Calls that servers have been given, and the bytes of their messages, in all; and now: rings with calls
  # that wait, receives that wait, calls that are not answered yet (each counted up to 1000).
}

interface EndpointOwn $A.facet(base = "Endpoint", methods = ["lend", "vacant", "destroy", "counters"]) {}
interface EndpointServe $A.facet(base = "Endpoint", methods = ["receive", "answer", "mint", "waitClients"]) {}
