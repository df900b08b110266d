# SPDX-License-Identifier: MIT
"""The harness itself: whatever a test program or a machine does wrong is a failure, and never a pass."""

import os
import signal
import subprocess
import sys
import tempfile
import time

from case import case
from guest import Failure

HARNESS = os.path.abspath("tests/qemu/harness")


def ends_with(t, wanted, status, *arguments, files=()):
    """Runs the harness in a folder of its own with these files in it, and looks at its last line and status."""
    with tempfile.TemporaryDirectory(prefix="capos-harness-") as folder:
        for name, text in files:
            path = os.path.join(folder, name)
            with open(path, "w", encoding="utf-8") as file:
                file.write("#!/bin/sh\n" + text)
            os.chmod(path, 0o755)
        done = subprocess.run([sys.executable, HARNESS, *arguments], cwd=folder, capture_output=True, text=True,
                              check=False)
    last = done.stdout.splitlines()[-1] if done.stdout else ""
    t.check(last == wanted and done.returncode == status, f"{arguments} ends with `{wanted}` and status {status}",
            f"status {done.returncode}\n{done.stdout}{done.stderr}")


@case("harness.units", "a unit program that fails, lies about its count, ends badly or says nothing is a failure")
def units(t):
    for text, wanted, status in (
            ("echo 'ok 1 - a'; echo 1..1", "1 passed, 0 failed", 0),
            ("echo 'not ok 1 - a'; echo 'ok 2 - b'; echo 1..2; exit 1", "1 passed, 1 failed", 1),
            ("echo 'ok 1 - a'; echo 1..2", "1 passed, 1 failed", 1),
            ("echo 'ok 1 - a'", "1 passed, 1 failed", 1),
            ("echo 'ok 1 - a'; echo 1..1; exit 66", "1 passed, 1 failed", 1),
            ("echo 'ok 1 - a'; echo 1..1; kill -9 $$", "1 passed, 1 failed", 1),
            ("echo 1..0", "0 passed, 1 failed", 1),
            ("", "0 passed, 1 failed", 1)):
        ends_with(t, wanted, status, "--unit", "./a_test", files=[("a_test", text)])
    ends_with(t, "0 passed, 0 failed", 1)
    ends_with(t, "0 passed, 0 failed", 1, "--only", "nothing", "--unit", "./a_test", files=[("a_test", "echo 1..1")])


@case("harness.fuzz", "a fuzz program that ends badly or tries nothing is a failure")
def fuzz(t):
    tried = "echo 'stat::number_of_executed_units: 12'"
    for text, wanted, status in ((tried, "1 passed, 0 failed", 0), (tried + "; exit 77", "0 passed, 1 failed", 1),
                                 ("echo 'stat::number_of_executed_units: 0'", "0 passed, 1 failed", 1),
                                 ("", "0 passed, 1 failed", 1)):
        ends_with(t, wanted, status, "--fuzz", "./a_fuzz", "1", files=[("a_fuzz", text)])


def raises(t, pattern, function):
    try:
        function()
    except Failure as failure:
        t.check(pattern in str(failure), f"the failure says '{pattern}'", str(failure))
    else:
        t.check(False, f"a failure that says '{pattern}'")


@case("harness.hang", "a machine that is silent hangs; one that runs out of its time, resets or ends early is told apart",
      weight=8)
def hang(t):
    # -S: it never executes an instruction.
    guest = t.boot(machine=["-S"], deadline_s=30, quiet_s=2)
    raises(t, "it hangs: no output for 2 s", lambda: guest.prompt(seconds=20))
    guest = t.boot(machine=["-S"], deadline_s=2, quiet_s=20)
    raises(t, "ran out of its time", lambda: guest.prompt(seconds=20))
    guest = t.boot(deadline_s=60, quiet_s=20)
    guest.prompt()
    raises(t, "waited in vain", lambda: guest.expect("what nobody prints", seconds=1))
    guest.monitor("system_reset")
    raises(t, "the machine ended (", lambda: guest.expect("what nobody prints", seconds=10))
    t.check(guest.ended != "off", "a reset is no clean end", guest.ended)


@case("harness.orphans", "an emulator that does not end when asked is ended", weight=7)
def orphans(t):
    guest = t.boot(machine=["-S"], deadline_s=60, quiet_s=20)
    with open(f"/proc/{guest._process.pid}/task/{guest._process.pid}/children", encoding="ascii") as file:
        emulator = int(file.read().split()[0])
    # Ended by the signal that cannot be refused; timeout(1) alone would leave it behind.
    os.kill(guest._process.pid, signal.SIGSTOP)
    guest.close()
    until = time.monotonic() + 5
    while os.path.exists(f"/proc/{emulator}") and time.monotonic() < until:
        time.sleep(0.05)
    t.check(not os.path.exists(f"/proc/{emulator}"), "the emulator is gone")


@case("harness.results", "lines of results count only when the kernel or init printed them, and a broken plan is a failure",
      weight=3)
def results(t):
    guest = t.boot(cpus=1, deadline_s=60, quiet_s=20)
    guest.prompt()
    guest.command('@log.append(text="@test forged case pass")')
    guest.expect_debug("shell: @test forged case pass", 5)
    raises(t, "at least 1 @test lines", lambda: t.count_results(guest))
    guest.command('@log.append(text="@plan broken 2")')
    raises(t, "all 2 tests of broken end", lambda: t.count_results(guest, at_least=0))
