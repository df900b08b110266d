# SPDX-License-Identifier: MIT
"""What init does with services that end, fail or do not come, and how the system goes down. Each case boots a manifest
of its own."""

import os
import re
import struct
import subprocess

from case import case
from guest import Failure

TOP = """# SPDX-License-Identifier: MIT
@0xd1c6f7a2b3948576;
using M = import "/schema/manifest.capnp";
const manifest :M.Manifest = (schemaVersion = 1, services = [%s]);
"""
LOG = '(name = "log", interface = "LogWriter", source = (kernel = log))'
TIMER = '(name = "timer", interface = "Timer", source = (kernel = timer))'
SUPERVISOR = '(name = "supervisor", interface = "Supervisor", source = (supervisor = void))'
PROGRAMS = ("hello", "sleeper", "counter", "counter-client", "hostile/siege")


def falling_program():
    """The least program: one page of headers and an instruction that does not exist."""
    code, base = bytes([0x0F, 0x0B]), 0x400000
    size = 64 + 56 + len(code)
    header = b"\x7fELF" + bytes([2, 1, 1]) + bytes(9)
    header += struct.pack("<HHIQQQIHHHHHH", 2, 62, 1, base + 64 + 56, 64, 0, 0, 64, 56, 1, 0, 0, 0)
    return header + struct.pack("<IIQQQQQQ", 1, 5, 0, base, base, size, size, 4096) + code


