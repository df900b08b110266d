# SPDX-License-Identifier: MIT
"""A second terminal of a running system: make run in one terminal, make term in another."""

import os
import subprocess

from case import case
from screen import Screens


@case("terminals.two", "two terminals of one system: each its own shell, one world; one leaves and comes back", weight=12, slots=2)
def two(t):
    with Screens(t) as screens:
        done = subprocess.run(["tools/term", "--build", "build/nowhere"], capture_output=True, text=True, check=False)
        t.check(done.returncode == 2 and "start one with `make run`" in done.stderr, "without a system it says what to do", done.stderr)
        first = screens.open("tools/run", "--accel", "tcg", prompt=False)
        t.require(first.shows("capos> "), "the system is up", first.words())
        second = screens.open("tools/term", prompt=False)
        t.require(second.shows("capos> "), "the second terminal has a prompt", second.words())
        t.check("Serial line 2" in second.words(), "and says which line it is")

        second.type("@counter.increment(by=5)\r")
        t.check(second.shows("value = 5"), "it counts on the one counter", second.words())
        first.type("@counter.read()\r")
        t.check(first.shows("value = 5"), "and the first sees it", first.words())
        second.type("@control.shutdown()\r")
        t.check(second.shows("error"), "the second may not end the system", second.words())

        second.type("nap = spawn sleeper with { timer: @timer }\r")
        t.check(second.shows("@nap is sleeper"), "it starts a program of its own", second.words())
        first.type("@nap.info()\r")
        t.check(first.shows("error"), "which the first does not hold", first.words())

        second.resize(100, 40)
        second.type("\x0c")
        t.check(second.shows("capos> "), "a clear screen has the prompt again", second.words())

        third = screens.open("tools/term", prompt=False)
        t.check(third.status() == 2 and "taken by another terminal" in third.words(), "a taken line is told", third.words())

        second.type("@counter.incr")
        second.shows("@counter.incr")  # what is still on the wire when one leaves is lost
        second.type("\x01x")
        t.check(second.status() == 0, "Ctrl-A X leaves it")
        again = screens.open("tools/term", prompt=False)
        t.check(again.shows("capos> @counter.incr"), "who comes back finds the line as it was left", again.words())
        again.type("\x03")
        again.shows("capos> ")

        first.type('@control.restart(service="shell-2")\r')
        t.check(first.shows("done"), "the first has the second's shell started anew", first.words())
        t.check(again.shows("what you hold.") and again.shows_prompt(), "it comes back", again.words())
        # A key may still go to the reader that has ended (CAVEATS.md): a person presses it again.
        back = any(again.type("\x04") or again.shows("what you hold.", 3) for _ in range(5))
        t.check(back and again.shows_prompt(), "and so it does after Ctrl-D", again.words())

        first.type("@control.shutdown()\r")
        t.check(first.status() == 0, "the system switches itself off", first.words())
        t.check(again.status() == 0 and "The system has ended." in again.words(), "and the other terminal says so", again.words())
        t.check(not os.path.exists("build/run/line2.socket"), "nothing is left behind")


@case("terminals.flood", "a program that floods one terminal, and keys that flood it, do not disturb the other", weight=8, slots=2)
def flood(t):
    with Screens(t) as screens:
        first = screens.open("tools/run", "--accel", "tcg")
        second = screens.open("tools/term")
        second.type("help @ledger\r" * 40 + "\x03\x1b[A\x7f\x00\xff" * 200)
        first.type("@timer.now()\r")
        t.check(first.shows("nowNs ="), "the first answers meanwhile", first.words())
        second.close()  # in the middle of what it prints
        screens.does(first, "@counter.read()", "value = 0", "and goes on when the other is closed")
        second = screens.open("tools/term", prompt=False)
        t.check(second.shows("Serial line 2."), "the line is free again", second.words())
        second.shows("capos> ")
        second.type("\x03\r@counter.increment()\r")
        t.check(second.shows("value = 1"), "the closed one is of use again", second.words())
        first.type("@control.shutdown()\r")
        t.check(first.status() == 0, "the system switches itself off", first.words())
