# SPDX-License-Identifier: MIT
"""What make sdk makes: enough to build programs and boot them, far from the tree; the same bytes each time and at each place."""

import hashlib
import os
import shutil
import subprocess
import tempfile

from case import case
from tree_copy import build_copy, copy_tree, run_in

TAR = "build/capos-sdk.tar.gz"


def make_sdk(t):
    done = run_in(os.getcwd(), "make", "--no-print-directory", "-s", "sdk")
    t.require(done.returncode == 0 and os.path.exists(TAR), "make sdk makes it", done.stdout + done.stderr)


def unpack(folder):
    subprocess.run(["tar", "-xzf", os.path.abspath(TAR), "-C", folder], check=True)
    return os.path.join(folder, "capos-sdk")


def digest(path):
    with open(path, "rb") as file:
        return hashlib.sha256(file.read()).hexdigest()


def files_with(folder, word):
    """The files there that have these bytes in them."""
    found = []
    for where, _, names in os.walk(folder):
        for name in names:
            path = os.path.join(where, name)
            with open(path, "rb") as file:
                if word in file.read():
                    found.append(os.path.relpath(path, folder))
    return found


@case("sdk.example", "the example of the SDK is built from the SDK alone, outside the tree, and its programs run", weight=8)
def example(t):
    make_sdk(t)
    outside = tempfile.mkdtemp(prefix="capos-sdk-")
    try:
        sdk = unpack(outside)
        mine = os.path.join(sdk, "example")
        done = run_in(mine, "make", "image")
        t.require(done.returncode == 0, "make image succeeds there", done.stdout + done.stderr)
        t.check("warning" not in done.stderr, "nothing is warned of", done.stderr)
        found = files_with(outside, os.getcwd().encode())
        t.check(not found, "nothing there names the place of the tree", str(found))

        guest = t.boot(build=os.path.join(mine, "build"), cpus=2, deadline_s=120, quiet_s=40)
        guest.prompt(seconds=60)
        t.check("Hello, world!" in guest.command('@greeter.greet(name="world")'), "its service answers")
        said = guest.command("run visitor with { greeter: @greeter }")
        t.check("Hello, visitor! I am guest number 2." in said, "its program calls the service", said)
        said = guest.command("help @greeter")
        t.check("interface Greeter" in said and "guests() -> (count :UInt64)" in said, "help knows the interface", said)
        t.check("says hello" in guest.command("help greeter"), "help knows the page")
        said = guest.command('@greeter.greet(name="")')
        t.check("a name of 1 to 40 bytes is needed" in said, "it refuses, and says why", said)
        t.check("value = 1" in guest.command("@counter.increment()"), "what the system has is there as well")
        t.shutdown(guest)

        path = os.path.join(mine, "greeter", "main.c")
        with open(path, encoding="utf-8") as file:
            text = file.read()
        with open(path, "w", encoding="utf-8") as file:
            file.write(text.replace("Hello, %", "Welcome, %"))
        done = run_in(mine, "make", "image")
        t.check(done.returncode == 0 and "CC      greeter/main.c" in done.stdout and "visitor" not in done.stdout,
                "a change builds anew what depends on it", done.stdout + done.stderr)
        done = subprocess.run(["make", "-s", "run"], cwd=mine, capture_output=True, text=True, check=False, timeout=120,
                              input='@greeter.greet(name="you")\n@control.shutdown()\n',
                              env={key: value for key, value in os.environ.items() if not key.startswith("MAKE")} | {"PWD": mine})
        t.check(done.returncode == 0 and "Welcome, you!" in done.stdout, "make run boots it", done.stdout + done.stderr)
    finally:
        shutil.rmtree(outside)


@case("sdk.mistakes", "what is wrong in a project of the SDK is said by name, and nothing is packed", weight=3)
def mistakes(t):
    make_sdk(t)
    outside = tempfile.mkdtemp(prefix="capos-sdk-")
    try:
        sdk = unpack(outside)
        mine = os.path.join(sdk, "example")

        def refused(why, sentence):
            done = run_in(mine, "make", "image")
            t.check(done.returncode != 0 and why in done.stderr, sentence, done.stdout + done.stderr)
            t.check(not os.path.exists(os.path.join(mine, "build/boot.archive")), f"{sentence}: nothing is packed")

        def change(name, before, after):
            path = os.path.join(mine, name)
            with open(path, encoding="utf-8") as file:
                text = file.read()
            t.require(before in text, f"{name} has {before}")
            with open(path, "w", encoding="utf-8") as file:
                file.write(text.replace(before, after))

        os.rename(f"{mine}/manifest.capnp", f"{mine}/manifest.away")
        refused("manifest.capnp is missing: it says what the program is given", "no manifest")
        os.rename(f"{mine}/manifest.away", f"{mine}/manifest.capnp")
        change("Makefile", "greeter visitor", "greeter visitr")
        refused("visitr has no sources", "a program that is not there")
        change("Makefile", "greeter visitr", "greeter visitor")
        change("manifest.capnp", 'programs = ["visitor"]', 'programs = ["visitr"]')
        refused('needs the payload "bin/visitr"', "a launch set with a program that is not there")
        change("manifest.capnp", 'programs = ["visitr"]', 'programs = ["visitor"]')
        change("visitor/main.c", "Greeter_guests(greeter, &count)", "Greeter_guests(greeter)")
        refused("too few arguments", "a call that the interface does not have")
    finally:
        shutil.rmtree(outside)


@case("sdk.repeats", "the same tree makes the same SDK, byte for byte, here, again and at another place", weight=20, slots=2)
def repeats(t):
    make_sdk(t)
    first = digest(TAR)
    os.remove(TAR)
    make_sdk(t)
    t.check(digest(TAR) == first, "again")
    copy = copy_tree("sdk-copy")
    build_copy(copy, "sdk")
    t.check(digest(os.path.join(copy, TAR)) == first, "at another place")
    t.check(digest(os.path.join(copy, "build/sdk/lib/libcapos.a")) == digest("build/sdk/lib/libcapos.a"), "the library is the same")
    shutil.rmtree(copy)
