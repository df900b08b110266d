# SPDX-License-Identifier: MIT
"""A service is replaced while it is called (apps/steady), and upgrades that go wrong at every step (tests/hostile/turncoat)."""

import re

from case import case


def usage_of_system(t, guest):
    rows = t.usage(guest, '@control.usage(service="")')
    return {name: rows[name] for name in ("slots", "processes", "threads", "servedObjects", "grants")}


def steady_case(cpus):
    @case(f"upgrade.calls.{cpus}", f"no call fails while its service is replaced again and again; {cpus} CPU(s)", weight=5)
    def run(t):
        guest = t.boot(cpus=cpus, deadline_s=120, quiet_s=60)
        guest.prompt(seconds=60)
        guest.command("@counter.increment(by=41)")
        guest.command('kept = @counter.child("kept")')
        guest.command("@kept.increment(by=7)")
        used = None
        for round_number in range(4):
            printed = guest.command("run steady with { counter: @counter, control: @control }", seconds=60)
            t.check(re.search(r"\d+ calls through 3 upgrades, and not one failed", printed), "every call was answered, in order",
                    printed)
            if round_number == 1:  # caches are full
                used = t.settled(guest, lambda: usage_of_system(t, guest))
        t.check("value = 42" in guest.command("@counter.increment(by=1)"), "the counter goes on where it was")
        t.check("value = 8" in guest.command("@kept.increment(by=1)"), "and so does an object of the first instance")
        t.comes_to(guest, lambda: usage_of_system(t, guest), used, "nothing is left of any instance")
        t.shutdown(guest)


for _cpus in (1, 2, 4):
    steady_case(_cpus)


@case("upgrade.fails", "an upgrade that fails at any step leaves a service that works, and an operator who was told", weight=35)
def fails(t):
    guest = t.boot(archive="test", cpus=2, deadline_s=240, quiet_s=90)
    guest.prompt(seconds=60)

    def upgrade(wanted, program=""):
        line = f'@control.upgrade(service="counter"{program and f", program={chr(34)}{program}{chr(34)}"})'
        printed = guest.command(line, seconds=60)
        t.check(f"outcome = {wanted}" in printed, f"`{line}` tells {wanted}", printed)

    def works(value):
        printed = guest.command("@counter.read()")
        t.check(f"value = {value}" in printed, f"the counter answers {value}", printed)

    guest.command("@counter.increment(by=3)")
    for program in ("nothing", "hello", "sleeper", "counter-client"):  # not there; end before they take over
        upgrade("failed", program)
        works(3)
    upgrade("done", "turncoat")  # another program, which does not understand the state
    works(0)
    upgrade("done")
    steps = ((1, "dies while it saves", 0), (3, "its successor dies", 0), (5, "it lies", 5), (4, "its successor hangs", 0))
    for mode, what, after in steps:
        now = int(re.search(r"value = (-?\d+)", guest.command("@counter.read()"))[1])
        guest.command(f"@counter.increment(by={mode - now})")
        upgrade("done" if mode == 5 else "failed")
        printed = guest.command("@counter.read()")
        t.check(f"value = {after}" in printed or "DISCONNECTED" in printed, f"{what}: {after}, or a last call lost", printed)
        works(after)
    guest.command("@counter.increment(by=2)")
    upgrade("failed")  # hangs while it saves
    printed = guest.command('@control.restart(service="counter")', seconds=30)
    t.check("outcome = done" in printed, "an operator gets it going again", printed)
    works(0)
    t.check("the lie: EXCEPTION" in guest.log(), "a state larger than its room is refused", guest.log()[-1500:])
    upgrade("failed", "counter")  # it does not understand the state, and begins anew
    t.check("counter = @" in guest.command('@counter.child("a")'), "and back to the first program")
    t.shutdown(guest)


@case("upgrade.refused", "what cannot be upgraded is told apart, and a shutdown under an upgrade is one", weight=5)
def refused(t):
    guest = t.boot(cpus=2, deadline_s=120, quiet_s=60)
    guest.prompt(seconds=60)
    for service, wanted in (("nobody", "unknownService"), ("manual", "notSupported"), ("terminal", "notSupported")):
        printed = guest.command(f'@control.upgrade(service="{service}")')
        t.check(f"outcome = {wanted}" in printed, f"{service}: {wanted}", printed)
    guest.send("run steady with { counter: @counter, control: @control }\r")
    guest.pump_for(0.05)
    guest.send("\x03")
    t.shutdown(guest)
