# SPDX-License-Identifier: MIT
"""The mistakes people make: each has an answer that says what is wrong and what to try, and none wedges a terminal or the
shell.

A table by kind. Of each entry: what is typed, and what its answer must say. After each the prompt is back and a sane
command is answered; after each group the shell's ledger is as it was.
"""

import os
import re
import subprocess

from case import case
from guest import plain
from screen import Screens

# What stands behind a mistake only to put its traces away: it is no mistake.
TIDY = None

TYPOS = (
    ("cap", "no command 'cap'; the nearest is 'caps'"),
    ("HELP", "the nearest is 'help'"),
    ("ls", "no command 'ls'; what you mean may be 'caps'"),
    ("man timer", "what you mean may be 'help'"),
    ("quit", "what you mean may be 'exit'"),
    ("echo 5", "what you mean may be 'print'"),
    ("reboot", "what you mean may be '@control.reboot()'"),
    ("cd ..", "no command 'cd'; 'help' lists them"),
    ("sudo run hello", "no command 'sudo'; 'help' lists them, 'run sudo' starts a program"),
    ("hello", "'run hello' starts a program"),
    ("hello()", "'do hello(...)' does a script, 'run hello' starts a program"),
    ("timer.now()", "a capability begins with @: @timer."),
    ("@timr.now()", "you hold nothing named @timr; the nearest is @timer"),
    ("@Timer.now()", "the nearest is @timer"),
    ("@zebra.now()", "you hold nothing named @zebra; 'caps' lists what you hold"),
    ("@timer.Now()", "Timer has no method 'Now'; the nearest is 'now'"),
    ("@timer.frobnicate()", "Timer has no method 'frobnicate'; 'help @timer' lists them"),
    ("@timer now", "expected '.' and a method, as @name.method(field=value), found now"),
    ("@timer,now()", "expected '.' and a method, as @name.method(field=value), found ,"),
    ("@ timer.now()", "expected a name right behind the @, found timer"),
    ("@timer..now()", "expected the name of a method behind the '.', found ."),
    ("@timer.now()()", "expected the end of the line, found ("),
    ("@timer.now)", "expected '(' and arguments, as @name.method(field=value), found )"),
    ("@counter.increment(bye=1)", "the nearest is 'by'"),
    ("@log.append(text=\"x\", level=1)", "no field 'level' here; there are: text"),
    ("help conter", "no page is named 'conter'; the nearest is 'help @counter'"),
    ("help kaps", "the nearest is 'help caps'"),
    ("help zebra", "'help' lists the pages there are"),
    ("caps timr", "nothing you hold has 'timr' in its name or interface; 'caps' lists all"),
    ("services conter", "no service 'conter'; the nearest is 'counter'"),
    ("logs level loud", "no level 'loud'; there are info, warning and error"),
    ("logs since yesterday", "expected a time, as 30s or 5min, found yesterday; 'help logs' tells how it is written"),
    ("usage timer", "expected the end of the line, found timer; 'help usage' tells how it is written"),
    ("exit now", "found now; 'help exit' tells how it is written"),
    ("top forever", "expected 'top' or 'top once'"),
    ("time run hello", "expected a capability, as @name, found run; 'help time' tells"),
    ("grüße", "no command 'gr'"),
)

