# SPDX-License-Identifier: MIT
"""Pages that are tests: the blocks of kind `capos` are typed into a system, a fresh one for each page, and the commands of the
blocks of kind `host` between them are run beside it."""

import os
import re
import shutil
import subprocess

from case import case, doc_files
from guest import Failure

BLOCK = re.compile(r"^```(capos|host)\n(.*?)^```", re.MULTILINE | re.DOTALL)
FILE = re.compile(r"^```\S* file=(\S+)\n(.*?)^```", re.MULTILINE | re.DOTALL)
PROMPTS = {"capos": "capos> ", "host": "$ "}
NAMED = re.compile(r"<(\w+)>")


def steps(text):
    """(kind, command, [lines expected in this order]) of every block of a page."""
    found = []
    for kind, block in BLOCK.findall(text):
        for line in block.splitlines():
            if line.startswith(PROMPTS[kind]):
                found.append((kind, line[len(PROMPTS[kind]):].split("   #")[0].rstrip(), []))
            elif line.strip() and found:
                found[-1][2].append(line.rstrip())
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


def on_host(command, known):
    """What a command prints here, status and all, with the words that are known by now."""
    command = NAMED.sub(lambda name: known.get(name[1], name[0]), command)
    done = subprocess.run(command, shell=True, capture_output=True, text=True, check=False, timeout=120)
    return done.stdout + done.stderr + (f"status {done.returncode}\n" if done.returncode != 0 else "")


def tree_with(files, name):
    """A copy of the tree with these files in it, built; its build folder. What is built already is not built again."""
    copy = os.path.abspath(os.path.join("build", "page", name))
    shutil.rmtree(copy, ignore_errors=True)
    os.makedirs(os.path.join(copy, "build"))
    for folder, folders, names in os.walk("."):
        folders[:] = [each for each in folders if each not in ("build", ".git", "__pycache__")]
        os.makedirs(os.path.join(copy, folder), exist_ok=True)
        for each in names:
            shutil.copy2(os.path.join(folder, each), os.path.join(copy, folder, each))
    for part in (".deps", "cache", "third", "tools", "gen", "obj", "libcapos.a"):
        source = os.path.join("build", part)
        if os.path.isdir(source):
            shutil.copytree(source, os.path.join(copy, source))
        elif os.path.exists(source):
            shutil.copy2(source, os.path.join(copy, source))
    for path, text in files:
        os.makedirs(os.path.join(copy, os.path.dirname(path)), exist_ok=True)
        with open(os.path.join(copy, path), "w", encoding="utf-8") as file:
            file.write(text)
    done = subprocess.run(["make", "--no-print-directory", "build/kernel.elf", "build/boot.archive"],
                          capture_output=True, text=True, check=False, cwd=copy,
                          env={key: value for key, value in os.environ.items() if not key.startswith("MAKE")} | {"PWD": copy})
    if done.returncode != 0:
        raise Failure("what the page says does not build:\n" + (done.stdout + done.stderr)[-3000:])
    return os.path.join(copy, "build")


def page_case(path):
    name = os.path.splitext(os.path.relpath(path, "docs"))[0].replace(os.path.sep, ".")

    @case(f"page.{name}", f"the sessions printed on {path} happen as printed", weight=5)
    def run(t):
        with open(path, encoding="utf-8") as file:
            text = file.read()
        session, written = steps(text), FILE.findall(text)
        t.require(session, "the page has a session")
        build = tree_with(written, name) if written else "build"
        guest = t.boot(build=build, cpus=2, deadline_s=180, quiet_s=40)
        guest.prompt(seconds=60)
        known = {}
        for number, (kind, command, expected) in enumerate(session):
            if number == len(session) - 1 and "shutdown" in command:
                guest.send(command + "\r")
                how = guest.wait_end(seconds=30)
                t.require(how == "off", "the system switches itself off", f"it ended: {how}")
                return
            printed = guest.command(command) if kind == "capos" else on_host(command, known)
            lacking = missing(expected, printed, known)
            t.require(lacking is None, f"`{command}` prints: {lacking}", f"it printed:\n{printed}")

    return run


for _path in doc_files():
    with open(_path, encoding="utf-8") as _file:
        if BLOCK.search(_file.read()):
            page_case(_path)
