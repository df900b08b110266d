# SPDX-License-Identifier: MIT
"""What things cost, who uses what, what happened: time, top, trace."""

import os
import re
import subprocess
import tempfile

from case import case


@case("diagnosis.time", "time tells entries, cycles and the bill of a call, and the bill is part of the cycles", weight=4)
def time(t):
    guest = t.boot(cpus=1, deadline_s=120, quiet_s=40)
    guest.prompt(seconds=60)
    for command in ("time @timer.now()", "time @counter.increment(by=1)", "time call @counter.read"):
        printed = guest.command(command)
        found = re.search(r"(\d+) entr(?:y|ies), (\d+) cycles, bill (\d+)", printed)
        t.require(found, f"`{command}` tells what it took", printed)
        entries, cycles, bill = (int(n) for n in found.groups())
        t.check(entries >= 1 and 0 < bill < cycles, f"`{command}`: entered, and billed less than it took", printed)
    for command, wanted in (
            ("time", "expected"),
            ("time ps", "expected"),
            ("time @timer", "a call"),
            ("time @timer.nwo()", "now")):
        printed = guest.command(command)
        t.check(wanted in printed, f"`{command}` says {wanted}", printed)
    t.shutdown(guest)


@case("diagnosis.top", "top lists the shell's own processes and no other, with shares, memory, slots and calls", weight=6)
def top(t):
    guest = t.boot(cpus=2, deadline_s=120, quiet_s=40)
    guest.prompt(seconds=60)
    alone = guest.command("top once")
    t.check(re.search(r"PROCESS\s+NAME\s+STATE\s+CPU\s+MEMORY\s+SLOTS\s+CALLS\s+REFUSED", alone) is not None,
            "top once has a heading", alone)
    t.check(re.search(r"\d+\s+shell\S*\s+running\s+\d+\.\d %\s+\d+ KiB\s+\d+\s+\d+\s+\d+", alone) is not None,
            "top once shows the shell itself", alone)
    for foreign in ("init", "manual", "terminal", "counter"):
        t.check(re.search(rf"\d+\s+{foreign}", alone) is None, f"top shows nothing of {foreign}", alone)
    guest.command("job = spawn sleeper with { timer: @timer }")
    printed = guest.command("top once")
    t.check(re.search(r"\d+\s+\S*sleeper\S*\s+running", printed) is not None, "top shows a program started here", printed)
    guest.command("drop @job")
    t.check("sleeper" not in guest.command("top once"), "a process whose handle was dropped is not shown")
    guest.send("top\r")
    guest.expect("REFUSED")
    guest.send("\x03")
    guest.prompt()
    t.check("expected 'top'" in guest.command("top twice"), "top takes once and nothing else")
    t.shutdown(guest)


def decode(t, text):
    """tools/trace-decode over this text: its status, and what it printed."""
    with tempfile.TemporaryDirectory(prefix="capos-trace-") as folder:
        path = os.path.join(folder, "console.log")
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        done = subprocess.run(["tools/trace-decode", path], capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


@case("diagnosis.decode", "trace-decode names methods and statuses, and refuses what is empty or damaged")
def decode_alone(t):
    def line(kind, op, method, position, cap, interface, value):
        words = (1_000_000, 7, 8, kind | op << 8 | method << 16, position, cap, interface, value)
        return "noise\ntrace:" + "".join(f" {word & (1 << 64) - 1:016x}" for word in words) + "\r\n"

    timer = 0xc67cdb5a9a146df1
    for text, status, wanted in (
            (line(1, 1, 1, 3, 5, timer, 16), 0, "     0.000000  7/8     #3 CALL Timer.sleep, 16 bytes\n"),
            (line(1, 1, 9, 3, 5, 0x1234, 0), 0, "     0.000000  7/8     #3 CALL 0x1234.9\n"),
            (line(2, 0, 0, 3, 77, 0, -3), 0, "     0.000000  7/8     #3 NO_METHOD, bill 77\n"),
            (line(7, 0, 0, 0, 16, 32, 0), 0, "     0.000000  7/8     faulted at 0x20, address 0x10\n"),
            (line(9, 1, 0, 0, 0, 0, -1), 0, "     0.000000  7/8     ended with its process, code -1\n"),
            (line(10, 16, 24, 3, 1, 0x0a0b, 0), 0, "     0.000000  7/8     #3 says, from byte 24: 0100000000000000 0b0a000000000000\n"),
            ("nothing here\n", 1, ""),
            (line(5, 0, 0, 0, 0, 0, 0)[:-20] + "\n", 1, "a damaged record")):
        got, printed = decode(t, text)
        t.check(got == status and (printed == wanted or wanted in printed and status == 1), f"{wanted!r}, status {status}",
                f"status {got}: {printed!r}")


@case("diagnosis.trace", "trace shows by name what a call and a program did, raw decodes to the same, and foreigners stay out", weight=6)
def trace(t):
    guest = t.boot(cpus=2, deadline_s=120, quiet_s=40)
    guest.prompt(seconds=60)
    printed = guest.command("trace @counter.increment(by=3)")
    for wanted in (r"#(\d+) CALL Counter.increment of @counter, \d+ bytes", r"#\d+ was received", r"#\d+ done, \d+, bill \d+",
                   r"runs on CPU \d", r"value = 3"):
        t.check(re.search(wanted, printed) is not None, f"a traced call shows /{wanted}/", printed)
    owners = set(re.findall(r"^\s*\d+\.\d{6}\s+(\d+)/", printed, re.MULTILINE))
    t.check(len(owners) == 1, "the shell's own trace shows one process", printed)
    refused = guest.command('trace @counter.child(name="")')
    t.check(re.search(r"CALL Counter.child", refused) is not None, "a refused call is traced, too", refused)
    guest.command("job = spawn counter-client with { counter: @counter, timer: @timer }")
    guest.command("job2 = spawn sleeper with { timer: @timer }")
    printed = guest.command("trace @job2 for 3s")
    t.check(re.search(r"#\d+ CALL Timer.sleep", printed) is not None, "a process is traced for a time", printed)
    raw = guest.command("trace raw @job2 for 3s")
    t.check(re.search(r"CALL Timer.sleep, \d+ bytes\n(.|\n)*waits\n(.|\n)*runs on CPU \d\n", decode(t, raw)[1]) is not None,
            "what raw prints is decoded on the host", raw)
    t.check(re.search(r"bytes:", printed) is None, "what a program says is not shown", printed)
    guest.command("job3 = spawn sleeper recordable with { timer: @timer }")
    printed = guest.command("trace @job3 for 3s")
    t.check(re.search(r"CALL Timer.sleep, 16 bytes: untilNs: \d+ ns", printed) is not None, "unless it was started as recordable",
            printed)
    raw = guest.command("trace raw @job3 for 3s")
    t.check(re.search(r"CALL Timer.sleep, 16 bytes\n.* says, from byte 0: 00000000010000\d\d ", decode(t, raw)[1]) is not None,
            "which raw and its decoder show as bytes", decode(t, raw)[1])
    t.check("error" in guest.command("trace @counter for 1s"), "only processes are traced")
    t.check("expected" in guest.command("trace"), "trace says what it expects")
    t.shutdown(guest)