TYPES = (
    ("@counter.increment(by=\"x\")", "by: expected a number (Int64), found \"x\""),
    ("@counter.increment(by=true)", "by: expected a number (Int64), found true"),
    ("@counter.increment(by=@timer)", "by: expected a number (Int64), found @timer"),
    ("@counter.increment(by=[1])", "by: expected a number (Int64), found [1]"),
    ("@counter.increment(by=1.5)", "numbers are whole: 1500ms is what 1.5s would be"),
    ("@counter.increment(by=1e3)", "a number is digits, and perhaps a unit behind them, as 5s"),
    ("@counter.increment(by=0xzz)", "expected hexadecimal digits (0-9, a-f) behind 0x"),
    ("@counter.increment(by=5kg)", "by: a number without unit is expected, found 5kg"),
    ("@counter.increment(by=99999999999999999999)", "this number does not fit 64 bits"),
    ("@counter.increment(by=9223372036854775808)", "is outside -9223372036854775808 to 9223372036854775807 (Int64)"),
    ("@counter.increment(1+1)", "'+' has no meaning here; 'print', '$x =' and 'if' work things out"),
    ("@counter.increment(by)", "by: its value goes behind a '=', as by=..."),
    ("@counter.increment(by 5)", "expected '=' and a value behind the name of a parameter, ',' or ')', found 5"),
    ("@counter.increment(by=)", "expected a value, found )"),
    ("@counter.increment(by=5, by=6)", "by is there twice"),
    ("@counter.increment(1, 2)", "this method takes only 1 parameter"),
    ("@timer.now(5)", "this method takes no parameters"),
    ("@timer.sleep(untilNs=-5)", "untilNs: -5 is outside 0 to 18446744073709551615 (UInt64)"),
    ("@timer.sleep(untilNs=5parsecs)", "untilNs: 'parsecs' is no unit for ns; there are: ns, us, ms, s, min"),
    ("@timer.sleep(untilNs=5KiB)", "'KiB' is no unit for ns"),
    ("@timer.sleep(untilNs=5 s)", "a unit stands right behind its number, as 5s"),
    ("@counter.child(5)", "name: expected text in quotation marks, found 5"),
    ("@counter.child(name=x)", "name: expected text in quotation marks, found x"),
    ("@counter.child('x')", "text stands between \"double\" quotation marks"),
    ("@counter.child()", "invalidArgument: a name of 1 to 31 bytes is needed"),
    ("@terminal.write(5)", "text: expected bytes, as 0x0011ff or in quotation marks, found 5"),
    ("@memory.commit(address=0, sizeBytes=4KiB, protection=\"read\")",
     "protection: expected one of none, read, readWrite, readExecute, found \"read\""),
    ("@memory.commit(address=0x1001, sizeBytes=4KiB, protection=read)", "'help @memory.commit' tells what it takes"),
    ("@ledger.carve(limits={ledgerClass: slots, amount: 4}, name=\"x\")", "limits: expected a list, as [value, value]"),
    ("@ledger.carve(limits=[slots], name=\"x\")", "limits: expected a Limit, as {field: value}, found slots"),
    ("@ledger.carve(limits=[{slots: 4}], name=\"x\")", "no field 'slots' here; there are: ledgerClass, amount"),
    ("@ledger.carve(limits=[{ledgerClass: slotz, amount: 4}], name=\"x\")", "ledgerClass: expected one of frames"),
    ("@launcher.launch(program=\"hello\", name=\"x\", grants=[{name: \"t\", transfer: timer}])",
     "transfer: expected a capability, as @name, found timer"),
    ("@launcher.launch(program=\"hello\", name=\"x\", grants=[{name: \"t\", transfer: @nothing}])",
     "you hold nothing named @nothing; 'caps' lists what you hold"),
    ("@launcher.launch(program=\"nope\", name=\"x\")", "'help @launcher.launch' tells what it takes"),
)

GRANTS = (
    ("run counter-client", "missing grant: this program needs `counter` of interface Counter"),
    ("run clock", "missing grant: this program needs `timer` of interface Timer; grant it where the program is started"),
    ("run counter-client with { counter: @timer }", "but was granted something else under that name"),
    ("run counter-client with { counter: @counter as CounterReader }", "ask whoever granted it for a facet with this method"),
    ("run hello with", "expected '{' and grants, as with { timer: @timer }, but the line ends here"),
    ("run hello with timer", "expected '{' and grants, as with { timer: @timer }, found timer"),
    ("run hello with { @timer }", "expected a grant, as name: @capability, found @"),
    ("run hello with { timer: timer }", "expected a capability, as @name, found timer; 'help run' tells how it is written"),
    ("run hello with { timer @timer }", "expected ':' and a capability, as name: @capability"),
    ("run hello with { timer: @timer", "expected ',' or '}', but the line ends here; 'help run' tells"),
    ("run hello with { timer: @timer log: @log }", "expected ',' or '}', found log"),
    ("run hello with { timer: @timr }", "the nearest is @timer"),
    ("run hello with { timer: @timer as Counter }", "is of interface Timer, not Counter; it can be given as Timer"),
    ("run hello with { timer: @timer as Tmer }", "the nearest is Timer"),
    ("run hello with { a: @terminal }", "the terminal stays with the shell; a program speaks through its stdio"),
    ("run hello with { a: @ledger }", "@ledger cannot leave"),
    ("run hello with { t: @timer, t: @log }", "grant t is there twice"),
    ("run hello with { stdio: @timer }", "a program's stdio is a ByteStream, and @timer is something else"),
    ("run hello { timer: @timer }", "expected 'as', 'recordable', 'with' or the end of the line, found {; 'help run' tells"),
    ("with { timer: @timer } run hello", "what you mean may be 'run PROGRAM with { NAME: @CAP }'"),
    ("@motd.write(offsetBytes=0, data=\"x\")", "@motd is held without 'write', as MemoryReader; whoever granted it could"),
    ("derive @counter as r read", ""),
    ("@r.increment()", "@r is held without 'increment'"),
    ("revoke @r", ""),
    ("@r.read()", "@r was revoked: nobody who was given it, or anything through it, can use it any more"),
    ("drop @r", TIDY),
    ("drop @terminal", "@terminal stays: the shell itself lives on it"),
    ("derive timer as x", "expected a capability, as @name, found timer; 'help derive' tells"),
    ("derive @timer", "expected 'as' and a name, as derive @timer as clock"),
    ("derive @timer as @x", "expected a name for the new capability behind 'as', without @, found @"),
    ("derive @timer as log", "the name log is taken; 'drop @log' frees it"),
    ("derive @timer as x nwo", "@timer has no method or facet 'nwo'; the nearest is 'now'"),
    ("revoke @timer", "@timer was not derived here: 'derive @timer as NAME' makes what you can take back"),
)

