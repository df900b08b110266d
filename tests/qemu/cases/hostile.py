# SPDX-License-Identifier: MIT
"""The hostile processes: the kernel and the neighbours work afterwards, and nothing is left behind. Each case that the
warden (tests/hostile/warden) prints is a result of its own."""

from case import build_file, case
from guest import Failure


def hostile_case(name, sentence, cpus, kernel, weight):
    @case(name, sentence, weight=weight)
    def run(t):
        guest = t.boot(archive="hostile", cmdline="entropy=fixed", cpus=cpus, kernel=build_file(kernel),
                       deadline_s=400, quiet_s=90)
        how = guest.wait_end(seconds=390)
        t.require("@plan hostile " in guest.log(), "the warden says how many cases there are")
        t.count_results(guest)
        if how != "off":
            raise Failure(f"the machine ended: {how}")


hostile_case("hostile.1", "no hostile process breaks the kernel or a neighbour, or keeps anything; one CPU", 1,
             "kernel.elf", 40)
hostile_case("hostile.2", "the same with two CPUs", 2, "kernel.elf", 40)
hostile_case("hostile.debug", "the checking kernel finds no broken invariant under the hostile processes; four CPUs", 4,
             "debug/kernel.elf", 60)
