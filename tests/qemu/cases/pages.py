# SPDX-License-Identifier: MIT
"""Pages that are tests: the blocks of kind `capos` are typed into a system, a fresh one for each page, and the commands of the
blocks of kind `host` between them are run beside it. Blocks with `file=PATH` are files of a copy of the tree, those with
`add=PATH before="LINE"` are put there before the line that begins so, and those of kind `tree` are run in it; what is typed after them
goes into a system that is built of it. `capos boot=FOLDER` is a block typed into the system that lies ready in that folder of the copy."""

import os
import re
import subprocess

from case import case, doc_files
from tree_copy import build_copy, copy_tree, write_files

BLOCK = re.compile(r"^```([^\n`]*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
PROMPTS = {"capos": "capos> ", "host": "$ ", "tree": "$ "}
MORE = "  ...> "
FILE = re.compile(r"\S* file=(\S+)$")
ADD = re.compile(r'\S* add=(\S+) before="([^"]+)"$')
BOOT = re.compile(r"capos boot=(\S+)$")
NAMED = re.compile(r"<(\w+)>")


def commands(kind, block):
    """(kind, command, [lines expected in this order]) of a block."""
    found = []
    for line in block.splitlines():
        if line.startswith(PROMPTS[kind]):
            found.append((kind, line[len(PROMPTS[kind]):].split("   #")[0].rstrip(), []))
        elif kind == "capos" and line.startswith(MORE) and found:
            found[-1] = (kind, found[-1][1] + "\n" + line[len(MORE):].rstrip(), [])
        elif line.strip() and found:
            found[-1][2].append(line.rstrip())
    return found


def steps(text):
    """What a page does, in its order: commands, and ("boot", folder), ("file", path, text), ("add", path, line to put it before, text)."""
    found = []
    for info, block in BLOCK.findall(text):
        if info in PROMPTS:
            found += commands(info, block)
        elif BOOT.match(info):
            found += [("boot", BOOT.match(info)[1])] + commands("capos", block)
        elif FILE.match(info):
            found.append(("file", FILE.match(info)[1], block))
        elif ADD.match(info):
            found.append(("add", *ADD.match(info).groups(), block))
    return found


def squeeze(text):
    return re.sub(r"\s+", " ", text).strip()


def pattern_of(line, known):
    """A regular expression for an expected line: ... is anything, <name> the word known by that name, or to be known."""
    pattern = ".*?".join(re.escape(squeeze(part)) for part in line.split("..."))
    return re.sub(r"<(\w+)>", lambda name: re.escape(known[name[1]]) if name[1] in known else rf"(?P<{name[1]}>\w+)", pattern)


def missing(expected, printed, known):
    """The first expected line that the printed text lacks, looking on from the one before."""
    printed = squeeze(printed)
    at = 0
    for line in expected:
        match = re.compile(pattern_of(line, known)).search(printed, at)
        if not match:
            return line
        known.update(match.groupdict())
        at = match.end()
    return None


def on_host(command, known, folder="."):
    """What a command prints here, status and all, with the words that are known by now."""
    command = NAMED.sub(lambda name: known.get(name[1], name[0]), command)
    env = {key: value for key, value in os.environ.items() if not key.startswith("MAKE")} | {"PWD": os.path.abspath(folder)}
    done = subprocess.run(command, shell=True, capture_output=True, text=True, check=False, timeout=300, cwd=folder, env=env)
    return done.stdout + done.stderr + (f"status {done.returncode}\n" if done.returncode != 0 else "")


class Reader:
    """Follows a page: changes a copy of the tree where it says so, and types into a system that is built of what is there by then."""

    def __init__(self, t, name):
        self.t, self.name = t, name
        self.copy = None  # of the tree, once the page changes it
        self.ready = None  # where a system lies that need not be built
        self.guest = None
        self.known = {}

    def in_copy(self):
        if self.copy is None:
            self.copy = copy_tree(f"page/{self.name}")
        if self.guest is not None:
            self.t.shutdown(self.guest)
            self.guest = None

    def system(self):
        if self.guest is None:
            build = self.ready or (build_copy(self.copy) if self.copy else "build")
            self.guest = self.t.boot(build=build, cpus=2, deadline_s=180, quiet_s=40)
            self.guest.prompt(seconds=60)
        return self.guest

    def add(self, path, before, text):
        with open(os.path.join(self.copy, path), encoding="utf-8") as file:
            old = file.read()
        self.t.require(old.count("\n" + before) == 1, f"{path} has one line that begins with: {before}")
        write_files(self.copy, [(path, old.replace("\n" + before, "\n" + text + before))])

    def expect(self, command, expected, printed):
        lacking = missing(expected, printed, self.known)
        self.t.require(lacking is None, f"`{command}` prints: {lacking}", f"it printed:\n{printed}")

    def follow(self, step, last):
        kind = step[0]
        if kind in ("boot", "file", "add", "tree"):
            self.in_copy()
            self.ready = os.path.join(self.copy, step[1]) if kind == "boot" else None
        if kind == "file":
            write_files(self.copy, [step[1:]])
        elif kind == "add":
            self.add(*step[1:])
        elif kind == "capos" and last and "shutdown" in step[1]:
            self.system().send(step[1] + "\r")
            how = self.guest.wait_end(seconds=30)
            self.t.require(how == "off", "the system switches itself off", f"it ended: {how}")
        elif kind == "capos":
            self.expect(step[1], step[2], self.system().command(step[1]))
        elif kind != "boot":
            if kind == "host":
                self.system()  # it is asked beside one that runs
            self.expect(step[1], step[2], on_host(step[1], self.known, self.copy if kind == "tree" else "."))


def page_case(path):
    name = os.path.splitext(os.path.relpath(path, "docs"))[0].replace(os.path.sep, ".")

    @case(f"page.{name}", f"the sessions printed on {path} happen as printed", weight=5)
    def run(t):
        with open(path, encoding="utf-8") as file:
            done = steps(file.read())
        t.require(any(step[0] == "capos" for step in done), "the page has a session")
        reader = Reader(t, name)
        for number, step in enumerate(done):
            reader.follow(step, number == len(done) - 1)

    return run


for _path in doc_files():
    with open(_path, encoding="utf-8") as _file:
        if any(step[0] == "capos" for step in steps(_file.read())):
            page_case(_path)