ORDER = (
    ("kill @job", "you hold nothing named @job; 'caps' lists what you hold"),
    ("$r.value", "no variable $r; '$r = ...' makes one"),
    ("do work", "no script 'work'; 'script work { ... }' makes one"),
    ("go @timer", "@timer was not started by 'debug'"),
    ("break", "'break' stands in the block of a for, while or repeat"),
    ("else { }", "'else' stands behind the '}' of an 'if' or a 'try'"),
    ("x = @counter.read()", "answers without a capability, and a name is for one: leave out 'x ='"),
    ("@x = @counter.child(\"a\")", "a name to give is written without @: x = @name.method(...)"),
    ("x = @counter", "expected '.' and a method to call behind '='"),
    ("x = 5", "expected a call, spawn or debug behind '=' ($NAME = keeps a value), found 5"),
    ("x = run hello", "expected a call, spawn or debug behind '='"),
    ("caps = @counter.child(\"a\")", "'caps' is a command; give another name, as my-caps = ..."),
    ("timer = @counter.child(\"a\")", "the name timer is taken; 'drop @timer' frees it"),
    ("@counter.read().child()", "Counter.read answers with no capability that something could be called on"),
    ("@counter.child(\"a\").frobnicate()", "the Counter that child gives has no method 'frobnicate'; name it first"),
    ("@counter.child(\"a\").kounter.read()", "answers with no capability in a field 'kounter'; 'help' lists its fields"),
    ("@launcher.launch(program=\"hello\", name=\"x\").info()", "answers with 2 capabilities; name the field of one"),
    ("@terminal.waitInterrupt().x()", "answers with no capability"),
    ("wait @log 5", "only a Notification or an Interrupt is waited for with bits"),
    ("signal @timer 5", "@timer is of interface Timer; only a Notification can be signalled"),
    ("kill @timer", "@timer is no process; 'ps' lists the processes started here"),
    ("kill 3", "expected a capability, as @name, found 3; 'help kill' tells how it is written"),
    ("trace @timer", "@timer is no process; 'ps' lists the processes started here"),
    ("usage @timer", "Timer; a Ledger or a ProcessHandle"),
)

QUOTES = (
    ("print \"abc", "this text has no closing quotation mark"),
    ("print 'abc'", "text stands between \"double\" quotation marks"),
    ("print “abc”", "text stands between \"double\" quotation marks"),
    ("print `abc`", "text stands between \"double\" quotation marks"),
    ("print abc\"", "this text has no closing quotation mark"),
    ("print \"a\\qb\"", "unknown escape: \\n \\t \\r \\0 \\\\ \\\" \\xHH and \\u{HEX} exist"),
    ("print \"a\\x4\"", "expected two hexadecimal digits behind \\x"),
    ("print \"\\u41\"", "expected a character number in braces: \\u{41}"),
    ("print \"\\u{110000}\"", "no such character: \\u{...} takes 0 to 10ffff"),
    ("print \"a\" \"b\"", "expected ',' or the end, found \"b\""),
    ("print (1", "expected ')', but the line ends here"),
    ("print 1)", "expected ',' or the end, found )"),
    ("print [1, 2", "expected ',' or ']', but the line ends here"),
    ("print [1, 2}", "expected ',' or ']', found }"),
    ("print {a 1}", "expected a field, as name: value, found a"),
    ("@counter.increment(", "expected a parameter or ')', but the line ends here"),
    ("@counter.child(\"a\"", "expected ',' or ')', but the line ends here"),
    ("@counter.increment(" + "[" * 40, "values nest at most 12 deep"),
    ("}", "expected a command or a capability, found }"),
    ("print 1; ps; nope", "no command 'nope'"),
    ("run hello &", "'spawn' starts a program in the background"),
    ("run hello | print", "'|' has no meaning here; 'stdio: @stream' connects a program"),
    ("run hello > file", "'>' has no meaning here"),
    ("~/hello", "'~' has no meaning here"),
)

