# SPDX-License-Identifier: MIT
"""A longer scripted person: help, values, programs, keys, foreign text, services that come back."""

import re
import time

from case import case
from guest import plain


def say(guest, line, seconds=30.0):
    """Type a line; what it prints."""
    return guest.command(line, seconds)


def all_in(t, guest, command, wanted, seconds=30.0):
    """Type a line; every pattern must be in what it prints. Returns what it printed."""
    printed = say(guest, command, seconds)
    for pattern in wanted:
        t.check(re.search(pattern, printed, re.MULTILINE) is not None, f"`{command}` prints /{pattern}/", printed)
    return printed


def let_run(guest, seconds):
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        guest.pump(0.1)


def start(t, **options):
    guest = t.boot(cpus=2, deadline_s=120, quiet_s=40, **options)
    guest.prompt(seconds=60)
    return guest


@case("person.help", "help tells what is held, method by method, and where the text comes from", weight=5)
def person_help(t):
    guest = start(t)
    all_in(t, guest, "help", ["run PROGRAM", "Pages", "^  start "])
    all_in(t, guest, "help start", ["First steps", "@control.shutdown"])
    t.check(say(guest, "help caps").startswith("  caps [WORD]"), "help tells of a command by its name")
    all_in(t, guest, "help derive", ["^  derive @CAP as NAME", "a copy that can be taken back"])
    all_in(t, guest, "help call", ["also: call @CAP.METHOD"])
    t.check("spawn" not in say(guest, "help drop"), "and of no other")
    all_in(t, guest, "help nowhere", ["error: no page is named 'nowhere'"])
    all_in(t, guest, "help @counter", ["interface Counter", "package counter", r"increment\(by :Int64 = 1\)",
                                       "as CounterReader only: read, info"])
    all_in(t, guest, "@timer", ["interface Timer", "served by the kernel"])
    all_in(t, guest, "help @motd", ["held as MemoryReader", r"3 of 8 methods"])
    t.check("seal()" not in say(guest, "help @motd"), "a method outside the facet is not shown")
    all_in(t, guest, "help @launcher.launch", ["Grant holds", "one of these", "notFound: no entry", "limits:"])
    all_in(t, guest, "help @timer.slep", ["error: Timer has no method 'slep'"])
    say(guest, "n = @ledger.newNotification()")
    all_in(t, guest, "help @n", ["ring operation WAIT", "the command 'wait'"])
    all_in(t, guest, "@n.wait()", ["error: wait stands for the ring operation WAIT and cannot be called"])
    t.shutdown(guest)


@case("person.values", "numbers, units, texts, data, lists, structs and enumerants are typed and checked", weight=5)
def person_values(t):
    guest = start(t)
    all_in(t, guest, "@counter.increment(by=0x10)", ["value = 16"])
    all_in(t, guest, "@counter.increment(-6)", ["value = 10"])
    all_in(t, guest, "@counter.increment(by=9223372036854775807)", ["invalidArgument: the sum would not fit"])
    all_in(t, guest, "@counter.increment(by=9223372036854775808)", ["error: by: .* is outside -9223372036854775808"])
    all_in(t, guest, "@counter.increment(by=\"5\")", ["error: by: expected a number \\(Int64\\), found \"5\""])
    all_in(t, guest, "@counter.increment(by=5s)", ["error: by: a number without unit"])
    all_in(t, guest, "@counter.increment(1, 2)", ["error: this method takes only 1 parameter$"])
    all_in(t, guest, "@timer.sleep(untilNs=1ms)", ["nowNs = "])
    all_in(t, guest, "@entropy.fill(countBytes=8)", ["data = 0x[0-9a-f]{16}"])
    all_in(t, guest, "@entropy.fill(100000)", ["BAD_ARGUMENT", "'help @entropy.fill'"])
    all_in(t, guest, "@memory.commit(address=0x1000, sizeBytes=4KiB, protection=readWrit)",
           ["error: protection: expected one of none, read, readWrite, readExecute, found readWrit"])
    # A refusal for want of room names the class.
    all_in(t, guest, "@memory.reserve(address=0, sizeBytes=1GiB)", ["reserve: QUOTA: the limit of virtualPages is reached"])
    all_in(t, guest, "@memory.reserve(address=0x200000000000, sizeBytes=8MiB)", ["address = 0x200000000000"])
    all_in(t, guest, "@memory.commit(address=0x200000000000, sizeBytes=4MiB, protection=readWrite)",
           ["commit: QUOTA: the limit of frames is reached"])
    all_in(t, guest, "@ledger.newMemoryObject(sizeBytes=16MiB)", ["newMemoryObject: QUOTA: the limit of frames is reached"])
    all_in(t, guest, "@launcher.launch(program=\"hello\", name=\"h\", grants=[{name: \"t\", self: nothing}])",
           ["error: self: expected one of ledger"])
    all_in(t, guest, "@launcher.launch(program=\"hello\", grants=[{transfer: @timer, self: ledger}])",
           ["error: only one of transfer and self"])
    all_in(t, guest, "@control.restart(service=counter)", ["error: service: expected text in quotation marks"])
    printed = all_in(t, guest, "x = @counter.increment(by=5)",
                     ["error: Counter.increment answers without a capability, and a name is for one: leave out 'x ='"])
    t.check("value" not in printed, "a name for nothing is refused before the call", printed)
    all_in(t, guest, "@counter.read()", ["value = 10"])
    all_in(t, guest, "sub = @counter.child(name=\"sub\")", ["counter = @sub"])
    all_in(t, guest, "caps sub", [r"@sub\s+Counter\s+all\s+copy\s+@counter.child"])
    all_in(t, guest, "sub = @counter.child(name=\"sub\")", ["error: the name sub is taken"])
    say(guest, "drop @sub")
    all_in(t, guest, "@sub.read()", ["error: you hold nothing named @sub"])
    all_in(t, guest, "drop @terminal", ["error: @terminal stays"])
    t.shutdown(guest)


