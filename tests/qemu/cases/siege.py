# SPDX-License-Identifier: MIT
"""Hostile programs against what the services serve: the default system with a besieger in it (tests/hostile/siege), then
programs that the shell starts to attack their stdio. Each case that the besieger prints is a result of its own."""

import re

from case import build_file, case


def siege_case(name, sentence, cpus, kernel, weight):
    @case(name, sentence, weight=weight)
    def run(t):
        guest = t.boot(archive="test", cmdline="manifest=manifest/hostile entropy=fixed", cpus=cpus,
                       kernel=build_file(kernel), deadline_s=400, quiet_s=90)
        # The shell is the besieger's neighbour: its person goes on typing. Lines may be lost: a reader that comes later
        # takes the terminal's next line.
        while "siege: the siege is over" not in guest.log():
            t.require(guest.age_s() < 390, "the siege ends")
            guest.send("@timer.now()\r")
            guest.pump_for(0.1)
        t.count_results(guest, writer="siege")
        for wanted in ("slow-a: ended: terminated", "warning: slow-b: did not end in time: terminated", "slow-c: ended: exit code 0"):
            t.check(f"init: {wanted}" in guest.log(), f"the log says `{wanted}`: who listens has its grace, and no more")
        guest.send("\x03")
        guest.pump_for(0.5)
        guest.command("")
        printed = guest.command("@timer.now()")
        t.check("nowNs" in printed, "the shell's person can go on", printed)
        t.shutdown(guest)


siege_case("siege.1", "no client of a service breaks it, harms another or leaves anything with it; one CPU", 1, "kernel.elf",
           40)
siege_case("siege.4", "the same with four CPUs", 4, "kernel.elf", 40)
siege_case("siege.debug", "the checking kernel finds no broken invariant under a siege; two CPUs", 2, "debug/kernel.elf", 60)


GRANTS = "log: @log, timer: @timer"


@case("siege.stdio", "no program breaks the shell that started it by its stdio, or leaves anything with it", weight=20)
def stdio(t):
    guest = t.boot(archive="test", cmdline="manifest=manifest/stdio", cpus=2, deadline_s=300, quiet_s=60)
    guest.prompt(seconds=60)
    guest.command("run hello")
    before = t.settled(guest, lambda: t.usage(guest))

    def unharmed(what):
        t.comes_to(guest, lambda: t.usage(guest), before, f"after {what} the shell uses what it used before")

    for mode in ("malformed", "noise", "outside", "sizes", "presents", "results", "cancel", "flood", "die", "limits",
                 "two-reads"):
        for verb in ("run siege", "job = spawn siege"):
            if mode == "two-reads" and verb.startswith("job"):
                continue  # behind the prompt a read meets the end at once
            printed = guest.command(f"{verb} with {{ stdio-{mode}: @log, {GRANTS} }}", seconds=60)
            if verb.startswith("job"):
                printed = guest.command("wait @job", seconds=60)
            t.check(re.search(r"exit code [^0]|faulted|error", printed) is None, f"{mode} ends well", printed[-600:])
        unharmed(mode)

    # It writes for ever, in front and behind: Ctrl-C and kill reach it.
    guest.send(f"run siege with {{ stdio-write: @log, {GRANTS} }}\r")
    guest.expect(r"owned", seconds=30)
    guest.send("\x03")
    guest.expect(r"siege was ended from outside", seconds=30)
    guest.prompt()
    unharmed("Ctrl-C in a flood of text")
    guest.send(f"job = spawn siege with {{ stdio-write: @log, {GRANTS} }}\r")
    guest.expect(r"\[@job\].*owned", seconds=30)
    guest.send("kill @job\r")
    guest.expect(r"@job \(siege\) was ended from outside", seconds=30)
    guest.send("\r")
    guest.prompt()
    unharmed("kill of a flood of text")
    shown = bytes(guest.console)
    for raw in (b"\x1b]", b"\x9b", b"\xe2\x80\xae", b"\x08\x7f"):
        t.check(raw not in shown, f"the screen never gets {raw!r}")

    # A program that is ended while it floods, and one that gives its stream to another, which lives on.
    guest.command(f"job = spawn siege with {{ stdio-kill: @log, {GRANTS} }}")
    printed = guest.command("kill @job")
    t.check("ended from outside" in printed, "a flooding program is ended", printed)
    unharmed("the end of a flooding program")
    printed = guest.command(f"run siege with {{ stdio-leave: @log, {GRANTS}, launcher: @launcher }}")
    t.check("exit code" not in printed, "the stream is given on", printed)
    guest.expect_debug(r"heir: the heir has nothing", seconds=30)
    t.check("broken at" not in guest.log(), "no check is broken", "\n".join(guest.log().splitlines()[-20:]))
    unharmed("the end of the heir")
    t.shutdown(guest)


@case("siege.liar", "no answer of a service, however wrong, harms the shell or steers the screen", weight=10)
def liar(t):
    guest = t.boot(archive="test", cmdline="manifest=manifest/stdio", cpus=2, deadline_s=200, quiet_s=60)
    guest.prompt(seconds=60)
    for _ in range(12):
        guest.command("@bad.services()")
    before = t.settled(guest, lambda: t.usage(guest))
    for number in range(120):
        printed = guest.command(("@bad.services()", "@bad.usage()", '@bad.restart(service="x")')[number % 3])
        t.check(printed.strip() != "", "every answer is told of", printed)
        t.check("owned" not in printed or r"\u{9b}\u{202e}" in printed.split("owned")[1].splitlines()[0],
                "controls are shown, escaped", printed)
        t.check(not re.search(r"^(?!error).*\\x7f", printed, re.MULTILINE), "no text begins a line of its own", printed)
    t.comes_to(guest, lambda: t.usage(guest), before, "the shell keeps nothing of it")
    guest.send("@bad.shutdown()\r")
    guest.expect(r"shutdown\(\)", seconds=10)
    guest.pump_for(0.3)
    guest.send("\x03")
    guest.expect("interrupted; whether SystemControl.shutdown was done is not known", seconds=20)
    guest.prompt()
    printed = guest.command("@bad.reboot()")
    t.check("DISCONNECTED" in printed, "a service that ends in the midst of a call is told", printed)
    printed = guest.command("@bad.services()")
    t.check("DISCONNECTED" not in printed, "its successor answers", printed)
    t.comes_to(guest, lambda: t.usage(guest), before, "and nothing is left of the one before")
    shown = bytes(guest.console)
    for raw in (b"\x1b]", b"\xc2\x9b", b"\xe2\x80\xae", b"\x08", b"\x07"):
        t.check(raw not in shown, f"the screen never gets {raw!r}")
    t.check("shell: started" in guest.log() and guest.log().count("shell: started") == 1, "the shell is the one that was started")
    t.shutdown(guest)