SCRIPTS = (
    ("print $nope", "no variable $nope; '$nope = ...' makes one"),
    ("print $", "expected the name of a variable right behind the $"),
    ("$1 = 5", "a variable has a name that begins with a letter, as $x"),
    ("$x =", "expected a value behind the '='"),
    ("set x 5", "what you mean may be '$NAME = VALUE'"),
    ("export X=5", "what you mean may be '$NAME = VALUE'"),
    ("$list = [1, 2, 3]", ""),
    ("$list[5]", "there is no element 5 in a list of 3; the first is [0]"),
    ("$list[-1]", "expected a number and ']', as [0]"),
    ("$list.name", "a list has no field 'name'"),
    ("$list + 1", "'+' has no meaning here; 'print', '$x =' and 'if' work things out"),
    ("$list == 5", "('print' works out what follows it), found ="),
    ("$list.now()", "only a capability can be called, and this is a list"),
    ("unset $list", TIDY),
    ("unset $nope", "there was no $nope"),
    ("unset x", "expected a variable, as $name"),
    ("print 1 / 0", "a division by 0"),
    ("print 18446744073709551615 + 1", "the result does not fit 64 bits"),
    ("print \"a\" - 1", "'-' takes numbers, and a is a text"),
    ("print 1 == \"a\"", "a number and a text cannot be compared"),
    ("print 1 +", "expected a value, but the line ends here"),
    ("print size(5)", "size counts a text, a list or a struct, and this is a number"),
    ("if $x = 5 { }", "a comparison is written == or !="),
    ("if 5 { }", "expected true or false, found 5"),
    ("if", "expected a condition behind 'if'"),
    ("if true print 5", "expected '{' and what is to be done"),
    ("if true { } otherwise { }", "expected 'else' and a block, the end of the line or ';'"),
    ("try { fail \"x\" } catch { }", "expected 'else' and a block, the end of the line or ';'"),
    ("for x in [1] { }", "expected a variable, as $name"),
    ("for $x [1] { }", "expected 'in' and a list, as for $x in [1, 2] { ... }"),
    ("for $x in 5 { }", "expected a list, found 5"),
    ("repeat five { }", "expected a number of times, found five"),
    ("repeat 2", "expected '{' and what is to be done"),
    ("while { }", "expected a condition behind 'while'"),
    ("sleep 5", "expected a time, as 500ms or 2s, found 5"),  # the mistake itself; nothing waits
    ("sleep", "expected how long, as 2s"),
    ("ask $x", "expected what to ask, in quotation marks"),
    ("fail", "expected why, behind 'fail'"),
    ("watch", "expected what to watch, as watch 2s @timer.now()"),
    ("watch 5x @timer.now()", "expected a time, as 500ms or 2s, found 5x"),
    ("script f(a) { print $a }", "a script's parameters are variables, as script f($a, $b)"),
    ("script f($a { }", "this '(' has no ')'"),
    ("script f($a) { print $a }", ""),
    ("do f", "f takes 1 value ($a), and 0 were given"),
    ("do f 1", "what a script is given stands in brackets, as do f(1)"),
    ("f(1)", "'do f(...)' does a script"),
    ("do ff", "no script 'ff'; the nearest is 'f'"),
    ("script g() { print 1\nnope }", "no command 'nope'"),
    ("do @timer", "@timer holds no text: a script comes from memory, as a MemoryReader"),
    ("script again() { do again() }; do again()", "scripts do scripts at most 8 deep"),
    ("try { @nope.x() } else { print \"caught:\", $error }", "caught: you hold nothing named @nope"),
    ("json @timer", "expected a call, a variable or 'caps'"),
    ("json $nope", "no variable $nope"),
)

PROGRAMS = (
    ("run", "expected the name of a program, but the line ends here; 'help run' tells how it is written"),
    ("run helo", "no program 'helo'; the nearest is 'hello'"),
    ("run zebra", "no program 'zebra'; @launcher can start: hello"),
    ("run ./hello", "expected the name of a program, found ."),
    ("run hello.exe", "found .; 'help run' tells how it is written"),
    ("run hello world", "found world; 'help run' tells how it is written"),
    ("run hello as", "expected a name for the process behind 'as'"),
    ("run hello as " + "n" * 40, "a name has at most 31 bytes"),
    ("spawn zebra", "no program 'zebra'"),
    ("debug zebra", "no program 'zebra'"),
    ("run crash", "crash faulted: it wrote 0x8, where nothing is"),
    ("job = spawn sleeper", "@job is sleeper"),
    ("job = spawn sleeper", "the name job is taken; 'drop @job' frees it"),
    ("kill @sleeper", "the program sleeper runs as @job"),
    ("kill @job x", "nothing more is expected behind @job"),
    ("debug @job", "@job was not started by 'debug'"),
    ("dump @job", "expected an address"),
    ("kill @job", "@job (sleeper) was ended from outside"),
    ("kill @job", "you hold nothing named @job"),
    ("p = @launcher.launch(program=\"hello\", name=\"p\")", ""),
    ("wait @p", ""),
    ("kill @p", "@p has ended already; 'drop @p' forgets it"),
    ("drop @p", TIDY),
    *((f"p{number} = spawn sleeper", TIDY) for number in range(8)),
    ("spawn sleeper", "8 programs run already; wait for one, or kill one"),
    ("run hello", "8 programs run already; wait for one, or kill one"),
    *((f"kill @p{number}", TIDY) for number in range(8)),
)

