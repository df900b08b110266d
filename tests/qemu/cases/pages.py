# SPDX-License-Identifier: MIT
"""Pages that are tests: the blocks of kind `capos` are typed into a system, a fresh one for each page."""

import os
import re
import shutil
import subprocess

from case import case, doc_files
from guest import Failure

BLOCK = re.compile(r"^```capos\n(.*?)^```", re.MULTILINE | re.DOTALL)
FILE = re.compile(r"^```\S* file=(\S+)\n(.*?)^```", re.MULTILINE | re.DOTALL)
PROMPT = "capos> "


def steps(text):
    """(command, [lines expected in this order]) of every block of a page."""
    found = []
    for block in BLOCK.findall(text):
        for line in block.splitlines():
            if line.startswith(PROMPT):
                found.append((line[len(PROMPT):].split("   #")[0].rstrip(), []))
            elif line.strip() and found:
                found[-1][1].append(line.rstrip())
    return found


def squeeze(text):
    return re.sub(r"\s+", " ", text).strip()


def missing(expected, printed):
    """The first expected line that the printed text lacks, looking on from the one before."""
    printed = squeeze(printed)
    at = 0
    for line in expected:
        pattern = ".*?".join(re.escape(squeeze(part)) for part in line.split("..."))
        match = re.compile(pattern).search(printed, at)
        if not match:
            return line
        at = match.end()
    return None


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
        for number, (command, expected) in enumerate(session):
            if number == len(session) - 1 and "shutdown" in command:
                guest.send(command + "\r")
                how = guest.wait_end(seconds=30)
                t.require(how == "off", "the system switches itself off", f"it ended: {how}")
                return
            printed = guest.command(command)
            lacking = missing(expected, printed)
            t.require(lacking is None, f"`{command}` prints: {lacking}", f"it printed:\n{printed}")

    return run


for _path in doc_files():
    with open(_path, encoding="utf-8") as _file:
        if BLOCK.search(_file.read()):
            page_case(_path)
