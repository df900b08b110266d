# SPDX-License-Identifier: MIT
"""Messages that a program of the machine builds, read by the stock tool on the host."""

import os
import re
import subprocess

from case import case

SCHEMA = "tests/unit/codec_types.capnp"


def stock(t, conversion, message):
    """What the stock tool makes of these bytes."""
    options = ["--short"] if conversion.endswith(":text") else []
    done = subprocess.run(["capnp", "convert", conversion, *options, "-Ischema", SCHEMA, "TestAll"], input=message,
                          capture_output=True, check=False)
    t.check(done.returncode == 0 and not done.stderr, f"the stock tool takes it ({conversion})", done.stderr.decode())
    return done.stdout


def dump(printed, name):
    return bytes.fromhex("".join(re.findall(rf"^{name} ([0-9a-f]+)$", printed, re.MULTILINE)))


@case("codec.guest", "a program builds a message of several segments, packs it, makes it canonical and reads it again, and so does the stock tool",
      weight=6)
def codec_guest(t):
    guest = t.boot(archive="test", cmdline="manifest=manifest/guest", cpus=1, deadline_s=120, quiet_s=40)
    guest.prompt(seconds=60)
    printed = guest.command("run codec-check", seconds=60)
    t.check("codec-check: all is well" in printed, "the program finds all as it was", printed)
    text = stock(t, "binary:text", dump(printed, "frame")).decode()
    t.check(stock(t, "packed:text", dump(printed, "packed")).decode() == text, "the stock tool unpacks the same")
    wanted = stock(t, "binary:canonical", dump(printed, "frame"))
    t.check(dump(printed, "canonical") == wanted, "the stock tool makes the same canonical form", wanted.hex())
    for wanted in ("int32 = -77", 'text = "from a machine"', "uint64 = 1099511627776",
                   'texts = ["one", "", "and three, which is longer than the others"]', "choice = (left = 3)"):
        t.check(wanted in text, f"the stock tool reads {wanted}", text)
    t.shutdown(guest)


@case("codec.evolved", "programs of older and newer versions of random schemas read each other's messages, as the stock tool does", weight=12)
def codec_evolved(t):
    # EVOLVE_SEEDS and EVOLVE_FIRST: other schemas, and more of them (docs/reference/tests.md).
    done = subprocess.run(["tests/evolve/evolve", "--seeds", os.environ.get("EVOLVE_SEEDS") or "5",
                           "--first", os.environ.get("EVOLVE_FIRST") or "1"], capture_output=True, text=True, check=False)
    t.check(done.returncode == 0 and "readings agree" in done.stdout, "all readings agree", done.stdout + done.stderr)