ASK = "print 6 * 7"  # a sane command


def sane(t, guest, after):
    printed = guest.command(ASK)
    t.check("42" in printed.splitlines(), f"the shell answers after {after[:60]!r}", printed[-300:])


def unharmed(t, guest, do_all):
    """Everything twice: the second time nothing more is used than after the first."""
    do_all()
    before = t.settled(guest, lambda: t.usage(guest))
    do_all()
    t.comes_to(guest, lambda: t.usage(guest), before, "nothing is left of it in the shell's ledger")


def table_case(name, sentence, entries, weight, make, behind=None):
    """make(t, guest, *entry) makes one mistake and looks at the answer."""
    @case(f"misuse.{name}", sentence, weight=weight)
    def run(t):
        guest = t.boot(cpus=2, deadline_s=240, quiet_s=60)
        guest.prompt(seconds=60)

        def do_all():
            for entry in entries:
                make(t, guest, *entry)

        unharmed(t, guest, do_all)
        if behind is not None:
            behind(t, guest)
        t.shutdown(guest)


def make_line(t, guest, typed, wanted):
    printed = guest.command(typed)
    t.check(wanted is TIDY or wanted in printed, f"`{typed[:80]}` says: {wanted}", printed[-500:])
    if wanted is not TIDY:
        sane(t, guest, typed)


def nothing_counted(t, guest):
    t.check("value = 0" in guest.command("@counter.read()"), "no mistake has counted")


def lines_case(name, sentence, entries, weight=4):
    table_case(name, sentence, entries, weight, make_line, nothing_counted)


lines_case("typos", "a word that is not quite one is told, with what is nearest to it", TYPOS)
lines_case("types", "a value that does not fit is told, with what would fit", TYPES)
lines_case("grants", "what is not granted, or not held so, is told, with how one comes by it", GRANTS)
lines_case("order", "what is done before or behind its time, or to the wrong thing, is told", ORDER)
lines_case("quotes", "quotation marks, brackets and signs that do not fit are marked", QUOTES)
lines_case("scripts", "mistakes in variables, conditions, loops and scripts are told", SCRIPTS)
lines_case("programs", "programs that are not there, too many, or ended already are told", PROGRAMS, weight=8)

# What is typed, byte for byte; what the screen must show; what ends it, and what the screen must show then.
ENTER, CTRL_C, CTRL_D, CTRL_R, ESCAPE = "\r", "\x03", "\x04", "\x12", "\x1b"

