# SPDX-License-Identifier: MIT
"""This terminal as a system's terminal: what tools/run and tools/term share."""

import contextlib
import os
import sys
import termios
import tty

LEAVE_KEY = 1  # Ctrl-A


class Keys:
    """What is typed, without the keys that are this side's: Ctrl-A X leaves, Ctrl-A Ctrl-A is a Ctrl-A."""

    def __init__(self):
        self.escape = False
        self.left = False

    def take(self, data):
        """The bytes that go to the system, up to the end if the person leaves."""
        out = bytearray()
        for byte in data:
            if self.escape:
                self.escape = False
                if byte in b"xX":
                    self.left = True
                    break
                if byte == LEAVE_KEY:
                    out.append(byte)
            elif byte == LEAVE_KEY:
                self.escape = True
            else:
                out.append(byte)
        return bytes(out)


def size_answer():
    """What the screen would answer to the question for its size; the system takes it whenever it comes. Empty: there is no screen."""
    try:
        columns, rows = os.get_terminal_size(0)
    except OSError:
        return b""
    return b"\x1b[%d;%dR" % (rows, columns)


@contextlib.contextmanager
def raw():
    """Each key as it is typed; as before at the end."""
    saved = termios.tcgetattr(0) if os.isatty(0) else None
    if saved is not None:
        tty.setraw(0)
    try:
        yield
    finally:
        if saved is not None:
            with contextlib.suppress(termios.error):  # the terminal has been closed
                termios.tcsetattr(0, termios.TCSANOW, saved)
        sys.stdout.flush()
