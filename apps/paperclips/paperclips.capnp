# SPDX-License-Identifier: MIT
@0xda967cb5015d54d4;

using A = import "/annotations.capnp";

enum Good {
  wire @0;       # a spool, for 1000 clips
  clipper @1;    # makes a clip each second
  marketing @2;  # a level more: as many more want clips as at the first
}

struct Business {
  # How things stand, up to the last whole second.
  clips @0 :UInt64;                            # made in all
  unsold @1 :UInt32;
  wire @2 :UInt32;                             # for so many clips
  fundsCents @3 :UInt64 $A.unit("cents");
  priceCents @4 :UInt32 $A.unit("cents");      # of one clip
  demandPerMinute @5 :UInt64;                  # clips that are wanted at this price
  clippers @6 :UInt32;
  marketing @7 :UInt32;                        # its level
  wireCents @8 :UInt64 $A.unit("cents");       # what the next of each costs
  clipperCents @9 :UInt64 $A.unit("cents");
  marketingCents @10 :UInt64 $A.unit("cents");
  seconds @11 :UInt64 $A.unit("s");            # how long the business exists
}

interface Paperclips $A.transfer(copy) $A.scope(regrantOnly) {
  # A business that makes paperclips. It is the server's: everybody who holds this runs the same one, and
  # it goes on while nobody looks. docs/manual/games.md has its rules.

  status @0 () -> Business;

  make @1 (count :UInt32 = 1) -> Business;
  # Bends 1 to 10 clips by hand. failed: not enough wire, or the store is full.

  buy @2 (what :Good, count :UInt32 = 1) -> Business;
  # 1 to 100 of them, all or none. failed: not enough money, or more than there can be.

  price @3 (cents :UInt32) -> Business;
  # Of a clip from now on, 1 to 10000.

  reset @4 () -> Business;
  # Bankrupt: a new business.
}