@case("person.programs", "programs hold exactly what they were given; both clients share one counter", weight=8)
def person_programs(t):
    guest = start(t)
    printed = all_in(t, guest, "run hello with { timer: @timer, c: @counter as CounterReader }",
                     ["I hold 3 capabilities", r"timer\s+Timer", r"c\s+Counter", r"stdio\s+ByteStream"])
    t.check("ledger" not in printed, "nothing is inherited", printed)
    all_in(t, guest, "run counter-client", ["missing grant: .*counter", "exit code 104"])
    all_in(t, guest, "run counter-client with { counter: @counter as CounterReader }",
           ["NO_METHOD", "exit code 1"])
    all_in(t, guest, "run hello with { a: @terminal }", ["error: grant a: the terminal stays with the shell"])
    all_in(t, guest, "run hello with { a: @ledger }", ["error: grant a: @ledger cannot leave"])
    all_in(t, guest, "run hello with { a: @motd as MemoryObject }", ["motd|Memory"])
    all_in(t, guest, "run hello with { a: @timer, a: @counter }", ["error: grant a is there twice"])
    say(guest, "c = @counter.child(name=\"c\")")
    all_in(t, guest, "run hello with { move c: @c }", [r"c\s+Counter"])
    all_in(t, guest, "@c.read()", ["error: you hold nothing named @c"])

    # A program says what ended its work: interface, method, status, and what one could do.
    say(guest, "derive @timer as clock")
    say(guest, "job = spawn sleeper with { timer: @clock }")
    printed = say(guest, "revoke @clock") + say(guest, "wait @job")
    # Its words come when they come, perhaps between the outputs of two lines; and they tell which call it was at.
    told = plain(bytes(guest.console)).decode(errors="replace")
    t.check(re.search(r"\[@job\] Timer\.(sleep|now): DISCONNECTED: .*calling once more may work", told) is not None,
            "the sleeper says why it ends", printed)
    t.check("ended with exit code 1" in printed, "and that it failed", printed)

    say(guest, "@counter.reset()")
    start_of_both = len(guest.console)
    all_in(t, guest, "a = spawn counter-client with { counter: @counter, timer: @timer }", ["@a is counter-client"])
    all_in(t, guest, "b = spawn counter-client with { counter: @counter as CounterClient, timer: @timer }",
           ["@b is counter-client"])
    for name in "ab":
        guest.expect(rf"@{name} \(counter-client\) ended with exit code 0", since=start_of_both)
    all_in(t, guest, "@counter.read()", ["value = 20"])
    t.shutdown(guest)