INTERRUPTS = (
    ("an empty prompt", "", "", CTRL_C, r"\^C"),
    ("half a line", "@counter.incr", r"@counter\.incr", CTRL_C, r"\^C"),
    ("the middle of a line", "@counter.incr\x1b[D\x1b[D", "", CTRL_C, r"\^C"),
    ("a call that waits", "@timer.sleep(untilNs=1000000s)\r", r"s\)\r\n", CTRL_C, "interrupted; whether Timer.sleep was done"),
    ("a program in front", "run sleeper\r", "sleeping", CTRL_C, "sleeper was ended from outside"),
    ("a line typed to a program", "run sleeper\rabc", "sleeping", CTRL_C, "sleeper was ended from outside"),
    ("a program that is debugged", "d = debug sleeper\rgo @d\r", "sleeping", CTRL_C, "@d is stopped"),
    ("its end", "kill @d\r", r"@d \(sleeper\) was ended from outside", "", ""),
    ("wait", "wait @timer\r", "Ctrl-C stops waiting", CTRL_C, "no longer waiting for @timer"),
    ("the search, empty", CTRL_R, "", CTRL_C, r"\^C"),
    ("the search, found", "print 5\r" + CTRL_R + "rint", "", CTRL_C, r"\^C"),
    ("the search, in vain", CTRL_R + "zzzz", "", CTRL_C, r"\^C"),
    ("completion", "@co\t\t", "counter +control", CTRL_C, r"\^C"),
    ("completion of nothing", "zz\t\t", "zz", CTRL_C, r"\^C"),
    ("an open block", "if true {\r", r"\.\.\.> ", CTRL_C, r"\^C"),
    ("a block of several lines", "if true {\rprint 1\r", r"\.\.\.> .*\.\.\.> ", CTRL_C, r"\^C"),
    ("a question", "ask $a \"name? \"\rbo", r"name\? ", CTRL_C, r"\^C"),
    ("a hidden question", "ask hidden $a \"word? \"\rbo", r"word\? ", CTRL_C, r"\^C"),
    ("sleep", "sleep 1000s\r", r"1000s\r\n", CTRL_C, r"\^C"),  # longer than the case may take: Ctrl-C alone ends it
    ("a loop that does nothing", "while true { }\r", r"\}\r\n", CTRL_C, r"\^C"),
    ("a loop that prints", "while true { @counter.read() }\r", "value = 0.*value = 0", CTRL_C, r"\^C"),
    ("a loop that catches", "while true { try { sleep 1000s } else { } }\r", r"\}\r\n", CTRL_C, r"\^C"),  # longer than the case may take: Ctrl-C alone ends it
    ("watch", "watch 100ms @counter.read()\r", "value = 0.*value = 0", CTRL_C, r"\^C"),
    ("top", "top\r", r"top\r\n", CTRL_C, r"\^C"),
    ("time", "time @timer.sleep(untilNs=1000000s)\r", r"s\)\r\n", CTRL_C, "interrupted; .*entries"),
    ("trace", "trace @timer.sleep(untilNs=1000000s)\r", r"s\)\r\n", CTRL_C, "interrupted; "),
    ("json", "json @timer.sleep(untilNs=1000000s)\r", r"s\)\r\n", CTRL_C, "interrupted; "),
    ("an expression", "$x = @timer.sleep(untilNs=1000000s)\r", r"s\)\r\n", CTRL_C, "interrupted; "),
    ("a script", "script s() { sleep 1000s }\rdo s()\r", r"do s\(\)\r\n", CTRL_C, r"\^C"),  # longer than the case may take: Ctrl-C alone ends it
    ("the tour", "do @tour aloud\r", "-- Enter goes on", CTRL_C, r"\^C"),
    ("a line read by hand", "@terminal.readLine()\rab", r"\(\)\r\n", CTRL_C, "outcome = interrupted"),
    ("help", "help\r", "", CTRL_C, ""),
    ("forty times", "", "", CTRL_C * 40, r"\^C"),
    ("Ctrl-D in an open block", "if true {\r", r"\.\.\.> ", CTRL_D, r"capos> "),
    ("Ctrl-D in a question", "ask $a \"name? \"\r", r"name\? ", CTRL_D, r"capos> "),
    ("Ctrl-D in half a line", "print 5", "print 5", CTRL_D + ENTER, "5\r\n"),
    ("Ctrl-D in a program", "run sleeper\r", "sleeping", CTRL_D + CTRL_C, "sleeper was ended from outside"),
    ("Ctrl-Z", "print 5\x1a", "print 5", ENTER, "5\r\n"),
    ("Ctrl-S and Ctrl-Q", "print 5\x13\x11", "print 5", ENTER, "5\r\n"),
)

BYTES = (
    ("every control byte", bytes(each for each in range(32) if each not in (3, 4, 10, 13)), "", CTRL_C, r"\^C"),
    ("a NUL in a text", b'print "a\0b"', "", ENTER, "ab\r\n"),
    ("unknown keys", "\x1b[99~\x1b[1;5C\x1bOPprint 5", "print 5", ENTER, "5\r\n"),
    ("a paste in brackets", "\x1b[200~print 5\x1b[201~", "print 5", ENTER, "5\r\n"),
    ("a sequence that never ends", "\x1b[1;1;1;1;1;1;1;1;1;1;1;1;1;1", "", CTRL_C, r"\^C"),
    ("a lone Escape", ESCAPE, "", CTRL_C, r"\^C"),
    ("a title", "\x1b]0;title\x07", "", CTRL_C, r"\^C"),
    ("an eight-bit escape", b'print "\x9b2J"', "", ENTER, "2J\r\n"),
    ("bytes that are no UTF-8", b'print "\xff\xfe\xc0\xaf"', "", ENTER, r"\r\n\r\n"),
    ("a character cut off by another", b'print "\xe2\x82"', "", ENTER, r"\r\n\r\n"),
    ("a character cut off by Enter", b'print "\xe2', "", ENTER, "no closing quotation mark"),
    ("letters of the world", 'print "äöü€😀"', "", ENTER, "äöü€😀\r\n"),
    ("five hundred Backspaces", "\x7f" * 500 + "print 5", "print 5", ENTER, "5\r\n"),
    ("a hundred Tabs", "\t" * 100, "", CTRL_C, r"\^C"),
    ("a line for another system's end", "print 5\r\nprint 7", "print 7", ENTER, "7\r\n"),
    ("arrows beyond the ends", "\x1b[A" * 60 + "\x1b[B" * 60 + "\x1b[D" * 60 + "\x1b[C" * 60, "", CTRL_C, r"\^C"),
)