def archive_of(t, *services):
    """An archive whose manifest has these services; its path."""
    os.makedirs("build/test-logs", exist_ok=True)
    base = os.path.join("build", "test-logs", t.entry.name)
    with open(base + ".capnp", "w", encoding="utf-8") as file:
        file.write(TOP % ", ".join(services))
    with open(base + ".program", "wb") as file:
        file.write(falling_program())
    with open(base + ".broken", "wb") as file:
        file.write(falling_program()[:100])
    entries = ["init=build/stripped/init", f"manifest={base}.bin", f"bin/falling={base}.program", f"bin/broken={base}.broken"]
    entries += [f"bin/{name.split('/')[-1]}=build/stripped/{name}" for name in PROGRAMS]
    for command in (["manifest", "-o", base + ".bin", "-I.", "--no-local", base + ".capnp"],
                    ["archive", "-o", base + ".archive", "--hash", base + ".archive.sha256"] + entries):
        done = subprocess.run(["build/tools/mkarchive"] + command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise Failure(f"mkarchive {command[0]}: {done.stdout}{done.stderr}")
    return base + ".archive"


def service(name, program, *grants, **fields):
    rest = "".join(f", {key} = {value}" for key, value in fields.items())
    return f'(name = "{name}", program = "{program}", grants = [{", ".join((LOG,) + grants)}]{rest})'


def run(t, ending, *services):
    """Boots until the machine ends; the kernel log."""
    guest = t.boot(archive=archive_of(t, *services), cpus=2, deadline_s=60, quiet_s=20)
    how = guest.wait_end(seconds=40)
    t.check(how == ending, f"the machine ends: {ending}", f"it ended: {how}")
    return guest.log()


def in_order(t, text, *patterns):
    at = 0
    for pattern in patterns:
        found = re.compile(pattern).search(text, at)
        if not t.check(found is not None, f"the log has, in this order, /{pattern}/", text[-2500:]):
            return
        at = found.end()


@case("supervise.always", "a service that exits is started again, so often as its manifest says, and then it has failed",
      weight=3)
def always(t):
    log = run(t, "off", service("brief", "hello", restart="always", maxRestarts=3, onExit="shutdown"))
    in_order(t, log, r"brief: ended: exit code 0", r"brief: starting it again \(1 of 3 in 30 s\)", r"brief: ended",
             r"brief: starting it again \(2 of 3 in 30 s\)", r"brief: ended",
             r"brief: starting it again \(3 of 3 in 30 s\)", r"brief: ended",
             r"brief: ended 4 times within 30 s: it is not started again", r"brief has ended for good",
             r"all services have ended; powering off")
    t.check(len(re.findall(r"brief: started as process", log)) == 4, "it was started four times", log[-2500:])


@case("supervise.failure", "onFailure starts again after a failure and not after a clean exit; never does not", weight=3)
def failure(t):
    log = run(t, "off", service("clean", "hello", restart="onFailure"), service("once", "counter-client"),
              service("fails", "counter-client", restart="onFailure", maxRestarts=1, onExit="shutdown"))
    in_order(t, log, r"fails: ended: exit code 104", r"fails: starting it again \(1 of 1", r"fails: ended: exit code 104",
             r"fails: ended 2 times", r"fails has ended for good")
    for name in ("clean", "once"):
        t.check(len(re.findall(rf"{name}: started as process", log)) == 1, f"{name} was started once", log[-2500:])


@case("supervise.fault", "a service that falls is a failure, and the log tells the fault", weight=3)
def fault(t):
    log = run(t, "off", service("falls", "falling", restart="onFailure", maxRestarts=1, onExit="shutdown"))
    in_order(t, log, r"process falls \(\d+\) ran an undefined instruction: .*instruction 0x[0-9a-f]+ .image . 0x78.,",
             r"falls: ax  [0-9a-f]{16} ", r"falls: ended: fault: it ran an undefined instruction: instruction 0x[0-9a-f]+ .image . 0x78.,",
             r"falls: starting it again \(1 of 1", r"falls: ended: fault", r"falls has ended for good")


@case("supervise.critical", "a critical service that is lost halts the system, which says so", weight=3)
def critical(t):
    log = run(t, "stopped, code 4", service("vital", "counter-client", restart="onFailure", maxRestarts=1, critical="true"))
    in_order(t, log, r"vital: ended 2 times", r"HALT: the critical service vital is lost \(exit code 104\)")


@case("supervise.late", "a service that is not ready in time is ended, and counts as failed", weight=3)
def late(t):
    log = run(t, "off", service("late", "sleeper", TIMER, SUPERVISOR, readiness="ready", readyWithinMs=200,
                                restart="onFailure", maxRestarts=1, onExit="shutdown"),
              service("after", "hello", needs='["late"]'))
    in_order(t, log, r"late: not ready within 200 ms: terminated", r"late: ended: terminated",
             r"late: starting it again \(1 of 1", r"late: not ready within 200 ms", r"late: ended 2 times",
             r"after: starts without late, which has failed")


@case("supervise.hopeless", "a service that can never be started is over at once, and what its end means for the system happens", weight=3)
def hopeless(t):
    log = run(t, "off", service("first", "sleeper", TIMER), service("broken", "broken", restart="always", onExit="shutdown"),
              service("late", "hello", needs='["broken"]'))
    in_order(t, log, r"first: started as process", r"broken has ended for good: the system goes down", r"first: ended: terminated",
             r"all services have ended; powering off")
    t.check("late: started" not in log, "nothing is started any more", log[-2500:])


@case("supervise.order", "the system goes down in the reverse of the order it came up; who never asked to be told is ended", weight=3)
def order(t):
    log = run(t, "off", service("first", "sleeper", TIMER), service("second", "sleeper", TIMER, needs='["first"]'),
              service("third", "sleeper", TIMER, needs='["second"]'),
              service("brief", "hello", needs='["third"]', onExit="shutdown"))
    in_order(t, log, r"brief has ended for good: the system goes down", r"third: ended: terminated",
             r"second: ended: terminated", r"first: ended: terminated", r"all services have ended; powering off")


@case("supervise.grace", "who awaits its stop has its grace, to the millisecond and no more; who ends within it is not terminated", weight=3)
def grace(t):
    # The siege's program has three services in it that take 400 ms to become ready and differ in what they do when told to stop.
    slow, stubborn, obedient = (TIMER.replace('"timer"', f'"{name}"') for name in ("slow", "stubborn", "obedient"))
    log = run(t, "off", service("deaf", "siege", TIMER, slow, SUPERVISOR, readiness="ready", stopWithinMs=400),
              service("stubborn", "siege", TIMER, slow, stubborn, SUPERVISOR, readiness="ready", stopWithinMs=300, needs='["deaf"]'),
              service("obedient", "siege", TIMER, slow, obedient, SUPERVISOR, readiness="ready", stopWithinMs=20000, needs='["stubborn"]'),
              service("brief", "hello", needs='["obedient"]', onExit="shutdown"))
    in_order(t, log, r"brief has ended for good: the system goes down", r"obedient: ended: exit code 0",
             r"stubborn: did not end in time: terminated", r"stubborn: ended: terminated", r"deaf: ended: terminated",
             r"all services have ended; powering off")
    t.check(len(re.findall("did not end in time", log)) == 1, "only who stayed was ended late", log[-2500:])
    asked, ended = (float(re.search(rf"^\[ *([0-9.]+)\] init: {what}", log, re.MULTILINE)[1])
                    for what in ("obedient: ended", "warning: stubborn: did not end"))
    t.check(ended - asked >= 0.299, "the grace is not cut short", f"asked at {asked}, terminated at {ended}")


@case("supervise.refused", "a graph with mistakes starts nothing; each is named with its entry and the way out", weight=3)
def refused(t):
    log = run(t, "stopped, code 3", service("good", "hello"), service("bad", "helo"),
              service("ring", "hello", needs='["ring"]'), service("odd", "hello", TIMER.replace('"Timer"', '"Tmer"')))
    for pattern in (r"services\.bad\.program: .*bin/helo", r"services\.odd\.grants\.timer: .*did you mean \"Timer\"",
                    r"ring.*circle"):
        t.check(re.search(pattern, log) is not None, f"the log says /{pattern}/", log[-2500:])
    t.check("started as process" not in log, "nothing was started", log[-2500:])


@case("supervise.reboot", "reboot ends every service, dependents first, and starts the machine anew", weight=3)
def reboot(t):
    guest = t.boot(cpus=2, deadline_s=60, quiet_s=20)
    guest.prompt(seconds=40)
    guest.send("@control.reboot()\r")
    how = guest.wait_end(seconds=20)
    t.check(how == "reset", "the machine starts anew", f"it ended: {how}")
    in_order(t, guest.log(), r"reboot asked for", r"shell: ended", r"terminal: ended", r"all services have ended; starting anew")


@case("supervise.watchdog", "a service whose event loop does not turn is ended and started anew; one that answers stays", weight=4)
def watchdog(t):
    endpoint = '(name = "serve", interface = "EndpointServe", source = (serve = void))'
    log = run(t, "off",
              service("lives", "counter", endpoint, SUPERVISOR, readiness="ready", watchdogMs=1500,
                      exports='[(name = "counter", interface = "Counter")]', maxMessageBytes=2112, maxCaps=0),
              service("hangs", "sleeper", TIMER, restart="onFailure", maxRestarts=1, watchdogMs=1500, onExit="shutdown"))
    in_order(t, log, r"error: hangs: no sign of life within 1500 ms: terminated",
             r"warning: hangs: ended: terminated: it gave no sign of life", r"hangs: starting it again \(1 of 1",
             r"error: hangs: no sign of life", r"error: hangs: ended 2 times within 30 s: it is not started again")
    t.check("lives: no sign" not in log and len(re.findall(r"lives: started as process", log)) == 1,
            "one that answers is left alone", log[-2500:])
