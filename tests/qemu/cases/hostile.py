# SPDX-License-Identifier: MIT
"""The hostile programs: the kernel and the neighbours work afterwards, and nothing is left behind."""

import glob
import os

from case import case
from guest import Failure


@case("hostile", "no hostile program breaks the kernel or a neighbour, or keeps a frame, slot or object", weight=30)
def hostile(t):
    programs = {os.path.splitext(os.path.basename(path))[0] for path in glob.glob("tests/hostile/*.c")}
    programs |= {os.path.basename(os.path.dirname(path)) for path in glob.glob("tests/hostile/*/main.c")}
    guest = t.boot(archive="test", cmdline="manifest=manifest/hostile entropy=fixed", cpus=2, deadline_s=280,
                   quiet_s=60)
    how = guest.wait_end(seconds=270)
    t.count_results(guest, at_least=max(1, len(programs)))
    if how != "off":
        raise Failure(f"the machine ended: {how}")


@case("hostile.debug", "the checking kernel finds no broken invariant under the hostile programs", weight=40)
def hostile_debug(t):
    if not os.path.exists("build/debug/kernel.elf"):
        raise Failure("build/debug/kernel.elf is missing; run make DEBUG=1 kernel")
    guest = t.boot(archive="test", cmdline="manifest=manifest/hostile entropy=fixed", cpus=4, kernel="build/debug/kernel.elf",
                   deadline_s=400, quiet_s=90)
    how = guest.wait_end(seconds=390)
    t.count_results(guest)
    if how != "off":
        raise Failure(f"the machine ended: {how}")
