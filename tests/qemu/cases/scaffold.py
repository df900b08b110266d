# SPDX-License-Identifier: MIT
"""make new-service and make new-object: what they write builds, passes the checks and works; what they refuse they say, and write nothing."""

import os

from case import case
from tree_copy import build_copy, copy_tree, run_in


def listing(copy):
    return sorted(os.path.join(folder, name) for folder, _, names in os.walk(copy) for name in names)


REFUSED = [
    ("", "usage", ""),
    ("Word", "is no name for a program", "small letters"),
    ("word_box", "is no name for a program", "make new-service NAME="),
    ("../word", "is no name for a program", "small letters"),
    ("a" * 25, "is no name for a program", "at most 24"),
    ("counter", "there is a program apps/counter already", "take another name"),
    ("manual", "there is a program services/manual already", "take another name"),
    ("endpoint", "has an interface or type Endpoint already", "take another name"),
]


@case("scaffold.service", "make new-service begins a service that builds, is formatted, passes its test and is explained",
      weight=14, slots=2)
def service(t):
    copy = copy_tree("scaffold")
    before = listing(copy)
    for name, why, remedy in REFUSED:
        done = run_in(copy, "tools/new-service", name)
        said = done.stdout + done.stderr
        if name == "":
            t.check(done.returncode == 2 and "tools/new-service NAME" in said, "without a name it tells how it is used", said)
        else:
            t.check(done.returncode == 1 and why in said and remedy in said, f"'{name}' is refused: {why}", said)
    for name in ("a;touch x", "a'; touch x; '", 'a"; touch x; "', "a`touch x`", "$(shell touch x)", "a$$(touch x)", "a b", "-h;"):
        done = run_in(copy, "make", "--no-print-directory", "new-service", f"NAME={name}")
        t.check(done.returncode == 2 and f"new-service: '{name}' is no name for a program" in done.stderr
                and "small letters" in done.stderr, f"make new-service NAME={name} is refused", done.stdout + done.stderr)
    t.require(listing(copy) == before, "a refusal writes nothing")

    for name in ("word-box", "w"):
        done = run_in(copy, "make", "--no-print-directory", "new-service", f"NAME={name}")
        t.require(done.returncode == 0, f"{name} is begun", done.stdout + done.stderr)
    done = run_in(copy, "make", "--no-print-directory", "new-service", "NAME=word-box")
    t.check(done.returncode != 0 and "apps/word-box already" in done.stderr, "it is not begun twice", done.stderr)
    build = build_copy(copy)
    done = run_in(copy, "tools/check", "format", "spdx", "words", "docs")
    t.check(done.returncode == 0, "what is written passes the checks of the tree's text", done.stdout + done.stderr)
    done = run_in(copy, "make", "--no-print-directory", "-s", "check-authority")
    t.check(done.returncode == 0 and "shell.word-box may WordBox.write" in done.stdout and "# who sits at the prompt" in done.stdout,
            "the authority that it adds says why", done.stdout + done.stderr)
    done = run_in(copy, "tests/qemu/harness", "--cases", "--only", "word-box")
    t.check(done.returncode == 0 and "1 passed, 0 failed" in done.stdout, "its own test passes", done.stdout)

    guest = t.boot(build=build, cpus=2, deadline_s=120, quiet_s=40)
    guest.prompt(seconds=60)
    t.check("writes = 1" in guest.command('@w.write(text="hello")'), "two of them live side by side")
    said = guest.command("help @word-box")
    t.check("interface WordBox" in said and "read()" in said, "help knows its interface", said)
    said = guest.command("help word-box")
    t.check("one line of text" in said, "help knows its page", said)
    t.shutdown(guest)