PASTES = (
    ("a word of 1500 letters", "x" * 1500, "", ENTER, "no command 'x+'"),
    ("a text that is too long to take", "@counter.child(\"" + "y" * 3900 + "\")", "", ENTER, "larger than the method takes|1 to 31 bytes"),
    ("a line that is too long", "print \"" + "y" * 4500, "", ENTER, "no closing quotation mark"),
    ("only blanks", " " * 1000, "", ENTER, "capos> "),
    ("a thousand brackets", "(" * 1000, "", ENTER, r"expected a command or a capability, found \("),
    ("brackets in an expression", "print " + "(" * 500, "", ENTER, "expressions nest at most|nest"),
    ("nots without end", "print " + "not " * 300 + "true", "", ENTER, "expressions nest at most"),
    ("signs without end", "print " + "-" * 400 + "1", "", ENTER, "expressions nest at most"),
    ("a hundred statements in a line", ";".join(["print 5"] * 100), "", ENTER, (50, "5\r\n")),
    ("a hundred lines", "@timer.now()\r" * 100, (100, "nowNs"), "", ""),
    ("a page of prose", "It is a truth universally acknowledged.\r" * 60, (60, "no command 'It'"), "", ""),
    ("prose without an end of line", "lorem ipsum dolor " * 300, "", CTRL_C, r"\^C"),
    ("a block that never closes", "repeat 2 {\r" + "print 1\r" * 300, "", CTRL_C, r"\^C"),
    ("a block that is too large", "repeat 2 {\r" + f"print \"{'z' * 900}\"\r" * 20, "a text has at most 16 KiB", CTRL_C, r"\^C"),
)


def shown_since(guest, begin):
    return plain(bytes(guest.console[begin:])).decode(errors="replace")


def shows(guest, begin, wanted, seconds=20.0):
    """Does the screen, without its escapes and what is drawn anew, come to show a pattern, or (how often, a text)?"""
    for _ in range(int(seconds / 0.05)):
        text = shown_since(guest, begin).replace("\r\r", "\r")
        if text.count(wanted[1]) >= wanted[0] if isinstance(wanted, tuple) else re.search(wanted, text, re.DOTALL):
            return True
        guest.pump_for(0.05)
    return False


def make_keys(t, guest, what, typed, first, end, then):
    begin = len(guest.console)
    guest.send(typed)
    t.check(shows(guest, begin, first), f"{what}: the screen shows /{first}/", repr(shown_since(guest, begin)[-400:]))
    end_at = len(guest.console)
    guest.send(end)
    t.check(shows(guest, end_at, then), f"{what}: it ends with /{then}/", repr(shown_since(guest, end_at)[-400:]))
    t.require(shows(guest, end_at if end else begin, r"capos> [^\n]*$"), f"{what}: the prompt is back",
              repr(shown_since(guest, end_at)[-400:]))
    guest.seen = len(guest.console)
    if end.startswith(CTRL_C):  # what was typed ahead may still come
        guest.send(CTRL_C)
        guest.prompt()
    sane(t, guest, what)


def keys_case(name, sentence, entries, weight=8):
    table_case(name, sentence, entries, weight, make_keys)


keys_case("interrupt", "Ctrl-C and Ctrl-D end what is in front, in whatever state it is, and no more", INTERRUPTS, weight=15)
keys_case("bytes", "control bytes, sequences and broken characters neither steer the terminal nor stop it", BYTES)
keys_case("paste", "a paste, however large or deep, ends in a prompt", PASTES, weight=15)


@case("misuse.flood", "a program that floods its stdio, in front or behind, leaves the person the terminal", weight=8)
def flood(t):
    guest = t.boot(archive="test", cmdline="manifest=manifest/stdio", cpus=2, deadline_s=200, quiet_s=60)
    guest.prompt(seconds=60)
    siege = "siege with { stdio-write: @log, log: @log, timer: @timer }"

    def in_front(keys):
        guest.send(f"run {siege}\r")
        guest.expect("owned")
        guest.send(keys)
        guest.expect(r"siege\)? was ended from outside")  # as a name, when there was more than one Ctrl-C
        guest.prompt()
        sane(t, guest, f"a flood in front, and {keys!r}")

    def behind():
        guest.send(f"job = spawn {siege}\r")
        guest.expect(r"\[@job\].*owned")
        guest.send(ASK + "\r")
        guest.expect(r"[\r\n]42\r\n")
        guest.send("nonsense\r")
        guest.expect("no command 'nonsense'")
        guest.send("half a li" + CTRL_C)
        guest.expect(r"\^C")
        guest.send("kill @job\r")
        guest.expect(r"@job \(siege\) was ended from outside")
        guest.send("\r")
        guest.prompt()
        sane(t, guest, "a flood behind")

    def do_all():
        in_front(CTRL_C)
        in_front("typed ahead\rand more" + CTRL_C * 3)
        behind()

    unharmed(t, guest, do_all)
    t.shutdown(guest)


