# SPDX-License-Identifier: MIT
@0xd7425b11d5364cfc;

using A = import "annotations.capnp";

interface TerminalSession $A.transfer(copy) $A.scope(sameSession) {
  # A person at a screen and keyboard. One program holds it at a time; programs that it starts get a
  # ByteStream instead.

  write @0 (text :Data) -> () $A.mayBlock $A.maxParams(4128);
  # Show text. Newline and tab mean what they say; every other control byte, and every byte that is
  # not valid UTF-8, is shown escaped: no text can steer the terminal. A line being typed is hidden
  # first and shown again below. 4096 bytes at most a call. It is answered when the wire has
  # room for the text.

  writeStyled @1 (style :Style, text :Data) -> () $A.mayBlock $A.maxParams(4136);
  # The same, in one of the styles the terminal knows; it goes back to plain by itself.

  readLine @2 (prompt :Text, echo :Bool = true, maxBytes :UInt32 = 1024,
               start :Text, cursorBytes :UInt32 = 0xffffffff, tabs :Bool)
      -> (outcome :LineOutcome, line :Text, cursorBytes :UInt32) $A.mayBlock $A.maxParams(1216) $A.maxResults(4144);
  # Let the person edit one line. Without echo nothing typed is shown; without echo or prompt nothing
  # is remembered for the arrow keys. The prompt is 128 bytes at most; maxBytes 1 to 4096. Keys typed
  # ahead are kept. A later readLine takes the place of an earlier one, which ends interrupted.
  # start: the line begins with this text, of 1024 bytes at most, and the cursor at that place in it. tabs:
  # Tab ends the reading, with the line so far and its cursor; whoever asked begins it again with start. A
  # longer line than start may be is not ended so.

  waitInterrupt @3 () -> (count :UInt64) $A.mayBlock;
  # Completes when the person presses Ctrl-C while no line is being read, or has pressed it since the
  # last completion; count tells how often since the start. overloaded: three later ones wait.

  clear @4 () -> () $A.mayBlock;
  # An empty screen.

  size @5 () -> (columns :UInt16, rows :UInt16);
  # What the screen answered when it was asked; 80 by 24 while it has not.

  enum LineOutcome {
    line @0;         # a line was entered; it stands without its newline
    end @1;          # Ctrl-D on an empty line: the person has nothing more to say
    interrupted @2;  # Ctrl-C: whatever had been typed is dropped
    tab @3;          # Tab was pressed where tabs were asked for
  }

  enum Style { plain @0; heading @1; error @2; quiet @3; program @4; programError @5; }
}

interface TerminalWriter $A.facet(base = "TerminalSession", methods = ["write", "writeStyled", "size"]) {}
