# SPDX-License-Identifier: MIT
@0xc4b0a2f15d7e6893;

using A = import "/annotations.capnp";

struct View {
  # What a player sees around it.
  room @0 :Text;
  text @1 :Text;
  exits @2 :List(Text);    # a locked door says so
  items @3 :List(Text);    # what lies here; nothing where it is dark
  players @4 :List(Text);  # who else is here
  finished @5 :Bool;       # this player has been at the end
}

interface World $A.transfer(copy) $A.scope(regrantOnly) {
  # A text adventure. The world lives in its server, and everybody sees the same.

  enter @0 (name :Text) -> (player :UInt16 $A.capability("Player"))
      $A.maxParams(64) $A.resultCaps(1);
  # A player of that name, 1 to 15 letters, digits or '-'; it leaves when nobody holds it any more.
  # failed: somebody of that name plays. overloaded: 8 players are in the world.

  players @1 () -> (players :List(Text)) $A.maxResults(384);
  # Who is in the world.
}

interface Player $A.transfer(copy) $A.scope(regrantOnly) {
  # One player. Who holds it plays it. What a method says of "here" is the room where the player is.

  look @0 () -> View $A.maxResults(1024);

  go @1 (direction :Text) -> View $A.maxParams(64) $A.maxResults(1024);
  # north, south, east, west, up or down. invalidArgument: there is no way. failed: the door is
  # locked, or it is too dark to find another way than back.

  take @2 (item :Text) -> (item :UInt16 $A.capability("Item")) $A.maxParams(64) $A.resultCaps(1);
  # What lies here. The capability is the item: there is one of each, and it is nowhere else. Let go of
  # it and the item falls to the ground.

  drop @3 (item :UInt16 $A.capability("Item")) -> (name :Text)
      $A.mayBlock $A.paramCaps(1) $A.maxResults(64);
  # Lays it down here. invalidArgument: it is no item of this world.

  give @4 (to :Text, item :UInt16 $A.capability("Item")) -> (name :Text)
      $A.mayBlock $A.maxParams(64) $A.paramCaps(1) $A.maxResults(64);
  # Hands it to another player who is here: it waits for them at 'receive'. failed: nobody of that name
  # is here; the item then waits for the giver at 'receive'. invalidArgument: it is no item of this world.

  receive @5 () -> (item :UInt16 $A.capability("Item"), name :Text, sender :Text)
      $A.mayBlock $A.resultCaps(1) $A.maxResults(128);
  # Answered with the next item that was given to this player. overloaded: a later one waits.

  inventory @6 () -> (items :List(Text), waiting :List(Text)) $A.maxResults(512);
  # What this player took or received and still is somebody's; what waits at 'receive'.

  say @7 (text :Text) -> () $A.maxParams(160);
  # 1 to 80 bytes, to all who are here.

  events @8 (after :UInt64) -> (lines :List(Text), last :UInt64, missed :Bool)
      $A.mayBlock $A.maxResults(1280);
  # What others did here since the event `after`, oldest first, 8 at most; 0: since the player entered.
  # Waits while there is nothing. `last` is the next `after`. missed: some were forgotten meanwhile.
  # overloaded: a later one waits.
}

interface Item $A.transfer(move) $A.scope(crossSession) {
  # A thing of the world, held by exactly one.

  describe @0 () -> (name :Text, text :Text) $A.maxResults(256);

  use @1 () -> (text :Text) $A.maxResults(160);
  # What it is good for happens where its holder is. failed: not here.

  present @2 (ticket :UInt64) -> ();
  # The world calls this on what it is handed, and so knows which of its items that is. Of no use to
  # others. invalidArgument: the world waits for no such ticket.
}
