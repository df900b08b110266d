# SPDX-License-Identifier: MIT
"""The tools that guard the tree are themselves tested: each check is shown to fail."""

import hashlib
import subprocess

from case import case


def run(t, *command):
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    t.require(done.returncode == 0, f"{' '.join(command)} succeeds", done.stdout[-2000:] + done.stderr[-2000:])
    return done.stdout


@case("tree.checks", "each check of the tree's text fails on a tree with that fault")
def checks_can_fail(t):
    run(t, "tools/check", "--prove")


@case("tree.includes", "each kind of wrong include is found")
def includes_can_fail(t):
    run(t, "tools/check-includes", "--prove")


@case("tree.iso", "the same kernel and archive make the same ISO, byte for byte", weight=3)
def iso_repeats(t):
    digests = []
    for name in ("first", "second"):
        out = f"build/test-logs/{name}.iso"
        done = subprocess.run(["make", "--no-print-directory", "-s", "iso-again", f"OUT={out}"],
                              capture_output=True, text=True, check=False)
        t.require(done.returncode == 0, "the ISO is made", done.stderr[-2000:])
        with open(out, "rb") as file:
            digests.append(hashlib.sha256(file.read()).hexdigest())
    t.require(digests[0] == digests[1], "the two ISOs are equal", " ".join(digests))
