# SPDX-License-Identifier: MIT
"""A scripted person at the prompt, and what is left behind when they have gone."""

import re

from case import case
from guest import Failure, plain


@case("shell.session", "a person lists, asks, calls, runs, kills, sees a service come back, and shuts down", weight=10)
def session(t):
    guest = t.boot(cpus=2, deadline_s=120, quiet_s=40)
    guest.prompt(seconds=60)

    held = guest.command("caps")
    for name in ("timer", "counter", "control", "launcher", "ledger", "manual"):
        t.check(re.search(rf"^\s*@?{name}\b", held, re.MULTILINE) is not None, f"caps lists {name}", held)
    t.check("SystemControl" in held, "caps says the interface", held)

    for command, wanted in (
            ("help @timer", ["now", "sleep"]),
            ("help @timer.sleep", ["untilNs"]),
            ("@timer.now()", ["nowNs"]),
            ("@counter.increment(by=5)", ["5"]),
            ("call @counter.increment by=2", ["7"]),
            ("@counter.read()", ["7"])):
        printed = guest.command(command)
        for text in wanted:
            t.check(text in printed, f"`{command}` prints {text}", printed)

    t.check("hello" in guest.command("run hello").lower(), "run hello prints its output")
    printed = guest.command("run hello with { timer: @timer }")
    t.check("timer" in printed and "ms" in printed, "hello with a timer uses it", printed)

    guest.command("job = spawn sleeper with { timer: @timer }")
    t.check("sleeper" in guest.command("ps"), "ps lists the sleeper")
    printed = guest.command("kill @job")
    t.check("ended from outside" in printed, "kill tells how the program ended", printed)
    t.check("running" not in guest.command("ps"), "ps has no running program after kill")

    guest.command("job = spawn sleeper with { timer: @timer }")
    for command, wanted in (
            ("usage", [r"ledger 'shell', carved from 'init'", r"CLASS\s+USED\s+LIMIT", r"frames\s+\d+\s+512\s+\d+ %  \d+ of 2048 KiB"]),
            ("usage @job", [r"ledger of process '[^']*sleeper", r"threads\s+1\s+4\s+25 %"]),
            ('small = @ledger.carve(limits=[{ledgerClass: slots, amount: 4}], name="small")', [r"@small"]),
            ("usage @small", [r"ledger 'small', carved from 'shell'", r"slots\s+0\s+4\s+0 %"]),
            ("@small.newNotification()", [r"(?i)quota", r"kernelPages"]),
            ("drop @small", []),
            ("kill @job", [])):
        printed = guest.command(command)
        for text in wanted:
            t.check(re.search(text, printed) is not None, f"`{command}` prints /{text}/", printed)

    printed = guest.command('@control.restart(service="counter")')
    t.check("done" in printed, "counter is restarted", printed)
    printed = guest.command("@counter.read()")
    t.check("0" in printed and "error" not in printed.lower(), "the capability held before still works", printed)
    t.check(re.search(r"counter", guest.command("@control.services()")) is not None, "services lists it")
    t.shutdown(guest)


@case("shell.mistakes", "a wrong name, type, method, grant or interface is refused with what was expected", weight=6)
def mistakes(t):
    guest = t.boot(cpus=1, deadline_s=120, quiet_s=40)
    guest.prompt(seconds=60)
    for command, wanted in (
            ("@timr.now()", r"timer"),
            ("@timer.nwo()", r"now"),
            ('@counter.increment(by="x")', r"Int64|number"),
            ("@counter.increment(bye=1)", r"by"),
            ("@counter.increment(by=99999999999999999999)", r"64|range|large"),
            ("run helo", r"hello"),
            ("run hello with { timer: @nothing }", r"nothing"),
            ("run hello with { timer: @counter as Timer }", r"Timer|Counter"),
            ("nonsense", r"help|command"),
            ("usage @timer", r"Timer; a Ledger or a ProcessHandle"),
            ("usage @nothing", r"nothing"),
            ("usage timer", r"expected"),
            ("@counter.increment(", r"\)|expected|field")):
        printed = guest.command(command)
        t.check(re.search(wanted, printed) is not None, f"`{command}` says /{wanted}/", printed)
    t.check("0" in guest.command("@counter.read()"), "no refused call was made")
    t.shutdown(guest)