CLOSED_IN = (
    ("a call", "@timer.sleep(untilNs=1000000s)\r", "1000000s)"),
    ("a program", "run sleeper\r", "sleeping"),
    ("a loop that prints", "while true { @counter.read() }\r", "value = 0"),
    ("an open block", "repeat 2 {\r", "...> "),
    ("a hidden question", "ask hidden $a \"word? \"\rbo", "word? "),
    ("the search", "print 5\r" + CTRL_R + "pri", "print 5"),
    ("half a line", "@counter.incr", "@counter.incr"),
)


@case("misuse.closed", "a terminal that is closed in the midst of anything disturbs no other, and is of use when it is back",
      weight=12, slots=2)
def closed(t):
    with Screens(t) as screens:
        first = screens.open("tools/run", "--accel", "tcg")
        for what, typed, shown in CLOSED_IN:
            second = screens.open("tools/term", prompt=False)
            t.require(second.shows("Serial line 2."), f"{what}: the second terminal is there", second.words())
            second.type(typed)
            t.check(second.shows(shown), f"{what} has begun", second.words())
            second.close()
            screens.does(first, ASK, "\n42", f"{what}: the first terminal answers")
            second = screens.open("tools/term", prompt=False)
            t.require(second.shows("Serial line 2."), f"{what}: the second terminal is back", second.words())
            second.type(CTRL_C)
            t.check(second.shows("^C") and second.shows_prompt(), f"{what}: Ctrl-C ends it", second.words()[-400:])
            screens.does(second, CTRL_C + ASK, "\n42", f"{what}: the second terminal answers")
            second.close()
        first.type("@control.shutdown()\r")
        t.check(first.status() == 0, "the system switches itself off", first.words())


# What is typed at the computer's own shell; the answer; no status of these is 0.
VERBS = (
    ("make nope", 'there is no verb "nope"; `make help` lists them'),
    ("make run MEMORY=1", "MEMORY=1: 24 MiB is the least the system starts in; MEMORY=64 is small and works"),
    ("make run MEMORY=lots", "MEMORY=lots: a number of MiB is needed, as MEMORY=512"),
    ("make run CPUS=0", "CPUS=0: a number is needed, and at least 1 processor"),
    ("make run CPUS=two", "CPUS=two: a number is needed"),
    ("make run CPUS=1000", "run: the emulator refused to start; what it says is above"),
    ("make run BOOT=nope", "invalid choice: 'nope' (choose from 'pvh', 'bios', 'uefi', 'disk', 'disk-uefi')"),
    ("make run ACCEL=nope", "invalid choice: 'nope' (choose from 'kvm', 'tcg'"),
    ("make run MANIFEST=nope", 'there is no manifest "nope"; there are: default'),
    ("make run WORDS=manifest=nope", "or correct the word manifest= of the kernel's command line"),
    ("make term", "no system with another terminal runs here; start one with `make run`"),
    ("make gdb", "no system waits: start one with make run GDB=1"),
    ("make new-service", "Begin a service: its interface, program"),
    ("make new-service NAME=Bad_Name", "try make new-service NAME=word-box"),
    ("make new-service NAME=counter", "there is a program apps/counter already; take another name"),
    ("make bench T=nope", "no figure has a name that begins with nope; docs/reference/bench.md names them"),
    ("tests/qemu/harness --cases --only nope", "no test has that name; `tests/qemu/harness --list` names the cases"),
)


@case("misuse.verbs", "what is wrong at the computer's own shell is told before anything starts", weight=15, slots=2)
def verbs(t):
    # This make is not the one that runs the tests: neither its jobs nor its flags are theirs.
    environment = {name: value for name, value in os.environ.items() if name not in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL", "MAKEOVERRIDES")}
    for typed, wanted in VERBS:
        done = subprocess.run(typed.split(), env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              text=True, errors="replace", timeout=120, check=False)
        t.check(done.returncode != 0, f"`{typed}` fails", done.stdout[-400:])
        t.check(wanted in done.stdout, f"`{typed}` says: {wanted}", done.stdout[-600:])
    done = subprocess.run(["make", "-s", "build/kernel.elf", "build/boot.archive"], env=environment, stdin=subprocess.DEVNULL, capture_output=True,
                          text=True, timeout=120, check=False)
    t.check(done.returncode == 0, "files that are made are no typo, several of them neither", done.stderr[-400:])


@case("misuse.count", "the hundred most likely mistakes are in the tables, each once")
def count(t):
    tables = (TYPOS, TYPES, GRANTS, ORDER, QUOTES, SCRIPTS, PROGRAMS, INTERRUPTS, BYTES, PASTES, CLOSED_IN, VERBS)
    mistakes = [(index, *entry[:2]) for index, table in enumerate(tables) for entry in table if entry[1] not in (TIDY, "") or len(entry) > 2]
    t.check(len(mistakes) >= 100, "there are a hundred", str(len(mistakes)))
    t.check(len(set(mistakes)) == len(mistakes), "none is there twice", str({each for each in mistakes if mistakes.count(each) > 1}))