OBJECTS_REFUSED = [
    ("", "word-box", "usage", "tools/new-object NAME SERVICE"),
    ("note", "", "usage", "tools/new-object NAME SERVICE"),
    ("Note", "word-box", "is no name for an object", "make new-object NAME=note"),
    ("note", "../w", "is no name for a service", "small letters"),
    ("note", "nowhere", "there is no apps/nowhere", "make new-service NAME=nowhere"),
    ("main", "word-box", "apps/word-box/main.h is there", "take another name"),
    ("counter", "word-box", "has an interface or type Counter already", "take another name"),
    ("note", "counter", "where one is wanted", "docs/how-to/add-object.md"),
    ("note", "shell", "apps/shell/shell.capnp is not there", "make new-service"),
    ("note", "changed", "has no table of interfaces where one is wanted", "docs/how-to/add-object.md"),
]


@case("scaffold.object", "make new-object has a service give out objects of a kind of their own: it builds, is formatted, passes its test",
      weight=14, slots=2)
def objects(t):
    copy = copy_tree("scaffold-object")
    for name in ("word-box", "changed"):
        run_in(copy, "make", "--no-print-directory", "new-service", f"NAME={name}")
    path = os.path.join(copy, "apps/changed/main.c")
    with open(path, encoding="utf-8") as file:
        text = file.read()
    with open(path, "w", encoding="utf-8") as file:
        file.write(text.replace("interfaces[]", "served[]").replace("= interfaces", "= served"))
    with open(os.path.join(copy, "apps/word-box/main.h"), "w", encoding="utf-8"):
        pass
    before = {path: os.stat(path).st_mtime_ns for path in listing(copy)}
    for name, service_name, why, remedy in OBJECTS_REFUSED:
        done = run_in(copy, "tools/new-object", name, service_name)
        said = done.stdout + done.stderr
        if why == "usage":
            t.check(done.returncode == 2 and remedy in said, f"'{name}' of '{service_name}': it tells how it is used", said)
        else:
            t.check(done.returncode == 1 and why in said and remedy in said, f"'{name}' of '{service_name}' is refused: {why}", said)
    for words in (("NAME=a;touch x", "SERVICE=word-box"), ("NAME=note", "SERVICE=w'; touch x; '"), ("NAME=$(shell touch x)", "SERVICE=word-box")):
        done = run_in(copy, "make", "--no-print-directory", "new-object", *words)
        t.check(done.returncode == 2 and "is no name for" in done.stderr, f"{words} are refused", done.stdout + done.stderr)
    t.require({path: os.stat(path).st_mtime_ns for path in listing(copy)} == before, "a refusal writes nothing")
    os.remove(os.path.join(copy, "apps/word-box/main.h"))

    for name in ("note", "note-card", "n2"):
        done = run_in(copy, "make", "--no-print-directory", "new-object", f"NAME={name}", "SERVICE=word-box")
        t.require(done.returncode == 0, f"{name} is begun", done.stdout + done.stderr)
    done = run_in(copy, "make", "--no-print-directory", "new-object", "NAME=note", "SERVICE=word-box")
    t.check(done.returncode != 0 and "has an interface or type Note already" in done.stderr, "it is not begun twice", done.stderr)
    build = build_copy(copy)
    done = run_in(copy, "tools/check", "format", "spdx", "words", "docs")
    t.check(done.returncode == 0, "what is written passes the checks of the tree's text", done.stdout + done.stderr)
    done = run_in(copy, "tests/qemu/harness", "--cases", "--only", "word-box")
    t.check(done.returncode == 0 and "4 passed, 0 failed" in done.stdout, "its own tests pass, and the service's", done.stdout)

    guest = t.boot(build=build, cpus=2, deadline_s=120, quiet_s=40)
    guest.prompt(seconds=60)
    for name in ("Note", "NoteCard", "N2"):
        guest.command(f"a = @word-box.new{name}()")
        guest.command(f'@a.write(text="{name} it is")')
        said = guest.command("@a.read()")
        t.check(f"{name} it is" in said, f"{name} keeps its text beside the others", said)
        guest.command("drop @a")
    said = guest.command("help note-card")
    t.check("Each keeps one line of text" in said, "help knows its page", said)
    t.shutdown(guest)