@case("shell.keys", "Ctrl-C ends the foreground program and the shell survives; Ctrl-D leaves", weight=6)
def keys(t):
    guest = t.boot(cpus=2, deadline_s=120, quiet_s=40)
    guest.prompt(seconds=60)
    guest.send("run sleeper with { timer: @timer }\r")
    guest.expect("end me with Ctrl-C", seconds=15)
    guest.send("\x03")
    guest.prompt(seconds=15)
    t.check("nowNs" in guest.command("@timer.now()"), "the shell works after Ctrl-C")
    guest.send("run sleeper with { timer: @timer }\r\x03")
    guest.expect("ended", seconds=15)
    guest.prompt(seconds=15)
    guest.send("abc\x03")
    guest.prompt(seconds=15)
    guest.send("@counter.read(\x1b[D\x1b[C)\r")
    # The line is drawn anew at each arrow, prompt included, so what is waited for is the answer.
    guest.expect(r"value = 0", seconds=15)
    guest.prompt(seconds=15)
    guest.send("\x04")
    how = guest.wait_end(seconds=30)
    t.require(how == "off", "Ctrl-D at an empty prompt leaves and the system switches off", f"it ended: {how}")


@case("shell.debug", "a program is started stopped, steps, goes on, is stopped by Ctrl-C, ends with or without its debugger", weight=6)
def debug(t):
    guest = t.boot(cpus=2, deadline_s=120, quiet_s=40)
    guest.prompt(seconds=60)
    printed = guest.command("job = debug sleeper with { timer: @timer }")
    t.check("stopped at its start" in printed, "debug says that the program stands", printed)
    at = []
    for _ in range(2):
        printed = guest.command("step @job")
        at += re.findall(r"stopped: instruction 0x([0-9a-f]+)", printed)
    t.check(len(at) == 2 and 0 < int(at[1], 16) - int(at[0], 16) < 16, "a step is one instruction", str(at))
    for _ in range(2):
        guest.send("go @job\r")
        guest.expect("still here after", seconds=15)
        guest.send("\x03")
        guest.expect("@job is stopped", seconds=15)
        guest.prompt(seconds=15)
    printed = guest.command("debug @job")
    t.check(re.search(r"ax  [0-9a-f]{16}.*way  image \+ 0x", printed, re.DOTALL) is not None, "registers and way are shown", printed)
    t.check("ProcessDebugger" in guest.command("caps debugger"), "the debugger is a capability with a name")
    guest.command("table = @job-debugger.capabilities()")
    printed = guest.command("@table.list()")
    t.check("capabilities = 2 of them" in printed, "the table of the program is listed", printed)
    printed = guest.command("@table.attenuate(capability=@timer, methods=1)")
    t.check("error" in printed, "and that is all that can be done with it", printed)
    t.check("running" in guest.command("ps"), "a stopped program is still there")
    printed = guest.command("kill @job")
    t.check("ended from outside" in printed, "a stopped program can be killed", printed)
    t.check("ProcessDebugger" not in guest.command("caps"), "the debugger's name goes with the program")

    guest.command("job = debug sleeper with { timer: @timer }")
    guest.command("drop @job-debugger")
    printed = guest.command("wait @job")
    t.check("ended from outside" in printed, "without its debugger a stopped program ends", printed)
    for command, wanted in (
            ("job = spawn sleeper with { timer: @timer }", r"@job is sleeper"),
            ("go @job", r"not started by 'debug'"),
            ("debug @timer", r"not started by 'debug'"),
            ("debug", r"expected"),
            ("dump @job", r"expected an address"),
            ("kill @job", r"ended")):
        printed = guest.command(command)
        t.check(re.search(wanted, printed) is not None, f"`{command}` says /{wanted}/", printed)
    t.shutdown(guest)


@case("shell.leaks", "a hundred programs run and killed leave frames, slots and objects as they were", weight=20)
def leaks(t):
    guest = t.boot(cpus=2, deadline_s=240, quiet_s=60)
    guest.prompt(seconds=60)

    def round_of(times):
        for _ in range(times):
            guest.command("run hello with { timer: @timer }")
            guest.command("job = spawn sleeper with { timer: @timer }")
            printed = guest.command("kill @job")
            t.require("ended from outside" in printed, "kill tells how the program ended", printed)

    round_of(5)  # caches fill
    before = t.settled(guest, lambda: t.usage(guest))
    for times in (25, 50):
        round_of(25)
        t.comes_to(guest, lambda: t.usage(guest), before, f"after {times} nothing grew")
    t.shutdown(guest)


