# SPDX-License-Identifier: MIT
"""What a person sees when the kernel dies. A machine check is something that no kernel survives."""

import re

from case import build_file, case


def panic_case(cpus):
    @case(f"panic.{cpus}", f"a machine check with {cpus} CPU(s) is reported on the terminal, by name, and ends the machine",
          weight=3)
    def run(t):
        guest = t.boot(cpus=cpus, deadline_s=60, quiet_s=20)
        guest.prompt(seconds=40)
        guest.monitor("human-monitor-command", **{"command-line": "mce 0 0 0xbe00000000000000 0x7 0 0"})
        how = guest.wait_end(seconds=20)
        t.check(how == "panic", "the machine ends with the panic code", f"it ended: {how}")
        for place, text in (("terminal", guest.console.decode(errors="replace")), ("kernel log", guest.log())):
            t.check("machine check" in text, f"the {place} says what happened")
            t.check(re.search(r"rip\s+[0-9a-f]{16}|machine check in a program: ip 0x", text) is not None,
                    f"the {place} has the registers")
            t.check(re.search(r"[0-9a-f]{16} [a-z_]\w+\+0x[0-9a-f]+", text) is not None,
                    f"the {place} has a backtrace with names")
            t.check(re.search(r"last operations of this CPU:\s+((interrupt|fault|job|destroy) +\w+ \w+\s+)+call chain", text) is not None,
                    f"the {place} has the last operations", text[-2500:])
            t.check(re.search(r"running: (?:no program|thread \d+ of process \w+)", text) is not None,
                    f"the {place} says what ran")

    return run


for _cpus in (1, 4):
    panic_case(_cpus)


def slide(t, words):
    """How far the kernel lay from where it was linked: only a panic tells."""
    guest = t.boot(cmdline=words, deadline_s=60, quiet_s=20)
    guest.prompt(seconds=40)
    guest.monitor("human-monitor-command", **{"command-line": "mce 0 0 0xbe00000000000000 0x7 0 0"})
    guest.wait_end(seconds=20)
    found = re.search(r"image moved by (0x[0-9a-f]+|0)\)", guest.log())
    t.require(found is not None, "the report says how far the image was moved", guest.log()[-2500:])
    return int(found[1], 16)


@case("panic.kaslr", "the kernel lies somewhere else at each boot, and at one place with entropy=fixed or kaslr=off", weight=8)
def kaslr(t):
    drawn = {slide(t, "") for _ in range(4)}
    t.check(len(drawn) > 1 and 0 not in drawn, "four boots draw", repr(drawn))
    t.check(all(s % (2 << 20) == 0 and s < 2 << 30 for s in drawn), "by 2 MiB, below the end of all addresses", repr(drawn))
    fixed = {slide(t, "entropy=fixed") for _ in range(2)}
    t.check(len(fixed) == 1 and 0 not in fixed, "entropy=fixed repeats it", repr(fixed))
    t.check(slide(t, "kaslr=off") == 0, "kaslr=off leaves it where it was linked")


@case("panic.stack", "a kernel stack that is used up ends in its guard page, and the report says so, with names", weight=3)
def stack(t):
    guest = t.boot(cmdline="test=stack", kernel=build_file("debug/kernel.elf"), deadline_s=60, quiet_s=20)
    how = guest.wait_end(seconds=40)
    t.check(how == "panic", "the machine ends with the panic code", f"it ended: {how}")
    for place, text in (("terminal", guest.console.decode(errors="replace")), ("kernel log", guest.log())):
        t.check("panic on CPU 0: the kernel stack ran into its guard page: double fault" in text, f"the {place} says what happened", text[-2500:])
        t.check(re.search(r"( [0-9a-f]{16} fall_off_the_stack\S*\+0x\w+\s+){2}\.\.\. and \d{2,} times more\s+[0-9a-f]{16} kernel_main\+0x", text)
                is not None, f"the {place} shows who used it up, and from where", text[-2500:])
        t.check("the system is halted" in text, f"the {place} has the report to its end", text[-2500:])
