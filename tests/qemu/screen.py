# SPDX-License-Identifier: MIT
"""A person's terminal with a program in it, for cases that need more than one."""

import fcntl
import os
import pty
import re
import select
import signal
import struct
import termios
import time

CONTROLS = re.compile(rb"\x1b(?:\[[0-9;?]*[A-Za-z]|[78])")


class Screen:
    """A person's terminal with a program in it."""

    def __init__(self, *command):
        self.text = b""
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.execvp(command[0], command)

    def pump(self, seconds):
        if select.select([self.fd], [], [], seconds)[0]:
            try:
                self.text += os.read(self.fd, 65536)
            except OSError:
                return False
        return True

    def shows(self, wanted, seconds=40.0):
        end = time.monotonic() + seconds
        while wanted not in self.words() and time.monotonic() < end:
            if not self.pump(0.2):
                break
        return wanted in self.words()

    def shows_prompt(self):
        """The last thing on it is a prompt."""
        end = time.monotonic() + 40
        while not self.words().endswith("capos> ") and time.monotonic() < end:
            self.pump(0.2)
        return self.words().endswith("capos> ")

    def words(self):
        return CONTROLS.sub(b"", self.text).decode(errors="replace")

    def type(self, text):
        self.text = b""
        os.write(self.fd, text.encode())

    def resize(self, columns, rows):
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def status(self, seconds=20.0):
        """The program's exit status; None: it goes on."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.pump(0.05)
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid != 0:
                self.pid = 0
                return os.waitstatus_to_exitcode(status)
        return None

    def close(self):
        """Whatever it shows; harmless for one that is closed."""
        if self.fd is None:
            return
        if self.pid != 0:
            os.kill(self.pid, signal.SIGTERM)
            os.waitpid(self.pid, 0)
        os.close(self.fd)
        self.fd = None


class Screens:
    """Several terminals of one case; leaving it closes those that are open."""

    def __init__(self, t):
        self.t = t
        self.open_ones = []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for each in self.open_ones:
            each.close()

    def open(self, *command, prompt=True):
        screen = Screen(*command)
        self.open_ones.append(screen)
        if prompt:
            self.t.require(screen.shows("capos> "), "there is a prompt", screen.words())
        return screen

    def does(self, who, typed, wanted, sentence):
        who.type(typed + "\r")
        self.t.check(who.shows(wanted), sentence, who.words())