@case("shell.restarts", "a service restarted twenty times keeps its clients and leaks nothing", weight=10)
def restarts(t):
    guest = t.boot(cpus=2, deadline_s=180, quiet_s=60)
    guest.prompt(seconds=60)

    def of_system():
        # The kernel's own pages are counted whole.
        exact = ("slots", "servedObjects", "grants", "calls", "processes", "threads", "frames")
        found = t.usage(guest, "@control.usage()")
        return {name: found[name] for name in exact}

    guest.command('@control.restart(service="counter")')
    before = t.settled(guest, lambda: t.usage(guest))
    whole = t.settled(guest, of_system)
    for number in range(20):
        printed = guest.command('@control.restart(service="counter")')
        t.require("done" in printed, f"restart {number + 1} is done", printed)
        printed = guest.command("@counter.increment()")
        t.require(re.search(r"\b1\b", printed) is not None, "the counter counts from 0 again", printed)
    t.comes_to(guest, lambda: t.usage(guest), before, "the shell's ledger is as it was")
    t.comes_to(guest, of_system, whole, "the system's ledger is as it was")
    t.check(t.usage(guest, '@control.usage(service="counter")')["slots"] < 20, "a service's ledger is told")
    t.check("found = false" in guest.command('@control.usage(service="nobody")'), "nobody's is not")
    t.shutdown(guest)


@case("shell.children", "a counter's child lives while somebody holds it; its place is free again afterwards", weight=10)
def children(t):
    guest = t.boot(cpus=2, deadline_s=120, quiet_s=40)
    guest.prompt(seconds=60)
    for number in range(40):  # there are 32 places
        printed = guest.command(f'c = @counter.child(name="n{number}")')
        t.require("counter = @c" in printed, f"child {number + 1} is there", printed)
        guest.command("drop @c")
    guest.command('a = @counter.child(name="same")')
    guest.command("@a.increment(by=5)")
    printed = guest.command('b = @counter.child(name="same")')
    t.check("value = 5" in printed, "the same name gives the same counter", printed)
    guest.command("drop @a")
    printed = guest.command("@b.increment()")
    t.check("value = 6" in printed, "it lives as long as one of its capabilities", printed)
    printed = guest.command("@counter.info()")
    t.check('children = ["same"]' in printed, "nobody's children are forgotten", printed)
    guest.command("drop @b")
    printed = guest.command("@counter.info()")
    t.check("children = [] (none)" in printed, "so is the last", printed)
    for number in range(32):
        guest.command(f'k{number} = @counter.child(name="n{number}")')
    printed = guest.command('@counter.child(name="one-more")')
    t.check("overloaded: all 32 places are taken" in printed, "33 at a time are too many", printed)
    guest.command("drop @k7")
    printed = guest.command('@counter.child(name="one-more")')
    t.check("value = 0" in printed, "a place given up can be taken", printed)
    t.shutdown(guest)


@case("shell.script", "Ctrl-C ends a loop and a watch, what is asked hidden is not shown, and scripts are bounded", weight=5)
def script(t):
    guest = t.boot(cpus=2, deadline_s=120, quiet_s=40)
    guest.prompt(seconds=60)

    guest.send("while true { }\r")
    guest.expect(r"while true \{ \}\r\n")
    guest.send("\x03")
    guest.prompt()
    t.check(guest.command("print 5").strip() == "5", "Ctrl-C ends a loop that does nothing")

    guest.send("watch 200ms @counter.increment(by=1)\r")
    guest.expect(r"value = 3")
    guest.send("\x03")
    guest.prompt()
    t.check(guest.command("print 6").strip() == "6", "Ctrl-C ends a watch")

    guest.send('repeat 2 {\r')
    guest.expect(r"  \.\.\.> ")
    guest.send("\x03")
    guest.prompt()
    t.check(guest.command("print 7").strip() == "7", "Ctrl-C drops what was begun")

    seen = len(guest.console)
    guest.send('ask hidden $word "word: "\r')
    guest.expect(r'word: (?!")')
    guest.send("secret\r")
    guest.prompt()
    t.check(b"secret" not in guest.console[seen:], "what is asked hidden is not shown")
    t.check(guest.command("print size($word)").strip() == "6", "and is the variable's value")

    for command, wanted in (
            ("script again() { do again() }; do again()", "scripts do scripts at most 8 deep"),
            ("if true { " * 14 + "}" * 14, "blocks nest at most 12 deep"),
            ('$text = "0123456789"; while true { $text = $text + $text }', "is too large|hold at most"),
            ("do @timer", "holds no text"),
            ("$x.a = 3", "expected the end of the line"),
            ("$timer.now()", r"no variable \$timer"),
            ("$n = 3; $n.now()", "only a capability can be called, and this is a number"),
            ("$last = @counter.read(); json $last.value", r"^\d+$")):
        printed = guest.command(command)
        t.check(re.search(wanted, printed) is not None, f"`{command}` prints /{wanted}/", printed)
    t.check("counter" in guest.command("caps counter"), "the shell is as before")
    t.shutdown(guest)


