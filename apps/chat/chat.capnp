# SPDX-License-Identifier: MIT
@0xc497bd264353902b;

using A = import "/annotations.capnp";

interface Chat $A.transfer(copy) $A.scope(regrantOnly) {
  # Rooms in which people talk. Who says what is told by the seat that it is said with: a name in a
  # message counts for nothing. Everything is in the memory of the service.

  rooms @0 () -> (rooms :List(ChatRoom)) $A.maxResults(512);
  # The rooms there are: those with somebody in them.

  join @1 (room :Text, nick :Text) -> (seat :UInt16 $A.capability("Seat"), number :UInt64)
      $A.maxParams(96) $A.resultCaps(1);
  # A seat in the room of that name, which is there from its first member to its last. number is that of
  # the line that told the others. Names of rooms and nicks are 1 to 15 letters, digits, '-' and '_';
  # the seat is yours until you leave or nobody holds it any more, and so is the nick in that room.
  # invalidArgument: a name is none. failed: somebody in the room has this nick. overloaded: the room is
  # full, or all rooms, or all seats; or your subject has as many as one may.
}

interface ChatJoin $A.facet(base = "Chat", methods = ["join"]) {}

struct ChatRoom {
  name @0 :Text;
  members @1 :UInt32;
  lines @2 :UInt64;  # that it has had so far
}

struct ChatLine {
  number @0 :UInt64;  # counted in its room, from 1 on
  kind @1 :Kind;
  yours @2 :Bool;     # by the seat that asks
  nick @3 :Text;      # of who did it, at that time
  text @4 :Text;      # what was said

  enum Kind { said @0; joined @1; left @2; }
}

interface Seat $A.transfer(copy) $A.scope(regrantOnly) {
  # A place in a room. It ends with leave, with its last capability, and with the service.

  say @0 (text :Text) -> (number :UInt64) $A.maxParams(256);
  # Says a line to all in the room. invalidArgument: it is empty, has more than 200 bytes, a control
  # byte, or is no UTF-8.

  listen @1 (after :UInt64) -> (lines :List(ChatLine), missed :UInt64) $A.mayBlock $A.maxResults(2176);
  # The next lines behind number after, at most 8, as soon as there is one. missed tells how many more
  # there were: a room keeps its last 24. invalidArgument: no line has that number yet. overloaded: a
  # later listen on this seat took its place. disconnected: the seat has ended.

  members @2 () -> (nicks :List(Text)) $A.maxResults(512);
  # Who is in the room.

  leave @3 () -> ();
  # Gives up the seat. Later calls, and a listen that waits, end disconnected.
}
