# SPDX-License-Identifier: MIT
"""Setting a machine up, on a PATH with little on it: what is missing is told with its fix, the line that installs it is
printed, or run by root; sources that were fetched once need no network."""

import os
import re
import shutil
import subprocess

from case import case

# What a Debian without any of our packages has; tar unpacks .xz by the program xz.
BARE = ("sh", "awk", "cat", "cut", "df", "dirname", "flock", "grep", "head", "ls", "mkdir", "mv", "printf", "rm", "sed",
        "sha256sum", "sort", "tar", "xz")


class Bare:
    """A folder that is all of PATH, with an `id` that says who we are and an apt-get that writes down what it is told."""

    def __init__(self, t, user, without=()):
        self.folder = os.path.abspath(f"build/test-logs/{t.entry.name}.path")
        shutil.rmtree(self.folder, ignore_errors=True)
        os.makedirs(self.folder)
        self.told = os.path.join(self.folder, "told")
        for name in BARE:
            if name not in without:
                os.symlink(shutil.which(name), os.path.join(self.folder, name))
        self.script("id", f"echo {user}")

    def script(self, name, text):
        path = os.path.join(self.folder, name)
        with open(path, "w", encoding="utf-8") as file:
            file.write("#!/bin/sh\n" + text + "\n")
        os.chmod(path, 0o755)

    def run(self, *command):
        done = subprocess.run(command, env={"PATH": self.folder}, capture_output=True, text=True, check=False)
        return done.returncode, done.stdout + done.stderr

    def apt_was_told(self):
        if not os.path.exists(self.told):
            return []
        with open(self.told, encoding="utf-8") as file:
            return file.read().splitlines()


def needed():
    """(package, command) of the tools that are looked for on PATH and must be there."""
    with open("tools/packages.list", encoding="utf-8") as file:
        words = [line.split() for line in file if line.strip() and not line.startswith("#")]
    return [(word[0], word[1]) for word in words if not word[0].startswith("-") and not word[1].startswith("/")]


@case("setup.doctor", "doctor names each tool that is missing, and how to get it")
def doctor(t):
    bare = Bare(t, 0)
    status, text = bare.run("tools/doctor")
    t.check(status == 1, "the status is 1", text)
    missing = [(package, tool) for package, tool in needed() if tool not in BARE]
    t.require(len(missing) > 8, "there is something to miss")
    for package, _ in missing:
        t.check(re.search(rf"MISSING +{re.escape(package)}: .+\n +fix: apt-get install {re.escape(package)}\n", text)
                is not None, f"{package} is named with its fix", text)
    t.check(f"doctor: {len(missing)} of the above must be mended" in text, "they are counted", text)
    t.check("`make deps` installs: " + " ".join(package for package, _ in missing) in text, "make deps is named", text)

    # A tool that is there and too old is no better.
    bare.script("gcc", "echo 'gcc (Some) 4.9.2'")
    _, text = bare.run("tools/doctor")
    t.check(re.search(r"MISSING +gcc 4\.9\.2 is too old, 12 is needed: .*\n +fix: ", text) is not None,
            "an old compiler is named with its version", text)


@case("setup.install", "who is not root is given the line to run; root's apt-get gets exactly that line")
def install(t):
    wanted = "install -y --no-install-recommends " + " ".join(package for package, tool in needed() if tool not in BARE)
    bare = Bare(t, 1000)
    bare.script("apt-get", f'echo "$*" >>{bare.told}')
    status, text = bare.run("tools/doctor", "--install", "--quiet")
    t.check(status == 1 and f"    apt-get update && apt-get {wanted}\n" in text, "the line is printed", text)
    t.check(not bare.apt_was_told(), "apt-get was not run", str(bare.apt_was_told()))

    bare = Bare(t, 0)
    tools = " ".join(shutil.which(tool) for _, tool in needed() if tool not in BARE)
    bare.script("apt-get", f'echo "$*" >>{bare.told}\ncase $1 in install) {shutil.which("ln")} -sf {tools} {bare.folder} ;; esac')
    status, text = bare.run("tools/doctor", "--install", "--quiet")
    told = [line for line in bare.apt_was_told() if line != "update"]
    t.check(told == [wanted], "apt-get installs what is missing, once", f"{told}\n{text}")
    t.check(status == 0, "then all is there", text)

    bare = Bare(t, 0)
    bare.script("apt-get", f'echo "$*" >>{bare.told}\nexit 100')
    status, text = bare.run("tools/doctor", "--install", "--quiet")
    t.check(status == 1 and "must be mended" in text, "an apt-get that fails is no success", text)
    t.check(bare.apt_was_told()[-1] == "update", "the lists are read anew before giving up", str(bare.apt_was_told()))


@case("setup.sources", "a source in the cache is unpacked without a network; one with another hash never")
def sources(t):
    with open("tools/sources.list", encoding="utf-8") as file:
        line = next(each.split() for each in file if each.startswith("bearssl "))
    archive, sha256 = line[4], line[5]
    t.require(os.path.exists(f"build/cache/{archive}"), "the archive is in build/cache")
    bare = Bare(t, 0)
    cache, out = f"{bare.folder}.cache", f"{bare.folder}.out"
    for folder in (cache, out):
        shutil.rmtree(folder, ignore_errors=True)
        os.makedirs(folder)
    shutil.copyfile(f"build/cache/{archive}", f"{cache}/{archive}")
    status, text = bare.run("tools/fetch-source", "bearssl", cache, out)
    t.check(status == 0 and os.path.exists(f"{out}/inc/bearssl.h"), "it is unpacked, without apt-get", text)

    with open(f"{cache}/{archive}", "ab") as file:
        file.write(b"\0")
    shutil.rmtree(out)
    status, text = bare.run("tools/fetch-source", "bearssl", cache, out)
    t.check(status != 0 and archive in text and sha256 in text, "one byte more is refused, and it says what is wanted", text)
    t.check(not os.path.exists(f"{out}/inc"), "nothing is unpacked")
    status, text = bare.run("tools/fetch-source", "nothing", cache, out)
    t.check(status != 0 and "no line for 'nothing'" in text, "an unknown name is refused", text)


@case("setup.blank", "a clone in a folder whose path has a blank is told so")
def blank(t):
    folder = os.path.abspath(f"build/test-logs/{t.entry.name} here")
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(folder)
    shutil.copy("Makefile", folder)
    shutil.copytree("mk", os.path.join(folder, "mk"))
    done = subprocess.run(["make", "help"], cwd=folder, capture_output=True, text=True, check=False,
                          env={key: value for key, value in os.environ.items() if not key.startswith("MAKE")})
    t.check(done.returncode == 2 and "has a blank in its path" in done.stderr and "move it" in done.stderr,
            "make says what is wrong and what to do", done.stdout + done.stderr)