@case("shell.logs", "services shows who runs and how the last instance ended; logs picks records by service, time and level",
      weight=3)
def logs(t):
    guest = t.boot(cpus=2, deadline_s=120, quiet_s=40)
    guest.prompt(seconds=60)
    for command, wanted, unwanted in (
            ("services", r"SERVICE +STATE +SINCE(.|\n)*manual +ready +\d+\.\d s +0 +\d+(.|\n)*counter +ready", "failed"),
            ("services conter", r"error: no service 'conter'; the nearest is 'counter'", "ready"),
            ("logs counter", r"init: counter: started as process \d+\n.*init: counter: ready", "manual"),
            ("logs level warning", r"^no such records", "init"),
            ('@control.restart(service="counter")', r"outcome = done", "error"),
            ("services counter", r"service counter, program counter: ready(.|\n)*ended: terminated \(code -1\)(.|\n)*"
             r"init: counter: ended: terminated(.|\n)*init: counter: ready", "manual"),
            ("logs counter last 1", r"\d older ones; 'last' shows more\)\n.*init: counter: ready", "ended"),
            ("logs last 3 init since 10min", r"init: counter: ready", "manual"),
            ("logs nobody", r"^no such records", "init"),
            ("logs level loud", r"error: no level 'loud'; there are info, warning and error", "init"),
            ("logs since 5", r"error: since: expected a time, as 30s or 5min, found 5", "init"),
            ("logs a b", r"error: expected 'level', 'since' or 'last', found b", "init")):
        printed = guest.command(command)
        t.check(re.search(wanted, printed) is not None, f"`{command}` prints /{wanted}/", printed)
        t.check(unwanted not in printed, f"`{command}` does not print {unwanted}", printed)
    t.shutdown(guest)


def type_and_wait(guest, typed, wanted):
    """Type keys, and wait until what the screen was sent since, without its escapes, looks so."""
    seen, until = len(guest.console), 30
    guest.send(typed)
    while not re.search(wanted, plain(bytes(guest.console[seen:])).decode(errors="replace").replace("\r", "")):
        until -= 0.05
        if until < 0:
            raise Failure(f"{typed!r} gives /{wanted}/; the screen has: "
                          f"{plain(bytes(guest.console[seen:])).decode(errors='replace')!r}")
        guest.pump_for(0.05)
    guest.seen = len(guest.console)


@case("shell.complete", "Tab puts in what can stand there, from what is held, and shows the choices when there are several", weight=3)
def complete(t):
    guest = t.boot(cpus=2, deadline_s=120, quiet_s=40)
    guest.prompt(seconds=60)
    for typed, wanted in (
            ("@cou\t.inc\tb\t3)\r", r"@counter\.increment\(by=3\)[^\n]*\n(.|\n)*value = 3"),
            ('@counter.child("a").incr\tby=2)\r', r'@counter\.child\("a"\)\.increment\(by=2\)[^\n]*\n(.|\n)*value = 2'),
            ("@timer.slee\tunt\t1)\r", r"@timer\.sleep\(untilNs=1\)(.|\n)*nowNs"),
            ("hist\t\r", r"history"),
            ("ru\thel\t\r", r"run hello (.|\n)*ello"),
            ("help val\t\r", r"help values (.|\n)*Values"),
            ("$value = 1\r", r"1"),
            ("print $va\t + 1\r", r"print \$value \+ 1(.|\n)*2"),
            ("derive @counter as lent re\tad\r", r"@lent is what @counter is"),
            ("zzz\t\r", r"no command 'zzz'"),
            ('print "x\ty"\r', r"xy")):
        type_and_wait(guest, typed, wanted + r"(.|\n)*\ncapos> $")
    type_and_wait(guest, "@cou\t\x15", r"@counter")
    type_and_wait(guest, "@co\t", r"counter +control[^\n]*\n+capos> @co$")
    type_and_wait(guest, "unter.read()\r", r"value = 3\n+capos> $")
    type_and_wait(guest, "incr\x12\r", r"value = \d\n+capos> $")
    t.shutdown(guest)