@case("person.restart", "a counter killed under its clients comes back, and what they hold stays good", weight=8)
def person_restart(t):
    guest = start(t)
    say(guest, "@counter.increment(by=1000)")
    begin = len(guest.console)
    say(guest, "a = spawn counter-client with { counter: @counter, timer: @timer }")
    guest.expect("count 3: the counter is at 1003", since=begin)
    guest.send("@control.restart(service=\"counter\")\r")
    guest.expect("outcome = done")
    guest.expect("count 10: the counter is at [0-9]+", since=begin)
    guest.expect(r"@a \(counter-client\) ended with exit code 0", since=begin)
    told = re.findall(rb"count \d+: the counter is at (\d+)", bytes(guest.console[begin:]))
    later = [int(value) for value in told if int(value) < 1000]
    t.check(later == list(range(1, len(later) + 1)) and later, "the new instance counts on from 0 for the same client", told)
    all_in(t, guest, "@counter.read()", [f"value = {len(later)}"])
    all_in(t, guest, "@control.services()", [r"counter +counter +ready +1 "])
    t.shutdown(guest)


@case("person.many", "eight programs run at once; the ninth is told why not; one whose name is dropped goes on", weight=5)
def person_many(t):
    guest = start(t)
    for number in range(8):
        all_in(t, guest, f"p{number} = spawn sleeper", [f"@p{number} is sleeper"])
    all_in(t, guest, "spawn sleeper", ["error: 8 programs run already; wait for one, or kill one"])
    all_in(t, guest, "drop @p0", ["the program behind @p0 goes on; nothing here can end it any more"])
    all_in(t, guest, "spawn sleeper", ["error: 8 programs started here have a stdio already; wait for one to end"])
    all_in(t, guest, "kill @sleeper", ["you hold nothing named @sleeper; the program sleeper runs as @p[1-7]"])
    all_in(t, guest, "kill @p1", [r"@p1 \(sleeper\) was ended from outside"])
    all_in(t, guest, "p1 = spawn sleeper", ["@p1 is sleeper"])
    all_in(t, guest, "kill @p1", [r"@p1 \(sleeper\) was ended from outside"])
    t.check("goes on" not in say(guest, "x = spawn hello") + say(guest, "wait @x"), "one that has ended does not")
    t.shutdown(guest)


@case("person.keys", "Ctrl-C ends what is in front and nothing else; typed input reaches the program in front", weight=8)
def person_keys(t):
    guest = start(t)
    guest.send("run sleeper\r")
    guest.expect("sleeping")
    guest.send("hallo\x7f\x7fxy\r")
    guest.expect("you said: halxy")
    guest.send("\x03")
    guest.expect(r"\^C")
    guest.prompt(seconds=10)
    t.check("no program" in say(guest, "ps"), "the program has ended")

    say(guest, "back = spawn sleeper with { timer: @timer }")
    guest.send("run sleeper with { timer: @timer }\r")
    guest.expect(r"still here after 1 s")
    guest.send("\x03")
    guest.prompt(seconds=10)
    all_in(t, guest, "ps", [r"@back\s+sleeper.*running"])
    guest.send("@timer.sleep(untilNs=1000s)\r")
    let_run(guest, 0.5)
    guest.send("\x03")
    guest.expect("interrupted", 10)
    guest.prompt(seconds=10)
    guest.send("wait @back\r")
    let_run(guest, 0.5)
    guest.send("\x03")
    guest.expect("@back goes on", 10)
    guest.prompt(seconds=10)
    all_in(t, guest, "kill @back", [r"@back \(sleeper\)"])

    guest.send("@counter.increment()\r@counter.increment()\r@counter.read()\r")  # typed ahead
    guest.expect("value = 1", 10)
    guest.expect("value = 2", 10)
    guest.expect("value = 2", 10)
    guest.prompt()
    guest.send("\x1b[A\x1b[A\r")  # history
    guest.expect("value = 3", 10)
    guest.prompt()
    guest.send("nonsense\x15ps\r")  # line kill
    guest.expect("no program", 10)
    guest.prompt()
    t.shutdown(guest)


HOSTILE = r"\x1b]0;owned\x07\x1b[2J\x9b31m\x08\r\x7f" + "\\u{202e}\\u{9b}"


@case("person.foreign", "no text of others steers the terminal: names, answers, logs and output are escaped", weight=5)
def person_foreign(t):
    guest = start(t)
    begin = len(guest.console)
    all_in(t, guest, f"@terminal.write(text=\"{HOSTILE}\\n\")", [re.escape(r"\x1b]0;owned\x07\x1b[2J\x9b31m\x08\x0d\x7f\u{202e}\u{9b}")])
    say(guest, r'@counter.child(name="a\x1b[2Jb\u{202e}")')
    all_in(t, guest, "@counter.info()", [re.escape(r'"a\x1b[2Jb\u{202e}"')])
    all_in(t, guest, r'@log.append(text="evil\x1b[2J\nforged line")', ["done"])
    guest.expect_debug(r"shell: evil\\x1b\[2J", 5)
    guest.expect_debug(r"shell: forged line", 5)  # a line of its own has its writer's name as well
    guest.send("run sleeper\r")
    guest.expect("sleeping")
    guest.send("x\x9b\x1b[99;99;99;99;99;99;99;99zy\xe2\x80\xae\r".encode("latin-1"))
    guest.expect("you said: xy", 10)
    guest.send("\x03")
    guest.prompt(seconds=10)
    shown = bytes(guest.console[begin:])
    for raw in (b"\x1b]", b"\x1b[2J", b"\x9b", b"\x08", b"\xe2\x80\xae", b"\xc2\x9b"):
        t.check(raw not in shown.replace(b"\x1b[2J\x1b[H", b""), f"the screen never gets {raw!r}", repr(shown[-400:]))
    t.shutdown(guest)


@case("person.mistakes", "mistakes are marked where they are, and the shell goes on", weight=5)
def person_mistakes(t):
    guest = start(t)
    for command, wanted in (
            ("cpas", "no command 'cpas'; the nearest is 'caps'"),
            ("hello", "the nearest is 'help'; 'run hello' starts a program"),
            ("counter.read()", "a capability begins with @: @counter"),
            ("@counter(1)", "expected '.' and a method before the '\\('"),
            ("@counter.read(1)", "this method takes no parameters"),
            ("call @counter.increment by 1", "by: its value goes behind a '=', as by=..."),
            ("x = @counter", "expected '.' and a method to call behind '='"),
            ("x" * 300, "'run x{64}' starts a program"),
            ("@timer.now(" + "q" * 300 + "=1)", "no field 'q{64}' here; there are none"),
            ("help " + "p" * 200, "no page has a name as long as 'p{64}'"),
            ("run hello as " + "n" * 40, "error: a name has at most 31 bytes"),
            ("run hello with { stdio: @timer }", "a program's stdio is a ByteStream, and @timer is something else"),
            ("call @timer", "expected a method, as @name.method"),
            ("call timer.now", "expected a capability, as @name, found timer"),
            ("@timer.now", "now"),
            ("@timer.now() x", "expected the end of the line, found x"),
            ("@timer.now(", "expected a parameter or '\\)', but the line ends here"),
            ("@counter.child('x')", 'text stands between "double" quotation marks'),
            ("@x = @counter.read()", "a name to give is written without @: x = @name.method"),
            ("history", "@x = @counter.read\\(\\)"),
            ("kill @sleeper", "you hold nothing named @sleeper; 'caps' lists what you hold"),
            ("@counter.child(name=\"x)", "no closing quotation mark"),
            ("@counter.child(\"\\q\")", "unknown escape"),
            ("kill @timer", "@timer is no process"),
            ("signal @timer", "@timer is of interface Timer; only a Notification"),
            ("run", "expected the name of a program"),
            ("run nothing-like-this", "can start: .*hello"),
            ("run hello with { timer }", "as name: @capability"),
            ("run hello with { t: @timer as Tmer }", "the nearest is Timer"),
            ("@counter.increment(" + "[" * 40, "nest at most"),
            ("x" * 3000, "no command|help"),
            ("@counter.child(\"" + "y" * 3500 + "\")", "larger than the method takes|1 to 31 bytes")):
        printed = say(guest, command)
        t.check(re.search(wanted, printed) is not None, f"`{command[:40]}` says /{wanted}/", printed[-400:])
    say(guest, "p = @launcher.launch(program=\"hello\", name=\"p\")")
    say(guest, "wait @p")
    all_in(t, guest, "kill @p", ["@p has ended already; 'drop @p' forgets it"])
    say(guest, "derive @counter as lent")
    say(guest, "revoke @lent")
    all_in(t, guest, "run counter-client with { counter: @lent }", ["error: grant counter: @lent is dead: .*'drop @lent' forgets it"])
    all_in(t, guest, "wait @lent", ["^@lent is dead"])
    all_in(t, guest, "@timer.now()", ["nowNs"])
    t.shutdown(guest)
